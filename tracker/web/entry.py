"""The way in: first run, login, logout."""

import hmac
from typing import Annotated

import structlog
from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from tracker import accounts
from tracker.accounts import OWNER, PASSWORD_MIN
from tracker.errors import UsageError
from tracker.web.site import OwnForm, current, go, log_in, log_out, show, site_of

log = structlog.get_logger()
router = APIRouter()
Words = Annotated[str, Form(max_length=1000)]


@router.get("/setup")
def set_up(request: Request, token: str = "") -> Response:
    if not _may_set_up(request, token):
        return _no_page(request)
    return _setup_page(request, token, OWNER)


@router.post("/setup", dependencies=[OwnForm])
def finish_setup(
    request: Request, token: Words = "", name: Words = "", password: Words = "", again: Words = ""
) -> Response:
    site = site_of(request)
    if not _may_set_up(request, token):
        return _no_page(request)
    try:
        if password != again:
            raise UsageError("the two passwords are not the same.")
        user_id = accounts.add_owner(site.deps.engine, name, password, site.deps.now())
    except UsageError as error:
        return _setup_page(request, token, name, str(error), 400)
    site.setup_token = None
    log.info("owner set up", user=user_id)
    response = go("/")
    log_in(request, response, user_id)
    return response


def _may_set_up(request: Request, token: str) -> bool:
    site = site_of(request)
    known, given = site.setup_token or "", token.encode(errors="surrogatepass")
    return hmac.compare_digest(given, known.encode()) and bool(known) and not accounts.any_user(site.deps.engine)


def _setup_page(request: Request, token: str, name: str, problem: str = "", status: int = 200) -> Response:
    settings = site_of(request).deps.settings
    values = {
        "token": token,
        "name": name,
        "problem": problem,
        "password_min": PASSWORD_MIN,
        "currency": settings.currency,
        "time_zone": settings.time_zone,
    }
    return show(request, "setup.html.j2", values, status)


def _no_page(request: Request) -> Response:
    told = (
        "The set-up address works once, and only until there is a password. `tracker serve` prints it when it starts."
    )
    return show(request, "message.html.j2", {"title": "There is no such page", "told": told}, 404)


@router.get("/login")
def ask(request: Request) -> Response:
    if current(request):
        return go("/")
    if not accounts.any_user(site_of(request).deps.engine):
        told = "Open the set-up address that `tracker serve` printed when it started, or run: tracker password"
        return show(request, "message.html.j2", {"title": "Not set up yet", "told": told})
    return show(request, "login.html.j2", {"problem": "", "name": ""})


@router.post("/login", dependencies=[OwnForm])
def enter(request: Request, name: Words = "", password: Words = "") -> Response:
    """The same words, and the same work, whether it is the name or the password that is wrong."""
    site = site_of(request)
    now, sender = site.deps.now(), request.client.host if request.client else ""
    if wait_s := site.tries.wait_s(sender, now) or site.all_tries.wait_s("", now):
        told = f"Too many tries. Wait {-(-wait_s // 60)} minutes and try again."
        response = show(request, "login.html.j2", {"problem": told, "name": name}, 429)
        response.headers["Retry-After"] = str(wait_s)
        return response
    user_id = accounts.recognise(site.deps.engine, name, password)
    if user_id is None:
        log.warning("login refused", sender=sender)
        return show(request, "login.html.j2", {"problem": "Name or password is wrong.", "name": name}, 400)
    log.info("logged in", user=user_id, sender=sender)
    response = go("/")
    log_in(request, response, user_id)
    return response


@router.post("/logout", dependencies=[OwnForm])
def leave(request: Request) -> Response:
    response = go("/login")
    log_out(request, response)
    return response
