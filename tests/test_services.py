"""The servers that the tests run on are real, private and gone afterwards; the walls around the tests hold."""

import os
import signal
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import redis
import requests
from sqlalchemy import create_engine, inspect, text

from tests.conftest import OutsideCall
from tests.services import Keeper, fresh_database, server_url


def plain(url: str) -> str:
    return url.replace("+psycopg", "")


def test_postgresql_is_a_real_server_of_a_supported_version(postgres_url: str) -> None:
    with psycopg.connect(plain(postgres_url)) as connection:
        row = connection.execute("SELECT version(), current_setting('server_version_num')::int").fetchone()
    assert row is not None
    assert row[0].startswith("PostgreSQL ")
    assert row[1] >= 150_000


def test_redis_is_a_real_server(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()
        server = client.info("server")
        assert server["redis_version"] >= "6.2"
        assert server["process_id"] > 0


def test_each_test_gets_an_empty_postgresql_database_that_is_dropped(postgres_server: str) -> None:
    with fresh_database(postgres_server) as first, fresh_database(postgres_server) as second:
        with psycopg.connect(plain(first)) as connection:
            connection.execute("CREATE TABLE earning (id int)")
        with psycopg.connect(plain(second)) as connection:
            count = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'earning'").fetchone()
            assert count == (0,)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(plain(first))


def test_a_postgresql_database_is_dropped_though_the_test_left_a_connection_open(postgres_server: str) -> None:
    with fresh_database(postgres_server) as url:
        left_open = psycopg.connect(plain(url))
    with pytest.raises(psycopg.OperationalError):
        left_open.execute("SELECT 1")
    left_open.close()


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_gets_an_empty_redis_database(redis_url: str, turn: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("turn", turn)


def test_a_database_url_opens_an_empty_database_of_its_kind(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1 + 1")).scalar() == 2
        assert database_url.startswith(("sqlite:///", "postgresql+psycopg://"))
        assert inspect(connection).get_table_names() == []
    engine.dispose()


def test_servers_are_gone_with_their_folder_when_the_run_ends() -> None:
    keeper = Keeper()
    try:
        postgres, cache = (server_url(keeper.folder, name) for name in ("postgres", "redis"))
        with psycopg.connect(plain(postgres)) as connection, redis.Redis.from_url(cache) as client:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert client.ping()
            assert server_url(keeper.folder, "redis") == cache  # started once
    finally:
        keeper.close()
    assert not keeper.folder.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(plain(postgres))
    with redis.Redis.from_url(cache, retry=None) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_servers_are_stopped_though_the_run_is_killed() -> None:
    script = (
        "import sys; from tests.services import Keeper, server_url; keeper = Keeper();"
        "print(keeper.folder, server_url(keeper.folder, 'redis'), flush=True); sys.stdin.read()"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert run.stdout is not None
    folder, url = run.stdout.readline().split()
    with redis.Redis.from_url(url) as client:
        assert client.ping()
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=20)  # reads to the end of what the keeper, too, holds open
    assert not Path(folder).exists()


def test_a_server_that_does_not_start_says_why() -> None:
    keeper = Keeper()
    try:
        (keeper.folder / "postgres").write_text("in the way")
        with pytest.raises(RuntimeError, match=r"postgres does not start: .*File exists"):
            server_url(keeper.folder, "postgres")
    finally:
        keeper.close()


def test_the_clock_of_the_tests_stands_still(now: datetime) -> None:
    assert now == datetime(2026, 6, 15, 10, 0, tzinfo=UTC)


def test_a_test_cannot_reach_another_machine(outside_calls: list[str]) -> None:
    with pytest.raises(OutsideCall, match=r"192\.0\.2\.1"):
        requests.get("http://192.0.2.1/", timeout=1)
    with pytest.raises(OutsideCall, match=r"provider\.example"):
        requests.get("https://provider.example/", timeout=1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, pytest.raises(OutsideCall):
        datagrams.sendto(b"x", ("192.0.2.2", 53))
    with socket.socket(socket.AF_INET6) as stream, pytest.raises(OutsideCall):
        stream.connect_ex(("2001:db8::1", 443))
    assert outside_calls == ["192.0.2.1", "provider.example", "192.0.2.2", "2001:db8::1"]
    outside_calls.clear()


def test_an_outside_call_is_noticed_though_it_was_swallowed_in_a_thread(outside_calls: list[str]) -> None:
    def swallow() -> None:
        with socket.socket() as stream, pytest.raises(OutsideCall):
            stream.connect(("192.0.2.3", 80))

    thread = threading.Thread(target=swallow)
    thread.start()
    thread.join(5)
    assert outside_calls == ["192.0.2.3"]
    outside_calls.clear()


def test_loopback_is_open_and_a_name_that_cannot_exist_is_not_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("localhost", port), timeout=5) as client:
            assert client.getpeername()[1] == port
    with pytest.raises(requests.ConnectionError):
        requests.get("https://shop.invalid/", timeout=1)


def test_tests_hear_nothing_of_the_person_who_runs_them(services_folder: Path) -> None:
    assert Path.home() == services_folder / "home"
    ours = {name for name in os.environ if name.startswith("TRACKER_")}
    assert ours <= {"TRACKER_TEST_POSTGRES_URL", "TRACKER_TEST_REDIS_URL"}
    assert not [name for name in os.environ if name.lower().endswith("_proxy")]


def test_expected_files_are_compared_unless_accepting_is_asked_for(
    request: pytest.FixtureRequest, accept: bool
) -> None:
    assert accept is ("--accept" in request.config.invocation_params.args)
