"""Who syncs what, when: hand-outs, leases and the next time. The database row is the schedule.

`next_sync_at` alone says what is due; to move it is the only way to ask for a sync. Who finds a connection due hands it
out with a conditional UPDATE, who syncs it takes a lease with another: so two clocks, several processes and doubled
messages are harmless. A hand-out that nothing came of and a dead worker's lease run out.
"""

import os
import random
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, func, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tracker.errors import UsageError
from tracker.hours import is_quiet, loud
from tracker.store import tables
from tracker.store.writes import connection_t as c
from tracker.store.writes import run_t

setting_t = tables.Setting.__table__  # type: ignore[attr-defined]

#: Longer than any one page may take with all its retries; prolonged with every page.
LEASE = timedelta(minutes=12)
#: How long a message may wait for a worker before it is taken for lost.
HAND_OUT = timedelta(minutes=15)
BACK_OFF_FIRST_S = 60
BACK_OFF_MAX_S = 6 * 3600
#: What is added to an interval at most, so that connections of one minute grow apart: a tenth of it, or so much.
SPREAD_MAX_S = 900
#: Waiting for less is no sign of trouble; and how many that wait are named at most.
OVERDUE_MIN, OVERDUE_MAX = timedelta(hours=1), 100


# --- leases ---


def holder() -> str:
    """Names this process on this machine."""
    return f"{socket.gethostname()}:{os.getpid()}"


def claim(conn: Connection, connection_id: int, now: datetime, *, due_at: datetime | None = None) -> str:
    """Take the lease of a connection. Raises UsageError when somebody else holds it.

    With `due_at` also when the connection is paused or not due since then any more: somebody else was faster.
    """
    mine = f"{holder()}:{_began(os.getpid())}:{os.urandom(4).hex()}"
    row = conn.execute(select(c.c.leased_until, c.c.leased_by, c.c.slug).where(c.c.id == connection_id)).one()
    free = is_free(now)
    if row.leased_by and _is_dead(row.leased_by):
        free = or_(free, c.c.leased_by == row.leased_by)
    taking = update(c).where(c.c.id == connection_id, free)
    if due_at is not None:
        taking = taking.where(c.c.next_sync_at == due_at, c.c.paused_at.is_(None))
    taken = conn.execute(taking.values(leased_until=now + LEASE, leased_by=mine, queued_until=None))
    if taken.rowcount != 1:
        until = conn.execute(select(c.c.leased_until).where(c.c.id == connection_id)).scalar()
        if due_at is not None and (until is None or until < now):
            raise UsageError(f"{row.slug} is not due any more.")
        raise UsageError(
            f"{row.slug} is being synced by another process.",
            hint=f"Wait for it, or until {until or now + LEASE:%H:%M} UTC, when its lease runs out.",
        )
    return mine


def is_free(now: datetime) -> ColumnElement[bool]:
    """Whether nobody is reading a connection."""
    return or_(c.c.leased_until.is_(None), c.c.leased_until < now)


def _is_dead(leased_by: str) -> bool:
    """Whether the process that held a lease ran on this machine and is gone, also where its number is in use again."""
    host, pid, began, *_ = (*leased_by.split(":"), "", "")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return bool(began) and _began(int(pid)) not in (began, "")


