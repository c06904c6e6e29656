"""Logging in at a provider from the pages: sent there, and back with a code, or with a code that is typed in.

The address that a browser is sent back to is one for each provider, so that no answer is taken for another's (RFC 9700,
4.4). What was typed into the form waits in this process meanwhile, for the user who began, for half an hour.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from tracker import trial
from tracker.accounts import Visitor
from tracker.connect import catalog, login
from tracker.connect.auth import Login, at
from tracker.connect.login import ANSWER_MAX, Begun
from tracker.connections import Deps
from tracker.errors import ProviderError
from tracker.web.site import NotThere, Owner, OwnForm, Words, deps_of, show, site_of, speech

router = APIRouter()
#: How long a login may take, and how many may be under way.
HELD, WAITING_MAX = timedelta(minutes=30), 50
Answer = Annotated[str, Form(max_length=ANSWER_MAX, pattern=r"^[^\x00]*$")]
#: What is done with the tokens that a login brought.
Then = Callable[[Request, dict[str, str]], Response]


@dataclass
class Waiting:
    """A login under way. `redirect` is our address that the provider sends the browser to."""

    visitor_id: int
    at: datetime
    provider: str
    allowed: Login
    credentials: Mapping[str, str]
    options: Mapping[str, str]
    redirect: str
    deps: Deps
    then: Then
    begun: Begun = field(default_factory=Begun)

    @property
    def shown_at(self) -> str:
        """The provider's page that shows the code, if it has one."""
        return at(self.allowed.shown_at, self.options) if self.allowed.shown_at else ""

    def page(self, redirect: str) -> str:
        return login.page(self.allowed, self.begun, self.credentials, self.options, redirect)


def address(request: Request, provider: str) -> str:
    """Where a provider sends the browser back to: it must be known there, letter by letter."""
    return f"{str(request.base_url).rstrip('/')}/connections/add/{provider}/login"


def ask(
    request: Request, visitor: Visitor, provider: str, allowed: Login, credentials: Mapping[str, str],
    options: Mapping[str, str], deps: Deps, then: Then,
) -> Response:  # fmt: skip
    """The page that leads to the provider's. `deps` is what its token endpoint is asked with."""
    where = address(request, provider)
    return _ask(request, Waiting(visitor.id, deps.now(), provider, allowed, credentials, options, where, deps, then))


def _ask(request: Request, waiting: Waiting, problem: str = "") -> Response:
    logins: dict[str, Waiting] = site_of(request).logins
    now = deps_of(request).now()
    for state in [state for state, one in list(logins.items()) if now - one.at >= HELD]:
        logins.pop(state, None)
    while len(logins) >= WAITING_MAX:
        logins.pop(next(iter(logins)), None)
    logins[waiting.begun.state] = waiting
    values = {
        "connector": catalog.find(waiting.provider),
        "provider": waiting.provider,
        "state": waiting.begun.state,
        "page": waiting.page(waiting.redirect),
        "shown": waiting.page(waiting.shown_at) if waiting.shown_at else "",
        "redirect": waiting.redirect,
        "problem": problem,
    }
    return show(request, "connections/login.html.j2", values, 400 if problem else 200)


@router.get("/connections/add/{provider}/login")
def come_back(request: Request, visitor: Owner, provider: str) -> Response:
    """Where the provider sends the browser. Its state is the proof that this user began it; it serves once."""
    waiting = _taken(request, visitor, provider, request.query_params.get("state", ""))
    if waiting is None:
        return _too_late(request)
    return _finish(request, waiting, f"?{request.url.query}", waiting.redirect)


@router.post("/connections/add/{provider}/login", dependencies=[OwnForm])
def typed_in(request: Request, visitor: Owner, provider: str, state: Words = "", answer: Answer = "") -> Response:
    """A code that the provider showed, or the address that the browser was sent to, typed in."""
    waiting = _taken(request, visitor, provider, state)
    if waiting is None:
        return _too_late(request)
    ours = not waiting.shown_at or answer.strip().startswith(waiting.redirect)
    return _finish(request, waiting, answer, waiting.redirect if ours else waiting.shown_at)


def _taken(request: Request, visitor: Visitor, provider: str, state: str) -> Waiting | None:
    if provider not in catalog.slugs():
        raise NotThere
    logins: dict[str, Waiting] = site_of(request).logins
    found = logins.get(state)
    if found is None or (found.visitor_id, found.provider) != (visitor.id, provider):
        return None
    logins.pop(state, None)
    return found if deps_of(request).now() - found.at < HELD else None


def _finish(request: Request, waiting: Waiting, answer: str, redirect: str) -> Response:
    try:
        tokens = trial.logged_in(
            waiting.deps, waiting.allowed, waiting.begun, answer, redirect, waiting.credentials, waiting.options
        )
    except ProviderError as error:
        waiting.begun = Begun()  # a state and a verifier serve one login
        return _ask(request, waiting, problem=str(error))
    return waiting.then(request, tokens)


def _too_late(request: Request) -> Response:
    say = speech(request)._
    told = say("It was begun too long ago, by somebody else, or it has ended already. Begin again under Connections.")
    return show(request, "message.html.j2", {"title": say("This login is over"), "told": told}, 400)
