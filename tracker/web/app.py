"""The web application: routes, pages and the guard before them. Nothing here knows about income."""

from functools import partial
from pathlib import Path

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException

from tracker.connections import Deps
from tracker.errors import TrackerError
from tracker.settings import Settings
from tracker.web import entry, inbound, overview
from tracker.web.guard import Guard
from tracker.web.site import LogIn, Site, Stale, go, show

log = structlog.get_logger()
_STATIC = Path(__file__).parent / "static"
_BACK = "Go back and try again."
_SAID = {
    404: ("There is no such page", "The address may be misspelt, or the page is gone."),
    405: ("There is no such page", "This address is not meant to be opened that way."),
}


def make_app(deps: Deps, *, setup_token: str | None = None) -> FastAPI:
    """The application over one ledger. `setup_token` opens the set-up page, once, while there is no user."""
    app = FastAPI(title="Income tracker", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.site = Site(deps=deps, pages=_pages(), setup_token=setup_token)
    app.add_middleware(Guard, hosts=_hosts(deps.settings))
    for part in (inbound, entry, overview):
        app.include_router(part.router)
    app.mount("/static", StaticFiles(directory=_STATIC))
    app.add_exception_handler(LogIn, lambda request, error: go("/login"))
    app.add_exception_handler(Stale, _stale)
    app.add_exception_handler(RequestValidationError, partial(_message, 400, "This cannot be read", _BACK))
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(TrackerError, _trouble)
    return app


def _hosts(settings: Settings) -> list[str]:
    names = [*settings.web_hosts, settings.web_host]
    return [f"[{name}]" if ":" in name else name for name in names]


def _pages() -> Environment:
    return Environment(
        loader=PackageLoader("tracker", "web/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


# --- when something is wrong ---


def _message(status: int, title: str, told: str, request: Request, error: Exception) -> Response:
    return show(request, "message.html.j2", {"title": title, "told": told}, status)


def _stale(request: Request, error: Exception) -> Response:
    told = (
        "This form was open for too long, or the tracker was started again. Go back, load the page anew and try again."
    )
    return _message(403, "Please try again", told, request, error)


def _http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    title, told = _SAID.get(status, ("This did not work", _BACK))
    return _message(status, title, told, request, error)


def _trouble(request: Request, error: Exception) -> Response:
    """Mostly the database: busy, full or away. What is wrong with it is for the log alone."""
    log.error("page failed", why=str(error))
    return PlainTextResponse("The ledger cannot be reached just now. Try again soon.\n", 503, {"Retry-After": "30"})
