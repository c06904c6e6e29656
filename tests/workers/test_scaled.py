"""The scaled way for real: clocks and workers as processes on Redis and PostgreSQL, and what kills or parts them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import msgspec
import pytest

from tests.cli.conftest import PATH, Held
from tests.pretend import Provider, contract, earning
from tests.workers.servers import OwnPostgres, OwnRedis
from tests.world import World, same_sums
from tracker.settings import Settings
from workers.queue import queue, send

ROOT = Path(__file__).parents[2]
#: What a ledger holds of its providers, apart from when it learned of it.
HELD = ("earning", "earning_change", "subscription", "payout", "payout_item", "invoice", "monthly_income", "raw_row")
MOMENTS = (
    "first_seen_at",
    "changed_at",
    "fetched_at",
    "first_run_id",
    "seen_at",
    "at",
    "created_at",
    "updated_at",
    "itemised_at",
)
COMMISSIONS = 10


def stocked() -> Provider:
    """Ten commissions, which are four pages, and two of everything else, all of the last days."""
    provider, day = Provider(), datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
    for number in range(COMMISSIONS):
        provider.put(PATH, earning(f"c{number}", day, order_ref=f"o{number}"))
    for number in range(2):
        provider.put("/movements", earning(f"m{number}", day, payouts=["p0"]))
        provider.put("/contracts", contract(f"s{number}", day))
        provider.put("/orders", earning(f"o{number}", day))
        provider.put("/sales", earning(f"f{number}", day))
    provider.put("/payouts", earning("p0", day, status="paid", net="20.00"))
    return provider


class Machine:
    """A ledger on PostgreSQL with its providers, and the processes of the scaled way as one machine runs them."""

    def __init__(self, world: World, redis_url: str) -> None:
        self.world = world
        self.redis_url = redis_url
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        since = (datetime.now(UTC) - timedelta(days=10)).date()
        settings = world.deps.settings.model_copy(update={"backfill_start": since})
        world.deps = msgspec.structs.replace(world.deps, settings=settings)
        self.environ = {
            **os.environ,
            "TRACKER_DATA_DIR": str(world.folder),
            "TRACKER_DATABASE_URL": settings.database_url,
            "TRACKER_REDIS_URL": redis_url,
            "TRACKER_TIME_ZONE": "Europe/Berlin",
            "TRACKER_BACKFILL_START": since.isoformat(),
            "TRACKER_ALLOW_PRIVATE_NETWORKS": "true",
            "TMPDIR": str(world.folder),
            "PYTHONPATH": os.pathsep.join([str(world.folder), str(ROOT)]),
        }

    def start(self, *names: str) -> None:
        """Processes by name: "clock…" or "worker…"."""
        for name in names:
            module = "workers.clock" if name.startswith("clock") else "workers.queue"
            words = [] if name.startswith("clock") else ["--concurrency", "2"]
            with (self.world.folder / f"{name}.log").open("wb") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", module, *words], env=self.environ, stdin=subprocess.DEVNULL, stdout=log,
                    stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip

    def said(self, name: str) -> str:
        return (self.world.folder / f"{name}.log").read_text("utf-8")

    def kill(self, name: str) -> None:
        """kill -9, with all that it forked."""
        process = self.processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)

    def stop(self) -> list[int]:
        """The exit codes of all."""
        for process in self.processes.values():
            process.terminate()
        return [process.wait(20) for process in self.processes.values()]

    def end(self) -> None:
        for name in list(self.processes):
            self.kill(name)

    def send(self, slug: str) -> None:
        settings = Settings(data_dir=self.world.folder, redis_url=self.redis_url)
        send(queue(settings), [self.world.connection(slug).id])

    def read(self, slug: str) -> bool:
        row = self.world.connection(slug)
        return row.as_of is not None and row.leased_by is None

    def soon(self, holds: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until it comes true, or fail with what the processes have said."""
        deadline, pause = time.monotonic() + seconds, Event()
        while not holds():
            if time.monotonic() > deadline:
                raise AssertionError("\n".join(f"{name}:\n{self.said(name)}" for name in self.processes))
            pause.wait(0.05)


