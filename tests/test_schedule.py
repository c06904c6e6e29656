"""Leases and the next time: one worker at a time, and no dead one holds a connection for long."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import event, update

from tests.pretend import START
from tests.test_hours import BERLIN
from tests.world import World, dead_process
from tracker import schedule
from tracker.errors import UsageError
from tracker.store.database import open_engine
from tracker.store.writes import connection_t

CLAIMER = """
import sys
from datetime import datetime
from tracker import schedule
from tracker.errors import UsageError
from tracker.hours import INTERVAL_MAX_S, INTERVAL_MIN_S, is_quiet
from tracker.store.database import open_engine
engine = open_engine(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    with engine.begin() as conn:
        schedule.claim(conn, 1, datetime.fromisoformat(sys.argv[2]))
    print("mine", flush=True)
except UsageError as error:
    print(error, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        world.add("network")
        yield world


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[World]:
    """On SQLite only, for what has nothing to do with the database."""
    with World(f"sqlite:///{tmp_path}/tracker.db", tmp_path / "data") as ledger:
        ledger.add("network")
        yield ledger


def claim(world: World, **later: float) -> str:
    with world.engine.begin() as conn:
        return schedule.claim(conn, 1, START + timedelta(**later))


def handed(world: World, limit: int = 1000, **later: float) -> list[int]:
    with world.engine.begin() as conn:
        return schedule.hand_out(conn, START + timedelta(**later), BERLIN, limit)[0]


def put(world: World, slug: str | None = None, **values: Any) -> None:
    """Write into the rows of a connection, or of all."""
    mine = connection_t.c.slug == slug if slug else connection_t.c.id > 0
    with world.engine.begin() as conn:
        conn.execute(update(connection_t).where(mine).values(values))


def many(world: World, count: int, **values: Any) -> None:
    """So many more connections, all like the first."""
    with world.engine.begin() as conn:
        first = conn.execute(connection_t.select().limit(1)).one()._asdict() | values
        del first["id"]
        conn.execute(connection_t.insert(), [first | {"slug": f"n{number}"} for number in range(count)])


def test_of_many_threads_one_gets_the_lease(world: World) -> None:
    def attempt(number: int) -> str:
        try:
            return claim(world)
        except UsageError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attempt, range(8)))
    won = [answer for answer in answers if answer.startswith(schedule.holder())]
    assert len(won) == 1
    assert all("network is being synced by another process. Wait" in lost for lost in set(answers) - set(won))


def test_a_lease_taken_between_looking_and_taking_is_respected(postgres_url: str, tmp_path: Path) -> None:
    """On SQLite a claim holds the write lock from its start; on PostgreSQL another may come between."""
    with World(postgres_url, tmp_path / "data") as world:
        world.add("network")
        other = open_engine(postgres_url)
        faster: list[str] = []

        def overtake(conn: object, cursor: object, statement: str, *rest: object) -> None:
            if statement.startswith("UPDATE connection") and not faster:
                with other.begin() as theirs:
                    faster.append(schedule.claim(theirs, 1, START))

        event.listen(world.engine, "before_cursor_execute", overtake)
        with pytest.raises(UsageError, match="until 10:12 UTC"):
            claim(world)
        assert world.connection("network").leased_by == faster[0]
        other.dispose()


def test_of_two_processes_one_gets_the_lease_and_its_death_frees_it(world: World) -> None:
    url = world.deps.settings.database_url
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, url, START.isoformat()], cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    answers = {}
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        assert process.stdout is not None
        answers[process.pid] = process.stdout.readline()
    assert sorted(answer == "mine\n" for answer in answers.values()) == [False, True]
    with pytest.raises(UsageError, match=r"until 10:12 UTC"):
        claim(world)  # its process is alive
    for process in processes:
        process.communicate("end\n", timeout=10)
    assert claim(world)  # at once, not after twelve minutes


def test_a_lease_runs_out(ledger: World) -> None:
    with ledger.engine.begin() as conn:
        conn.execute(update(connection_t).values(leased_until=START + schedule.LEASE, leased_by="elsewhere:1:a"))
    with pytest.raises(UsageError):
        claim(ledger, minutes=11)
    assert claim(ledger, minutes=13)


def test_a_dead_process_elsewhere_is_not_guessed(ledger: World) -> None:
    pid = dead_process().split(":")[1]
    with ledger.engine.begin() as conn:
        conn.execute(update(connection_t).values(leased_until=START + schedule.LEASE, leased_by=f"elsewhere:{pid}:a"))
    with pytest.raises(UsageError):
        claim(ledger)


@pytest.mark.parametrize("holder", ["", "odd", "host", f"{schedule.holder().split(':')[0]}:x:y"])
def test_a_strange_holder_only_waits(ledger: World, holder: str) -> None:
    with ledger.engine.begin() as conn:
        conn.execute(update(connection_t).values(leased_until=START + schedule.LEASE, leased_by=holder))
    with pytest.raises(UsageError):
        claim(ledger)


