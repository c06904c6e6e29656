"""Writing in sets: kept rows, records, changes, page digests. Every write can be repeated without harm."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec
import zstandard
from sqlalchemy import (
    ARRAY,
    Boolean,
    Connection,
    Dialect,
    String,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from tracker.store import tables

CHUNK = 500  # values in one IN list
STEP = 2_000  # earnings in memory while a whole connection is gone through

connection_t: Table = tables.Connection.__table__  # type: ignore[attr-defined]
raw_batch_t: Table = tables.RawBatch.__table__  # type: ignore[attr-defined]
raw_row_t: Table = tables.RawRow.__table__  # type: ignore[attr-defined]
page_digest_t: Table = tables.PageDigest.__table__  # type: ignore[attr-defined]
quarantine_t: Table = tables.Quarantine.__table__  # type: ignore[attr-defined]
earning_t: Table = tables.Earning.__table__  # type: ignore[attr-defined]
earning_change_t: Table = tables.EarningChange.__table__  # type: ignore[attr-defined]
dirty_month_t: Table = tables.DirtyMonth.__table__  # type: ignore[attr-defined]
state_t: Table = tables.ResourceState.__table__  # type: ignore[attr-defined]
run_t: Table = tables.SyncRun.__table__  # type: ignore[attr-defined]

Row = Mapping[str, Any]
_PLAIN = frozenset({str, type(None)})
T = TypeVar("T")


class _Upsert(NamedTuple):
    """INSERT … ON CONFLICT (key) DO UPDATE of every given column that is neither key nor kept.

    `text` and `bind` (columns with what turns their values into the driver's) spare SQLAlchemy's work on every single
    row, which cost more than the insert itself. PostgreSQL takes a whole set in one statement, a column an array.
    """

    text: str
    bind: tuple[tuple[str, Callable[[Any], Any] | None], ...]


@lru_cache(maxsize=256)
def _upsert(
    table: Table, key: tuple[str, ...], given: tuple[str, ...], empty: tuple[str, ...], kept: frozenset[str],
    dialect: Dialect,
) -> _Upsert:  # fmt: skip
    statement: Any
    if dialect.name == "postgresql":
        arrays = (bindparam(name, type_=ARRAY(_endless(table.c[name].type))) for name in given)
        rows = func.unnest(*arrays).table_valued(*given).render_derived()
        statement = postgresql.insert(table).from_select(list(given), select(*(rows.c[name] for name in given)))
    else:
        statement = sqlite.insert(table).values({name: bindparam(name) for name in given}).inline()
    changed = {name: statement.excluded[name] for name in given if name not in key and name not in kept}
    changed |= {name: null() for name in empty if name not in kept}
    if changed:
        statement = statement.on_conflict_do_update(index_elements=list(key), set_=changed)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=list(key))
    compiled = statement.compile(dialect=dialect)
    names = compiled.positiontup or given
    return _Upsert(str(compiled), tuple((name, _binder(table.c[name], dialect)) for name in names))


def _endless(kind: Any) -> Any:
    """A cast to VARCHAR(2) cuts a longer text without a word; without a length the column refuses it."""
    return String() if isinstance(kind, String) else kind


def _binder(column: Any, dialect: Dialect) -> Callable[[Any], Any] | None:
    if isinstance(column.type, Boolean):
        return int if dialect.name == "sqlite" else None
    if isinstance(column.type, String) and column.type.length:
        return str  # an enum's word: the driver looks for an adapter of every value whose type it does not know
    found: Callable[[Any], Any] | None = column.type.dialect_impl(dialect).bind_processor(dialect)
    return found


def upsert(conn: Connection, table: Table, rows: Sequence[Row], key: tuple[str, ...], kept: Iterable[str] = ()) -> None:
    """Insert rows, or update those with the same key; `kept` columns only on insert.

    All rows have equal columns, and no two of them one key.
    """
    if not rows:
        return
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    nothing = [None] * len(rows)  # most columns of most providers: what is not bound costs nothing
    empty = tuple(name for name, values in columns.items() if values == nothing)
    given = tuple(name for name in columns if name not in empty)
    plan = _upsert(table, key, given, empty, frozenset(kept), conn.dialect)
    bound = {name: _bound(columns[name], process) for name, process in plan.bind}
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql(plan.text, bound)
    else:
        conn.exec_driver_sql(plan.text, list(zip(*bound.values(), strict=True)))


def in_steps(conn: Connection, condition: Any, *columns: Any) -> Iterator[Sequence[Any]]:
    """The earnings that fit, a set at a time and in the order of their ids, which each row has besides the columns.

    No set is read while the one before is worked on, so they may be changed meanwhile, and memory holds just one.
    """
    done = 0
    query = select(earning_t.c.id, *columns).order_by(earning_t.c.id).limit(STEP)
    while rows := conn.execute(query.where(condition, earning_t.c.id > done)).all():
        yield rows
        done = rows[-1].id


def _bound(values: list[Any], process: Callable[[Any], Any] | None) -> list[Any]:
    if process is None or (process is str and _PLAIN.issuperset(map(type, values))):
        return values
    return [None if value is None else process(value) for value in values]


def chunks(items: Sequence[T]) -> Iterable[Sequence[T]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


# Statements of every page are made once: to put one together costs more than to run it.
_OWNER: Any = bindparam("owner")
_NAME: Any = bindparam("name")
_IDS: Any = bindparam("ids", expanding=True)


def _of(table: Table, *columns: Any) -> Any:
    return select(*columns).where(table.c.connection_id == _OWNER, table.c.resource == _NAME)


_r = raw_row_t.c
_KNOWN_ROWS = _of(raw_row_t, _r.key, _r.digest, _r.made).where(_r.key.in_(_IDS))
_HELD = _of(quarantine_t, quarantine_t.c.row_key)
_p = page_digest_t.c
_SEEN = _of(page_digest_t, _p.digest, _p.revision).where(_p.key == bindparam("page"))


_c = connection_t.c
_PROLONG = (
    update(connection_t).where(_c.id == _OWNER, _c.leased_by == bindparam("holder"))
    .values(leased_until=bindparam("until"))
)  # fmt: skip


@lru_cache(maxsize=16)
def _existing(table: Table) -> Any:
    return _of(table, table).where(table.c.external_id.in_(_IDS))


# --- rows as they came ---


def known_rows(
    conn: Connection, connection_id: int, resource: str, keys: Sequence[str]
) -> dict[str, tuple[bytes, list[str] | None]]:
    """Digest and what was made of each row that was kept before."""
    given = {"owner": connection_id, "name": resource}
    return {
        row.key: (bytes(row.digest), row.made)
        for part in chunks(keys)
        for row in conn.execute(_KNOWN_ROWS, {**given, "ids": list(part)})
    }


def keep_batch(
    conn: Connection, connection_id: int, resource: str, run_id: int, fetched_at: Any, rows: Sequence[bytes]
) -> int:
    """Store rows together, compressed. Answers the batch's id."""
    blob = zstandard.ZstdCompressor(level=1).compress(b"[" + b",".join(rows) + b"]")
    values = {
        "connection_id": connection_id,
        "resource": resource,
        "run_id": run_id,
        "fetched_at": fetched_at,
        "rows": blob,
    }
    return int(conn.execute(insert(raw_batch_t).values(values)).inserted_primary_key[0])  # type: ignore[index]


def unpack_batch(blob: bytes) -> list[msgspec.Raw]:
    return msgspec.json.decode(zstandard.ZstdDecompressor().decompress(blob), type=list[msgspec.Raw])


def keep_rows(conn: Connection, rows: Sequence[Row]) -> None:
    upsert(conn, raw_row_t, rows, ("connection_id", "resource", "key"))


def quarantine(conn: Connection, rows: Sequence[Row]) -> None:
    """Keep rows that could not be understood; one that comes again counts another try."""
    if not rows:
        return
    statement: Any = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(quarantine_t)
    again = {name: statement.excluded[name] for name in ("payload", "error", "last_seen_at", "row_key")}
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["connection_id", "resource", "fingerprint"],
            set_={**again, "tries": quarantine_t.c.tries + 1},
        ),
        rows,
    )


