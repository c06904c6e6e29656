"""What every page stands on: the ledger, templates, cookies, form tokens, and who is asking."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any, cast
from urllib.parse import quote, unquote

from fastapi import Depends, Form, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment

from tracker import accounts, audit, sample
from tracker.accounts import OWNER, Visitor
from tracker.connections import Deps
from tracker.statements.desk import Desk
from tracker.store.revision import Revision
from tracker.web.guard import Window
from tracker.web.language import Speech, chosen, written_as
from tracker.web.remembered import Remembered

SESSION, VISIT, SAID, WANTED = "tracker_session", "tracker_visit", "tracker_said", "tracker_wanted"
_VISIT_S, _SAID_S, _SAID_MAX, _WANTED_S = 12 * 3600, 60, 500, 900
#: An address of ours: browsers read what begins with two slashes or a backslash as another site's.
_OURS = re.compile(r"/(?![/\\])[!-\[\]-~]{0,1000}")
#: A field of a form. PostgreSQL takes no NUL in a text, not even to look for it.
Words = Annotated[str, Form(max_length=1000, pattern=r"^[^\x00]*$")]
#: The number of a row in an address.
RowId = Annotated[int, Path(ge=1, lt=2**63)]


class LogIn(Exception):
    """The page is for users only."""


class OwnersOnly(Exception):
    """Viewers may look, not change."""


class NotThere(Exception):
    """There is no such page, because what it would be about does not exist."""


class Stale(Exception):
    """A form that this browser was not given, or was given too long ago."""


@dataclass
class Site:
    """One running web process. `key` and the counters last as long as it does."""

    deps: Deps
    pages: Environment
    setup_token: str | None
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    tries: Window = field(default_factory=lambda: Window(10, timedelta(minutes=15)))
    all_tries: Window = field(default_factory=lambda: Window(200, timedelta(minutes=15)))
    received: Window = field(default_factory=lambda: Window(600, timedelta(minutes=1)))
    play: Callable[[], object] | None = None  # starts the sample data, where this process can
    wake: Callable[[], object] = lambda: None  # has the clock look now, where it is in this process
    desk: Desk | None = None  # imports under way, once there were any
    logins: dict[str, Any] = field(default_factory=dict)  # those under way at providers, by their state

    def __post_init__(self) -> None:
        self.revision = Revision(self.deps.engine)
        self.remembered = Remembered(self.revision)

    def shows_sample(self) -> bool:
        """Whether the banner of the sample data stands on every page."""
        engine = self.deps.engine
        return self.remembered.get("sample", self.deps.now(), lambda: sample.present(engine))


def site_of(request: Request) -> Site:
    return cast(Site, request.app.state.site)


def deps_of(request: Request) -> Deps:
    return site_of(request).deps


def speech(request: Request) -> Speech:
    """How the page that answers a request speaks."""
    if (known := getattr(request.state, "speech", None)) is not None:
        return cast(Speech, known)
    deps, visitor = deps_of(request), current(request)
    settings, asked = deps.settings, request.headers.get("accept-language", "")
    language = chosen(visitor and visitor.language, asked, settings.locale.split("_")[0])
    locale = written_as(language, settings.locale, asked)
    request.state.speech = found = Speech(language, locale, settings.zone, settings.currency, deps.now())
    return found


def show(request: Request, name: str, values: Mapping[str, Any], status: int = 200) -> Response:
    """A page. Its forms get a token that only this browser's cookie fits."""
    site, visit = site_of(request), request.cookies.get(VISIT) or secrets.token_urlsafe(16)
    said, visitor, w = request.cookies.get(SAID), current(request), speech(request)
    told = {
        "visitor": visitor,
        "is_owner": visitor is not None and visitor.role == OWNER,
        "path": request.url.path,
        "said": said and unquote(said)[:_SAID_MAX],
        "w": w,
        "_": w._,
        "gettext": w._,
        "ngettext": w.n,
        "banner": visitor is not None and site.shows_sample(),
        **values,
        "form_token": form_token(site, visit),
    }
    response = HTMLResponse(site.pages.get_template(name).render(told), status)
    response.headers["Content-Language"] = w.language
    _keep(request, response, VISIT, visit, _VISIT_S)
    if said:
        response.delete_cookie(SAID, path="/")
    return response


