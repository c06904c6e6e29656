"""Months are cut in the user's time zone, in one place."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tracker import months

NAMES = ["UTC", "Europe/Berlin", "Pacific/Kiritimati", "Pacific/Niue", "America/St_Johns"]
ZONES = st.sampled_from(NAMES).map(ZoneInfo)
FIRST, LAST = datetime(1995, 1, 2), datetime(2099, 12, 30)  # noqa: DTZ001 - hypothesis adds the zone
MOMENTS = st.datetimes(FIRST, LAST, timezones=st.just(UTC))
MONTHS = st.builds(lambda year, month: year * 100 + month, st.integers(1995, 2099), st.integers(1, 12))


@given(moment=MOMENTS, zone=ZONES)
def test_a_moment_lies_in_the_month_and_day_of_the_calendar_there(moment: datetime, zone: ZoneInfo) -> None:
    there = moment.astimezone(zone)
    assert months.month_of(moment, zone) == there.year * 100 + there.month
    assert months.day_of(moment, zone) == there.date()


@given(month=MONTHS, zone=ZONES)
def test_a_month_begins_with_its_first_moment(month: int, zone: ZoneInfo) -> None:
    start = months.start_of(month, zone)
    assert months.month_of(start, zone) == month
    assert months.month_of(start - timedelta(microseconds=1), zone) == months.following(month, -1)


def test_a_sale_on_new_years_eve_belongs_to_the_year_of_the_user() -> None:
    moment = datetime(2025, 12, 31, 23, 30, tzinfo=UTC)
    assert months.month_of(moment, ZoneInfo("Europe/Berlin")) == 202601
    assert months.month_of(moment, ZoneInfo("America/New_York")) == 202512
    assert months.day_of(moment, ZoneInfo("Europe/Berlin")) == date(2026, 1, 1)


@given(month=MONTHS, by=st.integers(-500, 500))
def test_months_are_counted_forth_and_back(month: int, by: int) -> None:
    there = months.following(month, by)
    assert months.following(there, -by) == month
    assert 1 <= there % 100 <= 12
    between = months.span(min(month, there), max(month, there))
    assert (len(between), between[0], between[-1]) == (abs(by) + 1, min(month, there), max(month, there))
    assert between == sorted(set(between))


@given(month=MONTHS)
def test_a_month_is_written_and_read_the_same_way(month: int) -> None:
    assert months.parse(months.label(month)) == month


@pytest.mark.parametrize(
    "text", ["2026", "2026-13", "2026-00", "26-06", "2026-6", "2026-06-01", "", "x", "２０２６-06", "²⁰²⁶-06"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a month"):
        months.parse(text)


def test_a_span_that_runs_backwards_is_empty() -> None:
    assert months.span(202606, 202605) == []
