"""Pages about connections: all of them, each one, how far a run is, and the sample data."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from tracker import connections, jobs, sample
from tracker.errors import UsageError
from tracker.web.pages import authorizing, connecting, tending
from tracker.web.pages.connected import connector_of, found_or_404, show_one, shown, slow, tile
from tracker.web.site import Owner, OwnForm, User, deps_of, go, note, show, site_of, speech

router = APIRouter()


@router.get("/connections")
def page(request: Request, visitor: User, part: Annotated[str, Query(max_length=10)] = "") -> Response:
    deps = deps_of(request)
    every = shown(deps, connections.every(deps.engine))
    values = {
        "every": every,
        "moving": any(one.moving for one in every),
        "tile": tile,
        "tick_s": jobs.TICK_S,
        "problem": jobs.health_of(deps.engine, deps.now(), deps.settings.zone).problem,
        "may_play": site_of(request).play is not None,
    }
    return show(request, "connections/rows.html.j2" if part == "rows" else "connections/list.html.j2", values)


router.include_router(connecting.router)
router.include_router(authorizing.router)


@router.get("/connections/{slug}")
def single(request: Request, visitor: User, slug: str, still: Annotated[str, Query(max_length=10)] = "") -> Response:
    """With `still` it is not loaded anew while it is read, for whoever fills in a form of it without a script."""
    return show_one(request, slug, {"still": still == "yes"})


@router.get("/connections/{slug}/progress")
def progress(request: Request, visitor: User, slug: str) -> Response:
    """The part of the page that moves, by itself."""
    [one] = shown(deps_of(request), [found_or_404(request, slug)])
    values = {"one": one, "moving": one.moving, "slow": slow(connector_of(one.row)), "tick_s": jobs.TICK_S}
    return show(request, "connections/progress.html.j2", values)


router.include_router(tending.router)


# --- sample data ---


@router.post("/sample", dependencies=[OwnForm])
def begin_sample(request: Request, visitor: Owner) -> Response:
    play = site_of(request).play
    if play is None:
        raise UsageError("sample data needs `tracker serve`, which brings the sandbox.", hint="Or run: tracker demo")
    play()
    note(request, visitor, "sample data added")
    return go("/connections", speech(request)._("Five invented providers are being read. It takes half a minute."))


@router.post("/sample/remove", dependencies=[OwnForm])
def end_sample(request: Request, visitor: Owner) -> Response:
    count = sample.remove(deps_of(request))
    note(request, visitor, "sample data removed")
    said = speech(request).n(
        "The sample data is gone, with its %(count)s earning.",
        "The sample data is gone, with its %(count)s earnings.",
        count,
    )
    return go("/connections", said)