def release(conn: Connection, connection_id: int, resource: str, keys: Sequence[str]) -> None:
    """Rows that are understood now leave the quarantine."""
    held = set(conn.execute(_HELD, {"owner": connection_id, "name": resource}).scalars())
    for part in chunks([key for key in keys if key in held]):
        conn.execute(
            delete(quarantine_t).where(
                quarantine_t.c.connection_id == connection_id,
                quarantine_t.c.resource == resource,
                quarantine_t.c.row_key.in_(part),
            )
        )


# --- pages and places ---


def page_seen(conn: Connection, connection_id: int, resource: str, key: str, digest: bytes, revision: int) -> bool:
    found = conn.execute(_SEEN, {"owner": connection_id, "name": resource, "page": key}).first()
    return found is not None and bytes(found.digest) == digest and found.revision == revision


def remember_page(conn: Connection, connection_id: int, resource: str, key: str, digest: bytes, revision: int) -> None:
    row = {"connection_id": connection_id, "resource": resource, "key": key, "digest": digest, "revision": revision}
    upsert(conn, page_digest_t, [row], ("connection_id", "resource", "key"))


def save_place(conn: Connection, connection_id: int, resource: str, values: Row) -> None:
    upsert(
        conn, state_t, [{"connection_id": connection_id, "resource": resource, **values}], ("connection_id", "resource")
    )


