"""`tracker serve`: everything in one process, with no other service: the clock and a few threads that sync."""

import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import Annotated

import structlog
import typer

from tracker import connections, jobs
from tracker.cli.ground import open_ledger, out
from tracker.connections import Deps
from workers import clock


class Pool:
    """Syncs connections on threads, each connection at most once at a time."""

    def __init__(self, deps: Deps, threads: int) -> None:
        self._deps = deps
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="sync")
        self._busy: set[int] = set()
        self._lock = Lock()

    def dispatch(self, connection_id: int) -> None:
        with self._lock:
            if connection_id in self._busy:
                return
            self._busy.add(connection_id)
        self._threads.submit(self._run, connection_id)

    def _run(self, connection_id: int) -> None:
        try:
            jobs.sync_connection(self._deps, connection_id)
        except Exception:
            structlog.get_logger().exception("sync failed", connection_id=connection_id)
        finally:
            with self._lock:
                self._busy.discard(connection_id)

    def stop(self) -> None:
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


def schedule_told(deps: Deps) -> str:
    """What runs when, in local time."""
    zone = deps.settings.zone
    lines = [
        f"Serving from {deps.settings.data_dir}. Ctrl-C stops.",
        f"Looks for due connections every {jobs.TICK_S} s.",
    ]
    for row in connections.every(deps.engine):
        if row.paused_at:
            lines.append(f"  {row.slug}: paused, {row.paused_reason}")
        elif row.next_sync_at:
            at = f"{row.next_sync_at.astimezone(zone):%Y-%m-%d %H:%M}"
            lines.append(f"  {row.slug}: next at {at}, then every {row.interval_s // 60} min")
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
