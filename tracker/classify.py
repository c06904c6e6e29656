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
from collections.abc import Callable, Container, Hashable, Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, func, literal, or_, select, true, update
from sqlalchemy.sql import ColumnElement

from tracker.ledger import Book, invoice_t, program_t, subscription_t
from tracker.months import day_of
from tracker.records import CORRECTIONS, Kind, Recurrence
from tracker.recurrence.charges import Charge, Hints
from tracker.recurrence.facts import Facts, Paid
from tracker.recurrence.infer import SILENCES, infer
from tracker.recurrence.parts import counted_part, without_count
from tracker.store import charges, tables, writes
from tracker.store.writes import connection_t
from tracker.store.writes import earning_t as e

_rule_t = tables.StreamRule.__table__  # type: ignore[attr-defined]

#: How the answers are put to the reader; `{}` is the detail.
REASONS = {
    "override": "you said so",
    "provider": "the provider says so",
    "invoice": "invoice {} says so",
    "subscription": "belongs to subscription {}",
    "shop": "the shop says so{}",
    "kind": "this kind of income varies",
    "program": "you marked the program",
    "correction": "as the earning it corrects",
    "pattern": "{}",
    "default": "nothing speaks for repetition",
}


def reason(by: str, detail: str | None) -> str:
    """The stored answer in words."""
    if by == "invoice" and detail:
        detail = detail.partition(":")[0]  # the rest tells the payments of one invoice apart
    return REASONS[by].format(f" {detail}" if detail and by == "shop" else detail or "").strip()


def classify(conn: Connection, book: Book, processors: Sequence[int]) -> None:
    """Decide the recurrence and stream of the connection's fresh earnings, and of older ones in the same pattern."""
    mine = and_(e.c.connection_id == book.connection_id, e.c.fresh)
    # Also of rows that were only touched by an invoice or a paired order. DISTINCT would have SQLite walk all months.
    writes.mark_dirty(conn, book.connection_id, conn.execute(select(e.c.earned_month).where(mine)).scalars())
    _set(conn, and_(mine, e.c.recurrence_by != "default"), Recurrence.ONE_OFF, "default", None, interval=None)
    undecided = and_(mine, e.c.recurrence_by == "default")
    _from_invoices(conn, book, undecided)
    _from_subscriptions(conn, undecided)
    if book.connection_id in processors:
        _from_shops(conn, processors, mine, undecided)
    # Stronger words, but later: whoever decides, the earning keeps what its invoice or shop tells besides.
    said, mark = e.c.said_recurrence, e.c.override_recurrence
    _set(conn, and_(mine, said.is_not(None)), said, "provider", None, interval=e.c.said_interval)
    _set(conn, and_(mine, mark.is_not(None)), mark, "override", None, interval=None)
    default = book.connector.recurrence
    varying = e.c.kind.in_([Kind.AD_REVENUE, Kind.ROYALTY]) if default is None else true()
    _set(conn, and_(undecided, varying), default or Recurrence.VARIABLE, "kind", None, interval=None)
    marked = select(program_t.c.external_id).where(
        program_t.c.connection_id == book.connection_id, program_t.c.recurring
    )
    _set(conn, and_(undecided, e.c.program.in_(marked)), Recurrence.RECURRING, "program", None, interval=None)
    _from_patterns(conn, book)
    _from_origins(conn, book.connection_id)
    _assign(conn, mine)
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
            or_(*(i.c.payment_ref == ref for ref in (e.c.payment_ref, e.c.gateway_ref, e.c.external_id))),
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


def _from_shops(
    conn: Connection, processors: Sequence[int], mine: ColumnElement[bool], undecided: ColumnElement[bool]
) -> None:
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
        .where(mine, twin)
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
            kind=shop.c.kind,
            recurrence_reason=None,
            recurrence_interval=shop.c.said_interval,
        )
    )


def _from_origins(conn: Connection, connection_id: int) -> None:
    """A refund takes back what its sale was: recurring income stays net of its own refunds.

    Both ways: a fresh correction looks for its earning, and an earning whose answer may be new is followed by its
    older corrections.
    """
    origin = e.alias("origin")
    corrects = and_(
        e.c.connection_id == connection_id,
        e.c.kind.in_(CORRECTIONS),
        e.c.recurrence_by.in_(("default", "correction")),
        origin.c.connection_id == connection_id,
        origin.c.kind.not_in(CORRECTIONS),
        origin.c.recurrence_by != "default",
    )
    # The surest way last, for it has the last word. In one OR they would be compared row by row with all.
    ways = (
        and_(e.c.origin_ref.is_(None), e.c.gateway_ref == origin.c.gateway_ref, origin.c.gateway_ref.is_not(None)),
        and_(e.c.origin_ref == origin.c.origin_ref, origin.c.origin_ref.is_not(None)),
        and_(e.c.origin_ref == origin.c.external_id, e.c.resource == origin.c.resource),
    )
    for part in writes.chunks(_corrections(conn, connection_id)):
        again = and_(e.c.id.in_(part), e.c.recurrence_by == "correction")  # its earning may be decided otherwise by now
        _set(conn, again, Recurrence.ONE_OFF, "default", None, interval=None)
        for way in ways:
            _follow(conn, and_(corrects, way, e.c.id.in_(part)), origin)


