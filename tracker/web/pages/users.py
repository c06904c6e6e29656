"""`/settings/users` and `/settings/tokens`: who may come in, people and programs. For owners."""

from datetime import UTC, date, datetime, time, tzinfo

from fastapi import APIRouter, Request
from fastapi.responses import Response

from tracker import accounts, tokens
from tracker.accounts import OWNER, PASSWORD_MIN, VIEWER, Visitor
from tracker.errors import UsageError
from tracker.web.pages.settings_menu import show_part
from tracker.web.site import Owner, OwnForm, RowId, Words, deps_of, go, note, speech

router = APIRouter()
USERS, TOKENS = "/settings/users", "/settings/tokens"


# --- people ---


@router.get(USERS)
def page(request: Request, visitor: Owner) -> Response:
    return _page(request, visitor)


def _page(request: Request, visitor: Visitor, problem: str = "", name: str = "", role: str = VIEWER) -> Response:
    deps, say = deps_of(request), speech(request)._
    values = {
        "users": accounts.every_user(deps.engine, deps.now()),
        "roles": [(VIEWER, say("Viewer: may look at everything")), (OWNER, say("Owner: may change everything"))],
        "role_names": {VIEWER: say("viewer"), OWNER: say("owner")},
        "password_min": PASSWORD_MIN,
        "name": name,
        "role": role,
        "problem": problem,
    }
    return show_part(request, visitor, "users", values, 400 if problem else 200)


@router.post(USERS, dependencies=[OwnForm])
def add(
    request: Request, visitor: Owner, name: Words = "", role: Words = VIEWER, password: Words = "", again: Words = ""
) -> Response:
    deps, say = deps_of(request), speech(request)._
    try:
        if password != again:
            raise UsageError("The two passwords are not the same.")
        accounts.add_user(deps.engine, name, password, role, deps.now())
    except UsageError as error:
        return _page(request, visitor, str(error), name, role)
    note(request, visitor, "user added", f"{name.strip()} ({role})")
    return go(USERS, say("%(name)s may log in now.", name=name.strip()))


@router.post(USERS + "/{user_id}/role", dependencies=[OwnForm])
def set_role(request: Request, visitor: Owner, user_id: RowId, role: Words = "") -> Response:
    try:
        name = accounts.set_role(deps_of(request).engine, user_id, role)
    except UsageError as error:
        return _page(request, visitor, str(error))
    note(request, visitor, "role changed", f"{name} ({role})")
    return go(USERS if user_id != visitor.id or role == OWNER else "/settings", speech(request)._("Saved."))


@router.post(USERS + "/{user_id}/password", dependencies=[OwnForm])
def reset_password(
    request: Request, visitor: Owner, user_id: RowId, password: Words = "", again: Words = ""
) -> Response:
    deps, w = deps_of(request), speech(request)
    try:
        if password != again:
            raise UsageError("The two passwords are not the same.")
        name = accounts.reset_password(deps.engine, user_id, password)
    except UsageError as error:
        return _page(request, visitor, str(error))
    note(request, visitor, "password reset", name)
    said = w._("%(name)s has a new password and is logged out everywhere.", name=name)
    if good := tokens.good(deps.engine, user_id, deps.now()):
        told = w.n("%(count)s API token of theirs stays good.", "%(count)s API tokens of theirs stay good.", len(good))
        said += " " + told
    return go(USERS, said)


@router.post(USERS + "/{user_id}/remove", dependencies=[OwnForm])
def remove(request: Request, visitor: Owner, user_id: RowId) -> Response:
    try:
        name = accounts.remove_user(deps_of(request).engine, user_id)
    except UsageError as error:
        return _page(request, visitor, str(error))
    note(request, visitor, "user removed", name)
    return go(USERS, speech(request)._("%(name)s can no longer log in.", name=name))


# --- programs ---


@router.get(TOKENS)
def token_page(request: Request, visitor: Owner) -> Response:
    return _tokens(request, visitor)


def _tokens(request: Request, visitor: Visitor, problem: str = "", name: str = "", made: str = "") -> Response:
    """`made` is the text of a new token: on this page, and never again."""
    deps, say = deps_of(request), speech(request)._
    values = {
        "tokens": tokens.every(deps.engine),
        "scopes": [("read", say("Read only")), ("write", say("Read and write"))],
        "name": name,
        "made": made,
        "now": deps.now(),
        "problem": problem,
    }
    return show_part(request, visitor, "tokens", values, 400 if problem else 200)


@router.post(TOKENS, dependencies=[OwnForm])
def make_token(
    request: Request, visitor: Owner, name: Words = "", scope: Words = "read", until: Words = ""
) -> Response:
    deps = deps_of(request)
    try:
        ends = _end_of(until, deps.settings.zone) if until else None
        text = tokens.make(deps.engine, visitor.id, name, scope, deps.now(), expires_at=ends)
    except UsageError as error:
        return _tokens(request, visitor, str(error), name)
    note(request, visitor, "token made", f"{name.strip()} ({scope})")
    return _tokens(request, visitor, made=text)


def _end_of(day: str, zone: tzinfo) -> datetime:
    """The end of a day in the user's zone. Raises UsageError."""
    try:
        last = date.fromisoformat(day)
    except ValueError:
        raise UsageError(f"not a day: {day[:20]!r}.", hint="Write it as 2026-06-30.") from None
    return datetime.combine(last, time(23, 59, 59), zone).astimezone(UTC)


@router.post(TOKENS + "/{token_id}/revoke", dependencies=[OwnForm])
def revoke_token(request: Request, visitor: Owner, token_id: RowId) -> Response:
    name = tokens.revoke(deps_of(request).engine, token_id)
    note(request, visitor, "token revoked", name)
    return go(TOKENS, speech(request)._("%(name)s opens nothing any more.", name=name))
