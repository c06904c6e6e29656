"""One row on its way from a page to records: detail request, scrubbing of people, row id, records."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache

import msgspec

from tracker.connect.connector import Resource, records_of
from tracker.connect.fields import Row, as_text
from tracker.connect.rows import decode, encode, scrub
from tracker.errors import DataError
from tracker.records import Record

#: Turns a personal value into a lasting stand-in.
Pseudonym = Callable[[str], str]


class Prepared(msgspec.Struct):
    """A row ready to be kept: `kept` are its bytes without personal fields, `key` its id ("" when it has none)."""

    key: str
    row: Row
    kept: bytes
    fault: DataError | None = None


def prepare(resource: Resource, raw: bytes | msgspec.Raw, name: Pseudonym, detail: Callable[[Row], Row]) -> Prepared:
    """Decode and scrub a row. A row without a usable id comes back with a fault and the empty key.

    Raises UnexpectedData when the row is no JSON, and what `detail` raises.
    """
    row = decode(raw)
    if not isinstance(row, dict):
        return Prepared("", {"value": row}, encode(row), DataError("the row is not an object", field="row"))
    drop, pseudonyms = _paths(resource.drop), _paths(resource.pseudonymise)
    changed = bool(drop or pseudonyms or resource.tidy)
    if resource.details is not None and resource.details.when(row):
        row, changed = detail(row), True
    if resource.tidy:
        resource.tidy(row)
    if changed:
        row = scrub(row, drop, pseudonyms, name)
    kept = encode(row) if changed else bytes(raw)
    try:
        return Prepared(as_text(resource.row_id.read(row)), row, kept)
    except DataError as error:
        error.field = error.field or "id"
        return Prepared("", row, kept, error)


@lru_cache(maxsize=1024)
def _paths(dotted: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(path.split(".")) for path in dotted)


def normalise(resource: Resource, row: Row, options: Mapping[str, str], now: datetime) -> list[Record]:
    """The records of a prepared row. Raises DataError; the row is not changed."""
    return records_of(resource, {**row, "$": options}, now)
