"""Rows that could not be understood: kept, shown, tried again."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from tracker import connections, quarantine
from tracker.errors import UsageError
from tracker.web.api.bearer import Reader, Writer, note
from tracker.web.api.problems import not_there, unless_busy
from tracker.web.api.tagged import Tagged
from tracker.web.api.words import Moment, Paged, RowId, Shape, Slug, linked
from tracker.web.site import deps_of

router = APIRouter(route_class=Tagged, tags=["quarantine"])


class Held(Shape):
    """A row that nobody understood. `error` says what is wrong with it."""

    id: int
    connection: str
    resource: str
    row_key: str
    error: str
    first_seen_at: Moment
    last_seen_at: Moment
    tries: int


class HeldRow(Held):
    """With what the provider sent, without personal fields."""

    payload: str


class Quarantine(Shape):
    rows: list[Held]
    total: int
    next: str | None


class Tried(Shape):
    """Of the rows tried, `held` are still not understood; `waiting` are older versions of one that is not."""

    tried: int
    understood: int
    held: int
    waiting: int


class AskedQuarantine(Paged):
    connection: Slug | None = None


@router.get("/quarantine", response_model=Quarantine)
def quarantine_(
    request: Request, response: Response, token: Reader, asked: Annotated[AskedQuarantine, Query()]
) -> dict[str, Any]:
    """The rows in quarantine, the newest first."""
    engine, place = deps_of(request).engine, asked.cursor
    if place is not None and not (place.isascii() and place.isdecimal() and len(place) <= 18):
        raise UsageError("there is no such place in the list.")
    owner = connections.find(engine, asked.connection).id if asked.connection else None
    rows, total = quarantine.held(engine, owner, asked.limit + 1, int(place) if place else None)
    more = str(rows[asked.limit - 1].id) if len(rows) > asked.limit else None
    return {"rows": rows[: asked.limit], "total": total, "next": linked(request, response, more)}


@router.get("/quarantine/{row_id}", response_model=HeldRow)
def quarantined_row(request: Request, token: Reader, row_id: RowId) -> dict[str, Any]:
    """One row as the provider sent it, without personal fields."""
    row = quarantine.found(deps_of(request).engine, row_id)
    if row is None:
        raise not_there("such row in quarantine")
    return {**row._mapping, "payload": bytes(row.payload).decode("utf-8", "replace")}


@router.post("/quarantine/{row_id}/retry", response_model=Tried, openapi_extra={"x-busy": True})
def retry_row(request: Request, token: Writer, row_id: RowId) -> Any:
    """Try a row again with its connector as it is now."""
    deps = deps_of(request)
    row = quarantine.found(deps.engine, row_id)
    if row is None:
        raise not_there("such row in quarantine")
    with unless_busy(deps, row.connection_id):
        (tried,) = quarantine.retry(deps, [row_id])
    note(request, token, "quarantine tried again", str(row_id))
    return tried
