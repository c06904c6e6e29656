"""Reference rates: what the bundled history and rates of the user's own answer."""

import csv
import io
import subprocess
import sys
import zipfile
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.rates import (
    CARRY_DAYS,
    PROVISIONAL_DAYS,
    EuroRate,
    Rates,
    newest_bundled_day,
)

BUNDLED = Rates()
ROOT = Path(__file__).parent.parent
#: The first columns as the data API sends them.
HEADER = "KEY,FREQ,CURRENCY,CURRENCY_DENOM,EXR_TYPE,EXR_SUFFIX,TIME_PERIOD,OBS_VALUE,OBS_STATUS,TITLE_COMPL"
DAYS = st.dates(date(1999, 1, 4), date(2026, 6, 30))
QUOTED = st.sampled_from(["EUR", "USD", "GBP", "JPY", "SEK", "NOK", "CHF", "DKK", "PLN", "HUF", "IDR", "TRY"])


# --- the bundled history ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quote", "day", "rate"),
    [
        ("USD", date(1999, 1, 4), "1.1789"),
        ("USD", date(2024, 1, 2), "1.0956"),
        ("USD", date(2024, 12, 31), "1.0389"),
        ("GBP", date(2024, 1, 2), "0.86645"),
        ("JPY", date(2024, 1, 2), "155.68"),
        ("CHF", date(2015, 1, 15), "1.028"),
        ("NOK", date(2020, 3, 18), "11.701"),
        ("IDR", date(2024, 1, 2), "17007.66"),
        ("TRL", date(2002, 1, 2), "1311000"),
        ("HRK", date(2022, 12, 30), "7.5365"),
        ("RUB", date(2022, 3, 1), "117.201"),
        ("ZAR", date(1999, 1, 4), "6.9358"),
    ],
)
def test_a_rate_that_the_ecb_once_set_is_known_without_a_network(quote: str, day: date, rate: str) -> None:
    found = BUNDLED.euro_rate(quote, day)
    assert found is not None
    assert (str(found.rate), found.day) == (rate, day)


def test_every_bundled_rate_is_found_as_it_was_published() -> None:
    spec = find_spec("currency_converter")
    assert spec is not None
    assert spec.origin is not None
    with zipfile.ZipFile(Path(spec.origin).parent / "eurofxref-hist.zip") as bundle:
        table = list(csv.DictReader(io.TextIOWrapper(bundle.open("eurofxref-hist.csv"))))
    for row in table[::97]:
        day = date.fromisoformat(row["Date"])
        for quote, text in row.items():
            if quote not in ("Date", "") and text != "N/A":
                assert BUNDLED.euro_rate(quote, day) == EuroRate(quote, day, Decimal(text))
    assert newest_bundled_day() == date.fromisoformat(table[0]["Date"])


def test_a_pound_is_worth_more_than_a_euro_and_a_yen_less() -> None:
    day = date(2024, 1, 2)
    found = {base: BUNDLED.rate(base, "EUR", day) for base in ("GBP", "JPY", "USD")}
    worth = {base: answer[0] for base, answer in found.items() if answer}
    assert worth["GBP"] > 1 > worth["USD"] > Decimal("0.9") > worth["JPY"]
    assert abs(worth["USD"] - Decimal("0.912741876597")) < Decimal("1e-12")


def test_a_cross_rate_goes_through_the_euro() -> None:
    found = BUNDLED.rate("USD", "JPY", date(2024, 1, 2))
    assert found == (Decimal("142.095655348667397"), date(2024, 1, 2))  # 155.68 / 1.0956


@given(QUOTED, QUOTED, DAYS)
def test_there_and_back_is_one(base: str, quote: str, day: date) -> None:
    there, back = BUNDLED.rate(base, quote, day), BUNDLED.rate(quote, base, day)
    assert (there is None) == (back is None)
    if there and back:
        assert abs(Fraction(there[0]) * Fraction(back[0]) - 1) < Fraction(1, 10**16)


@given(QUOTED, QUOTED, QUOTED, DAYS)
def test_a_detour_over_a_third_currency_changes_nothing(base: str, middle: str, quote: str, day: date) -> None:
    direct, first, second = (BUNDLED.rate(*pair, day) for pair in ((base, quote), (base, middle), (middle, quote)))
    if direct and first and second:
        assert abs(Fraction(first[0]) * Fraction(second[0]) / Fraction(direct[0]) - 1) < Fraction(1, 10**15)


@given(st.sampled_from(["EUR", "USD", "AED", "KPW"]), st.dates())
def test_a_currency_is_worth_itself_on_any_day(currency: str, day: date) -> None:
    assert BUNDLED.rate(currency, currency, day) == (Decimal(1), day)


