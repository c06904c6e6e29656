"""The queries of the search over earnings: which months hold what is asked for, a page of it, and its sums.

The roll-up serves as the index that the earnings do not carry: it knows how many earnings of each month and connection
fit, so that only those months are read. Every index on earnings would slow each sync down.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import Connection, String, and_, bindparam, case, false, func, literal, or_, select, tuple_, union
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from tracker.money import LARGEST
from tracker.records import Recurrence
from tracker.store import rollup
from tracker.store.reads import COUNTED, Basis, program_t, stream_t, verdict
from tracker.store.reads_news import Since, conditions
from tracker.store.reads_titles import Named, like, named
from tracker.store.writes import connection_t
from tracker.store.writes import earning_t as e

m = rollup.m
p = program_t.c
#: Earnings that one reference leads to at most; what more of them share refers to none.
REFERRED_MAX = 500
#: Columns with the provider's references that an index finds within a connection, and anywhere.
_OWNED_REFS, _REFS = ("subscription_ref", "origin_ref"), ("gateway_ref", "payment_ref", "order_ref")
_TEXTS = ("external_id", "order_ref", "sub_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked for, with names looked up; None asks for anything.

    `start` to before `end` is when it was earned. `months` (first and last) and `within` (from, to before) go by the
    basis: what is counted by its own date, everything else by the day earned, as in the reports.
    """

    start: datetime | None = None
    end: datetime | None = None
    basis: Basis = Basis.EARNED
    months: tuple[int, int] | None = None
    within: tuple[datetime | None, datetime | None] | None = None
    connection_id: int | None = None
    stream_id: int | None = None
    program: Named | None = None
    status: str | None = None
    settlement: str | None = None
    recurrence: str | None = None  # "other": all but what recurs
    kind: str | None = None
    currency: str | None = None
    counted: bool | str | None = None  # or the reason why it is not
    # What the roll-up does not know:
    product: Named | None = None
    sub_id: str | None = None
    least: Decimal | None = None
    most: Decimal | None = None
    text: Named | None = None
    ids: tuple[int, ...] | None = None  # that a reference led to
    among: tuple[int, ...] | None = None  # that `since` led to, where they are few
    since: Since | None = None

    @property
    def led(self) -> bool:
        """Whether an index leads to what is asked for, in whatever month it is."""
        return (self.ids, self.among, self.since) != (None,) * 3

    @property
    def rolled_up(self) -> bool:
        """Whether the roll-up alone can tell how many earnings of a month fit."""
        own = (self.product, self.sub_id, self.least, self.most, self.text, self.within)
        return own == (None,) * len(own) and not self.led


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """Earnings in one currency: all of them, and those that are in the totals of reports.

    `reporting` is the value of the counted ones in the reporting currency, `worth` that of all; None unless it is known
    of each.
    """

    currency: str
    earnings: int
    net: Decimal
    counted: int
    counted_net: Decimal
    reporting: Decimal | None
    worth: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """How many earnings of one month and connection may fit: all of them do where the roll-up alone tells."""

    month: int
    connection_id: int
    earnings: int


# --- conditions ---


def placed(t: Any, basis: Basis) -> ColumnElement[int]:
    """The month that a report puts an earning in."""
    if basis is Basis.EARNED:
        month: ColumnElement[int] = t.c.earned_month
        return month
    return case((verdict(t) == COUNTED, t.c[f"{basis}_month"]), else_=t.c.earned_month)


_MOMENT = {
    Basis.EARNED: e.c.earned_at,
    Basis.APPROVED: func.coalesce(e.c.validated_at, e.c.earned_at),
    Basis.PAID: func.coalesce(e.c.paid_at, e.c.validated_at, e.c.earned_at),
}


