"""Recurring or one-off, and why; and which income stream an earning belongs to.

The first answer wins, and which one it was is kept in `recurrence_by`:

    override      the user said so
    provider      the provider says so on the row
    invoice       the provider's invoice for the payment tells
    subscription  the row belongs to a subscription
    shop          the shop that reports the same money says so
    kind          advertising and royalties vary by nature
    program       the user marked the program
    correction    it takes back or corrects an earning, and is what that one is
    pattern       the same payer and product at a regular distance (`tracker.recurrence`)
    default       nothing speaks for repetition
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, case, func, literal, or_, select, true, update
from sqlalchemy.sql import ColumnElement

from tracker.ledger import Book, invoice_t, program_t, subscription_t
from tracker.money import to_micros
from tracker.months import day_of
from tracker.records import CORRECTIONS, Kind, Recurrence
from tracker.recurrence.charges import Charge, Hints
from tracker.recurrence.infer import infer
from tracker.store import tables, writes
from tracker.store.writes import connection_t
from tracker.store.writes import earning_t as e

_rule_t = tables.StreamRule.__table__  # type: ignore[attr-defined]

#: How the answers are put to the reader; `{}` is the detail.
REASONS = {
    "override": "you said so",
    "provider": "the provider says so",
    "invoice": "its invoice says so{}",
    "subscription": "belongs to subscription {}",
    "shop": "the shop says so{}",
    "kind": "this kind of income varies",
    "program": "you marked the program",
    "correction": "as the earning it corrects",
    "pattern": "{}",
    "default": "nothing speaks for repetition",
}
#: Payers or orders whose charges are judged together in one query.
_GROUPS = 200
#: Newest charges of one payer that are looked at.
_CHARGES_MAX = 5_000


def reason(by: str, detail: str | None) -> str:
    """The stored answer in words."""
    return REASONS[by].format(f" {detail}" if detail and by in ("invoice", "shop") else detail or "").strip()


def classify(conn: Connection, book: Book, processors: Sequence[int]) -> None:
    """Decide the recurrence and stream of the connection's fresh earnings, and of older ones in the same pattern."""
    mine = and_(e.c.connection_id == book.connection_id, e.c.fresh)
    _set(conn, and_(mine, e.c.recurrence_by != "default"), Recurrence.ONE_OFF, "default", None, interval=None)
    undecided = and_(mine, e.c.recurrence_by == "default")
    for condition, word in ((e.c.override_recurrence, "override"), (e.c.said_recurrence, "provider")):
        interval = e.c.said_interval if word == "provider" else None
        _set(conn, and_(undecided, condition.is_not(None)), condition, word, None, interval=interval)
    _from_invoices(conn, book, undecided)
    _from_subscriptions(conn, undecided)
    if book.connection_id in processors:
        _from_shops(conn, processors, undecided)
    default = book.connector.recurrence
    varying = e.c.kind.in_([Kind.AD_REVENUE, Kind.ROYALTY]) if default is None else true()
    _set(conn, and_(undecided, varying), default or Recurrence.VARIABLE, "kind", None, interval=None)
    marked = select(program_t.c.external_id).where(
        program_t.c.connection_id == book.connection_id, program_t.c.recurring
    )
    _set(conn, and_(undecided, e.c.program.in_(marked)), Recurrence.RECURRING, "program", None, interval=None)
    _from_patterns(conn, book)
    _from_origins(conn, book.connection_id, undecided)
    assign_streams(conn, mine)
    conn.execute(update(e).where(mine).values(fresh=False))


def _set(
    conn: Connection, condition: ColumnElement[bool], recurrence: Any, by: str, detail: Any, *, interval: Any
) -> None:
    conn.execute(
        update(e)
        .where(condition)
        .values(recurrence=recurrence, recurrence_by=by, recurrence_reason=detail, recurrence_interval=interval)
    )


def _from_invoices(conn: Connection, book: Book, undecided: ColumnElement[bool]) -> None:
    """A payment's invoice names its subscription, product, payer and period."""
    i, s = invoice_t, subscription_t
    interval = (
        select(s.c.interval)
        .where(s.c.connection_id == i.c.connection_id, s.c.external_id == i.c.subscription_ref)
        .limit(1)
        .scalar_subquery()
    )
    conn.execute(
        update(e)
        .where(
            undecided,
            i.c.connection_id == book.connection_id,
            or_(i.c.payment_ref == e.c.payment_ref, i.c.payment_ref == e.c.gateway_ref),
        )
        .values(
            recurrence=i.c.recurrence,
            recurrence_by="invoice",
            recurrence_reason=i.c.external_id,
            recurrence_interval=func.coalesce(i.c.interval, interval),
            subscription_ref=func.coalesce(i.c.subscription_ref, e.c.subscription_ref),
            product=func.coalesce(e.c.product, i.c.product),
            payer=func.coalesce(e.c.payer, i.c.payer),
            period_start=i.c.period_start,
            period_end=i.c.period_end,
            kind=case(
                (
                    and_(e.c.kind == Kind.SALE, i.c.recurrence == Recurrence.RECURRING),
                    literal(Kind.SUBSCRIPTION_PAYMENT.value),
                ),
                else_=e.c.kind,
            ),
        )
    )


