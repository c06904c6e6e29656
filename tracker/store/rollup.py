"""The monthly roll-up: kept by recomputing the months that a sync touched.

Recomputing in the transaction of every page would sum a month that spans many pages once for each of them. Instead a
page marks its months dirty in its own transaction, and the marks are worked off once, at the end of the run, or by the
first report that finds some: the figures are never stale and a first load stays linear.
"""

from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from tracker.store import tables
from tracker.store.writes import dirty_month_t, earning_t

e = earning_t
m = tables.MonthlyIncome.__table__  # type: ignore[attr-defined]
GROUP = (
    "connection_id", "earned_month", "approved_month", "paid_month", "stream_id", "program", "currency", "kind",
    "status", "settlement", "recurrence", "estimated", "paired",
)  # fmt: skip


def dirty(conn: Connection) -> bool:
    return conn.execute(select(dirty_month_t.c.month).limit(1)).first() is not None


def work_off(conn: Connection, connection_id: int | None = None) -> None:
    """Recompute every dirty month (of one connection) and drop the marks, in the caller's transaction."""
    marks = delete(dirty_month_t).returning(dirty_month_t.c.connection_id, dirty_month_t.c.month)
    if connection_id is not None:
        marks = marks.where(dirty_month_t.c.connection_id == connection_id)
    by_connection: dict[int, list[int]] = {}
    for row in conn.execute(marks).all():  # dropped before summing: a page that comes meanwhile leaves a new one
        by_connection.setdefault(row.connection_id, []).append(row.month)
    for owner, months in by_connection.items():
        conn.execute(delete(m).where(m.c.connection_id == owner, m.c.earned_month.in_(months)))
        conn.execute(_insert(e.c.connection_id == owner, e.c.earned_month.in_(months)))


def rebuild(conn: Connection) -> None:
    """Make the whole roll-up again from the earnings."""
    conn.execute(delete(m))
    conn.execute(_insert())
    conn.execute(delete(dirty_month_t))


def _insert(*conditions: Any) -> Any:
    converted = e.c.reporting_net.is_not(None)
    columns = [e.c[name] for name in GROUP]
    query = (
        select(*columns, converted.label("converted"), func.count(), func.sum(e.c.net), func.sum(e.c.reporting_net))
        .where(*conditions)
        .group_by(*columns, converted)
    )
    return insert(m).from_select([*GROUP, "converted", "earnings", "net", "reporting_net"], query)
