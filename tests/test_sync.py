"""One connection, start to finish: what a run writes, what a second one leaves alone, what a killed one gives back."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, update

from tests.pretend import START, Asked, Reply, contract, earning
from tests.world import World, dead_process
from tracker.connect.plans import iso_z
from tracker.errors import UsageError
from tracker.store.writes import connection_t, run_t
from tracker.sync import Progress, sync

PATHS = {"bank": "/movements", "feed": "/sales", "network": "/commissions", "changes": "/charges", "shop": "/orders"}


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        yield world


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[World]:
    """On SQLite only, for what has nothing to do with the database."""
    with World(f"sqlite:///{tmp_path}/tracker.db", tmp_path / "data") as world:
        yield world


def commissions(world: World, count: int, **more: object) -> None:
    for number in range(count):
        world.provider.put("/commissions", earning(f"c{number:02d}", START - timedelta(days=number), **more))


# --- two runs ---


def test_a_second_sync_touches_no_earning_and_says_so(world: World) -> None:
    world.add("network")
    world.add("bank")
    commissions(world, 10)
    world.provider.put("/movements", earning("m1", kind="sale", status="approved", payouts=["po"]))
    world.provider.put("/payouts", earning("po", status="paid"))
    world.provider.put("/contracts", contract("s1"))
    assert [world.sync(slug).new for slug in ("network", "bank")] == [10, 4]
    world.sync("bank")  # itemises nothing new, but remembers its pages
    tables = ["earning", "earning_change", "raw_batch", "raw_row", "monthly_income", "payout", "payout_item"]
    tables += ["subscription", "subscription_change", "invoice"]
    before = world.dump(*tables)
    seen: list[str] = []
    event.listen(world.engine, "before_cursor_execute", lambda conn, cursor, statement, *rest: seen.append(statement))
    for slug in ("network", "bank"):
        report = world.sync(slug)
        assert (report.outcome, report.new, report.changed) == ("ok", 0, 0)
    assert world.dump(*tables) == before
    assert not [line for line in seen if line.startswith(("INSERT INTO earning", "INSERT INTO raw"))]


def test_sqlite_changes_only_the_run_and_its_places_in_a_second_sync(ledger: World) -> None:
    ledger.add("network")
    commissions(ledger, 7)
    ledger.sync("network")
    ledger.sync("network")
    touched: set[str] = set()

    def watch(conn: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.startswith(("INSERT", "UPDATE", "DELETE")):
            touched.add(" ".join(statement.replace("INTO ", "").replace("FROM ", "").split()[:2]))

    event.listen(ledger.engine, "before_cursor_execute", watch)
    with ledger.engine.connect() as conn:
        raw = conn.connection.dbapi_connection
        assert raw is not None
        before = raw.total_changes
        conn.rollback()
        ledger.sync("network")
        # Claim, the dead run's close, the run's row, the place, release, the run's end; and no earning among them.
        assert raw.total_changes - before <= 8
    assert "INSERT earning" not in touched


def test_rows_are_read_once_however_many_pages_there_are(world: World) -> None:
    world.add("network")
    commissions(world, 11)
    report = world.sync("network")
    assert (report.rows, report.new, len(world.earnings())) == (11, 11, 11)
    assert world.ask("select outcome, rows, new, changed from sync_run") == [("ok", 11, 11, 0)]


def test_reading_again_from_a_day_asks_for_the_same_windows_and_changes_nothing(world: World) -> None:
    world.add("network")
    commissions(world, 5)
    world.sync("network")
    asked = [call.query for call in world.provider.asked]
    world.provider.asked.clear()
    report = world.sync("network", since=START - timedelta(days=60))
    assert (report.new, report.changed) == (0, 0)
    assert world.provider.asked
    assert all(call.query in asked for call in world.provider.asked)


def test_the_progress_names_the_window_and_counts(ledger: World) -> None:
    ledger.add("network")
    commissions(ledger, 4)
    told: list[Progress] = []
    ledger.sync("network", progress=told.append)
    assert told[-1].rows == told[-1].new == 4
    assert {line.resource for line in told} == {"commissions"}


# --- killed and resumed ---


@pytest.mark.parametrize("statement", [2, 7, 12, 17, 21, 26, 31, 36, 41, 46, 51, 60])
def test_a_backfill_killed_at_any_point_resumes_without_loss_or_doubles(ledger: World, statement: int) -> None:
    ledger.add("network")
    commissions(ledger, 10)
    ledger.killed_at(statement, "network")
    report = ledger.sync("network")
    assert report.outcome == "ok"
    assert sorted(ledger.earnings()) == [f"c{number:02d}" for number in range(10)]
    assert ledger.ask("select sum(earnings), sum(net) from monthly_income") == [(10, 100_000_000)]
    assert ledger.sync("network").new == 0


def test_a_backfill_killed_inside_a_later_window_goes_on_after_its_page(ledger: World) -> None:
    ledger.add("network")
    for number in range(12):  # six in each of two windows, three on a page
        ledger.provider.put("/commissions", earning(f"c{number:02d}", START - timedelta(days=4 * number + 1)))
    assert any(ledger.killed_at(statement, "network") and len(ledger.earnings()) == 9 for statement in range(10, 200))
    unfinished = ledger.provider.asked[-1].query
    ledger.provider.asked.clear()
    ledger.later(hours=1)
    assert ledger.sync("network").outcome == "ok"
    assert (ledger.provider.asked[0].query, "cursor" in unfinished) == (unfinished, True)
    assert len(ledger.earnings()) == 12


@pytest.mark.parametrize("provider", ["bank", "feed", "network", "changes", "shop"])
def test_what_came_between_a_kill_and_its_resume_is_read(ledger: World, provider: str) -> None:
    """Lists with the newest first: what came meanwhile stands before the page that the killed run had reached."""
    path = PATHS[provider]
    ledger.add(provider)
    ledger.provider.put("/events", {"id": "e0", "about": "x0", "updated": iso_z(START)})

    def put(name: str, days: float) -> None:
        at = ledger.now - timedelta(days=days)
        ledger.provider.put(path, earning(name, at, payouts=[]))
        rows = ledger.provider.shelves[path]
        ledger.provider.shelves[path] = {name: rows.pop(name), **rows}  # every list of this provider: newest first

    for number in range(9, 0, -1):
        put(f"x{number}", number)
    assert any(ledger.killed_at(statement, provider) and ledger.earnings() for statement in range(10, 200))
    assert 3 <= len(ledger.earnings()) < 9
    ledger.later(days=5)
    put("late", 4)
    ledger.provider.put("/events", {"id": "e1", "about": "late", "updated": iso_z(ledger.now - timedelta(days=4))})
    assert ledger.sync(provider).outcome == "ok"
    assert "late" in ledger.earnings()
    assert len(ledger.earnings()) == 10


def test_a_killed_process_leaves_a_ledger_that_goes_on(world: World, tmp_path: Path) -> None:
    world.add("network")
    commissions(world, 9)
    script = f"""
