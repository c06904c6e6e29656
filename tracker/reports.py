"""Reports: the ledger's grouped rows and the pure figures joined into one answer, for command line, letter and pages.

Every report carries its currency, its time zone and how fresh each connection is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine

from tracker.classify import reason
from tracker.errors import UsageError
from tracker.figures.contracts import PRESETS, Contract, Policy, State
from tracker.figures.income import Cost, IncomeRow, Slice, Unconverted, owed, tabulate
from tracker.figures.mrr import Movements, Mrr, Rate, movements, mrr_at
from tracker.money import convert_micros, from_micros
from tracker.months import following, label, month_of, start_of
from tracker.rates import Rates, load_rates
from tracker.records import Interval, Role, SubscriptionStatus
from tracker.settings import Settings
from tracker.store import reads, rollup
from tracker.store.database import reading
from tracker.store.reads import Basis, By

#: Earnings that are in memory at once when they are listed.
CHUNK = 1_000
_MOMENT = timedelta(microseconds=1)


# --- income ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Income:
    """Income by month and group, first to last month inclusive."""

    currency: str
    basis: Basis
    by: By
    time_zone: str
    first: int
    last: int
    as_of: Mapping[str, datetime | None]
    rows: list[IncomeRow]
    unconverted: list[Unconverted]
    costs: list[Cost]  # in none of the rows
    empty: bool  # the whole ledger has no earning yet


def income(
    engine: Engine,
    settings: Settings,
    *,
    first: int,
    last: int,
    by: By = By.STREAM,
    basis: Basis = Basis.EARNED,
    currency: str | None = None,
) -> Income:
    """Income from month `first` to `last` (202606). Months that changed since the roll-up are brought up to date first.

    In another currency than that of the settings, every day's earnings are converted at the reference rate of that day.
    """
    bring_up_to_date(engine)
    currency = currency or settings.currency
    with reading(engine) as conn:
        if currency == settings.currency:
            slices = list(_slices(reads.income(conn, by, basis, first, last), currency))
        else:
            found = reads.income_by_day(conn, by, basis, first, last, settings.zone)
            slices = list(_converted(found, currency, load_rates(conn)))
        made = tabulate(part for part in slices if part.verdict != reads.COST)
        return Income(
            currency=currency,
            basis=basis,
            by=by,
            time_zone=settings.time_zone,
            first=first,
            last=last,
            as_of=reads.freshness(conn),
            rows=made.rows,
            unconverted=made.unconverted,
            costs=owed((part for part in slices if part.verdict == reads.COST), currency),
            empty=not made.rows and not reads.any_earning(conn),
        )


def bring_up_to_date(engine: Engine) -> None:
    """Recompute the months of the roll-up that are older than their earnings."""
    with reading(engine) as conn:
        dirty = rollup.dirty(conn)
    if dirty:
        with engine.begin() as conn:
            rollup.work_off(conn)


def _slices(rows: Iterable[Any], currency: str) -> Iterator[Slice]:
    for row in rows:
        amount = row.reporting_net if row.currency is None else None
        own = row.currency or currency
        yield Slice(row.month, row.label, row.verdict, row.recurrence, int(row.earnings), amount, own, row.net)


def _converted(rows: Iterable[Any], currency: str, rates: Rates) -> Iterator[Slice]:
    for row in rows:
        amount, micros = None, int(row.micros)
        if found := rates.rate(row.currency, currency, date.fromisoformat(str(row.day))):
            amount = from_micros(convert_micros(micros, found[0]))
        own = row.currency, from_micros(micros)
        yield Slice(row.month, row.label, row.verdict, row.recurrence, row.earnings, amount, *own)


# --- single earnings ---


def earnings(
    engine: Engine,
    settings: Settings,
    *,
    first: date | None = None,
    last: date | None = None,
    connection_id: int | None = None,
    limit: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Earnings from day `first` to `last` inclusive, in order of time, a bounded number in memory at once.

    `counted` is True, or the reason why the earning is in no total.
    """
    start, end = moments(settings, first, last)
    after: tuple[datetime, int] | None = None
    given = 0
    while limit is None or given < limit:
        size = CHUNK if limit is None else min(CHUNK, limit - given)
        with reading(engine) as conn:
            rows = reads.earnings(conn, start=start, end=end, connection_id=connection_id, after=after, limit=size)
        yield from (_earning(row, settings.currency) for row in rows)
        given += len(rows)
        if len(rows) < size:
            return
        after = rows[-1].earned_at, rows[-1].id


