"""One subscription: its history, what it is worth a month, and which of the tools' rules decide that.

A contract's monthly value is worked out as a fraction and rounded once, half-even, to a millionth of a millionth (a
"pico" below); everything after that is integer addition.

The definitions follow the glossaries of the billing tools, which disagree; each point of disagreement is a named field
of `Policy`, and `PRESETS` has the choices of some tools: docs.stripe.com/billing/subscriptions/analytics/glossary,
help.chartmogul.com (articles 203299912, 4416682609426, 201244842, 207340419), paddle.com/help/profitwell-metrics and
TryGhost/Ghost, `getMRR` in its members repository.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Context, Decimal
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from math import floor
from types import MappingProxyType

from tracker.errors import DataError
from tracker.money import decimals
from tracker.records import Interval, Subscription, SubscriptionStatus

PICO = 10**12
WIDE = Context(prec=60)


class IntervalRule(StrEnum):
    CALENDAR = "calendar"  # a month has 365/12 days and 52/12 weeks
    SIMPLE = "simple"  # a month has 30 days and 4 weeks


class Cancellation(StrEnum):
    """When a cancelled subscription stops to count."""

    PERIOD_END = "period_end"
    AT_CANCELLATION = "at_cancellation"


class Discounts(StrEnum):
    """Which discounts lower MRR."""

    ALL = "all"
    FOREVER = "forever"
    NONE = "none"


class Delinquent(StrEnum):
    """How far behind a payer may be and still count."""

    NONE = "none"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"


class Rounding(StrEnum):
    """What is done to the monthly value of each subscription before summing."""

    EXACT = "exact"
    MINOR_UNIT = "minor_unit"  # half-up to the currency's minor unit
    FLOOR = "floor"  # down to the currency's minor unit


class Brief(StrEnum):
    """What becomes of customers who both arrive and leave within the period."""

    COUNT = "count"
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What counts. Trials, paused subscriptions, metered usage and tax never do, whatever the policy."""

    interval: IntervalRule = IntervalRule.CALENDAR
    cancellation: Cancellation = Cancellation.PERIOD_END
    discounts: Discounts = Discounts.FOREVER
    delinquent: Delinquent = Delinquent.PAST_DUE
    rounding: Rounding = Rounding.EXACT
    brief: Brief = Brief.COUNT
    #: Changes of one customer this close together are one movement: a plan swapped by ending one subscription and
    #: starting the next is an upgrade, not churn and a return.
    merge_within: timedelta = timedelta(hours=1)


