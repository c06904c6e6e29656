"""Subscriptions for pages and programs: what they bring in a month, how that went, who stayed, and a list of them.

MRR and its movements are those of `tracker mrr`. Everything on a page comes from one reading of the subscriptions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from tracker import reports
from tracker.errors import UsageError
from tracker.figures.cohorts import Cohort, cohorts
from tracker.figures.history import Edges, MonthEnd, month_ends, walks
from tracker.months import following, span, start_of
from tracker.records import SubscriptionStatus
from tracker.reports import Recurring
from tracker.settings import Settings
from tracker.store import reads_subscriptions as reads
from tracker.store.database import reading

SHOWN, SHOWN_MAX, TEXT_MAX = 50, 200, 200
MONTHS, MONTHS_MAX = 12, 24
_RUNNING = (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE, SubscriptionStatus.UNPAID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Subscriptions at the end of a month, or now while it runs, and the months before it.

    `history` and `cohorts` have the month as their last, and begin where there is a customer. What lacks a rate is in
    `unconverted` and in no amount.
    """

    recurring: Recurring
    history: Sequence[MonthEnd]
    cohorts: Sequence[Cohort]
    unconverted: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which subscriptions; None: any. `doubles`: also those that another connection counts."""

    status: str | None = None
    connection: str | None = None
    product: str | None = None
    interval: str | None = None
    text: str | None = None
    doubles: bool = False

    @classmethod
    def read(cls, given: Mapping[str, str]) -> "Wanted":
        """From the parameters of an address: status, connection, product, interval, q, doubles. Raises UsageError."""
        names = {
            "status": "status",
            "connection": "connection",
            "product": "product",
            "interval": "interval",
            "q": "text",
        }
        words = {field: given.get(name, "").strip()[:TEXT_MAX] or None for name, field in names.items()}
        if not all(word is None or word.isprintable() for word in words.values()):
            raise UsageError("that is not a text to look for.")
        if words["status"] is not None and words["status"] not in list(SubscriptionStatus):
            known = ", ".join(SubscriptionStatus)
            raise UsageError(f"no subscription is {words['status']!r}.", hint=f"Choose one of {known}.")
        return cls(**words, doubles=given.get("doubles") == "yes")

    def params(self) -> dict[str, str]:
        """The parameters that say the same."""
        told = {
            "status": self.status, "connection": self.connection, "product": self.product, "interval": self.interval,
            "q": self.text, "doubles": "yes" if self.doubles else None,
        }  # fmt: skip
        return {name: word for name, word in told.items() if word}


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRow:
    """A subscription. `amount` is per interval, without discounts. One of `next_at` and `ends_at` at most is known."""

    id: int
    connection: str
    title: str
    external_id: str
    status: str
    provider_status: str | None
    product: str | None
    amount: Decimal
    currency: str
    interval: str
    started_at: datetime
    next_at: datetime | None  # when the next payment is due
    ends_at: datetime | None  # when it ended, or will end
    payer: str | None  # opaque
    metered: bool
    counted: bool  # False: another connection tells the same one, and counts it


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionPage:
    """`newer` and `older` are places to go on from; None where the list ends."""

    rows: Sequence[SubscriptionRow]
    newer: str | None
    older: str | None


@dataclass(frozen=True, slots=True)
class Choices:
    """What the list can be narrowed to."""

    connections: Sequence[tuple[str, str]]  # slug and title
    products: Sequence[str]
    intervals: Sequence[str]


def book(
    engine: Engine,
    settings: Settings,
    now: datetime,
    *,
    month: int | None = None,
    currency: str | None = None,
    policy: str = "default",
    months: int = MONTHS,
) -> Book:
    """The month and the `months` up to it, at most MONTHS_MAX.

    Raises UsageError for a month to come or an unknown policy.
    """
    held = reports.subscribed(engine)
    found = reports.recurring_of(held, settings, now, month=month, currency=currency, policy=policy)
    wanted = span(following(found.month, 1 - max(1, min(months, MONTHS_MAX))), found.month)
    zone = settings.zone
    edges = Edges(tuple(wanted), (*(start_of(one, zone).astimezone(zone) for one in wanted), found.until))
    walked = walks(held.contracts, edges, found.policy)
    into = found.balance.currency
    rate = held.rate_to(into)
    history, left_out = month_ends(walked, edges, currency=into, rate=rate)
    came, missing = cohorts(walked, edges, currency=into, rate=rate)
    empty = next((at for at, end in enumerate(history) if end.customers or came[at].customers), 0)
    everything = {*left_out, *missing, *found.balance.unconverted, *found.movements.unconverted}
    return Book(recurring=found, history=history[empty:], cohorts=came[empty:], unconverted=sorted(everything))


def page(
    engine: Engine, wanted: Wanted | None = None, *, place: str | None = None, limit: int = SHOWN
) -> SubscriptionPage:
    """Subscriptions, those begun last first. Raises UsageError for a place that is none."""
    wanted = wanted or Wanted()
    with reading(engine) as conn:
        found = reads.page(
            conn,
            status=wanted.status,
            connection=wanted.connection,
            product=wanted.product,
            interval=wanted.interval,
            text=wanted.text,
            doubles=wanted.doubles,
            place=place,
            limit=max(1, min(limit, SHOWN_MAX)),
        )
    return SubscriptionPage(rows=[_row(row) for row in found.rows], newer=found.newer, older=found.older)


def _row(row: Any) -> SubscriptionRow:
    next_at, ends_at = _ahead(row)
    same = (
        "id", "external_id", "status", "provider_status", "amount", "currency", "interval", "started_at", "payer",
        "metered",
    )  # fmt: skip
    return SubscriptionRow(
        **{name: getattr(row, name) for name in same},
        connection=row.slug,
        title=row.connection_title,
        product=row.product_title,
        next_at=next_at,
        ends_at=ends_at,
        counted=bool(row.counted),
    )


def _ahead(row: Any) -> tuple[datetime | None, datetime | None]:
    """When the next payment is due, or when it ends."""
    if row.ended_at is not None:
        return None, row.ended_at
    if row.cancel_at_period_end:
        return None, row.current_period_end
    if row.status == SubscriptionStatus.TRIALING:
        return row.trial_end_at or row.current_period_end, None
    return (row.current_period_end if row.status in _RUNNING else None), None


def owners(engine: Engine) -> list[str]:
    """Slugs of connections with subscriptions."""
    with reading(engine) as conn:
        return reads.owners(conn)


def choices(engine: Engine) -> Choices:
    with reading(engine) as conn:
        connections, products, intervals = reads.choices(conn)
    return Choices([(row.slug, row.title) for row in connections], products, intervals)
