"""A month against others: sums agree, and what is not known is neither nothing nor endlessly more."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.figures.test_income import SLICES, part
from tracker.figures.comparison import Change, Months, by_stream, change, one, portion, together
from tracker.figures.income import Slice, summed, tabulate

KNOWN = (True, True)


def months(now: list[Slice], last_month: list[Slice], last_year: list[Slice]) -> Months:
    return Months(*(tabulate(slices).rows for slices in (now, last_month, last_year)))


def test_a_change_is_told_as_an_amount_and_as_a_share_of_what_was_before() -> None:
    assert change(Decimal(120), Decimal(100)) == Change(Decimal(100), Decimal(20), Decimal("0.2"))
    assert change(Decimal(50), Decimal(100)).share == Decimal("-0.5")


def test_what_was_before_may_be_unknown_nothing_or_less_than_nothing() -> None:
    assert change(Decimal(5), None) == Change(None, None, None)
    assert change(Decimal(5), Decimal(0)) == Change(Decimal(0), Decimal(5), None)
    assert change(Decimal(5), Decimal(-10)) == Change(Decimal(-10), Decimal(15), None)
    assert portion(Decimal(5), Decimal(0)) is None


def test_a_stream_that_earned_only_before_is_told_and_one_that_only_waits_is_not() -> None:
    found = by_stream(months([part("3", "pending", None, group="New")], [part("7", group="Old")], []), {"Old": KNOWN})
    assert [line.stream for line in found] == ["Old"]
    assert found[0].total.last_month == Change(Decimal(7), Decimal(-7), Decimal(-1))


def test_streams_come_by_size_and_then_by_name() -> None:
    slices = [part(amount, group=group) for amount, group in (("1", "b"), ("5", "c"), ("1", "A"))]
    assert [line.stream for line in by_stream(months(slices, [], []), {})] == ["c", "A", "b"]


def test_what_is_unknown_of_one_stream_is_unknown_of_it_together_with_others() -> None:
    lines = by_stream(
        months([part("1", group="a"), part("2", group="b")], [part("4", group="a")], []),
        {"a": KNOWN, "b": (False, True)},
    )
    both = together(lines)
    assert both.total.amount == 3
    assert both.total.last_month == Change()
    assert both.total.last_year.before == 0


@given(SLICES, SLICES, SLICES, st.booleans())
def test_streams_add_up_to_the_month_and_to_its_comparison(
    now: list[Slice], last_month: list[Slice], last_year: list[Slice], reaches: bool
) -> None:
    all_months = months(now, last_month, last_year)
    known = (reaches, True)
    lines = by_stream(all_months, dict.fromkeys(["a", "B", None], known))
    total, added = one(all_months, known), together(lines)
    assert added == total or not lines
    assert sum((line.total.amount for line in lines), Decimal(0)) == summed(all_months.month).total
    for line in [*lines, total]:
        assert line.recurring.amount + line.other.amount == line.total.amount
        assert line.one_off + line.instalment + line.variable == line.other.amount
        assert line.total.last_year.before is not None
        assert (line.total.last_month.before is not None) == reaches
