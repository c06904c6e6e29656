"""The way in: first run, login, logout."""

import hmac
from collections.abc import Mapping

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from tracker import accounts, audit, jobs, stored
from tracker.accounts import NAME_MAX, OWNER, PASSWORD_MIN
from tracker.addresses import neighbourhood
from tracker.errors import UsageError
from tracker.settings import BadSettings
from tracker.web import choices
from tracker.web.site import (
    OwnForm,
    User,
    Words,
    current,
    deps_of,
    go,
    log_in,
    log_out,
    note,
    sender_of,
    show,
    site_of,
    speech,
    wanted,
)

log = structlog.get_logger()
router = APIRouter()
#: What the set-up page asks about the figures.
FIGURES = ("currency", "time_zone", "locale")
#: What a machine calls its zone that knows none, as in a container: the browser may know better.
NOWHERE = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "Etc/GMT", "GMT"})
PATIENCE_S = 3.0


# --- the first run ---


@router.get("/setup")
def set_up(request: Request, token: str = "") -> Response:
    if not _may_set_up(request, token):
        return _no_page(request)
    deps, w = deps_of(request), speech(request)
    known = stored.stored_fields(deps.engine) | set(deps.settings.places)
    typed = {field: str(getattr(deps.settings, field)) for field in FIGURES}
    locale, currency = choices.guessed(w, request.headers.get("accept-language", ""), deps.settings.currency)
    typed |= {field: text for field, text in (("locale", locale), ("currency", currency)) if field not in known}
    return _setup_page(request, token, {"name": OWNER, **typed})


@router.post("/setup", dependencies=[OwnForm])
def finish_setup(
    request: Request, token: Words = "", name: Words = "", password: Words = "", again: Words = "",
    currency: Words = "", time_zone: Words = "", locale: Words = "",
) -> Response:  # fmt: skip
    site, deps = site_of(request), deps_of(request)
    if not _may_set_up(request, token):
        return _no_page(request)
    typed = {"name": name, "currency": currency, "time_zone": time_zone, "locale": locale}
    given = {field: typed[field] for field in FIGURES if typed[field] and field not in deps.settings.places}
    try:
        if password != again:
            raise UsageError("The two passwords are not the same.")
        changed = stored.change(deps, given) if given else frozenset[str]()
        language = deps.settings.locale.split("_")[0] if locale else None
        user_id = accounts.add_owner(deps.engine, name, password, deps.now(), language)
    except BadSettings as error:
        return _setup_page(request, token, typed, problems=error.problems)
    except UsageError as error:
        return _setup_page(request, token, typed, problem=str(error))
    site.setup_token = None
    log.info("owner set up", user=user_id)
    audit.record(deps.engine, deps.now(), actor=name.strip(), action="owner set up", sender=sender_of(request))
    if changed & stored.DECISIVE:
        jobs.revalued_within(deps, PATIENCE_S)
    response = go("/welcome")
    log_in(request, response, user_id)
    return response


def _may_set_up(request: Request, token: str) -> bool:
    site = site_of(request)
    known, given = site.setup_token or "", token.encode(errors="surrogatepass")
    return hmac.compare_digest(given, known.encode()) and bool(known) and not accounts.any_user(site.deps.engine)


def _setup_page(
    request: Request, token: str, typed: Mapping[str, str], problem: str = "", problems: Mapping[str, str] | None = None
) -> Response:
    settings, w = deps_of(request).settings, speech(request)
    values = {
        "token": token,
        "name": typed["name"],
        "values": {field: typed[field] or str(getattr(settings, field)) for field in FIGURES},
        "fixed": {field: settings.places.get(field) for field in FIGURES},
        "problem": problem,
        "problems": problems or {},
        "password_min": PASSWORD_MIN,
        "name_max": NAME_MAX,
        "currencies": choices.currencies(w, settings.currency),
        "zones": choices.time_zones(w, settings.time_zone),
        "locales": choices.locales(w, settings.locale),
        "guess": request.method == "GET" and settings.time_zone in NOWHERE,
    }
    return show(request, "setup.html.j2", values, 400 if problem or problems else 200)


def _no_page(request: Request) -> Response:
    say = speech(request)._
    told = say("The set-up address works once, until there is a password. `tracker serve` prints it when it starts.")
    return show(request, "message.html.j2", {"title": say("There is no such page"), "told": told}, 404)


@router.get("/welcome")
def welcome(request: Request, visitor: User) -> Response:
    """What next, right after the first run."""
    if visitor.role != OWNER:
        return go("/")
    return show(request, "welcome.html.j2", {"may_play": site_of(request).play is not None})


# --- login ---


@router.get("/login")
def ask(request: Request) -> Response:
    if current(request):
        return go("/")
    if not accounts.any_user(deps_of(request).engine):
        say = speech(request)._
        told = say("Open the set-up address that `tracker serve` printed when it started, or run: tracker password")
        return show(request, "message.html.j2", {"title": say("Not set up yet"), "told": told, "stay": True})
    return show(request, "login.html.j2", {"problem": "", "name": ""})


@router.post("/login", dependencies=[OwnForm])
def enter(request: Request, name: Words = "", password: Words = "") -> Response:
    """The same words, and the same work, whether it is the name or the password that is wrong."""
    site, say = site_of(request), speech(request)._
    now, sender = site.deps.now(), sender_of(request)
    if wait_s := site.tries.wait_s(neighbourhood(sender), now) or site.all_tries.wait_s("", now):
        told = say("Too many tries. Wait %(minutes)s minutes and try again.", minutes=-(-wait_s // 60))
        response = show(request, "login.html.j2", {"problem": told, "name": name}, 429)
        response.headers["Retry-After"] = str(wait_s)
        return response
    user_id = accounts.recognise(site.deps.engine, name, password)
    if user_id is None:
        log.warning("login refused", sender=sender)
        known = name.strip() if accounts.is_user(site.deps.engine, name) else None
        audit.refused(site.deps.engine, now, name=known, sender=sender)
        told = say("Name or password is wrong.")
        return show(request, "login.html.j2", {"problem": told, "name": name}, 400)
    log.info("logged in", user=user_id, sender=sender)
    audit.record(site.deps.engine, now, actor=name.strip(), action="logged in", sender=sender)
    response = go(wanted(request))
    log_in(request, response, user_id)
    return response


@router.post("/logout", dependencies=[OwnForm])
def leave(request: Request) -> Response:
    if visitor := current(request):
        note(request, visitor, "logged out")
    response = go("/login")
    log_out(request, response)
    return response
