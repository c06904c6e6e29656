"""Whether anything was written to the database, by whatever process, since somebody last asked."""

from threading import Lock
from typing import Any

from sqlalchemy import Engine, event, text

from tracker.store.database import reading


class Revision:
    """Two equal answers mean that nothing was committed between the questions.

    PostgreSQL tells which transactions a query sees (`pg_current_snapshot`: postgresql.org/docs, "Transaction ID and
    Snapshot Information Functions"). SQLite tells a connection when another one has committed (`data_version`:
    sqlite.org/pragma.html), so one connection is kept for asking, which never writes.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._lock = engine, Lock()
        self._kept: Any = None
        event.listen(engine, "engine_disposed", lambda engine: self._close())

    def now(self) -> str:
        if self._engine.dialect.name == "postgresql":
            with reading(self._engine) as conn:
                return str(conn.execute(text("SELECT pg_current_snapshot()::text")).scalar_one())
        with self._lock:
            if self._kept is None:
                self._kept = self._engine.raw_connection()
                self._kept.detach()  # from the pool, which has only so many
            cursor = self._kept.cursor()
            cursor.execute("PRAGMA data_version")
            return str(cursor.fetchone()[0])

    def _close(self) -> None:
        with self._lock:
            if self._kept is not None:
                self._kept.close()
                self._kept = None
