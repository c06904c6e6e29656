"""The monthly roll-up is the sum of the earnings, however it came about."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from tests.pretend import START, earning
from tests.world import World, same_sums
from tracker.connect.plans import iso_z
from tracker.store import rollup


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        for slug in ("network", "shop"):
            world.add(slug)
        yield world


def test_after_every_sync_it_equals_a_group_by_and_a_rebuild(world: World) -> None:
    chance = Random(7)
    for turn in range(5):
        for number in range(8):
            path = chance.choice(["/commissions", "/orders"])
            status = chance.choice(["pending", "approved", "declined"])
            at = START - timedelta(days=chance.randrange(50), hours=chance.randrange(24))
            row = earning(f"r{chance.randrange(20)}", at, net=str(number), status=status, program=f"p{number % 3}")
            row |= {"currency": chance.choice(["EUR", "USD", "SYP"]), "updated": iso_z(world.now)}
            world.provider.put(path, row)
        for slug in ("network", "shop"):
            assert world.sync(slug).outcome == "ok"
            same_sums(world)
        kept = world.dump("monthly_income")
        with world.engine.begin() as conn:
            rollup.rebuild(conn)
        assert world.dump("monthly_income") == kept
        world.later(hours=turn + 1)


def test_an_earning_that_moves_to_another_month_leaves_the_old_one(world: World) -> None:
    world.provider.put("/commissions", earning("c1", START - timedelta(days=2)))
    world.sync("network")
    world.later(hours=1)
    world.provider.put("/commissions", earning("c1", START - timedelta(days=40)) | {"updated": iso_z(world.now)})
    world.sync("network")
    assert world.ask("select earned_month, earnings from monthly_income") == [(202605, 1)]


def test_a_currency_without_a_rate_is_kept_apart_and_not_added(world: World) -> None:
    world.provider.put("/commissions", earning("c1", currency="SYP", net="5000"))
    world.sync("network")
    assert world.ask("select currency, net, reporting_net from monthly_income where not converted") == [
        ("SYP", 5_000_000_000, None)
    ]


def test_marks_are_worked_off_once_and_only_for_the_connection_asked_for(world: World) -> None:
    world.provider.put("/commissions", earning("c1"))
    world.sync("network")
    with world.engine.begin() as conn:
        conn.exec_driver_sql("insert into dirty_month (connection_id, month) values (1, 202606), (2, 202606)")
        conn.exec_driver_sql("delete from monthly_income")
    with world.engine.begin() as conn:
        assert rollup.dirty(conn)
        rollup.work_off(conn, 2)
        assert rollup.dirty(conn)
        rollup.work_off(conn)
        assert not rollup.dirty(conn)
    same_sums(world)
