"""The grouped queries that reports are made of: sums come from the database, never from a loop over earnings."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, Connection, and_, case, func, literal, not_, or_, select, tuple_, type_coerce
from sqlalchemy.sql import ColumnElement

from tracker.records import CORRECTIONS, NOT_INCOME, Kind, Role, Status
from tracker.store import rollup, tables
from tracker.store.terms import COUNTED as COUNTED
from tracker.store.terms import local_day
from tracker.store.terms import verdict as verdict
from tracker.store.writes import connection_t
from tracker.store.writes import earning_t as e

stream_t = tables.Stream.__table__  # type: ignore[attr-defined]
program_t = tables.Program.__table__  # type: ignore[attr-defined]
subscription_t = tables.Subscription.__table__  # type: ignore[attr-defined]
change_t = tables.SubscriptionChange.__table__  # type: ignore[attr-defined]
payout_t = tables.Payout.__table__  # type: ignore[attr-defined]
item_t = tables.PayoutItem.__table__  # type: ignore[attr-defined]


class By(StrEnum):
    """What income is grouped by, besides the month."""

    STREAM = "stream"
    CONNECTION = "connection"
    PROGRAM = "program"
    PRODUCT = "product"
    COUNTRY = "country"
    RECURRENCE = "recurrence"


class Basis(StrEnum):
    """Which date puts an earning in a month."""

    EARNED = "earned"
    APPROVED = "approved"
    PAID = "paid"


#: The verdict on approved costs, which stand beside income.
COST = "cost"
#: What the roll-up does not know; these reports group the earnings themselves.
_NOT_ROLLED_UP = frozenset({By.PRODUCT, By.COUNTRY})
#: What the roll-up by day knows.
_IN_DAYS = frozenset({By.STREAM, By.CONNECTION, By.RECURRENCE})


def freshness(conn: Connection) -> dict[str, datetime | None]:
    """When each connection was last read completely."""
    rows = conn.execute(select(connection_t.c.slug, connection_t.c.as_of).order_by(connection_t.c.slug))
    return {row.slug: row.as_of for row in rows}


def synced(conn: Connection) -> frozenset[str]:
    """Connections that are read by themselves: those fed by files, or read no more, have no next time."""
    query = select(connection_t.c.slug).where(connection_t.c.next_sync_at.is_not(None))
    return frozenset(conn.execute(query).scalars())


def any_earning(conn: Connection) -> bool:
    return conn.execute(select(e.c.id).limit(1)).first() is not None


# --- income ---


def income(conn: Connection, by: By, basis: Basis, first: int, last: int) -> list[Any]:
    """Rows of month, label, verdict, recurrence (of what is counted), earnings, net, reporting_net and currency.

    What is counted lies in the month of the basis, everything else in the month it was earned. `currency` is None
    where `reporting_net` is known for all earnings of the row. Rows that belong in no column of a report are left out:
    paired ones, what is no income, and corrections that were undone together with what they correct. Approved costs are
    no income either, but have the verdict `cost`, in the month of the basis.
    """
    t = e if by in _NOT_ROLLED_UP else rollup.m
    count = literal(1) if t is e else t.c.earnings
    unconverted = case((t.c.reporting_net.is_(None), t.c.currency))
    inner = _placed(t, by, basis, first, last, count.label("earnings"), unconverted.label("currency"))
    s = inner.subquery().c
    groups = (s.month, s.label, s.verdict, s.recurrence, s.currency)
    sums = (func.sum(s.earnings).label("earnings"), func.sum(s.net).label("net"))
    return list(
        conn.execute(select(*groups, *sums, func.sum(s.reporting_net).label("reporting_net")).group_by(*groups))
    )


def income_by_day(conn: Connection, by: By, basis: Basis, first: int, last: int, zone: ZoneInfo) -> list[Any]:
    """As `income`, but per currency and day earned in the zone, to be converted. `day` is text or a date.

    Instead of amounts there are `micros`, whole millionths: of so many rows it takes long to make Decimals.
    """
    if basis is Basis.EARNED and by in _IN_DAYS and rollup.days_in(conn, zone):
        return _from_days(conn, by, first, last)
    found = _placed(e, by, basis, first, last, e.c.earned_at).subquery().c.earned_at
    low, high = conn.execute(select(func.min(found), func.max(found))).one()
    if low is None:
        return []
    day = local_day(e.c.earned_at, zone, low, high, conn.dialect.name)
    s = _placed(e, by, basis, first, last, e.c.currency, day.label("day")).subquery().c
    groups = (s.month, s.label, s.verdict, s.recurrence, s.currency, s.day)
    return list(conn.execute(select(*groups, func.count().label("earnings"), micros(s.net)).group_by(*groups)))


def micros(amounts: Any) -> ColumnElement[int]:
    """The sum of a column of amounts in whole millionths."""
    return type_coerce(func.sum(amounts), BigInteger).label("micros")


def _from_days(conn: Connection, by: By, first: int, last: int) -> list[Any]:
    d = rollup.d
    origin, label = _labelled(d, by)
    s = (
        select(
            d.c.earned_month.label("month"),
            label.label("label"),
            d.c.verdict,
            case((d.c.verdict == COUNTED, d.c.recurrence)).label("recurrence"),
            d.c.currency,
            d.c.day,
            d.c.earnings,
            d.c.net,
        )
        .select_from(origin)
        .where(d.c.earned_month.between(first, last))
        .subquery()
        .c
    )
    groups = (s.month, s.label, s.verdict, s.recurrence, s.currency, s.day)
    sums = (func.sum(s.earnings).label("earnings"), micros(s.net))
    return list(conn.execute(select(*groups, *sums).group_by(*groups)))


def _placed(t: Any, by: By, basis: Basis, first: int, last: int, *more: ColumnElement[Any]) -> Any:
    origin, label = _labelled(t, by)
    cost = t.c.kind == Kind.COST
    word = case((cost, COST), else_=verdict(t))
    counted = word == COUNTED
    month = case((or_(counted, cost), t.c[f"{basis}_month"]), else_=t.c.earned_month)
    told = or_(t.c.kind.not_in(NOT_INCOME), and_(cost, t.c.status == Status.APPROVED))
    undone = and_(t.c.kind.in_(CORRECTIONS), t.c.status.in_((Status.DECLINED, Status.REVERSED)))
    columns = (month.label("month"), label.label("label"), word.label("verdict"), t.c.net, t.c.reporting_net)
    return (
        select(*columns, case((counted, t.c.recurrence)).label("recurrence"), *more)
        .select_from(origin)
        .where(~t.c.paired, told, not_(undone), month.between(first, last))
    )


def _labelled(t: Any, by: By) -> tuple[Any, ColumnElement[Any]]:
    """Where the names of the groups come from."""
    if by is By.STREAM:
        return t.outerjoin(stream_t, stream_t.c.id == t.c.stream_id), stream_t.c.title
    if by is By.CONNECTION:
        return t.outerjoin(connection_t, connection_t.c.id == t.c.connection_id), connection_t.c.slug
    if by in (By.PROGRAM, By.PRODUCT):
        return _with_title(t, t, program_t, t.c[by]), func.coalesce(program_t.c.title, t.c[by])
    return t, t.c[by]


def _with_title(origin: Any, t: Any, titles: Any, named: ColumnElement[Any]) -> Any:
    """Joined with the titles that the provider gave its programs, or products, apart from the earnings."""
    same = and_(titles.c.connection_id == t.c.connection_id, titles.c.external_id == named)
    return origin.outerjoin(titles, same)


# --- single earnings and payouts ---


def earnings(
    conn: Connection,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    connection_id: int | None = None,
    after: tuple[datetime, int] | None = None,
    limit: int,
) -> list[Any]:
    """The next earnings from `start` to before `end` in order of time, with the names around them and their verdict.

    `after` is the time and id of the last one read.
    """
    conditions: list[Any] = []
    if start is not None:
        conditions.append(e.c.earned_at >= start)
    if end is not None:
        conditions.append(e.c.earned_at < end)
    if connection_id is not None:
        conditions.append(e.c.connection_id == connection_id)
    if after is not None:
        at, last = (literal(value, column.type) for value, column in zip(after, (e.c.earned_at, e.c.id), strict=True))
        conditions.append(tuple_(e.c.earned_at, e.c.id) > tuple_(at, last))
    products = program_t.alias("products")
    origin = _with_title(e.join(connection_t, connection_t.c.id == e.c.connection_id), e, program_t, e.c.program)
    origin = _with_title(origin, e, products, e.c.product).outerjoin(stream_t, stream_t.c.id == e.c.stream_id)
    titles = (program_t.c.title, products.c.title.label("product_title"), stream_t.c.title.label("stream"))
    query = (
        select(e, connection_t.c.slug, *titles, verdict(e).label("verdict"))
        .select_from(origin)
        .where(*conditions)
        .order_by(e.c.earned_at, e.c.id)
        .limit(limit)
    )
    return list(conn.execute(query))


def payouts(
    conn: Connection,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    connection_id: int | None = None,
) -> list[Any]:
    """Payouts made from `start` to before `end`, the newest first, each with what is known to be inside.

    `inside` and `inside_net` come from the provider's list of items once it is read whole, or from the earnings that
    the payout was put together from: 0 where these hold nothing, None where there is neither. A sum over other
    currencies than the payout's is None.
    """
    p = payout_t
    conditions: list[Any] = []
    if start is not None:
        conditions.append(p.c.created_at >= start)
    if end is not None:
        conditions.append(p.c.created_at < end)
    if connection_id is not None:
        conditions.append(p.c.connection_id == connection_id)
    listed = (
        select(item_t.c.connection_id, item_t.c.payout_ref.label("ref"), *_inside(item_t, item_t.c.amount))
        .group_by(item_t.c.connection_id, item_t.c.payout_ref)
        .subquery()
    )
    gathered = select(p.c.connection_id).where(p.c.estimated)
    named = (
        select(e.c.connection_id, e.c.payout_ref.label("ref"), e.c.currency.label("of"), *_inside(e, e.c.net))
        .where(e.c.connection_id.in_(gathered), e.c.payout_ref.is_not(None), e.c.status.in_(_PAID_ONCE))
        .group_by(e.c.connection_id, e.c.payout_ref, e.c.currency)
        .subquery()
    )
    by_name = and_(
        named.c.connection_id == p.c.connection_id,
        named.c.ref + ":" + named.c.of == p.c.external_id,
        named.c.of == p.c.currency,
    )
    by_list = and_(listed.c.connection_id == p.c.connection_id, listed.c.ref == p.c.external_id)
    whole = and_(p.c.itemised, p.c.itemised_at.is_not(None))
    one_money = and_(listed.c.currencies == 1, listed.c.currency == p.c.currency)
    same = and_(whole, or_(listed.c.rows.is_(None), one_money))
    gathered_only = and_(p.c.estimated, ~p.c.itemised)
    query = (
        select(
            p,
            connection_t.c.slug,
            _told(whole, listed.c.rows, gathered_only, named.c.rows).label("inside"),
            _told(same, listed.c.net, gathered_only, named.c.net).label("inside_net"),
        )
        .select_from(
            p.join(connection_t, connection_t.c.id == p.c.connection_id)
            .outerjoin(listed, by_list)
            .outerjoin(named, by_name)
        )
        .where(*conditions)
        .order_by(p.c.created_at.desc(), p.c.id.desc())
    )
    return list(conn.execute(query))


def _told(listed: Any, by_list: Any, gathered: Any, by_name: Any) -> ColumnElement[Any]:
    nothing = literal(0, by_list.type)
    return case((listed, func.coalesce(by_list, nothing)), (gathered, func.coalesce(by_name, nothing)))


#: What was reversed after its payment was inside the payout all the same.
_PAID_ONCE = (Status.APPROVED, Status.REVERSED)


def _inside(t: Any, amount: Any) -> tuple[ColumnElement[Any], ...]:
    return (
        func.count().label("rows"),
        func.sum(amount).label("net"),
        func.min(t.c.currency).label("currency"),
        func.count(t.c.currency.distinct()).label("currencies"),
    )


# --- subscriptions ---


def subscribed_in_cash(conn: Connection) -> frozenset[str]:
    """What cash connections call their subscriptions, if other connections tell of any."""
    s, c = subscription_t.c, connection_t.c
    query = select(s.external_id).join(connection_t, c.id == s.connection_id)
    if conn.execute(query.where(c.role != Role.CASH).limit(1)).first() is None:
        return frozenset()
    return frozenset(conn.execute(query.where(c.role == Role.CASH)).scalars())


def subscriptions(conn: Connection, fields: Iterable[str]) -> Iterable[Any]:
    """All subscriptions by their names, with the role of their connection and these fields.

    One by one: tens of thousands of rows beside what is made of them would keep the garbage collector busy.
    """
    columns = [
        subscription_t.c[name] for name in ("id", "connection_id", "external_id", "payer", "started_at", *fields)
    ]
    query = select(*columns, connection_t.c.role).join(
        connection_t, connection_t.c.id == subscription_t.c.connection_id
    )
    return conn.execute(query.order_by(subscription_t.c.id))


def subscription_changes(conn: Connection) -> list[Any]:
    """When every subscription changed, and what it was like before (`old`), the newest change first."""
    c = change_t.c
    query = select(c.subscription_id, c.changed_at, c.old)
    return list(conn.execute(query.order_by(c.changed_at.desc(), c.id.desc())))
