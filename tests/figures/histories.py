"""Subscription histories for tests, in a line each."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from tracker.figures.contracts import DEFAULT, Cancellation, Contract, IntervalRule, Policy, State
from tracker.figures.mrr import Flow, Movements, Mrr, movements, mrr_at, rounded
from tracker.records import Interval, SubscriptionStatus

ACTIVE, CANCELED, TRIALING = SubscriptionStatus.ACTIVE, SubscriptionStatus.CANCELED, SubscriptionStatus.TRIALING
SIMPLE = Policy(interval=IntervalRule.SIMPLE)
AT_CANCELLATION = Policy(cancellation=Cancellation.AT_CANCELLATION)


def day(year: int, month: int, number: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, number, hour, minute, tzinfo=UTC)


JANUARY, JUNE, JULY, AUGUST = (day(2026, month, 1) for month in (1, 6, 7, 8))


def no_rate(currency: str, on: date) -> Decimal | None:
    return None


def state(amount: str, every: str = "month", since: datetime = JANUARY, **more: object) -> State:
    known: dict[str, object] = {"status": ACTIVE, "currency": "EUR", **more}
    return State(since=since, amount=Decimal(amount), interval=Interval.parse(every), **known)  # type: ignore[arg-type]


def ended(was: State, at: datetime) -> State:
    return replace(was, since=at, status=CANCELED, ended_at=at)


def contract(name: str, *states: State, payer: str | None = "") -> Contract:
    return Contract(name, name if payer == "" else payer, states)


def balance(contracts: Iterable[Contract], at: datetime = JUNE, policy: Policy = DEFAULT) -> Mrr:
    return mrr_at(contracts, at, currency="EUR", rate=no_rate, policy=policy)


def worth(one: State, at: datetime = JUNE, policy: Policy = DEFAULT) -> Decimal:
    return balance([contract("s", one)], at, policy).total


def period(
    contracts: Iterable[Contract], since: datetime = JUNE, until: datetime = JULY, policy: Policy = DEFAULT
) -> Movements:
    return movements(contracts, since, until, currency="EUR", rate=no_rate, policy=policy)


def cents(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else rounded(amount, "EUR")


def these(*figures: object) -> tuple[object, ...]:
    """Figures side by side; Decimals equal whole numbers, which the type checker would not have."""
    return figures


def moved(flow: Flow) -> dict[str, Decimal]:
    """The movements of a flow that are not zero, in cents."""
    names = ("new", "expansion", "contraction", "churn", "reactivation", "fx")
    return {name: rounded(getattr(flow, name), "EUR") for name in names if getattr(flow, name)}
