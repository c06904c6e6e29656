"""`/settings/schedule`: what runs when, and the times of all connections at once. For owners."""

from datetime import time, timedelta
from typing import Any

from babel.dates import format_time
from fastapi import APIRouter, Request
from fastapi.responses import Response

from tracker import connections, jobs
from tracker.accounts import Visitor
from tracker.errors import UsageError
from tracker.hours import interval_text, read_interval, read_quiet
from tracker.web.language import Speech
from tracker.web.pages.connected import Shown, intervals, length, shown
from tracker.web.pages.settings_menu import show_part
from tracker.web.site import Owner, OwnForm, Words, deps_of, go, note, site_of, speech

router = APIRouter()
SCHEDULE = "/settings/schedule"
#: States in which a connection has no times.
TIMELESS = ("imported", "closed")


@router.get(SCHEDULE)
def page(request: Request, visitor: Owner) -> Response:
    return _page(request, visitor)


def _page(request: Request, visitor: Visitor, problem: str = "", quiet: str | None = None) -> Response:
    deps, w = deps_of(request), speech(request)
    every = shown(deps, connections.every(deps.engine))
    agreed = {(one.row.interval_s, one.row.quiet or "") for one in _timed(every)}
    interval_s, hours = agreed.pop() if len(agreed) == 1 else (3600, "")
    values = {
        "every": every,
        "timeless": TIMELESS,
        "lengths": {one.row.interval_s: length(w, one.row.interval_s) for one in every},
        "intervals": intervals(w),
        "interval": interval_text(interval_s),
        "quiet": hours if quiet is None else quiet,
        "tick_s": jobs.TICK_S,
        "jobs": [(job.name, _when(request, job), job.next_at(deps)) for job in jobs.JOBS if job.name != "letters"],
        "letter": (deps.settings.letter_day, _clock(w, time(deps.settings.letter_hour))),
        "zone": deps.settings.time_zone,
        "health": jobs.health_of(deps.engine, deps.now(), deps.settings.zone),
        "problem": problem,
    }
    return show_part(request, visitor, "schedule", values, 400 if problem else 200)


def _timed(every: list[Shown]) -> list[Shown]:
    return [one for one in every if one.standing.state not in TIMELESS and not one.played]


def _when(request: Request, job: jobs.Job) -> str:
    w = speech(request)
    if isinstance(job.when, timedelta):
        minutes = int(job.when.total_seconds()) // 60
        return w.n("every %(count)s minute", "every %(count)s minutes", minutes)
    return w._("daily at %(time)s", time=_clock(w, job.when))


def _clock(w: Speech, at: time) -> str:
    return str(format_time(at, "short", locale=w.locale))


@router.post(SCHEDULE, dependencies=[OwnForm])
def change(request: Request, visitor: Owner, do: Words = "", interval: Words = "", quiet: Words = "") -> Response:
    """Give all connections that have times the same interval, or the same quiet hours."""
    deps = deps_of(request)
    try:
        given: dict[str, Any] = (
            {"quiet": read_quiet(quiet) if quiet.strip() else ""}
            if do == "quiet"
            else {"interval_s": read_interval(interval)}
        )
    except UsageError as error:
        return _page(request, visitor, str(error), quiet)
    changed = _timed(shown(deps, connections.every(deps.engine)))
    for one in changed:
        connections.edit(deps, one.row.slug, **given)
    site_of(request).wake()
    note(request, visitor, "schedule changed", ", ".join(f"{name} {value}" for name, value in given.items()))
    w = speech(request)
    return go(SCHEDULE, w.n("Saved for %(count)s connection.", "Saved for all %(count)s connections.", len(changed)))
