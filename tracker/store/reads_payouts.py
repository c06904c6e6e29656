"""The queries of the pages about payouts: a page of them, what is inside, what is owed, and lines of the bank."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, and_, case, func, or_, select
from sqlalchemy.sql import ColumnElement

from tracker.records import NOT_INCOME, Settlement, Status
from tracker.store import keyset, rollup, tables
from tracker.store.columns import Micros
from tracker.store.keyset import Page
from tracker.store.reads import item_t, payout_t, program_t
from tracker.store.writes import connection_t
from tracker.store.writes import earning_t as e

bank_t = tables.BankLine.__table__  # type: ignore[attr-defined]
p, i, m, c, b = payout_t.c, item_t.c, rollup.m.c, connection_t.c, bank_t.c
#: What was reversed after its payment was inside the payout all the same.
PAID_ONCE = (Status.APPROVED, Status.REVERSED)


def page(
    conn: Connection,
    *,
    connection: str | None,
    status: str | None,
    currency: str | None,
    start: datetime | None,
    end: datetime | None,
    place: str | None,
    limit: int,
) -> Page:
    """Payouts made from `start` to before `end`, the newest first."""
    conditions: list[Any] = []
    for column, wanted in ((c.slug, connection), (p.status, status), (p.currency, currency)):
        if wanted is not None:
            conditions.append(column == wanted)
    if start is not None:
        conditions.append(p.created_at >= start)
    if end is not None:
        conditions.append(p.created_at < end)
    return keyset.page(conn, _payouts().where(*conditions), (p.created_at, p.id), place, limit)


def one(conn: Connection, payout_id: int) -> Any:
    return conn.execute(_payouts().where(p.id == payout_id)).one_or_none()


def _payouts() -> Any:
    shown = (c.slug, c.provider, c.title.label("connection_title"))
    return select(payout_t, *shown).join(connection_t, c.id == p.connection_id)


@dataclass(frozen=True, slots=True)
class Inside:
    """What is inside a payout, added up; without `net` and `currency` where it is in several currencies."""

    rows: int
    net: Decimal | None
    currency: str | None


def listed(conn: Connection, rows: Sequence[Any]) -> dict[tuple[int, str], Inside]:
    """Items of payouts by connection and reference."""
    found: dict[tuple[int, str], Inside] = {}
    for row in _inside(conn, item_t, i.amount, rows, {row.external_id for row in rows}):
        key = row.connection_id, row.payout_ref
        if key in found:
            found[key] = Inside(found[key].rows + row.rows, None, None)
        else:
            found[key] = Inside(row.rows, row.net, row.currency)
    return found


def named(conn: Connection, rows: Sequence[Any]) -> dict[tuple[int, str], Inside]:
    """Earnings that payouts were put together from, by connection and the payout's id."""
    found = _inside(conn, e, e.c.net, rows, {_ref(row) for row in rows}, e.c.status.in_(PAID_ONCE))
    return {
        (row.connection_id, f"{row.payout_ref}:{row.currency}"): Inside(row.rows, row.net, row.currency)
        for row in found
    }


def _inside(conn: Connection, t: Any, amount: Any, payouts: Sequence[Any], refs: set[str], *more: Any) -> list[Any]:
    """Sums by connection, reference and currency, from an index that holds all of it."""
    groups = (t.c.connection_id, t.c.payout_ref, t.c.currency)
    owners = {row.connection_id for row in payouts}
    query = (
        select(*groups, func.count().label("rows"), func.sum(amount).label("net"))
        .where(t.c.connection_id.in_(owners), t.c.payout_ref.in_(refs), *more)
        .group_by(*groups)
    )
    return list(conn.execute(query)) if payouts else []


def _ref(payout: Any) -> str:
    """What the earnings call a payout that was put together from them: `tracker.settle` adds the currency."""
    ref: str = payout.external_id.rpartition(":")[0]
    return ref


# --- one payout ---


def items(conn: Connection, payout: Any, resources: Sequence[str], place: str | None, limit: int) -> Page:
    """The provider's list of what is inside, each item with its earning where the ledger has it."""
    query = (
        select(i.id, i.external_id, i.amount, i.currency, i.earning_ref, *_EARNING)
        .select_from(_with_titles(item_t.outerjoin(e, _same_earning(resources))))
        .where(i.connection_id == payout.connection_id, i.payout_ref == payout.external_id)
    )
    return keyset.page(conn, query, (i.id,), place, limit)


def earnings(conn: Connection, payout: Any, place: str | None, limit: int) -> Page:
    """The earnings that a payout was put together from."""
    query = (
        select(e.c.id, e.c.external_id, e.c.net.label("amount"), e.c.currency, *_EARNING)
        .select_from(_with_titles(e))
        .where(_gathered(payout))
    )
    return keyset.page(conn, query, (e.c.id,), place, limit)


