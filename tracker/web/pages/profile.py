"""`/settings/profile`: what is a user's own. Every user has it, viewers as well."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import escape

from tracker import accounts, tokens
from tracker.accounts import PASSWORD_MIN, Visitor
from tracker.errors import UsageError
from tracker.web.language import languages
from tracker.web.pages.settings_menu import show_part
from tracker.web.site import SESSION, OwnForm, User, Words, deps_of, go, note, site_of, speech

router = APIRouter()
HOME = "/settings/profile"


@router.get(HOME)
def page(request: Request, visitor: User) -> Response:
    return _page(request, visitor)


def _page(request: Request, visitor: Visitor, *, about: str = "", problem: str = "", name: str = "") -> Response:
    """`about` is the form that `problem` belongs to."""
    deps = deps_of(request)
    here = accounts.ref_of(_token(request))
    sessions = [
        (row, row.token_digest[: accounts.REF], row.token_digest.startswith(here))
        for row in accounts.sessions_of(deps.engine, visitor.id, deps.now())
    ]
    values = {
        "name": name or visitor.name,
        "language": visitor.language or "",
        "languages": languages(),
        "sessions": sessions,
        "tokens": tokens.good(deps.engine, visitor.id, deps.now()),
        "password_min": PASSWORD_MIN,
        "about": about,
        "problem": problem,
    }
    return show_part(request, visitor, "profile", values, 400 if problem else 200)


def _token(request: Request) -> str:
    return request.cookies.get(SESSION, "")


@router.post(HOME, dependencies=[OwnForm])
def change(request: Request, visitor: User, name: Words = "", language: Words = "") -> Response:
    engine = deps_of(request).engine
    try:
        accounts.set_language(engine, visitor.id, language or None)
        renamed = accounts.rename(engine, visitor.id, name)
    except UsageError as error:
        return _page(request, visitor, about="profile", problem=str(error), name=name)
    note(request, visitor, "profile changed", renamed)
    request.state.speech = None  # the notice speaks the new language
    del request.state.visitor
    return go(HOME, speech(request)._("Saved."))


@router.post("/settings/password", dependencies=[OwnForm])
def change_password(
    request: Request, visitor: User, old: Words = "", new: Words = "", again: Words = "", tokens_too: Words = ""
) -> Response:
    site, w = site_of(request), speech(request)
    say = w._
    if wait_s := site.tries.wait_s(f"user {visitor.id}", site.deps.now()):
        told = say("Too many tries. Wait %(minutes)s minutes and try again.", minutes=-(-wait_s // 60))
        return _page(request, visitor, about="password", problem=escape(told))
    try:
        if new != again:
            raise UsageError("The two new passwords are not the same.")
        accounts.change_password(site.deps.engine, visitor.id, old, new, _token(request))
    except UsageError as error:
        return _page(request, visitor, about="password", problem=str(error))
    note(request, visitor, "password changed", visitor.name)
    said = say("Your password is changed. Other browsers are logged out.")
    if tokens_too == "yes" and (count := tokens.revoke_all(site.deps.engine, visitor.id)):
        note(request, visitor, "tokens revoked", visitor.name)
        said += " " + w.n("%(count)s API token is ended.", "%(count)s API tokens are ended.", count)
    return go(HOME, said)


@router.post("/settings/sessions/end", dependencies=[OwnForm])
def end_session(request: Request, visitor: User, ref: Words = "") -> Response:
    if accounts.end_session(deps_of(request).engine, visitor.id, ref):
        note(request, visitor, "session ended", visitor.name)
    return go(HOME, speech(request)._("That browser is logged out."))


@router.post("/settings/sessions/end-others", dependencies=[OwnForm])
def end_others(request: Request, visitor: User) -> Response:
    count = accounts.end_other_sessions(deps_of(request).engine, visitor.id, _token(request))
    note(request, visitor, "sessions ended", visitor.name)
    w = speech(request)
    return go(HOME, w.n("%(count)s other browser is logged out.", "%(count)s other browsers are logged out.", count))
