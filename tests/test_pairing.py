"""The same money reported by a shop and a bank counts once, whichever comes first."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.pretend import START, earning
from tests.world import World, same_sums
from tracker import connections
from tracker.connect.plans import iso_z


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        for slug in ("bank", "shop", "club"):
            world.add(slug)
        yield world


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[World]:
    """On SQLite only, for what has nothing to do with the database."""
    with World(f"sqlite:///{tmp_path}/tracker.db", tmp_path / "data") as ledger:
        for slug in ("bank", "shop", "club"):
            ledger.add(slug)
        yield ledger


def sold(world: World, number: int, at: Any = START - timedelta(days=2), **order: Any) -> None:
    """An order paid through the bank: 30 at the shop, 29 after the bank's fee."""
    usual = {"kind": "sale", "status": "approved", "updated": iso_z(world.now)}
    shop = {"gateway_ref": f"ch{number}", "net": "30", "product": "book", **order}
    world.provider.put("/orders", earning(f"o{number}", at, **usual | shop))
    bank = {"gateway_ref": f"ch{number}", "payment_ref": f"pi{number}", "net": "29", "payouts": []}
    world.provider.put("/movements", earning(f"m{number}", at, **usual | bank))


def counted(world: World) -> list[tuple[Any, ...]]:
    same_sums(world)
    return world.ask(
        "select c.slug, m.recurrence, sum(earnings), sum(net) from monthly_income m"
        " join connection c on c.id = m.connection_id where not paired group by 1, 2 order by 1, 2"
    )


@pytest.mark.parametrize("order", list(itertools.permutations(["bank", "shop", "club"], 2)))
def test_the_totals_are_the_same_whichever_comes_first(world: World, order: tuple[str, str]) -> None:
    sold(world, 1)
    sold(world, 2, recurrence="recurring")
    sold(world, 3)
    del world.provider.shelves["/movements"]["m3"]  # paid by bank transfer: only the shop knows
    for slug in [*order, "bank", "shop", "bank"]:
        assert world.sync(slug).outcome == "ok"
    assert counted(world) == [
        ("bank", "one_off", 1, 29_000_000),
        ("bank", "recurring", 1, 29_000_000),
        ("shop", "one_off", 1, 30_000_000),
    ]
    assert world.earnings("bank")["m1"].product == "book"  # what only the shop knows


def test_an_order_may_name_the_payment_instead_of_the_charge(ledger: World) -> None:
    sold(ledger, 1, gateway_ref="pi1")
    ledger.sync("shop")
    ledger.sync("bank")
    assert counted(ledger) == [("bank", "one_off", 1, 29_000_000)]


def test_an_order_counts_again_when_its_reference_is_corrected(ledger: World) -> None:
    sold(ledger, 1)
    ledger.sync("bank")
    ledger.sync("shop")
    ledger.later(hours=1)
    ledger.provider.shelves["/orders"]["o1"] |= {"gateway_ref": "other", "updated": iso_z(ledger.now)}
    ledger.sync("shop")
    assert [(slug, net) for slug, _, _, net in counted(ledger)] == [("bank", 29_000_000), ("shop", 30_000_000)]


def test_a_shop_counts_again_when_the_bank_is_removed(world: World) -> None:
    sold(world, 1)
    world.sync("bank")
    world.sync("shop")
    assert connections.remove(world.deps, "bank") == 1
    assert counted(world) == [("shop", "one_off", 1, 30_000_000)]


def test_an_enrichment_connection_never_counts(world: World) -> None:
    sold(world, 1)
    world.add("shop", "details", role="enrichment")
    for slug in ("details", "bank", "shop"):
        world.sync(slug)
    assert [slug for slug, *_ in counted(world)] == ["bank"]
    assert sum(row.net for row in world.earnings("details").values()) == Decimal(30)
