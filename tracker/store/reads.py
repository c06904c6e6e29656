"""The grouped queries that reports are made of: sums come from the database, never from a loop over earnings."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Date, DateTime, Interval, and_, case, cast, func, literal, not_, select, tuple_
from sqlalchemy.sql import ColumnElement

from tracker.records import CORRECTIONS, NOT_INCOME, Status
from tracker.store import rollup, tables
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


#: What the roll-up does not know; these reports group the earnings themselves.
_NOT_ROLLED_UP = frozenset({By.PRODUCT, By.COUNTRY})

COUNTED = "counted"


def verdict(t: Any) -> ColumnElement[str]:
    """Whether an earning (or a row of the roll-up) is in the totals: `counted`, or the first reason why it is not."""
    return case(
        (t.c.kind.in_(NOT_INCOME), "not_income"),
        (t.c.paired, "paired"),
        (t.c.status == Status.DECLINED, "declined"),
        (t.c.status == Status.REVERSED, "reversed"),
        (t.c.estimated, "estimated"),
        (t.c.status == Status.PENDING, "pending"),
        else_=COUNTED,
    )


def freshness(conn: Connection) -> dict[str, datetime | None]:
    """When each connection was last read completely."""
    rows = conn.execute(select(connection_t.c.slug, connection_t.c.as_of).order_by(connection_t.c.slug))
    return {row.slug: row.as_of for row in rows}


def any_earning(conn: Connection) -> bool:
    return conn.execute(select(e.c.id).limit(1)).first() is not None


# --- income ---


def income(conn: Connection, by: By, basis: Basis, first: int, last: int) -> list[Any]:
    """Rows of month, label, verdict, recurrence (of what is counted), earnings, net, reporting_net and currency.

    What is counted lies in the month of the basis, everything else in the month it was earned. `currency` is None
    where `reporting_net` is known for all earnings of the row. Rows that belong in no column of a report are left out:
    paired ones, what is no income, and corrections that were undone together with what they correct.
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
    """As `income`, but per currency and day earned in the zone, to be converted. `day` is text or a date."""
    found = _placed(e, by, basis, first, last, e.c.earned_at).subquery().c.earned_at
    low, high = conn.execute(select(func.min(found), func.max(found))).one()
    if low is None:
        return []
    day = _local_day(e.c.earned_at, zone, low, high, conn.dialect.name)
    s = _placed(e, by, basis, first, last, e.c.currency, day.label("day")).subquery().c
    groups = (s.month, s.label, s.verdict, s.recurrence, s.currency, s.day)
    sums = (func.count().label("earnings"), func.sum(s.net).label("net"))
    return list(conn.execute(select(*groups, *sums).group_by(*groups)))


def _placed(t: Any, by: By, basis: Basis, first: int, last: int, *more: ColumnElement[Any]) -> Any:
    origin, label = _labelled(t, by)
    word = verdict(t)
    counted = word == COUNTED
    month = case((counted, t.c[f"{basis}_month"]), else_=t.c.earned_month)
    undone = and_(t.c.kind.in_(CORRECTIONS), t.c.status.in_((Status.DECLINED, Status.REVERSED)))
    columns = (month.label("month"), label.label("label"), word.label("verdict"), t.c.net, t.c.reporting_net)
    return (
        select(*columns, case((counted, t.c.recurrence)).label("recurrence"), *more)
        .select_from(origin)
        .where(~t.c.paired, t.c.kind.not_in(NOT_INCOME), not_(undone), month.between(first, last))
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


def _local_day(column: Any, zone: ZoneInfo, low: datetime, high: datetime, dialect: str) -> ColumnElement[Any]:
    """The day in the zone, worked out alike on both databases: SQLite knows no time zones."""

    def shifted(offset: timedelta) -> ColumnElement[Any]:
        if dialect == "sqlite":
            return func.date(column, f"{offset.total_seconds():+.0f} seconds")
        there = cast(column, DateTime(timezone=True)) + literal(offset, Interval)
        return cast(func.timezone("UTC", there), Date)

    *before, (_, final) = offsets(zone, low, high)
    arms = [(column < until, shifted(offset)) for until, offset in before]
    return case(*arms, else_=shifted(final)) if arms else shifted(final)


def offsets(zone: ZoneInfo, low: datetime, high: datetime) -> Iterator[tuple[datetime, timedelta]]:
    """The zone's offsets from UTC between two moments, each with the moment (to the minute) until which it holds."""
    span = timedelta(days=1)
    marks = [low + span * count for count in range((high - low) // span + 2)]

    def offset(moment: datetime) -> timedelta:
        return moment.astimezone(zone).utcoffset() or timedelta()

    for before, after in pairwise(marks):
        if offset(before) != offset(after):
            start = before.astimezone(UTC).replace(second=0, microsecond=0)
            inside = range((after - start) // timedelta(minutes=1) + 2)
            until = next(m for count in inside if offset(m := start + timedelta(minutes=count)) != offset(before))
            yield until, offset(before)
    yield marks[-1], offset(marks[-1])


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
    the payout was put together from; None where neither tells. A sum over other currencies than the payout's is None.
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
    same = and_(whole, listed.c.currencies == 1, listed.c.currency == p.c.currency)
    query = (
        select(
            p,
            connection_t.c.slug,
            func.coalesce(case((whole, listed.c.rows)), named.c.rows).label("inside"),
            func.coalesce(case((same, listed.c.net)), named.c.net).label("inside_net"),
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


def subscriptions(conn: Connection) -> list[Any]:
    """Subscriptions with the role of their connection."""
    query = select(subscription_t, connection_t.c.role).join(
        connection_t, connection_t.c.id == subscription_t.c.connection_id
    )
    return list(conn.execute(query.order_by(subscription_t.c.id)))


def subscription_changes(conn: Connection) -> list[Any]:
    """What changed of every subscription, the newest change first."""
    return list(conn.execute(select(change_t).order_by(change_t.c.changed_at.desc(), change_t.c.id.desc())))
