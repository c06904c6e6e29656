"""A connection as pages show it: how it stands, what it reads, and the run that goes on."""

from datetime import datetime
from typing import Any, NamedTuple
from zlib import crc32

from fastapi import Request
from fastapi.responses import Response

from tracker import connections, jobs, sample
from tracker.connect import catalog
from tracker.connect.connector import Connector
from tracker.connections import Deps
from tracker.errors import TrackerError, UsageError
from tracker.hours import interval_text
from tracker.schedule import Standing, standing
from tracker.store import reads_connections
from tracker.store.database import reading
from tracker.web.errors_told import capital as capital
from tracker.web.language import Speech
from tracker.web.site import NotThere, deps_of, show, speech

RUNS_SHOWN = 20
#: How many colours the tiles have that stand for logos.
TILES = 6
#: States in which something will be seen soon, so that a page looks again by itself.
MOVING = ("running", "queued", "due")
#: How often a page offers to sync, in seconds.
INTERVALS = (1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 7 * 86_400)


class Shown(NamedTuple):
    """A connection as a page shows it. `run` is the one that goes on; `refused`: the provider wants other keys;
    `played`: it belongs to the sample data, so there is nothing to be done with it."""

    row: Any
    standing: Standing
    run: Any | None
    refused: bool
    played: bool

    @property
    def moving(self) -> bool:
        return self.standing.state in MOVING


def tile(provider: str, title: str) -> tuple[str, int]:
    """Initials and number of a colour, in place of a logo."""
    words = title.replace("-", " ").split()
    initials = words[0][0] + words[1][0] if len(words) > 1 else title[:2]
    return initials, crc32(provider.encode()) % TILES


def shown(deps: Deps, rows: list[Any]) -> list[Shown]:
    now = deps.now()
    busy = {row.id for row in rows if row.leased_until and row.leased_until >= now}
    with reading(deps.engine) as conn:
        running = reads_connections.running(conn, busy)
    played, found = set(sample.slugs(deps.engine)), []
    for row in rows:
        stands = standing(row, now, {})
        if row.id in busy:  # also a paused one, which somebody reads by hand
            run = running.get(row.id)
            stands = Standing("running", run and run.started_at)
        elif row.slug in played and not connections.is_closed(row):  # read by whoever made the sample, then closed
            stands = Standing("closed", row.as_of, sample.READ) if row.as_of else Standing("queued", None)
        is_refused = bool(row.paused_reason) and refused(row)
        found.append(Shown(row, stands, running.get(row.id), is_refused, row.slug in played))
    return found


def refused(row: Any) -> bool:
    """Whether it was the provider that paused a connection, by refusing its keys."""
    return row.paused_at is not None and row.paused_reason == row.last_error


def connector_of(row: Any) -> Connector | None:
    """None for a provider that is not installed any more, or whose own file cannot be read."""
    try:
        return catalog.find(row.provider)
    except TrackerError:
        return None


def slow(connector: Connector | None) -> Any | None:
    """The limit of calls that makes reading a long past slow, if there is one."""
    rates = [] if connector is None or connector.imported else connector.rates
    tightest = min(rates, key=lambda rate: rate.calls / rate.seconds, default=None)
    return tightest if tightest and tightest.calls < tightest.seconds else None


def found_or_404(request: Request, slug: str) -> Any:
    try:
        return connections.find(deps_of(request).engine, slug)
    except UsageError:
        raise NotThere from None


def show_one(request: Request, slug: str, more: dict[str, Any], status: int = 200) -> Response:
    """The page of a connection; `more` is what a form of it has to say."""
    deps, row = deps_of(request), found_or_404(request, slug)
    connector = connector_of(row)
    [one] = shown(deps, [row])
    with reading(deps.engine) as conn:
        values: dict[str, Any] = {
            "one": one,
            "connector": connector,
            "resources": _resources(connector, reads_connections.places(conn, row.id), row.as_of),
            "runs": [run for run in reads_connections.runs(conn, row.id, RUNS_SHOWN) if not goes_on(one, run)],
            "came": reads_connections.came(conn, row.id),
            "stream": reads_connections.stream_of(conn, row.stream_id),
            "address_since": reads_connections.address_since(conn, row.id),
        }
    values |= {
        "tile": tile,
        "capital": capital,
        "tick_s": jobs.TICK_S,
        "moving": one.moving,
        "slow": slow(connector),
        "imported": one.standing.state == "imported",
        "closed": one.standing.state == "closed",
        "still": False,
        "intervals": intervals(speech(request), row.interval_s),
        "interval": interval_text(row.interval_s),
        "choices": lambda words: [(word, word) for word in words],
        "address": "",
        "is_local": False,
        "problem": "",
        "asked": "",
        "typed": {},
        "tried": None,
        "seen": None,
        **more,
    }
    return show(request, "connections/one.html.j2", values, status)


def goes_on(one: Shown, run: Any) -> bool:
    """Whether a run is the one that is followed above the others."""
    return one.run is not None and run.id == one.run.id


def _resources(connector: Connector | None, places: dict[str, Any], as_of: datetime | None) -> list[dict[str, Any]]:
    """What there is to read, with the moment up to which all of it is known; an unfinished one goes on."""
    rights = {one.name: one.right for one in connector.resources} if connector and not connector.imported else {}
    found = []
    for name in [*rights, *(name for name in places if name not in rights)]:
        place = places.get(name)
        marks = [value for axis, value in (place.state if place else {}).items() if axis.partition(":")[0] == "through"]
        found.append(
            {
                "name": name,
                "right": rights.get(name, ""),
                "through": _moment(min(marks, default="")) or (as_of if place else None),
                "unfinished": place is not None and place.resume is not None,
                "note": place.note if place else None,
            }
        )
    return found


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def intervals(w: Speech, agreed_s: int = 3600) -> list[tuple[str, str]]:
    """Choices for how often a connection is read, in the words of `tracker.hours`, with the one that is agreed on."""
    return [(interval_text(one), length(w, one)) for one in sorted({*INTERVALS, agreed_s})]


def length(w: Speech, seconds: int) -> str:
    """Exactly, in the largest unit that goes."""
    if seconds % 86_400 == 0:
        return w.n("%(count)s day", "%(count)s days", seconds // 86_400)
    if seconds % 3600 == 0:
        return w.n("%(count)s hour", "%(count)s hours", seconds // 3600)
    return w.n("%(count)s minute", "%(count)s minutes", seconds // 60)
