"""The audit trail: who did what, when and from where. Names and slugs only; no secret ever stands in it."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, and_, insert, select, update

from tracker.store import tables
from tracker.store.database import database_errors, reading

event_t = tables.AuditEvent.__table__  # type: ignore[attr-defined]

REFUSED = "login refused"
#: Who tried to log in with a name that nobody has.
UNKNOWN = "unknown name"
#: Refused logins of one sender with one name within so long are one event.
TOGETHER = timedelta(hours=1)


def record(
    engine: Engine, now: datetime, *, actor: str, action: str, subject: str = "", sender: str | None = None
) -> None:
    """Keep one event. `sender` is the address that a request came from; None for the command line."""
    values = {
        "at": now,
        "actor": actor[:80],
        "action": action[:40],
        "subject": subject[:200],
        "sender": sender and sender[:64],
    }
    with database_errors(engine), engine.begin() as conn:
        conn.execute(insert(event_t).values(values))


def refused(engine: Engine, now: datetime, *, name: str | None, sender: str) -> None:
    """Keep a login that was refused. The subject of an event counts how often that was within `TOGETHER`.

    `name` is that of a user; None where there is no such user, because what was typed may be a password then.
    """
    what = {"actor": name or UNKNOWN, "action": REFUSED, "sender": sender[:64]}
    same = and_(event_t.c.at > now - TOGETHER, *(event_t.c[column] == value for column, value in what.items()))
    with database_errors(engine), engine.begin() as conn:
        row = conn.execute(select(event_t.c.id, event_t.c.subject).where(same).order_by(event_t.c.id.desc())).first()
        if row is None:
            conn.execute(insert(event_t).values({**what, "at": now, "subject": "1"}))
        else:
            conn.execute(update(event_t).where(event_t.c.id == row.id).values(subject=str(int(row.subject) + 1)))


def trail(engine: Engine, limit: int, *, before: int | None = None, after: int | None = None) -> list[Any]:
    """Events, newest first: the newest of all, or those right `before` or right `after` the event of that id.

    Rows with id, at, actor, action, subject and sender.
    """
    query = select(event_t).limit(limit)
    if after is not None:
        query = query.where(event_t.c.id > after).order_by(event_t.c.id)
    else:
        query = query.where(event_t.c.id < before) if before is not None else query
        query = query.order_by(event_t.c.id.desc())
    with database_errors(engine), reading(engine) as conn:
        rows = list(conn.execute(query))
    return rows[::-1] if after is not None else rows
