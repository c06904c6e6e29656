"""What pages about connections ask: runs, how far each resource is, and how much came of it."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from tracker.store import tables
from tracker.store.writes import quarantine_t, run_t, state_t

month_t = tables.MonthlyIncome.__table__  # type: ignore[attr-defined]
address_t = tables.InboundAddress.__table__  # type: ignore[attr-defined]
stream_t = tables.Stream.__table__  # type: ignore[attr-defined]


class Came(NamedTuple):
    """How many earnings of a connection are in the ledger, and how many rows wait in quarantine."""

    earnings: int
    quarantined: int


def runs(conn: Connection, connection_id: int, limit: int) -> list[Any]:
    """The newest runs, each a whole row of `sync_run`."""
    r = run_t.c
    query = select(run_t).where(r.connection_id == connection_id)
    return list(conn.execute(query.order_by(r.started_at.desc(), r.id.desc()).limit(limit)))


def running(conn: Connection, ids: Collection[int]) -> dict[int, Any]:
    """The run that is under way, by connection; of few connections at a time."""
    found = {}
    for one in ids:
        newest = runs(conn, one, 1)
        if newest and newest[0].finished_at is None:
            found[one] = newest[0]
    return found


def places(conn: Connection, connection_id: int) -> dict[str, Any]:
    """How far each resource is: rows of `resource_state` by name."""
    return {row.resource: row for row in conn.execute(select(state_t).where(state_t.c.connection_id == connection_id))}


def came(conn: Connection, connection_id: int) -> Came:
    """Counted from the roll-up, so it is quick however many there are."""
    earnings = select(func.coalesce(func.sum(month_t.c.earnings), 0)).where(month_t.c.connection_id == connection_id)
    waiting = select(func.count()).select_from(quarantine_t).where(quarantine_t.c.connection_id == connection_id)
    return Came(int(conn.execute(earnings).scalar_one()), int(conn.execute(waiting).scalar_one()))


def address_since(conn: Connection, connection_id: int) -> datetime | None:
    """Since when providers may send by themselves, if they may."""
    made: datetime | None = conn.execute(
        select(address_t.c.made_at).where(address_t.c.connection_id == connection_id)
    ).scalar()
    return made


def stream_of(conn: Connection, stream_id: int) -> Any:
    """The stream that a connection's earnings belong to if no rule says otherwise."""
    return conn.execute(select(stream_t).where(stream_t.c.id == stream_id)).one()


def streams(conn: Connection) -> list[str]:
    """The titles of all streams."""
    return list(conn.execute(select(stream_t.c.title).order_by(stream_t.c.position, stream_t.c.title)).scalars())
