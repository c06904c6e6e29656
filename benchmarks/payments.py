"""How a group of payments is drawn: the days on which providers really charge, retries, skipped periods, references."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from tracker.records import Recurrence

FIRST_DAY, AS_OF = date(2023, 7, 1), date(2026, 6, 30)
RECURRING, ONE_OFF, INSTALMENT = Recurrence.RECURRING, Recurrence.ONE_OFF, Recurrence.INSTALMENT


@dataclass
class Draft:
    """A group while it is drawn. Amounts in cents before fees."""

    rng: random.Random
    #: Draws what all payers of one product share, such as its price: each gets it in the same state.
    offer: random.Random
    rows: list[tuple[date, int, Recurrence, str | None, str | None]] = field(default_factory=list)
    full_prices: list[int] = field(default_factory=list)
    endings: list[int] = field(default_factory=list)
    payer_known: bool = True
    #: How the provider fills order references: not at all, one per payment, or one per contract.
    refs: str = "none"
    contracts: int = 0

    def contract(self) -> str:
        self.contracts += 1
        return f"{self.rng.randrange(10**9):09d}"

    def add(
        self, day: date, cents: int, label: Recurrence, contract: str | None = None, product: str | None = None
    ) -> None:
        if not FIRST_DAY <= day <= AS_OF:
            return
        reference = None if self.refs == "none" else contract if contract else f"{self.rng.randrange(10**9):09d}"
        self.rows.append((day, cents, label, reference, product))


def settled(rng: random.Random, due: date, weekends: bool, late_share: float) -> date:
    """The day a payment due on `due` shows up: weekends moved to Monday, a day early by time zone, some days late."""
    day = due
    if weekends and day.weekday() >= 5:
        day += timedelta(days=7 - day.weekday())
    chance = rng.random()
    if chance < late_share:
        day += timedelta(days=rng.choices([1, 2, 3, rng.randint(4, 7)], [45, 25, 20, 10])[0])
    elif chance > 0.985:
        day -= timedelta(days=1)
    return day


def dunned(rng: random.Random, due: date) -> date | None:
    """A failed payment is retried after 3, 5, 7, 14 or 21 days, or given up for this period."""
    return None if rng.random() < 0.15 else due + timedelta(days=rng.choice([1, 3, 3, 5, 7, 8, 14, 15, 21]))


def first_day(rng: random.Random, latest: date = AS_OF) -> date:
    """Any day of the three years; also before them, as accounts are older than their history."""
    earliest = FIRST_DAY - timedelta(days=200)
    return earliest + timedelta(days=rng.randrange((latest - earliest).days))


def lifetime(rng: random.Random, monthly_churn: float) -> int:
    """Payments until a payer leaves."""
    payments = 1
    while rng.random() > monthly_churn and payments < 60:
        payments += 1
    return payments


@dataclass
class Plan:
    """How a subscription behaves."""

    months: int = 0
    days: int = 0
    late_share: float = 0.04
    dunning: float = 0.01
    skip: float = 0.005
    payments: int | None = None
    churn: float = 0.04

    def due(self, start: date, number: int) -> date:
        if self.days:
            return start + timedelta(days=self.days * number)
        return start + relativedelta(months=self.months * number)


def subscribe(
    draft: Draft, plan: Plan, start: date, price: Callable[[int], int], contract: str | None = None
) -> list[date]:
    """Add the payments of one subscription and return their days."""
    rng = draft.rng
    if draft.refs == "contract" and contract is None:
        contract = draft.contract()
    weekends = rng.random() < 0.35
    moves = rng.random() < 0.2  # the provider bills from the last real payment on
    payments = plan.payments or lifetime(rng, plan.churn * max(1, plan.months) if plan.months else plan.churn / 3)
    anchor, shift, days = start, 0, []
    for number in range(payments):
        due = plan.due(anchor, number - shift)
        if due > AS_OF:
            break
        if number and rng.random() < plan.skip:
            continue
        day: date | None = settled(
            rng, due, weekends and not 0 < plan.days < 14, plan.late_share / (1 + (plan.days == 7))
        )
        if number and rng.random() < plan.dunning and plan.days != 7:
            day = dunned(rng, due)
            if day and moves:
                anchor, shift = day, number
        if day:
            draft.add(day, price(number), RECURRING, contract if draft.refs == "contract" else None)
            days.append(day)
    return days
