"""Payouts and subscriptions over many earnings: what `benchmarks/search.py` measures besides its searches."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, String, cast, func, insert, literal, null, select, update

from tests.rows import Ledger
from tracker import payouts, reports, subscriptions
from tracker.store.database import reading
from tracker.store.reads import change_t, item_t, payout_t, subscription_t
from tracker.store.writes import earning_t as e

SUBSCRIPTIONS = 20_000
_MINUTES = 24 * 60


def add(ledger: Ledger, networks: int, shops: int, start: datetime, days: int, count: int = SUBSCRIPTIONS) -> None:
    """A payout of every connection for every month, and `count` subscriptions of the shops.

    Earnings of a network name their payout; a shop's payouts list what is inside.
    """
    paid = e.c.paid_month.is_not(None)
    name = literal("pay-") + cast(e.c.paid_month, String)
    with ledger.engine.begin() as conn:
        conn.execute(update(e).where(paid, e.c.connection_id <= networks).values(payout_ref=name))
        mine = (paid, e.c.connection_id > networks)
        inside = (e.c.connection_id, literal("items"), e.c.external_id, name, e.c.external_id, e.c.net, e.c.currency)
        columns = ["connection_id", "resource", "external_id", "payout_ref", "earning_ref", "amount", "currency"]
        conn.execute(insert(item_t).from_select(columns, select(*inside).where(*mine).order_by(e.c.paid_at)))
        _pay(conn, name + ":" + e.c.currency, False, paid, e.c.connection_id <= networks)
        _pay(conn, name, True, *mine)
        chance = random.Random(7)  # noqa: S311 - made-up subscriptions
        made = [_subscription(number, networks, shops, start, days, chance) for number in range(count)]
        conn.execute(insert(subscription_t), made)
        conn.execute(insert(change_t), [_raised(row) for row in made[::2]])


def _pay(conn: Connection, name: Any, listed: bool, *conditions: Any) -> None:
    at = func.max(e.c.paid_at)
    values: dict[str, Any] = {
        "connection_id": e.c.connection_id, "resource": literal("payouts"), "external_id": name,
        "status": literal("paid"), "amount": func.sum(e.c.net), "currency": e.c.currency, "created_at": at,
        "arrives_at": at, "itemised": literal(listed), "itemised_at": at if listed else null(),
        "estimated": literal(not listed), "settled_as": literal("paid"),
    }  # fmt: skip
    groups = (e.c.connection_id, e.c.paid_month, e.c.currency)
    found = select(*values.values()).where(*conditions).group_by(*groups)
    conn.execute(insert(payout_t).from_select(list(values), found))


def _subscription(
    number: int, networks: int, shops: int, start: datetime, days: int, chance: random.Random
) -> dict[str, Any]:
    at = start + timedelta(minutes=chance.randrange(days * _MINUTES))
    end = at + timedelta(days=30 * chance.randrange(1, 30))
    over = end < start + timedelta(days=days)
    return {
        "id": number + 1, "connection_id": networks + 1 + number % shops, "resource": "subscriptions",
        "external_id": f"sub_{number}", "status": "canceled" if over else "active",
        "payer": f"payer{number - 1 if number % 5 == 0 else number}", "currency": ("EUR", "USD", "GBP")[number % 3],
        "amount": Decimal(chance.choice([5, 9, 19, 49])), "discount_forever": Decimal(0),
        "discount_limited": Decimal(0), "interval": chance.choice(["month", "month", "year"]), "metered": False,
        "started_at": at, "current_period_end": end, "cancel_at_period_end": False, "ended_at": end if over else None,
    }  # fmt: skip


def _raised(row: dict[str, Any]) -> dict[str, Any]:
    old, new = ({"amount": str(amount)} for amount in (row["amount"] - 1, row["amount"]))
    return {
        "subscription_id": row["id"], "changed_at": row["started_at"] + timedelta(days=20), "old": old, "new": new,
    }  # fmt: skip


def measure(ledger: Ledger, now: datetime, timed: Callable[[Callable[[], Any]], tuple[float, Any]]) -> None:
    """Print what the lists take; `timed` answers milliseconds and what a call answered."""
    engine, settings = ledger.engine, ledger.settings
    with reading(engine) as conn:
        running = conn.execute(select(func.count()).select_from(subscription_t)).scalar_one()
    took, first = timed(lambda: payouts.page(engine, settings))
    inside = sum(row.earnings for row in first.rows)
    print(f"    {f'payouts, with {inside:,} earnings inside':46}{took:9.1f} ms")
    assert all(row.difference == 0 for row in first.rows)
    largest = max(first.rows, key=lambda row: row.earnings)
    for name, call in {
        "all payouts, as `tracker payouts`": lambda: reports.payouts(engine, settings),
        f"a payout with {largest.earnings:,} earnings": lambda: payouts.one(engine, settings, largest.id),
        "the first of them": lambda: payouts.inside(engine, largest.id),
        "what is owed": lambda: payouts.open_sums(engine),
        f"MRR of {running:,} subscriptions, 12 months": lambda: subscriptions.book(engine, settings, now),
        "the first page of them": lambda: subscriptions.page(engine),
    }.items():
        print(f"    {name:46}{timed(call)[0]:9.1f} ms")
