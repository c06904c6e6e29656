"""Dates as statements print them, in every language of the profiles; none is ever read in two ways."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from babel.dates import format_date
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import DataError
from tracker.statements.profiles.dates import _LANGUAGES, Orders, day_in, moment, months, period_in

DAYS = st.dates(date(1995, 1, 1), date(2099, 12, 31))


@given(
    day=DAYS,
    language=st.sampled_from(_LANGUAGES),
    form=st.sampled_from(["d MMMM y", "d. MMM y", "MMMM d, y", "d MMM, y"]),
)
def test_a_month_s_name_is_read_in_every_language(day: date, language: str, form: str) -> None:
    assert day_in(format_date(day, form, locale=language), "YMD") == (day, "")


def test_no_name_means_two_months() -> None:
    """What `months` takes from one language is not said otherwise by the next."""
    from babel.dates import get_month_names

    for language in _LANGUAGES:
        for width in ("wide", "abbreviated"):
            for number, name in get_month_names(width, "format", language).items():
                assert months()[name.casefold().rstrip(".")] == number, (language, name)


@given(
    day=DAYS,
    order=st.sampled_from([("%d.%m.%Y", "DMY"), ("%m/%d/%Y", "MDY"), ("%Y-%m-%d", "YMD"), ("%Y/%m/%d", "DMY")]),
)
def test_a_date_of_numbers_is_read_in_its_order(day: date, order: tuple[str, str]) -> None:
    assert day_in(day.strftime(order[0]), order[1]) == (day, "")


@pytest.mark.parametrize(
    ("text", "order", "meant"),
    [
        ("2026-03-04", "YMD", datetime(2026, 3, 4, 12, tzinfo=UTC)),
        ("2026-03-04 00:00:00", "YMD", datetime(2026, 3, 4, 12, tzinfo=UTC)),
        ("2026-02", "YMD", datetime(2026, 2, 28, 12, tzinfo=UTC)),
        ("Sep 3, 2026 10:01:02 PDT", "MDY", datetime(2026, 9, 3, 17, 1, 2, tzinfo=UTC)),
        ("01/05/2025 12:30:00 AM", "MDY", datetime(2025, 1, 5, 6, 30, tzinfo=UTC)),
        ("01/05/2025 12:30 PM", "DMY", datetime(2025, 5, 1, 17, 30, tzinfo=UTC)),
        ("04.04.2026 10:11:12 Europe/Berlin", "DMY", datetime(2026, 4, 4, 8, 11, 12, tzinfo=UTC)),
        ("04.04.2026 10:11:12 GMT+02:00", "DMY", datetime(2026, 4, 4, 8, 11, 12, tzinfo=UTC)),
        ("2026-05-01T12:00:00.123456Z", "YMD", datetime(2026, 5, 1, 12, tzinfo=UTC)),
        ("26-03-31", "YMD", datetime(2026, 3, 31, 12, tzinfo=UTC)),
        ("3 de marzo de 2026", "DMY", datetime(2026, 3, 3, 12, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_where_it_is(text: str, order: str, meant: datetime) -> None:
    assert moment(text, order, ZoneInfo("America/Chicago")) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "31.02.2026",
        "13/13/2026",
        "2026-3",
        "1.2.26.5",
        "1994-12-31",
        "2026-03-04 25:00",
        "2026-03-04 10:00 XYZ",
        "2026-03-04 13:00 PM",
        "2026-03-04 10:00 Mars/Base",
        "2026-03-04 tomorrow",
        "1.2.3",
        "x" * 80,
        "2026-03-04 10:00 +99:00",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        moment(text, "DMY", UTC)


@given(
    days=st.lists(DAYS, min_size=1, max_size=20), form=st.sampled_from(["%d/%m/%Y", "%m/%d/%Y", "%d-%m-%y", "%y-%m-%d"])
)
def test_an_order_is_only_found_when_it_is_the_only_one(days: list[date], form: str) -> None:
    orders = Orders(("YMD", "DMY", "MDY"))
    texts = [day.strftime(form) for day in days if day.year >= 2000]
    for text in texts:
        orders.see(text)
    if orders.decided is not None and texts:
        assert [day_in(text, orders.decided)[0] for text in texts] == [day for day in days if day.year >= 2000]


def test_a_month_stands_in_a_title_or_in_none() -> None:
    assert period_in(["Sales Period", "March 2026"]) == "2026-03"
    assert period_in(["royalties 2026-03 final"]) == "2026-03"
    assert period_in(["2026-03-01_2026-04-01"]) is None
    assert period_in(["Table data"]) is None
