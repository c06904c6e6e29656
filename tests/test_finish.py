"""The steps after the pages: what one connection's run may and may not do to the earnings of others."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.pretend import earning
from tests.test_settle import move, pay, states
from tests.world import World
from tracker import schedule
from tracker import sync as line
from tracker.connect.plans import iso_z
from tracker.streams import override


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        yield world


def order(world: World, **more: object) -> None:
    usual = {"kind": "sale", "status": "approved", "net": "42", "gateway_ref": "g1", "updated": iso_z(world.now)}
    world.provider.put("/orders", earning("o1", world.now - timedelta(hours=2), **{**usual, **more}))


def without_its_end(world: World, slug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed between its last page and the steps after the pages."""
    with monkeypatch.context() as patch:
        patch.setattr(line._Run, "finish_ledger", lambda self: None)
        world.sync(slug)


def counted(world: World) -> dict[str, bool]:
    return {name: not row.paired for name, row in world.earnings().items()}


def test_pages_of_an_unfinished_run_are_settled_by_whoever_comes_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("bank")
    world.add("shop")
    order(world)
    world.sync("shop")
    pay(world, "po", "paid", move(world, "m1", "40", gateway_ref="g1"))
    without_its_end(world, "bank", monkeypatch)
    assert counted(world) == {"o1": True, "m1": True}
    world.later(hours=1)
    order(world, net="43")
    world.sync("shop")
    assert counted(world) == {"o1": False, "m1": True}
    assert states(world)["m1"][1] == "paid"


def test_a_connection_that_is_being_read_elsewhere_is_left_to_its_own_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = world.add("bank")
    world.add("shop")
    move(world, "m1", "40", gateway_ref="g1")
    without_its_end(world, "bank", monkeypatch)
    with world.engine.begin() as conn:
        lease = schedule.claim(conn, bank.id, world.now)
    order(world)
    world.sync("shop")
    assert counted(world) == {"o1": False, "m1": True}
    assert world.earnings()["m1"].fresh
    with world.engine.begin() as conn:
        schedule.release(conn, bank.id, lease, {})
    world.later(hours=1)
    world.sync("bank")
    assert not world.earnings()["m1"].fresh


def test_a_sale_is_not_counted_by_a_refund_that_came_without_its_sale(world: World) -> None:
    world.add("shop")
    order(world)
    world.sync("shop")
    world.add("bank")
    move(world, "m1", "-42", kind="refund", gateway_ref="g1")
    world.sync("bank")
    assert counted(world) == {"o1": True, "m1": True}
    world.later(hours=1)
    move(world, "m0", "40", gateway_ref="g1")
    world.sync("bank")
    assert counted(world) == {"o1": False, "m0": True, "m1": True}


def test_a_row_that_the_provider_declines_and_later_accepts_is_approved(world: World) -> None:
    world.add("bank")
    row = move(world, "m1", "40", origin_ref="m1", status="declined")
    world.sync("bank")
    world.later(hours=1)
    row.update(status="approved", updated=iso_z(world.now))
    world.sync("bank")
    assert states(world)["m1"][0] == "approved"


def test_what_the_provider_declined_stays_declined_beside_an_incomplete_correction(world: World) -> None:
    world.add("bank")
    move(world, "m1", "40", origin_ref="m1", status="declined")
    move(world, "m2", "-15", origin_ref="m1", kind="adjustment", status="declined")
    world.sync("bank")
    assert {state[0] for state in states(world).values()} == {"declined"}


def test_a_run_that_was_killed_before_its_end_leaves_no_history_of_new_earnings(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("bank")
    for number in range(3):
        pay(world, f"po{number}", "paid", move(world, f"m{number}", "10"))
    without_its_end(world, "bank", monkeypatch)
    world.later(hours=1)
    world.sync("bank")
    assert {state[1] for state in states(world).values()} == {"paid"}
    assert world.ask("select * from earning_change") == []


def test_an_overridden_earning_keeps_what_its_shop_tells(world: World) -> None:
    world.add("bank")
    world.add("shop")
    row = move(world, "m1", "10", status="pending", gateway_ref="g1")
    order(world, product="E-book")
    world.sync("shop")
    world.sync("bank")
    override(world.deps, "bank/m1", recurrence="recurring")
    world.later(hours=1)
    row.update(status="approved", updated=iso_z(world.now))
    world.sync("bank")
    found = world.earnings()["m1"]
    assert (found.product, found.recurrence, found.recurrence_by) == ("E-book", "recurring", "override")
