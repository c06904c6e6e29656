"""The clock: looks for due connections and jobs at once and again, whatever happens to the time of the machine."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Empty, Queue
from threading import Event
from typing import Any

import pytest

from tests.world import World
from tracker import jobs, schedule
from tracker.store.database import reading
from workers import clock


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path}/tracker.db", tmp_path / "data") as world:
        world.now = datetime.now(UTC)
        yield world


def test_a_due_connection_is_handed_out_as_soon_as_the_clock_starts(world: World) -> None:
    row = world.add("network")
    handed: Queue[Sequence[int]] = Queue()
    running = clock.start(world.deps, handed.put)
    try:
        assert handed.get(timeout=20) == [row.id]
    finally:
        running.shutdown(wait=True)


def test_the_clock_looks_for_due_connections_and_for_every_job(world: World) -> None:
    running = clock.start(world.deps, lambda ids: None)
    try:
        found = {job.id: job for job in running.get_jobs()}
    finally:
        running.shutdown(wait=True)
    assert found.keys() == {"tick", *(job.name for job in jobs.JOBS)}


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(days=366)])
def test_a_machine_whose_time_was_set_back_looks_at_once(world: World, ahead: timedelta) -> None:
    handed: Queue[Sequence[int]] = Queue()
    running = clock.start(world.deps, handed.put)
    try:
        running.get_job("tick").modify(next_run_time=datetime.now(UTC) + ahead)  # as it was planned by the wrong time
        row = world.add("network")
        clock.wake(running, datetime.now(UTC))
        assert handed.get(timeout=20) == [row.id]
        assert running.get_job("tick").next_run_time < datetime.now(UTC) + timedelta(minutes=1)
    finally:
        running.shutdown(wait=True)


def test_a_machine_whose_time_was_set_forward_by_a_year_looks_once(world: World) -> None:
    handed: Queue[Sequence[int]] = Queue()
    row = world.add("network")
    running = clock.start(world.deps, handed.put)
    try:
        assert handed.get(timeout=20) == [row.id]
        past = datetime.now(UTC) - timedelta(days=366)
        assert clock.Again().get_next_fire_time(past, datetime.now(UTC)) > datetime.now(UTC)
        running.get_job("tick").modify(next_run_time=past)
        with world.engine.begin() as conn:
            schedule.give_back(conn)
        assert handed_again(running, handed) == [row.id]
    finally:
        running.shutdown(wait=True)
    assert handed.empty()


def test_a_clock_is_kept_going_until_it_is_stopped(world: World) -> None:
    stopped = Event()
    running = clock.start(world.deps, lambda ids: stopped.set())
    try:
        world.add("network")
        running.get_job("tick").modify(next_run_time=datetime.now(UTC))
        clock.keep(running, stopped)
    finally:
        running.shutdown(wait=True)


def handed_again(running: Any, handed: "Queue[Sequence[int]]") -> Sequence[int]:
    """What the next tick hands out; one that comes while another still runs is left out, so it is asked for anew."""
    for _ in range(100):
        running.get_job("tick").modify(next_run_time=datetime.now(UTC))
        with suppress(Empty):
            return handed.get(timeout=0.2)
    raise AssertionError("the clock stands still")


def test_a_tick_in_trouble_does_not_stop_the_clock(world: World) -> None:
    row = world.add("network")
    handed: Queue[Sequence[int]] = Queue()

    def dispatch(ids: Sequence[int]) -> None:
        handed.put(ids)
        raise RuntimeError("no thread is free")

    running = clock.start(world.deps, dispatch)
    try:
        assert handed.get(timeout=20) == [row.id]
        assert handed_again(running, handed) == [row.id]
    finally:
        running.shutdown(wait=True)
    with reading(world.engine) as conn:
        assert conn.exec_driver_sql("select count(*) from sync_run").scalar() == 0
