"""The grouped queries of the overview, besides those of the reports: part of a month, the pipeline, and who looked.

`currency` is None where `reporting_net` is known of all earnings of a row, as in `reads.income`. Where rows are `apart`
they are by own currency and day earned instead, to be converted into another currency than the ledger's.
"""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, and_, case, func, literal, select, tuple_
from sqlalchemy.sql import ColumnElement

from tracker.months import day_of, following, month_of, start_of
from tracker.records import NOT_INCOME, Settlement, Status
from tracker.store import rollup
from tracker.store.people import User
from tracker.store.reads import COUNTED, Basis, micros, stream_t, verdict
from tracker.store.terms import local_day
from tracker.store.writes import earning_t as e

m, d = rollup.m.c, rollup.d
user_t = User.__table__  # type: ignore[attr-defined]
#: When an earning was approved and paid, as far as is known: the same rule that puts it in a month.
_APPROVED_AT = func.coalesce(e.c.validated_at, e.c.earned_at)
_TIMES = {
    Basis.EARNED: e.c.earned_at,
    Basis.APPROVED: _APPROVED_AT,
    Basis.PAID: func.coalesce(e.c.paid_at, _APPROVED_AT),
}


# --- part of a month ---


def until(conn: Connection, basis: Basis, end: datetime, zone: ZoneInfo, apart: bool) -> list[Any]:
    """What is counted of a month up to before `end`, a moment in it: label (stream), verdict, recurrence, sums.

    By the day earned whole days come from the roll-up, and only the last one from its earnings. By another day the
    earnings are read of those months that have any of the month, which the roll-up knows.
    """
    month = month_of(end - timedelta(microseconds=1), zone)
    if basis is Basis.EARNED and rollup.days_in(conn, zone):
        day = day_of(end, zone)
        whole = _grouped(d, (d.c.earned_month == month, d.c.day < day), d.c.day, apart)
        begun = datetime(day.year, day.month, day.day, tzinfo=zone)
        rest = (e.c.earned_at >= begun, e.c.earned_at < end)
        return [*conn.execute(whole), *conn.execute(_grouped(e, rest, literal(day.isoformat()), apart))]
    within = select(m.connection_id, m.earned_month).where(m[f"{basis}_month"] == month).distinct()
    months = [tuple(row) for row in conn.execute(within)]
    if not months:
        return []
    low, high = (pick(one for _, one in months) for pick in (min, max))
    span = start_of(following(low, -1), zone), start_of(following(high, 2), zone)
    mine = tuple_(e.c.connection_id, e.c.earned_month).in_(months)
    so_far = (mine, e.c[f"{basis}_month"] == month, _TIMES[basis] < end)
    return list(conn.execute(_grouped(e, so_far, local_day(e.c.earned_at, zone, *span, conn.dialect.name), apart)))


def _grouped(t: Any, conditions: tuple[Any, ...], day: Any, apart: bool) -> Any:
    word = t.c.verdict if t is d else verdict(t)
    own = t.c.currency if apart else case((t.c.reporting_net.is_(None), t.c.currency))
    count = t.c.earnings if t is d else literal(1)
    columns = (
        word.label("verdict"),
        t.c.recurrence,
        own.label("currency"),
        (day if apart else literal("")).label("day"),
    )
    s = (
        select(stream_t.c.title.label("label"), *columns, count.label("earnings"), t.c.net, t.c.reporting_net)
        .select_from(t.outerjoin(stream_t, stream_t.c.id == t.c.stream_id))
        .where(word == COUNTED, *conditions)
        .subquery()
        .c
    )
    groups = (s.label, s.verdict, s.recurrence, s.currency, s.day)
    return select(*groups, *_sums(s, func.sum(s.earnings)), micros(s.net)).group_by(*groups)


def _sums(t: Any, count: Any) -> tuple[ColumnElement[Any], ...]:
    return (
        count.label("earnings"),
        func.sum(t.net).label("net"),
        func.sum(t.reporting_net).label("reporting_net"),
    )


# --- on its way ---


def pipeline(conn: Connection, month: int, apart: bool) -> list[Any]:
    """Pending, approved and unpaid or scheduled, and paid in `month`, by currency."""
    approved = m.status == Status.APPROVED
    stage = case(
        (m.status == Status.PENDING, "pending"),
        (and_(approved, m.settlement == Settlement.SCHEDULED), "scheduled"),
        (and_(approved, m.settlement != Settlement.PAID), "unpaid"),
        (and_(approved, m.paid_month == month), "paid"),
    )
    currency = m.currency if apart else case((~m.converted, m.currency))
    query = (
        select(stage.label("stage"), currency.label("currency"), *_sums(m, func.sum(m.earnings)))
        .where(~m.paired, ~m.estimated, m.kind.not_in(NOT_INCOME), stage.is_not(None))
        .group_by(stage, currency)
    )
    return list(conn.execute(query))


# --- who looked ---


def newest_earning(conn: Connection) -> int:
    """The largest id there is: what comes later has a larger one. 0 without any."""
    return int(conn.execute(select(func.coalesce(func.max(e.c.id), 0))).scalar_one())


def seen(conn: Connection, user_id: int) -> tuple[datetime | None, int | None]:
    row = conn.execute(select(user_t.c.seen_at, user_t.c.seen_earning).where(user_t.c.id == user_id)).one()
    return row.seen_at, row.seen_earning


# --- names ---


def stream_slugs(conn: Connection) -> dict[str, str]:
    """Slugs of the streams by their titles."""
    return dict(conn.execute(select(stream_t.c.title, stream_t.c.slug).order_by(stream_t.c.position.desc())).all())


def currencies(conn: Connection) -> list[str]:
    """Those that earnings are in."""
    return list(conn.execute(select(m.currency).distinct().order_by(m.currency)).scalars())