# --- earnings ---


def existing(conn: Connection, table: Table, connection_id: int, resource: str, ids: Sequence[str]) -> dict[str, Any]:
    """Rows of a record table by external id."""
    given = {"owner": connection_id, "name": resource}
    return {
        row.external_id: row
        for part in chunks(ids)
        for row in conn.execute(_existing(table), {**given, "ids": list(part)})
    }


def mark_dirty(conn: Connection, connection_id: int, months: Iterable[int]) -> None:
    """Note that the roll-up of these months is older than their earnings.

    A mark that is there already is written again, which locks it: whoever works it off waits for this transaction, and
    so cannot sum the month without it.
    """
    rows = [{"connection_id": connection_id, "month": month} for month in sorted(set(months))]
    if rows:
        statement: Any = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(dirty_month_t)
        again = {"month": statement.excluded.month}
        conn.execute(statement.on_conflict_do_update(index_elements=["connection_id", "month"], set_=again), rows)


def mark_dirty_where(conn: Connection, condition: Any) -> None:
    """Mark the months of all earnings that fit a condition, before they are changed."""
    months = select(earning_t.c.connection_id, earning_t.c.earned_month).where(condition).distinct()
    for row in conn.execute(months).all():
        mark_dirty(conn, row.connection_id, [row.earned_month])


def refresh_paid_by(conn: Connection, connection_id: int, resources: Sequence[str], refs: Sequence[str]) -> None:
    """Earnings that these payment references belong to are to be linked and classified again."""
    e = earning_t.c
    mine = e.connection_id == connection_id
    for part in chunks(refs):
        by_id = and_(mine, e.resource.in_(resources), e.external_id.in_(part))
        paid_by = or_(by_id, *(and_(mine, ref.in_(part)) for ref in (e.payment_ref, e.gateway_ref)))
        conn.execute(update(earning_t).where(paid_by).values(fresh=True))


def refresh_subscribed(conn: Connection, connection_id: int, refs: Sequence[str]) -> None:
    """Earnings of these subscriptions are to be classified again."""
    for part in chunks(refs):
        conn.execute(
            update(earning_t)
            .where(earning_t.c.connection_id == connection_id, earning_t.c.subscription_ref.in_(part))
            .values(fresh=True)
        )


def touch_lease(conn: Connection, connection_id: int, holder: str, until: Any) -> bool:
    """Prolong our own lease; False when somebody else holds it by now."""
    given = {"owner": connection_id, "holder": holder, "until": until}
    return conn.execute(_PROLONG, given).rowcount == 1
