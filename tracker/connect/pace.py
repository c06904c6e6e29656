"""Rate limits on our side, so that a provider's limit is kept before it answers 429.

The calls of all connections that use the same credentials count together: across the threads of a process in memory,
across workers on several machines in Redis.
"""

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

from pyrate_limiter import InMemoryBucket, Limiter, RedisBucket, SingleBucketFactory
from pyrate_limiter import Rate as BucketRate
from pyrate_limiter.buckets.redis_bucket import LuaScript

from tracker.connect.connector import Rate
from tracker.errors import RateLimited, Unavailable

if TYPE_CHECKING:
    from redis import Redis


#: The library's script, but for two things. Times come from the callers' clocks: it counts up to the caller's own, and
#: so overlooks calls that another process stamped a moment later. And it leaves old calls to a thread, which dies with
#: the first trouble of Redis: here they go with the next call, or in the end by themselves. The last rate is longest.
_PUT = LuaScript.PUT_ITEM.replace("window_start, now)", "window_start, '+inf')").replace(
    "local rates_count = tonumber(ARGV[4])",
    """local rates_count = tonumber(ARGV[4])
    local longest = ARGV[5 + (rates_count - 1) * 3]
    redis.call('ZREMRANGEBYSCORE', bucket, '-inf', '(' .. longest)
    redis.call('PEXPIRE', bucket, now - longest)
    """,
)


class Pace:
    """Keeps the rates per bucket. One for a process."""

    def __init__(self, redis: "Redis | None" = None) -> None:
        self._redis = redis
        self._limiters: dict[str, Limiter] = {}
        self._lock = Lock()

    def wait(self, bucket: str, rates: Sequence[Rate], *, at_most_s: float) -> None:
        """Return when a call is allowed. Raises RateLimited when that would take longer than `at_most_s`."""
        try:
            allowed = not rates or self._allowed(bucket, rates, at_most_s)
        except Exception as error:
            if self._redis is None or not type(error).__module__.startswith("redis"):
                raise
            raise Unavailable(
                "the limits of calls cannot be kept, because Redis does not answer.", hint="Check TRACKER_REDIS_URL."
            ) from None
        if not allowed:
            raise RateLimited(
                "our own limit of calls to the provider is used up.",
                retry_after_s=max(rate.seconds for rate in rates),
                hint="The next sync goes on from here.",
            )

    def _allowed(self, bucket: str, rates: Sequence[Rate], at_most_s: float) -> bool:
        limiter = self._limiter(bucket, rates)
        try:
            return bool(limiter.try_acquire(bucket, timeout=at_most_s))
        except Exception as error:
            if self._redis is None or type(error).__name__ != "NoScriptError":
                raise
            self._redis.script_load(_PUT)  # Redis was started anew and has forgotten it
        return bool(limiter.try_acquire(bucket, timeout=at_most_s))

    def _limiter(self, bucket: str, rates: Sequence[Rate]) -> Limiter:
        with self._lock:
            if bucket not in self._limiters:
                limits = [BucketRate(rate.calls, int(rate.seconds * 1000)) for rate in rates]
                if self._redis is None:
                    self._limiters[bucket] = Limiter(InMemoryBucket(limits))
                else:
                    name, script = f"tracker:pace:{bucket}", self._redis.script_load(_PUT)
                    store = RedisBucket(limits, self._redis, name, script)
                    self._limiters[bucket] = Limiter(SingleBucketFactory(store, schedule_leak=False))
            return self._limiters[bucket]


class NoPace(Pace):
    """Does not wait: for samples and for providers on this machine, which enforce their limits themselves."""

    def wait(self, bucket: str, rates: Sequence[Rate], *, at_most_s: float) -> None:
        return None
