"""The audit trail: who did what, when and from where. Names and slugs only; no secret ever stands in it."""

from datetime import datetime

from sqlalchemy import Engine, insert

from tracker.store import tables
from tracker.store.database import database_errors

event_t = tables.AuditEvent.__table__  # type: ignore[attr-defined]


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
