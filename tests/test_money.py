import re
import subprocess
import sys
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction

import pytest
from babel import Locale
from babel.core import get_global
from babel.numbers import get_currency_precision
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import MoneyError
from tracker.money import (
    LARGEST,
    MICROS,
    convert_micros,
    currency_code,
    decimals,
    exact,
    from_micros,
    from_minor,
    known_currencies,
    parse_localised,
    plain,
    to_micros,
)

SAFE_MICROS = st.integers(-int(LARGEST) * MICROS, int(LARGEST) * MICROS)
AMOUNTS = SAFE_MICROS.map(from_micros)
CENTS = st.integers(-(10**14), 10**14).map(lambda cents: Decimal(cents).scaleb(-2))


def grouped(digits: str, mark: str) -> str:
    return f"{int(digits):,}".replace(",", mark)


# --- currencies ------------------------------------------------------------------------------------------------------


def test_every_currency_that_cldr_knows_is_known() -> None:
    legal_tender = {code for entries in get_global("territory_currencies").values() for code, *_ in entries}
    assert (legal_tender | set(Locale("en").currencies)) - known_currencies() == {"XXX", "XTS"}


#: CLDR rounds these to whole units because inflation made the coins vanish; ISO 4217 keeps their hundredths.
INFLATED = "AFN ALL IRR KPW LAK LBP MGA MMK MRO RSD SLL SOS STD SYP TMM YER ZMK ZWD"


def test_decimals_agree_with_cldr_where_coins_are_still_used() -> None:
    differing = {code for code in known_currencies() if decimals(code) != get_currency_precision(code)}
    assert differing == {*re.findall(r"\w+", INFLATED), "IQD"}
    assert [decimals(code) for code in ("EUR", "JPY", "KWD", "CLF", "LAK", "IQD")] == [2, 0, 3, 4, 2, 3]


@pytest.mark.parametrize("text", ["EUR", "eur", " Eur "])
def test_a_currency_code_is_read_in_any_case(text: str) -> None:
    assert currency_code(text) == "EUR"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "EURO",
        "E",
        "€",
        "XXX",
        "XTS",
        "ABC",
        "EUR USD",
        None,
        5,
        ["EUR"],
        pytest.param("x" * 10**6, id="a megabyte"),
    ],
)
def test_a_word_that_is_no_currency_is_refused(text: str) -> None:
    with pytest.raises(MoneyError) as refusal:
        currency_code(text)
    assert len(str(refusal.value)) < 150


def test_money_is_read_without_importing_babel() -> None:
    program = "import sys, tracker.money as money; money.currency_code('sek'); print('babel' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.strip() == "False"


# --- exact amounts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("12.50", "12.50"),
        (" -0.000001 ", "-0.000001"),
        ("+3", "3"),
        (".5", "0.5"),
        ("1e3", "1000"),
        ("0.10000000", "0.1"),
        (7, "7"),
        (Decimal("9.99"), "9.99"),
        (Decimal("0E+999"), "0"),
    ],
)
def test_an_exact_amount_is_taken_as_it_stands(value: object, amount: str) -> None:
    assert exact(value) == Decimal(amount)


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        True,
        None,
        "",
        "12,50",
        "12,5O",
        "1 000",
        "١٢",
        "NaN",
        "Infinity",
        "1_000",
        "0x10",
        "--1",
        "1e999",
        "9" * 41,
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
        Decimal("0.0000001"),
        Decimal("1." + "0" * 70 + "1"),
        Decimal("1E+999999"),
        Decimal("1E-999999"),
        LARGEST + 1,
        pytest.param(10**5000, id="5001 digits"),
        {"amount": 1},
        pytest.param("x" * 10**6, id="a megabyte"),
    ],
)
def test_what_is_not_an_exact_amount_is_refused_in_a_short_message(value: object) -> None:
    with pytest.raises(MoneyError) as refusal:
        exact(value)
    assert len(str(refusal.value)) < 150


@given(AMOUNTS)
def test_an_amount_survives_the_database_and_its_own_text(amount: Decimal) -> None:
    assert from_micros(to_micros(amount)) == amount
    assert exact(str(amount)) == exact(amount) == exact(plain(amount)) == amount


@given(SAFE_MICROS)
def test_millionths_survive_the_way_through_a_decimal(micros: int) -> None:
    assert to_micros(from_micros(micros)) == micros


@pytest.mark.parametrize(
    "text", ["0.0000001", "1." + "0" * 70 + "1", "9000000000000.000001", "1E+400", "NaN", "Infinity"]
)
def test_an_amount_that_millionths_cannot_hold_is_refused_rather_than_rounded(text: str) -> None:
    with pytest.raises(MoneyError):
        to_micros(Decimal(text))


