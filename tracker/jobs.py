"""Every background job: plain functions that an embedded clock, a Celery worker and a test call alike.

A job may run twice or late without harm: what is due stands in the database, and a lease keeps two from syncing one
connection.
"""

from collections.abc import Callable
from typing import NamedTuple

import structlog

from tracker import connections, rates, revalue, schedule
from tracker.connections import Deps
from tracker.errors import ProviderError, TrackerError, UsageError
from tracker.store.database import database_errors, reading
from tracker.sync import Progress, Report, sync

log = structlog.get_logger()

#: How often the clock looks for connections that are due.
TICK_S = 15
#: Due connections handed out by one tick.
TICK_MAX = 1_000


def tick(deps: Deps, dispatch: Callable[[int], None]) -> int:
    """Hand every connection that is due to `dispatch`. Answers how many."""
    with database_errors(deps.engine), reading(deps.engine) as conn:
        due = schedule.due(conn, deps.now(), TICK_MAX)
    for connection_id in due:
        dispatch(connection_id)
    return len(due)


def sync_connection(
    deps: Deps, connection_id: int, progress: Callable[[Progress], None] = lambda progress: None
) -> Report | None:
    """Bring one connection up to date; None when it is paused or gone, or somebody else is at it."""
    try:
        row = connections.by_id(deps.engine, connection_id)
        if row.paused_at:
            return None
        report = sync(deps, connection_id, progress=progress)
    except UsageError as error:
        log.info("not synced", connection_id=connection_id, why=error.message)
        return None
    told = {"new": report.new, "changed": report.changed, "rows": report.rows, "quarantined": report.quarantined}
    log.info("synced", connection=report.slug, outcome=report.outcome, message=report.message, **told)
    return report


def refresh_rates(deps: Deps) -> int:
    """Fetch new reference rates and convert the earnings that waited for one. Answers how many rates are new."""
    try:
        update = rates.update_rates(deps.engine, deps.http(), deps.settings, deps.now())
    except ProviderError as error:
        log.warning("no new exchange rates", why=str(error))
        return 0
    with database_errors(deps.engine):
        revalue.revalue(deps.engine, deps.settings)
    log.info("exchange rates", new=len(update.changed), refused=list(update.refused))
    return len(update.changed)


def attempt(name: str, run: Callable[[], object]) -> None:
    """Run a job of the clock. Its failure is a line in the log: the next time it is tried again."""
    try:
        run()
    except TrackerError as error:
        log.error("job failed", job=name, why=str(error))
    except Exception:
        log.exception("job failed", job=name)


class Job(NamedTuple):
    """A job at a time of day in the user's zone, outside of 02:00 to 03:00, which a clock change skips or repeats."""

    name: str
    hour: int
    minute: int
    run: Callable[[Deps], object]


#: The ECB sets its rates at about 16:00 Frankfurt time; half past five in the afternoon is late enough in Europe, and a
#: day late is early enough elsewhere.
JOBS = (Job("exchange rates", 17, 30, refresh_rates),)
