"""The roll-ups by month and by day: kept by recomputing the months that a sync touched.

Recomputing in the transaction of every page would sum a month that spans many pages once for each of them. Instead a
page marks its months dirty in its own transaction, and the marks are worked off once, at the end of the run, or by the
first report that finds some: the figures are never stale and a first load stays linear.

Days are those of the ledger's time zone, which the ledger notes. When it becomes another one, all months are dirty.
"""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, and_, delete, func, insert, not_, select, true
from sqlalchemy.dialects import postgresql, sqlite

from tracker.months import following, start_of
from tracker.records import CORRECTIONS, NOT_INCOME, Status
from tracker.store import tables
from tracker.store.terms import local_day, verdict
from tracker.store.writes import dirty_month_t, earning_t, mark_dirty_where

e = earning_t
m = tables.MonthlyIncome.__table__  # type: ignore[attr-defined]
d = tables.DailyIncome.__table__  # type: ignore[attr-defined]
setting_t = tables.Setting.__table__  # type: ignore[attr-defined]
GROUP = (
    "connection_id", "earned_month", "approved_month", "paid_month", "stream_id", "program", "currency", "kind",
    "status", "settlement", "recurrence", "estimated", "paired",
)  # fmt: skip
#: The settings that hold the time zone of the ledger, and the one in which the days of the roll-up were cut.
_ZONE, _DAYS = "time_zone", "daily_income"
_BY_DAY = ("connection_id", "earned_month", "stream_id", "currency", "recurrence")
_SUMS = ("earnings", "net", "reporting_net")
DAYS = (*_BY_DAY, "day", "verdict", "converted", *_SUMS)


def dirty(conn: Connection) -> bool:
    return conn.execute(select(dirty_month_t.c.month).limit(1)).first() is not None or len(set(_zones(conn))) > 1


def work_off(conn: Connection, connection_id: int | None = None) -> None:
    """Recompute every dirty month (of one connection) and drop the marks, in the caller's transaction.

    A sync, which works off its own connection, never marks the months of others: two of them would wait for each other.
    """
    zone = _zone(conn) if connection_id is None else ZoneInfo(_zones(conn)[0])
    marks = delete(dirty_month_t).returning(dirty_month_t.c.connection_id, dirty_month_t.c.month)
    if connection_id is not None:
        marks = marks.where(dirty_month_t.c.connection_id == connection_id)
    by_connection: dict[int, list[int]] = {}
    for row in conn.execute(marks).all():  # dropped before summing: a page that comes meanwhile leaves a new one
        by_connection.setdefault(row.connection_id, []).append(row.month)
    for owner, months in by_connection.items():
        for t in (m, d):
            conn.execute(delete(t).where(t.c.connection_id == owner, t.c.earned_month.in_(months)))
        _sum(conn, zone, and_(e.c.connection_id == owner, e.c.earned_month.in_(months)))


def rebuild(conn: Connection) -> None:
    """Make both roll-ups again from the earnings."""
    zone = _zone(conn)
    conn.execute(delete(m))
    conn.execute(delete(d))
    _sum(conn, zone, true())
    conn.execute(delete(dirty_month_t))


def _sum(conn: Connection, zone: ZoneInfo, which: Any) -> None:
    converted = e.c.reporting_net.is_not(None)
    columns = [e.c[name] for name in GROUP]
    sums = (func.count(), func.sum(e.c.net), func.sum(e.c.reporting_net))
    query = select(*columns, converted.label("converted"), *sums).where(which).group_by(*columns, converted)
    conn.execute(insert(m).from_select([*GROUP, "converted", *_SUMS], query))
    if (days := summed_by_day(conn, zone, which)) is not None:
        conn.execute(insert(d).from_select(DAYS, days))


def summed_by_day(conn: Connection, zone: ZoneInfo, which: Any) -> Any:
    """The query that sums the earnings that fit by the day in a zone, with the columns DAYS; None if there are none."""
    # Months are cut in the zone of the settings, which a ledger that is just moving to another one does not note yet.
    low, high = conn.execute(select(func.min(e.c.earned_month), func.max(e.c.earned_month)).where(which)).one()
    if low is None:
        return None
    between = start_of(following(low, -1), zone), start_of(following(high, 2), zone)
    return _days(local_day(e.c.earned_at, zone, *between, conn.dialect.name), which)


def _days(day: Any, which: Any) -> Any:
    undone = and_(e.c.kind.in_(CORRECTIONS), e.c.status.in_((Status.DECLINED, Status.REVERSED)))
    same = [e.c[name] for name in _BY_DAY]
    groups = (*same, day.label("day"), verdict(e).label("verdict"), e.c.reporting_net.is_not(None).label("converted"))
    inner = (
        select(*groups, e.c.net, e.c.reporting_net)
        .where(which, ~e.c.paired, e.c.kind.not_in(NOT_INCOME), not_(undone))
        .subquery()
    )
    keys = [inner.c[name] for name in DAYS[: -len(_SUMS)]]
    sums = (func.count(), func.sum(inner.c.net), func.sum(inner.c.reporting_net))
    return select(*keys, *sums).group_by(*keys)


# --- the time zone of the days ---


def _zones(conn: Connection) -> Sequence[str]:
    """The zone of the ledger, and the one of the days ("" before there are any)."""
    said = select(setting_t.c.name, setting_t.c.value).where(setting_t.c.name.in_((_ZONE, _DAYS)))
    found: dict[str, str] = {row.name: row.value for row in conn.execute(said)}
    return found.get(_ZONE, "UTC"), found.get(_DAYS, "")


def zone_of_days(conn: Connection) -> ZoneInfo | None:
    """The zone in which the days were cut; None before there are any, and while the ledger moves to another zone."""
    wanted, had = _zones(conn)
    return ZoneInfo(had) if had and had == wanted else None


def days_in(conn: Connection, zone: ZoneInfo) -> bool:
    """Whether the days are those of a zone; a ledger that was moved to another one may not have noted it yet."""
    return _zones(conn)[1] == zone.key


def begin(conn: Connection, zone: str) -> None:
    """Note the zone of the days in a ledger without an earning, so that nothing has to be marked later."""
    if conn.execute(select(e.c.id).limit(1)).first() is None:
        statement: Any = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(setting_t)
        conn.execute(statement.values(name=_DAYS, value=zone).on_conflict_do_nothing())


def _zone(conn: Connection) -> ZoneInfo:
    """The zone to cut days in. If the days were cut in another one so far, every month is marked."""
    wanted, had = _zones(conn)
    if wanted != had:
        statement: Any = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(setting_t)
        value = statement.excluded.value
        noted = statement.values(name=_DAYS, value=wanted).on_conflict_do_update(
            index_elements=["name"], set_={"value": value}, where=setting_t.c.value != value
        )
        if conn.execute(noted).rowcount:  # nobody else was sooner
            mark_dirty_where(conn, true())
    return ZoneInfo(wanted)
