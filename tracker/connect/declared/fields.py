"""Fields in words: `net = {money = "amount.value"}`, `status = {one_of = "state", words = {open = "pending"}}`.

A field is a table with one word of `tracker.connect.fields`, whose value is the path in the row, and what may stand
beside it. Which words fit is decided by the record's field that they are for.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from enum import StrEnum
from types import NoneType
from typing import Any, get_args, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tracker.connect import fields as kit
from tracker.connect.connector import Make, make
from tracker.connect.declared.table import Table
from tracker.connect.fields import Field, Row
from tracker.errors import DataError, MoneyError
from tracker.money import currency_code, exact
from tracker.records import Earning, Interval, Invoice, Payout, PayoutItem, Program, Subscription

RECORDS: dict[str, type[Any]] = {
    record.__name__: record for record in (Earning, Subscription, Payout, PayoutItem, Program, Invoice)
}
_AMOUNT = ("less", "negative", "optional")
#: Every word with the keys that may stand beside it.
WORDS: dict[str, tuple[str, ...]] = {
    "text": ("optional",),
    "joined": ("optional",),
    "currency": ("optional",),
    "money": _AMOUNT,
    "minor": ("currency", *_AMOUNT),
    "scaled": ("places", *_AMOUNT),
    "localised_money": ("decimal_mark", *_AMOUNT),
    "timestamp": ("zone", "optional"),
    "epoch": ("unit", "optional"),
    "day": ("zone", "optional"),
    "flag": ("optional",),
    "present": (),
    "one_of": ("words", "optional"),
    "interval": ("count", "optional"),
    "constant": (),
}
_MONEY = ("money", "minor", "scaled", "localised_money")
_UNITS = {"s": Decimal(1), "ms": Decimal("0.001")}


class Code(str):
    """The type of a field that holds a currency."""

    __slots__ = ()


_FITTING: dict[type[Any], tuple[str, ...]] = {
    str: ("text", "joined", "one_of", "constant"),
    Code: ("currency", "one_of", "constant"),
    Decimal: (*_MONEY, "constant"),
    datetime: ("timestamp", "epoch"),
    date: ("day",),
    bool: ("flag", "present", "one_of", "constant"),
    Interval: ("interval", "one_of", "constant"),
    StrEnum: ("one_of", "constant"),
}


def read_make(table: Table) -> Make:
    """One `[[resources.NAME.makes]]`: a record, its fields, and if wished `parts` and `when`."""
    record = RECORDS[table.choice("record", RECORDS)]
    path = table.maybe("parts")
    parts = _parts(path) if path else None
    when = _when(table.inner("when")) if "when" in table else None
    types = get_type_hints(record)
    defaults = dict(zip(reversed(record.__struct_fields__), reversed(record.__struct_defaults__), strict=False))
    found = {}
    for name, hint in types.items():
        table.get(name, dict, None)
        if name in table:
            nullable = NoneType in get_args(hint)
            kind = next((one for one in get_args(hint) if one is not NoneType), hint) if nullable else hint
            found[name] = read_field(table.inner(name), Code if name.endswith("currency") else kind, nullable=nullable)
    table.close()
    if missing := [name for name in types if name not in {*found, *defaults}]:
        raise table.wrong(f"{missing[0]} is missing.", hint=f"Every {record.__name__} needs one.")
    return make(record, parts=parts, when=when, **found)


def read_field(table: Table, kind: type[Any], *, nullable: bool = False) -> Field:
    """The field that a table describes, for a value of that type. Raises ConfigError."""
    fitting = _FITTING[StrEnum if issubclass(kind, StrEnum) else kind]
    word = table.word(WORDS)
    if word not in fitting:
        raise table.wrong(f"{word} does not fit here.", word, hint=f"Use {' or '.join(fitting)}.")
    optional = table.get("optional", bool, False)
    if optional and not nullable:
        raise table.wrong("this may never be unknown, so it cannot be optional.", "optional")
    if word == "constant":
        field = kit.constant(_typed(table, "constant", table.values["constant"], kind))
    elif word == "joined":
        field = _joined([kit.optional(kit.text(path)) for path in table.names("joined")], optional=optional)
        if len(table.values["joined"]) < 2:
            raise table.wrong("expected two paths or more.", "joined")
    else:
        field = _with_path(table, word, table.get(word, str), kind)
        field = kit.optional(field) if optional and field.dotted is not None else field
        field = _taken_off(table, word, field) if word in _MONEY else field
    table.close()
    return field


def _with_path(table: Table, word: str, path: str, kind: type[Any]) -> Field:
    match word:
        case "text":
            return kit.text(path)
        case "currency":
            return kit.currency(path)
        case "money":
            return kit.money(path)
        case "minor":
            return kit.minor(path, table.get("currency", str))
        case "scaled":
            return kit.scaled(path, table.get("places", int))
        case "localised_money":
            mark = table.choice("decimal_mark", (",", ".")) if table.maybe("decimal_mark") else None
            return kit.localised_money(path, mark)
        case "timestamp":
            return kit.timestamp(path, zone=read_zone(table))
        case "day":
            return kit.day(path, zone=read_zone(table))
        case "epoch":
            return kit.epoch(path, unit_s=_UNITS[table.choice("unit", _UNITS, "s")])
        case "flag":
            return kit.flag(path)
        case "interval":
            return kit.interval(path, table.maybe("count"))
        case "present":
            return Field.of(_present(path))
        case _:
            return _one_of(table, path, kind)


def read_zone(table: Table) -> tzinfo:
    name = table.get("zone", str, "UTC")
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise table.wrong(
            f"not a time zone: {name[:40]!r}.", "zone", hint="Expected one such as Europe/Berlin."
        ) from None


def _one_of(table: Table, path: str, kind: type[Any]) -> Field:
    """The provider's words are text here, but may be numbers or true and false in the answers."""
    words = table.inner("words")
    if not words.values:
        raise words.wrong("is empty.", hint='Expected every word of the provider: {open = "pending", …}.')
    known = kit.one_of(path, {word: _typed(words, word, value, kind) for word, value in words.values.items()})
    assert known.convert is not None  # noqa: S101 - as one_of makes it
    convert = known.convert

    def read(value: object) -> object:
        if isinstance(value, bool):
            value = "true" if value else "false"
        return convert(str(value) if isinstance(value, int) else value)

    return Field(path, read)


