"""Corrections that add up to nothing, and payouts that settle earnings."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.pretend import Reply, earning
from tests.world import World
from tracker.connect.plans import iso_z


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        world.add("bank")
        yield world


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[World]:
    """On SQLite only, for what has nothing to do with the database."""
    with World(f"sqlite:///{tmp_path}/tracker.db", tmp_path / "data") as ledger:
        ledger.add("bank")
        yield ledger


def move(world: World, name: str, net: str, **more: Any) -> dict[str, Any]:
    usual = {"kind": "sale", "status": "approved", "net": net, "payouts": [], "updated": iso_z(world.now)}
    return world.provider.put("/movements", earning(name, world.now - timedelta(hours=1), **(usual | more)))


def pay(world: World, name: str, status: str, *inside: dict[str, Any]) -> dict[str, Any]:
    for row in inside:
        row["payouts"].append(name)
    return world.provider.put("/payouts", earning(name, world.now, status=status, arrives=iso_z(world.now)))


def sync(world: World, **later: float) -> None:
    assert world.sync("bank").outcome == "ok"
    world.later(**(later or {"hours": 1}))


def states(world: World) -> dict[str, tuple[str, str]]:
    return {name: (row.status, row.settlement) for name, row in world.earnings().items()}


def history(world: World, name: str) -> list[tuple[str, str, str]]:
    rows = world.ask(
        "select e.external_id, c.what, c.old, c.new from earning_change c"
        " join earning e on e.id = c.earning_id order by c.id"
    )
    return [row[1:] for row in rows if row[0] == name]


# --- corrections ---


def test_a_refund_keeps_the_original_sale(world: World) -> None:
    move(world, "m1", "40", origin_ref="m1")
    sync(world)
    move(world, "m2", "-15", kind="refund", origin_ref="m1")
    sync(world)
    assert states(world) == {"m1": ("approved", "unpaid"), "m2": ("approved", "unpaid")}
    assert world.earnings()["m1"].net == 40
    assert world.ask("select sum(net) from monthly_income where status = 'approved'") == [(25_000_000,)]


@pytest.mark.parametrize(("before", "after"), [("approved", "reversed"), ("pending", "declined")])
def test_a_correction_of_the_whole_takes_the_sale_back(world: World, before: str, after: str) -> None:
    move(world, "m1", "40", origin_ref="m1", status=before)
    sync(world)
    move(world, "m2", "-40", kind="refund", origin_ref="m1", status=before)
    sync(world)
    assert {status for status, _ in states(world).values()} == {after}
    assert history(world, "m1") == [("status", before, after)]
    move(world, "m3", "10", kind="adjustment", origin_ref="m1", status=before)
    sync(world)
    assert {status for status, _ in states(world).values()} == {before}


def test_a_correction_in_another_currency_takes_nothing_back(ledger: World) -> None:
    move(ledger, "m1", "40", origin_ref="m1")
    move(ledger, "m2", "-40", kind="refund", origin_ref="m1", currency="USD")
    sync(ledger)
    assert {status for status, _ in states(ledger).values()} == {"approved"}


# --- payouts ---


def test_a_payout_settles_what_is_inside(world: World) -> None:
    rows = [move(world, f"m{number}", "10") for number in range(5)]
    sync(world)
    pay(world, "po1", "in_transit", *rows[:4])
    sync(world)
    assert [settlement for _, settlement in states(world).values()] == ["scheduled"] * 4 + ["unpaid"]
    pay(world, "po1", "paid")
    sync(world)
    found = world.earnings()
    assert [found[f"m{number}"].settlement for number in range(5)] == ["paid"] * 4 + ["unpaid"]
    assert found["m0"].payout_ref == "po1"
    assert found["m0"].paid_month == 202606
    assert history(world, "m0") == [("settlement", "unpaid", "scheduled"), ("settlement", "scheduled", "paid")]
    assert world.ask("select sum(net) from monthly_income where settlement = 'paid'") == [(40_000_000,)]


def test_a_failed_payout_unsettles_and_the_next_one_settles_again(world: World) -> None:
    row = move(world, "m1", "10")
    pay(world, "po1", "paid", row)
    sync(world, days=1)
    pay(world, "po1", "failed")
    sync(world, days=1)
    found = world.earnings()["m1"]
    assert (found.settlement, found.paid_at, found.paid_month, found.payout_ref) == ("unpaid", None, None, None)
    pay(world, "po2", "paid", row)
    sync(world)
    assert world.earnings()["m1"].payout_ref == "po2"
    assert [new for what, _, new in history(world, "m1") if what == "settlement"] == ["unpaid", "paid"]


def test_a_late_word_about_a_failed_payout_does_not_unsettle_what_another_paid(world: World) -> None:
    row = move(world, "m1", "10")
    pay(world, "po1", "in_transit", row)
    sync(world, days=1)
    pay(world, "po2", "paid", row)
    sync(world, days=1)
    world.provider.shelves["/payouts"]["po1"]["status"] = "failed"
    sync(world)
    found = world.earnings()["m1"]
    assert (found.settlement, found.payout_ref) == ("paid", "po2")


def test_a_row_that_changes_after_its_payout_stays_paid(world: World) -> None:
    row = move(world, "m1", "10")
    pay(world, "po1", "paid", row)
    sync(world)
    row |= {"product": "book", "updated": iso_z(world.now)}
    sync(world)
    found = world.earnings()["m1"]
    assert (found.product, found.settlement, found.payout_ref) == ("book", "paid", "po1")


def test_a_payout_is_never_an_earning(ledger: World) -> None:
    row = move(ledger, "m1", "10")
    pay(ledger, "po1", "paid", row)
    sync(ledger)
    assert list(ledger.earnings()) == ["m1"]
    assert ledger.ask("select external_id, amount from payout") == [("po1", 10_000_000)]
    assert ledger.ask("select payout_ref, earning_ref from payout_item") == [("po1", "m1")]


def test_a_payout_whose_items_cannot_be_read_is_itemised_later(ledger: World) -> None:
    row = move(ledger, "m1", "10")
    sync(ledger)
    pay(ledger, "po1", "paid", row)

    ledger.provider.answers["/movements"] = lambda asked: (
        Reply(b"", 500) if "payout" in asked.query else ledger.provider.listing(asked)
    )
    assert ledger.sync("bank").outcome == "failed"
    assert ledger.earnings()["m1"].settlement == "unpaid"
    ledger.provider.answers.clear()
    sync(ledger)
    assert ledger.earnings()["m1"].settlement == "paid"


def test_amounts_of_every_size_stay_exact(ledger: World) -> None:
    amounts = ["0.000001", "-0.000001", "9000000000000", "0.1", "123456789.123456"]
    for number, net in enumerate(amounts):
        move(ledger, f"m{number}", net)
    sync(ledger)
    found = ledger.earnings()
    assert [found[f"m{number}"].net for number in range(5)] == [Decimal(net) for net in amounts]
