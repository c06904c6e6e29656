"""Background jobs: what is due is handed out, what fails is said, and nothing else is swallowed."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from sqlalchemy import update

from tests.pretend import START, earning
from tests.world import World
from tracker import connections, jobs
from tracker.errors import ConfigError
from tracker.store.database import open_engine
from tracker.store.writes import connection_t


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path}/tracker.db", tmp_path / "data") as world:
        world.provider.put("/commissions", earning("c0"))
        yield world


def due(world: World) -> list[int]:
    handed: list[int] = []
    assert jobs.tick(world.deps, handed.append) == len(handed)
    return handed


def test_a_tick_hands_out_what_is_due_the_longest_waiting_first(world: World) -> None:
    first = world.add("network").id
    world.later(minutes=1)
    second = world.add("bank").id
    world.now = START
    assert due(world) == [first]
    world.later(minutes=2)
    assert due(world) == [first, second]


def test_a_tick_leaves_out_what_is_paused_read_already_or_being_read(world: World) -> None:
    connections.pause(world.deps, world.add("network", "paused").slug)
    world.add("network", "read")
    world.sync("read")
    leased = world.add("network", "leased").id
    lease = {"leased_by": "elsewhere:1:0", "leased_until": START + timedelta(minutes=5)}
    with world.engine.begin() as conn:
        conn.execute(update(connection_t).where(connection_t.c.id == leased).values(lease))
    assert due(world) == []
    world.later(minutes=6)
    assert due(world) == [leased]  # whoever held it is dead
    world.later(hours=2)
    assert len(due(world)) == 2


def test_a_sync_that_cannot_be_is_no_failure(world: World) -> None:
    row = world.add("network")
    with structlog.testing.capture_logs() as log:
        assert jobs.sync_connection(world.deps, row.id + 1) is None
    assert [(line["event"], line["why"]) for line in log] == [
        ("not synced", f"there is no connection {row.id + 1} any more."),
    ]
    connections.pause(world.deps, "network")
    assert jobs.sync_connection(world.deps, row.id) is None
    assert world.provider.asked == []


def test_a_sync_tells_how_it_went_and_a_refused_key_is_a_line_not_an_error(world: World) -> None:
    row = world.add("network")
    with structlog.testing.capture_logs() as log:
        report = jobs.sync_connection(world.deps, row.id)
        world.provider.key = "another"
        failed = jobs.sync_connection(world.deps, row.id)
    assert report is not None
    assert (report.outcome, report.new) == ("ok", 1)
    assert failed is not None
    assert failed.error == "AuthRejected"
    assert [(line["connection"], line["outcome"], line["new"]) for line in log] == [
        ("network", "ok", 1), ("network", "failed", 0),
    ]  # fmt: skip


def test_what_is_no_trouble_of_one_connection_is_not_swallowed(world: World) -> None:
    row = world.add("network")

    def broken(step: object) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        jobs.sync_connection(world.deps, row.id, broken)
    assert world.connection("network").leased_by is None


def test_an_attempt_logs_in_one_line_what_a_person_can_repair(world: World, tmp_path: Path) -> None:
    (tmp_path / "damaged.db").write_bytes(b"no database " * 1000)
    world.deps.engine.dispose()
    world.deps.engine = open_engine(f"sqlite:///{tmp_path}/damaged.db")
    with pytest.raises(ConfigError):
        jobs.tick(world.deps, lambda connection_id: None)
    with structlog.testing.capture_logs() as log:
        jobs.attempt("tick", lambda: jobs.tick(world.deps, lambda connection_id: None))
        jobs.attempt("sums", lambda: 1 // 0)
    world.deps.engine.dispose()
    world.deps.engine = world.engine
    first, second = log
    assert (first["job"], "file is not a database" in first["why"], "exc_info" in first) == ("tick", True, False)
    assert (second["job"], second["exc_info"]) == ("sums", True)


def test_rates_that_cannot_be_fetched_are_no_failure(world: World) -> None:
    world.server.close()
    world.deps.settings = world.deps.settings.model_copy(update={"rates_url": world.server.url})
    with structlog.testing.capture_logs() as log:
        assert jobs.refresh_rates(world.deps) == 0
    assert [(line["event"], line["log_level"]) for line in log] == [("no new exchange rates", "warning")]


def test_no_job_stands_in_the_hour_that_a_clock_change_skips_or_repeats() -> None:
    assert jobs.JOBS
    assert all(job.hour != 2 and 0 <= job.hour <= 23 and 0 <= job.minute <= 59 for job in jobs.JOBS)
    assert len({job.name for job in jobs.JOBS}) == len(jobs.JOBS)
