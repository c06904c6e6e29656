"""Who syncs what, when: leases and the next time. The database row is the schedule.

A lease is taken with a conditional UPDATE: one changed row means that it is ours, so two clocks, several processes or a
doubled message are harmless, and a dead worker's lease runs out.
"""

import os
import random
import socket
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, or_, select, update

from tracker.errors import UsageError
from tracker.store.writes import connection_t as c

#: Longer than any one page may take with all its retries; prolonged with every page.
LEASE = timedelta(minutes=12)
BACK_OFF_FIRST_S = 60
BACK_OFF_MAX_S = 6 * 3600


def holder() -> str:
    """Names this process on this machine."""
    return f"{socket.gethostname()}:{os.getpid()}"


def claim(conn: Connection, connection_id: int, now: datetime) -> str:
    """Take the lease of a connection. Raises UsageError when somebody else holds it."""
    mine = f"{holder()}:{os.urandom(4).hex()}"
    row = conn.execute(select(c.c.leased_until, c.c.leased_by, c.c.slug).where(c.c.id == connection_id)).one()
    free = or_(c.c.leased_until.is_(None), c.c.leased_until < now)
    if row.leased_by and _is_dead(row.leased_by):
        free = or_(free, c.c.leased_by == row.leased_by)
    taken = conn.execute(
        update(c).where(c.c.id == connection_id, free).values(leased_until=now + LEASE, leased_by=mine)
    )
    if taken.rowcount != 1:
        until = conn.execute(select(c.c.leased_until).where(c.c.id == connection_id)).scalar() or now + LEASE
        raise UsageError(
            f"{row.slug} is being synced by another process.",
            hint=f"Wait for it, or until {until:%H:%M} UTC, when its lease runs out.",
        )
    return mine


def _is_dead(leased_by: str) -> bool:
    """Whether the process that held a lease ran on this machine and is gone."""
    host, _, rest = leased_by.partition(":")
    pid = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def release(conn: Connection, connection_id: int, lease: str, values: dict[str, Any]) -> None:
    """Give the lease back and write down how it went."""
    conn.execute(
        update(c)
        .where(c.c.id == connection_id, c.c.leased_by == lease)
        .values(leased_until=None, leased_by=None, **values)
    )


def back_off_s(failures: int, retry_after_s: float | None, chance: random.Random) -> float:
    """Seconds until the next try: what the provider asked for, else twice as long each time, spread by a fifth."""
    if retry_after_s is not None:
        return min(max(retry_after_s, 1.0), float(BACK_OFF_MAX_S)) * chance.uniform(1.0, 1.1)
    return min(BACK_OFF_FIRST_S * 2.0 ** min(failures - 1, 12), BACK_OFF_MAX_S) * chance.uniform(0.8, 1.2)


def due(conn: Connection, now: datetime, limit: int = 1000) -> list[int]:
    """Connections whose time has come, the longest waiting first."""
    query = (
        select(c.c.id)
        .where(
            c.c.next_sync_at <= now, c.c.paused_at.is_(None), or_(c.c.leased_until.is_(None), c.c.leased_until < now)
        )
        .order_by(c.c.next_sync_at)
        .limit(limit)
    )
    return list(conn.execute(query).scalars())
