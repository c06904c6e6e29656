"""Our own rate limits: they hold across threads and, with Redis, across processes."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tracker.connect.connector import Rate
from tracker.connect.pace import Pace
from tracker.errors import RateLimited, Unavailable

ROOT = Path(__file__).parents[2]
#: Waits through five calls of a rate of three in 0.4 s, and prints when each was allowed.
CALLER = """
import sys, time, redis
from tracker.connect.connector import Rate
from tracker.connect.pace import Pace
pace = Pace(redis.Redis.from_url(sys.argv[1]))
for _ in range(5):
    pace.wait("shop:1", [Rate(3, 0.4)], at_most_s=20)
    print(time.time(), flush=True)
"""


def most_in(times: list[float], seconds: float) -> int:
    """The most of the moments that lie within any such span."""
    times = sorted(times)
    return max(sum(first <= moment < first + seconds for moment in times) for first in times)


def test_a_rate_holds_across_threads() -> None:
    pace, rates = Pace(), [Rate(4, 0.2)]

    def call(number: int) -> float:
        pace.wait("shop:1", rates, at_most_s=10)
        return time.time()

    with ThreadPoolExecutor(6) as pool:
        times = list(pool.map(call, range(14)))
    assert most_in(times, 0.15) <= 4
    assert max(times) - min(times) >= 0.4


def test_every_account_has_its_own_allowance() -> None:
    pace = Pace()
    for bucket in ("shop:1", "shop:2", "shop:3"):
        pace.wait(bucket, [Rate(1, 60)], at_most_s=0.05)


def test_no_rate_means_no_wait() -> None:
    pace = Pace()
    for _ in range(1000):
        pace.wait("shop:1", [], at_most_s=0)


def test_several_rates_hold_together() -> None:
    pace = Pace()
    rates = [Rate(2, 0.1), Rate(3, 60)]
    for _ in range(3):
        pace.wait("shop:1", rates, at_most_s=5)
    with pytest.raises(RateLimited):
        pace.wait("shop:1", rates, at_most_s=0.2)


def test_a_wait_that_is_too_long_moves_the_next_sync() -> None:
    pace = Pace()
    pace.wait("shop:1", [Rate(1, 90)], at_most_s=0.05)
    with pytest.raises(RateLimited, match="our own limit") as limited:
        pace.wait("shop:1", [Rate(1, 90)], at_most_s=0.05)
    assert limited.value.retry_after_s == 90


def test_a_rate_holds_across_processes(redis_url: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", CALLER, redis_url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    times = [float(line) for process in processes for line in process.communicate(timeout=30)[0].split()]
    assert len(times) == 10
    assert most_in(times, 0.3) <= 3


def test_a_call_that_another_clock_stamped_later_is_counted(redis_url: str) -> None:
    import redis

    with redis.Redis.from_url(redis_url) as client:
        client.zadd("tracker:pace:shop:1", {f"other{number}": int(time.time() * 1000) + 500 for number in range(3)})
        with pytest.raises(RateLimited):
            Pace(client).wait("shop:1", [Rate(3, 60)], at_most_s=0.05)


def test_redis_that_does_not_answer_is_named() -> None:
    import redis

    nobody = redis.Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=1, retry=None)
    with nobody, pytest.raises(Unavailable, match=r"Redis does not answer\. Check TRACKER_REDIS_URL"):
        Pace(nobody).wait("shop:1", [Rate(1)], at_most_s=1)