def _rolled(conn: Connection, t: Any, asked: Asked) -> list[ColumnElement[bool]]:
    """The conditions that earnings and the roll-up can both answer, but for the connection."""
    same = ("stream_id", "status", "settlement", "kind", "currency")
    found = [t.c[name] == getattr(asked, name) for name in same if getattr(asked, name) is not None]
    if asked.recurrence == "other":
        found.append(t.c.recurrence != Recurrence.RECURRING)
    elif asked.recurrence is not None:
        found.append(t.c.recurrence == asked.recurrence)
    if asked.program is not None:
        found.append(named(conn, t, t.c.program, asked.program))
    if asked.counted is not None:
        word = asked.counted if isinstance(asked.counted, str) else COUNTED
        found.append(verdict(t) == word if asked.counted else verdict(t) != word)
    if asked.months is not None:
        found.append(placed(t, asked.basis).between(*asked.months))
    return found


def _own(conn: Connection, asked: Asked) -> list[ColumnElement[bool]]:
    """The conditions that only the earnings can answer."""
    found: list[ColumnElement[bool]] = []
    if asked.product is not None:
        found.append(named(conn, e, e.c.product, asked.product))
    if asked.sub_id is not None:
        found.append(like(conn, e.c.sub_id, asked.sub_id) if "*" in asked.sub_id else e.c.sub_id == asked.sub_id)
    amount = e.c.net if asked.currency else e.c.reporting_net
    if asked.least is not None:
        found.append(amount >= asked.least)
    if asked.most is not None:
        found.append(amount <= asked.most)
    if asked.text is not None:
        names = (named(conn, e, e.c[name], asked.text) for name in ("program", "product"))
        found.append(or_(*(like(conn, e.c[name], asked.text.pattern) for name in _TEXTS), *names))
    for ids in (asked.ids, asked.among):
        if ids is not None:
            found.append(e.c.id.in_(ids) if ids else false())
    if asked.since is not None:
        found += conditions(asked.since)
    if asked.within is not None:
        moment = case((verdict(e) == COUNTED, _MOMENT[asked.basis]), else_=e.c.earned_at)
        start, end = asked.within
        found += [moment >= start] if start else []
        found += [moment < end] if end else []
    return found


def _earned(asked: Asked, column: Any = e.c.earned_at) -> list[ColumnElement[bool]]:
    found = [column >= asked.start] if asked.start else []
    return [*found, column < asked.end] if asked.end else found


# --- names ---


def referred(conn: Connection, ref: str) -> list[int]:
    """The earnings that an index finds by a provider's reference: their own id, charge, order, what they belong to."""
    found = list(conn.execute(_referring(), {"ref": ref}).scalars())
    return found if len(found) <= REFERRED_MAX else []


@cache
def _referring() -> Any:
    """Built once: that takes longer than to ask it."""
    ref = bindparam("ref", type_=String)
    seen = (
        select(connection_t.c.id.label("owner"), _first_resource(connection_t.c.id).label("resource"))
        .cte("seen", recursive=True)
    )  # fmt: skip
    after = select(seen.c.owner, _first_resource(seen.c.owner, seen.c.resource)).where(seen.c.resource.is_not(None))
    seen = seen.union_all(after)
    own = and_(e.c.connection_id == seen.c.owner, e.c.resource == seen.c.resource, e.c.external_id == ref)
    owners = select(connection_t.c.id)
    ways = [
        select(e.c.id).select_from(seen.join(e, own)),
        *(select(e.c.id).where(e.c[name] == ref) for name in _REFS),
        *(select(e.c.id).where(e.c.connection_id.in_(owners), e.c[name] == ref) for name in _OWNED_REFS),
    ]
    return union(*(select(way.limit(REFERRED_MAX + 1).subquery().c.id) for way in ways))


def _first_resource(owner: Any, after: Any = None) -> Any:
    """Of the resources that a connection has earnings of, the first (after another): a step on the unique index."""
    x = e.alias()
    query = select(func.min(x.c.resource)).where(x.c.connection_id == owner)
    return (query if after is None else query.where(x.c.resource > after)).scalar_subquery()


# --- what there is ---


