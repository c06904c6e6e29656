"""The queries of the page about subscriptions: a page of the list, and what it can be narrowed to."""

from typing import Any

from sqlalchemy import Connection, and_, case, exists, func, or_, select
from sqlalchemy.sql import ColumnElement

from tracker.records import Role
from tracker.store import keyset
from tracker.store.keyset import Page
from tracker.store.reads import program_t, subscription_t
from tracker.store.writes import connection_t

s, c = subscription_t.c, connection_t.c
PRODUCTS_MAX = 200


def page(
    conn: Connection,
    *,
    status: str | None,
    connection: str | None,
    product: str | None,
    interval: str | None,
    text: str | None,
    doubles: bool,
    place: str | None,
    limit: int,
) -> Page:
    """Subscriptions with the names around them, those begun last first. `text` is part of an id, payer or product.

    `counted` is 0 for one that a cash connection tells as well: that one is in the figures.
    """
    titled = func.coalesce(program_t.c.title, s.product)
    same_title = and_(program_t.c.connection_id == s.connection_id, program_t.c.external_id == s.product)
    conditions: list[Any] = []
    for column, wanted in ((s.status, status), (c.slug, connection), (titled, product), (s.interval, interval)):
        if wanted is not None:
            conditions.append(column == wanted)
    if text is not None:
        conditions.append(or_(*(_holds(column, text) for column in (s.external_id, s.payer, titled))))
    if not doubles:
        conditions.append(~_double())
    query = (
        select(
            subscription_t,
            c.slug,
            c.title.label("connection_title"),
            titled.label("product_title"),
            case((_double(), 0), else_=1).label("counted"),
        )
        .select_from(subscription_t.join(connection_t, c.id == s.connection_id).outerjoin(program_t, same_title))
        .where(*conditions)
    )
    return keyset.page(conn, query, (s.started_at, s.id), place, limit)


def _holds(column: Any, text: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = func.lower(column).contains(text.lower(), autoescape=True)
    return found


def _double() -> ColumnElement[bool]:
    """As `tracker.reports.contracts` leaves out of every figure."""
    other, owner = subscription_t.alias("other"), connection_t.alias("owner")
    cash = exists().where(
        other.c.external_id == s.external_id, owner.c.id == other.c.connection_id, owner.c.role == Role.CASH
    )
    return and_(c.role != Role.CASH, cash)


def owners(conn: Connection) -> list[str]:
    """Slugs of connections with subscriptions."""
    return list(conn.execute(select(c.slug).where(exists().where(s.connection_id == c.id))).scalars())


def choices(conn: Connection) -> tuple[list[Any], list[str], list[str]]:
    """Connections with subscriptions, their products by title, and their intervals."""
    owners = select(c.slug, c.title).where(c.id.in_(select(s.connection_id))).order_by(c.title, c.slug)
    same_title = and_(program_t.c.connection_id == s.connection_id, program_t.c.external_id == s.product)
    titled = func.coalesce(program_t.c.title, s.product)
    products = (
        select(titled)
        .select_from(subscription_t.outerjoin(program_t, same_title))
        .where(titled.is_not(None))
        .group_by(titled)
        .order_by(titled)
        .limit(PRODUCTS_MAX)
    )
    intervals = select(s.interval).distinct().order_by(s.interval)
    return (
        list(conn.execute(owners)),
        list(conn.execute(products).scalars()),
        list(conn.execute(intervals).scalars()),
    )