def test_only_the_holder_gives_the_lease_back(world: World) -> None:
    lease = claim(world)
    with world.engine.begin() as conn:
        schedule.release(conn, 1, "somebody:1:else", {"failures": 9})
    assert world.connection("network").leased_by == lease
    with world.engine.begin() as conn:
        schedule.release(conn, 1, lease, {"failures": 2})
    row = world.connection("network")
    assert (row.leased_by, row.leased_until, row.failures) == (None, None, 2)


def test_what_is_due_is_neither_paused_nor_leased_and_the_longest_waiting_comes_first(world: World) -> None:
    for slug in ("second", "paused", "leased", "later", "never"):
        world.add("network", slug)
    times = {"network": -1, "second": -2, "paused": -3, "leased": -3, "later": 1, "never": None}
    for slug, hours in times.items():
        put(world, slug, next_sync_at=None if hours is None else START + timedelta(hours=hours))
    put(world, "paused", paused_at=START)
    put(world, "leased", leased_until=START + timedelta(minutes=1))
    second, first = world.connection("second").id, world.connection("network").id
    assert handed(world, limit=1) == [second]
    assert handed(world) == [first]
    assert handed(world) == []
    assert handed(world, minutes=2) == [world.connection("leased").id]


def test_a_hand_out_that_nothing_comes_of_runs_out(world: World) -> None:
    assert (handed(world), handed(world, minutes=14), handed(world, minutes=16)) == ([1], [], [1])


def test_a_claim_and_a_release_end_the_hand_out(world: World) -> None:
    assert handed(world) == [1]
    lease = claim(world)
    assert world.connection("network").queued_until is None
    put(world, queued_until=START + timedelta(minutes=9))  # handed out once more by a clock that was ahead
    with world.engine.begin() as conn:
        schedule.release(conn, 1, lease, {"next_sync_at": START})
    assert handed(world) == [1]


def test_of_two_clocks_at_once_each_connection_gets_to_one(world: World) -> None:
    many(world, 199, next_sync_at=START)
    start = Barrier(2)

    def clock(number: int) -> list[int]:
        start.wait(10)
        return [one for _ in range(25) for one in handed(world, limit=8)]

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(clock, range(2))
    assert sorted(first + second) == list(range(1, 201))


def test_a_clock_leaves_out_what_another_is_about_to_take_and_does_not_wait(postgres_url: str, tmp_path: Path) -> None:
    """SQLite has one writer at a time; on PostgreSQL the other's choice is seen while it is being made."""
    with World(postgres_url, tmp_path / "data") as world:
        world.add("network")
        many(world, 3, next_sync_at=START + timedelta(seconds=1))
        other = open_engine(postgres_url)
        try:
            with other.begin() as theirs:
                assert schedule.hand_out(theirs, START + timedelta(minutes=1), BERLIN, 2)[0] == [1, 2]
                assert handed(world, minutes=1) == [3, 4]
            assert handed(world, minutes=1) == []
        finally:
            other.dispose()


def test_what_is_due_is_found_by_its_index(world: World) -> None:
    many(world, 3000, next_sync_at=START + timedelta(hours=1))
    seen: list[tuple[str, Any]] = []
    event.listen(world.engine, "before_cursor_execute", lambda *given: seen.append((given[2], given[3])))
    assert handed(world) == [1]
    [(statement, values)] = [one for one in seen if "BEGIN" not in one[0]]
    explain = "explain query plan " if world.engine.dialect.name == "sqlite" else "explain "
    with world.engine.begin() as conn:
        if world.engine.dialect.name == "postgresql":
            conn.exec_driver_sql("analyze connection")
        plan = "\n".join(map(str, conn.exec_driver_sql(explain + statement, values)))
    assert "ix_connection_next_sync_at" in plan
    assert "SCAN connection" not in plan
    assert "Seq Scan on connection" not in plan


# --- leases of processes that are gone ---


def test_a_number_that_another_process_got_does_not_keep_a_lease(ledger: World) -> None:
    """A container starts again with its old name and the same numbers."""
    claim(ledger)
    host, pid, began, chance = ledger.connection("network").leased_by.split(":")
    assert began, "this machine does not say when a process began"
    with pytest.raises(UsageError, match="being synced"):
        claim(ledger)
    put(ledger, leased_by=f"{host}:{pid}:{int(began) - 1}:{chance}")
    assert handed(ledger) == []  # a clock elsewhere cannot know, and waits
    with ledger.engine.begin() as conn:
        schedule.free_dead(conn)
    assert handed(ledger) == [1]
    assert claim(ledger)