def cells(conn: Connection, asked: Asked, first: int | None, last: int | None) -> list[Cell]:
    """Where earnings of the months from `first` to `last` fit, as far as the roll-up knows."""
    conditions = _in_rollup(conn, asked)
    conditions += [m.c.earned_month >= first] if first else []
    conditions += [m.c.earned_month <= last] if last else []
    groups = (m.c.connection_id, m.c.earned_month)
    query = select(*groups, func.sum(m.c.earnings)).where(*conditions).group_by(*groups)
    return [Cell(month=row[1], connection_id=row[0], earnings=int(row[2])) for row in conn.execute(query)]


def _in_rollup(conn: Connection, asked: Asked) -> list[ColumnElement[bool]]:
    owner = [] if asked.connection_id is None else [m.c.connection_id == asked.connection_id]
    return [*_rolled(conn, m, asked), *owner]


def volumes(conn: Connection, months: Collection[int]) -> dict[int, int]:
    """All earnings of the months, by connection."""
    rows = select(m.c.connection_id, func.sum(m.c.earnings)).where(m.c.earned_month.in_(months))
    return {row[0]: int(row[1]) for row in conn.execute(rows.group_by(m.c.connection_id))}


def sums_of_months(conn: Connection, asked: Asked, months: Collection[int]) -> list[Sum]:
    """The sums of whole months, by the roll-up."""
    return _summed(conn, m, m.c.earnings, [*_in_rollup(conn, asked), m.c.earned_month.in_(months)])


def sums(conn: Connection, asked: Asked, owners: Collection[int] | None, months: Collection[int]) -> list[Sum]:
    """The sums of the earnings of some months and connections, read one by one."""
    return _summed(conn, e, literal(1), _conditions(conn, asked, owners, months))


def sums_of(conn: Connection, ids: Collection[int]) -> list[Sum]:
    """The sums of just these earnings."""
    return _summed(conn, e, literal(1), [e.c.id.in_(ids)]) if ids else []


def _summed(conn: Connection, t: Any, count: Any, conditions: list[Any]) -> list[Sum]:
    groups = (t.c.currency, (verdict(t) == COUNTED).label("counts"))
    amounts = (func.sum(t.c.net).label("net"), func.sum(t.c.reporting_net).label("reporting_net"))
    unconverted = func.max(case((t.c.reporting_net.is_(None), 1), else_=0)).label("unconverted")
    query = select(*groups, func.sum(count).label("earnings"), *amounts, unconverted)
    return [_sum(row) for row in conn.execute(query.where(*conditions).group_by(*groups))]


def _sum(row: Any) -> Sum:
    nothing, earnings = Decimal(0), int(row.earnings)
    worth = None if row.unconverted else row.reporting_net
    return Sum(
        currency=row.currency, earnings=earnings, net=row.net, counted=earnings if row.counts else 0,
        counted_net=row.net if row.counts else nothing,
        reporting=worth if row.counts else nothing, worth=worth,
    )  # fmt: skip


def together(found: Iterable[Sum]) -> list[Sum]:
    """One sum for each currency, in the order of their codes."""
    by_currency: dict[str, Sum] = {}
    for one in found:
        if (other := by_currency.get(one.currency)) is not None:
            one = Sum(
                currency=one.currency, earnings=one.earnings + other.earnings, net=one.net + other.net,
                counted=one.counted + other.counted, counted_net=one.counted_net + other.counted_net,
                reporting=_plus(one.reporting, other.reporting), worth=_plus(one.worth, other.worth),
            )  # fmt: skip
        by_currency[one.currency] = one
    return [by_currency[currency] for currency in sorted(by_currency)]


