"""One month's income against months before it, per stream and in total. Unknown is never taken for nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal

from tracker.figures.income import IncomeRow, summed

_WIDE = Context(prec=40)
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Change:
    """How an amount differs from an earlier one. None is unknown; no share is told of what was not above zero."""

    before: Decimal | None = None
    amount: Decimal | None = None
    share: Decimal | None = None  # of `before`: 0.1 is a tenth more


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """An amount of the month beside the month before and the same month a year earlier."""

    amount: Decimal
    last_month: Change
    last_year: Change

    def against(self, last_year: bool) -> Change:
        return self.last_year if last_year else self.last_month


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamIncome:
    """A stream's month, or that of several. recurring + other = total; other = one_off + instalment + variable."""

    stream: str | None  # None: the sum of several
    recurring: Figure
    other: Figure
    total: Figure
    one_off: Decimal
    instalment: Decimal
    variable: Decimal
    earnings: int


def change(now: Decimal, before: Decimal | None) -> Change:
    if before is None:
        return Change()
    return Change(before, now - before, portion(now - before, before))


def portion(part: Decimal, whole: Decimal | None) -> Decimal | None:
    """part ÷ whole; None unless there is a whole above zero, because no other makes sense to a reader."""
    return _WIDE.divide(part, whole) if whole is not None and whole > 0 else None


@dataclass(frozen=True, slots=True)
class Months:
    """The rows by stream of one month and of the two that it is compared with."""

    month: Sequence[IncomeRow]
    last_month: Sequence[IncomeRow]
    last_year: Sequence[IncomeRow]

    def only(self, stream: str | None) -> "Months":
        groups = (self.month, self.last_month, self.last_year)
        return Months(*([row for row in rows if row.group == stream] for rows in groups))

    def told(self) -> bool:
        """Whether there was any income in one of the months; what is only pending is told elsewhere."""
        return any(row.earnings for rows in (self.month, self.last_month, self.last_year) for row in rows)


def by_stream(months: Months, known: Mapping[str | None, tuple[bool, bool]]) -> list[StreamIncome]:
    """Every stream with income in one of the months, the largest first.

    `known` says of a stream whether the ledger reaches back to the month before, and to the same month a year earlier.
    """
    streams = {row.group for rows in (months.month, months.last_month, months.last_year) for row in rows}
    lines = [
        one(own, known.get(stream, (False, False)), stream) for stream in streams if (own := months.only(stream)).told()
    ]
    return sorted(lines, key=lambda line: (-line.total.amount, (line.stream or "").casefold(), line.stream or ""))


def one(months: Months, known: tuple[bool, bool], stream: str | None = None) -> StreamIncome:
    """All rows of the months added up. An earlier month that the ledger does not reach is unknown."""
    now = summed(months.month)
    before = [
        summed(rows) if reaches else None
        for rows, reaches in zip((months.last_month, months.last_year), known, strict=True)
    ]

    def figure(name: str) -> Figure:
        amount = _amount(now, name)
        last_month, last_year = (change(amount, None if row is None else _amount(row, name)) for row in before)
        return Figure(amount=amount, last_month=last_month, last_year=last_year)

    return StreamIncome(
        stream=stream,
        recurring=figure("recurring"),
        other=figure("other"),
        total=figure("total"),
        one_off=now.one_off,
        instalment=now.instalment,
        variable=now.variable,
        earnings=now.earnings,
    )


def _amount(row: IncomeRow, name: str) -> Decimal:
    found: Decimal = row.total - row.recurring if name == "other" else getattr(row, name)
    return found


def together(lines: Iterable[StreamIncome]) -> StreamIncome:
    """Several streams as one. Where an earlier month is unknown of one of them, it is unknown of all together."""
    lines = list(lines)

    def figure(name: str) -> Figure:
        figures: list[Figure] = [getattr(line, name) for line in lines]
        amount = sum((one.amount for one in figures), _ZERO)
        return Figure(
            amount=amount,
            last_month=change(amount, _sum([one.last_month.before for one in figures])),
            last_year=change(amount, _sum([one.last_year.before for one in figures])),
        )

    return StreamIncome(
        stream=None,
        recurring=figure("recurring"),
        other=figure("other"),
        total=figure("total"),
        one_off=sum((line.one_off for line in lines), _ZERO),
        instalment=sum((line.instalment for line in lines), _ZERO),
        variable=sum((line.variable for line in lines), _ZERO),
        earnings=sum(line.earnings for line in lines),
    )


def _sum(amounts: Sequence[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, _ZERO) if len(known) == len(amounts) else None
