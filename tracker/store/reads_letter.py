"""The grouped queries of the monthly letter, besides those of the reports: what waits, what was lost, what was paid.

Amounts are summed in the reporting currency where a rate is known; where none is, in their own. `currency` is None for
the first kind of row and names the second.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, case, func, or_, select, union
from sqlalchemy.sql import ColumnElement

from tracker.records import CORRECTIONS, NOT_INCOME, Kind, PayoutStatus, Status
from tracker.store import rollup
from tracker.store.reads import COUNTED, payout_t, program_t, stream_t, verdict
from tracker.store.tables import Delivery
from tracker.store.writes import connection_t, earning_change_t, quarantine_t
from tracker.store.writes import earning_t as e

c, m, p, q = connection_t.c, rollup.m.c, payout_t.c, quarantine_t.c
d = Delivery.__table__.c  # type: ignore[attr-defined]
_LOST = (Status.DECLINED, Status.REVERSED)
_TAKEN_BACK = (Kind.REFUND, Kind.CHARGEBACK, Kind.ADJUSTMENT)
_UNDER_WAY = (PayoutStatus.PENDING, PayoutStatus.IN_TRANSIT)


def first_months(conn: Connection) -> dict[str, int]:
    """The first month of which the ledger knows any income, by stream title."""
    query = (
        select(stream_t.c.title, func.min(m.earned_month))
        .join(stream_t, stream_t.c.id == m.stream_id)
        .where(~m.paired, m.kind.not_in(NOT_INCOME))
        .group_by(stream_t.c.title)
    )
    return {row[0]: int(row[1]) for row in conn.execute(query)}


def pending(conn: Connection) -> list[Any]:
    """What waits for validation by connection and currency: earnings, net, reporting_net, oldest month."""
    currency = case((~m.converted, m.currency))
    query = (
        select(c.slug, c.title, currency.label("currency"), *_sums(m), func.min(m.earned_month).label("oldest"))
        .join(connection_t, c.id == m.connection_id)
        .where(verdict(rollup.m) == "pending")
        .group_by(c.slug, c.title, currency)
        .order_by(c.slug)
    )
    return list(conn.execute(query))


def corrections(conn: Connection, month: int) -> list[Any]:
    """Refunds, chargebacks and adjustments inside the total of a month, by kind and currency."""
    currency = case((~m.converted, m.currency))
    query = (
        select(m.kind, currency.label("currency"), *_sums(m))
        .where(m.earned_month == month, m.kind.in_(_TAKEN_BACK), verdict(rollup.m) == COUNTED)
        .group_by(m.kind, currency)
        .order_by(m.kind)
    )
    return list(conn.execute(query))


def _sums(t: Any) -> tuple[ColumnElement[Any], ...]:
    return (
        func.sum(t.earnings).label("earnings"),
        func.sum(t.net).label("net"),
        func.sum(t.reporting_net).label("reporting_net"),
    )


def lost(conn: Connection, since: datetime, until: datetime) -> list[Any]:
    """What was declined or reversed from `since` to before `until`, by status and currency."""
    currency = case((e.c.reporting_net.is_(None), e.c.currency))
    sums = (func.count().label("earnings"), func.sum(e.c.net), func.sum(e.c.reporting_net))
    query = (
        select(e.c.status, currency.label("currency"), sums[0], sums[1].label("net"), sums[2].label("reporting_net"))
        .where(_lost(since, until))
        .group_by(e.c.status, currency)
        .order_by(e.c.status)
    )
    return list(conn.execute(query))


def largest_lost(conn: Connection, since: datetime, until: datetime, limit: int) -> list[Any]:
    """The largest of these, with the names around them; those without a rate come last."""
    products = program_t.alias("products")
    origin = e.join(connection_t, c.id == e.c.connection_id)
    for titles, name in ((program_t, e.c.program), (products, e.c.product)):
        same = and_(titles.c.connection_id == e.c.connection_id, titles.c.external_id == name)
        origin = origin.outerjoin(titles, same)
    columns = (
        e.c.status,
        e.c.net,
        e.c.currency,
        e.c.reporting_net,
        e.c.earned_at,
        e.c.provider_status,
        c.slug,
        c.title,
    )
    program = func.coalesce(program_t.c.title, e.c.program).label("program")
    product = func.coalesce(products.c.title, e.c.product).label("product")
    query = (
        select(*columns, program, product)
        .select_from(origin)
        .where(_lost(since, until))
        .order_by(e.c.reporting_net.is_(None), e.c.reporting_net.desc(), e.c.net.desc(), e.c.id)
        .limit(limit)
    )
    return list(conn.execute(query))


def _lost(since: datetime, until: datetime) -> ColumnElement[bool]:
    """Lost then, by the history; or earned since and lost by now, though it was never seen in any other state."""
    h = earning_change_t.c
    changed = select(h.earning_id).where(
        h.changed_at >= since, h.changed_at < until, h.what == "status", h.new.in_(_LOST), h.old.not_in(_LOST)
    )
    arrived = select(e.c.id).where(e.c.earned_at >= since, e.c.earned_at < until, e.c.status.in_(_LOST))
    return and_(
        e.c.id.in_(union(changed, arrived)),
        e.c.status.in_(_LOST),
        e.c.kind.not_in(CORRECTIONS | NOT_INCOME),
        ~e.c.paired,
    )


def payouts_received(conn: Connection, start: datetime, end: datetime) -> list[Any]:
    """Payouts that arrived from `start` to before `end`, by connection and currency."""
    arrived = func.coalesce(p.arrives_at, p.created_at)
    return _payouts(conn, p.status == PayoutStatus.PAID, arrived >= start, arrived < end)


def payouts_under_way(conn: Connection, now: datetime) -> list[Any]:
    """Payouts that are announced or on their way, by connection and currency."""
    return _payouts(conn, or_(p.status.in_(_UNDER_WAY), and_(p.status == PayoutStatus.PAID, p.arrives_at > now)))


def payouts_failed(conn: Connection, start: datetime, end: datetime) -> list[Any]:
    """Payouts made from `start` to before `end` that came back, by connection and currency."""
    return _payouts(conn, p.status == PayoutStatus.FAILED, p.created_at >= start, p.created_at < end)


def _payouts(conn: Connection, *conditions: Any) -> list[Any]:
    arrives = func.coalesce(p.arrives_at, p.created_at)
    query = (
        select(
            c.slug,
            c.title,
            p.currency,
            func.count().label("payouts"),
            func.sum(p.amount).label("amount"),
            func.max(arrives).label("last"),
            func.max(case((p.estimated, 1), else_=0)).label("estimated"),
        )
        .join(connection_t, c.id == p.connection_id)
        .where(*conditions)
        .group_by(c.slug, c.title, p.currency)
        .order_by(c.slug, p.currency)
    )
    return list(conn.execute(query))


def quarantined(conn: Connection) -> list[Any]:
    """Rows that nobody understood yet, by connection and resource, with one of the reasons."""
    query = (
        select(c.slug, c.title, q.resource, func.count().label("rows"), func.max(q.error).label("error"))
        .join(connection_t, c.id == q.connection_id)
        .group_by(c.slug, c.title, q.resource)
        .order_by(func.count().desc(), c.slug, q.resource)
    )
    return list(conn.execute(query))


def all_connections(conn: Connection) -> list[Any]:
    return list(conn.execute(select(connection_t).order_by(c.slug)))


def titles_shared(conn: Connection) -> set[str]:
    """Titles that more than one connection has, so that the slug must tell them apart."""
    query = select(c.title).group_by(c.title).having(func.count() > 1)
    return set(conn.execute(query).scalars())


def previous_letter(conn: Connection, period: str) -> datetime | None:
    """When the newest letter about a month before `period` ("2026-06") was sent; None without any."""
    query = select(func.max(d.sent_at)).where(d.kind == "letter", d.period < period)
    found: datetime | None = conn.execute(query).scalar()
    return found
