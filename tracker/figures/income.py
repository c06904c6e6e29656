"""Income by month and group: recurring, one-off and the rest make the total; what is not counted stands beside it.

Input are sums that the database made (`store.reads.income`); output are rows of exact amounts in one currency.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

_ZERO = Decimal(0)


class Slice(NamedTuple):
    """Earnings that share month, group, verdict and recurrence. `amount` is None where no rate is known."""

    month: int  # 202606
    group: str | None  # None: the provider does not say
    verdict: str  # "counted", the column that they stand in, or "cost"
    recurrence: str | None  # of what is counted
    earnings: int
    amount: Decimal | None  # in the report's currency
    currency: str
    net: Decimal  # in their own currency


@dataclass(slots=True, kw_only=True)
class IncomeRow:
    """A month of one group, or the sum of several. recurring + one_off + instalment + variable = total."""

    month: int
    group: str | None = None
    recurring: Decimal = _ZERO
    one_off: Decimal = _ZERO
    instalment: Decimal = _ZERO
    variable: Decimal = _ZERO
    total: Decimal = _ZERO
    pending: Decimal = _ZERO
    declined: Decimal = _ZERO
    reversed: Decimal = _ZERO
    estimated: Decimal = _ZERO
    earnings: int = 0  # in the total


OTHER_COLUMNS = ("pending", "declined", "reversed", "estimated")
AMOUNTS = ("recurring", "one_off", "instalment", "variable", "total", *OTHER_COLUMNS)


@dataclass(slots=True)
class Unconverted:
    """What is in none of the amounts, because no rate is known: net and number of what the total lacks."""

    currency: str
    net: Decimal = _ZERO
    earnings: int = 0


@dataclass(slots=True)
class Cost:
    """What the user owes others for a month, or has paid them: below zero, and in no income."""

    month: int
    currency: str  # the report's, or their own where no rate is known
    amount: Decimal = _ZERO
    earnings: int = 0


@dataclass(slots=True)
class Tabulated:
    rows: list[IncomeRow] = field(default_factory=list)
    unconverted: list[Unconverted] = field(default_factory=list)


def tabulate(slices: Iterable[Slice]) -> Tabulated:
    """One row for every month and group that has anything, in that order; groups without a name come last.

    A currency without a rate is listed even when only pending or other uncounted earnings are in it; its net is then 0.
    """
    rows: dict[tuple[int, str | None], IncomeRow] = {}
    lost: dict[str, Unconverted] = {}
    for part in slices:
        counted = part.verdict == "counted"
        if part.amount is None:
            listed = lost.setdefault(part.currency, Unconverted(part.currency))
            if counted:
                listed.net += part.net
                listed.earnings += part.earnings
            continue
        row = rows.setdefault((part.month, part.group), IncomeRow(month=part.month, group=part.group))
        columns = (part.recurrence or "", "total") if counted else (part.verdict,)
        for name in columns:
            setattr(row, name, getattr(row, name) + part.amount)
        row.earnings += part.earnings if counted else 0
    ordered = sorted(rows.values(), key=lambda row: (row.month, row.group is None, (row.group or "").casefold()))
    return Tabulated(ordered, [lost[currency] for currency in sorted(lost)])


def owed(costs: Iterable[Slice], currency: str) -> list[Cost]:
    """Costs by month and currency, in that order; `currency` is that of the slices' amounts."""
    found: dict[tuple[int, str], Cost] = {}
    for part in costs:
        known = part.currency if part.amount is None else currency
        cost = found.setdefault((part.month, known), Cost(part.month, known))
        cost.amount += part.net if part.amount is None else part.amount
        cost.earnings += part.earnings
    return [found[key] for key in sorted(found)]


def summed(rows: Iterable[IncomeRow]) -> IncomeRow:
    """All rows added up; the month is that of the first (0 without rows)."""
    rows = list(rows)
    total = IncomeRow(month=rows[0].month if rows else 0)
    for name in (*AMOUNTS, "earnings"):
        setattr(total, name, sum((getattr(row, name) for row in rows), getattr(total, name)))
    return total
