"""`tracker serve`: everything in one process, with no other service: the clock, threads that sync, and the pages."""

import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from socket import socket
from threading import Event, Lock
from time import monotonic
from typing import Annotated, Any

import msgspec
import typer

from tracker import accounts, backups, connections, jobs, sample, schedule
from tracker.cli import sampling
from tracker.cli.ground import PATIENCE_S, open_ledger, out
from tracker.cli.schedule import Agenda
from tracker.connections import Deps
from tracker.hand import Stopped
from tracker.hours import interval_text
from tracker.launch import configure_log
from tracker.web.app import make_app
from tracker.web.listen import Pages, address_of, listen
from workers import clock


class Pool:
    """Syncs connections on threads, each connection at most once at a time."""

    def __init__(self, deps: Deps, threads: int) -> None:
        self._deps = msgspec.structs.replace(deps, sleep=self._wait)
        self._stopped = Event()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="sync")
        self._busy: set[int] = set()
        self._lock = Lock()

    def dispatch(self, ids: Sequence[int]) -> None:
        with self._lock:
            for connection_id in ids:
                if connection_id in self._busy or self._stopped.is_set():
                    continue
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
    web: Annotated[bool, typer.Option("--web/--no-web", help="Serve the pages as well.")] = True,
) -> None:
    """Sync on schedule and serve the pages until Ctrl-C."""
    deps = open_ledger()
    configure_log(deps.settings, terminal=out.is_terminal)
    if told := backups.restore_planned(deps):
        out.print(told, markup=False)
        deps = open_ledger()
    bound = listen(deps) if web else None
    stopped = Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopped.set())
    with deps.engine.begin() as conn:  # what was handed to a process that is gone is due; handed out twice does no harm
        schedule.free_dead(conn)
        schedule.give_back(conn)
    sample.settle(deps)
    out.print(schedule_told(deps), markup=False)
    pool = Pool(deps, threads)
    running = clock.start(deps, pool.dispatch)
    pages = open_pages(deps, bound, partial(_look, running)) if bound else None
    clock.keep(running, stopped)
    out.print("Stopping; what is half read goes on from there next time.")
    if pages:
        pages.stop()
    running.shutdown(wait=False)
    pool.stop()
    if not _threads_ended(PATIENCE_S):  # a provider is slow: leave now, as if killed, which loses nothing either
        sys.stdout.flush()
        os._exit(0)


def _look(running: Any) -> None:
    """Have the clock look now: somebody pressed a button and watches."""
    running.modify_job("tick", next_run_time=datetime.now(UTC))


def open_pages(deps: Deps, bound: socket, wake: Callable[[], object]) -> Pages:
    """Serve the pages and say where; while there is no password, also the address at which to set one."""
    token = None if accounts.any_user(deps.engine) else secrets.token_urlsafe(24)
    address = address_of(deps.settings, bound)
    out.print(f"Pages: {address}/", markup=False)
    if token:
        out.print(f"Nobody has a password yet. Set yours here, once: {address}/setup?token={token}", markup=False)
    app = make_app(deps, setup_token=token, play=partial(sampling.play, deps), wake=wake)
    return Pages(app, bound, deps.settings.web_proxies)


def _threads_ended(patience_s: float) -> bool:
    """Whether the threads of pool and clock are done, for which the interpreter would wait without limit."""
    deadline = monotonic() + patience_s
    working = [one for one in threading.enumerate() if one.name.startswith(("sync_", "ThreadPoolExecutor-"))]
    for thread in working:
        thread.join(max(0.0, deadline - monotonic()))
    return not any(thread.is_alive() for thread in working)


def schedule_told(deps: Deps) -> str:
    """What runs when, in local time."""
    agenda = Agenda(deps)
    lines = [
        f"Serving from {deps.settings.data_dir}. Ctrl-C stops.",
        f"Looks for due connections every {jobs.TICK_S} s. Times are {deps.settings.time_zone}.",
    ]
    for row in connections.every(deps.engine):
        quiet = f", quiet {row.quiet}" if row.quiet else ""
        often = f", every {interval_text(row.interval_s)}{quiet}" if row.next_sync_at else ""
        told = agenda.reason(row) or f"{row.slug}: {agenda.state(row)}{often}"
        lines.append(f"  {told}")
    lines += [f"  {job.name}: {job.said}, next {agenda.at(job.next_at(deps))}" for job in jobs.JOBS]
    return "\n".join(lines)
