"""Twenty connections whose providers answer in 100 ms, in the pool of `tracker serve`: `python -m benchmarks.latency`.

The bound is what waiting alone takes: answers of the busiest connection × 100 ms, if every connection has a thread.
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path

import structlog
from sqlalchemy import func, select

from benchmarks.measured import PATIENCE_S, Took, asked, peak_mb, provider
from benchmarks.synced import add_all, check, opened
from tracker import connections
from tracker.cli.serve import Pool
from tracker.connections import Deps
from tracker.store.database import reading
from tracker.store.writes import run_t

TARGET = 1.3


def sync_all(deps: Deps, threads: int) -> None:
    """Hand all connections to a pool and wait until each has a finished run."""
    pool = Pool(deps, threads)
    ids = [row.id for row in connections.every(deps.engine)]
    pool.dispatch(ids)
    ended = select(func.count()).where(run_t.c.finished_at.is_not(None))
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        time.sleep(0.05)
        with reading(deps.engine) as conn:
            if conn.execute(ended).scalar_one() == len(ids):
                break
    pool.stop()


def outcomes(deps: Deps) -> list[str]:
    with reading(deps.engine) as conn:
        return list(conn.execute(select(run_t.c.outcome)).scalars())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=90_000)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--threads", type=int, default=20)
    parser.add_argument("--latency-ms", type=int, default=100)
    parser.add_argument("--months", type=int, default=36, help="fewer months are fewer windows with more rows in each")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    shape = ("--connections", str(options.connections), "--months", str(options.months))
    with (
        tempfile.TemporaryDirectory(prefix="tracker-bench-") as folder,
        provider(options.rows, *shape, "--latency-ms", str(options.latency_ms)) as url,
    ):
        deps = opened(Path(folder), None, options.months)
        add_all(deps, url)
        begun = Took.now()
        sync_all(deps, options.threads)
        took = Took.of(begun)
        answers = asked(url, "asked")
        busiest, shared = max(answers.values()), sum(answers.values()) / options.threads
        bound = max(busiest, shared) * options.latency_ms / 1000
        check(deps, asked(url, "truth"), outcomes(deps))
        print(f"{options.rows:,} rows, {len(answers)} connections, {options.threads} threads, {options.latency_ms} ms")
        print(f"  bound {bound:.2f} s: {busiest} answers for the busiest connection, {sum(answers.values())} in all")
        print(
            f"  took  {took.wall:.2f} s, {took.cpu:.2f} s of processor time, peak {peak_mb():.0f} MB: "
            f"{took.wall / bound:.2f} × the bound (target {TARGET:g} ×)"
        )
        deps.engine.dispose()


if __name__ == "__main__":
    main()