@given(AMOUNTS, st.sampled_from(["EUR", "JPY", "KWD", "CLF"]))
def test_nothing_depends_on_the_decimal_context_of_the_thread(amount: Decimal, currency: str) -> None:
    minor = int(amount)
    expected = (
        to_micros(amount),
        plain(amount),
        from_minor(minor, decimals(currency)),
        convert_micros(minor, Decimal(1)),
    )
    with localcontext(Context(prec=2)):
        assert to_micros(amount) == expected[0]
        assert plain(amount) == expected[1]
        assert from_minor(minor, decimals(currency)) == expected[2]
        assert convert_micros(minor, Decimal(1)) == expected[3]


# --- minor units -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "places", "amount"),
    [
        (1999, 2, "19.99"),
        ("-5", 2, "-0.05"),
        (500, 0, "500"),
        (1234, 3, "1.234"),
        (Decimal("1999.0"), 2, "19.99"),
        ("0", 2, "0"),
    ],
)
def test_minor_units_become_major_units(value: object, places: int, amount: str) -> None:
    assert from_minor(value, places) == Decimal(amount)


@pytest.mark.parametrize(
    "value",
    [
        19.99,
        "19.99",
        Decimal("19.99"),
        True,
        None,
        "",
        "1e3",
        Decimal("NaN"),
        Decimal("1E+999999"),
        10**20,
        pytest.param(10**5000, id="5001 digits"),
        pytest.param("9" * 10**6, id="a million digits"),
    ],
)
def test_a_fraction_or_an_absurd_number_of_minor_units_is_refused(value: object) -> None:
    with pytest.raises(MoneyError) as refusal:
        from_minor(value, 2)
    assert len(str(refusal.value)) < 150


@given(st.integers(-(10**12), 10**12), st.sampled_from(sorted(known_currencies())))
def test_minor_units_are_exact_in_every_currency(units: int, currency: str) -> None:
    places = decimals(currency)
    assert Fraction(from_minor(units, places)) == Fraction(units, 10**places)


# --- amounts as people write them ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1.234,56", "1234.56"),
        ("1,234.56", "1234.56"),
        ("(12.50)", "-12.50"),
        ("12.50-", "-12.50"),
        ("−3", "-3"),
        ("–3,5", "-3.5"),
        ("+3", "3"),
        ("1'234.50", "1234.50"),
        ("1’234.50", "1234.50"),
        ("₹1,23,456.78", "123456.78"),
        ("12,34,567", "1234567"),
        ("EUR 5", "5"),
        ("5 EUR", "5"),
        ("$5.00", "5.00"),
        ("US$ 1,234.50", "1234.50"),
        ("R$ 1.234,56", "1234.56"),
        ("$5 USD", "5"),
        ("-$5", "-5"),
        ("$-5", "-5"),
        ("$(5.00)", "-5.00"),
        ("(€5)", "-5"),
        ("5 €", "5"),
        ("5,00-€", "-5.00"),
        ("1 234,5", "1234.5"),
        ("1\u202f234\u00a0567,89", "1234567.89"),
        ("1 234.567", "1234.567"),
        ("1,234,567", "1234567"),
        ("1.234.567", "1234567"),
        ("0,123", "0.123"),
        ("1234,567", "1234.567"),
        ("kr 100,-", "100"),
        ("1.500,-", "1500"),
        ("5.--", "5"),
        ("Rs.500", "500"),
        ("1 234,50 kr.", "1234.50"),
        (".5", "0.5"),
        ("-0,00", "0"),
        ("¥1,234,000", "1234000"),
        ("1.234,567 KWD", "1234.567"),
    ],
)
def test_an_amount_is_read_as_its_country_writes_it(text: str, amount: str) -> None:
    assert parse_localised(text) == Decimal(amount)
    assert parse_localised(text).is_signed() == (Decimal(amount) < 0)


@pytest.mark.parametrize(
    "text",
    [
        "12,5O",
        "12%",
        "5k",
        "3 DR",
        "(-5)",
        "--5",
        "-5-",
        "(5",
        "5)",
        "1-2",
        "2024-01-02",
        "12.11.2024",
        "12 11 2024",
        "1 2 3",
        "1,2,3",
        "1,234,56",
        "1.234.56",
        "1,234.567,8",
        "12,34.5.6",
        "XY.500",
        "1.5e3",
        "٣",
        "",
        "-",
        "€",
        "12.",
        "1'23",
        "0.1234567",
        "9999999999999999",
        "five",
        "5 5",
        "1" * 61,
        pytest.param("€" * 10**6, id="a million signs"),
    ],
)
def test_anything_besides_one_number_one_sign_and_a_currency_is_refused(text: str) -> None:
    for mark in (None, ",", "."):
        with pytest.raises(MoneyError) as refusal:
            parse_localised(text, mark)
        assert len(str(refusal.value)) < 150