@pytest.fixture
def world(postgres_url: str, tmp_path: Path) -> Iterator[World]:
    with World(postgres_url, tmp_path / "data", stocked()) as world:
        world.now = datetime.now(UTC)
        yield world


@pytest.fixture
def machine(world: World, redis_url: str) -> Iterator[Machine]:
    machine = Machine(world, redis_url)
    yield machine
    machine.end()


@pytest.fixture
def held(world: World) -> Iterator[Held]:
    held = Held(world)
    yield held
    held.go.set()


def undisturbed(machine: Machine, tmp_path: Path, *connected: str) -> dict[str, Any]:
    """What a ledger holds that read the same providers without trouble, on SQLite and in this process."""
    with World(f"sqlite:///{tmp_path / 'other.db'}", tmp_path / "other", machine.world.provider) as other:
        other.now, other.deps = (
            datetime.now(UTC),
            msgspec.structs.replace(other.deps, settings=machine.world.deps.settings),
        )
        for provider in connected:
            other.add(provider, options={"base_url": machine.world.server.url})
            assert other.sync(provider).outcome == "ok"
        return other.dump(*HELD, without=MOMENTS)


def same_as_undisturbed(machine: Machine, tmp_path: Path, *connected: str) -> None:
    found = machine.world.dump(*HELD, without=MOMENTS)
    assert found == undisturbed(machine, tmp_path, *connected)
    same_sums(machine.world)


def runs(machine: Machine) -> list[tuple[Any, ...]]:
    return machine.world.ask("select outcome, error, new from sync_run order by id")


def test_two_clocks_and_two_workers_read_every_connection_once(machine: Machine, tmp_path: Path) -> None:
    connected = ("network", "bank", "shop", "feed")
    for provider in connected:
        machine.world.add(provider)
    machine.start("clock-1", "clock-2", "worker-1", "worker-2")
    machine.soon(lambda: all(machine.read(slug) for slug in connected))
    assert machine.stop() == [0, 0, 0, 0]
    assert [outcome for outcome, _, _ in runs(machine)] == ["ok"] * len(connected)
    same_as_undisturbed(machine, tmp_path, *connected)
    assert not [name for name in machine.processes if "Traceback" in machine.said(name)]


def test_nothing_is_lost_or_double_when_a_worker_is_killed_in_the_middle_of_a_sync(
    machine: Machine, held: Held, tmp_path: Path
) -> None:
    machine.world.add("network")
    machine.start("clock", "worker")
    assert held.reached.wait(30)
    assert len(machine.world.earnings()) == 3  # the first page
    machine.kill("worker")
    held.go.set()
    machine.start("worker-2", "clock-2")  # which sees at once that the holder of the lease is dead
    machine.soon(lambda: machine.read("network"))
    assert runs(machine) == [("failed", "Killed", 0), ("ok", None, COMMISSIONS - 3)]
    same_as_undisturbed(machine, tmp_path, "network")


def test_a_sync_whose_process_was_killed_goes_on_with_the_next_message(
    machine: Machine, held: Held, tmp_path: Path
) -> None:
    machine.world.add("network")
    machine.start("worker")
    machine.send("network")
    assert held.reached.wait(30)
    pid = machine.world.connection("network").leased_by.split(":")[1]
    os.kill(int(pid), signal.SIGKILL)
    machine.soon(lambda: f"pid:{pid} exited with 'signal 9 (SIGKILL)'" in machine.said("worker"))
    held.go.set()
    machine.send("network")
    machine.soon(lambda: machine.read("network"))
    assert runs(machine) == [("failed", "Killed", 0), ("ok", None, COMMISSIONS - 3)]
    same_as_undisturbed(machine, tmp_path, "network")


