"""Months of MRR and cohorts: what is left of those who came in a month."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given

from tests.figures.histories import AT_CANCELLATION, CANCELED, TRIALING, contract, day, ended, no_rate, state
from tests.figures.test_mrr_properties import CONTRACTS, EDGES, POLICIES, wobbling
from tracker.figures.cohorts import Cohort, cohorts
from tracker.figures.contracts import DEFAULT, Contract, Policy
from tracker.figures.history import Edges, month_ends, walks
from tracker.figures.mrr import Rate, movements, mrr_at, rounded

GOLDEN = Path(__file__).parents[1] / "golden" / "cohorts.txt"
HALF_A_YEAR = Edges(
    (202601, 202602, 202603, 202604, 202605, 202606), tuple(day(2026, month, 1) for month in range(1, 8))
)
_MOMENT = timedelta(microseconds=1)


def seen(contracts: list[Contract], policy: Policy = DEFAULT, rate: Rate = no_rate) -> list[Cohort]:
    return cohorts(walks(contracts, HALF_A_YEAR, policy), HALF_A_YEAR, currency="EUR", rate=rate)[0]


def a_year_of_a_newsletter() -> list[Contract]:
    """January: one stays, one upgrades, one pays yearly, one leaves in March and returns in May, one leaves at once."""
    stays = state("10", since=day(2026, 1, 5))
    grows = state("10", since=day(2026, 1, 9))
    leaves = state("20", since=day(2026, 1, 20))
    brief = state("10", since=day(2026, 1, 25))
    later = state("8", since=day(2026, 3, 2), status=TRIALING, trial_end_at=day(2026, 4, 1))
    return [
        contract("stays", stays),
        contract("grows", grows, state("30", since=day(2026, 2, 14))),
        contract("yearly", state("120", "year", since=day(2026, 1, 31, 23, 59))),
        contract("leaves", leaves, ended(leaves, day(2026, 3, 20)), payer="back"),
        contract("returns", state("15", since=day(2026, 5, 2)), payer="back"),
        contract("brief", brief, ended(brief, day(2026, 1, 30))),
        contract("old", state("50", since=day(2025, 6, 1))),
        contract("midnight", state("5", since=day(2026, 2, 1))),
        contract("trial", later, state("8", since=day(2026, 4, 1, 6), trial_end_at=day(2026, 4, 1))),
        contract("after", state("99", since=day(2026, 7, 1))),
    ]


def test_a_year_of_a_newsletter_reads_as_worked_out_by_hand(accept: bool) -> None:
    lines = ["cohort   who      MRR   at the end of each month since: who, logo, net revenue"]
    for row in seen(a_year_of_a_newsletter()):
        kept = "  ".join(f"{one.customers} {_share(one.logo)} {_share(one.revenue)}" for one in row.kept)
        lines.append(f"{row.month}  {row.customers:4}  {rounded(row.mrr, 'EUR'):7}   {kept}")
    text = "\n".join(lines) + "\n"
    if accept:
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def _share(share: Decimal | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def test_who_leaves_at_midnight_was_there_at_the_end_of_the_month() -> None:
    one = state("10", since=day(2026, 1, 1))
    kept = seen([contract("one", one, ended(one, day(2026, 2, 1)))])[0].kept
    assert [found.customers for found in kept] == [1, 0, 0, 0, 0, 0]


def test_a_cancellation_counts_when_the_policy_says() -> None:
    one = state("10", since=day(2026, 1, 1))
    leaving = state(
        "10", since=day(2026, 2, 10), cancel_at_period_end=True, current_period_end=day(2026, 3, 5),
        cancel_requested_at=day(2026, 2, 10),
    )  # fmt: skip
    gone = state("10", since=day(2026, 3, 5), status=CANCELED, ended_at=day(2026, 3, 5))
    for policy, expected in ((DEFAULT, [1, 1, 0, 0, 0, 0]), (AT_CANCELLATION, [1, 0, 0, 0, 0, 0])):
        kept = seen([contract("one", one, leaving, gone)], policy)[0].kept
        assert [found.customers for found in kept] == expected


def test_a_swapped_plan_is_one_arrival_with_the_plan_that_stayed() -> None:
    one = state("10", since=day(2026, 1, 1))
    swapped = [
        contract("monthly", one, ended(one, day(2026, 1, 1, 0, 20)), payer="p"),
        contract("better", state("25", since=day(2026, 1, 1, 0, 30)), payer="p"),
    ]
    found = seen(swapped)[0]
    assert (found.customers, found.mrr, found.kept[0].revenue) == (1, Decimal(25), Decimal(1))


def test_a_rate_that_moved_neither_keeps_nor_loses_revenue() -> None:
    def falling(currency: str, on: date) -> Decimal | None:
        return Decimal(1) - Decimal(on.month) / 100

    found = seen([contract("one", state("10", since=day(2026, 1, 1), currency="USD"))], rate=falling)[0]
    assert found.mrr == Decimal("9.4")
    assert {one.revenue for one in found.kept} == {Decimal(1)}


def test_customers_without_a_rate_are_customers_whose_money_is_left_out() -> None:
    walked = walks([contract("one", state("10", currency="KES"))], HALF_A_YEAR, DEFAULT)
    found, left_out = cohorts(walked, HALF_A_YEAR, currency="EUR", rate=no_rate)
    assert left_out == ("KES",)
    assert (found[0].customers, found[0].kept[5].logo, found[0].kept[5].revenue) == (1, Decimal(1), None)
    ends, left_out = month_ends(walked, HALF_A_YEAR, currency="EUR", rate=no_rate)
    assert left_out == ("KES",)
    assert [(end.total, end.customers) for end in ends] == [(Decimal(0), 1)] * 6


def test_months_need_an_end() -> None:
    with pytest.raises(ValueError, match="a start each, and an end"):
        Edges((202601,), (day(2026, 1, 1),))


@given(CONTRACTS, EDGES, POLICIES)
def test_the_history_ends_each_month_where_its_movements_end(
    contracts: list[Contract], edges: list[datetime], policy: Policy
) -> None:
    months = Edges((202601, 202602), tuple(edges))
    ends, left_out = month_ends(walks(contracts, months, policy), months, currency="EUR", rate=wobbling)
    for end, since, until in zip(ends, edges, edges[1:], strict=False):
        at = mrr_at(contracts, until - _MOMENT, currency="EUR", rate=wobbling, policy=policy)
        assert end.customers == at.customers
        if not left_out:
            assert abs(end.total - at.total) < Decimal("1e-10")
            flow = movements(contracts, since, until, currency="EUR", rate=wobbling, policy=policy)
            assert flow.unconverted or abs(end.total - flow.end) < Decimal("1e-10")


@given(CONTRACTS, EDGES, POLICIES)
def test_a_cohort_is_who_came_in_the_month(contracts: list[Contract], edges: list[datetime], policy: Policy) -> None:
    months = Edges((202601, 202602), tuple(edges))
    walked = walks(contracts, months, policy)
    found, _ = cohorts(walked, months, currency="EUR", rate=wobbling)
    assert [row.customers for row in found] == [sum(walk.first == span for walk in walked) for span in (1, 2)]
    for row in found:
        for kept in row.kept:
            assert 0 <= kept.customers <= row.customers
            assert (kept.logo is None) == (row.customers == 0)
