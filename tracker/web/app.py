"""The web application: routes, pages and the guard before them. Nothing here knows about income."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy.exc import DBAPIError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser

from tracker import accounts
from tracker.connections import Deps
from tracker.errors import TrackerError
from tracker.settings import Settings
from tracker.store.database import explained
from tracker.web import entry, inbound
from tracker.web.api.app import make_api
from tracker.web.api.problems import PREFIX
from tracker.web.assets import Assets
from tracker.web.guard import Guard
from tracker.web.pages import (
    connections,
    earnings,
    importing,
    letters,
    overview,
    payouts,
    quarantine,
    settings,
    streams,
    subscriptions,
)
from tracker.web.site import SESSION, LogIn, NotThere, OwnersOnly, Site, Stale, deps_of, show, speech, to_login

log = structlog.get_logger()
_STATIC = Path(__file__).parent / "static"
#: Pages that take files, and how many bytes of one.
UPLOADS = {"/import": 200_000_000, "/settings/backup/restore": 2_000_000_000}
PAGES = (
    overview, streams, earnings, payouts, subscriptions, connections, quarantine, letters, importing, settings,
)  # fmt: skip


def make_app(
    deps: Deps,
    *,
    setup_token: str | None = None,
    play: Callable[[], object] | None = None,
    wake: Callable[[], object] = lambda: None,
) -> FastAPI:
    """The application over one ledger. `setup_token` opens the set-up page, once, while there is no user.

    `play` starts the sample data, `wake` has the clock look at once for what is due.
    """
    app = FastAPI(title="Income tracker", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.site = Site(deps=deps, pages=_pages(), setup_token=setup_token, play=play, wake=wake)
    app.add_middleware(Guard, hosts=_hosts(deps.settings), uploads=UPLOADS, welcome=partial(_welcome, deps))
    for part in (inbound, entry, *PAGES):
        app.include_router(part.router)
    app.mount(PREFIX, make_api(app.state.site))
    app.mount("/static", Assets(_STATIC))
    app.add_exception_handler(LogIn, lambda request, error: to_login(request))
    app.add_exception_handler(Stale, _stale)
    app.add_exception_handler(OwnersOnly, _owners_only)
    app.add_exception_handler(NotThere, _http)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(TrackerError, _refused)
    app.add_exception_handler(DBAPIError, _trouble)
    return app


def _hosts(settings: Settings) -> list[str]:
    names = [*settings.web_hosts, settings.web_host]
    return [f"[{name}]" if ":" in name else name for name in names]


def _welcome(deps: Deps, headers: Headers) -> bool:
    """Whether an owner sends this: nobody else may upload, so nobody else's file is taken in."""
    token = cookie_parser(headers.get("cookie", "")).get(SESSION)
    found = accounts.visitor(deps.engine, token, deps.now()) if token else None
    return found is not None and found.role == accounts.OWNER


def _pages() -> Environment:
    return Environment(
        loader=PackageLoader("tracker", "web/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


# --- when something is wrong ---


def _message(request: Request, status: int, title: str, told: str) -> Response:
    return show(request, "message.html.j2", {"title": title, "told": told}, status)


def _stale(request: Request, error: Exception) -> Response:
    say = speech(request)._
    told = say(
        "This form was open for too long, or the tracker was started again. Go back, load the page anew and try again."
    )
    return _message(request, 403, say("Please try again"), told)


def _owners_only(request: Request, error: Exception) -> Response:
    say = speech(request)._
    return _message(
        request, 403, say("Only an owner may do that"), say("You may look at everything, but not change it.")
    )


def _unreadable(request: Request, error: Exception) -> Response:
    say = speech(request)._
    return _message(request, 400, say("This cannot be read"), say("Go back and try again."))


def _refused(request: Request, error: Exception) -> Response:
    """What is wrong with what was asked, in the words of the part that found it."""
    if isinstance(error.__cause__, DBAPIError):
        return _trouble(request, error)
    w = speech(request)
    return _message(request, 400, w._("This cannot be done"), w.told(error, as_sentence=True))


def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    say = speech(request)._
    if status == 404:
        told = say("The address may be misspelt, or the page is gone.")
    elif status == 405:
        told = say("This address is not meant to be opened that way.")
    else:
        return _message(request, status, say("This did not work"), say("Go back and try again."))
    return _message(request, status, say("There is no such page"), told)


def _trouble(request: Request, error: Exception) -> Response:
    """Mostly the database: busy, full or away. What is wrong with it is for the log alone."""
    told = explained(error, deps_of(request).engine) if isinstance(error, DBAPIError) else error
    log.error("page failed", why=str(told))  # never with the statement's values
    return PlainTextResponse("The ledger cannot be reached just now. Try again soon.\n", 503, {"Retry-After": "30"})
