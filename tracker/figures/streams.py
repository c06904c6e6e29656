"""How income streams stand: their months, their share of everything, how much of each recurs, and where they are going.

Input are sums that the database made (`store.reads_streams.months`); amounts are exact, in one currency.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from tracker.figures.comparison import Change, change, portion
from tracker.months import following
from tracker.records import Recurrence

#: Full months that are held against as many before them.
TREND = 3
_ZERO = Decimal(0)


class MonthSlice(NamedTuple):
    """Counted earnings of a stream that share month and recurrence. `amount` is None where no rate is known."""

    stream: int
    month: int  # 202606
    recurrence: str
    earnings: int
    amount: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamMonth:
    """recurring + other = total."""

    month: int
    recurring: Decimal = _ZERO
    other: Decimal = _ZERO
    total: Decimal = _ZERO
    earnings: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A stream over some months. Shares are of one; None where no share makes sense.

    `trend` holds the last three full months against the three before; its parts are None unless the ledger knows the
    stream for as long.
    """

    months: Sequence[StreamMonth]
    recurring: Decimal
    total: Decimal
    earnings: int
    share: Decimal | None  # of all streams together
    recurring_share: Decimal | None
    trend: Change


def standings(
    slices: Iterable[MonthSlice], months: Sequence[int], streams: Iterable[int], begins: Mapping[int, int]
) -> dict[int, Standing]:
    """Every stream over `months`, of which the last is running. `begins`: the first month known of a stream.

    What has no rate is in no amount.
    """
    parts: dict[tuple[int, int], list[MonthSlice]] = {}
    for part in slices:
        parts.setdefault((part.stream, part.month), []).append(part)
    lines = {stream: [_month(month, parts.get((stream, month), ())) for month in months] for stream in streams}
    whole = sum((line.total for own in lines.values() for line in own), _ZERO)
    return {stream: _standing(own, whole, begins.get(stream)) for stream, own in lines.items()}


def _month(month: int, parts: Iterable[MonthSlice]) -> StreamMonth:
    known = [(part, part.amount) for part in parts if part.amount is not None]
    recurring = sum((amount for part, amount in known if part.recurrence == Recurrence.RECURRING), _ZERO)
    total = sum((amount for _, amount in known), _ZERO)
    return StreamMonth(
        month=month,
        recurring=recurring,
        other=total - recurring,
        total=total,
        earnings=sum(part.earnings for part, _ in known),
    )


def _standing(months: Sequence[StreamMonth], whole: Decimal, begins: int | None) -> Standing:
    recurring, total = (sum((getattr(line, name) for line in months), _ZERO) for name in ("recurring", "total"))
    return Standing(
        months=months,
        recurring=recurring,
        total=total,
        earnings=sum(line.earnings for line in months),
        share=_share(total, whole),
        recurring_share=_share(recurring, total),
        trend=_trend(months, begins),
    )


def _share(part: Decimal, whole: Decimal) -> Decimal | None:
    """None where taken back outweighs earned: a part of more than everything, or of less than nothing, is no share."""
    found = portion(part, whole)
    return found if found is not None and 0 <= found <= 1 else None


def _trend(months: Sequence[StreamMonth], begins: int | None) -> Change:
    full = months[:-1]
    if len(full) < 2 * TREND or begins is None or begins > following(months[-1].month, -2 * TREND):
        return Change()
    last, before = (sum((line.total for line in part), _ZERO) for part in (full[-TREND:], full[-2 * TREND : -TREND]))
    return change(last, before)
