"""What every test may ask for, and the walls around all of them.

Tests reach no other machine and read nothing of the person who runs them: no home folder, no TRACKER_ settings, no
proxy. Only TRACKER_TEST_POSTGRES_URL and TRACKER_TEST_REDIS_URL are heard: servers to use instead of our own.
"""

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.services import REDIS_DATABASES, Keeper, fresh_database, server_url

FOLDER = pytest.StashKey[Path]()
KEEPER = pytest.StashKey[Keeper]()

hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("repeatable" if os.environ.get("CI") else "house")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="rewrite expected files; then review the difference")


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        config.stash[FOLDER] = Path(config.workerinput["folder"])
        return
    keeper = config.stash[KEEPER] = Keeper()
    config.stash[FOLDER] = keeper.folder
    for name in list(os.environ):
        ours = name.startswith("TRACKER_") and not name.startswith("TRACKER_TEST_")
        if ours or name.startswith(("PG", "XDG_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ["HOME"] = str(keeper.folder / "home")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Called by pytest-xdist before it starts a worker: all workers share one keeper."""
    node.workerinput["folder"] = str(node.config.stash[FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    keeper = config.stash.get(KEEPER, None)
    if keeper:
        keeper.close()


@pytest.fixture
def accept(request: pytest.FixtureRequest) -> bool:
    """Whether expected files are to be rewritten rather than compared."""
    return bool(request.config.getoption("--accept"))


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 6, 15, 10, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def services_folder(request: pytest.FixtureRequest) -> Path:
    """Shared by all workers of the run, gone after it."""
    return request.config.stash[FOLDER]


@pytest.fixture(scope="session")
def postgres_server(services_folder: Path) -> str:
    return os.environ.get("TRACKER_TEST_POSTGRES_URL") or server_url(services_folder, "postgres")


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty database of this test's own, as an SQLAlchemy address."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
def redis_server(services_folder: Path, request: pytest.FixtureRequest) -> str:
    """The worker's own database number on the run's Redis."""
    given = os.environ.get("TRACKER_TEST_REDIS_URL")
    if given:
        return given
    worker = getattr(request.config, "workerinput", {}).get("workerid", "gw0")
    server, _, _ = server_url(services_folder, "redis").rpartition("/")
    return f"{server}/{int(worker.removeprefix('gw')) % REDIS_DATABASES}"


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """An emptied Redis database that no other worker uses."""
    import redis

    with redis.Redis.from_url(redis_server) as client:
        client.flushdb()
    return redis_server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An SQLAlchemy address of an empty database: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'tracker.db'}"
    return str(request.getfixturevalue("postgres_url"))


class OutsideCall(AssertionError):
    """A test tried to reach another machine."""


_attempts: list[str] = []


def _is_inside(host: object) -> bool:
    if host in (None, "", "localhost", b"localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host))
    except ValueError:
        return str(host).endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def _refuse(host: object) -> None:
    _attempts.append(str(host))
    raise OutsideCall(f"a test tried to reach {host}; tests talk to loopback addresses only")


def _guard_call(call: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, *arguments: Any) -> Any:
        address = arguments[-1]  # the address comes last in connect, connect_ex and sendto
        if isinstance(address, tuple) and not _is_inside(address[0]):
            self.close()  # who connects expects an OSError and would leave the socket open
            _refuse(address[0])
        return call(self, *arguments)

    return guarded


def _guard_lookup(lookup: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(host: Any, *arguments: Any, **options: Any) -> Any:
        if str(host).endswith(".invalid"):  # RFC 6761: such a name never exists, so no resolver need be asked
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if not _is_inside(host):
            try:
                ipaddress.ip_address(host)
            except ValueError:
                _refuse(host)
        return lookup(host, *arguments, **options)

    return guarded


for _name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, _name, _guard_call(getattr(socket.socket, _name)))
for _name in ("getaddrinfo", "gethostbyname"):
    setattr(socket, _name, _guard_lookup(getattr(socket, _name)))


@pytest.fixture(autouse=True)
def outside_calls() -> Iterator[list[str]]:
    """Fails a test that tried to reach another machine, even where the refusal was swallowed or ended a thread."""
    _attempts.clear()
    yield _attempts
    assert not _attempts, f"the test tried to reach {', '.join(_attempts)}"
