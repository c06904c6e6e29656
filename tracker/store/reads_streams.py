"""The queries of the pages about streams: months by stream, and what a stream is made of."""

from typing import Any

from sqlalchemy import Connection, and_, case, func, literal, select
from sqlalchemy.sql import ColumnElement

from tracker.store import rollup
from tracker.store.reads import COUNTED, program_t, verdict
from tracker.store.writes import connection_t
from tracker.store.writes import earning_t as e

m, c, p = rollup.m.c, connection_t.c, program_t.c
#: Programs or products of one stream that are told at most.
ROWS_MAX = 10_000


def months(conn: Connection, first: int, last: int, stream_id: int | None = None) -> list[Any]:
    """What is counted, by stream, month earned and recurrence; `currency` names what has no value in the reporting one.

    Columns: stream_id, month, recurrence, currency, earnings, net, reporting_net.
    """
    currency = case((~m.converted, m.currency))
    groups = (m.stream_id, m.earned_month.label("month"), m.recurrence, currency.label("currency"))
    query = (
        select(*groups, *_sums(rollup.m, m.earnings))
        .where(m.earned_month.between(first, last), verdict(rollup.m) == COUNTED)
        .group_by(m.stream_id, m.earned_month, m.recurrence, currency)
    )
    return list(conn.execute(query if stream_id is None else query.where(m.stream_id == stream_id)))


def first_months(conn: Connection) -> dict[int, int]:
    """The first month of which the ledger knows any income, by stream."""
    known = verdict(rollup.m).not_in(("not_income", "paired"))
    query = select(m.stream_id, func.min(m.earned_month)).where(known).group_by(m.stream_id)
    return {row[0]: int(row[1]) for row in conn.execute(query)}


def sources(conn: Connection, stream_id: int, first: int, last: int) -> list[Any]:
    """A stream's counted earnings by connection and program, in each currency without a value in the reporting one.

    Columns: slug, title, program, program_title, marked, currency, earnings, net, reporting_net.
    """
    currency = case((~m.converted, m.currency))
    same = and_(p.connection_id == m.connection_id, p.external_id == m.program)
    groups = (c.slug, c.title, m.program, p.title, p.recurring, currency)
    query = (
        select(
            c.slug,
            c.title,
            m.program,
            p.title.label("program_title"),
            p.recurring.label("marked"),
            currency.label("currency"),
            *_sums(rollup.m, m.earnings),
        )
        .select_from(rollup.m.join(connection_t, c.id == m.connection_id).outerjoin(program_t, same))
        .where(m.stream_id == stream_id, m.earned_month.between(first, last), verdict(rollup.m) == COUNTED)
        .group_by(*groups)
        .order_by(func.sum(m.reporting_net).desc(), c.slug)
        .limit(ROWS_MAX)
    )
    return list(conn.execute(query))


def waiting(conn: Connection, stream_id: int) -> list[Any]:
    """What waits for validation in a stream, in each currency without a value in the reporting one.

    Columns: currency, earnings, net, reporting_net.
    """
    currency = case((~m.converted, m.currency))
    query = select(currency.label("currency"), *_sums(rollup.m, m.earnings))
    waits = query.where(m.stream_id == stream_id, verdict(rollup.m) == "pending")
    return list(conn.execute(waits.group_by(currency)))


def products(conn: Connection, stream_id: int, owners: list[int], span: tuple[int, int]) -> list[Any]:
    """A stream's counted earnings by product, read one by one from the months of its connections.

    Columns: product (its title), currency, earnings, net, reporting_net.
    """
    same = and_(p.connection_id == e.c.connection_id, p.external_id == e.c.product)
    product = func.coalesce(p.title, e.c.product)
    currency = case((e.c.reporting_net.is_(None), e.c.currency))
    query = (
        select(product.label("product"), currency.label("currency"), *_sums(e, literal(1)))
        .select_from(e.outerjoin(program_t, same))
        .where(
            e.c.connection_id.in_(owners),
            e.c.earned_month.between(*span),
            e.c.stream_id == stream_id,
            verdict(e) == COUNTED,
        )
        .group_by(product, currency)
        .order_by(func.sum(e.c.reporting_net).desc())
        .limit(ROWS_MAX)
    )
    return list(conn.execute(query))


def volume(conn: Connection, stream_id: int, first: int, last: int) -> tuple[list[int], int]:
    """The connections that a stream earned from, and how many earnings these have in all in the months."""
    mine = select(m.connection_id).where(m.stream_id == stream_id, m.earned_month.between(first, last)).distinct()
    owners = list(conn.execute(mine).scalars())
    every = select(func.sum(m.earnings)).where(m.connection_id.in_(owners), m.earned_month.between(first, last))
    return owners, int(conn.execute(every).scalar() or 0) if owners else 0


def _sums(t: Any, count: Any) -> tuple[ColumnElement[Any], ...]:
    return (
        func.sum(count).label("earnings"),
        func.sum(t.c.net).label("net"),
        func.sum(t.c.reporting_net).label("reporting_net"),
    )
