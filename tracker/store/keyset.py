"""Pages of a long list, found by the place of a row and not by counting: as fast at the end as at the beginning.

A place is the text of a row's sort keys, with the way to go from there: `-` to the rows after it in the list (older),
`+` to those before it (newer). It goes into addresses and comes back from there, so nothing in it is believed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, literal, tuple_

from tracker.errors import UsageError
from tracker.store.columns import UtcDateTime

_PLACE_MAX, _ID_MAX = 80, 2**63
_TIME = "%Y%m%dT%H%M%S.%f"


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the order of the list, and the places to go on from; None where the list ends."""

    rows: Sequence[Any]
    newer: str | None
    older: str | None


def page(conn: Connection, query: Select[Any], keys: Sequence[Any], place: str | None, limit: int) -> Page:
    """The next rows of a query, the highest keys first. The last key must be unique.

    `keys` are columns of the query, of times or whole numbers. Raises UsageError for a place that is none.
    """
    back, values = _read(place, keys) if place else (False, ())
    if values:
        here = tuple_(*keys)
        there = tuple_(*(literal(value, key.type) for value, key in zip(values, keys, strict=True)))
        query = query.where(here > there if back else here < there)
    order = [key.asc() if back else key.desc() for key in keys]
    found = list(conn.execute(query.order_by(*order).limit(limit + 1)))
    more, rows = len(found) > limit, found[:limit]
    if back:
        rows.reverse()
    names = [key.key for key in keys]
    newer = more if back else place is not None
    older = back or more
    return Page(
        rows,
        _written("+", rows[0], names) if rows and newer else None,
        _written("-", rows[-1], names) if rows and older else None,
    )


def _written(way: str, row: Any, names: Sequence[str]) -> str:
    values = (getattr(row, name) for name in names)
    texts = (value.strftime(_TIME) if isinstance(value, datetime) else str(value) for value in values)
    return way + "_".join(texts)


def _read(place: str, keys: Sequence[Any]) -> tuple[bool, tuple[Any, ...]]:
    way, parts = place[:1], place[1:_PLACE_MAX].split("_")
    try:
        values = tuple(_value(part, key) for part, key in zip(parts, keys, strict=True))
        if way in ("+", "-"):
            return way == "+", values
    except ValueError:
        pass
    raise UsageError("there is no such place in the list.", hint="Begin at its start.")


def _value(text: str, key: Any) -> datetime | int:
    if isinstance(key.type, UtcDateTime):
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    if not 0 <= int(text) < _ID_MAX:
        raise ValueError("no row has such a key")
    return int(text)
