"""From a statement to the ledger: its rows go the way of all rows, a batch in one transaction.

An import can be repeated without harm, and one that was broken off is simply repeated: what is there stays as it is.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, delete, func, select, update

from tracker import connections, ledger, schedule
from tracker.books import begin_run, book_of, end_run
from tracker.connect.connector import Resource
from tracker.connect.fields import Row
from tracker.connect.normalise import Prepared, prepare
from tracker.connections import Deps
from tracker.errors import TrackerError, Unavailable, UsageError
from tracker.finish import finish
from tracker.ledger import Book, Sifted, bank_line_t, payout_t
from tracker.records import Role
from tracker.statements.profiles.profile import Profile
from tracker.statements.statement import Line, Statement
from tracker.store import writes
from tracker.store.database import reading
from tracker.store.writes import earning_t, quarantine_t, run_t

#: Rows of one transaction.
BATCH = 1_000


class Report(msgspec.Struct, kw_only=True):
    """How an import went, in rows. `skipped` are sums and repeated headers."""

    slug: str
    profile: str
    rows: int = 0
    new: int = 0
    changed: int = 0
    quarantined: int = 0
    skipped: int = 0

    @property
    def unchanged(self) -> int:
        return self.rows - self.new - self.changed - self.quarantined


# --- the connection ---


def find_connection(deps: Deps, profile: Profile, slug: str | None) -> Any | None:
    """The connection that a statement belongs to; None where there is none yet.

    Raises UsageError where the slug is another provider's, or where several come into question.
    """
    every = connections.every(deps.engine)
    if slug is not None:
        row = next((row for row in every if row.slug == slug), None)
        if row is not None and row.provider != profile.slug:
            raise UsageError(
                f"{slug} is a connection of {row.provider}, the statement is one of {profile.slug}.",
                hint="Name another --connection; one that is not there yet is made.",
            )
        return row
    mine = [row for row in every if row.provider == profile.slug]
    if len(mine) > 1:
        names = " or ".join(f"--connection {row.slug}" for row in mine)
        raise UsageError(f"there are {len(mine)} connections of {profile.slug}.", hint=f"Choose: {names}")
    return mine[0] if mine else None


def role_of(deps: Deps, profile: Profile) -> Role:
    """The role of a new connection: beside one that reports the same money, a statement does not count by itself."""
    twins = {row.slug for row in connections.every(deps.engine) if row.provider in profile.same_money}
    return Role.ENRICHMENT if twins else profile.role


def make_connection(deps: Deps, profile: Profile, slug: str | None, *, stream: str | None = None) -> Any:
    """A new connection for statements of a profile."""
    name = slug or profile.slug
    return connections.add(
        deps, profile.slug, name, credentials={}, options={"account": name}, role=role_of(deps, profile), stream=stream
    )


# --- the rows ---


def import_statement(deps: Deps, row: Any, statement: Statement, tell: Callable[[Report], None]) -> Report:
    """Write all rows of a statement. `tell` hears of every batch.

    Raises UsageError when somebody else writes the connection, and what reading the file raises.
    """
    now = deps.now()
    report = Report(slug=row.slug, profile=statement.profile.slug)
    with deps.engine.begin() as conn:
        lease = schedule.claim(conn, row.id, now)
        dead = and_(run_t.c.connection_id == row.id, run_t.c.finished_at.is_(None))
        ended = {"finished_at": now, "outcome": "failed", "error": "Killed", "message": "The process ended."}
        conn.execute(update(run_t).where(dead).values(ended))
        run_id = begin_run(conn, row.id, now)
        book = _book(deps, conn, row, now, run_id)
    try:
        for lines in _batches(statement.lines()):
            _take(deps, book, lease, lines, report)
            tell(report)
        report.skipped = statement.skipped
        with deps.engine.begin() as conn:
            finish(conn, book)
            _let_go(conn, book, statement, report)
            as_of = max(filter(None, (row.as_of, min(_newest(conn, row.id) or now, now))))
            _end(conn, deps, book, lease, report, None, {"as_of": as_of})
    except BaseException as error:
        with deps.engine.begin() as conn:
            _end(conn, deps, book, lease, report, error, {})
        raise
    return report


def _book(deps: Deps, conn: Connection, row: Any, now: datetime, run_id: int) -> Book:
    finished = and_(earning_t.c.connection_id == row.id, ~earning_t.c.fresh)
    newest = conn.execute(select(func.max(earning_t.c.id)).where(finished)).scalar()
    book = book_of(deps, conn, row, now, run_id)
    return msgspec.structs.replace(book, newest=newest, name=lambda text: deps.vault.pseudonym("payer", text))


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    while batch := list(islice(lines, BATCH)):
        yield batch


def _take(deps: Deps, book: Book, lease: str, lines: list[Line], report: Report) -> None:
    (resource,) = book.connector.resources
    good = [line for line in lines if line.fault is None]
    keys, raws = [line.key for line in good], [line.kept for line in good]
    with reading(deps.engine) as conn:
        known = writes.known_rows(conn, book.connection_id, resource.name, keys)
    sifted = ledger.sift(book, resource, keys, raws, known, _as_it_is)
    sifted.places = {line.key: line.place for line in lines}
    sifted.held += [(_scrubbed(book, resource, line), line.fault) for line in lines if line.fault]
    with deps.engine.begin() as conn:
        if not writes.touch_lease(conn, book.connection_id, lease, deps.now() + schedule.LEASE):
            raise Unavailable("another process took over this connection.", hint="Import the file again.")
        taken = ledger.write(conn, book, resource, Sifted(keys, known, sifted.fresh, sifted.held, sifted.places))
    report.rows += len(lines)
    report.new += taken.new
    report.changed += taken.changed
    report.quarantined += taken.quarantined


def _scrubbed(book: Book, resource: Resource, line: Line) -> Prepared:
    """A row that goes to quarantine before any field of it is read; people in it have stand-ins there as well."""
    prepared = prepare(resource, line.kept, book.name, _as_it_is)
    return Prepared(line.key, prepared.row, prepared.kept)


def _as_it_is(row: Row) -> Row:
    return row


def _let_go(conn: Connection, book: Book, statement: Statement, report: Report) -> None:
    """Rows in quarantine that an earlier version of this file had and that are mended or gone by now.

    That it is the same file again, and not the next one of the same name, is told by most of its rows being known.
    """
    if report.unchanged * 2 < report.rows:
        return
    q = quarantine_t.c
    of_file = and_(
        q.error.startswith("line "), q.error.contains(f" of {statement.name.replace(':', ' ')}", autoescape=True)
    )
    before = and_(q.connection_id == book.connection_id, q.last_seen_at < book.now)
    conn.execute(delete(quarantine_t).where(before, of_file))


def _newest(conn: Connection, connection_id: int) -> datetime | None:
    """Up to when the statements of a connection tell."""
    asked: list[tuple[Any, Any]] = [(earning_t, earning_t.c.earned_at), (payout_t, payout_t.c.created_at)]
    found = [
        conn.execute(select(func.max(column)).where(table.c.connection_id == connection_id)).scalar()
        for table, column in asked
    ]
    booked = conn.execute(
        select(func.max(bank_line_t.c.booked_on)).where(bank_line_t.c.connection_id == connection_id)
    ).scalar()
    found.append(datetime.combine(booked, time(), UTC) + timedelta(hours=12) if booked else None)
    return max(filter(None, found), default=None)


def _end(
    conn: Connection, deps: Deps, book: Book, lease: str, report: Report, error: BaseException | None,
    values: dict[str, Any],
) -> None:  # fmt: skip
    counts = {"rows": report.rows, "new": report.new, "changed": report.changed, "quarantined": report.quarantined}
    outcome = "failed" if error is not None else "partial" if report.quarantined else "ok"
    message = None
    if error is not None:
        message = str(error) if isinstance(error, TrackerError) else "The import was broken off; import the file again."
    name = type(error).__name__ if error is not None else None
    end_run(conn, book.run_id, deps.now(), outcome=outcome, error=name, message=message, **counts)
    schedule.release(conn, book.connection_id, lease, values)
