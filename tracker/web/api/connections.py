"""Connections and their runs: how they stand, and asking for a sync. Credentials are never told."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from tracker import connections, schedule, tending
from tracker.errors import UsageError
from tracker.records import Role
from tracker.store import reads_runs
from tracker.store.database import reading
from tracker.web.api.bearer import Reader, Writer, note
from tracker.web.api.problems import not_there
from tracker.web.api.tagged import Tagged
from tracker.web.api.words import Moment, Paged, PathSlug, Shape, linked
from tracker.web.site import deps_of

router = APIRouter(route_class=Tagged, tags=["connections"])


class Connection(Shape):
    """One account at a provider. `state` is told in a word; `as_of`: it was read completely then."""

    slug: str
    provider: str
    title: str
    role: Role
    options: dict[str, str]
    as_of: Moment | None
    interval_s: int
    quiet: str | None
    next_sync_at: Moment | None
    paused_at: Moment | None
    paused_reason: str | None
    last_error: str | None
    failures: int
    state: str


class Place(Shape):
    """How far a resource is read; `unfinished`: the next sync goes on in the middle."""

    resource: str
    state: dict[str, str]
    unfinished: bool


class ConnectionDetail(Connection):
    resources: list[Place]


class Connections(Shape):
    rows: list[Connection]


class Run(Shape):
    """One sync. `new` and `changed` are records; `error` is the kind of trouble."""

    id: int
    started_at: Moment
    finished_at: Moment | None
    outcome: str
    pages: int
    rows: int
    new: int
    changed: int
    quarantined: int
    error: str | None
    message: str | None


class Runs(Shape):
    rows: list[Run]
    next: str | None


@router.get("/connections", response_model=Connections)
def connections_(request: Request, token: Reader) -> dict[str, Any]:
    """All connections and how fresh they are."""
    return {"rows": _told(request, connections.every(deps_of(request).engine))}


@router.get("/connections/{slug}", response_model=ConnectionDetail)
def connection(request: Request, token: Reader, slug: PathSlug) -> dict[str, Any]:
    """One connection, and how far each of its resources is read."""
    return _detail(request, slug)


def _found(request: Request, slug: str) -> Any:
    try:
        return connections.find(deps_of(request).engine, slug)
    except UsageError:
        raise not_there("such connection") from None


def _detail(request: Request, slug: str) -> dict[str, Any]:
    row = _found(request, slug)
    story = connections.story(deps_of(request).engine, row.id)
    return {**_told(request, [row])[0], "resources": story["resources"]}


def _told(request: Request, rows: list[Any]) -> list[dict[str, Any]]:
    deps = deps_of(request)
    with reading(deps.engine) as conn:
        since = schedule.running_since(conn)
    names = [name for name in Connection.model_fields if name != "state"]
    states = [schedule.standing(row, deps.now(), since).state for row in rows]
    return [
        {**{name: getattr(row, name) for name in names}, "state": state}
        for row, state in zip(rows, states, strict=True)
    ]


@router.get("/connections/{slug}/runs", response_model=Runs)
def connection_runs(
    request: Request, response: Response, token: Reader, slug: PathSlug, asked: Annotated[Paged, Query()]
) -> dict[str, Any]:
    """The runs of a connection, the newest first."""
    row = _found(request, slug)
    with reading(deps_of(request).engine) as conn:
        found = reads_runs.page(conn, row.id, place=asked.cursor, limit=asked.limit)
    return {"rows": found.rows, "next": linked(request, response, found.older)}


@router.post("/connections/{slug}/sync", status_code=202, response_model=ConnectionDetail)
def sync(request: Request, token: Writer, slug: PathSlug) -> dict[str, Any]:
    """Make a connection due at once. The answer does not wait for the sync: `/runs` tells how it went."""
    row = _found(request, slug)
    if row.paused_at:
        raise UsageError(f"the connection is paused: {row.paused_reason}")
    tending.ask(deps_of(request), slug)
    note(request, token, "sync asked for", slug)
    return _detail(request, slug)


@router.post("/connections/{slug}/pause", response_model=ConnectionDetail)
def pause(request: Request, token: Writer, slug: PathSlug) -> dict[str, Any]:
    """Leave a connection out of every sync until it is resumed."""
    connections.pause(deps_of(request), _found(request, slug).slug, f"the token {token.name} paused it.")
    note(request, token, "connection paused", slug)
    return _detail(request, slug)


@router.post("/connections/{slug}/resume", response_model=ConnectionDetail)
def resume(request: Request, token: Writer, slug: PathSlug) -> dict[str, Any]:
    """Let a paused connection sync again, at once."""
    connections.resume(deps_of(request), _found(request, slug).slug)
    note(request, token, "connection resumed", slug)
    return _detail(request, slug)
