"""One row on its way from a page to records: detail request, scrubbing of people, row id, records."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache

import msgspec

from tracker.connect.connector import UNREADABLE, Resource, records_of
from tracker.connect.fields import Row, as_text
from tracker.connect.rows import decode, encode, scrub
from tracker.errors import DataError, UnexpectedData
from tracker.records import Record

#: As JSON writes it: the one character that PostgreSQL cannot keep in a text.
NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # an odd number of backslashes: two of them stand for one in the text
#: Turns a personal value into a lasting stand-in.
Pseudonym = Callable[[str], str]


class Prepared(msgspec.Struct):
    """A row ready to be kept: `kept` are its bytes without personal fields, `key` its id ("" when it has none)."""

    key: str
    row: Row
    kept: bytes
    fault: DataError | None = None


def prepare(resource: Resource, raw: bytes | msgspec.Raw, name: Pseudonym, detail: Callable[[Row], Row]) -> Prepared:
    """Decode and scrub a row. One that cannot be decoded or has no usable id comes back with a fault and no key.

    Raises what `detail` raises.
    """
    try:
        row = decode(raw)
    except UnexpectedData as error:
        return Prepared("", {}, bytes(raw), DataError(f"cannot be read: {error.message}", field="row"))
    if not isinstance(row, dict):
        return Prepared("", {"value": row}, encode(row), DataError("the row is not an object", field="row"))
    drop, pseudonyms = _paths(resource.drop), _paths(resource.pseudonymise)
    changed = resource.tidy is not None
    fault: DataError | None = None
    try:
        if resource.details is not None and resource.details.when(row):
            row, changed = detail(row), True
        if resource.tidy:
            resource.tidy(row)
    except UNREADABLE as error:
        fault = DataError(f"cannot be read ({type(error).__name__}: {str(error)[:80]})", field="row")
    changed |= scrub(row, drop, pseudonyms, name)
    kept = encode(row) if changed else bytes(raw)
    if b"\\u0000" in kept and NUL.search(kept):
        return Prepared("", row, kept, DataError("holds a NUL character, which no text may", field="row"))
    try:
        return Prepared(row_key(resource, row), row, kept, fault)
    except DataError as error:
        return Prepared("", row, kept, fault or error)


def row_key(resource: Resource, row: Row) -> str:
    """The row's id. Raises DataError when there is none."""
    try:
        key = resource.row_id.read(row)
        key = key if type(key) is str else as_text(key)
    except UNREADABLE as error:
        raise DataError(f"cannot be read ({type(error).__name__}: {str(error)[:80]})", field="id") from error
    except DataError as error:
        error.field = error.field or "id"
        raise
    if not key or "\0" in key:
        raise DataError("is empty or no text", field="id")
    return key


@lru_cache(maxsize=1024)
def _paths(dotted: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(path.split(".")) for path in dotted)


def normalise(resource: Resource, row: Row, options: Mapping[str, str], now: datetime) -> list[Record]:
    """The records of a prepared row. Raises DataError; the row is not changed."""
    return records_of(resource, {**row, "$": options}, now)
