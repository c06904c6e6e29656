"""Background jobs: what is due is handed out, what fails is said, and nothing else is swallowed."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import structlog
from sqlalchemy import update

from tests.pretend import START, earning
from tests.world import World
from tracker import connections, jobs
from tracker.errors import ConfigError
from tracker.hours import When
from tracker.store.database import open_engine
from tracker.store.writes import connection_t


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path}/tracker.db", tmp_path / "data") as world:
        world.provider.put("/commissions", earning("c0"))
        yield world


def due(world: World) -> list[int]:
    handed: list[int] = []
    assert jobs.tick(world.deps, handed.extend) == len(handed)
    return handed


def test_a_tick_hands_out_what_is_due_the_longest_waiting_first(world: World) -> None:
    first = world.add("network").id
    world.later(minutes=1)
    second = world.add("bank").id
    world.now = START
    assert due(world) == [first]
    world.later(minutes=20)
    assert due(world) == [first, second]


def test_a_tick_hands_out_all_that_is_due_in_batches_and_each_once(world: World, monkeypatch: Any) -> None:
    ids = [world.add("network", f"n{number}").id for number in range(7)]
    monkeypatch.setattr(jobs, "BATCH", 3)
    assert due(world) == ids
    assert due(world) == []


def test_many_due_connections_go_out_a_few_in_a_message_and_few_alone(world: World, monkeypatch: Any) -> None:
    ids = [world.add("network", f"n{number}").id for number in range(7)]
    monkeypatch.setattr(jobs, "GROUPS", 3)
    messages: list[Sequence[int]] = []
    jobs.tick(world.deps, messages.append)
    assert messages == [ids[0:2], ids[2:4], ids[4:6], ids[6:]]
    connections.resume(world.deps, "n3")
    messages.clear()
    jobs.tick(world.deps, messages.append)
    assert messages == [[ids[3]]]


def test_what_the_queue_does_not_take_is_due_again(world: World) -> None:
    ids = [world.add("network", f"n{number}").id for number in range(4)]
    taken: list[int] = []

    def dispatch(ids: Sequence[int]) -> None:
        if len(taken) == 2:
            raise ConfigError("Redis does not answer.")
        taken.extend(ids)

    with structlog.testing.capture_logs() as log:
        jobs.attempt("tick", lambda: jobs.tick(world.deps, dispatch))
    assert [(line["job"], line["why"]) for line in log] == [("tick", "Redis does not answer.")]
    assert (taken, due(world)) == (ids[:2], ids[2:])


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


def test_a_message_that_comes_twice_syncs_once(world: World) -> None:
    row = world.add("network")
    assert jobs.sync_connection(world.deps, row.id) is not None
    asked = len(world.provider.asked)
    with structlog.testing.capture_logs() as log:
        assert jobs.sync_connection(world.deps, row.id) is None
    assert (log[0]["why"], len(world.provider.asked)) == ("network is not due any more.", asked)
    connections.resume(world.deps, "network")  # somebody asks for a sync now
    assert jobs.sync_connection(world.deps, row.id) is not None


def test_who_asks_for_a_sync_does_not_wait_for_a_lost_message(world: World) -> None:
    row = world.add("network")
    assert (due(world), due(world)) == ([row.id], [])
    connections.resume(world.deps, "network")
    assert due(world) == [row.id]


def test_a_database_that_is_gone_is_one_line_and_the_sync_is_handed_out_again(world: World, tmp_path: Path) -> None:
    row = world.add("network")
    assert due(world) == [row.id]
    world.deps.engine = open_engine(f"sqlite:///{tmp_path}/nowhere/tracker.db")
    with structlog.testing.capture_logs() as log:
        jobs.attempt("sync", lambda: jobs.sync_connection(world.deps, row.id))
    assert [(line["job"], "unable to open database file" in line["why"]) for line in log] == [("sync", True)]
    world.deps.engine.dispose()
    world.deps.engine = world.engine
    world.later(minutes=16)
    assert due(world) == [row.id]


def test_a_message_that_waited_into_the_quiet_hours_is_put_off(world: World) -> None:
    row = world.add("network", quiet="12:05-14:00")  # it is noon in Berlin
    assert due(world) == [row.id]
    world.later(minutes=10)
    assert jobs.sync_connection(world.deps, row.id) is None
    again = world.connection("network").next_sync_at
    assert timedelta(hours=2) <= again - START <= timedelta(hours=2, minutes=6)
    world.later(minutes=20)
    assert due(world) == []
    world.now = again
    assert due(world) == [row.id]
    assert jobs.sync_connection(world.deps, row.id) is not None


def test_what_became_due_while_the_machine_was_off_waits_for_the_end_of_its_quiet_hours(world: World) -> None:
    row = world.add("network", quiet="14:00-16:00")
    world.sync("network")
    world.later(hours=3)
    assert due(world) == []
    world.later(hours=1, minutes=6)
    assert due(world) == [row.id]


def test_a_sync_that_is_asked_for_in_quiet_hours_is_not_put_off(world: World) -> None:
    row = world.add("network", quiet="11:00-14:00")
    assert due(world) == [row.id]
    assert jobs.sync_connection(world.deps, row.id) is not None
    assert world.connection("network").next_sync_at >= START + timedelta(hours=2)
    connections.resume(world.deps, "network")
    assert due(world) == [row.id]


@pytest.mark.parametrize("jump", [timedelta(hours=1, minutes=10), timedelta(days=366)])
def test_a_clock_that_jumps_ahead_and_back_makes_everything_due_once(world: World, jump: timedelta) -> None:
    ids = [world.add("network", f"n{number}").id for number in range(3)]
    for connection_id in due(world):
        assert jobs.sync_connection(world.deps, connection_id) is not None
    for moment in (START + jump, START + timedelta(minutes=67)):
        world.now = moment
        jobs.repair(world.deps)
        world.later(minutes=67)
        assert sorted(due(world)) == ids  # once, however many intervals were passed over
        for connection_id in ids:
            assert jobs.sync_connection(world.deps, connection_id) is not None
        assert due(world) == []
    assert world.ask("select count(*) from sync_run where outcome = 'ok'") == [(9,)]


def test_a_run_over_which_the_clock_jumped_is_taken_over_without_harm(world: World) -> None:
    for number in range(1, 7):
        world.provider.put("/commissions", earning(f"c{number}"))
    row = world.add("network")
    others: list[str] = []

    def jump(step: object) -> None:
        if not others:
            world.later(hours=1)
            others.append("")
            assert due(world) == [row.id]
            report = jobs.sync_connection(world.deps, row.id)
            assert report is not None
            others[0] = report.outcome

    jobs.sync_connection(world.deps, row.id, jump)
    assert others == ["ok"]
    assert world.ask("select sum(new), sum(changed) from sync_run") == [(7, 0)]
    assert len(world.earnings()) == 7
    assert world.connection("network").leased_by is None


def test_a_sync_tells_how_it_went_and_a_refused_key_is_a_line_not_an_error(world: World) -> None:
    row = world.add("network")
    with structlog.testing.capture_logs() as log:
        report = jobs.sync_connection(world.deps, row.id)
        world.provider.key = "another"
        world.later(hours=2)
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


# --- jobs that recur ---


@pytest.fixture
def runs() -> list[datetime]:
    return []


def job(world: World, runs: list[datetime], when: When) -> jobs.Job:
    return jobs.Job("letters", when, lambda deps: runs.append(deps.now()))


@pytest.mark.parametrize("at", [time(0), time(2, 30), time(17, 30)])
@pytest.mark.parametrize(
    ("zone", "first"),
    [("Europe/Berlin", (2026, 3, 27)), ("Europe/Berlin", (2026, 10, 23)), ("America/New_York", (2026, 3, 6)),
     ("America/New_York", (2026, 10, 30))],
)  # fmt: skip
def test_a_daily_job_runs_once_a_date_also_where_clocks_change_and_with_two_clocks(
    world: World, runs: list[datetime], zone: str, first: tuple[int, int, int], at: time
) -> None:
    world.deps.settings = world.deps.settings.model_copy(update={"time_zone": zone})
    daily, here = job(world, runs, at), ZoneInfo(zone)
    begin = world.now = datetime(*first, 12, tzinfo=here).astimezone(UTC)
    while world.now < begin + timedelta(days=5):
        for _ in range(2):
            jobs.run_if_due(world.deps, daily)
        world.later(minutes=10)
    dates = [run.astimezone(here).date() for run in runs]
    assert dates == [date(*first) + timedelta(days=day) for day in range(at < time(12), 5 + (at < time(12)))]
    assert all(abs(run.astimezone(here).hour * 60 + run.minute % 60 - at.hour * 60 - at.minute) <= 70 for run in runs)


def test_a_job_that_recurs_in_minutes_runs_once_for_each_and_once_for_all_it_missed(
    world: World, runs: list[datetime]
) -> None:
    often = job(world, runs, timedelta(minutes=15))
    for minute in (1, 7, 14, 15, 16, 29, 30, 44, 300, 301, 315):
        world.now = START + timedelta(minutes=minute)
        jobs.run_if_due(world.deps, often)
    assert [(run - START).total_seconds() / 60 for run in runs] == [15, 30, 300, 315]


def test_a_job_that_failed_is_tried_again_at_its_next_time(world: World) -> None:
    tries: list[int] = []

    def fails(deps: object) -> None:
        tries.append(1)
        raise ConfigError("the mail server says no.")

    failing = jobs.Job("letters", timedelta(hours=1), fails)
    with structlog.testing.capture_logs() as log:
        for _ in range(6):
            jobs.attempt("letters", lambda: jobs.run_if_due(world.deps, failing))
            world.later(minutes=30)
    assert (len(tries), len(log)) == (2, 2)


def test_a_job_says_when_it_runs(world: World) -> None:
    world.now = datetime(2026, 6, 15, 10, 4, tzinfo=UTC)
    daily, often = jobs.Job("a", time(17, 30), print), jobs.Job("b", timedelta(minutes=15), print)
    assert (daily.said, often.said) == ("daily at 17:30", "every 15m")
    assert daily.next_at(world.deps) == datetime(2026, 6, 15, 15, 30, tzinfo=UTC)
    assert often.next_at(world.deps) == datetime(2026, 6, 15, 10, 15, tzinfo=UTC)


def test_no_two_jobs_share_a_name_and_none_recurs_less_than_daily() -> None:
    names = [job.name for job in jobs.JOBS]
    assert len(set(names)) == len(names) >= 2
    assert all(isinstance(job.when, time) or job.when <= timedelta(days=1) for job in jobs.JOBS)