def _corrections(conn: Connection, connection_id: int) -> list[int]:
    """Fresh corrections and older ones of fresh earnings, whose months are marked."""
    mine = and_(e.c.connection_id == connection_id, e.c.kind.in_(CORRECTIONS))
    found = list(conn.execute(select(e.c.id).where(mine, e.c.fresh)).scalars())
    older = and_(mine, ~e.c.fresh)
    if conn.execute(select(e.c.id).where(older).limit(1)).first() is None:
        return found
    columns = (e.c.external_id, e.c.origin_ref, e.c.gateway_ref)
    earnings = and_(e.c.connection_id == connection_id, e.c.fresh, ~e.c.kind.in_(CORRECTIONS))
    months = set()
    for part in writes.in_steps(conn, earnings, *columns):
        named = e.c.origin_ref.in_({ref for row in part for ref in (row.external_id, row.origin_ref) if ref})
        charged = and_(e.c.origin_ref.is_(None), e.c.gateway_ref.in_({row.gateway_ref for row in part} - {None}))
        for way in (named, charged):
            for row in conn.execute(select(e.c.id, e.c.earned_month).where(older, way)):
                found.append(row.id)
                months.add(row.earned_month)
    writes.mark_dirty(conn, connection_id, months)
    return found


def _follow(conn: Connection, condition: ColumnElement[bool], origin: Any) -> None:
    values = {
        "recurrence": origin.c.recurrence,
        "recurrence_by": "correction",
        "recurrence_interval": origin.c.recurrence_interval,
    }
    conn.execute(update(e).where(condition).values(values))


# --- patterns ---

#: Recurrence, who said so, detail and interval, as they are stored.
_Answer = tuple[str, str, str | None, str | None]
_ONE_OFF: _Answer = (Recurrence.ONE_OFF.value, "default", None, None)
#: Ends the detail of what equal amounts of a program told.
_UNNAMED = ", told without a payer"


def _from_patterns(conn: Connection, book: Book) -> None:
    """Judge every payer with a fresh undecided charge or a series that fell silent; then what has no payer.

    Where a product turns out to be sold in parts, the series of its other payers are looked at again.
    """
    here = book.connection_id
    judge = _Judge(conn, book)
    fresh = charges.fresh_payers(conn, here)
    as_of = conn.execute(select(connection_t.c.as_of).where(connection_t.c.id == here)).scalar_one()
    quiet = charges.quiet_payers(conn, here, as_of, book.now, SILENCES) if as_of and as_of < book.now else {}
    judge.payers({**fresh, **quiet}, again=quiet)
    if judge.sold_in_parts:
        judge.flush()  # what was judged is fresh now, and left out
        others = charges.payers_of(conn, here, judge.sold_in_parts)
        judge.payers(others, again=others)
    for rows in charges.of_orders(conn, here):
        judge.split(rows, lambda row: (row.program, row.order_ref))
    for rows in charges.of_programs(conn, here, _UNNAMED):
        judge.group(rows, unnamed=True)
    judge.flush()


