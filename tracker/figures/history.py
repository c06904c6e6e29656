"""MRR at the end of each of several months, from one pass over the subscriptions.

`tracker.figures.mrr` says what one month was and how it moved; here every customer is walked once, however many months
are asked for, and `tracker.figures.cohorts` reads the same walks.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate

from tracker.figures.contracts import Change, Contract, Policy, after, changes_of, customer_of, from_picos, merged
from tracker.figures.mrr import Rate

_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Edges:
    """Months that follow each other, the first moment of each, and the end (exclusive) of the last.

    `span` 0 is the time before the first month, n the nth month, and one more the time after the last.
    """

    months: tuple[int, ...]  # 202605, 202606
    moments: tuple[datetime, ...]  # one more than months, aware

    def __post_init__(self) -> None:
        if len(self.moments) != len(self.months) + 1:
            raise ValueError("months have a start each, and an end")

    def span(self, at: datetime) -> int:
        return bisect_right(self.moments, at)

    def last_days(self) -> list[date]:
        """The last day of each month, whose rate a balance is converted at."""
        return [(moment - _MOMENT).date() for moment in self.moments[1:]]


@dataclass(frozen=True, slots=True)
class Walk:
    """One customer: what changed in which span, when they began or stopped to pay, and with what they first paid."""

    changes: tuple[tuple[int, str, int], ...]  # span, currency, picos
    flips: tuple[tuple[int, int], ...]  # span, 1 or -1
    first: int | None  # the span of the first payment
    arrived_with: Mapping[str, int]  # picos a month by currency


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthEnd:
    """The balance just before the end of a month, in the reporting currency."""

    month: int
    total: Decimal
    customers: int  # whoever pays, in any currency


def walks(contracts: Iterable[Contract], edges: Edges, policy: Policy) -> list[Walk]:
    """Every customer's way through the months. Raises DataError for a billing interval that is none."""
    found: dict[tuple[bool, str], list[Change]] = {}
    for contract in contracts:
        found.setdefault(customer_of(contract), []).extend(changes_of(contract, policy))
    return [_walk(own, edges, policy) for own in found.values() if own]


def _walk(changes: list[Change], edges: Edges, policy: Policy) -> Walk:
    changes.sort(key=lambda change: change.at)
    spans = [edges.span(change.at) for change in changes]
    flips: list[tuple[int, int]] = []
    book: dict[str, int] = {}
    for number, (change, span) in enumerate(zip(changes, spans, strict=True)):
        book = after(book, [change])
        if number + 1 == len(spans) or spans[number + 1] != span:  # the last of its span
            pays = sum(step for _, step in flips) > 0
            if bool(book) != pays:
                flips.append((span, 1 if book else -1))
    first, arrived_with = _arrival(changes, edges, policy)
    return Walk(
        tuple((span, change.currency, change.delta) for change, span in zip(changes, spans, strict=True)),
        tuple(flips),
        first,
        arrived_with,
    )


def _arrival(changes: Sequence[Change], edges: Edges, policy: Policy) -> tuple[int | None, Mapping[str, int]]:
    for at, group in merged(changes, policy.merge_within):  # nothing was paid before it, or it would have returned
        if book := after({}, group):
            return edges.span(at), book
    return None, {}


def month_ends(
    walked: Iterable[Walk], edges: Edges, *, currency: str, rate: Rate
) -> tuple[list[MonthEnd], tuple[str, ...]]:
    """The balance at the end of each month, and the currencies that lack a rate on one of the days.

    Such a currency is left out of every month, because half a currency would look like churn. Totals are converted by
    currency, not by customer as `mrr_at` does, so with foreign currencies the two may differ in the twelfth decimal.
    """
    size = len(edges.months) + 2
    flows: dict[str, list[int]] = {}
    paying = [0] * size
    for walk in walked:
        for span, money, delta in walk.changes:
            flows.setdefault(money, [0] * size)[span] += delta
        for span, step in walk.flips:
            paying[span] += step
    balances = {money: list(accumulate(flow)) for money, flow in flows.items()}
    customers = list(accumulate(paying))
    totals, left_out = [0] * len(edges.months), set()
    for money, balance in balances.items():
        worth = _converted(money, balance[1 : len(totals) + 1], edges.last_days(), currency, rate)
        if worth is None:
            left_out.add(money)
        else:
            totals = [total + more for total, more in zip(totals, worth, strict=True)]
    ends = [
        MonthEnd(month=month, total=from_picos(total), customers=count)
        for month, total, count in zip(edges.months, totals, customers[1:], strict=False)
    ]
    return ends, tuple(sorted(left_out))


def _converted(money: str, balance: Sequence[int], days: Sequence[date], currency: str, rate: Rate) -> list[int] | None:
    if money == currency:
        return list(balance)
    worth = []
    for value, day in zip(balance, days, strict=True):
        known = rate(money, day) if value else Decimal(0)
        if known is None:
            return None
        worth.append(round(value * Fraction(known)))
    return worth