import os, sys
sys.path.insert(0, {str(world.folder)!r})
from tests.pretend import *
from tests.world import *
from tracker.connections import Deps
deps = Deps(engine=open_engine({world.deps.settings.database_url!r}), settings=Settings(data_dir={str(world.folder)!r},
    currency="EUR", time_zone="Europe/Berlin", database_url={world.deps.settings.database_url!r}, backfill_months=2),
    vault=None, pace=Unhurried(), now=lambda: START, http=lambda: http_session(allow_private=True))
deps.vault = Vault.open(deps.settings)
sync(deps, 1, progress=lambda told: os.kill(os.getpid(), 9) if told.rows >= 5 else None)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[1], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    assert 0 < len(world.earnings()) < 9
    report = world.sync("network")  # at once: the process that held the lease is gone
    assert (report.outcome, len(world.earnings())) == ("ok", 9)
    assert world.ask("select outcome, error from sync_run order by id") == [("failed", "Killed"), ("ok", None)]


def test_a_run_says_how_far_it_is_while_it_goes_on(world: World) -> None:
    row = world.add("network")
    commissions(world, 9)
    seen: list[tuple[Any, ...]] = []

    def look(step: Progress) -> None:
        seen.extend(world.ask("select pages, rows, new, outcome from sync_run"))
        world.later(seconds=2)

    sync(world.deps, row.id, progress=look)
    assert seen[0] == (0, 0, 0, "running")
    assert (counts := [rows for _, rows, *_ in seen]) == sorted(counts)
    assert max(counts) > 0
    assert {outcome for *_, outcome in seen} == {"running"}
    assert world.ask("select rows, new, outcome from sync_run") == [(9, 9, "ok")]