def _typed(table: Table, key: str, value: object, kind: type[Any]) -> object:
    """A value of the file as one of the record's."""
    shape = bool if kind is bool else str
    if type(value) is not shape:
        raise table.wrong(f"expected {'true or false' if shape is bool else 'text'}, not {repr(value)[:60]}.", key)
    if issubclass(kind, StrEnum):
        return kind(table.choice(key, kind))
    try:
        if kind is Code:
            return currency_code(str(value))
        if kind is Decimal:
            return exact(value)
        return Interval.parse(str(value)) if kind is Interval else value
    except (MoneyError, ValueError) as error:
        raise table.wrong(f"{error}.".replace("..", "."), key) from None


def _taken_off(table: Table, word: str, field: Field) -> Field:
    """The amount without others of the same kind, or as what it takes away from the income."""
    less = [_with_path(table, word, path, Decimal) for path in table.names("less")]
    negative = table.get("negative", bool, False)
    if not less and not negative:
        return field

    def read(row: Row) -> Decimal | None:
        amount: Decimal | None = field.read(row)
        if amount is None:
            return None
        rest = amount - sum((one.read(row) for one in less), Decimal(0))
        return -abs(rest) if negative else rest

    return Field.of(read)


def _joined(fields: Iterable[Field], *, optional: bool) -> Field:
    fields = tuple(fields)

    def read(row: Row) -> str | None:
        found = [field.read(row) for field in fields]
        if None in found and not optional:
            raise DataError(f"{fields[found.index(None)].dotted!r} is missing")
        return None if None in found else ":".join(found)

    return Field.of(read)


def _present(path: str) -> Callable[[Row], bool]:
    return lambda row: bool(kit.get(row, path))


def read_condition(table: Table) -> Callable[[Row], bool]:
    """Whether something stands at a path of the row: neither null nor empty, zero or false."""
    path = table.get("present", str)
    table.close()
    return _present(path)


def _when(table: Table) -> Callable[[Row], bool]:
    field = read_field(table, bool, nullable=True)

    def read(row: Row) -> bool:
        try:
            return bool(field.read(row))
        except DataError as error:
            error.field = error.field or "when"
            raise

    return read


def _parts(path: str) -> Callable[[Row], list[Row]]:
    """The rows of a list inside the row. In each, "$row" is the row around it; no list there means none."""

    def read(row: Row) -> list[Row]:
        found = kit.get(row, path)
        if found is None:
            return []
        if not isinstance(found, list):
            raise DataError(f"{path!r} is not a list", field="parts")
        return [{**part, "$row": row, "$": row.get("$", {})} for part in found]

    return read
