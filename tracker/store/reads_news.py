"""What became of earnings since somebody last looked: the same condition finds their sums and the rows behind them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, case, func, select
from sqlalchemy.sql import ColumnElement

from tracker.records import CORRECTIONS, Status
from tracker.store.reads import COUNTED, program_t, verdict
from tracker.store.writes import connection_t, earning_change_t
from tracker.store.writes import earning_t as e

h = earning_change_t.c
#: Earnings that a search is led to by their ids.
FEW = 2_000


class Became(StrEnum):
    NEW = "new"
    APPROVED = "approved"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Since:
    """What became of earnings since a `moment`, aware. `newest` is the largest id of an earning at that time."""

    what: Became
    moment: datetime
    newest: int

    def __str__(self) -> str:
        return f"{self.what},{self.moment.astimezone(UTC).isoformat()},{self.newest}"


def conditions(since: Since) -> list[ColumnElement[bool]]:
    """What is new waits or counts; what was known by then is told where its status changed."""
    word = verdict(e)
    if since.what is Became.NEW:
        return [e.c.id > since.newest, word.in_((COUNTED, "pending"))]
    changed = select(h.earning_id).where(h.changed_at >= since.moment, h.what == "status", h.new != h.old)
    known = [e.c.id <= since.newest, e.c.id.in_(changed)]
    if since.what is Became.APPROVED:
        return [*known, word == COUNTED]
    # No correction undone with what it corrects.
    return [*known, word.in_((Status.DECLINED, Status.REVERSED)), ~e.c.estimated, e.c.kind.not_in(CORRECTIONS)]


def sums(conn: Connection, since: Since, apart: bool) -> list[Any]:
    """How many earnings, and what they come to, by currency; see `reads_overview`."""
    currency = e.c.currency if apart else case((e.c.reporting_net.is_(None), e.c.currency))
    s = select(currency.label("currency"), e.c.net, e.c.reporting_net).where(*conditions(since)).subquery().c
    amounts = (func.sum(s.net).label("net"), func.sum(s.reporting_net).label("reporting_net"))
    return list(conn.execute(select(s.currency, func.count().label("earnings"), *amounts).group_by(s.currency)))


def largest(conn: Connection, since: Since, limit: int) -> list[Any]:
    """The largest, with the names around them; those without a rate come last."""
    same = and_(program_t.c.connection_id == e.c.connection_id, program_t.c.external_id == e.c.program)
    columns = (e.c.id, e.c.status, e.c.net, e.c.currency, e.c.earned_at, connection_t.c.title)
    query = (
        select(*columns, func.coalesce(program_t.c.title, e.c.program).label("program"))
        .select_from(e.join(connection_t, connection_t.c.id == e.c.connection_id).outerjoin(program_t, same))
        .where(*conditions(since))
        .order_by(e.c.reporting_net.is_(None), e.c.reporting_net.desc(), e.c.net.desc(), e.c.id)
        .limit(limit)
    )
    return list(conn.execute(query))


def few(conn: Connection, since: Since) -> tuple[int, ...] | None:
    """Their ids, or None where they are more than FEW."""
    found = conn.execute(select(e.c.id).where(*conditions(since)).limit(FEW + 1)).scalars().all()
    return tuple(found) if len(found) <= FEW else None