def test_a_dead_process_does_not_keep_its_lease(world: World) -> None:
    row = world.add("network")
    values = {"leased_until": START + timedelta(minutes=10), "leased_by": dead_process()}
    with world.engine.begin() as conn:
        conn.execute(update(connection_t).values(values))
        conn.execute(insert(run_t).values(connection_id=row.id, started_at=START))
    assert world.sync("network").outcome == "ok"


def test_a_running_sync_is_not_run_twice(world: World) -> None:
    world.add("network")
    commissions(world, 2)

    def again(told: Progress) -> None:
        with pytest.raises(UsageError, match="is being synced by another process"):
            world.sync("network")

    assert world.sync("network", progress=again).outcome == "ok"


def test_every_page_prolongs_the_lease(ledger: World) -> None:
    ledger.add("network")
    commissions(ledger, 7)
    until = []

    def slow_provider(told: Progress) -> None:
        until.append(ledger.connection("network").leased_until)
        ledger.later(minutes=10)  # three such pages outlast the first lease

    assert ledger.sync("network", progress=slow_provider).outcome == "ok"
    assert until == sorted(set(until))
    assert until[-1] > START + timedelta(minutes=30)


def test_a_run_that_lost_its_lease_stops_and_says_so(ledger: World) -> None:
    ledger.add("network")
    commissions(ledger, 7)

    def taken_over(told: Progress) -> None:
        with ledger.engine.begin() as conn:
            conn.execute(update(connection_t).values(leased_by="other:1:x"))

    report = ledger.sync("network", progress=taken_over)
    assert report.outcome == "failed"
    assert "another process took over" in str(report.message)
    assert ledger.connection("network").leased_by == "other:1:x"


def test_ctrl_c_is_recorded_and_the_next_sync_goes_on(ledger: World) -> None:
    ledger.add("network")
    commissions(ledger, 7)

    def stop(told: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ledger.sync("network", progress=stop)
    [(outcome, message)] = ledger.ask("select outcome, message from sync_run")
    assert (outcome, message) == ("failed", "interrupted. The next sync goes on from here.")
    assert ledger.sync("network").outcome == "ok"
    assert len(ledger.earnings()) == 7


# --- cut short ---


def test_runs_that_are_throttled_at_the_same_call_each_time_come_to_the_newest_row(ledger: World) -> None:
    left = 1

    def answer(asked: Asked) -> Reply:
        nonlocal left
        left -= 1
        return ledger.provider.listing(asked) if left >= 0 else Reply(b"", 429, {"Retry-After": "86400"})

    ledger.add("ads")
    assert ledger.sync("ads").outcome == "ok"
    ledger.later(days=45)  # six windows of ten days, the first nine of which are read again each time
    ledger.provider.put("/days", earning("new", ledger.now - timedelta(hours=2), kind="ad_revenue"))
    ledger.provider.answers["/days"] = answer
    outcomes = []
    for _ in range(6):
        left = 1  # a run gets one answer and is then told to wait
        outcomes.append(ledger.sync("ads").outcome)
        ledger.later(minutes=10)
    assert outcomes == ["failed"] * 5 + ["ok"]
    assert "new" in ledger.earnings()


# --- the clock ---


@pytest.mark.parametrize("hours", [0.2, 30, 24 * 200])
@pytest.mark.parametrize("provider", ["network", "bank", "changes"])
def test_a_clock_that_was_ahead_loses_nothing_when_it_is_put_back(ledger: World, provider: str, hours: float) -> None:
    path = PATHS[provider]
    ledger.add(provider)
    ledger.provider.put("/events", {"id": "e0", "about": "old", "updated": iso_z(START - timedelta(days=3))})
    ledger.provider.put(path, earning("old", payouts=[]))
    ledger.later(hours=hours)
    assert ledger.sync(provider).outcome == "ok"
    ledger.now = START + timedelta(minutes=20)
    ledger.provider.put(path, earning("new", START + timedelta(minutes=10), payouts=[]))
    ledger.provider.put("/events", {"id": "e1", "about": "new", "updated": iso_z(START + timedelta(minutes=10))})
    assert ledger.sync(provider).outcome == "ok"
    ledger.later(hours=2)
    assert ledger.sync(provider).outcome == "ok"
    assert set(ledger.earnings()) == {"old", "new"}


def test_a_clock_put_back_a_little_does_not_move_the_state_back(ledger: World) -> None:
    ledger.add("network")
    ledger.sync("network")
    before = ledger.ask("select state from resource_state")
    ledger.later(minutes=-30)
    ledger.sync("network")
    assert ledger.ask("select state from resource_state") == before
