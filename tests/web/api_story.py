"""A small ledger with something of everything that the API tells, and programs that ask it."""

from datetime import timedelta
from typing import NamedTuple

import httpx

from tests.pretend import contract, earning
from tests.world import World
from tracker import accounts, rules, streams, tokens
from tracker.rules import Rule

PASSWORD = "a long password"


class Keys(NamedTuple):
    """Tokens."""

    read: str
    write: str


def tell(world: World) -> Keys:
    """Two connections with earnings of every status, in two currencies, some in a payout; contracts; a row that nobody
    understands; a stream with a rule."""
    accounts.add_owner(world.engine, "owner", PASSWORD, world.now)
    put, at = world.provider.put, world.now - timedelta(days=5)
    for number, more in enumerate(
        (
            {"status": "approved", "net": "1234.56", "program": "p1", "recurrence": "recurring"},
            {"status": "approved", "net": "0.000001", "currency": "USD", "program": "p1"},
            {"status": "approved", "net": "7000000000000.10", "product": "Atlas – 2nd"},
            {"status": "pending", "net": "0.30"},
            {"status": "declined", "net": "9.99"},
            {"status": "approved", "net": "-5.00", "kind": "refund", "origin_ref": "c0"},
        )
    ):
        put("/commissions", earning(f"c{number}", at + timedelta(hours=number), **more))
    put("/commissions", earning("bad", at, status="unheard-of"))
    for number in range(4):
        put("/movements", earning(f"m{number}", at, kind="sale", status="approved", payouts=["po1"]))
    put("/payouts", earning("po1", at, status="paid", net="40.00"))
    put("/payouts", earning("po0", at - timedelta(days=9), status="failed", net="1.50"))
    put("/contracts", contract("s1", payer="somebody"))
    put("/contracts", contract("s2", status="canceled", amount="1200.00", interval="year"))
    for slug in ("network", "bank"):
        world.add(slug)
        world.sync(slug)
    streams.add_stream(world.deps, "Reviews", "affiliate", "one_to_many")
    rules.save(world.deps, Rule(stream="reviews", program="p1"))
    made = (tokens.make_for_owner(world.engine, f"{scope}s", scope, world.now) for scope in ("read", "write"))
    return Keys(*made)


def program(served: str, token: str | None, sender: str = "203.0.113.5") -> httpx.Client:
    """A program on another machine. It follows no redirects: the API has none."""
    headers = {"X-Forwarded-For": sender} | ({"Authorization": f"Bearer {token}"} if token else {})
    return httpx.Client(base_url=f"{served}/api/v1", headers=headers, timeout=60)
