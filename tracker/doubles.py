"""Money that may be counted twice: a shop's sale beside its payment, a statement beside the provider that is read."""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, func, or_, select

from tracker.connect import catalog
from tracker.errors import ConfigError
from tracker.money import plain
from tracker.months import label
from tracker.records import CORRECTIONS, NOT_INCOME, Kind, Role, Status
from tracker.statements.profiles import shelf
from tracker.store import rollup
from tracker.store.writes import connection_t
from tracker.store.writes import earning_t as e

#: Newest rows that are looked at for doubles, and how many of them in one query.
SUSPECTS, TOGETHER = 5_000, 200
#: Providers that report sales whose money passes through a payment provider.
_SELLERS = frozenset({"shop", "membership", "course", "marketplace", "billing"})
_counted = and_(~e.c.paired, e.c.status.in_((Status.PENDING, Status.APPROVED)), e.c.kind.not_in(NOT_INCOME))


# --- shops beside payment providers ---


def sellers(conn: Connection) -> dict[int, str]:
    """Connections of shops, memberships and the like that count by themselves, with their slugs."""
    rows = conn.execute(select(connection_t.c.id, connection_t.c.slug, connection_t.c.provider, connection_t.c.role))
    return {
        row.id: row.slug
        for row in rows
        if row.role == Role.CASH and catalog.knows(row.provider) and catalog.find(row.provider).kind in _SELLERS
    }


def _sales(sellers: Iterable[int], processors: list[int]) -> Any:
    """Sales of shops and memberships whose money no payment provider is known to have reported."""
    shops = and_(e.c.connection_id.in_(sellers), e.c.connection_id.not_in(processors))
    return and_(shops, _counted, e.c.kind.not_in(CORRECTIONS), e.c.net > Decimal(0))


def unpaired(conn: Connection, sellers: dict[int, str], processors: list[int]) -> int:
    """How many sales name a payment that no connected provider reports."""
    named = and_(_sales(sellers, processors), e.c.gateway_ref.is_not(None))
    return int(conn.execute(select(func.count()).where(named)).scalar_one())


def suspected(conn: Connection, sellers: dict[int, str], processors: list[int]) -> tuple[int, list[str]]:
    """How many sales were looked at, and those that have a payment of the same amount on the day or the next to it."""
    amount = func.coalesce(e.c.gross, e.c.net).label("amount")
    columns = (e.c.id, e.c.connection_id, e.c.external_id, e.c.kind, e.c.currency, e.c.earned_at, amount)
    # A sale that names a payment names another one than those here, or it would be paired.
    nameless = and_(_sales(sellers, processors), e.c.gateway_ref.is_(None))
    rows = conn.execute(select(*columns).where(nameless).order_by(e.c.earned_at.desc()).limit(SUSPECTS)).all()
    shop = e.alias("shop")
    paired = select(shop.c.id).where(
        shop.c.paired, or_(shop.c.gateway_ref == e.c.gateway_ref, shop.c.gateway_ref == e.c.payment_ref)
    )
    slugs = {row.id: row.slug for row in conn.execute(select(connection_t.c.id, connection_t.c.slug))}
    found: list[str] = []
    taken: set[int] = set()
    for start in range(0, len(rows), TOGETHER):
        part = rows[start : start + TOGETHER]
        payments = select(*columns).where(
            e.c.connection_id.in_(processors),
            e.c.status.in_((Status.PENDING, Status.APPROVED)),
            e.c.kind.not_in([*CORRECTIONS, *NOT_INCOME]),
            e.c.earned_at >= part[-1].earned_at - timedelta(days=2),
            e.c.earned_at <= part[0].earned_at + timedelta(days=2),
            amount.in_({row.amount for row in part}),
            ~paired.exists(),
        )
        for row, twin in _twins(part, conn.execute(payments.limit(SUSPECTS)), taken, _same_kind):
            other = f"{slugs[twin.connection_id]}/{twin.external_id}"
            found.append(
                f"{sellers[row.connection_id]}/{row.external_id} and {other}: "
                f"{plain(row.amount)} {row.currency} on {row.earned_at:%Y-%m-%d}"
            )
    return len(rows), found