def _from_subscriptions(conn: Connection, undecided: ColumnElement[bool]) -> None:
    s = subscription_t
    interval = (
        select(s.c.interval)
        .where(s.c.connection_id == e.c.connection_id, s.c.external_id == e.c.subscription_ref)
        .limit(1)
        .scalar_subquery()
    )
    condition = and_(undecided, e.c.subscription_ref.is_not(None))
    _set(conn, condition, Recurrence.RECURRING, "subscription", e.c.subscription_ref, interval=interval)


def _from_shops(conn: Connection, processors: Sequence[int], undecided: ColumnElement[bool]) -> None:
    """What the shop's paired order knows: the product and whether it is a renewal."""
    shop = e.alias("shop")
    twin = and_(
        shop.c.paired,
        shop.c.connection_id.not_in(processors),
        or_(shop.c.gateway_ref == e.c.gateway_ref, shop.c.gateway_ref == e.c.payment_ref),
        shop.c.kind.not_in(CORRECTIONS),
    )
    conn.execute(
        update(e)
        .where(undecided, twin)
        .values(
            product=func.coalesce(e.c.product, shop.c.product),
            country=func.coalesce(e.c.country, shop.c.country),
            order_ref=func.coalesce(e.c.order_ref, shop.c.order_ref),
        )
    )
    says = and_(twin, or_(shop.c.said_recurrence.is_not(None), shop.c.subscription_ref.is_not(None)))
    conn.execute(
        update(e)
        .where(undecided, says)
        .values(
            recurrence=func.coalesce(shop.c.said_recurrence, literal(Recurrence.RECURRING.value)),
            recurrence_by="shop",
            recurrence_reason=None,
            recurrence_interval=shop.c.said_interval,
        )
    )


def _from_origins(conn: Connection, connection_id: int, undecided: ColumnElement[bool]) -> None:
    """A refund takes back what its sale was: recurring income stays net of its own refunds."""
    origin = e.alias("origin")
    same = or_(
        and_(e.c.origin_ref == origin.c.external_id, e.c.resource == origin.c.resource),
        and_(e.c.origin_ref == origin.c.origin_ref, origin.c.kind.not_in(CORRECTIONS)),
        and_(e.c.origin_ref.is_(None), e.c.gateway_ref == origin.c.gateway_ref),
    )
    conn.execute(
        update(e)
        .where(
            undecided,
            e.c.kind.in_(CORRECTIONS),
            origin.c.connection_id == connection_id,
            origin.c.kind.not_in(CORRECTIONS),
            origin.c.recurrence_by != "default",
            same,
        )
        .values(
            recurrence=origin.c.recurrence, recurrence_by="correction", recurrence_interval=origin.c.recurrence_interval
        )
    )


# --- patterns ---


class _Group(NamedTuple):
    payer: str | None
    program: str | None
    product: str | None
    order_ref: str | None


def _from_patterns(conn: Connection, book: Book) -> None:
    """Judge the charges of every payer, or order of a program, that has a fresh undecided earning."""
    connection_id = book.connection_id
    mine = and_(e.c.connection_id == connection_id, e.c.fresh, e.c.recurrence_by == "default")
    payers = list(conn.execute(select(e.c.payer).where(mine, e.c.payer.is_not(None)).distinct()).scalars())
    for part in _parts(payers):
        _judge(conn, book, and_(e.c.connection_id == connection_id, e.c.payer.in_(part)))
    orders = select(e.c.order_ref).where(mine, e.c.payer.is_(None), e.c.order_ref.is_not(None)).distinct()
    repeated = (
        select(e.c.order_ref)
        .where(e.c.connection_id == connection_id, e.c.payer.is_(None), e.c.order_ref.in_(orders))
        .group_by(e.c.order_ref)
        .having(func.count() >= 3)
    )
    for part in _parts(list(conn.execute(repeated).scalars())):
        _judge(conn, book, and_(e.c.connection_id == connection_id, e.c.payer.is_(None), e.c.order_ref.in_(part)))