_products = program_t.alias("products")
_EARNING = (
    e.c.id.label("earning_id"), e.c.kind, e.c.status, e.c.net.label("earning_net"), e.c.earned_at,
    e.c.currency.label("earning_currency"), func.coalesce(program_t.c.title, e.c.program).label("program"),
    func.coalesce(_products.c.title, e.c.product).label("product"),
)  # fmt: skip


def _with_titles(origin: Any) -> Any:
    for titles, name in ((program_t, e.c.program), (_products, e.c.product)):
        same = and_(titles.c.connection_id == e.c.connection_id, titles.c.external_id == name)
        origin = origin.outerjoin(titles, same)
    return origin


def _same_earning(resources: Sequence[str]) -> ColumnElement[bool]:
    return and_(e.c.connection_id == i.connection_id, e.c.resource.in_(resources), e.c.external_id == i.earning_ref)


def _gathered(payout: Any) -> ColumnElement[bool]:
    return and_(
        e.c.connection_id == payout.connection_id,
        e.c.payout_ref == _ref(payout),
        e.c.currency == payout.currency,
        e.c.status.in_(PAID_ONCE),
    )


def unlike(conn: Connection, payout: Any, resources: Sequence[str]) -> Any:
    """Of the items, those without an earning (`missing`) and those of which it says another amount (`other`).

    `other_net` is the sum of these items less that of their earnings, where the currency is the same.
    """
    missing = e.c.id.is_(None)
    other = and_(e.c.id.is_not(None), or_(e.c.net != i.amount, e.c.currency != i.currency))
    same_money = and_(other, e.c.currency == i.currency)
    query = (
        select(
            func.sum(case((missing, 1), else_=0)).label("missing"),
            func.sum(case((missing, i.amount))).label("missing_net"),
            func.sum(case((other, 1), else_=0)).label("other"),
            func.sum(case((same_money, i.amount - e.c.net)), type_=Micros).label("other_net"),
        )
        .select_from(item_t.outerjoin(e, _same_earning(resources)))
        .where(i.connection_id == payout.connection_id, i.payout_ref == payout.external_id)
    )
    return conn.execute(query).one()


def any_bank_line(conn: Connection) -> bool:
    return conn.execute(select(b.id).limit(1)).first() is not None


def bank_lines(conn: Connection, amount: Decimal, currency: str, first: date, last: date, limit: int) -> list[Any]:
    """Lines of exactly that amount that were booked from day `first` to `last`."""
    query = select(bank_t).where(b.booked_on.between(first, last), b.amount == amount, b.currency == currency)
    return list(conn.execute(query.order_by(b.booked_on, b.id).limit(limit)))


# --- what is owed ---


def owed(conn: Connection) -> list[Any]:
    """What is approved and not known to be paid, by connection and currency, apart from what is scheduled.

    `told` is whether the connection ever told of a payment: where it never did, all of it stays open.
    """
    scheduled = m.settlement == Settlement.SCHEDULED
    counts = and_(
        m.status == Status.APPROVED,
        m.settlement != Settlement.PAID,
        ~m.paired,
        ~m.estimated,
        m.kind.not_in(NOT_INCOME),
    )
    paid = select(m.connection_id).where(m.settlement != Settlement.UNPAID)
    told = or_(c.id.in_(select(p.connection_id)), c.id.in_(paid))
    query = (
        select(
            c.slug,
            c.title,
            m.currency,
            case((told, 1), else_=0).label("told"),
            func.sum(case((~scheduled, m.net))).label("unpaid"),
            func.sum(case((~scheduled, m.earnings), else_=0)).label("unpaid_earnings"),
            func.sum(case((scheduled, m.net))).label("scheduled"),
            func.sum(case((scheduled, m.earnings), else_=0)).label("scheduled_earnings"),
            func.min(m.earned_month).label("oldest"),
        )
        .join(connection_t, c.id == m.connection_id)
        .where(counts)
        .group_by(c.id, c.slug, c.title, m.currency)
        .order_by(c.title, c.slug, m.currency)
    )
    return list(conn.execute(query))


def choices(conn: Connection) -> tuple[list[Any], list[str]]:
    """Connections with payouts, and the payouts' currencies."""
    owners = select(c.slug, c.title).where(c.id.in_(select(p.connection_id))).order_by(c.title, c.slug)
    currencies = select(p.currency).distinct().order_by(p.currency)
    return list(conn.execute(owners)), list(conn.execute(currencies).scalars())
