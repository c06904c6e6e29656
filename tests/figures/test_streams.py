"""How streams stand: shares only where they make sense, trends only where the ledger reaches."""

from decimal import Decimal

import pytest

from tests.figures.histories import these
from tracker.figures.comparison import Change
from tracker.figures.streams import MonthSlice, Standing, standings
from tracker.months import span

MONTHS = span(202507, 202606)


def stand(*slices: MonthSlice, begins: int | None = 202401, stream: int = 1) -> Standing:
    streams = {stream, *(part.stream for part in slices)}
    return standings(slices, MONTHS, streams, {} if begins is None else {stream: begins})[stream]


def part(month: int, amount: str | None, recurrence: str = "one_off", stream: int = 1) -> MonthSlice:
    return MonthSlice(stream, month, recurrence, 2, None if amount is None else Decimal(amount))


def test_a_stream_has_all_months_and_its_share_of_everything() -> None:
    found = stand(
        part(202507, "10"), part(202606, "20", "recurring"), part(202606, "5", "variable"), part(202512, "65", stream=2)
    )
    assert [line.month for line in found.months] == MONTHS
    last = found.months[-1]
    assert these(last.recurring, last.other, last.total, last.earnings) == (20, 5, 25, 4)
    assert these(found.total, found.recurring, found.earnings) == (35, 20, 6)
    assert found.share == Decimal("0.35")
    assert found.recurring_share is not None
    assert found.recurring_share.quantize(Decimal("0.0001")) == Decimal("0.5714")


def test_what_was_taken_back_makes_no_share() -> None:
    found = stand(part(202606, "-20"), part(202606, "50", stream=2))
    assert (found.share, found.recurring_share) == (None, None)
    assert stand().share is None
    more = stand(part(202606, "30", "recurring"), part(202606, "-10", "one_off"))
    assert (more.share, more.recurring_share) == (Decimal(1), None)


def test_what_has_no_rate_is_in_no_amount() -> None:
    assert stand(part(202606, None), part(202606, "3")).total == 3


@pytest.mark.parametrize(
    ("begins", "expected"),
    [
        (202512, Change(Decimal(60), Decimal(-15), Decimal("-0.25"))),
        (202601, Change()),
        (None, Change()),
    ],
)
def test_the_trend_holds_three_full_months_against_three(begins: int | None, expected: Change) -> None:
    before = (part(month, "20") for month in (202512, 202601, 202602))
    last = (part(month, "15") for month in (202603, 202604, 202605))
    assert stand(*before, *last, part(202606, "999"), part(202511, "999"), begins=begins).trend == expected


def test_a_stream_that_had_nothing_before_has_no_share_of_change() -> None:
    assert stand(part(202605, "30")).trend == Change(Decimal(0), Decimal(30), None)
