"""Income streams as their pages show them: how each stands, and what one is made of. Changes are in `tracker.streams`.

Amounts are counted earnings in the reporting currency, in the month earned, as in `tracker income`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from tracker import reports
from tracker.figures.income import Unconverted
from tracker.figures.streams import MonthSlice, Standing, standings
from tracker.months import following, month_of, span
from tracker.settings import Settings
from tracker.store import reads_streams as reads
from tracker.store.database import reading
from tracker.store.reads import stream_t
from tracker.store.writes import connection_t
from tracker.streams import IN_ORDER, rule_t

MONTHS, MONTHS_MAX = 12, 36
#: Earnings that a page may read one by one, for what the roll-up does not know.
PRODUCTS_READ = 50_000
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStanding:
    """A stream and how it stands."""

    id: int
    slug: str
    title: str
    business_model: str | None
    delivery: str | None
    connections: Sequence[str]  # slugs of those whose earnings are its own unless a rule takes them
    rules: int
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """All streams over the months from `first` to `last`, which is running. `unconverted` is in no amount."""

    first: int
    last: int
    currency: str
    streams: Sequence[StreamStanding]
    total: Decimal
    unconverted: Sequence[Unconverted]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a stream got from one program of a connection; `program` is None where the provider names none.

    `marked`: the user said that its commissions come again and again. None: it is no program that could be marked.
    """

    connection: str
    title: str
    program: str | None
    program_title: str | None
    marked: bool | None
    earnings: int
    amount: Decimal
    unconverted: Sequence[Unconverted]


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What a stream got for one product; None: without a name."""

    product: str | None
    earnings: int
    amount: Decimal
    unconverted: Sequence[Unconverted]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamView:
    """One stream. `products` is None where that would be too many earnings to read without being asked.

    `waiting` is not approved yet, whenever it was earned, and in no other amount; what of it has no rate is in
    `waiting_unconverted` and only there.
    """

    first: int
    last: int
    currency: str
    stream: StreamStanding
    sources: Sequence[Source]
    products: Sequence[Product] | None
    waiting: Decimal
    waiting_earnings: int  # in any currency
    waiting_unconverted: Sequence[Unconverted]
    unconverted: Sequence[Unconverted]


def every(engine: Engine, settings: Settings, now: datetime) -> Streams:
    """All streams as the user arranged them, over twelve months with the running one."""
    reports.bring_up_to_date(engine)
    last = month_of(now, settings.zone)
    first = following(last, 1 - MONTHS)
    with reading(engine) as conn:
        rows = reads.months(conn, first, last)
        found = _standing(conn, rows, first, last)
    return Streams(
        first=first,
        last=last,
        currency=settings.currency,
        streams=found,
        total=sum((one.standing.total for one in found), _ZERO),
        unconverted=_unconverted(rows),
    )


def one(
    engine: Engine,
    settings: Settings,
    now: datetime,
    slug: str,
    *,
    months: int = MONTHS,
    with_products: bool = False,
) -> StreamView | None:
    """A stream over some months, at most MONTHS_MAX; None if there is none of that slug.

    Products are read from the earnings themselves: at most PRODUCTS_READ of them unless `with_products` asks for it.
    """
    reports.bring_up_to_date(engine)
    last = month_of(now, settings.zone)
    first = following(last, 1 - max(1, min(months, MONTHS_MAX)))
    with reading(engine) as conn:
        stream_id = conn.execute(select(stream_t.c.id).where(stream_t.c.slug == slug)).scalar()
        if stream_id is None:
            return None
        rows = reads.months(conn, first, last)
        stream = next(found for found in _standing(conn, rows, first, last) if found.id == stream_id)
        owners, volume = reads.volume(conn, stream_id, first, last)
        named = reads.sources(conn, stream_id, first, last)
        waits = reads.waiting(conn, stream_id)
        products = None
        if with_products or volume <= PRODUCTS_READ:
            products = _products(reads.products(conn, stream_id, owners, (first, last)))
    return StreamView(
        first=first,
        last=last,
        currency=settings.currency,
        stream=stream,
        sources=_sources(named),
        products=products,
        waiting=sum((row.reporting_net for row in waits if row.currency is None), _ZERO),
        waiting_earnings=sum(int(row.earnings) for row in waits),
        waiting_unconverted=_unconverted(waits),
        unconverted=_unconverted(row for row in rows if row.stream_id == stream_id),
    )


def _standing(conn: Connection, rows: Iterable[Any], first: int, last: int) -> list[StreamStanding]:
    every_stream = conn.execute(select(stream_t).order_by(*IN_ORDER)).all()
    slices = (
        MonthSlice(
            row.stream_id,
            row.month,
            row.recurrence,
            int(row.earnings),
            row.reporting_net if row.currency is None else None,
        )
        for row in rows
    )
    ids = [row.id for row in every_stream]
    found = standings(slices, span(first, last), ids, reads.first_months(conn))
    rules = dict(_pairs(conn, select(rule_t.c.stream_id, func.count()).group_by(rule_t.c.stream_id)))
    own: dict[int, list[str]] = {}
    for stream_id, slug in _pairs(conn, select(connection_t.c.stream_id, connection_t.c.slug).order_by("slug")):
        own.setdefault(stream_id, []).append(slug)
    return [
        StreamStanding(
            id=row.id,
            slug=row.slug,
            title=row.title,
            business_model=row.business_model,
            delivery=row.delivery,
            connections=own.get(row.id, []),
            rules=int(rules.get(row.id, 0)),
            standing=found[row.id],
        )
        for row in every_stream
    ]


def _pairs(conn: Connection, query: Any) -> list[tuple[Any, Any]]:
    return [(row[0], row[1]) for row in conn.execute(query)]


def _unconverted(rows: Iterable[Any]) -> list[Unconverted]:
    lost: dict[str, Unconverted] = {}
    for row in rows:
        if row.currency is not None:
            one = lost.setdefault(row.currency, Unconverted(row.currency))
            one.net += row.net
            one.earnings += int(row.earnings)
    return [lost[currency] for currency in sorted(lost)]


def _sources(rows: Iterable[Any]) -> list[Source]:
    groups: dict[tuple[str, str | None], list[Any]] = {}
    for row in rows:
        groups.setdefault((row.slug, row.program), []).append(row)
    found = [
        Source(
            connection=slug,
            title=own[0].title,
            program=program,
            program_title=own[0].program_title or program,
            marked=own[0].marked,
            **_sum(own),
        )
        for (slug, program), own in groups.items()
    ]
    return sorted(found, key=lambda one: -one.amount)


def _products(rows: Iterable[Any]) -> list[Product]:
    groups: dict[str | None, list[Any]] = {}
    for row in rows:
        groups.setdefault(row.product, []).append(row)
    found = [Product(product=product, **_sum(own)) for product, own in groups.items()]
    return sorted(found, key=lambda one: -one.amount)


def _sum(rows: Sequence[Any]) -> dict[str, Any]:
    return {
        "earnings": sum(int(row.earnings) for row in rows),
        "amount": sum((row.reporting_net for row in rows if row.currency is None), _ZERO),
        "unconverted": _unconverted(rows),
    }
