"""Runs that are cut off, overtaken or asked for anew while they go on: nothing is lost and nobody works twice."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from tests.pretend import START, earning
from tests.world import Killed, World
from tracker import jobs, schedule
from tracker.store.writes import connection_t
from tracker.sync import Progress


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        yield world


def commissions(world: World, count: int, ago: timedelta) -> None:
    for number in range(count):
        world.provider.put("/commissions", earning(f"c{number:03}", at=START - ago))


def make_due(world: World) -> None:
    with world.engine.begin() as conn:
        conn.execute(update(connection_t).values(next_sync_at=world.now))


def test_the_past_is_read_from_its_start_after_a_shorter_read_of_it_was_stopped(world: World) -> None:
    world.add("network")
    for number in range(8):
        world.provider.put("/commissions", earning(f"new{number}", at=START - timedelta(days=100 + number / 10)))
        world.provider.put("/commissions", earning(f"old{number}", at=START - timedelta(days=700 + number / 100)))
    world.sync("network")

    def die(step: Progress) -> None:
        raise Killed

    with pytest.raises(Killed):
        world.sync("network", since=START - timedelta(days=105), progress=die)
    world.free("network")
    assert world.sync("network", since=START - timedelta(days=705)).outcome == "ok"
    assert len(world.earnings()) == 16


def test_a_long_listing_without_news_keeps_its_lease(world: World) -> None:
    world.add("network")
    commissions(world, 60, timedelta(minutes=5))
    for _ in range(2):
        world.sync("network")
        world.later(seconds=1)  # within the overlap: the same window again
    make_due(world)
    handed: list[int] = []

    def slowly(step: Progress) -> None:
        world.later(minutes=1)
        jobs.tick(world.deps, handed.extend)  # the clock of another process

    assert world.sync("network", progress=slowly).outcome == "ok"
    assert handed == []


def test_who_lost_the_lease_leaves_the_end_of_the_run_to_the_other(world: World) -> None:
    world.add("bank")
    world.provider.put("/movements", earning("m1", at=START - timedelta(days=1), payouts=[]))
    later = {"leased_by": "elsewhere:1:x", "leased_until": START + timedelta(minutes=12)}

    def lose(step: Progress) -> None:
        with world.engine.begin() as conn:
            conn.execute(update(connection_t).values(later))

    world.sync("bank", progress=lose)
    assert world.earnings()["m1"].fresh
    assert world.connection("bank").leased_by == "elsewhere:1:x"
    world.free("bank")
    assert world.sync("bank").outcome == "ok"
    assert not world.earnings()["m1"].fresh


def test_a_sync_that_is_asked_for_during_a_run_that_is_stopped_is_not_forgotten(world: World) -> None:
    world.add("network")
    commissions(world, 9, timedelta(minutes=5))
    world.sync("network")
    world.later(minutes=1)

    def ask(step: Progress) -> None:
        make_due(world)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.sync("network", progress=ask)
    row = world.connection("network")
    assert (row.next_sync_at, row.failures, row.last_error) == (world.now, 0, None)


def test_all_that_is_due_is_handed_out_in_one_tick_though_some_is_put_off(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(jobs, "BATCH", 3)
    for number in range(8):
        world.add("network", f"n{number}")
    quiet = {"quiet": "11:50-13:00", "next_sync_at": START - timedelta(minutes=39)}  # it is noon in Berlin
    with world.engine.begin() as conn:
        conn.execute(update(connection_t).where(connection_t.c.slug == "n7").values(quiet))
    handed: list[int] = []
    jobs.tick(world.deps, handed.extend)
    assert len(handed) == 7
    with world.engine.begin() as conn:
        assert schedule.hand_out(conn, world.now, world.deps.settings.zone, 10) == ([], 0)


def test_a_text_with_a_nul_waits_in_quarantine_and_the_rest_is_read(world: World) -> None:
    world.add("network")
    for row_id, product in (("a", "x\x00y"), ("b\x00", "x"), ("c", "x")):
        world.provider.put("/commissions", earning(row_id, product=product, email="kim@reader.example"))
    report = world.sync("network")
    assert (report.outcome, report.quarantined, list(world.earnings())) == ("partial", 2, ["c"])
    payloads = [bytes(row[0]) for row in world.ask("select payload from quarantine")]
    assert not any(b"kim" in payload for payload in payloads)


@pytest.mark.parametrize(
    "text", ["a\\b", '"q"', "it's", "{x,y}", "NULL", "%s %(x)s", "\n\t", "ü😀", "\\", "\\u0000", '\\"', "$1", ":n"]
)
def test_any_text_is_kept_as_it_is(world: World, text: str) -> None:
    world.add("network")
    world.provider.put("/commissions", earning(f"id {text}", program=text, product=f"x{text}x"))
    assert world.sync("network").outcome == "ok"
    row = world.earnings()[f"id {text}"]
    assert (row.program, row.product) == (text, f"x{text}x")


def test_a_refund_of_two_sales_stays_what_the_decided_one_is(world: World) -> None:
    world.add("bank")
    at, put = START - timedelta(days=1), world.provider.put
    put("/movements", earning("a", at=at, kind="sale", origin_ref="o", recurrence="recurring", payouts=[]))
    put("/movements", earning("b", at=at, kind="sale", origin_ref="o", payouts=[]))
    put("/movements", earning("r", at=at, kind="refund", net="-5.00", origin_ref="o", payouts=[]))
    world.sync("bank")
    for number in range(4):
        assert (world.earnings()["r"].recurrence, world.earnings()["r"].recurrence_by) == ("recurring", "correction")
        world.later(hours=1)
        for name in ("a", "b")[number % 2 :]:
            world.provider.shelves["/movements"][name]["net"] = f"{20 + number}.00"
        world.sync("bank")
