"""The queue: what is put on it, what it promises, and what happens when Redis comes and goes."""

import base64
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.workers.servers import OwnRedis, free_port
from tests.world import World
from tracker import jobs, pulse
from tracker.connect.connector import Rate
from tracker.connect.pace import Pace
from tracker.errors import ConfigError, RateLimited
from tracker.hand import SYNC_MAX_S, Hand, Stopped
from tracker.schedule import HAND_OUT, LEASE
from tracker.settings import Settings
from workers.queue import KILL_AFTER_S, queue, send


@pytest.fixture
def own() -> Iterator[OwnRedis]:
    with OwnRedis() as server:
        yield server


def messages(url: str) -> list[dict[str, Any]]:
    with redis.Redis.from_url(url) as client:
        return [json.loads(message) for message in client.lrange("tracker", 0, -1)]


def test_a_message_holds_the_numbers_of_connections_and_nothing_else(redis_url: str) -> None:
    send(queue(Settings(redis_url=redis_url)), [7, 8])
    [message] = messages(redis_url)
    assert message["content-type"] == "application/json"
    assert json.loads(base64.b64decode(message["body"]))[:2] == [[[7, 8]], {}]
    assert message["headers"]["task"] == "sync"


def test_a_message_lives_as_long_as_its_hand_out(redis_url: str) -> None:
    """Else they would pile up while no worker runs, for the clock hands out anew what nobody took."""
    send(queue(Settings(redis_url=redis_url)), [7, 8])
    [message] = messages(redis_url)
    assert message["headers"]["expires"] is not None
    assert HAND_OUT.total_seconds() == 900


def test_redis_gives_nothing_out_again_that_may_still_run() -> None:
    conf = queue(Settings(redis_url="redis://127.0.0.1:9/0")).conf
    assert LEASE.total_seconds() < SYNC_MAX_S
    assert SYNC_MAX_S < conf.task_time_limit == KILL_AFTER_S < conf.broker_transport_options["visibility_timeout"]


def test_a_sync_that_kills_its_process_is_not_given_to_the_next() -> None:
    conf = queue(Settings(redis_url="redis://127.0.0.1:9/0")).conf
    assert (conf.task_acks_late, conf.task_reject_on_worker_lost) == (True, False)


def test_a_socket_in_the_file_system_is_an_address_too() -> None:
    conf = queue(Settings(redis_url="unix:///run/redis.sock?db=3")).conf
    assert conf.broker_url == "redis+socket:///run/redis.sock?virtual_host=3"


def test_without_an_address_of_redis_there_is_no_queue() -> None:
    with pytest.raises(ConfigError, match=r"TRACKER_REDIS_URL is not set.*`tracker serve` does without"):
        queue(Settings())


def test_a_redis_that_does_not_answer_is_told_without_its_password() -> None:
    app = queue(Settings(redis_url=f"redis://:secret-word@127.0.0.1:{free_port()}/0"))
    for _ in range(2):
        with pytest.raises(ConfigError, match="Redis does not take messages") as told:
            send(app, [7])
        assert "secret-word" not in str(told.value)
        assert told.value.__suppress_context__


def test_a_clock_sends_again_over_a_connection_that_broke(own: OwnRedis) -> None:
    app = queue(Settings(redis_url=own.url))
    send(app, [7])
    own.stop()
    with pytest.raises(ConfigError):
        send(app, [8])
    own.start()
    send(app, [9])
    assert [json.loads(base64.b64decode(message["body"]))[0] for message in messages(own.url)] == [[[9]]]


def test_limits_of_calls_are_kept_again_when_redis_has_lost_them(own: OwnRedis) -> None:
    with redis.Redis.from_url(own.url) as client:
        pace, rates = Pace(client), (Rate(2, 3600.0),)
        pace.wait("awin", rates, at_most_s=0)
        own.stop()
        own.start()
        for _ in range(2):
            pace.wait("awin", rates, at_most_s=0)
        with pytest.raises(RateLimited):
            pace.wait("awin", rates, at_most_s=0)


def test_redis_keeps_no_more_calls_than_the_longest_rate_reaches_back(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        pace, rates = Pace(client), (Rate(5, 0.05), Rate(9, 0.1))
        for _ in range(40):
            pace.wait("awin", rates, at_most_s=5)
        assert 0 < client.zcard("tracker:pace:awin") <= 9
        assert 0 < client.pttl("tracker:pace:awin") <= 100
        assert not [thread.name for thread in threading.enumerate() if "Leaker" in thread.name]


def test_a_process_ends_its_wait_when_its_worker_lets_go_or_dies(tmp_path: Path) -> None:
    hand = Hand(Settings(data_dir=tmp_path))
    hand.wait(0.0)
    told = threading.Timer(0.05, hand.let_go)
    told.start()
    with pytest.raises(Stopped):
        hand.wait(30.0)
    told.join()
    hand.let_go()  # asked twice


def test_what_a_stopping_worker_was_handed_and_had_not_begun_is_due_again(tmp_path: Path) -> None:
    with World(f"sqlite:///{tmp_path}/tracker.db", tmp_path / "data") as world:
        world.now = datetime.now(UTC)
        ids = [world.add("network", f"n{number}").id for number in range(3)]
        handed: list[int] = []
        assert jobs.tick(world.deps, handed.extend) == 3
        hand = Hand(world.deps.settings)
        hand.let_go()
        hand.sync(handed)
        assert jobs.tick(world.deps, handed.extend) == 3
        assert (handed, world.provider.asked) == (ids * 2, [])


def test_a_process_is_alive_while_it_is_heard_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert pulse.check(0.0) == 1
    pulse.beat(anything="Celery passes")
    beaten = (tmp_path / "tracker-pulse").stat().st_mtime
    assert pulse.check(beaten + pulse.SILENCE_MAX_S) == 0
    assert pulse.check(beaten + pulse.SILENCE_MAX_S + 1) == 1
    assert capsys.readouterr().out.splitlines() == [
        "not alive: nothing was heard yet", "alive: last heard 60 s ago", "not alive: last heard 61 s ago",
    ]  # fmt: skip


def test_a_full_disk_does_not_stop_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", os.fspath(tmp_path / "gone"))
    pulse.beat()
    assert pulse.check(0.0) == 1
