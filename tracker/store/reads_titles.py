"""Programs and products by their names: a pattern of ids and titles, or exactly one."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, or_, select
from sqlalchemy.sql import ColumnElement

from tracker.store.reads import program_t

p = program_t.c
#: Titles that one pattern stands for at most.
TITLES_MAX = 500


@dataclass(frozen=True, slots=True)
class Named:
    """Programs or products: a pattern of their ids, and what of each connection bears such a title.

    Where it is `exact`, the pattern is an id as it stands, except in the connections that show another title for it;
    an empty one is of what has no id.
    """

    pattern: str
    titled: tuple[tuple[int, tuple[str, ...]], ...]
    exact: bool = False
    retitled: tuple[int, ...] = ()


def like(conn: Connection, column: Any, pattern: str) -> ColumnElement[bool]:
    """Without case; `*` stands for any text, as in the rules of streams.

    SQLite's own LIKE has no case already (of ASCII letters, as its `lower`: sqlite.org/lang_expr.html#like), and takes
    half as long alone as between two calls of `lower`, which is how `ilike` is written there.
    """
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
    fits = column.like if conn.dialect.name == "sqlite" else column.ilike
    found: ColumnElement[bool] = fits(escaped, escape="\\")
    return found


def named(conn: Connection, t: Any, column: Any, names: Named) -> ColumnElement[bool]:
    """The earnings (or rows of the roll-up) whose program or product is meant."""
    if names.exact:
        own = column == names.pattern if names.pattern else column.is_(None)
        own = and_(own, t.c.connection_id.not_in(names.retitled)) if names.retitled else own
    else:
        own = like(conn, column, names.pattern) if "*" in names.pattern else column == names.pattern
    titled = (and_(t.c.connection_id == owner, column.in_(ids)) for owner, ids in names.titled)
    return or_(own, *titled)


def titled(conn: Connection, pattern: str, connection_id: int | None = None) -> Named:
    """The programs and products with such a title; those beyond TITLES_MAX are left out."""
    return Named(pattern, _titled(conn, like(conn, p.title, pattern), connection_id))


def exactly(conn: Connection, name: str, connection_id: int | None = None) -> Named:
    """What is shown with just this name: its title, or its id where it has none."""
    other = and_(p.external_id == name, p.title != name)
    retitled = [owner for owner, _ in _titled(conn, other, connection_id)]
    return Named(name, _titled(conn, p.title == name, connection_id), True, tuple(retitled))


def _titled(conn: Connection, fits: Any, connection_id: int | None) -> tuple[tuple[int, tuple[str, ...]], ...]:
    query = select(p.connection_id, p.external_id).where(fits).limit(TITLES_MAX)
    if connection_id is not None:
        query = query.where(p.connection_id == connection_id)
    found: dict[int, list[str]] = {}
    for row in conn.execute(query.order_by(p.connection_id, p.external_id)):
        found.setdefault(row.connection_id, []).append(row.external_id)
    return tuple((owner, tuple(ids)) for owner, ids in found.items())