def test_a_doubled_message_does_nothing(machine: Machine, held: Held) -> None:
    machine.world.add("network")
    machine.start("worker")
    machine.send("network")
    assert held.reached.wait(30)
    machine.send("network")
    machine.soon(lambda: "is being synced by another process" in machine.said("worker"))
    held.go.set()
    machine.soon(lambda: machine.read("network"))
    machine.send("network")
    machine.soon(lambda: "is not due any more" in machine.said("worker"))
    assert runs(machine) == [("ok", None, COMMISSIONS)]


def test_a_stopped_worker_ends_its_sync_with_the_page(machine: Machine, held: Held, tmp_path: Path) -> None:
    machine.world.add("network")
    machine.start("worker")
    machine.send("network")
    assert held.reached.wait(30)
    machine.processes["worker"].terminate()
    machine.soon(lambda: "Warm shutdown" in machine.said("worker"))
    held.go.set()
    assert machine.processes["worker"].wait(20) == 0
    assert machine.world.connection("network").leased_by is None
    assert len(machine.world.earnings()) == 6
    machine.world.later(minutes=5)
    assert machine.world.sync("network").outcome == "ok"
    same_as_undisturbed(machine, tmp_path, "network")


def test_a_clock_says_that_redis_is_gone_and_goes_on_when_it_is_back(world: World, held: Held, tmp_path: Path) -> None:
    with OwnRedis() as own:
        machine = Machine(world, own.url)
        try:
            world.add("network")
            machine.start("worker")
            machine.send("network")
            assert held.reached.wait(30)
            own.stop()
            world.add("bank")
            machine.start("clock")
            held.go.set()
            machine.soon(lambda: machine.read("network"))  # what is under way needs no queue
            machine.soon(lambda: "Redis does not take messages" in machine.said("clock"))
            assert world.connection("bank").queued_until is None
            own.start()
            machine.soon(lambda: machine.read("bank"))
        finally:
            machine.end()
        assert [outcome for outcome, _, _ in runs(machine)] == ["ok", "ok"]
        same_as_undisturbed(machine, tmp_path, "network", "bank")
        assert "Traceback" not in machine.said("clock")


def test_a_sync_goes_on_after_postgresql_died_in_the_middle_of_a_page(
    services_folder: Path, redis_url: str, tmp_path: Path
) -> None:
    folder = services_folder / "own"  # a path that PostgreSQL's own user may enter
    folder.mkdir(mode=0o711, exist_ok=True)
    with OwnPostgres(folder) as postgres, World(postgres.url, tmp_path / "data", stocked()) as world:
        world.now = datetime.now(UTC)
        held, machine = Held(world), Machine(world, redis_url)
        try:
            world.add("network")
            machine.start("clock", "worker")
            assert held.reached.wait(30)
            postgres.die()
            held.go.set()
            machine.soon(lambda: "What was written before is safe" in machine.said("worker"))
            postgres.come_back()
            world.free("network")  # as it is when the lease of the process that could not give it back has run out
            machine.start("clock-2")
            machine.soon(lambda: machine.read("network"))
        finally:
            held.go.set()
            machine.end()
        assert [outcome for outcome, _, _ in runs(machine)] == ["failed", "ok"]
        same_as_undisturbed(machine, tmp_path, "network")


@pytest.mark.parametrize(
    ("module", "wrong", "said"),
    [
        ("workers.clock", {"TRACKER_REDIS_URL": ""}, "TRACKER_REDIS_URL is not set, and clock and workers meet on"),
        (
            "workers.queue",
            {"TRACKER_DATABASE_URL": "postgresql://joe:secret-word@127.0.0.1:9/books"},
            "the database 127.0.0.1 answered: ",
        ),
    ],
)
def test_a_wrong_setting_ends_a_process_with_one_line(
    module: str, wrong: dict[str, str], said: str, tmp_path: Path
) -> None:
    given = {"TRACKER_DATA_DIR": str(tmp_path), "TRACKER_REDIS_URL": "redis://127.0.0.1:9/0", **wrong}
    done = subprocess.run(
        [sys.executable, "-m", module], env={**os.environ, **given}, capture_output=True, text=True, cwd=ROOT,
        timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"tracker: {said}")
    assert (done.stderr.count("\n"), "secret-word" in done.stderr) == (1, False)