def moments(settings: Settings, first: date | None, last: date | None) -> tuple[datetime | None, datetime | None]:
    """The start of the first day, and the end of the last, in the user's time zone."""
    start = datetime(first.year, first.month, first.day, tzinfo=settings.zone) if first else None
    after = last + timedelta(days=1) if last else None
    return start, datetime(after.year, after.month, after.day, tzinfo=settings.zone) if after else None


#: The order in which an earning is told; scripts rely on the names.
EARNING_COLUMNS = (
    "connection", "resource", "external_id", "kind", "status", "settlement", "net", "gross", "fee", "tax",
    "sale_amount", "currency", "reporting_net", "reporting_currency", "earned_at", "validated_at", "paid_at", "program",
    "product", "sub_id", "order_ref", "gateway_ref", "origin_ref", "subscription_ref", "payout_ref", "recurrence",
    "recurrence_reason", "recurrence_interval", "estimated", "counted", "stream", "provider_status",
)  # fmt: skip


def _earning(row: Any, currency: str) -> dict[str, Any]:
    known = dict(row._mapping)
    known["connection"] = row.slug
    known["program"] = row.title or row.program
    known["product"] = row.product_title or row.product
    known["reporting_currency"] = currency
    known["recurrence_reason"] = reason(row.recurrence_by, row.recurrence_reason)
    known["counted"] = True if row.verdict == reads.COUNTED else row.verdict
    return {name: known[name] for name in EARNING_COLUMNS}


# --- payouts ---


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutLine:
    """A payout and what is inside. `difference` is its amount less the earnings inside; None where that is unknown."""

    connection: str
    resource: str
    external_id: str
    status: str
    amount: Decimal
    currency: str
    fee: Decimal | None
    created_at: datetime
    arrives_at: datetime | None
    estimated: bool
    earnings: int | None
    earnings_net: Decimal | None
    difference: Decimal | None
    provider_status: str | None


def payouts(
    engine: Engine,
    settings: Settings,
    *,
    first: date | None = None,
    last: date | None = None,
    connection_id: int | None = None,
) -> list[PayoutLine]:
    """Payouts made from day `first` to `last` inclusive, the newest first."""
    start, end = moments(settings, first, last)
    with reading(engine) as conn:
        rows = reads.payouts(conn, start=start, end=end, connection_id=connection_id)
    same = ("resource", "external_id", "status", "amount", "currency", "fee", "created_at", "arrives_at", "estimated")
    return [
        PayoutLine(
            connection=row.slug,
            **{name: getattr(row, name) for name in same},
            earnings=row.inside,
            earnings_net=row.inside_net,
            difference=None if row.inside_net is None else row.amount - row.inside_net,
            provider_status=row.provider_status,
        )
        for row in rows
    ]


# --- monthly recurring revenue ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurring:
    """MRR at the end of a month (or now, while it runs), and its movements in that month."""

    month: int
    policy_name: str
    policy: Policy
    time_zone: str
    as_of: Mapping[str, datetime | None]
    until: datetime  # exclusive
    balance: Mrr
    movements: Movements


@dataclass(frozen=True, slots=True)
class Subscribed:
    """Every subscription with its history, and the rates to convert them at."""

    contracts: Sequence[Contract]
    as_of: Mapping[str, datetime | None]
    rates: Rates

    def rate_to(self, currency: str) -> Rate:
        def rate(of: str, day: date) -> Decimal | None:
            found = self.rates.rate(of, currency, day)
            return found[0] if found else None

        return rate


