"""Fields: how one value of a record is read out of a provider's row.

A field is a dotted path with a conversion (`money("commissionAmount.amount")`), or any function of the row. Rows are
decoded JSON with exact numbers: text, int, Decimal, bool, None, lists and dicts. A path may hold list positions
("items.data.0.price"). The connection's options stand in the row under "$", so that `text("$.currency")` reads one.

A field raises DataError for a value it cannot read exactly; it never guesses and never returns a stand-in.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from tracker.errors import DataError
from tracker.money import currency_code, decimals, exact, from_minor, parse_localised
from tracker.records import Interval

Row = dict[str, Any]
Convert = Callable[[Any], Any]
ConvertInRow = Callable[[Any, Row], Any]

EARLIEST = datetime(1995, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)


class Field:
    """A value to be read from a row with `read(row)`. `dotted` is None for a plain function of the row.

    `convert` turns the raw value into the record's; `convert_in_row` does so with a look at the rest of the row.
    """

    __slots__ = ("convert", "convert_in_row", "dotted", "read")

    def __init__(
        self,
        dotted: str | None,
        convert: Convert | None = None,
        *,
        convert_in_row: ConvertInRow | None = None,
        required: bool = True,
    ) -> None:
        self.dotted = dotted
        self.convert = convert
        self.convert_in_row = convert_in_row
        self.read: Callable[[Row], Any] = _no_path
        if dotted is not None:
            self.read = _reader(dotted, convert, convert_in_row, required)

    @classmethod
    def of(cls, value: "Field | Callable[[Row], Any] | object") -> "Field":
        """A field as it is, a function of the row, or a constant."""
        if isinstance(value, Field):
            return value
        field = cls(None)
        field.read = value if callable(value) and not isinstance(value, type) else _constant(value)
        return field


def _no_path(row: Row) -> Any:
    raise AssertionError("a field needs a path or a function")


def _constant(value: object) -> Callable[[Row], Any]:
    return lambda row: value


def _reader(
    dotted: str, convert: Convert | None, convert_in_row: ConvertInRow | None, required: bool
) -> Callable[[Row], Any]:
    """Reading is what a first load does millions of times, so that what is known of a field is decided once, here."""
    keys = _keys(dotted)
    first, _, second = dotted.partition(".")

    def absent() -> None:
        if required:
            raise DataError(f"{dotted!r} is missing")

    def read_in_row(row: Row) -> Any:
        value = lookup(row, keys)
        return absent() if value is None or value == "" else convert_in_row(value, row) if convert_in_row else value

    def read_flat(row: Row) -> Any:
        value = row.get(first)
        return absent() if value is None or value == "" else convert(value) if convert else value

    def read_text(row: Row) -> Any:
        value = row.get(first)
        if type(value) is str and value:  # as nearly every id and name is
            return value
        return absent() if value is None or value == "" else as_text(value)

    def read_inner(row: Row) -> Any:
        holder = row.get(first)
        value = holder.get(second) if type(holder) is dict else lookup(holder, keys[1:])
        return absent() if value is None or value == "" else convert(value) if convert else value

    def read_nested(row: Row) -> Any:
        value = lookup(row, keys)
        return absent() if value is None or value == "" else convert(value) if convert else value

    if convert_in_row:
        return read_in_row
    if len(keys) > 1:
        return read_inner if len(keys) == 2 else read_nested
    return read_text if convert is as_text else read_flat


def lookup(value: Any, keys: tuple[str | int, ...]) -> Any:
    """Walk into nested dicts and lists; None when a step is absent."""
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int):
            value = value[key] if key < len(value) else None
        else:
            return None
    return value


def get(row: Row, dotted: str) -> Any:
    """The raw value at a path, or None: for functions of a row."""
    return lookup(row, _keys(dotted))


@lru_cache(maxsize=1024)
def _keys(dotted: str) -> tuple[str | int, ...]:
    return tuple(int(key) if key.isdigit() else key for key in dotted.split("."))


def optional(field: Field) -> Field:
    """The same field, answering None where the path is absent, null or empty."""
    if field.dotted is None:
        raise TypeError("optional() takes a field with a path; a function answers None itself")
    return Field(field.dotted, field.convert, convert_in_row=field.convert_in_row, required=False)


def first_of(*dotted: str) -> Field:
    """The text at the first of these paths where something stands, or None."""
    fields = [optional(text(one)) for one in dotted]
    return Field.of(lambda row: next((found for field in fields if (found := field.read(row)) is not None), None))


def only_if(field: Field, other: Field | Callable[[Row], Any], *words: object) -> Field:
    """The same field, answering None where the other one reads none of the words: a day that is filled in too early."""
    said = Field.of(other).read
    return Field.of(lambda row: field.read(row) if said(row) in words else None)


def path(dotted: str) -> Field:
    """The value as it is."""
    return Field(dotted)


def constant(value: object) -> Field:
    return Field.of(_constant(value))


def text(dotted: str) -> Field:
    """Text; a whole number becomes its digits (ids are text), other types are refused."""
    return Field(dotted, as_text)


def as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"expected text, got {_shown(value)}")


def flag(dotted: str) -> Field:
    """True or false."""

    def convert(value: object) -> bool:
        if not isinstance(value, bool):
            raise DataError(f"expected true or false, got {_shown(value)}")
        return value

    return Field(dotted, convert)


def money(dotted: str) -> Field:
    """An amount in major units: a JSON number or plain decimal text, exactly."""
    return Field(dotted, exact)


def localised_money(dotted: str, decimal_mark: str | None = None) -> Field:
    """An amount as a statement prints it: "1.234,56", "(12.50)"."""
    return Field(dotted, lambda value: parse_localised(as_text(value), decimal_mark))


def minor(dotted: str, currency: str, exponents: Mapping[str, int] | None = None) -> Field:
    """An amount in minor units; `currency` is the path of its code, `exponents` the provider's own exceptions."""
    code = Field(currency)

    def convert(value: object, row: Row) -> Decimal:
        unit = currency_code(code.read(row))
        return from_minor(value, (exponents or {}).get(unit, decimals(unit)))

    return Field(dotted, convert_in_row=convert)


