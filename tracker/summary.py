"""The summary of a month: one dataclass that feeds the letter, the page and the command line.

Income is that of `tracker income` on the basis earned. What is open (pending, payouts under way, connections,
quarantine) is told as of now, because the ledger keeps no picture of the past; the letter says so.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine

from tracker import reports
from tracker.connections import why_paused
from tracker.errors import UsageError
from tracker.figures.comparison import Months, StreamIncome, by_stream, one
from tracker.figures.income import Cost, Unconverted, summed
from tracker.months import following, label, month_of, start_of
from tracker.reports import Recurring
from tracker.settings import Settings
from tracker.store import reads_letter as reads
from tracker.store.database import reading
from tracker.store.reads import Basis

#: The largest losses that are told one by one.
LARGEST = 5
#: A connection is stale when it was not read for three intervals, and for a day at least: machines sleep at night.
STALE_INTERVALS, STALE_MIN = 3, timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Sum:
    """Earnings and their amount in the summary's currency; what has no rate is in `unconverted` and only there."""

    earnings: int
    amount: Decimal
    unconverted: tuple[Unconverted, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What waits for the validation of one connection's provider."""

    connection: str
    title: str
    sum: Sum
    oldest: int  # the month of the oldest of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One earning that was declined or reversed, with its full amount in its own currency."""

    status: str
    connection: str
    title: str
    program: str | None
    product: str | None
    said: str | None  # the provider's own word, where it is another than the status
    amount: Decimal
    currency: str
    earned_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """What was declined or reversed from `since` to `until`, and the refunds inside the month's own total."""

    since: datetime
    until: datetime
    since_letter: bool  # since the previous letter, and not since the start of the month
    declined: Sum
    reversed: Sum
    largest: tuple[Loss, ...]
    corrections: Mapping[str, Sum]  # refund, chargeback, adjustment; signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Payouts:
    """Payouts of one connection in one currency, which is never converted: it is what reaches the bank."""

    connection: str
    title: str
    currency: str
    payouts: int
    amount: Decimal
    last: datetime  # when the last of them arrives, or was made where that is not known
    estimated: bool  # put together from the earnings that name them


class Trouble(StrEnum):
    """Why the figures of a connection may be old."""

    PAUSED = "paused"
    FAILING = "failing"
    STALE = "stale"
    EARLY = "early"  # all well, but last read before the month was over


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubledConnection:
    connection: str
    title: str
    trouble: Trouble
    as_of: datetime | None  # None: never read to the end
    why: str
    next: str  # the command to try


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    connection: str
    title: str
    resource: str
    rows: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """A month that this one is compared with. `missing` are streams of which the ledger knows nothing then."""

    month: int
    known: bool  # the ledger reaches back to it
    missing: tuple[str, ...]
    unconverted: tuple[Unconverted, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlySummary:
    """What came in in a month, and what there is to know around it. Amounts are in `currency` unless they name one."""

    month: int  # 202606
    over: bool  # False: the month still runs, and `until` is now
    until: datetime
    made_at: datetime
    currency: str
    basis: str
    time_zone: str
    locale: str
    streams: tuple[StreamIncome, ...]
    total: StreamIncome
    last_month: Before
    last_year: Before
    unconverted: tuple[Unconverted, ...]  # of the month's income
    waiting: Decimal  # earned in the month, not approved yet, in no total
    estimated: Decimal  # earned in the month, only implied by the provider, in no total
    costs: tuple[Cost, ...]  # owed to others for the month, such as the affiliates of an own programme, in no total
    empty: bool  # the ledger has no earning at all
    begins: int | None  # the first month of which it knows any income
    pending: tuple[Pending, ...]
    losses: Losses
    received: tuple[Payouts, ...]
    under_way: tuple[Payouts, ...]
    failed: tuple[Payouts, ...]
    mrr: Recurring | None  # None without subscriptions
    troubled: tuple[TroubledConnection, ...]
    quarantine: tuple[Quarantined, ...]
    as_of: Mapping[str, datetime | None]

    @property
    def nothing(self) -> bool:
        """Whether no income at all is known of the month."""
        return not self.total.earnings and not self.unconverted


def summarise(
    engine: Engine, settings: Settings, month: int, now: datetime, *, since: datetime | None = None
) -> MonthlySummary:
    """The summary of a month, as the ledger is `now`.

    `since` is the moment of the previous letter: losses are told from then on. Without it, they are told from the start
    of the month to now, or to the end of a month for which a newer letter was due already. Raises UsageError for a
    month that has not begun.
    """
    zone = settings.zone
    start, end = start_of(month, zone), start_of(following(month), zone)
    if now <= start:
        raise UsageError(f"{label(month)} has not begun.", hint=f"Choose a month up to {label(month_of(now, zone))}.")
    until = min(end, now)
    newest = month >= following(month_of(now, zone), -1)
    span = (since or start, now if since or newest else end)
    then, last_month, last_year = (
        reports.income(engine, settings, first=wanted, last=wanted)
        for wanted in (month, following(month, -1), following(month, -12))
    )
    months, beside = Months(then.rows, last_month.rows, last_year.rows), summed(then.rows)
    mrr = reports.recurring(engine, settings, now, month=month)
    with reading(engine) as conn:
        firsts = reads.first_months(conn)
        begins = min(firsts.values(), default=None)
        shared = reads.titles_shared(conn)
        rows = reads.all_connections(conn)
        troubled = [found for row in rows if (found := _trouble(row, until if end <= now else None, now, shared))]
        known: Known = {stream: reached(first, month) for stream, first in firsts.items()}
        streams = by_stream(months, known)
        return MonthlySummary(
            month=month,
            over=end <= now,
            until=until,
            made_at=now,
            currency=settings.currency,
            basis=Basis.EARNED.value,
            time_zone=settings.time_zone,
            locale=settings.locale,
            streams=tuple(streams),
            total=one(months, reached(begins, month)),
            last_month=_before(last_month, streams, known, 0),
            last_year=_before(last_year, streams, known, 1),
            unconverted=_left_out(then),
            waiting=beside.pending,
            estimated=beside.estimated,
            costs=tuple(then.costs),
            empty=then.empty,
            begins=begins,
            pending=tuple(_pending(reads.pending(conn), shared)),
            losses=_losses(conn, month, span, since is not None, shared),
            received=_payouts(reads.payouts_received(conn, start, until), shared),
            under_way=_payouts(reads.payouts_under_way(conn, now), shared),
            failed=_payouts(reads.payouts_failed(conn, start, until), shared),
            mrr=mrr if mrr.balance.contracts or mrr.movements.customers else None,
            troubled=tuple(troubled),
            quarantine=tuple(_quarantined(row, shared) for row in reads.quarantined(conn)),
            as_of={row.slug: row.as_of for row in rows},
        )


def of_letter(engine: Engine, settings: Settings, month: int, now: datetime) -> MonthlySummary:
    """The summary as the letter about a month would be made now: losses are told since the letter before."""
    with reading(engine) as conn:
        since = reads.previous_letter(conn, label(month))
    return summarise(engine, settings, month, now, since=since)


def attention(conn: Connection, now: datetime) -> tuple[tuple[TroubledConnection, ...], tuple[Quarantined, ...]]:
    """Connections whose figures may be old, and rows that nobody understood, as of now."""
    shared = reads.titles_shared(conn)
    troubled = (_trouble(row, None, now, shared) for row in reads.all_connections(conn))
    return tuple(filter(None, troubled)), tuple(_quarantined(row, shared) for row in reads.quarantined(conn))


#: Of each stream: whether the ledger reaches back to the month before, and to the one a year before.
Known = Mapping[str | None, tuple[bool, bool]]


def reached(first: int | None, month: int) -> tuple[bool, bool]:
    """Whether a ledger that begins in month `first` reaches the month before `month`, and the one a year before it."""
    if first is None:
        return False, False
    return first <= following(month, -1), first <= following(month, -12)


def _before(report: reports.Income, streams: Iterable[StreamIncome], known: Known, which: int) -> Before:
    reaches = any(one[which] for one in known.values())
    missing = (line.stream or "" for line in streams if not known.get(line.stream, (False, False))[which])
    return Before(
        month=report.first,
        known=reaches,
        missing=tuple(sorted(missing)) if reaches else (),
        unconverted=_left_out(report),
    )


def _left_out(report: reports.Income) -> tuple[Unconverted, ...]:
    return tuple(one for one in report.unconverted if one.earnings)


def _title(row: Any, shared: set[str]) -> str:
    return f"{row.title} ({row.slug})" if row.title in shared else str(row.title)


def sum_of(rows: Iterable[Any]) -> Sum:
    rows = list(rows)
    converted = [row for row in rows if row.currency is None]
    return Sum(
        sum(int(row.earnings) for row in converted),
        sum((row.reporting_net for row in converted), Decimal(0)),
        tuple(Unconverted(row.currency, row.net, int(row.earnings)) for row in rows if row.currency is not None),
    )


def _pending(rows: Iterable[Any], shared: set[str]) -> list[Pending]:
    """The largest first."""
    groups: dict[str, list[Any]] = {}
    for row in rows:
        groups.setdefault(row.slug, []).append(row)
    found = [
        Pending(
            connection=slug,
            title=_title(own[0], shared),
            sum=sum_of(own),
            oldest=min(int(row.oldest) for row in own),
        )
        for slug, own in groups.items()
    ]
    return sorted(found, key=lambda one: -one.sum.amount)


def _losses(conn: Any, month: int, span: tuple[datetime, datetime], since_letter: bool, shared: set[str]) -> Losses:
    lost = reads.lost(conn, *span)
    corrections = reads.corrections(conn, month)
    return Losses(
        since=span[0],
        until=span[1],
        since_letter=since_letter,
        declined=sum_of(row for row in lost if row.status == "declined"),
        reversed=sum_of(row for row in lost if row.status == "reversed"),
        largest=tuple(
            Loss(
                status=row.status,
                connection=row.slug,
                title=_title(row, shared),
                program=row.program,
                product=row.product,
                said=_said(row.provider_status, row.status),
                amount=row.net,
                currency=row.currency,
                earned_at=row.earned_at,
            )
            for row in reads.largest_lost(conn, *span, LARGEST)
        ),
        corrections={
            kind: sum_of(row for row in corrections if row.kind == kind)
            for kind in dict.fromkeys(row.kind for row in corrections)
        },
    )


def _said(word: str | None, status: str) -> str | None:
    return None if word is None or word.casefold() == status else word[:20]


def _payouts(rows: Iterable[Any], shared: set[str]) -> tuple[Payouts, ...]:
    return tuple(
        Payouts(
            connection=row.slug,
            title=_title(row, shared),
            currency=row.currency,
            payouts=int(row.payouts),
            amount=row.amount,
            last=row.last,
            estimated=bool(row.estimated),
        )
        for row in rows
    )


def _quarantined(row: Any, shared: set[str]) -> Quarantined:
    return Quarantined(
        connection=row.slug,
        title=_title(row, shared),
        resource=row.resource,
        rows=int(row.rows),
        error=row.error[:200],
    )


def _trouble(row: Any, month_end: datetime | None, now: datetime, shared: set[str]) -> TroubledConnection | None:
    """What is wrong with a connection; `month_end` is None while the month runs."""
    if row.next_sync_at is None and row.paused_at is None:  # fed by files: nothing reads it by itself
        return None
    late = now - max(timedelta(seconds=row.interval_s * STALE_INTERVALS), STALE_MIN)
    if row.paused_at is not None:
        told = Trouble.PAUSED, (row.paused_reason or "")[:300], why_paused(row).rpartition(": ")[2]
    elif row.last_error is not None:
        told = Trouble.FAILING, row.last_error[:300], f"tracker connection test {row.slug}"
    elif (row.as_of or row.created_at) < late:
        told = Trouble.STALE, "", f"tracker sync {row.slug}"
    elif month_end is not None and (row.as_of is None or row.as_of < month_end):
        told = Trouble.EARLY, "", f"tracker sync {row.slug}"
    else:
        return None
    return TroubledConnection(
        connection=row.slug,
        title=_title(row, shared),
        trouble=told[0],
        as_of=row.as_of,
        why=told[1],
        next=told[2],
    )