def _began(pid: int) -> str:
    """When a process began, as Linux counts (proc_pid_stat(5), field 22), or "": containers use the same ids again.

    A process that ended, but whose parent has not looked yet, "ended".
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return "ended" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""


def release(conn: Connection, connection_id: int, lease: str, values: Mapping[str, Any]) -> None:
    """Give the lease back and write down how it went."""
    given_back = {"leased_until": None, "leased_by": None, "queued_until": None}
    conn.execute(update(c).where(c.c.id == connection_id, c.c.leased_by == lease).values({**given_back, **values}))


def free_dead(conn: Connection) -> None:
    """Take back the leases of processes that died on this machine, so that nobody waits for them."""
    for row in conn.execute(select(c.c.id, c.c.leased_by).where(c.c.leased_by.is_not(None))).all():
        if _is_dead(row.leased_by):
            release(conn, row.id, row.leased_by, {})


# --- hand-outs ---


def _due(now: datetime) -> list[ColumnElement[bool]]:
    return [
        c.c.next_sync_at <= now,
        c.c.paused_at.is_(None),
        is_free(now),
        or_(c.c.queued_until.is_(None), c.c.queued_until < now),
    ]


def hand_out(conn: Connection, now: datetime, zone: tzinfo, limit: int) -> tuple[list[int], int]:
    """Take up to `limit` connections whose time has come, the longest waiting first. Answers them and how many came.

    Nobody else gets them until the hand-out runs out. What waits since before its quiet hours is put off to their end.
    """
    picked = select(c.c.id).where(*_due(now)).order_by(c.c.next_sync_at).limit(limit)
    picked_ids = select(picked.with_for_update(skip_locked=True).cte("picked").c.id)
    taking = update(c).where(c.c.id.in_(picked_ids)).values(queued_until=now + HAND_OUT)
    rows = conn.execute(taking.returning(c.c.id, c.c.next_sync_at, c.c.interval_s, c.c.quiet)).all()
    later = {row.id: until for row in rows if row.quiet and (until := put_off(row, now, zone))}
    move(conn, later)
    ready = [row.id for row in sorted(rows, key=lambda row: (row.next_sync_at, row.id)) if row.id not in later]
    return ready, len(rows)


def give_back(conn: Connection, ids: Sequence[int] | None = None) -> None:
    """Make connections due again that were handed out, all of them where none are named."""
    mine = c.c.queued_until.is_not(None) if ids is None else c.c.id.in_(ids)
    conn.execute(update(c).where(mine).values(queued_until=None))


def move(conn: Connection, times: Mapping[int, datetime]) -> None:
    """Set the next time of connections."""
    if times:
        moving = update(c).where(c.c.id == bindparam("moved")).values(next_sync_at=bindparam("at"), queued_until=None)
        conn.execute(moving, [{"moved": one, "at": at} for one, at in times.items()])


def ask(conn: Connection, row: Any, now: datetime, zone: tzinfo) -> None:
    """Make a connection due, because its provider says that something is new: at once, or after its quiet hours.

    A run that is under way may have read past it, so another follows. After trouble the back-off stays: what the
    provider asked for is kept, and the next try reads it all.
    """
    at = awake(now, row, zone)
    later = or_(c.c.next_sync_at > at, c.c.leased_until >= now)
    asked = update(c).where(c.c.id == row.id, c.c.failures == 0, later)
    conn.execute(asked.values(next_sync_at=at, queued_until=None))


def hurry(conn: Connection, connection_id: int, now: datetime) -> None:
    """Make a connection due at once, because a person asked for it; one that is being read or is paused is left."""
    asked = update(c).where(c.c.id == connection_id, c.c.paused_at.is_(None), is_free(now))
    conn.execute(asked.values(next_sync_at=now, queued_until=None))


def unless_asked(row: Any, at: datetime) -> ColumnElement[datetime]:
    """The next time after a run that read `row` as it began: `at`, or sooner where that was asked for meanwhile."""
    asked = and_(c.c.next_sync_at != row.next_sync_at, c.c.next_sync_at < at)
    return case((asked, c.c.next_sync_at), else_=literal(at, c.c.next_sync_at.type))


def repair(conn: Connection, now: datetime, zone: tzinfo) -> None:
    """Bring back what a clock that ran ahead, or a process that died, has left behind.

    No lease, hand-out or next time may stand later than one that is set now; so nothing waits for a wrong year.
    """
    free_dead(conn)
    conn.execute(update(c).where(c.c.leased_until > now + LEASE).values(leased_until=now + LEASE))
    conn.execute(update(c).where(c.c.queued_until > now + HAND_OUT).values(queued_until=None))
    kind = (c.c.interval_s, c.c.quiet, c.c.failures > 0)
    for interval_s, quiet, failed, newest in conn.execute(select(*kind, func.max(c.c.next_sync_at)).group_by(*kind)):
        longest = max(interval_s * 1.1, 1.2 * BACK_OFF_MAX_S if failed else 0)
        latest = loud(now + timedelta(seconds=longest), quiet, zone) + timedelta(seconds=SPREAD_MAX_S)
        if newest and newest > latest:
            alike = (c.c.interval_s == interval_s, c.c.quiet.is_not_distinct_from(quiet), (c.c.failures > 0) == failed)
            late = select(c.c.id, c.c.interval_s, c.c.quiet).where(*alike, c.c.next_sync_at > latest)
            move(conn, {row.id: after_interval(row, now, zone) for row in conn.execute(late).all()})


# --- the next time; rows have id, interval_s, quiet and next_sync_at ---


def _share(connection_id: int) -> float:
    """A number from 0 to 1 of the connection's own: multiples of the golden ratio lie as far apart as can be."""
    return connection_id * 2_654_435_769 % 2**32 / 2**32


def _spread(row: Any) -> timedelta:
    return timedelta(seconds=round(_share(row.id) * min(row.interval_s / 10, SPREAD_MAX_S)))


def next_time(
    conn: Connection, connection_id: int, now: datetime, zone: tzinfo, pause: timedelta | None = None
) -> datetime | None:
    """When a run that ends now is followed by the next, after `pause` where it failed; None when it was removed."""
    columns = (c.c.id, c.c.interval_s, c.c.quiet)  # as they are by now: a run can be long
    row = conn.execute(select(*columns).where(c.c.id == connection_id)).first()
    if row is None:
        return None
    return after_interval(row, now, zone) if pause is None else awake(now + pause, row, zone)


def agree(conn: Connection, connection_id: int, now: datetime, zone: tzinfo) -> None:
    """Bring a next time in line with another interval or other quiet hours: never later than agreed, never in them."""
    columns = (c.c.id, c.c.interval_s, c.c.quiet, c.c.next_sync_at)
    row = conn.execute(select(*columns).where(c.c.id == connection_id)).one()
    if row.next_sync_at:
        move(conn, {row.id: min(awake(max(row.next_sync_at, now), row, zone), after_interval(row, now, zone))})


