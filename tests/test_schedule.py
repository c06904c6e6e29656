"""Leases and the next time: one worker at a time, and no dead one holds a connection for long."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given
from sqlalchemy import event, update

from tests.pretend import START
from tests.world import World, dead_process
from tracker import schedule
from tracker.errors import UsageError
from tracker.store.database import open_engine, reading
from tracker.store.writes import connection_t

CLAIMER = """
import sys
from datetime import datetime
from tracker import schedule
from tracker.errors import UsageError
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
    with world.engine.begin() as conn:
        for slug, hours in times.items():
            values = {"next_sync_at": None if hours is None else START + timedelta(hours=hours)}
            conn.execute(update(connection_t).where(connection_t.c.slug == slug).values(values))
        conn.execute(update(connection_t).where(connection_t.c.slug == "paused").values(paused_at=START))
        until = START + timedelta(minutes=1)
        conn.execute(update(connection_t).where(connection_t.c.slug == "leased").values(leased_until=until))
    with reading(world.engine) as conn:
        due = schedule.due(conn, START)
        assert due == [world.connection("second").id, world.connection("network").id]
        assert schedule.due(conn, START, limit=1) == due[:1]
        assert world.connection("leased").id in schedule.due(conn, START + timedelta(minutes=2))


@given(failures=st.integers(1, 10**6), seed=st.integers(0, 99))
def test_the_pause_grows_but_never_beyond_its_limit(failures: int, seed: int) -> None:
    pause = schedule.back_off_s(failures, None, random.Random(seed))
    assert 0.8 * schedule.BACK_OFF_FIRST_S <= pause <= 1.2 * schedule.BACK_OFF_MAX_S
    if failures <= 5:
        assert pause < schedule.back_off_s(failures + 1, None, random.Random(seed))


@given(asked=st.floats(0, 10**9), seed=st.integers(0, 99))
def test_what_the_provider_asks_for_is_kept(asked: float, seed: int) -> None:
    pause = schedule.back_off_s(7, asked, random.Random(seed))
    assert min(max(asked, 1), schedule.BACK_OFF_MAX_S) <= pause <= 1.1 * schedule.BACK_OFF_MAX_S


def test_the_holder_names_this_process() -> None:
    assert schedule.holder().endswith(f":{os.getpid()}")
