"""After the pages: corrections that add up to nothing, payouts that settle earnings, money reported twice.

Every step looks at earnings that are `fresh` (written since the last time) and what belongs to them, works in sets, and
changes only rows that differ, so that running it again changes nothing.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, exists, func, or_, select, update

from tracker.connect import catalog
from tracker.ledger import UNDONE, Book, earning_resources, note_changes, payout_item_t, payout_t
from tracker.months import month_of
from tracker.records import CORRECTIONS, NOT_INCOME, PayoutStatus, Role, Settlement, Status
from tracker.store import writes
from tracker.store.writes import connection_t
from tracker.store.writes import earning_t as e

_SETTLED = {
    PayoutStatus.PAID: Settlement.PAID,
    PayoutStatus.PENDING: Settlement.SCHEDULED,
    PayoutStatus.IN_TRANSIT: Settlement.SCHEDULED,
    PayoutStatus.FAILED: Settlement.UNPAID,
    PayoutStatus.CANCELED: Settlement.UNPAID,
}


def settle(conn: Connection, book: Book) -> None:
    """Bring corrections and payouts of one connection up to date."""
    if book.connector.corrections == "appended":
        _settle_corrections(conn, book)
    if book.connector.payouts == "read":
        _settle_payouts(conn, book)
    elif book.connector.payouts == "from_earnings":
        _gather_payouts(conn, book)


def _change(conn: Connection, book: Book, rows: Sequence[tuple[Any, dict[str, Any]]]) -> None:
    """Update earnings one set at a time, with history unless the earning itself is new."""
    if not rows:
        return
    names = list(rows[0][1])
    statement = (
        update(e).where(e.c.id == bindparam("row_id")).values({name: bindparam(f"new_{name}") for name in names})
    )
    conn.execute(statement, [{"row_id": old.id, **{f"new_{name}": new[name] for name in names}} for old, new in rows])
    writes.mark_dirty(conn, book.connection_id, {old.earned_month for old, _ in rows})
    note_changes(conn, book, [(old, new) for old, new in rows if not old.fresh or old.id <= (book.newest or 0)])


def _settle_corrections(conn: Connection, book: Book) -> None:
    """Rows that share an origin and add up to nothing were declined or, once approved, reversed."""
    mine = e.c.connection_id == book.connection_id
    touched = select(e.c.origin_ref).where(mine, e.c.fresh, e.c.origin_ref.is_not(None)).distinct()
    groups = (
        select(e.c.origin_ref, e.c.currency, func.sum(e.c.net).label("left"), func.count().label("rows"))
        .where(mine, e.c.origin_ref.in_(touched))
        .group_by(e.c.origin_ref, e.c.currency)
        .subquery()
    )
    undone = and_(groups.c.left == Decimal(0), groups.c.rows > 1)
    same = and_(e.c.origin_ref == groups.c.origin_ref, e.c.currency == groups.c.currency)
    changes = []
    for row in conn.execute(select(e, undone.label("undone")).join(groups, same).where(mine)):
        said = Status(row.said_status or row.status)
        status = UNDONE.get(said, said) if row.undone else said
        if status != row.status:
            changes.append((row, {"status": status, "approved_month": _approved_month(book, row, status)}))
    _change(conn, book, changes)


def _approved_month(book: Book, row: Any, status: Status) -> int | None:
    return (
        month_of(row.validated_at or row.earned_at, book.zone) if status in (Status.APPROVED, Status.REVERSED) else None
    )


def _settle_payouts(conn: Connection, book: Book) -> None:
    """Earnings inside a payout are as settled as the payout is."""
    p, i = payout_t.c, payout_item_t.c
    mine = and_(p.connection_id == book.connection_id, p.settled_as.is_distinct_from(p.status))
    unsettled = conn.execute(select(p.external_id).where(mine)).scalars().all()
    itemised = select(i.earning_ref).where(i.connection_id == book.connection_id)
    if conn.execute(itemised.limit(1)).first():
        makers = e.c.resource.in_(earning_resources(book.connector))
        fresh = and_(e.c.connection_id == book.connection_id, e.c.fresh, makers)
        # In sets by index, not as one join, which PostgreSQL plans from statistics that a first load does not have yet.
        for rows in writes.in_steps(conn, fresh, e.c.external_id):
            for part in writes.chunks(rows):
                _settle_earnings(conn, book, [row.external_id for row in part])
        for payout in unsettled:
            for part in writes.chunks(conn.execute(itemised.where(i.payout_ref == payout)).scalars().all()):
                _settle_earnings(conn, book, part)
    read = or_(p.itemised_at.is_not(None), ~p.itemised)
    conn.execute(update(payout_t).where(mine, read).values(settled_as=p.status))


def _settle_earnings(conn: Connection, book: Book, refs: Sequence[str]) -> None:
    p, i = payout_t.c, payout_item_t.c
    inside = (
        select(i.earning_ref, p.external_id.label("payout_id"), p.status, p.arrives_at, p.created_at)
        .select_from(payout_item_t)
        .join(payout_t, and_(p.connection_id == i.connection_id, p.external_id == i.payout_ref))
        .where(i.connection_id == book.connection_id, i.earning_ref.in_(refs))
        .order_by(p.created_at)
    )
    latest = {row.earning_ref: row for row in conn.execute(inside)}  # after a failed payout the newer one counts
    changes = []
    for resource in earning_resources(book.connector):
        for row in writes.existing(conn, e, book.connection_id, resource, list(latest)).values():
            payout = latest[row.external_id]
            settlement = _SETTLED[PayoutStatus(payout.status)]
            paid_at = (payout.arrives_at or payout.created_at) if settlement == Settlement.PAID else None
            new = {
                "settlement": settlement,
                "paid_at": paid_at,
                "paid_month": month_of(paid_at, book.zone) if paid_at else None,
                "payout_ref": payout.payout_id if settlement != Settlement.UNPAID else None,
            }
            if any(getattr(row, name) != value for name, value in new.items()):
                changes.append((row, new))
    _change(conn, book, changes)


def _gather_payouts(conn: Connection, book: Book) -> None:
    """Put payouts together from the earnings that name one, where the provider does not list payouts itself.

    Their day is not given: it is the day a payment was first seen or, for the past, the newest validation inside.
    """
    p = payout_t.c
    gathered = and_(p.connection_id == book.connection_id, p.resource == "earnings", p.settled_as.is_(None))
    left = list(conn.execute(select(p.external_id).where(gathered)).scalars())  # an earning names another one now
    mine = and_(e.c.connection_id == book.connection_id, e.c.payout_ref.is_not(None))
    refs = {payout.rpartition(":")[0] for payout in left}
    refs.update(conn.execute(select(e.c.payout_ref).where(mine, e.c.fresh).distinct()).scalars())
    for part in writes.chunks(sorted(refs)):
        _gather(conn, book, and_(mine, e.c.payout_ref.in_(part)))
    conn.execute(delete(payout_t).where(gathered))  # nothing names it any more


def _gather(conn: Connection, book: Book, inside: ColumnElement[bool]) -> None:
    when = func.coalesce(func.max(e.c.paid_at), func.max(e.c.validated_at), func.max(e.c.earned_at))
    sums = (
        select(e.c.payout_ref, e.c.currency, func.sum(e.c.net).label("amount"), when.label("at"))
        # What was reversed later had been paid then.
        .where(inside, e.c.status.in_((Status.APPROVED, Status.REVERSED)))
        .group_by(e.c.payout_ref, e.c.currency)
    )
    rows = [
        {
            "connection_id": book.connection_id,
            "resource": "earnings",
            "external_id": f"{row.payout_ref}:{row.currency}",
            "status": PayoutStatus.PAID,
            "amount": row.amount,
            "currency": row.currency,
            "created_at": row.at,
            "arrives_at": row.at,
            "estimated": True,
            "itemised": False,
            "settled_as": PayoutStatus.PAID,
        }
        for row in conn.execute(sums)
    ]
    writes.upsert(conn, payout_t, rows, ("connection_id", "resource", "external_id"), {"created_at", "arrives_at"})


# --- money reported twice ---


def processors_of(conn: Connection) -> list[int]:
    """Connections that keep the book of payments: shops' orders are counted there."""
    rows = conn.execute(select(connection_t.c.id, connection_t.c.provider).where(connection_t.c.role == Role.CASH))
    return [row.id for row in rows if catalog.knows(row.provider) and catalog.find(row.provider).kind == "payments"]