def _same_kind(sale: Any, payment: Any) -> bool:
    """What is billed as a subscription there is no single sale here; the other way round it can be."""
    return bool(payment.kind != Kind.SUBSCRIPTION_PAYMENT or sale.kind == Kind.SUBSCRIPTION_PAYMENT)


def _twins(
    rows: Iterable[Any], others: Iterable[Any], taken: set[int], fits: Callable[[Any, Any], bool] = lambda *_: True
) -> Iterator[tuple[Any, Any]]:
    """Each row with one of the others of the same amount, at most a day apart. An other goes with one row only."""
    by_amount: dict[tuple[str, Decimal], list[Any]] = {}
    for other in others:
        by_amount.setdefault((other.currency, other.amount), []).append(other)
    for row in rows:
        near = (
            other
            for other in by_amount.get((row.currency, row.amount), ())
            if other.id not in taken
            and abs((other.earned_at.date() - row.earned_at.date()).days) <= 1
            and fits(row, other)
        )
        if (twin := next(near, None)) is not None:
            taken.add(twin.id)
            yield row, twin


# --- statements beside the provider ---


class Twice(msgspec.Struct, kw_only=True):
    """A connection of statements beside one that is read, in words. `same`: the amounts are those of the other, too."""

    told: str
    same: bool


def read_and_imported(conn: Connection) -> Iterator[Twice]:
    """Statements of a provider that another connection reads, in the same months; both count."""
    rows = conn.execute(
        select(connection_t.c.id, connection_t.c.slug, connection_t.c.provider)
        .where(connection_t.c.role == Role.CASH)
        .order_by(connection_t.c.slug)
    ).all()
    for files in (row for row in rows if row.provider in shelf.slugs()):
        for read in (row for row in rows if _reports_the_same(files.provider, row.provider)):
            if months := sorted(_months(conn, files.id) & _months(conn, read.id)):
                span = label(months[0]) if len(months) == 1 else f"{label(months[0])} to {label(months[-1])}"
                told = f"{files.slug} (files) and {read.slug}: {span}"
                yield Twice(told=told, same=_same_amounts(conn, files.id, read.id, months))


def _reports_the_same(profile: str, provider: str) -> bool:
    """Whether a profile's statements are of a provider: it says so, or bears its name."""
    if provider in shelf.slugs():
        return False
    try:
        return provider in shelf.find(profile).same_money or profile.startswith(f"{provider}-")
    except ConfigError:
        return False  # said of the file


def _months(conn: Connection, connection_id: int) -> set[int]:
    m = rollup.m.c
    counted = and_(~m.paired, m.status.in_((Status.PENDING, Status.APPROVED)), m.kind.not_in(NOT_INCOME))
    return set(
        conn.execute(select(m.earned_month).where(m.connection_id == connection_id, counted).distinct()).scalars()
    )


def _same_amounts(conn: Connection, files: int, read: int, months: list[int]) -> bool:
    """Whether at least half of the newest imported rows have a twin among those that were read."""
    columns = (e.c.id, e.c.kind, e.c.currency, e.c.earned_at, e.c.net.label("amount"))
    query = select(*columns).where(_counted, e.c.earned_month.in_(months))
    rows = conn.execute(
        query.where(e.c.connection_id == files).order_by(e.c.earned_at.desc(), e.c.id).limit(TOGETHER)
    ).all()
    if not rows:
        return False
    others = query.where(
        e.c.connection_id == read,
        e.c.net.in_({row.amount for row in rows}),
        e.c.earned_at.between(rows[-1].earned_at - timedelta(days=2), rows[0].earned_at + timedelta(days=2)),
    )
    return 2 * sum(1 for _ in _twins(rows, conn.execute(others.limit(SUSPECTS)), set())) >= len(rows)