def _plus(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other


# --- a page ---


def page(
    conn: Connection,
    asked: Asked,
    *,
    owners: Collection[int] | None,
    months: Collection[int],
    bounds: tuple[datetime, datetime],
    by_amount: bool,
    descending: bool,
    after: tuple[Any, int] | None,
    limit: int,
) -> list[tuple[Any, int]]:
    """Key (moment or amount) and id of the next earnings of the months, in order of time or amount.

    With `owners` all earnings of these connections and months are read and sorted; without, the earnings are gone
    through in order of time between the `bounds` of the months until there are enough.
    """
    conditions = _conditions(conn, asked, owners, months)
    at = e.c.earned_at if owners is None else _beside_index(conn, e.c.earned_at)
    amount = e.c.net if asked.currency else e.c.reporting_net
    key: Any = func.coalesce(amount, literal(LEAST, amount.type)) if by_amount else at
    conditions += [at >= bounds[0], at < bounds[1]]
    if after is not None:
        here = tuple_(key, e.c.id)
        there = tuple_(literal(after[0], key.type), literal(after[1]))
        conditions.append(here < there if descending else here > there)
    order = (key.desc(), e.c.id.desc()) if descending else (key, e.c.id)
    named = amount if by_amount else e.c.earned_at
    query = select(named, e.c.id).where(*conditions).order_by(*order).limit(limit)
    return [(LEAST if row[0] is None else row[0], row[1]) for row in conn.execute(query)]


#: Where amounts that cannot be converted stand in the order: below all others.
LEAST = -LARGEST


def _conditions(
    conn: Connection, asked: Asked, owners: Collection[int] | None, months: Collection[int]
) -> list[ColumnElement[bool]]:
    found = [*_rolled(conn, e, asked), *_own(conn, asked)]
    if owners is not None:
        found += [e.c.connection_id.in_(owners), e.c.earned_month.in_(months)]
        return [*found, *_earned(asked, _beside_index(conn, e.c.earned_at))]
    if asked.connection_id is not None:
        found.append(_beside_index(conn, e.c.connection_id) == asked.connection_id)
    return [*found, *_earned(asked)]


def _beside_index(conn: Connection, column: Any) -> Any:
    """Keeps SQLite, which has no statistics here, from the index of a column (sqlite.org/optoverview.html)."""
    if conn.dialect.name != "sqlite":
        return column
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)  # else times are not compared in UTC


def _telling() -> Any:
    products = program_t.alias("products")

    def same(titles: Any, column: Any) -> ColumnElement[bool]:
        return and_(titles.c.connection_id == e.c.connection_id, titles.c.external_id == column)

    return (
        select(
            e, connection_t.c.slug, connection_t.c.provider, connection_t.c.title.label("connection_title"),
            program_t.c.title, products.c.title.label("product_title"), stream_t.c.title.label("stream"),
            stream_t.c.slug.label("stream_slug"), verdict(e).label("verdict"),
        )
        .select_from(
            e.join(connection_t, connection_t.c.id == e.c.connection_id)
            .outerjoin(program_t, same(program_t, e.c.program))
            .outerjoin(products, same(products, e.c.product))
            .outerjoin(stream_t, stream_t.c.id == e.c.stream_id)
        )
        .where(e.c.id.in_(bindparam("ids", expanding=True)))
    )  # fmt: skip


_TELLING = _telling()
#: The names of what `told` answers with, in their order: to ask every row for them costs more than to read it.
TOLD: tuple[str, ...] = tuple(column.key for column in _TELLING.selected_columns)


def told(conn: Connection, ids: Collection[int]) -> dict[int, Any]:
    """Earnings by id, with the names around them and their verdict."""
    return {row.id: row for row in conn.execute(_TELLING, {"ids": list(ids)})}


# --- what may be chosen ---

#: Titles that a form suggests.
OFFERED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Streams and connections by slug and title, the currencies of earnings, and some titles of programs."""

    streams: list[tuple[str, str]]
    connections: list[tuple[str, str]]
    currencies: list[str]
    programs: list[str]


def choices(conn: Connection) -> Choices:
    def pairs(t: Any) -> list[tuple[str, str]]:
        return [(row.slug, row.title) for row in conn.execute(select(t.c.slug, t.c.title).order_by(t.c.title))]

    titles = select(p.title).distinct().order_by(p.title).limit(OFFERED)
    return Choices(
        streams=pairs(stream_t),
        connections=pairs(connection_t),
        currencies=sorted(conn.execute(select(m.c.currency).distinct()).scalars()),
        programs=list(conn.execute(titles).scalars()),
    )
