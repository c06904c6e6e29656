"""Cohorts: customers by the month of their first payment, and how many of them, and of their money, are still there.

| | |
| --- | --- |
| cohort | customers who paid for the first time in that month, whether or not they stayed to its end |
| logo retention | those of them who pay at the end of a later month ÷ all of them |
| net revenue retention | their MRR at the end of that month ÷ the MRR that each of them arrived with |

Upgrades and returns count, so revenue retention may pass 1. All amounts are converted at one rate, that of the last
day, because a rate that moved retained nobody. Tools differ: some measure from the end of the first month, which hides
whoever left within it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate

from tracker.figures.comparison import portion
from tracker.figures.contracts import from_picos
from tracker.figures.history import Edges, Walk
from tracker.figures.mrr import Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What was left of a cohort at the end of a month. Shares of one; None where there was nothing to keep."""

    customers: int
    mrr: Decimal
    logo: Decimal | None
    revenue: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """`kept` begins with the end of the cohort's own month, and has an entry for each month since."""

    month: int  # 202606
    customers: int
    mrr: Decimal  # that they arrived with
    kept: tuple[Kept, ...]


def cohorts(walked: Iterable[Walk], edges: Edges, *, currency: str, rate: Rate) -> tuple[list[Cohort], tuple[str, ...]]:
    """A cohort for each of the months, and the currencies that are in no amount because they lack a rate."""
    count = len(edges.months)
    rates = _Rates(currency, rate, edges)
    sizes, bases = [0] * (count + 1), [0] * (count + 1)
    paying = [[0] * (count + 2) for _ in range(count + 1)]
    worth = [[0] * (count + 2) for _ in range(count + 1)]
    for walk in walked:
        own = walk.first
        if own is None or not 0 < own <= count:
            continue
        sizes[own] += 1
        bases[own] += sum(rates.of(money, value) for money, value in walk.arrived_with.items())
        for span, step in walk.flips:
            paying[own][span] += step
        for span, money, delta in walk.changes:
            worth[own][span] += rates.of(money, delta)
    found = []
    for own, month in enumerate(edges.months, 1):
        ends = zip(list(accumulate(paying[own]))[own:-1], list(accumulate(worth[own]))[own:-1], strict=True)
        base = from_picos(bases[own])
        kept = tuple(_kept(left, from_picos(value), sizes[own], base) for left, value in ends)
        found.append(Cohort(month=month, customers=sizes[own], mrr=base, kept=kept))
    return found, tuple(sorted(rates.missing))


def _kept(left: int, mrr: Decimal, customers: int, base: Decimal) -> Kept:
    return Kept(customers=left, mrr=mrr, logo=portion(Decimal(left), Decimal(customers)), revenue=portion(mrr, base))


class _Rates:
    def __init__(self, currency: str, rate: Rate, edges: Edges) -> None:
        self._known: dict[str, Fraction | None] = {currency: Fraction(1)}
        self._rate, self._day = rate, edges.last_days()[-1]
        self.missing: set[str] = set()

    def of(self, money: str, picos: int) -> int:
        if money not in self._known:
            found = self._rate(money, self._day)
            self._known[money] = None if found is None else Fraction(found)
        known = self._known[money]
        if known is None:
            self.missing.add(money)
            return 0
        return round(picos * known)
