"""The clock: looks for due connections and for jobs whose time came. Embedded, or `python -m workers.clock`."""

import logging
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from tracker import schedule
from tracker.connections import Deps
from tracker.jobs import JOBS, TICK_S, attempt, run_if_due, tick
from tracker.launch import open_ledger, run
from tracker.settings import Settings

LOOK = timedelta(seconds=TICK_S)


class Again(BaseTrigger):  # type: ignore[misc] # that package carries no types
    """At once, and then a while after each time. What is due stands in the ledger, so nothing missed is made up for."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        return now if previous_fire_time is None else now + LOOK


def start(deps: Deps, dispatch: Callable[[Sequence[int]], None]) -> BackgroundScheduler:
    """Start a clock thread. `dispatch` is the one difference between one process and many."""
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a look that takes longer than `LOOK` is no trouble
    clock = BackgroundScheduler(
        timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    )
    clock.add_job(partial(attempt, "tick", partial(tick, deps, dispatch)), Again(), id="tick")
    for job in JOBS:
        clock.add_job(partial(attempt, job.name, partial(run_if_due, deps, job)), Again(), id=job.name)
    clock.start()
    return clock


def keep(clock: BackgroundScheduler, stopped: Event) -> None:
    """Keep a clock going until `stopped` is set."""
    while not stopped.wait(TICK_S):
        wake(clock, datetime.now(UTC))


def wake(clock: BackgroundScheduler, now: datetime) -> None:
    """Look now, where the machine's time was set back and a look would else wait until it is as late as before."""
    for job in clock.get_jobs():
        if job.next_run_time > now + 2 * LOOK:
            job.modify(next_run_time=now)


def main(settings: Settings) -> None:
    """The clock as a process of its own: workers sync, the daily jobs are few and short and run here."""
    from workers.queue import queue, send  # not at the top: `tracker serve` does without Celery

    stopped = Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopped.set())
    deps, app = open_ledger(settings), queue(settings)
    with deps.engine.begin() as conn:
        schedule.free_dead(conn)
    running = start(deps, partial(send, app))
    keep(running, stopped)
    running.shutdown(wait=True)


if __name__ == "__main__":
    run(main)
