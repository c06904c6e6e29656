"""Pages about single earnings: searching them, one with its story, deciding what they are, and taking them along."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import Field

from tracker import earning_story, overrides
from tracker.accounts import Visitor
from tracker.errors import UsageError
from tracker.exports import formats
from tracker.filters import PARAMETERS, Filter, one_of
from tracker.records import Kind, Recurrence, Settlement, Status
from tracker.search import Sort, search
from tracker.store import reads_search
from tracker.store.database import reading
from tracker.web.fresh import fresh
from tracker.web.site import NotThere, Owner, OwnForm, User, Words, deps_of, go, note, show, speech

router = APIRouter()
Id = Annotated[int, Path(ge=1, lt=2**63)]
Ids = Annotated[list[Annotated[int, Field(ge=1, lt=2**63)]] | None, Form(max_length=overrides.MOST)]
#: Parameters of a view of the list, besides those of the filter.
_VIEW = ("sort", "after", "before")


@router.get("/earnings")
def page(request: Request, visitor: User) -> Response:
    return _list(request, request.query_params)


def _list(
    request: Request, asked: Mapping[str, str], problem: str = "", chosen: frozenset[int] = frozenset()
) -> Response:
    """The list, or with what is wrong on top and all that was typed."""
    deps, w, found = deps_of(request), speech(request), None
    wanted, sort = Filter(), Sort.NEWEST
    try:
        wanted = Filter.parse(asked)
        sort = one_of(asked.get("sort") or Sort.NEWEST, Sort, "sort")
        found = search(
            deps.engine, deps.settings, wanted, sort=sort, after=asked.get("after"), before=asked.get("before")
        )  # fmt: skip
    except UsageError as error:
        problem = problem or str(error)
    with reading(deps.engine) as conn:
        choices = reads_search.choices(conn)
    params = wanted.params()
    view = {name: asked[name] for name in _VIEW if asked.get(name)}
    values = {
        "found": found,
        "given": {name: asked.get(name) or "" for name in PARAMETERS},
        "params": params,
        "became": wanted.since and wanted.since.what,
        "sort": sort,
        "query": urlencode(params | view),
        "without": {name: _address({key: text for key, text in params.items() if key != name}) for name in params},
        "newer": _beside(params, sort, before=found.previous) if found else None,
        "older": _beside(params, sort, after=found.next) if found else None,
        "everywhere": _address(params | {"q": f"*{wanted.q}*"}) if found and found.by_reference else None,
        "sorted": {one: _address(params | ({"sort": one.value} if one is not Sort.NEWEST else {})) for one in Sort},
        "exports": [(kind.title, _address(params | {"form": form}, "/export")) for form, kind in formats.KINDS.items()],
        "uncounted": _address(params | {"counted": "no"}) if wanted.counted is None else None,
        "days": {
            "from": wanted.first and w.day(wanted.first),
            "to": wanted.last and w.day(wanted.last),
            "until": wanted.until and w.minute(wanted.until),
            "since": wanted.since and w.minute(wanted.since.moment),
            "month": wanted.month and w.month(wanted.month),
        },
        "fresh": fresh(request, [wanted.connection] if wanted.connection else ()),
        "choices": choices,
        "titles": {"stream": dict(choices.streams), "connection": dict(choices.connections)},
        "words": {"statuses": Status, "settlements": Settlement, "recurrences": Recurrence, "kinds": Kind},
        "problem": problem,
        "chosen": chosen,
    }
    return show(request, "earnings/list.html.j2", values, 400 if problem else 200)


def _address(params: Mapping[str, str], below: str = "") -> str:
    return f"/earnings{below}" + (f"?{urlencode(params)}" if params else "")


def _beside(params: Mapping[str, str], sort: Sort, **place: str | None) -> str | None:
    view = {"sort": sort.value} if sort is not Sort.NEWEST else {}
    return (
        _address({**params, **view, **{name: text for name, text in place.items() if text}})
        if any(place.values())
        else None
    )


@router.get("/earnings/export")
def take_along(request: Request, visitor: User, form: Annotated[str, Query(max_length=20)] = "csv") -> Response:
    deps = deps_of(request)
    kind = one_of(form, formats.Form, "form")
    wanted = Filter.parse(request.query_params)
    pieces = formats.export(deps.engine, deps.settings, wanted, kind, deps.now())
    name = formats.file_name(kind, deps.settings, deps.now())
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pieces, media_type=formats.KINDS[kind].media_type, headers=headers)


# --- deciding by hand ---


@router.post("/earnings/override", dependencies=[OwnForm])
def decide(
    request: Request,
    visitor: Owner,
    earning: Ids = None,
    recurrence: Words = "",
    stream: Words = "",
    clear: Words = "",
) -> Response:
    """For the rows chosen in a list, whose view stands in the address."""
    asked = request.query_params
    try:
        said = _decide(request, visitor, earning or [], recurrence, stream, bool(clear))
        back = Filter.parse(asked).params() | {name: asked[name] for name in _VIEW if asked.get(name)}
    except UsageError as error:
        return _list(request, asked, str(error), frozenset(earning or ()))
    return go(_address(back), said)


@router.post("/earnings/{earning_id}/override", dependencies=[OwnForm])
def decide_one(
    request: Request, visitor: Owner, earning_id: Id, recurrence: Words = "", stream: Words = "", clear: Words = ""
) -> Response:
    try:
        said = _decide(request, visitor, [earning_id], recurrence, stream, bool(clear))
    except UsageError as error:
        return _one(request, earning_id, str(error), 400)
    return go(f"/earnings/{earning_id}", said)


def _decide(request: Request, visitor: Visitor, ids: list[int], recurrence: str, stream: str, clear: bool) -> str:
    w = speech(request)
    given: dict[str, Any] = {"clear": True} if clear else {"recurrence": recurrence or None, "stream": stream or None}
    done = overrides.override(deps_of(request), ids, **given)
    if done.earnings:
        told = "cleared" if clear else ", ".join(word for word in (recurrence, stream) if word)
        names = ", ".join(map(str, sorted(set(ids))))
        note(request, visitor, "earnings overridden", f"{told}: {names}")
    said = w.n("%(count)s earning is decided.", "%(count)s earnings are decided.", done.earnings)
    if clear:
        said = w.n(
            "Your word about %(count)s earning is taken back.",
            "Your word about %(count)s earnings is taken back.",
            done.earnings,
        )
    if done.busy:
        said += " " + w._("%(connections)s is being synced: try again in a minute.", connections=w.listed(done.busy))
    return said


# --- one ---


@router.get("/earnings/{earning_id}")
def one(request: Request, visitor: User, earning_id: Id) -> Response:
    return _one(request, earning_id)


def _one(request: Request, earning_id: int, problem: str = "", status: int = 200) -> Response:
    deps = deps_of(request)
    story = earning_story.one(deps.engine, deps.settings, earning_id)
    if story is None:
        raise NotThere
    with reading(deps.engine) as conn:
        streams = reads_search.choices(conn).streams
    values = {
        "s": story,
        "r": story.row,
        "more": story.more,
        "streams": streams,
        "recurrences": Recurrence,
        "fresh": fresh(request, [story.row["connection"]]),
        "problem": problem,
    }
    return show(request, "earnings/one.html.j2", values, status)
