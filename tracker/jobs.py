"""Every background job: plain functions that an embedded clock, a Celery worker and a test call alike.

A job may run twice or late without harm: what is due stands in the database, and a lease keeps two from syncing one
connection.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta, tzinfo
from functools import partial
from threading import Thread
from typing import NamedTuple

import structlog
from sqlalchemy import Engine

from tracker import connections, delivery, hours, rates, revalue, schedule, stored
from tracker.connections import Deps
from tracker.errors import ProviderError, TrackerError, UsageError
from tracker.hours import When
from tracker.store.database import database_errors, reading
from tracker.sync import Progress, Report, sync

log = structlog.get_logger()

#: How often the clock looks for connections that are due.
TICK_S = 15
#: Due connections handed out in one transaction, and such transactions in one tick.
BATCH, BATCHES_MAX = 1_000, 1_000
#: Messages that one such batch becomes at most, because a message costs more than to find what is due.
GROUPS = 50
#: The clock's sign of life in the ledger, and how often it gives one.
CLOCK, BEAT = "clock", timedelta(minutes=1)
SILENCE_MAX = timedelta(minutes=3)


def tick(deps: Deps, dispatch: Callable[[Sequence[int]], None]) -> int:
    """Hand every connection that is due to `dispatch`, alone or, where many are, a few at a time. Answers how many.

    Raises what `dispatch` raises; the connections that it did not take are due again.
    """
    now, handed = deps.now(), 0
    with database_errors(deps.engine):
        with reading(deps.engine) as conn:
            stored.take_up(deps, conn)
        zone = deps.settings.zone
        with deps.engine.begin() as conn:
            schedule.take_turn(conn, CLOCK, hours.newest(BEAT, now, zone), BEAT)
        for _ in range(BATCHES_MAX):
            with deps.engine.begin() as conn:
                due, found = schedule.hand_out(conn, now, zone, BATCH)
            _dispatch(deps, due, dispatch)
            handed += len(due)
            if found < BATCH:
                break
    return handed


def _dispatch(deps: Deps, due: list[int], dispatch: Callable[[Sequence[int]], None]) -> None:
    taken, size = 0, max(1, len(due) // GROUPS)
    try:
        while taken < len(due):
            dispatch(due[taken : taken + size])
            taken += size
    finally:
        if taken < len(due):
            with deps.engine.begin() as conn:
                schedule.give_back(conn, due[taken:])


def sync_connection(
    deps: Deps, connection_id: int, progress: Callable[[Progress], None] = lambda progress: None
) -> Report | None:
    """Bring one connection up to date; None when it is not due any more, paused or gone, or somebody else is at it."""
    now, zone = deps.now(), deps.settings.zone
    try:
        with database_errors(deps.engine):
            row = connections.by_id(deps.engine, connection_id)
            if row.paused_at or row.next_sync_at is None or row.next_sync_at > now:
                raise UsageError(f"{row.slug} is not due any more.")
            if later := schedule.put_off(row, now, zone):
                with deps.engine.begin() as conn:
                    schedule.move(conn, {row.id: later})
                raise UsageError(f"{row.slug} has quiet hours.")
        report = sync(deps, connection_id, due_at=row.next_sync_at, progress=progress)
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


def repair(deps: Deps) -> None:
    """Make up for clocks that were wrong and for processes that died."""
    with database_errors(deps.engine):
        with deps.engine.begin() as conn:
            schedule.repair(conn, deps.now(), deps.settings.zone)
        revalue.revalue(deps.engine, deps.settings)


def revalued_within(deps: Deps, seconds: float) -> bool:
    """After a change of currency or zone, let every earning follow. Answers whether all have by then; else it goes on.

    What a process that ends leaves undone, `repair` or the next start goes on with.
    """
    work = partial(revalue.revalue, deps.engine, deps.settings)
    thread = Thread(target=attempt, args=("revalue", work), name="revalue", daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def attempt(name: str, run: Callable[[], object]) -> None:
    """Run a job of the clock. Its failure is a line in the log: the next time it is tried again."""
    try:
        run()
    except TrackerError as error:
        log.error("job failed", job=name, why=str(error))
    except Exception:
        log.exception("job failed", job=name)


class Job(NamedTuple):
    """A job that recurs: at a time of day in the user's zone, or every so often, at most daily.

    `run` is called once for each time that came, by whichever clock sees it first, and once for all that passed while
    no clock ran. It is not called again when it fails: what must not be lost, it finds in the ledger the next time.
    """

    name: str
    when: When
    run: Callable[[Deps], object]

    @property
    def said(self) -> str:
        if isinstance(self.when, time):
            return f"daily at {self.when:%H:%M}"
        return f"every {hours.interval_text(self.when.total_seconds())}"

    def next_at(self, deps: Deps) -> datetime:
        return hours.coming(self.when, deps.now(), deps.settings.zone)


#: The ECB sets its rates at about 16:00 Frankfurt time; half past five in the afternoon is late enough in Europe, and a
#: day late is early enough elsewhere.
JOBS = (
    Job("exchange rates", time(17, 30), refresh_rates),
    Job("repair", timedelta(minutes=5), repair),
    Job("letters", timedelta(minutes=5), delivery.send_due),
)


def run_if_due(deps: Deps, job: Job) -> bool:
    """Run a job whose time came and that no other clock has run. Answers whether it was ours to run."""
    turn = hours.newest(job.when, deps.now(), deps.settings.zone)
    period = job.when if isinstance(job.when, timedelta) else timedelta(days=1)
    name = f"job {job.name}"
    with database_errors(deps.engine):
        with reading(deps.engine) as conn:  # mostly there is nothing to do, and nobody should wait for a look
            if schedule.last_turn(conn, name) == turn:
                return False
        with deps.engine.begin() as conn:
            mine = schedule.take_turn(conn, name, turn, period)
    if mine:
        job.run(deps)
    return mine


class Health(NamedTuple):
    """Whether the tracker does its work. `problem` says what is wrong and what to do; None: all is well."""

    clock_seen_at: datetime | None = None
    overdue: tuple[str, ...] = ()
    problem: str | None = None


def health_of(engine: Engine, now: datetime, zone: tzinfo) -> Health:
    """Raises ConfigError when the database does not answer."""
    with database_errors(engine), reading(engine) as conn:
        seen = schedule.last_turn(conn, CLOCK)
        overdue = schedule.overdue(conn, now)
        busy = schedule.any_leased(conn, now)
    if seen is None or abs(now - seen) > SILENCE_MAX:
        when = f"last seen {seen.astimezone(zone):%Y-%m-%d %H:%M}" if seen else "never seen"
        return Health(
            seen, overdue, f"no clock is running ({when}). Start `tracker serve` or `python -m workers.clock`."
        )
    if overdue and not busy:
        names = ", ".join(overdue[:5]) + (" …" if len(overdue) > 5 else "")
        return Health(seen, overdue, f"nobody syncs what is due ({names}). Check that the workers and Redis run.")
    return Health(seen, overdue)
