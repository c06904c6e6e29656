"""What the pages show of letters: which months have one, and who got it when."""

from typing import Any

from sqlalchemy import Connection, func, select

from tracker.store import tables
from tracker.store.writes import earning_t

delivery_t = tables.Delivery.__table__  # type: ignore[attr-defined]
d = delivery_t.c

#: Deliveries that are listed: five years to twenty recipients.
MOST = 1_200


def first_month(conn: Connection) -> int | None:
    """The month of the oldest earning, such as 202401."""
    moment = conn.execute(select(func.min(earning_t.c.earned_at))).scalar()
    if moment is None:
        return None
    query = select(earning_t.c.earned_month).where(earning_t.c.earned_at == moment).limit(1)
    return int(conn.execute(query).scalar_one())


def deliveries(conn: Connection, kind: str, period: str | None = None) -> list[Any]:
    """Letters to recipients, the newest month first; of one month ("2026-06") where it is given."""
    mine = [d.kind == kind] + ([] if period is None else [d.period == period])
    return list(conn.execute(select(delivery_t).where(*mine).order_by(d.period.desc(), d.id).limit(MOST)))
