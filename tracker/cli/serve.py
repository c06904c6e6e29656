"""`tracker serve`: everything in one process, with no other service: the clock and a few threads that sync."""

import logging
import os
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from time import monotonic
from typing import Annotated

import msgspec
import structlog
import typer

from tracker import connections, jobs
from tracker.cli.ground import open_ledger, out
from tracker.connections import Deps
from workers import clock

#: What a provider may still take to answer when everything else has stopped.
PATIENCE_S = 5.0


class Stopped(BaseException):  # no error, so nothing that handles errors holds it up
    """Ends a sync between two pages, or while it waits to try again."""


class Pool:
    """Syncs connections on threads, each connection at most once at a time."""

    def __init__(self, deps: Deps, threads: int) -> None:
        self._deps = msgspec.structs.replace(deps, sleep=self._wait)
        self._stopped = Event()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="sync")
        self._busy: set[int] = set()
        self._lock = Lock()

    def dispatch(self, connection_id: int) -> None:
        with self._lock:
            if connection_id in self._busy or self._stopped.is_set():
                return
            self._busy.add(connection_id)
            self._threads.submit(self._run, connection_id)

    def _run(self, connection_id: int) -> None:
        try:
            jobs.attempt("sync", lambda: jobs.sync_connection(self._deps, connection_id, lambda _: self._wait(0)))
        except Stopped:
            pass  # said by the run itself; the next one goes on from there
        finally:
            with self._lock:
                self._busy.discard(connection_id)

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise Stopped

    def stop(self) -> None:
        """What waits is dropped, what runs ends with its page."""
        with self._lock:
            self._stopped.set()
        self._threads.shutdown(wait=False, cancel_futures=True)


def serve(
    threads: Annotated[int, typer.Option(min=1, max=64, help="Connections that sync at the same time.")] = 4,
) -> None:
    """Sync on schedule until Ctrl-C."""
    deps = open_ledger()
    configure_log(deps.settings.log_level, deps.settings.log_format)
    stopped = Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopped.set())
    out.print(schedule_told(deps), markup=False)
    pool = Pool(deps, threads)
    running = clock.start(deps, pool.dispatch)
    stopped.wait()
    out.print("Stopping; what is half read goes on from there next time.")
    running.shutdown(wait=False)
    pool.stop()
    if not _threads_ended(PATIENCE_S):  # a provider is slow: leave now, as if killed, which loses nothing either
        sys.stdout.flush()
        os._exit(0)


def _threads_ended(patience_s: float) -> bool:
    """Whether the threads of pool and clock are done, for which the interpreter would wait without limit."""
    deadline = monotonic() + patience_s
    working = [one for one in threading.enumerate() if one.name.startswith(("sync_", "ThreadPoolExecutor-"))]
    for thread in working:
        thread.join(max(0.0, deadline - monotonic()))
    return not any(thread.is_alive() for thread in working)


def schedule_told(deps: Deps) -> str:
    """What runs when, in local time."""
    zone = deps.settings.zone
    lines = [
        f"Serving from {deps.settings.data_dir}. Ctrl-C stops.",
        f"Looks for due connections every {jobs.TICK_S} s.",
    ]
    for row in connections.every(deps.engine):
        if row.paused_at:
            lines.append(f"  {connections.why_paused(row)}")
        elif row.next_sync_at:
            due = row.next_sync_at <= deps.now()
            at = "now" if due else f"at {row.next_sync_at.astimezone(zone):%Y-%m-%d %H:%M}"
            lines.append(f"  {row.slug}: next {at}, then every {row.interval_s // 60} min")
    lines += [f"  {job.name}: daily at {job.hour:02d}:{job.minute:02d} {deps.settings.time_zone}" for job in jobs.JOBS]
    return "\n".join(lines)


def configure_log(level: str, form: str) -> None:
    """Plain lines on a terminal, JSON lines for a collector; no secret is ever passed to the log."""
    plain = form == "plain" or (form == "auto" and out.is_terminal)
    renderer = structlog.dev.ConsoleRenderer(colors=out.is_terminal) if plain else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
    )