class _Judge:
    """Judges groups of charges and writes what changed, one set of rows at a time."""

    def __init__(self, conn: Connection, book: Book) -> None:
        self._conn, self._book = conn, book
        self._as_of = day_of(book.now, book.zone)
        self._facts: dict[tuple[str | None, str], Facts] = {}
        self._summed_up: set[str | None] = set()
        self._changed: list[tuple[Any, _Answer]] = []
        self.sold_in_parts: set[str | None] = set()

    def payers(self, counts: Mapping[str, int], again: Container[str]) -> None:
        """Of the payers in `again` all groups are judged, of the others those with a fresh charge."""
        for rows in charges.of_payers(self._conn, self._book.connection_id, counts):
            self._sum_up({row.product for row in rows if row.fresh or row.payer in again})
            self.split(rows, lambda row: (row.payer, row.program, without_count(row.product)), again)

    def split(self, rows: Sequence[Any], key: Callable[[Any], Hashable], again: Container[str] = ()) -> None:
        found: defaultdict[Hashable, list[Any]] = defaultdict(list)
        for row in rows:
            found[key(row)].append(row)
        for group in found.values():
            if any(row.fresh for row in group) or group[0].payer in again:
                self.group(group)

    def group(self, rows: Sequence[Any], *, unnamed: bool = False) -> None:
        """Judge charges that belong together, or equal ones of a program whose payers have no names."""
        if len(rows) == 1 and rows[0].recurrence_by == "default" and counted_part(rows[0].product) is None:
            return  # nothing can be told from it, and nothing was
        days = [day_of(row.earned_at, self._book.zone) for row in rows]
        hints = Hints(as_of=self._as_of, payer_known=False) if unnamed else self._hints(rows, days)
        group = [
            Charge(day, row.micros, row.currency, row.product, row.order_ref)
            for day, row in zip(days, rows, strict=True)
        ]
        for row, verdict in zip(rows, infer(group, hints), strict=True):
            new = _ONE_OFF
            if verdict.recurrence != Recurrence.ONE_OFF:
                told = f"{verdict.reason}{_UNNAMED if unnamed else ''}"
                new = (verdict.recurrence.value, "pattern", told, str(verdict.interval) if verdict.interval else None)
            if new != (row.recurrence, row.recurrence_by, row.recurrence_reason, row.recurrence_interval):
                self._changed.append((row, new))
                if new[0] != row.recurrence and Recurrence.INSTALMENT in (new[0], row.recurrence):
                    self.sold_in_parts.add(row.product)
        if len(self._changed) >= charges.CHARGES_MAX:
            self.flush()

    # --- what other payers tell ---

    def _sum_up(self, products: set[str | None]) -> None:
        """Read what all payers paid for the products, unless that was done. On a first load one query does for all."""
        if products <= self._summed_up:
            return
        fresh = charges.fresh_products(self._conn, self._book.connection_id)
        wanted = sorted({*products, *fresh} - self._summed_up, key=lambda product: product or "")
        wanted = [product for product in wanted if counted_part(product) is None]
        self._summed_up.update(products, fresh)
        lines = charges.paid_for(self._conn, self._book.connection_id, wanted)
        for (_, product, currency), group in groupby(lines, key=lambda line: (line.payer, line.product, line.currency)):
            facts = self._facts.setdefault((product, currency), Facts(self._as_of))
            facts.add([Paid(line.micros, line.charges, line.first.date(), line.last.date()) for line in group])

    def _hints(self, rows: Sequence[Any], days: Sequence[date]) -> Hints:
        product, currency = rows[0].product, rows[0].currency
        facts = self._facts.get((product, currency))
        if len(rows) == 1 or facts is None or rows[0].payer is None:
            return Hints(as_of=self._as_of)
        by_amount: defaultdict[int, list[date]] = defaultdict(list)
        for row, day in zip(rows, days, strict=True):
            if row.currency == currency:
                by_amount[row.micros].append(day)
        own = [Paid(micros, len(paid), min(paid), max(paid)) for micros, paid in by_amount.items()]
        prices = facts.full_prices(own) if product is not None else ()
        return Hints(as_of=self._as_of, full_prices=prices, endings=facts.endings(own))

    def flush(self) -> None:
        """Write what changed. Such rows count as fresh, so that their corrections follow."""
        names = ("recurrence", "recurrence_by", "recurrence_reason", "recurrence_interval")
        if self._changed:
            values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
            rows = [
                {"row_id": row.id, **{f"new_{name}": value for name, value in zip(names, new, strict=True)}}
                for row, new in self._changed
            ]
            self._conn.execute(update(e).where(e.c.id == bindparam("row_id")).values(values | {"fresh": True}), rows)
            writes.mark_dirty(self._conn, self._book.connection_id, {row.earned_month for row, _ in self._changed})
            self._changed.clear()


# --- streams ---


def assign_streams(conn: Connection, scope: ColumnElement[bool]) -> int:
    """Give every earning in scope the stream of the first rule that fits, else its connection's own.

    Answers how many moved.
    """
    writes.mark_dirty_where(conn, and_(scope, e.c.stream_id != stream_by(rules_of(conn))))
    return _assign(conn, scope)


def _assign(conn: Connection, scope: ColumnElement[bool]) -> int:
    stream = stream_by(rules_of(conn))
    return conn.execute(update(e).where(scope, e.c.stream_id != stream).values(stream_id=stream)).rowcount


def rules_of(conn: Connection) -> Sequence[Any]:
    """The rules in the order in which they are tried."""
    return conn.execute(select(_rule_t).order_by(_rule_t.c.position, _rule_t.c.id)).all()


def stream_by(rules: Sequence[Any]) -> ColumnElement[Any]:
    """The stream of an earning, were these the rules."""
    own = select(connection_t.c.stream_id).where(connection_t.c.id == e.c.connection_id).scalar_subquery()
    cases = [(fits(rule), literal(rule.stream_id)) for rule in rules]
    return func.coalesce(e.c.override_stream_id, case(*cases, else_=own) if cases else own)


def fits(rule: Any) -> ColumnElement[bool]:
    """Whether an earning has every part that a rule asks for."""
    parts: list[ColumnElement[bool]] = [true()]
    if rule.connection_id is not None:
        parts.append(e.c.connection_id == rule.connection_id)
    for name in ("program", "product"):
        if getattr(rule, name):
            parts.append(or_(*(_like(text, getattr(rule, name)) for text in (e.c[name], _title_of(e.c[name])))))
    for name in ("sub_id", "kind"):
        if getattr(rule, name):
            parts.append(_like(e.c[name], getattr(rule, name)))
    return and_(*parts)


def _title_of(named: Any) -> Any:
    """The title that the provider gave a program or product apart from the earning."""
    same = and_(program_t.c.connection_id == e.c.connection_id, program_t.c.external_id == named)
    return select(program_t.c.title).where(same).scalar_subquery()


def _like(column: Any, pattern: str) -> ColumnElement[bool]:
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
    found: ColumnElement[bool] = func.coalesce(func.lower(column).like(escaped.lower(), escape="\\"), False)
    return found
