"""The runs of a connection, for programs that follow them."""

from sqlalchemy import Connection, select

from tracker.store import keyset
from tracker.store.keyset import Page
from tracker.store.writes import run_t


def page(conn: Connection, connection_id: int, *, place: str | None, limit: int) -> Page:
    """Runs, the newest first. Raises UsageError for a place that is none."""
    query = select(run_t).where(run_t.c.connection_id == connection_id)
    return keyset.page(conn, query, (run_t.c.id,), place, limit)