# --- days without a rate ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "rate_day"),
    [
        (date(2024, 1, 6), date(2024, 1, 5)),  # Saturday
        (date(2024, 1, 7), date(2024, 1, 5)),  # Sunday
        (date(2024, 4, 1), date(2024, 3, 28)),  # Easter Monday
        (date(2023, 12, 26), date(2023, 12, 22)),  # second day of Christmas
        (date(2024, 5, 1), date(2024, 4, 30)),
    ],
)
def test_weekends_and_holidays_take_the_last_rate_before(day: date, rate_day: date) -> None:
    found = BUNDLED.rate("EUR", "USD", day)
    assert found == BUNDLED.rate("EUR", "USD", rate_day)
    assert found is not None
    assert found[1] == rate_day


@given(QUOTED, DAYS)
def test_a_rate_is_never_from_the_future_and_never_older_than_the_limit(quote: str, day: date) -> None:
    found = BUNDLED.rate("EUR", quote, day)
    if found:
        assert timedelta(0) <= day - found[1] <= timedelta(days=CARRY_DAYS)


def test_days_after_the_newest_rates_of_all_use_them_until_an_update_is_long_overdue() -> None:
    newest = newest_bundled_day()
    latest = BUNDLED.rate("EUR", "USD", newest)
    assert BUNDLED.rate("EUR", "USD", newest + timedelta(days=PROVISIONAL_DAYS)) == latest
    assert BUNDLED.rate("EUR", "USD", newest + timedelta(days=PROVISIONAL_DAYS + 1)) is None


def test_a_currency_that_an_update_left_out_is_not_carried_on() -> None:
    newest = newest_bundled_day()
    later = newest + timedelta(days=40)
    updated = Rates([("USD", later, Decimal("1.1"))])
    assert updated.rate("EUR", "USD", later + timedelta(days=30)) == (Decimal("1.1"), later)
    assert updated.rate("EUR", "NOK", later) is None


@pytest.mark.parametrize(
    ("quote", "last_day"), [("HRK", date(2022, 12, 30)), ("RUB", date(2022, 3, 1)), ("BGN", date(2025, 12, 31))]
)
def test_a_currency_that_ended_has_no_rate_any_more(quote: str, last_day: date) -> None:
    assert BUNDLED.rate(quote, "EUR", last_day + timedelta(days=CARRY_DAYS)) is not None
    assert BUNDLED.rate(quote, "EUR", last_day + timedelta(days=CARRY_DAYS + 1)) is None


@pytest.mark.parametrize("currency", ["AED", "XXX", "", "Date"])
def test_a_currency_that_the_ecb_never_quoted_has_no_rate(currency: str) -> None:
    assert BUNDLED.rate(currency, "EUR", date(2024, 1, 2)) is None
    assert BUNDLED.rate("USD", currency, date(2024, 1, 2)) is None


@pytest.mark.parametrize("day", [date(1998, 12, 31), date.min, date.max])
def test_before_the_euro_and_at_the_end_of_time_there_is_no_rate(day: date) -> None:
    assert BUNDLED.rate("USD", "EUR", day) is None


# --- rates of our own over the history --------------------------------------------------------------------------------


def test_a_stored_rate_overrules_the_bundled_one_of_its_day_only() -> None:
    day = date(2024, 1, 2)
    rates = Rates([("USD", day, Decimal("1.5"))])
    assert rates.rate("EUR", "USD", day) == (Decimal("1.5"), day)
    assert rates.rate("EUR", "USD", date(2024, 1, 3)) == BUNDLED.rate("EUR", "USD", date(2024, 1, 3))


def test_a_cross_rate_is_as_old_as_its_older_half() -> None:
    rates = Rates([("AED", date(2023, 12, 29), Decimal("4.05"))])
    assert rates.rate("AED", "USD", date(2024, 1, 2)) == (
        Decimal("0.270518518518518519"),
        date(2023, 12, 29),
    )


@given(
    st.dictionaries(st.dates(date(2026, 1, 1), date(2026, 3, 1)), st.decimals("0.0001", "9999", places=4)), st.data()
)
def test_the_overlay_carries_each_rate_forward_to_the_next(known: dict[date, Decimal], data: st.DataObject) -> None:
    day = data.draw(st.dates(date(2025, 12, 20), date(2026, 3, 20)))
    rates = Rates(("AED", when, rate) for when, rate in known.items())
    earlier = [when for when in known if when <= day]  # a rate of the user's own counts for a year
    expected = (known[max(earlier)], max(earlier)) if earlier else None
    assert rates.rate("EUR", "AED", day) == expected


def test_rates_load_without_the_heavy_libraries() -> None:
    heavy = {"currency_converter", "requests", "sqlalchemy", "pydantic"}
    program = (
        "import sys; from datetime import date; from tracker.rates import Rates\n"
        f"Rates().rate('USD', 'EUR', date(2024, 1, 2)); print({heavy} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=ROOT)
    assert done.stdout.strip() == "set()"