def subscribed(engine: Engine) -> Subscribed:
    with reading(engine) as conn:
        return Subscribed(contracts(conn), reads.freshness(conn), load_rates(conn))


def recurring(
    engine: Engine,
    settings: Settings,
    now: datetime,
    *,
    month: int | None = None,
    currency: str | None = None,
    policy: str = "default",
) -> Recurring:
    """MRR from the subscriptions of all connections. Raises UsageError for a month to come or an unknown policy."""
    return recurring_of(subscribed(engine), settings, now, month=month, currency=currency, policy=policy)


def recurring_of(
    held: Subscribed,
    settings: Settings,
    now: datetime,
    *,
    month: int | None = None,
    currency: str | None = None,
    policy: str = "default",
) -> Recurring:
    """As `recurring`, of subscriptions that were read before."""
    zone = settings.zone
    month = month or month_of(now, zone)
    if policy not in PRESETS:
        raise UsageError(f"no policy is called {policy[:40]!r}.", hint=f"Choose one of {', '.join(PRESETS)}.")
    since = start_of(month, zone).astimezone(zone)
    until = min(start_of(following(month), zone), now).astimezone(zone)
    if since >= until:
        raise UsageError(f"{label(month)} has not begun.", hint=f"Choose a month up to {label(month_of(now, zone))}.")
    currency = currency or settings.currency
    rate, rules = held.rate_to(currency), PRESETS[policy]
    return Recurring(
        month=month,
        policy_name=policy,
        policy=rules,
        time_zone=settings.time_zone,
        as_of=held.as_of,
        until=until,
        # The last moment of the period, so that the balance is the one that the movements end with.
        balance=mrr_at(held.contracts, (until - _MOMENT), currency=currency, rate=rate, policy=rules),
        movements=movements(held.contracts, since, until, currency=currency, rate=rate, policy=rules),
    )


def contracts(conn: Connection) -> list[Contract]:
    """Every subscription with its history.

    The same subscription told by a cash connection and by an enrichment connection counts once: the cash one is taken.
    """
    in_cash = reads.subscribed_in_cash(conn)
    changes: dict[int, list[Any]] = {}
    for change in reads.subscription_changes(conn):
        changes.setdefault(change.subscription_id, []).append(change)
    return [
        Contract(
            f"{row.connection_id}:{row.external_id}",
            row.payer and f"{row.connection_id}:{row.payer}",  # providers' ids may be plain numbers
            tuple(_states(row, changes.get(row.id, ()))),
        )
        for row in reads.subscriptions(conn, _STATE)
        if row.role == Role.CASH or row.external_id not in in_cash
    ]


def _states(row: Any, changes: Iterable[Any]) -> list[State]:
    """The newest state first. Each change (newest first) tells since when, and what the state before was like."""
    known = {name: getattr(row, name) for name in _STATE}
    known |= {"status": SubscriptionStatus(row.status), "interval": _interval(row.interval)}
    states = []
    for change in changes:
        states.append(State(since=change.changed_at, **known))
        known |= {name: _known(name, value) for name, value in change.old.items() if name in _STATE}
    states.append(State(since=row.started_at, **known))
    return states


#: What a change keeps of a subscription, and the types that its words are turned back into.
_STATE: dict[str, Any] = {
    "status": SubscriptionStatus,
    "currency": str,
    "amount": Decimal,
    "interval": str,
    "discount_forever": Decimal,
    "discount_limited": Decimal,
    "discount_ends_at": datetime | None,
    "metered": bool,
    "trial_end_at": datetime | None,
    "current_period_end": datetime | None,
    "cancel_requested_at": datetime | None,
    "cancel_at_period_end": bool,
    "ended_at": datetime | None,
}


def _known(name: str, kept: Any) -> Any:
    value = msgspec.convert(kept, _STATE[name])
    return _interval(value) if name == "interval" else value


@lru_cache(maxsize=256)
def _interval(text: str) -> Interval:
    return Interval.parse(text)
