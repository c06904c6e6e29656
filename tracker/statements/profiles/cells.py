"""How the cells of a statement become a value of a record: the words of the connector kit, for text that people read.

A field of a profile is a constant, or a table with one of these words:

    { text = "Item" }                      the cell; of several columns the first that is filled; `pattern` takes a part
    { join = ["Payee", "Purpose"] }        all filled cells
    { money = "Net" }                      an amount; several columns are added; `less`, `times` and `negate` change it,
                                           `pattern` takes a part of the cell
    { currency = "Currency" }              an ISO 4217 code
    { timestamp = ["Date", "Time"] }       a time; a day alone is its noon
    { day = "Date" }                       a calendar day
    { one_of = "Type", words = {…} }       a word of a closed list; `otherwise` stands for the rest
    { choose = [{ when = …, then = … }] }  the first case that fits, else `otherwise`
    { option = "account" }                 an option of the connection

A condition (`when`) names a `column` and what it `is`, or that it is `filled`, `negative`, `nonzero` or `matches` a
pattern; `not = true` turns it round, and all of a list must hold. What a whole file says once stands in each row under
"$": the decimal mark, the order of dates, the currency of the header, the form of the table, its month.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any

from tracker.connect.fields import Row
from tracker.errors import DataError
from tracker.money import currency_code, exact, parse_localised
from tracker.statements.profiles.dates import day_in, moment

#: How statements write that there is nothing.
NOTHING = frozenset({"", "-", "--", "–", "—", "n/a", "N/A"})
WORDS = ("text", "join", "money", "currency", "timestamp", "day", "one_of", "choose", "option")
_MORE = {
    "text": {"pattern", "prefix", "suffix"}, "join": {"with"}, "money": {"less", "times", "negate", "pattern"},
    "one_of": {"words", "otherwise"}, "choose": {"otherwise"},
}  # fmt: skip
_TESTS = {"column", "is", "filled", "negative", "nonzero", "matches", "not"}

Read = Callable[[Row], Any]
Typed = Callable[[str], Any]


class Reading:
    """What all fields of a profile share: where its times are, and how its dates and amounts are written."""

    def __init__(self, zone: tzinfo, order: str, decimal: str) -> None:
        self.zone, self.order, self.decimal = zone, order, decimal

    def amount(self, row: Row, column: str, pattern: re.Pattern[str] | None = None) -> Decimal | None:
        value = row.get(column)
        if value is None:
            return None
        try:
            if pattern:
                found = pattern.search(str(value))
                value = found[1] if found else str(value)
            if not isinstance(value, str):
                return exact(value)
            return _amount(value, row.get("$decimal") or self.decimal or None)
        except DataError as error:
            error.message = f"{column}: {error.message}"
            raise

    def time(self, row: Row, columns: Sequence[str]) -> datetime | None:
        value = _joined(row, columns)
        return _moment(value, row.get("$dates") or self.order, self.zone) if value else None

    def day(self, row: Row, columns: Sequence[str]) -> date | None:
        value = _joined(row, columns)
        return day_in(value, row.get("$dates") or self.order)[0] if value else None


#: A row's amounts and times are read twice, for its id and for its fields, and days repeat from row to row.
_amount = lru_cache(maxsize=4_096)(parse_localised)
_moment = lru_cache(maxsize=4_096)(moment)


def _joined(row: Row, columns: Sequence[str]) -> str:
    return " ".join(str(row[column]) for column in columns if column in row) if columns[0] in row else ""


def as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


# --- fields ---


def field(spec: object, reading: Reading, typed: Typed, *, required: bool) -> Read:
    """A field of a profile as a function of the row. `typed` makes its words the record's.

    Raises ValueError for one that is not written as described above.
    """
    if not isinstance(spec, Mapping):
        value = typed(spec) if isinstance(spec, str) else spec
        return lambda row: value
    word, columns = _word(spec)
    read = _READERS[word](spec, columns, reading, typed)
    return _demanding(read, word, columns) if required else read


def _word(spec: Mapping[str, Any]) -> tuple[str, list[Any]]:
    found = [word for word in WORDS if word in spec]
    if len(found) != 1:
        raise ValueError(f"expected one of {', '.join(WORDS)}, got {', '.join(spec) or 'nothing'}")
    word = found[0]
    if more := set(spec) - {word} - _MORE.get(word, set()):
        raise ValueError(f"{word} knows no {', '.join(sorted(more))}")
    return word, as_list(spec[word])


def _demanding(read: Read, word: str, columns: list[Any]) -> Read:
    named = "" if word == "choose" else " or ".join(repr(name) for name in columns)

    def demanding(row: Row) -> Any:
        value = read(row)
        if value is None:
            raise DataError(f"{named} is empty" if named else "no case fits")
        return value

    return demanding


def _text(spec: Mapping[str, Any], columns: list[str], reading: Reading, typed: Typed) -> Read:
    pattern = re.compile(spec["pattern"]) if "pattern" in spec else None
    before, after = spec.get("prefix", ""), spec.get("suffix", "")

    def read(row: Row) -> str | None:
        for column in columns:
            if column in row:
                value = str(row[column])
                found = pattern.search(value) if pattern else None
                if pattern is None or found:
                    return f"{before}{found[1] if found else value}{after}"
        return None

    return read


def _join(spec: Mapping[str, Any], columns: list[str], reading: Reading, typed: Typed) -> Read:
    between = spec.get("with", " ")
    return lambda row: between.join(str(row[column]) for column in columns if column in row)


def _money(spec: Mapping[str, Any], columns: list[str], reading: Reading, typed: Typed) -> Read:
    less, times, negate = as_list(spec.get("less", [])), spec.get("times"), spec.get("negate", False)
    pattern = re.compile(spec["pattern"]) if "pattern" in spec else None

    def read(row: Row) -> Decimal | None:
        found = [amount for column in columns if (amount := reading.amount(row, column, pattern)) is not None]
        taken = [amount for column in less if (amount := reading.amount(row, column)) is not None]
        if not found and not taken:
            return None
        total = sum(found, Decimal(0)) - sum(taken, Decimal(0))
        if times:
            total *= reading.amount(row, times) or Decimal(0)
        return exact(-total if negate and total else total)

    return read


def _currency(spec: Mapping[str, Any], columns: list[str], reading: Reading, typed: Typed) -> Read:
    def read(row: Row) -> str | None:
        value = next((row[column] for column in columns if column in row), None)
        return currency_code(str(value)) if value is not None else None

    return read


def _timestamp(spec: Mapping[str, Any], columns: list[str], reading: Reading, typed: Typed) -> Read:
    return lambda row: reading.time(row, columns)


def _day(spec: Mapping[str, Any], columns: list[str], reading: Reading, typed: Typed) -> Read:
    return lambda row: reading.day(row, columns)


def _one_of(spec: Mapping[str, Any], columns: list[str], reading: Reading, typed: Typed) -> Read:
    (column,) = columns
    words = {str(word).casefold(): typed(value) for word, value in spec["words"].items()}
    rest = typed(spec["otherwise"]) if "otherwise" in spec else None

    def read(row: Row) -> Any:
        value = row.get(column)
        found = words.get("" if value is None else str(value).casefold(), rest)
        if found is None and value is not None:
            raise DataError(f"unknown word {str(value)[:60]!r} in {column!r}")
        return found

    return read


def _choose(spec: Mapping[str, Any], cases: list[Any], reading: Reading, typed: Typed) -> Read:
    made = [(condition(case["when"], reading), field(case["then"], reading, typed, required=False)) for case in cases]
    rest = field(spec["otherwise"], reading, typed, required=False) if "otherwise" in spec else None

    def read(row: Row) -> Any:
        for fits, then in made:
            if fits(row):
                return then(row)
        return rest(row) if rest else None

    return read


def _option(spec: Mapping[str, Any], names: list[str], reading: Reading, typed: Typed) -> Read:
    (name,) = names
    return lambda row: row.get("$", {}).get(name) or None


_READERS: dict[str, Callable[[Mapping[str, Any], list[Any], Reading, Typed], Read]] = {
    "text": _text, "join": _join, "money": _money, "currency": _currency, "timestamp": _timestamp, "day": _day,
    "one_of": _one_of, "choose": _choose, "option": _option,
}  # fmt: skip


# --- conditions ---


def condition(spec: object, reading: Reading) -> Callable[[Row], bool]:
    """All of the conditions hold. Raises ValueError for one that is not written as described above."""
    tests = [_test(one, reading) for one in as_list(spec)]
    return lambda row: all(test(row) for test in tests)


def _test(spec: object, reading: Reading) -> Callable[[Row], bool]:
    if not isinstance(spec, Mapping) or not isinstance(spec.get("column"), str):
        raise ValueError("a condition names a column")
    if more := set(spec) - _TESTS:
        raise ValueError(f"a condition knows no {', '.join(sorted(more))}")
    column, turned = spec["column"], spec.get("not", False)
    words = {str(word).casefold() for word in as_list(spec["is"])} if "is" in spec else None
    pattern = re.compile(spec["matches"]) if "matches" in spec else None

    def holds(row: Row) -> bool:
        value = row.get(column)
        if words is not None:
            return ("" if value is None else str(value).casefold()) in words
        if pattern is not None:
            return bool(pattern.search("" if value is None else str(value)))
        if "negative" in spec:
            return (reading.amount(row, column) or 0) < 0
        if "nonzero" in spec:
            return bool(reading.amount(row, column))
        return value is not None

    return lambda row: holds(row) != turned


# --- what a field reads ---


def columns_of(spec: object, *words: str) -> set[str]:
    """The columns that a field or a condition, or what is inside it, reads; with `words` only for these."""
    found: set[str] = set()
    if isinstance(spec, list):
        for one in spec:
            found |= columns_of(one, *words)
    elif isinstance(spec, Mapping):
        for name, value in spec.items():
            if name in ("less", "times") and (not words or "money" in words):
                found |= set(as_list(value))
            elif name in WORDS and name not in ("choose", "option"):
                found |= set(as_list(value)) if not words or name in words else set()
            elif name == "column":
                amounts = "negative" in spec or "nonzero" in spec
                found |= {value} if not words or ("money" in words and amounts) else set()
            elif name != "words":
                found |= columns_of(value, *words)
    return {column for column in found if isinstance(column, str) and not column.startswith("$")}
