"""`tracker serve`: syncs what is due, survives what fails, stops when told to."""

import signal
import time
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from sqlalchemy import update

from tests.cli.conftest import PATH, Held, Process, soon
from tests.pretend import Asked, Reply
from tests.world import World
from tracker import connections
from tracker.cli.serve import Pool, schedule_told
from tracker.store.writes import connection_t


def put(world: World, **values: Any) -> None:
    with world.engine.begin() as conn:
        conn.execute(update(connection_t).where(connection_t.c.slug == "network").values(values))


def test_after_kill_9_it_goes_on_at_once(process: Process, connected: World, held: Held) -> None:
    """Neither the lease of the sync that was killed nor what waited for its turn holds up the next process."""
    connected.add("network", "waiting")
    serving = process("serve", "--threads", "1")
    assert held.reached.wait(30)
    serving.kill()
    serving.communicate(timeout=20)
    assert connected.connection("network").leased_by
    assert connected.connection("waiting").queued_until
    held.go.set()
    process("serve")
    assert soon(connected, lambda: all(connected.connection(one).as_of for one in ("network", "waiting")))
    assert [len(connected.earnings(one)) for one in ("network", "waiting")] == [7, 7]
    assert connected.ask("select outcome, count(*) from sync_run group by 1 order by 1") == [("failed", 1), ("ok", 2)]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_it_reads_what_is_due_past_what_fails_and_stops_with_exit_code_0(
    process: Process, connected: World, sign: signal.Signals
) -> None:
    connected.add("network", "refused", credentials={"key": "a-revoked-key"})
    connected.add("bank")
    connected.provider.answers["/movements"] = lambda asked: Reply(b"", 404)
    serving = process("serve")
    assert soon(connected, lambda: all(connected.connection(one).last_error for one in ("refused", "bank")))
    assert soon(connected, lambda: connected.connection("network").as_of is not None)
    serving.send_signal(sign)
    said, error = serving.communicate(timeout=20)
    assert (serving.returncode, error) == (0, "")
    assert said.startswith(f"Serving from {connected.folder}. Ctrl-C stops.\nLooks for due connections every 15 s. ")
    assert "Stopping; what is half read goes on from there next time." in said
    assert len(connected.earnings()) == 7
    assert ("a-revoked-key" in said, "Traceback" in said) == (False, False)


def test_it_stops_within_seconds_while_a_provider_is_silent(process: Process, connected: World, held: Held) -> None:
    serving = process("serve")
    assert held.reached.wait(30)
    asked = time.monotonic()
    serving.terminate()
    _, error = serving.communicate(timeout=20)
    assert (serving.returncode, error) == (0, "")
    assert time.monotonic() - asked < 12
    held.go.set()
    assert connected.sync("network").outcome == "ok"
    assert len(connected.earnings()) == 7


def test_two_on_one_ledger_read_every_row_once(process: Process, connected: World) -> None:
    both = [process("serve"), process("serve")]
    for one in both:
        assert one.stdout
        assert one.stdout.readline().startswith("Serving from ")
    assert soon(connected, lambda: connected.connection("network").as_of is not None)
    for one in both:
        one.terminate()
    assert [(one.communicate(timeout=20)[1], one.returncode) for one in both] == [("", 0), ("", 0)]
    assert connected.ask("select outcome, new from sync_run") == [("ok", 7)]


def test_a_pool_reads_a_connection_at_most_once_at_a_time(connected: World, held: Held) -> None:
    pool, row = Pool(connected.deps, threads=4), connected.connection("network")
    for _ in range(5):
        pool.dispatch([row.id])
    assert held.reached.wait(30)
    pool.dispatch([row.id])
    held.go.set()
    assert soon(connected, lambda: connected.connection("network").as_of is not None)
    assert connected.ask("select count(*) from sync_run") == [(1,)]
    pool.stop()


def test_a_stopped_pool_ends_a_run_after_its_page_and_takes_no_new_one(connected: World, held: Held) -> None:
    pool, row = Pool(connected.deps, threads=1), connected.connection("network")
    connected.add("bank")
    pool.dispatch([row.id])
    assert held.reached.wait(30)
    pool.dispatch([connected.connection("bank").id])
    pool.stop()
    held.go.set()
    assert soon(connected, lambda: connected.connection("network").leased_by is None)
    assert connected.ask("select outcome from sync_run") == [("failed",)]
    assert len(connected.earnings()) == 6
    pool.dispatch([row.id])


def test_a_stopped_pool_does_not_wait_for_another_try(connected: World) -> None:
    asked = Event()

    def busy(request: Asked) -> Reply:
        asked.set()
        return Reply(b"", 503, {"Retry-After": "50"})

    connected.provider.answers[PATH] = busy
    pool = Pool(connected.deps, threads=1)
    pool.dispatch([connected.connection("network").id])
    assert asked.wait(30)
    pool.stop()
    assert soon(connected, lambda: connected.connection("network").leased_by is None, seconds=10)


def test_the_schedule_is_told_in_local_time(connected: World) -> None:
    connected.add("bank")
    connections.pause(connected.deps, "bank")
    later = connected.now.replace(month=1, day=15, hour=11, minute=5) + timedelta(days=3660)
    put(connected, next_sync_at=later, quiet="22:00-06:00")
    told = schedule_told(connected.deps).splitlines()
    assert told[1] == "Looks for due connections every 15 s. Times are Europe/Berlin."
    assert told[2] == "  bank is paused: you paused it. Go on with: tracker connection resume bank"
    assert told[3] == f"  network: next {later:%Y-%m-%d} 12:05, every 1h, quiet 22:00-06:00"
    assert told[4].startswith("  exchange rates: daily at 17:30, next ")
    put(connected, next_sync_at=connected.now, quiet=None)
    assert "  network: due now, every 1h" in schedule_told(connected.deps).splitlines()


def test_what_files_feed_has_no_interval_in_the_schedule(connected: World) -> None:
    connections.add(connected.deps, "wise-statement", "wise", credentials={}, options={})
    told = schedule_told(connected.deps).splitlines()
    assert told[2] == "  network: due now, every 1h"
    assert told[3] == "  wise: from files, none yet"