def test_only_leases_of_the_dead_are_taken_back(world: World) -> None:
    alive = claim(world)
    leases = {"network": alive, "elsewhere": "elsewhere:1:0", "dead": dead_process(), "free": None}
    for slug in ("elsewhere", "dead", "free"):
        world.add("network", slug)
    for slug, leased_by in leases.items():
        put(world, slug, leased_by=leased_by, leased_until=leased_by and START + timedelta(minutes=5))
    with world.engine.begin() as conn:
        schedule.free_dead(conn)
    assert {slug: world.connection(slug).leased_by for slug in leases} == {**leases, "dead": None}
    assert handed(world) == [world.connection("dead").id, world.connection("free").id]


def test_a_lease_for_what_is_due_is_given_once_for_each_time(world: World) -> None:
    def due_claim() -> str:
        with world.engine.begin() as conn:
            return schedule.claim(conn, 1, START, due_at=START)

    lease = due_claim()
    with pytest.raises(UsageError, match="is being synced by another process"):
        due_claim()
    with world.engine.begin() as conn:
        schedule.release(conn, 1, lease, {"next_sync_at": START + timedelta(hours=1)})
    with pytest.raises(UsageError, match=r"network is not due any more\.$"):
        due_claim()
    put(world, next_sync_at=START, paused_at=START)
    with pytest.raises(UsageError, match="not due any more"):
        due_claim()
    assert claim(world)  # who asks for it by hand gets it


# --- a clock that was wrong ---


def repaired(world: World) -> Any:
    with world.engine.begin() as conn:
        schedule.repair(conn, START, BERLIN)
    return world.connection("network")


@pytest.mark.parametrize("ahead", [timedelta(hours=3), timedelta(days=366)])
def test_what_a_clock_that_was_ahead_left_behind_holds_nothing_up(world: World, ahead: timedelta) -> None:
    wrong = dict.fromkeys(("next_sync_at", "leased_until", "queued_until"), START + ahead)
    put(world, None, **wrong, leased_by="elsewhere:1:0")
    row = repaired(world)
    assert (row.queued_until, row.leased_until) == (None, START + schedule.LEASE)
    assert timedelta(hours=1) <= row.next_sync_at - START <= timedelta(minutes=66)
    assert handed(world, hours=2) == [1]


def test_what_is_put_right_beside_it_does_not_shorten_a_back_off(ledger: World) -> None:
    """A provider that asked for a pause gets it, also when another connection's time came from a wrong clock."""
    asked = START + timedelta(hours=6)
    ledger.add("network", "wrong")
    put(ledger, "network", failures=3, next_sync_at=asked)
    put(ledger, "wrong", next_sync_at=START + timedelta(days=366))
    assert repaired(ledger).next_sync_at == asked
    assert ledger.connection("wrong").next_sync_at <= START + timedelta(minutes=66)


@pytest.mark.parametrize("failures", [0, 1])
@pytest.mark.parametrize("quiet", [None, "11:00-09:30"])
@pytest.mark.parametrize("interval_s", [300, 3600, 86_400 * 30])
def test_what_a_right_clock_set_is_left_alone(ledger: World, interval_s: int, quiet: str, failures: int) -> None:
    put(ledger, interval_s=interval_s, quiet=quiet, failures=failures)
    row = ledger.connection("network")
    times = [START, None, schedule.after_interval(row, START, BERLIN)]
    if failures:
        asked = schedule.back_off_s(1, 10**9, random.Random(4))
        times.append(schedule.awake(START + timedelta(seconds=asked), row, BERLIN))
    for time in times:
        put(ledger, next_sync_at=time)
        assert repaired(ledger).next_sync_at == time
    put(ledger, leased_until=START + schedule.LEASE, queued_until=START + schedule.HAND_OUT)
    row = repaired(ledger)
    assert (row.leased_until, row.queued_until) == (START + schedule.LEASE, START + schedule.HAND_OUT)


# --- once for all clocks ---


def turn(world: World, at: datetime, period: timedelta = timedelta(hours=1)) -> bool:
    with world.engine.begin() as conn:
        return schedule.take_turn(conn, "job letters", at, period)


def test_a_turn_is_given_once_whoever_asks_and_in_whatever_order(world: World) -> None:
    hour = timedelta(hours=1)
    assert not turn(world, START)  # seen for the first time: what came before is not made up for
    assert [turn(world, START + hour) for _ in range(2)] == [True, False]
    assert [turn(world, START + late * hour) for late in (5, 4, 5)] == [True, False, False]


def test_of_two_clocks_at_once_one_gets_the_turn(world: World) -> None:
    turn(world, START)
    start = Barrier(4)

    def clock(number: int) -> bool:
        start.wait(10)
        return turn(world, START + timedelta(hours=1))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(clock, range(4))) == 1


def test_a_turn_that_a_wrong_clock_took_does_not_stop_a_job_for_a_year(ledger: World) -> None:
    turn(ledger, START)
    assert turn(ledger, START + timedelta(days=366))
    assert [turn(ledger, START + timedelta(hours=1)) for _ in range(2)] == [True, False]


def test_the_holder_names_this_process() -> None:
    assert schedule.holder().endswith(f":{os.getpid()}")
