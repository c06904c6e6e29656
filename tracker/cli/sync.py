"""`tracker sync`: bring connections up to date, with progress on a terminal and plain lines in a log."""

import os
import re
import sys
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, time
from threading import Event
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tracker import connections
from tracker.cli.ground import (
    FAILED,
    INTERRUPTED,
    PARTIAL,
    PATIENCE_S,
    STOPPED,
    err,
    open_ledger,
    out,
    parse_day,
    print_json,
)
from tracker.errors import UsageError
from tracker.hand import Stopped
from tracker.sync import Progress as Step
from tracker.sync import Report
from tracker.sync import sync as sync_one


def sync(
    slugs: Annotated[
        list[str] | None,
        typer.Argument(metavar="SLUG", help="Connections; all that are not paused when left out."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="Read everything from this day on once more.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=64, help="Connections that are read at the same time.")] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="One object per connection.")] = False,
) -> None:
    """Pull what is new from the providers. Exit code 0: all well, 1: rows in quarantine, 2: a connection failed."""
    deps = open_ledger()
    start = datetime.combine(parse_day(since, "--since"), time(), deps.settings.zone) if since else None
    every = [row for row in connections.every(deps.engine) if row.next_sync_at]  # the others are fed by files
    rows = [connections.find(deps.engine, slug) for slug in dict.fromkeys(slugs or ())] or every
    for row in rows:
        connections.check_synced(row)
    paused = [row for row in rows if row.paused_at]
    if paused and (slugs or len(paused) == len(rows)):
        raise UsageError(connections.why_paused(paused[0]))
    if not rows:
        raise UsageError(
            "there is nothing to sync.", hint="Add a connection: tracker connection add PROVIDER --slug NAME"
        )
    if paused:
        err.print(f"Paused and left out: {', '.join(row.slug for row in paused)}", markup=False)
        rows = [row for row in rows if not row.paused_at]
    raise typer.Exit(code_of(run_all(deps, rows, start, jobs=jobs, as_json=as_json)))


def run_all(
    deps: connections.Deps, rows: list[Any], since: datetime | None, *, jobs: int = 4, as_json: bool = False
) -> list[Report]:
    """Sync connections, a few at a time because most of it is waiting, and show how each goes, in their order."""
    stopped = Event()

    def wait(seconds: float) -> None:
        if stopped.wait(seconds):
            raise Stopped

    deps = msgspec.structs.replace(deps, sleep=wait)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.fields[told]}"))
    live = out.is_terminal and not as_json
    with Progress(*columns, TimeElapsedColumn(), console=out, transient=True, disable=not live) as shown:

        def run(row: Any) -> Report:
            task = shown.add_task(row.slug, total=None, told="asking …")

            def tell(step: Step) -> None:
                day = re.search(r"\d{4}-\d\d-\d\d", step.part)  # the first one of a window
                shown.update(task, told=f"{step.resource} {day[0] if day else ''} {step.rows:,} rows")
                wait(0)

            try:
                return sync_one(deps, row.id, since=since, progress=tell)
            except UsageError as error:  # somebody else is at it, or it was removed meanwhile
                return Report(slug=row.slug, outcome="failed", error="Busy", message=str(error))
            finally:
                shown.remove_task(task)

        def report(one: Report) -> Report:
            if as_json:
                print_json(one)
            else:
                out.print(line(one), markup=False)
            return one

        if min(jobs, len(rows)) == 1:
            return [report(run(row)) for row in rows]
        threads = ThreadPoolExecutor(jobs, thread_name_prefix="sync")
        running = [threads.submit(run, row) for row in rows]
        try:
            return [report(one.result()) for one in running]
        except KeyboardInterrupt:  # what runs ends with its page, the rest does not begin
            stopped.set()
            threads.shutdown(wait=False, cancel_futures=True)
            if futures.wait(
                running, PATIENCE_S
            ).not_done:  # a provider is slow: leave as if killed, which loses nothing
                err.print(STOPPED, markup=False)
                sys.stdout.flush()
                os._exit(INTERRUPTED)
            raise
        finally:
            threads.shutdown(wait=True)


def line(report: Report) -> str:
    """One line about a run."""
    told = f"{report.slug}: {report.outcome}"
    if report.outcome == "failed" and not report.rows:
        pass
    elif report.outcome == "ok" and not (report.new or report.changed):
        told += f", nothing new in {report.rows:,} rows"
    else:
        told += f", {report.rows:,} rows: {report.new:,} new, {report.changed:,} changed"
    if report.quarantined:
        told += f", {report.quarantined:,} in quarantine (tracker quarantine list)"
    if report.error == "AuthRejected":
        return f"{told}. {report.message} It is paused until then: tracker connection credentials {report.slug}"
    return f"{told}. {report.message}" if report.message else told


def code_of(reports: list[Report]) -> int:
    outcomes = {report.outcome for report in reports}
    return FAILED if "failed" in outcomes else PARTIAL if "partial" in outcomes else 0