@pytest.mark.parametrize("text", ["1,234", "1.234", "-12,345", "¥1.234", "(999,999)"])
def test_one_mark_before_three_digits_is_ambiguous_until_the_mark_is_named(text: str) -> None:
    with pytest.raises(MoneyError, match="Name the decimal mark"):
        parse_localised(text)
    mark, other = (",", ".") if "," in text else (".", ",")
    assert parse_localised(text, other) == 1000 * parse_localised(text, mark)


def test_the_named_mark_decides_for_yen_and_for_dinars() -> None:
    assert parse_localised("¥1,234", ".") == 1234
    assert parse_localised("KWD 1.234", ".") == Decimal("1.234")
    assert parse_localised("KWD 1,234", ",") == Decimal("1.234")


@pytest.mark.parametrize(
    ("text", "mark"), [("12,50", "."), ("12.50", ","), ("1,234.56", ","), ("1.234,56", "."), ("1.500.-", ".")]
)
def test_a_number_that_contradicts_the_named_mark_is_refused(text: str, mark: str) -> None:
    with pytest.raises(MoneyError):
        parse_localised(text, mark)


def test_only_a_comma_or_a_dot_is_a_decimal_mark() -> None:
    with pytest.raises(ValueError, match="decimal mark"):
        parse_localised("1", ";")


@given(
    CENTS,
    st.sampled_from([(",", "."), (".", ","), (",", " "), (".", "'"), (",", "\u00a0"), (",", ""), (".", "")]),
    st.sampled_from(["{}", "EUR {}", "{} €", "US${}"]),
    st.sampled_from(["-{}", "({})", "{}-", "\u2212{}"]),
    st.booleans(),
)
def test_every_way_of_writing_an_amount_is_read_back(
    amount: Decimal, marks: tuple[str, str], frame: str, minus: str, is_named: bool
) -> None:
    decimal_mark, thousands = marks
    whole, _, cents = f"{abs(amount):.2f}".partition(".")
    text = f"{grouped(whole, thousands)}{decimal_mark}{cents}"
    text = frame.format(minus.format(text) if amount < 0 else text)
    assert parse_localised(text, decimal_mark if is_named else None) == amount


@given(st.text("0123456789.,'-+()€$ EURk%", max_size=14), st.sampled_from([None, ",", "."]))
def test_no_text_is_read_as_other_digits_than_it_holds(text: str, mark: str | None) -> None:
    try:
        amount = parse_localised(text, mark)
    except MoneyError:
        return
    digits = "".join(letter for letter in text if letter.isdigit())
    assert amount.copy_abs() * 10**6 % 1 == 0
    assert f"{amount.copy_abs():f}".replace(".", "").lstrip("0") == digits.lstrip("0")
    assert not amount.is_signed() or "-" in text or "(" in text


# --- conversion and text ---------------------------------------------------------------------------------------------


@given(SAFE_MICROS, st.decimals("0.000001", "0.999999999999999999", places=18))
def test_conversion_is_exact_to_half_a_millionth(micros: int, rate: Decimal) -> None:
    difference = abs(convert_micros(micros, rate) - Fraction(micros) * Fraction(rate))
    assert difference <= Fraction(1, 2)


@pytest.mark.parametrize(("micros", "rounded"), [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2)])
def test_half_a_millionth_goes_to_the_even_neighbour(micros: int, rounded: int) -> None:
    assert convert_micros(micros, Decimal("0.5")) == rounded == Decimal(micros / 2).to_integral_value(ROUND_HALF_EVEN)


@pytest.mark.parametrize("rate", ["0", "-1", "NaN", "Infinity"])
def test_a_rate_that_no_currency_can_have_is_refused(rate: str) -> None:
    with pytest.raises(MoneyError):
        convert_micros(1_000_000, Decimal(rate))


def test_a_conversion_beyond_the_column_is_refused() -> None:
    with pytest.raises(MoneyError, match="out of range"):
        convert_micros(int(LARGEST) * MICROS, Decimal(2))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("12.5", "12.50"),
        ("12", "12.00"),
        ("1.2345", "1.2345"),
        ("1.230000", "1.23"),
        ("-0", "0.00"),
        ("-0.000000", "0.00"),
        ("0E+9", "0.00"),
        ("1E+3", "1000.00"),
        ("1E-6", "0.000001"),
        ("-5.10", "-5.10"),
    ],
)
def test_an_amount_is_printed_in_plain_digits(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text


def test_an_unknown_amount_stays_unknown() -> None:
    assert plain(None) is None


@pytest.mark.parametrize("text", ["1E+999990", "-1E+999990", "1E-999990", "9E+30", "sNaN", "-Infinity"])
def test_a_number_that_is_no_amount_is_refused_at_once(text: str) -> None:
    """Written out, some of them would take a minute and a gigabyte."""
    with pytest.raises(MoneyError):
        exact(Decimal(text))
    with pytest.raises(MoneyError):
        to_micros(Decimal(text))
