"""The command line over a pretend provider: in this process for speed, as a process of its own where that matters."""

import io
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.pretend import Asked, Reply, earning
from tests.world import World
from tracker.cli import ground
from tracker.cli.main import run

ROOT = Path(__file__).parents[2]
PATH = "/commissions"
Command = Callable[..., tuple[int, str, str]]
Typed = Callable[..., tuple[int, str]]
Process = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Seven commissions of the last days, at a provider that is not connected yet."""
    with World(f"sqlite:///{tmp_path}/data/tracker.db", tmp_path / "data") as world:
        recent = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
        for number in range(7):
            world.provider.put(PATH, earning(f"c{number}", recent))
        yield world


@pytest.fixture
def environ(world: World) -> dict[str, str]:
    """What makes a process find the world's ledger and its provider."""
    start = datetime.now(UTC) - timedelta(days=10)
    return {
        "TRACKER_DATA_DIR": str(world.folder),
        "TRACKER_TIME_ZONE": "Europe/Berlin",
        "TRACKER_BACKFILL_START": f"{start:%Y-%m-%d}",
        "TRACKER_WEB_PORT": "0",
        "TRACKER_ALLOW_PRIVATE_NETWORKS": "true",
        "PYTHONPATH": os.pathsep.join([str(world.folder), str(ROOT)]),
    }


@pytest.fixture
def command(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `tracker …` in this process: exit code, output, errors."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def call(*words: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tracker", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            run()
        told = capsys.readouterr()
        assert "Traceback" not in told.out + told.err
        return int(ended.value.code or 0), told.out, told.err

    return call


@pytest.fixture
def typed(environ: dict[str, str]) -> Typed:
    """Runs `tracker …` at a terminal, each answer typed once its question stands there: exit code, what is shown.

    An answer may be made of what is shown by then.
    """

    def call(words: Sequence[str], *answers: tuple[str, str | Callable[[str], str]]) -> tuple[int, str]:
        code = "from tracker.cli.main import run; run()"
        master, slave = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-c", code, *words], env={**os.environ, **environ},
            stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True,
        ) as asking:  # fmt: skip
            os.close(slave)
            shown, left = "", list(answers)
            while select.select([master], [], [], 30)[0]:
                try:
                    piece = os.read(master, 10_000)
                except OSError:  # the terminal is closed on its other side
                    break
                if not piece:
                    break
                shown += piece.decode()
                if left and left[0][0] in shown and shown.endswith(": "):
                    answer = left.pop(0)[1]
                    os.write(master, f"{answer(shown) if callable(answer) else answer}\n".encode())
            ended = asking.wait(30)
        os.close(master)
        assert left == [], shown
        return ended, shown

    return call


@pytest.fixture
def process(environ: dict[str, str]) -> Iterator[Process]:
    """Starts `tracker …` as a process of its own; whatever still runs after the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, **more: Any) -> "subprocess.Popen[str]":
        # Whoever runs the tests in the background has SIGINT ignored, and a child would inherit that.
        code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        code += "from tracker.cli.main import run; run()"
        one = subprocess.Popen(
            [sys.executable, "-c", code, *words], env={**os.environ, **environ}, text=True, stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE, **{"stdout": subprocess.PIPE, **more},
        )  # fmt: skip
        started.append(one)
        return one

    yield start
    for one in started:
        with suppress(ProcessLookupError):
            one.kill()
        one.communicate()


class Held:
    """The provider answers the second page only when `go` is set; `reached` says that it was asked for."""

    def __init__(self, world: World) -> None:
        self.reached, self.go, self._world = Event(), Event(), world
        world.provider.answers[PATH] = self._answer

    def _answer(self, asked: Asked) -> Reply:
        if "cursor" in asked.query and not self.go.is_set():
            self.reached.set()
            self.go.wait(30)
        return self._world.provider.listing(asked)


@pytest.fixture
def held(world: World) -> Iterator[Held]:
    held = Held(world)
    yield held
    held.go.set()


@pytest.fixture
def connected(world: World) -> World:
    """The provider is connected, due since now."""
    world.now = ground.now()
    world.add("network")
    return world


def soon(world: World, holds: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether it comes true within so many seconds."""
    deadline, pause = time.monotonic() + seconds, Event()
    while not holds():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.02)
    return True
