"""The clock: looks for connections that are due and starts the daily jobs. Embedded, or `python -m workers.clock`."""

from collections.abc import Callable
from functools import partial

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from tracker.connections import Deps
from tracker.jobs import JOBS, TICK_S, attempt, tick


def start(deps: Deps, dispatch: Callable[[int], None]) -> BackgroundScheduler:
    """Start a clock thread. `dispatch` is the one difference between one process and many."""
    zone = deps.settings.zone
    clock = BackgroundScheduler(
        timezone=zone, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": 3600}
    )
    look = partial(attempt, "tick", partial(tick, deps, dispatch))
    clock.add_job(look, IntervalTrigger(seconds=TICK_S), id="tick", next_run_time=deps.now())
    for job in JOBS:
        at = CronTrigger(hour=job.hour, minute=job.minute, timezone=zone)
        clock.add_job(partial(attempt, job.name, partial(job.run, deps)), at, id=job.name)
    clock.start()
    return clock
