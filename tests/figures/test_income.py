"""Income by month and group: the split adds up, and nothing that is not counted is in the total."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tracker.figures.income import AMOUNTS, OTHER_COLUMNS, IncomeRow, Slice, summed, tabulate
from tracker.records import Recurrence


def part(amount: str | None, verdict: str = "counted", recurrence: str | None = "one_off", **more: object) -> Slice:
    values: dict[str, object] = {"month": 202606, "group": "Blog", "earnings": 1, "currency": "EUR", **more}
    value = None if amount is None else Decimal(amount)
    return Slice(verdict=verdict, recurrence=recurrence, amount=value, net=value or Decimal(7), **values)  # type: ignore[arg-type]


def test_the_four_recurrences_make_the_total() -> None:
    (row,) = tabulate([part("1", recurrence=word) for word in Recurrence] + [part("0.5", recurrence="recurring")]).rows
    assert (row.recurring, row.one_off, row.instalment, row.variable) == tuple(map(Decimal, ("1.5", "1", "1", "1")))
    assert (row.total, row.earnings) == (Decimal("4.5"), 5)


def test_what_is_not_counted_stands_in_a_column_of_its_own() -> None:
    (row,) = tabulate([part("3", word, None, earnings=4) for word in OTHER_COLUMNS]).rows
    assert [getattr(row, name) for name in OTHER_COLUMNS] == [3, 3, 3, 3]
    assert (row.total, row.earnings) == (Decimal(0), 0)


def test_rows_are_in_order_of_month_and_name_with_the_unnamed_last() -> None:
    slices = [part("1", group=group) for group in (None, "shop", "Blog")]
    found = tabulate([*slices, part("1", month=202605)])
    assert [(row.month, row.group) for row in found.rows] == [
        (202605, "Blog"), (202606, "Blog"), (202606, "shop"), (202606, None),
    ]  # fmt: skip


def test_a_currency_without_a_rate_is_listed_and_in_no_amount() -> None:
    found = tabulate([part(None, currency="ARS", earnings=2), part("5"), part(None, "pending", None, currency="BTN")])
    assert [(one.currency, one.net, one.earnings) for one in found.unconverted] == [
        ("ARS", Decimal(7), 2),
        ("BTN", Decimal(0), 0),
    ]
    assert [row.total for row in found.rows] == [5]


def test_nothing_sums_to_nothing() -> None:
    assert summed([]) == IncomeRow(month=0)


SLICES = st.lists(
    st.builds(
        Slice,
        month=st.sampled_from([202512, 202601]),
        group=st.sampled_from(["a", "B", None]),
        verdict=st.sampled_from(["counted", *OTHER_COLUMNS]),
        recurrence=st.sampled_from([word.value for word in Recurrence]),
        earnings=st.integers(1, 9),
        amount=st.decimals(-1000, 1000, places=6),
        currency=st.just("EUR"),
        net=st.just(Decimal(0)),
    )
)


@given(SLICES)
def test_no_amount_is_lost_or_counted_twice(slices: list[Slice]) -> None:
    rows = tabulate(slices).rows
    for row in rows:
        assert row.recurring + row.one_off + row.instalment + row.variable == row.total
    whole = summed(rows)
    assert whole.total + sum(getattr(whole, name) for name in OTHER_COLUMNS) == sum(
        (one.amount or Decimal(0) for one in slices), Decimal(0)
    )
    assert whole.earnings == sum(one.earnings for one in slices if one.verdict == "counted")
    assert set(AMOUNTS) <= set(IncomeRow.__slots__)