def _parts(items: list[str | None]) -> list[list[str | None]]:
    return [items[start : start + _GROUPS] for start in range(0, len(items), _GROUPS)]


def _judge(conn: Connection, book: Book, condition: ColumnElement[bool]) -> None:
    columns = (e.c.id, e.c.payer, e.c.program, e.c.product, e.c.order_ref, e.c.earned_at, e.c.earned_month, e.c.net,
               e.c.gross, e.c.currency, e.c.connection_id, e.c.recurrence, e.c.recurrence_by, e.c.recurrence_reason, e.c.recurrence_interval)  # fmt: skip
    groups: dict[_Group, list[Any]] = defaultdict(list)
    rows = conn.execute(
        select(*columns)
        .where(condition, e.c.recurrence_by.in_(("default", "pattern")), e.c.kind.not_in(CORRECTIONS))
        .order_by(e.c.earned_at, e.c.id)
    )
    for row in rows:
        group = _Group(row.payer, row.program, row.product, row.order_ref if row.payer is None else None)
        groups[group].append(row)
    updates = []
    for charges in groups.values():
        newest = charges[-_CHARGES_MAX:]
        if len(newest) >= 2:  # two parts of a purchase by instalments may name their number
            updates += _changed(newest, book)
    if updates:
        names = ("recurrence", "recurrence_by", "recurrence_reason", "recurrence_interval")
        statement = (
            update(e).where(e.c.id == bindparam("row_id")).values({name: bindparam(f"new_{name}") for name in names})
        )
        conn.execute(statement, [values for values, _ in updates])
        for _, row in updates:
            writes.mark_dirty(conn, row.connection_id, [row.earned_month])


def _changed(rows: Sequence[Any], book: Book) -> list[tuple[dict[str, Any], Any]]:
    charges = [
        Charge(
            day=day_of(row.earned_at, book.zone),
            micros=to_micros(row.gross if row.gross is not None else row.net),
            currency=row.currency,
            order_ref=row.order_ref,
            product=row.product,
        )
        for row in rows
    ]
    hints = Hints(as_of=day_of(book.now, book.zone), payer_known=rows[0].payer is not None)
    changed = []
    for row, verdict in zip(rows, infer(charges, hints), strict=True):
        pattern = verdict.recurrence != Recurrence.ONE_OFF
        new = {
            "recurrence": verdict.recurrence.value,
            "recurrence_by": "pattern" if pattern else "default",
            "recurrence_reason": verdict.reason if pattern else None,
            "recurrence_interval": str(verdict.interval) if verdict.interval and pattern else None,
        }
        if any(getattr(row, name) != value for name, value in new.items()):
            changed.append(({"row_id": row.id, **{f"new_{name}": value for name, value in new.items()}}, row))
    return changed


# --- streams ---


def assign_streams(conn: Connection, scope: ColumnElement[bool]) -> int:
    """Give every earning in scope the stream of the first rule that fits, else its connection's own.

    Answers how many moved.
    """
    rules = conn.execute(select(_rule_t).order_by(_rule_t.c.position, _rule_t.c.id)).all()
    own = select(connection_t.c.stream_id).where(connection_t.c.id == e.c.connection_id).scalar_subquery()
    cases = [(_fits(rule), literal(rule.stream_id)) for rule in rules]
    stream = func.coalesce(e.c.override_stream_id, case(*cases, else_=own) if cases else own)
    differs = and_(scope, e.c.stream_id != stream)
    writes.mark_dirty_where(conn, differs)
    return conn.execute(update(e).where(differs).values(stream_id=stream)).rowcount


def _fits(rule: Any) -> ColumnElement[bool]:
    title = (
        select(program_t.c.title)
        .where(program_t.c.connection_id == e.c.connection_id, program_t.c.external_id == e.c.program)
        .scalar_subquery()
    )
    parts: list[ColumnElement[bool]] = [true()]
    if rule.connection_id is not None:
        parts.append(e.c.connection_id == rule.connection_id)
    if rule.program:
        parts.append(or_(_like(e.c.program, rule.program), _like(title, rule.program)))
    for name in ("product", "sub_id", "kind"):
        if getattr(rule, name):
            parts.append(_like(e.c[name], getattr(rule, name)))
    return and_(*parts)


def _like(column: Any, pattern: str) -> ColumnElement[bool]:
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
    found: ColumnElement[bool] = func.coalesce(func.lower(column).like(escaped.lower(), escape="\\"), False)
    return found