def scaled(dotted: str, places: int) -> Field:
    """An amount counted in a fixed fraction of the currency's unit, whichever it is: 4 places for ten-thousandths."""
    return Field(dotted, lambda value: from_minor(value, places))


def currency(dotted: str) -> Field:
    """An ISO 4217 code, upper case."""
    return Field(dotted, lambda value: currency_code(as_text(value)))


def country(dotted: str) -> Field:
    """An ISO 3166-1 code of two letters, upper case; None where there is none or a name in its place."""

    def convert(value: object) -> str | None:
        return value.upper() if isinstance(value, str) and len(value) == 2 and value.isalpha() else None

    return Field(dotted, convert, required=False)


def timestamp(dotted: str, *, zone: tzinfo = UTC) -> Field:
    """An ISO 8601 time. Without an offset it is read in `zone`, which is the zone the provider documents."""
    return Field(dotted, lambda value: parse_time(value, zone))


def epoch(dotted: str, *, unit_s: Decimal | int = 1) -> Field:
    """Whole units since 1970-01-01 UTC: seconds, or milliseconds with unit_s=Decimal("0.001")."""

    def convert(value: object) -> datetime:
        if isinstance(value, bool) or not isinstance(value, int):
            raise DataError(f"expected a unix time, got {_shown(value)}")
        return between(_epoch(value * unit_s))

    return Field(dotted, convert)


def _epoch(seconds: Decimal | int) -> datetime:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(seconds * 1_000_000))
    except OverflowError:
        raise DataError(f"time out of range: {seconds}") from None


def timestamp_in(dotted: str, zone: str) -> Field:
    """An ISO 8601 time. Without an offset it is read in the zone whose name stands at the path `zone`: an option's."""
    name = Field(zone)
    return Field(dotted, convert_in_row=lambda value, row: parse_time(value, ZoneInfo(name.read(row))))


def parse_time(value: object, zone: tzinfo = UTC) -> datetime:
    """An aware UTC time from ISO 8601 text. Raises DataError for nonsense and for years before 1995 or after 2099.

    In the hour that a daylight-saving change repeats the first of the two times is meant.
    """
    if not isinstance(value, str) or len(value) > 40:
        raise DataError(f"not a time: {_shown(value)}")
    if zone is UTC and len(value) == 19 and value[13] == value[16] == ":":
        value += "Z"  # seconds without an offset, the usual form: read in one step
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise DataError(f"not a time: {_shown(value)}") from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=zone)
    return between(time if time.tzinfo is UTC else time.astimezone(UTC))


def between(time: datetime) -> datetime:
    """The UTC time itself. Raises DataError for years that no earning has."""
    if not EARLIEST.year <= time.year < LATEST.year:
        raise DataError(f"time out of range: {time.isoformat()}", hint="Expected a year from 1995 to 2099.")
    return time


def day(dotted: str, *, zone: tzinfo = UTC) -> Field:
    """The calendar day, in `zone`, of an ISO 8601 date or time."""

    def convert(value: object) -> date:
        return parse_time(value, zone).astimezone(zone).date()

    return Field(dotted, convert)


def one_of(dotted: str, words: Mapping[Any, Any]) -> Field:
    """A word of a closed list. An unknown word is refused: a new status must be seen, not guessed."""
    known = ", ".join(sorted(str(word) for word in words))

    def convert(value: Any) -> Any:
        try:
            return words[value]
        except (KeyError, TypeError):
            raise DataError(f"unknown word {_shown(value)} at {dotted!r}; known: {known}") from None

    return Field(dotted, convert)


def interval(unit: str, count: str | None = None) -> Field:
    """A billing interval from the path of its unit (day, week, month, year) and, if any, of its count."""
    number = Field(count, required=False) if count else None

    def convert(value: object, row: Row) -> Interval:
        many = number.read(row) if number else None
        many = 1 if many is None else int(many) if isinstance(many, str) and re.fullmatch(r"[0-9]{1,4}", many) else many
        whole = isinstance(many, int) and not isinstance(many, bool) and 1 <= many <= 9999
        if value not in ("day", "week", "month", "year") or not whole:
            raise DataError(f"not an interval: {_shown(value)} x {_shown(many)}")
        return Interval(str(value), many)

    return Field(unit, convert_in_row=convert)


def _shown(value: object) -> str:
    return repr(value)[:60]