def after_interval(row: Any, now: datetime, zone: tzinfo) -> datetime:
    """When a sync that ends now is followed by the next."""
    return awake(now + timedelta(seconds=row.interval_s) + _spread(row), row, zone)


def awake(moment: datetime, row: Any, zone: tzinfo) -> datetime:
    """The moment itself or, where it is in the connection's quiet hours, some time soon after them."""
    if not is_quiet(moment, row.quiet, zone):
        return moment
    end = loud(moment, row.quiet, zone)
    return loud(end + _spread(row), row.quiet, zone)


def put_off(row: Any, now: datetime, zone: tzinfo) -> datetime | None:
    """When a sync that is due and may not begin in these quiet hours begins; None when it may begin now.

    No scheduled time is ever in quiet hours: where one is, somebody asked for a sync just then, and gets it.
    """
    if is_quiet(now, row.quiet, zone) and not is_quiet(row.next_sync_at, row.quiet, zone):
        return awake(now, row, zone)
    return None


def back_off_s(failures: int, retry_after_s: float | None, chance: random.Random) -> float:
    """Seconds until the next try: what the provider asked for, else twice as long each time, spread by a fifth."""
    if retry_after_s is not None:
        return min(max(retry_after_s, 1.0), float(BACK_OFF_MAX_S)) * chance.uniform(1.0, 1.1)
    return min(BACK_OFF_FIRST_S * 2.0 ** min(failures - 1, 12), BACK_OFF_MAX_S) * chance.uniform(0.8, 1.2)


# --- once for all clocks ---


def take_turn(conn: Connection, name: str, turn: datetime, period: timedelta) -> bool:
    """Whether this turn of something that recurs is ours: it is given once, whoever asks, and then it is past.

    The very first time nothing is given, but remembered: what came before the tracker was there is not made up for. A
    turn remembered from far ahead is a wrong clock's.
    """
    said = turn.astimezone(UTC).isoformat(timespec="seconds")
    wrong = (turn + 2 * period).astimezone(UTC).isoformat(timespec="seconds")
    taking = update(setting_t).where(setting_t.c.name == name, or_(setting_t.c.value < said, setting_t.c.value > wrong))
    if conn.execute(taking.values(value=said)).rowcount:
        return True
    adding = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(setting_t)
    conn.execute(adding.values(name=name, value=said).on_conflict_do_nothing())
    return False


def last_turn(conn: Connection, name: str) -> datetime | None:
    said = conn.execute(select(setting_t.c.value).where(setting_t.c.name == name)).scalar()
    return datetime.fromisoformat(said) if said else None


# --- how it stands ---


class Standing(NamedTuple):
    """What a connection is doing. `at`: since when it runs, or when it is next; `why` it is paused or tried later."""

    state: Literal["paused", "running", "queued", "due", "waiting", "trying again", "imported", "closed"]
    at: datetime | None
    why: str | None = None


def standing(row: Any, now: datetime, since: Mapping[int, datetime]) -> Standing:
    """How a connection's row stands; `since` is what `running_since` answered."""
    if row.paused_at:
        return Standing("paused", row.paused_at, row.paused_reason)
    if row.leased_until and row.leased_until >= now:
        return Standing("running", since.get(row.id))
    if row.next_sync_at is None:
        return Standing("closed" if row.paused_reason else "imported", row.as_of, row.paused_reason)
    if row.next_sync_at <= now:
        queued = row.queued_until and row.queued_until >= now
        return Standing("queued" if queued else "due", row.next_sync_at, row.last_error)
    return Standing("trying again" if row.last_error else "waiting", row.next_sync_at, row.last_error)


def running_since(conn: Connection) -> dict[int, datetime]:
    """When the runs that have not ended began, by connection."""
    running = select(run_t.c.connection_id, run_t.c.started_at).where(run_t.c.finished_at.is_(None))
    return {row.connection_id: row.started_at for row in conn.execute(running.order_by(run_t.c.id))}


def overdue(conn: Connection, now: datetime) -> tuple[str, ...]:
    """Connections that nobody syncs although they have been due for three intervals, and for an hour at least."""
    waiting = select(c.c.slug, c.c.interval_s, c.c.next_sync_at).where(
        c.c.next_sync_at < now - OVERDUE_MIN, c.c.paused_at.is_(None), is_free(now)
    )
    rows = conn.execute(waiting.order_by(c.c.next_sync_at).limit(OVERDUE_MAX))
    return tuple(row.slug for row in rows if now - row.next_sync_at > 3 * timedelta(seconds=row.interval_s))


def any_leased(conn: Connection, now: datetime) -> bool:
    """Whether any connection is being synced."""
    return conn.execute(select(c.c.id).where(c.c.leased_until >= now).limit(1)).first() is not None
