"""The grouped queries behind the recognition of patterns: who is to be judged again, and on what charges.

A charge here is an earning that nothing but its pattern can decide. All queries are bounded, and read one connection.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    and_,
    cast,
    func,
    or_,
    select,
    true,
    tuple_,
    type_coerce,
)
from sqlalchemy.sql import ColumnElement

from tracker.records import CORRECTIONS, NOT_INCOME, Kind
from tracker.store.writes import earning_t as e

#: Newest charges of one payer, or of one amount of a program, that are looked at.
CHARGES_MAX = 5_000
#: Charges of other payers that are summed up in search of full prices and endings.
_OTHERS_MAX = 100_000
_GROUPS_MAX = 500
_AGAIN_MAX = 2_000

#: The gross amount where it is known, in millionths: parts of a price add up before fees.
micros = type_coerce(func.coalesce(e.c.gross, e.c.net), BigInteger)
_judged = and_(e.c.recurrence_by.in_(("default", "pattern")), e.c.kind.not_in(CORRECTIONS | NOT_INCOME))
_columns = (
    e.c.id, e.c.payer, e.c.program, e.c.product, e.c.order_ref, e.c.earned_at, e.c.earned_month, micros.label("micros"),
    e.c.currency, e.c.fresh, e.c.recurrence, e.c.recurrence_by, e.c.recurrence_reason, e.c.recurrence_interval,
)  # fmt: skip


def _fresh(connection_id: int) -> ColumnElement[bool]:
    return and_(e.c.connection_id == connection_id, e.c.fresh, e.c.recurrence_by == "default")


def fresh_payers(conn: Connection, connection_id: int) -> dict[str, int]:
    """Payers with a fresh undecided charge, with the number of all their earnings."""
    payers = select(e.c.payer).where(_fresh(connection_id), e.c.payer.is_not(None))
    return _counted(conn, connection_id, e.c.payer.in_(payers))


def quiet_payers(
    conn: Connection, connection_id: int, since: datetime, now: datetime, limits: Sequence[tuple[str | None, int]]
) -> dict[str, int]:
    """Payers whose newest charge of a product became too old, between two times, for another one to be expected.

    `limits` are days of silence by the interval of the pattern; None stands for charges without a pattern.
    """
    newer = e.alias("newer")
    came_again = (
        select(newer.c.id)
        .where(
            newer.c.connection_id == connection_id,
            newer.c.payer == e.c.payer,
            newer.c.product.is_not_distinct_from(e.c.product),
            newer.c.earned_at > e.c.earned_at,
        )
        .exists()
    )
    crossed = or_(
        *(
            and_(
                e.c.recurrence_interval == interval if interval else e.c.recurrence_by == "default",
                e.c.earned_at > since - timedelta(days=days),
                e.c.earned_at <= now - timedelta(days=days),
            )
            for interval, days in limits
        )
    )
    payers = select(e.c.payer).where(
        e.c.connection_id == connection_id, e.c.payer.is_not(None), _judged, crossed, ~came_again
    )
    return _counted(conn, connection_id, e.c.payer.in_(payers.distinct().limit(_AGAIN_MAX)))


def payers_of(conn: Connection, connection_id: int, products: Collection[str | None]) -> dict[str, int]:
    """Payers with a pattern among the older charges of some products."""
    payers = select(e.c.payer).where(
        e.c.connection_id == connection_id, e.c.payer.is_not(None), ~e.c.fresh, e.c.recurrence_by == "pattern",
        _is_one_of(e.c.product, products),
    )  # fmt: skip
    return _counted(conn, connection_id, e.c.payer.in_(payers.distinct().limit(_AGAIN_MAX)))


def _counted(conn: Connection, connection_id: int, condition: ColumnElement[bool]) -> dict[str, int]:
    query = select(e.c.payer, func.count()).where(e.c.connection_id == connection_id, condition).group_by(e.c.payer)
    return {row.payer: row[1] for row in conn.execute(query)}


def of_payers(conn: Connection, connection_id: int, counts: Mapping[str, int]) -> Iterator[list[Any]]:
    """The charges of payers, oldest first, in sets of whole payers: at most CHARGES_MAX charges at a time."""
    part: list[str] = []
    room = CHARGES_MAX
    for payer, count in counts.items():
        if part and (count > room or len(part) == _GROUPS_MAX):
            yield _of_payers(conn, connection_id, part)
            part, room = [], CHARGES_MAX
        part.append(payer)
        room -= count
    if part:
        yield _of_payers(conn, connection_id, part)


def _of_payers(conn: Connection, connection_id: int, payers: list[str]) -> list[Any]:
    query = (
        select(*_columns)
        .where(e.c.connection_id == connection_id, e.c.payer.in_(payers), _judged)
        .order_by(e.c.earned_at.desc(), e.c.id.desc())
        .limit(CHARGES_MAX)
    )
    return list(reversed(conn.execute(query).all()))


def fresh_products(conn: Connection, connection_id: int) -> list[str | None]:
    """Products with a fresh undecided charge of a known payer."""
    query = select(e.c.product).where(_fresh(connection_id), e.c.payer.is_not(None)).distinct()
    return list(conn.execute(query).scalars())


def paid_for(conn: Connection, connection_id: int, products: Sequence[str | None]) -> Iterator[Any]:
    """What each payer paid for the products, one line per amount: number, first and last time; ordered by payer."""
    charges = (
        select(e.c.payer, e.c.product, e.c.currency, micros.label("micros"), e.c.earned_at)
        .where(
            e.c.connection_id == connection_id, e.c.payer.is_not(None), e.c.kind.not_in(CORRECTIONS | NOT_INCOME),
            _is_one_of(e.c.product, products) if len(products) <= _GROUPS_MAX else true(),
        )
        .order_by(e.c.payer)
        .limit(_OTHERS_MAX)
        .subquery()
    )  # fmt: skip
    key = (charges.c.payer, charges.c.product, charges.c.currency, charges.c.micros)
    query = select(*key, func.count().label("charges"), func.min(charges.c.earned_at).label("first"),
                   func.max(charges.c.earned_at).label("last"))  # fmt: skip
    yield from conn.execute(query.group_by(*key).order_by(charges.c.payer, charges.c.product, charges.c.currency))


def _is_one_of(column: Any, values: Collection[str | None]) -> ColumnElement[bool]:
    named = column.in_(sorted(value for value in values if value is not None))
    return or_(named, column.is_(None)) if None in values else named


def of_orders(conn: Connection, connection_id: int) -> Iterator[list[Any]]:
    """The charges of orders without a payer that have a fresh one, oldest first: whole orders of three or more."""
    unjudged = and_(_fresh(connection_id), e.c.payer.is_(None), e.c.order_ref.is_not(None))
    fresh = conn.execute(select(e.c.order_ref).where(unjudged).distinct().limit(_GROUPS_MAX + 1)).scalars().all()
    if not fresh:
        return
    unnamed = and_(e.c.connection_id == connection_id, e.c.payer.is_(None), _judged)
    touched = e.c.order_ref.in_(fresh) if len(fresh) <= _GROUPS_MAX else e.c.order_ref.is_not(None)
    # Not "in those that have a fresh one": PostgreSQL would look them up row by row while it knows no statistics.
    any_fresh = func.max(cast(and_(e.c.fresh, e.c.recurrence_by == "default"), Integer)) == 1
    repeated = select(e.c.order_ref).where(unnamed, touched).group_by(e.c.order_ref)
    orders = sorted(conn.execute(repeated.having(func.count() > 2, any_fresh)).scalars())
    for start in range(0, len(orders), _GROUPS_MAX):
        part = orders[start : start + _GROUPS_MAX]
        newest = select(*_columns).where(unnamed, e.c.order_ref.in_(part)).order_by(e.c.earned_at.desc(), e.c.id.desc())
        yield list(reversed(conn.execute(newest.limit(4 * CHARGES_MAX)).all()))


def of_programs(conn: Connection, connection_id: int, told: str) -> Iterator[list[Any]]:
    """Charges of programs without payers: for each amount that has a fresh one its newest CHARGES_MAX, oldest first.

    Left out is what its order decided: a pattern whose reason does not end with `told`. The rows are sorted before the
    first is read, so that the caller may change them meanwhile.
    """
    amount = (e.c.program, e.c.currency, micros)
    decided_here = or_(e.c.recurrence_by == "default", e.c.recurrence_reason.endswith(told))
    unnamed = and_(
        e.c.connection_id == connection_id, e.c.payer.is_(None), e.c.program.is_not(None), micros > 0, _judged,
        decided_here, e.c.kind != Kind.BONUS,
    )  # fmt: skip
    fresh = conn.execute(select(*amount).where(unnamed, e.c.fresh).distinct().limit(_GROUPS_MAX + 1)).all()
    if not fresh:
        return
    touched = tuple_(*amount).in_([tuple(row) for row in fresh]) if len(fresh) <= _GROUPS_MAX else true()
    count = func.count().over(partition_by=amount)
    any_fresh = func.max(cast(e.c.fresh, Integer)).over(partition_by=amount)
    # Window functions, not a join of groups: PostgreSQL joins row by row what it knows no statistics of.
    q = select(*_columns, count.label("count"), any_fresh.label("any_fresh")).where(unnamed, touched).subquery().c
    query = select(*(q[column.name] for column in _columns)).where(q["count"] > 2, q.any_fresh == 1)
    query = query.order_by(q.program, q.currency, q.micros, q.earned_at.desc(), q.id.desc())
    rows = conn.execute(query.execution_options(yield_per=CHARGES_MAX))
    for _, crowd in groupby(rows, key=lambda row: (row.program, row.currency, row.micros)):
        yield list(reversed(list(islice(crowd, CHARGES_MAX))))
