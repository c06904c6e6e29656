"""The clock: looks for due connections at once and again, and runs the daily jobs in the user's zone."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, Queue
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.world import World
from tracker import jobs
from tracker.store.database import reading
from workers import clock


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path}/tracker.db", tmp_path / "data") as world:
        world.now = datetime.now(UTC)
        yield world


def test_a_due_connection_is_handed_out_as_soon_as_the_clock_starts(world: World) -> None:
    row = world.add("network")
    handed: Queue[int] = Queue()
    running = clock.start(world.deps, handed.put)
    try:
        assert handed.get(timeout=20) == row.id
    finally:
        running.shutdown(wait=True)


def test_daily_jobs_run_at_their_hour_in_the_users_zone(world: World) -> None:
    running = clock.start(world.deps, lambda connection_id: None)
    try:
        found = {job.id: job for job in running.get_jobs()}
    finally:
        running.shutdown(wait=True)
    assert found.keys() == {"tick", *(job.name for job in jobs.JOBS)}
    assert found["tick"].trigger.interval == timedelta(seconds=jobs.TICK_S)
    for job in jobs.JOBS:
        at = found[job.name].next_run_time
        assert (at.hour, at.minute, at.tzinfo) == (job.hour, job.minute, ZoneInfo("Europe/Berlin"))


def handed_again(running: Any, handed: "Queue[int]") -> int:
    """What the next tick hands out; one that comes while another still runs is left out, so it is asked for anew."""
    for _ in range(100):
        running.get_job("tick").modify(next_run_time=datetime.now(UTC))
        with suppress(Empty):
            return handed.get(timeout=0.2)
    raise AssertionError("the clock stands still")


def test_a_tick_in_trouble_does_not_stop_the_clock(world: World) -> None:
    row = world.add("network")
    handed: Queue[int] = Queue()

    def dispatch(connection_id: int) -> None:
        handed.put(connection_id)
        raise RuntimeError("no thread is free")

    running = clock.start(world.deps, dispatch)
    try:
        assert handed.get(timeout=20) == row.id
        assert handed_again(running, handed) == row.id
    finally:
        running.shutdown(wait=True)
    with reading(world.engine) as conn:
        assert conn.exec_driver_sql("select count(*) from sync_run").scalar() == 0
