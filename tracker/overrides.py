"""The user's own word about several earnings at once: their recurrence or their stream, or that word taken back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update

from tracker.books import book_of, claimed
from tracker.connections import Deps
from tracker.errors import UsageError
from tracker.finish import finish
from tracker.records import Recurrence
from tracker.store.database import reading
from tracker.store.writes import chunks, connection_t
from tracker.store.writes import earning_t as e
from tracker.streams import find_stream

#: Earnings that one decision is about at most.
MOST = 1_000


@dataclass(frozen=True, slots=True)
class Decided:
    """How many earnings were decided, and the connections that a sync held meanwhile: nothing of theirs is changed."""

    earnings: int
    busy: list[str]


def override(
    deps: Deps, ids: Sequence[int], *, recurrence: str | None = None, stream: str | None = None, clear: bool = False
) -> Decided:
    """Decide what earnings are, or take such decisions back. What is not named stays as it was.

    The earnings of one connection are one set and one transaction. Raises UsageError where nothing can be meant.
    """
    wanted = sorted(set(ids))
    if clear == bool(recurrence or stream):
        raise UsageError("say what is to change: recurrence, stream or both, or take your word back.")
    if recurrence and recurrence not in list(Recurrence):
        raise UsageError(f"{recurrence[:20]!r} is no recurrence.", hint=f"Choose one of {', '.join(Recurrence)}.")
    if not 1 <= len(wanted) <= MOST:
        raise UsageError("no earning is chosen." if not wanted else f"more than {MOST} earnings are chosen.")
    values: dict[str, Any] = {"override_recurrence": None, "override_stream_id": None} if clear else {}
    if recurrence:
        values["override_recurrence"] = recurrence
    with reading(deps.engine) as conn:
        if stream:
            values["override_stream_id"] = find_stream(conn, stream).id
        owners: dict[tuple[int, str], list[int]] = {}
        for part in chunks(wanted):
            query = select(e.c.id, e.c.connection_id, connection_t.c.slug).where(e.c.id.in_(part))
            for row in conn.execute(query.join(connection_t, connection_t.c.id == e.c.connection_id)):
                owners.setdefault((row.connection_id, row.slug), []).append(row.id)
    decided, busy = 0, []
    for (connection_id, slug), own in owners.items():
        try:
            decided += _override(deps, connection_id, own, values)
        except UsageError:  # it is being synced
            busy.append(slug)
    return Decided(decided, busy)


def _override(deps: Deps, connection_id: int, ids: Sequence[int], values: dict[str, Any]) -> int:
    now, count = deps.now(), 0
    with claimed(deps, connection_id, now) as (conn, row):
        for part in chunks(ids):
            mine = e.c.id.in_(part) & (e.c.connection_id == connection_id)
            count += conn.execute(update(e).where(mine).values(values | {"fresh": True})).rowcount
        finish(conn, book_of(deps, conn, row, now))
    return count