def go(path: str, said: str = "") -> RedirectResponse:
    """To another page, which says `said` once. `path` is one of ours, never what somebody sent."""
    response = RedirectResponse(path, 303)
    if said:  # a byte takes up to three characters here, and browsers drop a cookie of more than 4,096
        said = said[:_SAID_MAX].encode()[:1200].decode(errors="ignore")
        response.set_cookie(SAID, quote(said), max_age=_SAID_S, path="/", httponly=True, samesite="lax")
    return response


def note(request: Request, visitor: Visitor, action: str, subject: str = "") -> None:
    """Write into the audit trail what a user did."""
    deps = deps_of(request)
    audit.record(deps.engine, deps.now(), actor=visitor.name, action=action, subject=subject, sender=sender_of(request))


def sender_of(request: Request) -> str:
    return request.client.host if request.client else ""


# --- cookies ---


def _keep(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=seconds, path="/", httponly=True, samesite="lax", secure=secure)


def to_login(request: Request) -> Response:
    """To the login, which leads on to the page that was asked for."""
    response = go("/login")
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    a_page = request.method == "GET" and request.headers.get("sec-fetch-dest", "document") == "document"
    if a_page and asked != "/" and _OURS.fullmatch(asked):
        _keep(request, response, WANTED, quote(asked), _WANTED_S)
    return response


def wanted(request: Request) -> str:
    """The page that somebody asked for before they had to log in. Other programs of the machine can set cookies too."""
    asked = unquote(request.cookies.get(WANTED, ""))
    return asked if _OURS.fullmatch(asked) else "/"


def log_in(request: Request, response: Response, user_id: int) -> None:
    """Open a session in this browser, another than any that it had before."""
    _end_session(request)
    deps = site_of(request).deps
    token = accounts.open_session(deps.engine, user_id, deps.now())
    _keep(request, response, SESSION, token, int(accounts.SESSION.total_seconds()))
    for name in (VISIT, WANTED):
        response.delete_cookie(name, path="/")


def log_out(request: Request, response: Response) -> None:
    """End the session of this browser, in the ledger as well."""
    _end_session(request)
    response.delete_cookie(SESSION, path="/")


def _end_session(request: Request) -> None:
    if token := request.cookies.get(SESSION):
        accounts.close_session(site_of(request).deps.engine, token)


def current(request: Request) -> Visitor | None:
    """Who is logged in; looked up once for each request."""
    if not hasattr(request.state, "visitor"):
        deps, token = site_of(request).deps, request.cookies.get(SESSION)
        request.state.visitor = accounts.visitor(deps.engine, token, deps.now()) if token else None
    return cast(Visitor | None, request.state.visitor)


def only_users(request: Request) -> Visitor:
    found = current(request)
    if found is None:
        raise LogIn
    return found


User = Annotated[Visitor, Depends(only_users)]


def only_owners(visitor: User) -> Visitor:
    if visitor.role != OWNER:
        raise OwnersOnly
    return visitor


Owner = Annotated[Visitor, Depends(only_owners)]

# --- forms ---


def form_token(site: Site, visit: str) -> str:
    return hmac.new(site.key, visit.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def own_form(request: Request, form_token_given: Annotated[str, Form(alias="form_token", max_length=100)] = "") -> None:
    """Raises Stale for a form that another site sent, or that this one did not give to this browser.

    The token alone would not do where other programs of the machine answer under the same name, because they can set
    cookies too; but no browser lets a page choose these headers. It may say that the origin is "null", as it does where
    pages send no referrer (fetch.spec.whatwg.org, "append a request Origin header"), and the scheme is the proxy's.
    """
    host, visit = request.headers["host"], request.cookies.get(VISIT, "")
    origins, sites = (None, "null", f"http://{host}", f"https://{host}"), (None, "same-origin")
    ours = request.headers.get("origin") in origins and request.headers.get("sec-fetch-site") in sites
    given = form_token_given.encode(errors="surrogatepass")
    right = hmac.compare_digest(given, form_token(site_of(request), visit).encode())
    if not (visit and right and ours):
        raise Stale


OwnForm = Depends(own_form)
