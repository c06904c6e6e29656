"""Usual periods and free ranges of months."""

from typing import Any

import pytest

from tracker.errors import UsageError
from tracker.periods import MONTHS_MAX, Asked, Period, period


def of(running: Any = 202606, begins: Any = 202311, **given: str) -> Period:
    return period(Asked.read({"from": given.pop("since", ""), **given}), running, begins)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("", 202606, 202606),
        ("this-month", 202606, 202606),
        ("last-month", 202605, 202605),
        ("3-months", 202604, 202606),
        ("12-months", 202507, 202606),
        ("this-year", 202601, 202606),
        ("last-year", 202501, 202512),
        ("all", 202311, 202606),
    ],
)
def test_a_usual_period_is_told_from_the_running_month(name: str, first: int, last: int) -> None:
    assert of(period=name) == Period(first, last, runs=last == 202606)


def test_periods_go_over_the_turn_of_the_year() -> None:
    assert of(202601, period="last-month") == Period(202512, 202512, runs=False)
    assert of(202602, period="3-months") == Period(202512, 202602, runs=True)


def test_all_of_a_ledger_without_income_is_this_month() -> None:
    assert of(begins=None, period="all") == Period(202606, 202606, runs=True)


def test_a_free_range_may_leave_an_end_open() -> None:
    assert of(since="2025-02", to="2025-04") == Period(202502, 202504, runs=False)
    assert of(since="2026-05") == Period(202605, 202606, runs=True)
    assert of(to="2024-01") == Period(202311, 202401, runs=False)
    assert of(since="2026-05", to="2027-01") == Period(202605, 202606, runs=True)
    assert of(since="2025-02", period="all") == Period(202502, 202606, runs=True)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"since": "2026-07"}, "2026-07 has not begun"),
        ({"since": "2026-03", "to": "2026-02"}, "from is after to"),
        ({"since": "2026"}, "from: not a month"),
        ({"to": "2026-13"}, "to: not a month"),
        ({"to": "0000-01"}, "to: not a month"),
        ({"period": "forever"}, "no period is called 'forever'"),
        ({"since": "1990-01"}, f"more than {MONTHS_MAX} months"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        of(**given)


def test_a_long_ledger_is_shown_as_far_back_as_a_page_goes() -> None:
    assert len(of(begins=190001, period="all").months) == MONTHS_MAX


def test_what_was_asked_can_be_asked_again() -> None:
    for given in ({}, {"period": "last-year"}, {"from": "2025-02"}, {"from": "2025-02", "to": "2025-03"}):
        assert Asked.read(given).params() == given
