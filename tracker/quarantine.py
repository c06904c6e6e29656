"""Rows that could not be understood: showing them, and trying them again with the connector as it is now."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, and_, delete, func, not_, or_, select, update
from sqlalchemy.sql import ColumnElement

from tracker import ledger
from tracker.books import begin_run, book_of, claimed, end_run
from tracker.connect.connector import Resource
from tracker.connect.normalise import Prepared, normalise
from tracker.connect.rows import digest
from tracker.connections import Deps
from tracker.errors import DataError, UnexpectedData, UsageError
from tracker.finish import finish
from tracker.ledger import Book, Sifted
from tracker.store import writes
from tracker.store.database import reading
from tracker.store.writes import connection_t
from tracker.store.writes import quarantine_t as q

#: Rows tried in one step.
STEP = 500
#: Rows of one list for a person.
SHOWN = 200
#: Two rows of one page with the same id: which of them counts is not ours to guess, so only an explicit id decides it.
_TWICE = "the id came twice"
#: How the error of a row begins that came in a file.
_LINE = re.compile(r"line \d+ of [^:]{1,200}: ")


class Tried(msgspec.Struct, kw_only=True):
    """What trying rows again brought. `waiting` rows are older versions of one that is still not understood."""

    slug: str
    tried: int = 0
    understood: int = 0
    held: int = 0
    waiting: int = 0
    undecided: int = 0  # came twice in one answer: only an explicit id makes one of them count


def held(
    engine: Engine, connection_id: int | None = None, limit: int = SHOWN, before: int | None = None
) -> tuple[list[Any], int]:
    """The newest rows in quarantine without their payload (older than row `before`), and how many there are in all."""
    mine = [] if connection_id is None else [q.c.connection_id == connection_id]
    older = [] if before is None else [q.c.id < before]
    columns = [column for column in q.c if column.name != "payload"]
    query = (
        select(connection_t.c.slug.label("connection"), *columns)
        .join(connection_t, connection_t.c.id == q.c.connection_id)
        .where(*mine, *older)
        .order_by(q.c.id.desc())
        .limit(limit)
    )
    with reading(engine) as conn:
        total = conn.execute(select(func.count()).select_from(q).where(*mine)).scalar_one()
        return list(conn.execute(query).all()), total


def found(engine: Engine, row_id: int) -> Any | None:
    """A row in quarantine with its payload; None when it is not there, perhaps because it is understood by now."""
    query = select(connection_t.c.slug.label("connection"), q).join(
        connection_t, connection_t.c.id == q.c.connection_id
    )
    with reading(engine) as conn:
        return conn.execute(query.where(q.c.id == row_id)).first()


def one(engine: Engine, row_id: int) -> Any:
    """A row in quarantine with its payload. Raises UsageError."""
    if (row := found(engine, row_id)) is None:
        raise UsageError(f"no row {row_id} is in quarantine.", hint="`tracker quarantine list` shows all.")
    return row


def retry(deps: Deps, ids: Sequence[int] = (), connection_id: int | None = None) -> list[Tried]:
    """Try rows again: those named, those of a connection, or all. Raises UsageError for an id that is not there."""
    scope = q.c.id.in_(ids) if ids else q.c.connection_id == connection_id if connection_id is not None else q.c.id > 0
    if len(ids) > SHOWN:
        raise UsageError(f"at most {SHOWN} ids at once.", hint="Leave them out to try all, or name a --connection.")
    with reading(deps.engine) as conn:
        there = set(conn.execute(select(q.c.id).where(scope)).scalars()) if ids else set()
        owners = list(
            conn.execute(select(q.c.connection_id).where(scope).distinct().order_by(q.c.connection_id)).scalars()
        )
    if missing := sorted(set(ids) - there):
        raise UsageError(f"no row {missing[0]} is in quarantine.", hint="`tracker quarantine list` shows all.")
    results = []
    now = deps.now()
    for owner in owners:
        with claimed(deps, owner, now) as (conn, row):
            book = book_of(deps, conn, row, now)
            tried = retry_rows(conn, book, row.slug, and_(q.c.connection_id == owner, scope), explicit=bool(ids))
            if tried.understood:
                finish(conn, book)
        results.append(tried)
    return results


def retry_rows(conn: Connection, book: Book, slug: str, scope: ColumnElement[bool], *, explicit: bool) -> Tried:
    """Try the rows in scope within the caller's transaction, the newest first: an older version of a row only follows
    when no newer one is waiting, so that nothing is overwritten by what was true before."""
    tried = Tried(slug=slug)
    if not explicit:
        twice = q.c.error.contains(_TWICE, autoescape=True)
        tried.undecided = conn.execute(select(func.count()).where(scope, twice)).scalar_one()
        scope = and_(scope, not_(twice))
    newer = q.alias("newer")
    superseded = (
        select(newer.c.id)
        .where(
            newer.c.connection_id == q.c.connection_id,
            newer.c.resource == q.c.resource,
            newer.c.row_key == q.c.row_key,
            newer.c.row_key != "",
            or_(
                newer.c.last_seen_at > q.c.last_seen_at,
                and_(newer.c.last_seen_at == q.c.last_seen_at, newer.c.id > q.c.id),
            ),
        )
        .exists()
    )
    run_id, before = 0, 0
    while rows := conn.execute(select(q).where(scope, ~superseded, q.c.id > before).order_by(q.c.id).limit(STEP)).all():
        before = rows[-1].id
        if not run_id:
            run_id = begin_run(conn, book.connection_id, book.now)
            book.run_id = run_id
        for name in sorted({row.resource for row in rows}):
            _try(conn, book, name, [row for row in rows if row.resource == name], tried)
    if run_id:
        message = f"Tried {tried.tried} rows of the quarantine again, {tried.understood} are understood now."
        counts = {"rows": tried.tried, "new": tried.understood, "quarantined": tried.held}
        end_run(conn, run_id, book.now, outcome="partial" if tried.held else "ok", message=message, **counts)
    tried.waiting = conn.execute(select(func.count()).where(scope, superseded)).scalar_one()
    return tried


def _try(conn: Connection, book: Book, name: str, rows: Sequence[Any], tried: Tried) -> None:
    tried.tried += len(rows)
    resource = next((resource for resource in book.connector.resources if resource.name == name), None)
    good: dict[str, tuple[bytes, Prepared, int]] = {}
    for row in rows:
        try:
            if resource is None:
                raise DataError(f"{book.connector.title} has no resource {name!r} any more")
            mark, prepared = _understood(book, resource, bytes(row.payload))
            if prepared.key in good:
                raise DataError(f"another row in quarantine has the id {prepared.key[:60]!r} too; try them one by one")
            good[prepared.key] = (mark, prepared, row.id)
        except (DataError, UnexpectedData) as error:
            tried.held += 1
            told = f"{_place(row.error)}{error}"
            conn.execute(update(q).where(q.c.id == row.id).values(error=told, tries=q.c.tries + 1))
    if good and resource is not None:
        known = writes.known_rows(conn, book.connection_id, name, list(good))
        ledger.write(
            conn,
            book,
            resource,
            Sifted(list(good), known, [(mark, prepared) for mark, prepared, _ in good.values()], []),
        )
        conn.execute(delete(q).where(q.c.id.in_([row_id for _, _, row_id in good.values()])))
        tried.understood += len(good)


def _place(error: str) -> str:
    """Where the row stands in the file that brought it, as its error said."""
    found = _LINE.match(error)
    return found[0] if found else ""


def _understood(book: Book, resource: Resource, payload: bytes) -> tuple[bytes, Prepared]:
    """A kept row prepared once more. Raises DataError or UnexpectedData when it still cannot be understood."""
    sifted = ledger.sift(
        book, resource, [""], [payload], {}, lambda row: row
    )  # "": whatever is known, it counts as new
    mark, prepared = sifted.fresh[0]
    if prepared.fault:
        raise prepared.fault
    normalise(resource, prepared.row, book.options, book.now)
    return mark, prepared


def hold(conn: Connection, book: Book, resource: Resource, kept: Sequence[tuple[str, bytes, DataError]]) -> int:
    """Put kept rows (id, payload, what is wrong) into quarantine. Answers how many were not there before."""
    prints = sorted({fingerprint(key, payload) for key, payload, _ in kept})
    there = sum(
        conn.execute(
            select(func.count()).where(
                q.c.connection_id == book.connection_id, q.c.resource == resource.name, q.c.fingerprint.in_(part)
            )
        ).scalar_one()
        for part in writes.chunks(prints)
    )
    rows = [ledger.held_row(book, resource, Prepared(key, {}, payload), error) for key, payload, error in kept]
    writes.quarantine(conn, rows)
    return len(prints) - there


def let_go(conn: Connection, book: Book, resource: str, kept: Sequence[tuple[str, bytes]]) -> int:
    """Take just these kept rows (id, payload) out of quarantine: a newer version of one may wait there too."""
    return sum(
        conn.execute(
            delete(q).where(
                q.c.connection_id == book.connection_id, q.c.resource == resource, q.c.fingerprint.in_(part)
            )
        ).rowcount
        for part in writes.chunks([fingerprint(key, payload) for key, payload in kept])
    )


def fingerprint(key: str, payload: bytes) -> str:
    """The same as for a row that a page brought."""
    return digest(key.encode() + b"\0" + payload).hex()
