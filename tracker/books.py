"""Opening the book of one connection apart from a sync: to try kept rows again, to rebuild, to decide anew.

Whoever writes a connection's earnings holds its lease, so that no sync runs at the same time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from tracker import rates, schedule
from tracker.connect import catalog
from tracker.connections import Deps
from tracker.ledger import Book
from tracker.store.writes import connection_t, run_t
from tracker.stored import take_up


def book_of(deps: Deps, conn: Connection, row: Any, now: datetime, run_id: int = 0) -> Book:
    """The book of a connection. Its rows are taken as they were kept: people in them have their stand-ins already.

    Call it with the connection's lease: who changes the currency takes that away.
    """
    take_up(deps, conn)
    connector = catalog.find(row.provider)
    defaults = {name: option.default for name, option in connector.options.items() if option.default is not None}
    return Book(
        connection_id=row.id,
        connector=connector,
        options=defaults | dict(row.options),
        stream_id=row.stream_id,
        run_id=run_id,
        now=now,
        zone=deps.settings.zone,
        currency=deps.settings.currency,
        rates=rates.load_rates(conn),
        name=lambda text: text,
    )


@contextmanager
def claimed(
    deps: Deps, connection_id: int, now: datetime, *, scratch: bool = False
) -> Iterator[tuple[Connection, Any]]:
    """One transaction that holds the lease of a connection, with the connection's row.

    On PostgreSQL the row stays locked until the end, on SQLite the whole database is, so that the lease cannot be taken
    over however long it lasts. With `scratch`, SQLite keeps temporary tables on disk rather than in memory. Raises
    UsageError while a sync holds the lease.
    """
    with deps.engine.connect() as conn:
        on_disk = scratch and conn.dialect.name == "sqlite"
        if on_disk:
            _temp_store(conn, "FILE")
        try:
            with conn.begin():
                lease = schedule.claim(conn, connection_id, now)
                yield conn, conn.execute(select(connection_t).where(connection_t.c.id == connection_id)).one()
                schedule.release(conn, connection_id, lease, {})
        finally:
            if on_disk:
                _temp_store(conn, "MEMORY")


def _temp_store(conn: Connection, where: str) -> None:
    """Between transactions only: SQLite refuses the change inside one."""
    driver: Any = conn.connection.driver_connection
    driver.execute(f"PRAGMA temp_store = {where}")


def begin_run(conn: Connection, connection_id: int, now: datetime) -> int:
    """A run of its own for rows that are kept apart from a sync: each batch says when and by which run it came."""
    return int(conn.execute(insert(run_t).values(connection_id=connection_id, started_at=now)).inserted_primary_key[0])  # type: ignore[index]


def end_run(conn: Connection, run_id: int, now: datetime, **values: Any) -> None:
    conn.execute(update(run_t).where(run_t.c.id == run_id).values(finished_at=now, **values))