DEFAULT = Policy()
PRESETS: Mapping[str, Policy] = MappingProxyType(
    {
        "default": DEFAULT,
        "stripe": Policy(cancellation=Cancellation.AT_CANCELLATION),
        "chartmogul": Policy(discounts=Discounts.ALL, rounding=Rounding.MINOR_UNIT),
        "profitwell": Policy(discounts=Discounts.ALL, brief=Brief.DROP),
        "ghost": Policy(
            interval=IntervalRule.SIMPLE,
            cancellation=Cancellation.AT_CANCELLATION,
            delinquent=Delinquent.UNPAID,
            rounding=Rounding.FLOOR,
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a subscription was from `since` on, until its next state. Fields as in `records.Subscription`.

    `amount` and the discounts are per interval, for the licensed items alone. `tax_rate` is that of a tax inside them:
    0.19 for a price that includes 19 % VAT, 0 for a price without tax.
    """

    since: datetime
    status: SubscriptionStatus
    currency: str
    amount: Decimal
    interval: Interval
    discount_forever: Decimal = Decimal(0)
    discount_limited: Decimal = Decimal(0)
    discount_ends_at: datetime | None = None
    tax_rate: Decimal = Decimal(0)
    metered: bool = False
    trial_end_at: datetime | None = None
    current_period_end: datetime | None = None
    cancel_requested_at: datetime | None = None
    cancel_at_period_end: bool = False
    ended_at: datetime | None = None

    @classmethod
    def of(cls, subscription: Subscription, since: datetime | None = None) -> "State":
        """The state of a record; without `since` it is taken to have been so from the subscription's start."""
        shared = {one.name: getattr(subscription, one.name) for one in fields(cls) if hasattr(subscription, one.name)}
        return cls(since=since or subscription.started_at, **shared)


@dataclass(frozen=True, slots=True)
class Contract:
    """One subscription and all that is known of its history. Without a payer it is a customer of its own."""

    subscription: str
    payer: str | None
    states: tuple[State, ...]


_OVER = frozenset({SubscriptionStatus.CANCELED, SubscriptionStatus.EXPIRED})
#: Days and weeks of a month; months and years need no convention.
_PER_MONTH = {
    IntervalRule.CALENDAR: {"day": Fraction(365, 12), "week": Fraction(52, 12)},
    IntervalRule.SIMPLE: {"day": Fraction(30), "week": Fraction(4)},
}


def _intervals_per_month(interval: Interval, rule: IntervalRule) -> Fraction:
    per_month = {"month": Fraction(1), "year": Fraction(1, 12), **_PER_MONTH[rule]}.get(interval.unit)
    if per_month is None or interval.count < 1:
        raise DataError(f"not a billing interval: {interval.count} {interval.unit[:12]!r}", field="interval")
    return per_month / interval.count


@lru_cache(maxsize=4096)
def _normalised(
    price: Decimal, tax_rate: Decimal, interval: Interval, currency: str, rule: IntervalRule, rounding: Rounding
) -> int:
    """Picos a month. Remembered, because a book of subscriptions has many contracts and few prices."""
    value = Fraction(price) / (1 + Fraction(tax_rate)) * _intervals_per_month(interval, rule)
    if rounding is not Rounding.EXACT:
        minor = 10 ** decimals(currency)
        half = Fraction(1, 2) if rounding is Rounding.MINOR_UNIT else Fraction(0)
        value = Fraction(floor(value * minor + half), minor)
    return round(value * PICO)


def _monthly(state: State, policy: Policy, *, limited: bool) -> int:
    """Picos a month; `limited` says whether a temporary discount runs."""
    price = state.amount
    if policy.discounts is not Discounts.NONE:
        price = WIDE.subtract(price, state.discount_forever)
    if policy.discounts is Discounts.ALL and limited:
        price = WIDE.subtract(price, state.discount_limited)
    price = max(Decimal(0), price)
    return _normalised(price, state.tax_rate, state.interval, state.currency, policy.interval, policy.rounding)


def _counts(status: SubscriptionStatus, policy: Policy) -> bool:
    if status is SubscriptionStatus.PAST_DUE:
        return policy.delinquent is not Delinquent.NONE
    if status is SubscriptionStatus.UNPAID:
        return policy.delinquent is Delinquent.UNPAID
    # One that is over counted until it ended, which may be all that we ever saw of it.
    return status is SubscriptionStatus.ACTIVE or status in _OVER


def _begin(state: State, before: State | None) -> datetime:
    """A trial's end is known to the second; that it was converted is seen later, by the next sync."""
    trial, trialed = state.trial_end_at, before is not None and before.status is SubscriptionStatus.TRIALING
    return trial if trial and (trialed or trial > state.since) else state.since


def _stop(state: State, after: State | None, policy: Policy) -> datetime | None:
    """When the state says that the subscription stops to count. May lie before the state was first seen."""
    stops = [state.ended_at] if state.ended_at else []
    if policy.cancellation is Cancellation.AT_CANCELLATION:
        if state.cancel_requested_at:
            stops.append(state.cancel_requested_at)
        elif state.cancel_at_period_end:
            stops.append(state.since)
    elif state.cancel_at_period_end and (due := state.current_period_end):
        renewed = after is not None and after.since > due and after.status not in _OVER
        stops += [] if renewed else [due]
    if state.status in _OVER and not stops:
        stops.append(state.since)
    return min(stops, default=None)


Step = tuple[datetime, str, int]  # from then on, in this currency, picos a month


def steps(contract: Contract, policy: Policy) -> list[Step]:
    """The value of one contract over time, in order of time."""
    states = sorted(contract.states, key=lambda state: state.since)
    steps: list[Step] = []
    for state, before, after in zip(states, [None, *states], [*states[1:], None], strict=False):
        begin, stop = _begin(state, before), _stop(state, after, policy)
        # What a state knows about the time before it was seen (it ended, its trial ended) overrules the states before.
        known_from = min(begin, state.since, stop or begin)
        while steps and steps[-1][0] >= known_from:
            steps.pop()
        money = state.currency
        if not _counts(state.status, policy) or (stop and stop <= begin):
            steps.append((known_from, money, 0))
            continue
        if known_from < begin:
            steps.append((known_from, money, 0))
        expiry = state.discount_ends_at
        steps.append((begin, money, _monthly(state, policy, limited=expiry is None or begin < expiry)))
        if expiry and begin < expiry and (stop is None or expiry < stop):
            steps.append((expiry, money, _monthly(state, policy, limited=False)))
        if stop:
            steps.append((stop, money, 0))
    return steps


def runs_metered(contract: Contract, at: datetime, policy: Policy) -> bool:
    if not any(state.metered for state in contract.states):
        return False
    state = max((s for s in contract.states if s.since <= at), key=lambda s: s.since, default=None)
    if state is None or not state.metered or not _counts(state.status, policy):
        return False
    stop = _stop(state, None, policy)
    return _begin(state, None) <= at and (stop is None or at < stop)


@dataclass(frozen=True, slots=True)
class Change:
    """From `at` on, a contract or customer is worth `delta` picos a month more."""

    at: datetime
    currency: str
    delta: int


def customer_of(contract: Contract) -> tuple[bool, str]:
    """Who pays: contracts of one payer are one customer, a contract without a payer is one of its own."""
    return (contract.payer is None, contract.subscription if contract.payer is None else contract.payer)


def changes_of(contract: Contract, policy: Policy) -> Iterator[Change]:
    """What `steps` says, as differences."""
    money, value = "", 0
    for at, new_money, new_value in steps(contract, policy):
        if new_money == money:
            if new_value != value:
                yield Change(at, money, new_value - value)
        else:
            if value:
                yield Change(at, money, -value)
            if new_value:
                yield Change(at, new_money, new_value)
        money, value = new_money, new_value


def merged(changes: Sequence[Change], window: timedelta) -> Iterator[tuple[datetime, list[Change]]]:
    """Changes in order of time, those within `window` after the first of a group together."""
    group: list[Change] = []
    for change in changes:
        if group and change.at - group[0].at > window:
            yield group[0].at, group
            group = []
        group.append(change)
    if group:
        yield group[0].at, group


def after(book: Mapping[str, int], group: Iterable[Change]) -> dict[str, int]:
    """What a customer is worth after some changes; a currency that comes to nothing is gone."""
    left = dict(book)
    for change in group:
        if value := left.get(change.currency, 0) + change.delta:
            left[change.currency] = value
        else:
            left.pop(change.currency, None)
    return left


def from_picos(picos: int) -> Decimal:
    return Decimal(picos).scaleb(-12, WIDE)