def pair(conn: Connection, processors: Sequence[int], connection_id: int | None = None) -> set[int]:
    """Mark earnings whose money another connection counts. Answers the connections whose earnings are fresh by that.

    A shop's order is counted by the payment processor's row that carries the same gateway reference, whichever came
    first. Rows of an enrichment connection never count. `processors` are the connections that hold the book of
    payments. Without `connection_id` everything is paired anew.
    """
    other = e.alias("other")
    shops = select(connection_t.c.id).where(connection_t.c.id.not_in(processors), connection_t.c.role == Role.CASH)
    enrichers = select(connection_t.c.id).where(connection_t.c.role == Role.ENRICHMENT)
    # A sale is counted by a sale, not by a refund that came without it (from before the processor's first day).
    counts = and_(other.c.kind.not_in(NOT_INCOME), or_(e.c.kind.in_(CORRECTIONS), other.c.kind.not_in(CORRECTIONS)))
    # Two questions, not one with an OR inside: so that each can use the index of its reference.
    twins = [
        exists().where(other.c.connection_id.in_(processors), ref == e.c.gateway_ref, counts)
        for ref in (other.c.gateway_ref, other.c.payment_ref)
    ]
    reported_twice = or_(e.c.connection_id.in_(enrichers), and_(e.c.connection_id.in_(shops), or_(*twins)))
    scope: Any = e.c.gateway_ref.is_not(None) | e.c.connection_id.in_(enrichers) | e.c.paired
    if connection_id in processors:
        refs = [
            select(column).where(e.c.connection_id == connection_id, e.c.fresh, column.is_not(None))
            for column in (e.c.gateway_ref, e.c.payment_ref)
        ]
        scope = and_(scope, e.c.connection_id.not_in(processors), or_(*(e.c.gateway_ref.in_(ref) for ref in refs)))
    elif connection_id is not None:
        scope = and_(scope, e.c.connection_id == connection_id, e.c.fresh)
    differs = and_(scope, e.c.paired != reported_twice)
    touched: set[int] = set()
    for part in writes.chunks(list(conn.execute(select(e.c.id).where(differs)).scalars())):
        touched |= _pair(conn, processors, e.c.id.in_(part), reported_twice)
    return touched | set(processors if touched else ())


def _pair(
    conn: Connection, processors: Sequence[int], mine: ColumnElement[bool], twice: ColumnElement[bool]
) -> set[int]:
    """Write what is counted elsewhere and what is not. Answers the connections of these earnings."""
    found = conn.execute(select(e.c.connection_id, e.c.earned_month, e.c.gateway_ref).where(mine)).all()
    conn.execute(update(e).where(mine).values(paired=twice))
    owners = {row.connection_id for row in found}
    for owner in owners:
        writes.mark_dirty(conn, owner, [row.earned_month for row in found if row.connection_id == owner])
    refs = [row.gateway_ref for row in found if row.gateway_ref]
    learns = or_(e.c.gateway_ref.in_(refs), e.c.payment_ref.in_(refs))  # from the shop: what was bought, if it renews
    conn.execute(update(e).where(e.c.connection_id.in_(processors), learns).values(fresh=True))
    return owners
