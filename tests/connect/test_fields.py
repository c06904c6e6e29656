"""Fields: values read exactly as the provider wrote them, or refused with the path in the message."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tracker.connect.fields import (
    Field,
    constant,
    country,
    currency,
    day,
    epoch,
    first_of,
    flag,
    interval,
    localised_money,
    minor,
    money,
    one_of,
    only_if,
    optional,
    scaled,
    text,
    timestamp,
    timestamp_in,
)
from tracker.errors import DataError
from tracker.money import decimals
from tracker.records import Interval

AMOUNTS = st.decimals(-(10**9), 10**9, places=6).filter(lambda value: value.is_finite())
EXPONENTS = {"ISK": 2, "UGX": 2, "HUF": 2, "TWD": 2}  # as a provider counts, not as ISO 4217 does


@given(amount=AMOUNTS)
def test_money_is_exact_from_a_number_or_its_text(amount: Decimal) -> None:
    for value in (amount, f"{amount:f}", f" {amount:f} "):
        assert money("net").read({"net": value}) == amount


@given(number=st.integers(-(10**12), 10**12), code=st.sampled_from(["EUR", "JPY", "KWD", "CLF", "ISK", "UGX", "HUF"]))
def test_minor_units_follow_the_providers_own_table(number: int, code: str) -> None:
    row = {"net": number, "unit": code}
    expected = Decimal(number).scaleb(-EXPONENTS.get(code, decimals(code)))
    assert minor("net", "unit", EXPONENTS).read(row) == expected
    assert minor("net", "unit", EXPONENTS).read({"net": str(number), "unit": code.lower()}) == expected
    assert minor("net", "unit").read(row) == Decimal(number).scaleb(-decimals(code))


@pytest.mark.parametrize(
    "value", ["12,5O", "12,50", "1.234,56", "", None, True, 1.5, [], {}, "NaN", "1e400", "0x10", "12 EUR", "٣", "1_000"]
)
def test_an_amount_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(DataError):
        money("net").read({"net": value})


def test_a_fixed_fraction_of_the_unit_is_the_same_in_every_currency() -> None:
    assert scaled("net", 4).read({"net": 450000, "unit": "JPY"}) == Decimal("45.0000")
    with pytest.raises(DataError):
        scaled("net", 4).read({"net": Decimal("4.5")})


@pytest.mark.parametrize("value", [Decimal("1.5"), "1.5", "12,5", True, None, Decimal("1E+999999")])
def test_minor_units_are_whole(value: Any) -> None:
    with pytest.raises(DataError):
        minor("net", "unit").read({"net": value, "unit": "EUR"})


def test_the_first_of_several_places_that_is_set_is_read() -> None:
    either = first_of("refs.a", "refs.b", "c")
    assert either.read({"refs": {"a": "", "b": 7}, "c": "x"}) == "7"
    assert either.read({"refs": None, "c": "x"}) == "x"
    assert either.read({"refs": {"a": None}}) is None
    with pytest.raises(DataError):
        either.read({"refs": {"a": ["x"]}, "c": "x"})


@pytest.mark.parametrize(("state", "found"), [("yes", "2026-06-15"), ("paid", "2026-06-15"), ("no", None)])
def test_a_day_that_is_filled_in_too_early_is_not_read(state: str, found: str | None) -> None:
    row = {"state": state, "locks": "2026-06-15"}
    assert only_if(text("locks"), text("state"), "yes", "paid").read(row) == found
    assert only_if(text("locks"), lambda row: row["state"] != "no", True).read(row) == found
    with pytest.raises(DataError):
        only_if(text("locks"), one_of("state", {"open": 1}), 1).read(row)  # another word is never taken for "not yet"


def test_statements_write_amounts_their_own_way() -> None:
    assert localised_money("net").read({"net": "(1.234,56) €"}) == Decimal("-1234.56")
    assert localised_money("net", ",").read({"net": "1,234"}) == Decimal("1.234")
    with pytest.raises(DataError, match="ambiguous"):
        localised_money("net").read({"net": "1,234"})


@pytest.mark.parametrize("value", ["EUX", "", "€", 978, None])
def test_a_currency_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(DataError):
        currency("unit").read({"unit": value})


# --- times ---

FIRST, LAST = datetime(1995, 1, 2), datetime(2099, 12, 30)  # noqa: DTZ001 - hypothesis adds the zone
MOMENTS = st.datetimes(FIRST, LAST, timezones=st.just(UTC))


@given(moment=MOMENTS, offset=st.integers(-14 * 60, 14 * 60))
def test_a_time_with_an_offset_is_the_same_moment_in_utc(moment: datetime, offset: int) -> None:
    sign, (hours, minutes) = "-" if offset < 0 else "+", divmod(abs(offset), 60)
    there = (moment + timedelta(minutes=offset)).replace(tzinfo=None)
    found = timestamp("at").read({"at": f"{there.isoformat()}{sign}{hours:02d}:{minutes:02d}"})
    assert found == moment
    assert found.tzinfo is UTC


@given(moment=MOMENTS)
def test_a_time_without_an_offset_is_read_in_the_documented_zone(moment: datetime) -> None:
    zone = ZoneInfo("Europe/Berlin")
    local = moment.astimezone(zone).replace(tzinfo=None)
    found = timestamp("at", zone=zone).read({"at": local.isoformat()})
    named = timestamp_in("at", "$.time_zone")
    assert named.read({"at": local.isoformat(), "$": {"time_zone": "Europe/Berlin"}}) == found
    assert found in (moment, moment - timedelta(hours=1))  # the doubled hour of autumn means its first time
    assert timestamp("at").read({"at": local.isoformat()}) == local.replace(tzinfo=UTC)


@given(moment=MOMENTS.map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)))
def test_unix_times_in_seconds_and_milliseconds(moment: datetime) -> None:
    whole = moment.replace(microsecond=0)
    assert epoch("at").read({"at": int(whole.timestamp())}) == whole
    thousandths = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert epoch("at", unit_s=Decimal("0.001")).read({"at": thousandths}) == moment


@pytest.mark.parametrize(
    "value",
    ["1970-01-01", "2999-01-01T00:00:00Z", "1994-12-31T23:59:59Z", "2100-01-01", "2026-02-30", "0000-00-00", "today",
     "2026-06-15T25:00:00Z", 20260615, None, "", "2026-06-15T10:00:00+99:00", "x" * 1000],
)  # fmt: skip
def test_a_time_that_is_none_or_absurd_is_refused(value: Any) -> None:
    with pytest.raises(DataError):
        timestamp("at").read({"at": value})
    with pytest.raises(DataError):
        day("at").read({"at": value})


@pytest.mark.parametrize("value", [0, -1, 10**30, -(10**30), 1781517600000, "1781517600", True, Decimal("1.5"), None])
def test_a_unix_time_that_is_none_or_absurd_is_refused(value: Any) -> None:
    with pytest.raises(DataError):
        epoch("at").read({"at": value})


def test_a_day_is_the_day_there() -> None:
    late = {"at": "2026-06-15T23:30:00+00:00"}
    assert day("at").read(late) == date(2026, 6, 15)
    assert day("at", zone=ZoneInfo("Asia/Tokyo")).read(late) == date(2026, 6, 16)


# --- words and paths ---


def test_an_unknown_word_is_refused_and_the_known_ones_are_named() -> None:
    field = one_of("a.status", {"open": 1, "done": 2})
    assert field.read({"a": {"status": "done"}}) == 2
    values: list[Any] = ["Done", 3, [1], {}]
    for value in values:
        with pytest.raises(DataError, match=r"at 'a\.status'; known: done, open"):
            field.read({"a": {"status": value}})


ABSENT: list[Any] = [None, {}, {"b": ""}, [], "text", {"b": None}]


@pytest.mark.parametrize("row", [{}, *({"a": inner} for inner in ABSENT)])
def test_what_is_absent_is_missing_or_unknown_but_never_zero(row: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"'a\.b' is missing"):
        money("a.b").read(row)
    assert optional(money("a.b")).read(row) is None


def test_a_zero_is_there() -> None:
    assert optional(money("a")).read({"a": 0}) == 0
    assert flag("a").read({"a": False}) is False


@pytest.mark.parametrize("value", [True, Decimal("1.5"), [], {}])
def test_text_is_text_or_a_whole_number(value: Any) -> None:
    with pytest.raises(DataError, match="expected text"):
        text("id").read({"id": value})
    assert text("id").read({"id": 12345678901234567890}) == "12345678901234567890"


@pytest.mark.parametrize("value", ["true", 1, 0, None])
def test_a_flag_is_true_or_false(value: Any) -> None:
    with pytest.raises(DataError):
        flag("a").read({"a": value})


def test_a_path_walks_into_lists_and_options() -> None:
    row = {"items": {"data": [{"price": "5"}]}, "$": {"currency": "EUR"}, "0": "zero"}
    assert money("items.data.0.price").read(row) == 5
    assert currency("$.currency").read(row) == "EUR"
    assert optional(text("items.data.7.price")).read(row) is None


def test_a_day_of_the_calendar_needs_no_zone() -> None:
    assert day("at", zone=ZoneInfo("Europe/Berlin")).read({"at": "2026-01-01"}) == date(2026, 1, 1)
    assert day("at", zone=ZoneInfo("America/New_York")).read({"at": "2026-01-01"}) == date(2026, 1, 1)


def test_intervals() -> None:
    assert interval("unit", "count").read({"unit": "week", "count": "4"}) == Interval("week", 4)
    assert interval("unit", "count").read({"unit": "month"}) == Interval("month")
    for row in ({"unit": "fortnight"}, {"unit": "month", "count": True}, {"unit": "month", "count": "x"}, {"unit": 1}):
        with pytest.raises(DataError):
            interval("unit", "count").read(row)
    for count in (0, -1, "0"):
        with pytest.raises(DataError):
            interval("unit", "count").read({"unit": "month", "count": count})


def test_a_field_is_a_field_a_function_or_a_constant() -> None:
    assert Field.of(lambda row: row["a"]).read({"a": 1}) == 1
    assert Field.of("word").read({}) == constant("word").read({}) == "word"
    with pytest.raises(TypeError):
        optional(Field.of(lambda row: None))


@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.decimals(), lambda inner:
       st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)))  # fmt: skip
@pytest.mark.parametrize(
    "field",
    [money("x"), minor("x", "unit"), currency("x"), timestamp("x"), epoch("x"), day("x"), flag("x"), text("x"),
     interval("x"), localised_money("x"), one_of("x", {"a": 1})],
)  # fmt: skip
def test_no_value_gets_anything_but_an_answer_or_a_data_error(field: Field, value: Any) -> None:
    with suppress(DataError):
        field.read({"x": value, "unit": "EUR"})


def test_a_country_is_a_code_of_two_letters_or_unknown() -> None:
    field = country("where.country")
    found = [field.read({"where": {"country": said}}) for said in ("de", "GB", "United Kingdom", "", None, 49, "4x")]
    assert found == ["DE", "GB", None, None, None, None, None]
    assert field.read({}) is None
