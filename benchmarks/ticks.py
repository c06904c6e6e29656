"""What a look at the schedule takes: `python -m benchmarks.ticks`.

A tick over many connections of which few are due, its statements and their plans; then all due at once, handed to the
pool of `tracker serve` and to Celery on a real Redis. Beside them: a bare query, a bare `submit`, a bare LPUSH.
"""

import argparse
import base64
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import redis
from sqlalchemy import Engine, bindparam, event, func, insert, select, update

from benchmarks.load import postgres
from benchmarks.shapes import NOW
from benchmarks.synced import opened
from tests.services import Keeper, server_url
from tracker import jobs
from tracker.cli.serve import Pool
from tracker.connections import Deps, stream_t
from tracker.settings import Settings
from tracker.store.database import reading
from tracker.store.writes import connection_t as c
from workers.queue import queue, send

RUNS = 15
Dispatch = Callable[[Sequence[int]], None]
TICK_MS, EACH_US = 20.0, 60.0


def nowhere(ids: Sequence[int]) -> None:
    """Claimed and left at that."""


def fill(deps: Deps, count: int) -> None:
    """Connections of one stream, every one due an hour from now."""
    with deps.engine.begin() as conn:
        stream = conn.execute(
            insert(stream_t).values(slug="s", title="S", position=0, created_at=NOW).returning(stream_t.c.id)
        ).scalar_one()
        row = {"provider": "awin", "title": "Awin", "role": "cash", "options": {}, "stream_id": stream}
        later = {"created_at": NOW, "next_sync_at": NOW + timedelta(hours=1)}
        conn.execute(insert(c), [{**row, **later, "slug": f"c{number}"} for number in range(count)])


def make_due(engine: Engine, count: int) -> None:
    """So many connections are due, spread over the last ten minutes and over all connections; the rest is not."""
    with engine.begin() as conn:
        low, high = conn.execute(select(func.min(c.c.id), func.max(c.c.id))).one()
        conn.execute(update(c).values(next_sync_at=NOW + timedelta(hours=1), queued_until=None))
        every = (high - low + 1) // count
        due = [{"one": low + number * every, "at": NOW - timedelta(seconds=number % 600)} for number in range(count)]
        statement = update(c).where(c.c.id == bindparam("one")).values(next_sync_at=bindparam("at"))
        conn.execute(statement, due)


def ticks(deps: Deps, count: int, dispatch: Callable[[Sequence[int]], None], runs: int = RUNS) -> float:
    """Seconds of the fastest of some ticks that each find so many due."""
    took = []
    for _ in range(runs):
        make_due(deps.engine, count)
        begun = time.perf_counter()
        handed = jobs.tick(deps, dispatch)
        took.append(time.perf_counter() - begun)
        assert handed == count, (handed, count)
    return min(took)


def bare(engine: Engine, count: int) -> float:
    """Seconds to ask for the ids that are due, and nothing else."""
    query = select(c.c.id).where(c.c.next_sync_at <= NOW).limit(count)
    took = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        with reading(engine) as conn:
            found = conn.execute(query).scalars().all()
        took.append(time.perf_counter() - begun)
        assert len(found) == count
    return min(took)


@contextmanager
def heard(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """The statements that are executed inside, with their parameters."""
    found: list[tuple[str, Any]] = []

    def hear(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        found.append((" ".join(statement.split()), parameters))

    event.listen(engine, "before_cursor_execute", hear)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", hear)


def show_plan(deps: Deps, due: int) -> None:
    """Print what a tick asks of the connections, and how the database finds it."""
    make_due(deps.engine, due)
    with heard(deps.engine) as found:
        jobs.tick(deps, lambda ids: None)
    asked = [(said, values) for said, values in found if said.startswith(("SELECT", "UPDATE", "WITH"))]
    print(f"  {len(asked)} statements in a tick, of the connections:")
    explain = "EXPLAIN QUERY PLAN " if deps.engine.dialect.name == "sqlite" else "EXPLAIN "
    make_due(deps.engine, due)
    for statement, values in asked:
        if " connection " in statement:
            print(f"    {statement[:230]} …")
            with reading(deps.engine) as conn:
                for row in conn.exec_driver_sql(explain + statement, values):
                    print(f"      {row[-1]}")


def measure_tick(deps: Deps, connections: int, due: int) -> None:
    print(f"{deps.engine.dialect.name}: {connections:,} connections, {due} due")
    show_plan(deps, due)
    took, base = ticks(deps, due, lambda ids: None), bare(deps.engine, due)
    ratio = f"{took / base:.1f} × one bare query of {base * 1000:.2f} ms"
    print(f"  a tick: {took * 1000:.2f} ms (target {TICK_MS:g} ms), {ratio}")
    print(f"{deps.engine.dialect.name}: {connections:,} due at once")
    told("claimed", ticks(deps, connections, lambda ids: None, 5), connections)
    told("claimed and handed to the pool of `tracker serve`", to_pool(deps, connections), connections)
    told("  of a bare submit", to_executor(connections), connections)


def told(what: str, seconds: float, count: int) -> None:
    print(f"  {what:55}{seconds / count * 1e6:8.1f} µs each (target {EACH_US:g})")


def to_pool(deps: Deps, count: int) -> float:
    """The pool's one thread is kept busy meanwhile, so that what is measured is the handing out and not the syncs."""
    took = []
    for _ in range(5):
        pool, go_on = Pool(deps, 1), Event()
        pool._threads.submit(go_on.wait)
        took.append(ticks(deps, count, pool.dispatch, 1))
        pool.stop()
        go_on.set()
    return min(took)


def to_executor(count: int) -> float:
    took = []
    for _ in range(5):
        go_on, threads = Event(), ThreadPoolExecutor(1)
        threads.submit(go_on.wait)
        begun = time.perf_counter()
        for number in range(count):
            threads.submit(print, number)
        took.append(time.perf_counter() - begun)
        threads.shutdown(wait=False, cancel_futures=True)
        go_on.set()
    return min(took)


def to_celery(deps: Deps, url: str, count: int) -> None:
    app = queue(Settings(data_dir=deps.settings.data_dir, redis_url=url))
    send(app, [])  # connects
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        told("claimed and sent to Celery's queue on Redis", ticks(deps, count, partial(send, app), 3), count)
        messages = client.lrange("tracker", 0, -1)
        sent = [number for message in messages for number in ids_in(message)]
        assert len(sent) == 3 * count, len(sent)
        assert len(set(sent)) == count, len(set(sent))
        begun = time.perf_counter()
        for message in messages[: len(messages) // 3]:
            client.lpush("bare", message)
        told(f"  of a bare LPUSH of the {len(messages) // 3:,} messages", time.perf_counter() - begun, count)
        client.flushdb()
    app.close()


def ids_in(message: bytes) -> list[int]:
    (ids,), *_ = json.loads(base64.b64decode(json.loads(message)["body"]))
    return list(ids)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--due", type=int, default=100)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tracker-bench-"))
        keeper = Keeper()
        stack.callback(keeper.close)
        for database in (None, stack.enter_context(postgres())):
            deps = opened(Path(folder), database)
            fill(deps, options.connections)
            measure_tick(deps, options.connections, options.due)
            to_celery(deps, server_url(keeper.folder, "redis"), options.connections)
            deps.engine.dispose()


if __name__ == "__main__":
    main()
