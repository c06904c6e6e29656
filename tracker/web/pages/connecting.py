"""Connecting a provider: the catalogue, and a form made of what the connector declares. Tried before it is stored.

Secrets are never sent back to a browser. What was typed is sealed between two steps (a list of ids to choose from, a
provider that cannot be reached), so that nobody has to type a key twice.
"""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from tracker import connections, discover, trial
from tracker.accounts import Visitor
from tracker.connect import catalog
from tracker.connect.auth import Login
from tracker.connect.connector import Connector
from tracker.connections import Deps
from tracker.discover import Seen
from tracker.errors import AuthRejected, ConfigError, ProviderError, Unavailable, UsageError
from tracker.hours import read_interval, read_quiet
from tracker.records import Role
from tracker.store import reads_connections
from tracker.store.database import reading
from tracker.tending import TITLE_MAX
from tracker.trial import Trial
from tracker.web.pages import authorizing
from tracker.web.pages.connected import capital, intervals, tile
from tracker.web.site import NotThere, Owner, OwnForm, deps_of, go, note, show, site_of, speech

router = APIRouter()
#: The longest field, for keys that are whole files.
FIELD_MAX = 20_000
#: Seconds that one answer may take while somebody waits for it, and how long a sealed form may be used.
ANSWER_S, HELD = 15, timedelta(minutes=30)


async def fields(request: Request) -> dict[str, str]:
    """The fields of a form whose names the connector decides on. Files, overlong ones and NULs are left out."""
    return {
        name: value
        for name, value in (await request.form(max_fields=200)).items()
        if isinstance(value, str) and len(value) <= FIELD_MAX and "\0" not in name + value
    }


Fields = Annotated[Mapping[str, str], Depends(fields)]


def given(typed: Mapping[str, str], group: str) -> dict[str, str]:
    """The fields named "<group>.<name>", by name."""
    return {name.partition(".")[2]: value for name, value in typed.items() if name.startswith(f"{group}.")}


def brief(deps: Deps) -> Deps:
    """For somebody who waits: a provider that does not answer is given up soon."""
    timeout_s = min(deps.settings.timeout_s, ANSWER_S)
    return msgspec.structs.replace(deps, settings=deps.settings.model_copy(update={"timeout_s": timeout_s}))


# --- the catalogue ---


class Listed(msgspec.Struct, frozen=True):
    """A provider in the catalogue."""

    slug: str
    connector: Connector

    @property
    def words(self) -> str:
        """What it is found by."""
        return f"{self.slug} {self.connector.title} {self.connector.kind}".lower()


def listed(query: str) -> list[Listed]:
    """Providers whose name or kind has every word of the query."""
    every = [Listed(slug, catalog.find(slug)) for slug in catalog.slugs()]
    wanted = query.lower().split()
    found = [one for one in every if all(word in one.words for word in wanted)]
    return sorted(found, key=lambda one: one.connector.title.lower())


@router.get("/connections/add")
def choose(request: Request, visitor: Owner, q: Annotated[str, Query(max_length=80)] = "") -> Response:
    values = {"q": q, "providers": listed(q), "tile": tile, "faults": list(catalog.faults())}
    return show(request, "connections/catalogue.html.j2", values)


# --- the form ---


class Draft(msgspec.Struct, kw_only=True):
    """What was typed in. `tokens` were handed out while the credentials were tried."""

    typed: Mapping[str, str] = {}
    credentials: dict[str, str] = {}
    options: dict[str, str] = {}
    tokens: dict[str, str] = {}

    def seal(self, deps: Deps, owner: str) -> str:
        """For a field of the form: only we can open it, and only for a while."""
        held = {"credentials": self.credentials, "tokens": self.tokens, "at": deps.now()}
        return deps.vault.seal(owner, {"held": msgspec.json.encode(held).decode()})

    @classmethod
    def of(cls, deps: Deps, connector: Connector, typed: Mapping[str, str], owner: str) -> "Draft":
        """What was typed now, over what was sealed a moment ago."""
        held = _opened(deps, typed.get("held", ""), owner)
        typed_now = {name: value for name, value in given(typed, "credential").items() if value.strip()}
        same = all(held.credentials.get(name) == value for name, value in typed_now.items())
        never = {"held", *(f"credential.{name}" for name in _secret(connector))}
        shown = {name: value for name, value in typed.items() if name not in never}
        return cls(
            typed=shown,
            credentials=held.credentials | typed_now,
            options={name: value for name, value in given(typed, "option").items() if value.strip()},
            tokens=held.tokens if same else {},
        )

    def keep(self, connector: Connector, tokens: dict[str, str]) -> None:
        """What a trial or a login brought: a new refresh token takes the place of the one that it used up."""
        self.tokens, login = tokens, connector.auth.login
        if login and tokens.get("refresh_token"):
            self.credentials[login.fills] = tokens["refresh_token"]

    def forget(self, connector: Connector) -> None:
        """Drop the secrets: they are no good."""
        self.credentials = {name: one for name, one in self.credentials.items() if name not in _secret(connector)}


class _Held(msgspec.Struct):
    credentials: dict[str, str] = {}
    tokens: dict[str, str] = {}
    at: datetime | None = None


def _secret(connector: Connector) -> set[str]:
    return {name for name, one in connector.credentials.items() if one.secret}


def _opened(deps: Deps, sealed: str, owner: str) -> _Held:
    try:
        held = msgspec.json.decode(deps.vault.unseal(owner, sealed)["held"], type=_Held) if sealed else _Held()
    except (ConfigError, KeyError, ValueError, TypeError):  # of another form or another user, or made up
        return _Held()
    return held if held.at and timedelta() <= deps.now() - held.at < HELD else _Held()


@router.get("/connections/add/{provider}")
def ask(request: Request, visitor: Owner, provider: str) -> Response:
    return _form(request, provider, _connector(provider), Draft())


@router.post("/connections/add/{provider}", dependencies=[OwnForm])
def connect(request: Request, visitor: Owner, provider: str, typed: Fields) -> Response:
    connector = _connector(provider)
    draft = Draft.of(deps_of(request), connector, typed, _owner(visitor, provider))
    return _attempt(request, visitor, provider, connector, draft, typed.get("do", "connect"))


def _attempt(
    request: Request, visitor: Visitor, provider: str, connector: Connector, draft: Draft, do: str
) -> Response:
    deps, owner, found = deps_of(request), _owner(visitor, provider), Trial()
    more: dict[str, Any] = {}
    try:
        if do == "find" or any(not draft.credentials.get(name) for name in _found_by(connector)):
            more["seen"] = seen = discover.before(brief(deps), provider, draft.credentials, draft.options)
            if do == "find" or not _looked_up(connector, draft, seen):
                return _form(request, provider, connector, draft, held=draft.seal(deps, owner), **more)
        wanted = _wanted(deps, connector, draft)
        with reading(deps.engine) as conn:
            connections.check_slug(conn, wanted["slug"])
        login = connector.auth.login
        if login and not draft.credentials.get(login.fills):
            connections.check(connector, {**draft.credentials, login.fills: "-"}, draft.options)
            return _log_in(request, visitor, provider, connector, login, draft)
        if do != "anyway":
            found = trial.before(brief(deps), provider, draft.credentials, draft.options, draft.tokens)
            draft.keep(connector, found.tokens)
        if isinstance(found.trouble, AuthRejected):
            draft.forget(connector)
        if found.trouble or not all(one.readable for one in found.tried):
            may = found.trouble is None or isinstance(found.trouble, Unavailable)
            more = {"tried": found.tried, "problem": str(found.trouble or ""), "may_go_on": may}
            return _form(request, provider, connector, draft, 400, held=draft.seal(deps, owner), **more)
        row = connections.add(
            deps, provider, credentials=draft.credentials, options=draft.options, tokens=draft.tokens, **wanted
        )
    except (UsageError, ProviderError) as error:
        if isinstance(error, AuthRejected):
            draft.forget(connector)
        return _form(request, provider, connector, draft, 400, held=draft.seal(deps, owner), problem=str(error))
    site_of(request).wake()
    note(request, visitor, "connection added", row.slug)
    return go(f"/connections/{row.slug}", _said(request, found))


def _log_in(
    request: Request, visitor: Visitor, provider: str, connector: Connector, login: Login, draft: Draft
) -> Response:
    """Have the user log in at the provider; what that brings is tried like keys that were typed in."""

    def then(request: Request, tokens: dict[str, str]) -> Response:
        draft.keep(connector, tokens)
        return _attempt(request, visitor, provider, connector, draft, "connect")

    deps = brief(deps_of(request))
    return authorizing.ask(request, visitor, provider, login, draft.credentials, draft.options, deps, then)


def _found_by(connector: Connector) -> list[str]:
    """The required ids that the provider can list."""
    fills = {one.fills for one in connector.discover}
    return [name for name, wanted in connector.credentials.items() if wanted.required and name in fills]


def _looked_up(connector: Connector, draft: Draft, seen: Seen) -> bool:
    """Fill in the ids of which the key sees just one. Answers whether none is left to be chosen."""
    for name in _found_by(connector):
        choices = seen.choices(name)
        if not draft.credentials.get(name) and len(choices) == 1:
            draft.credentials[name] = choices[0].id
    return all(draft.credentials.get(name) for name in _found_by(connector))


def _said(request: Request, found: Trial) -> str:
    w = speech(request)
    if not found.tried:
        return w._("Connected. It is read as soon as the provider can be reached.")
    names = (w._(one.resource.replace("_", " ").replace("-", " ")) for one in found.tried)
    return w._("Connected. Your key opens %(names)s.", names=w.listed(names))


def _connector(provider: str) -> Connector:
    if provider not in catalog.slugs():
        raise NotThere
    return catalog.find(provider)


def _owner(visitor: Visitor, provider: str) -> str:
    """What a sealed form is bound to; no connection can be called that."""
    return f"form {visitor.id} {provider}"


def _wanted(deps: Deps, connector: Connector, draft: Draft) -> dict[str, Any]:
    """What `connections.add` takes beside credentials and options. Raises UsageError."""
    typed = {name: value.strip() for name, value in draft.typed.items()}
    title, role = typed.get("title", ""), typed.get("role") or None
    if len(title) > TITLE_MAX or not title.isprintable() or len(typed.get("stream", "")) > TITLE_MAX:
        raise UsageError("the title is too long.", hint=f"Write up to {TITLE_MAX} characters in one line.")
    if role not in (None, *Role):
        raise UsageError("that is not a role.")
    since = None
    if typed.get("since"):
        try:
            since = datetime.combine(datetime.fromisoformat(typed["since"]).date(), time(), deps.settings.zone)
        except ValueError:
            raise UsageError("the first day is not a day.", hint="Write it as 2026-06-30.") from None
    return {
        "slug": typed.get("slug", ""),
        "title": title or connector.title,
        "stream": typed.get("stream") or None,
        "role": role,
        "since": since,
        "interval_s": read_interval(typed.get("interval") or "1h"),
        "quiet": read_quiet(typed["quiet"]) if typed.get("quiet") else None,
    }


def _form(
    request: Request, provider: str, connector: Connector, draft: Draft, status: int = 200, **more: Any
) -> Response:
    deps, w = deps_of(request), speech(request)
    with reading(deps.engine) as conn:
        streams = reads_connections.streams(conn)
    own = {name: one for name, one in connector.options.items() if name != "base_url" or not connector.base_url}
    values = {
        "provider": provider,
        "connector": connector,
        "tile": tile,
        "capital": capital,
        "typed": {"slug": _free_slug(deps, provider), "title": connector.title, "interval": "1h", **draft.typed},
        "kept": draft.credentials.keys(),
        "options": own,
        "found_by": _found_by(connector),
        "login": connector.auth.login,
        "redirect": authorizing.address(request, provider),
        "streams": streams,
        "intervals": intervals(w),
        "backfill": deps.settings.backfill_from(deps.now().date()),
        "problem": "",
        "held": "",
        "seen": None,
        "tried": [],
        "may_go_on": False,
        **more,
    }
    return show(request, "connections/add.html.j2", values, status)


def _free_slug(deps: Deps, provider: str) -> str:
    taken = {row.slug for row in connections.every(deps.engine)}
    numbered = (f"{provider[:36]}-{number}" for number in range(2, len(taken) + 3))
    return provider if provider not in taken else next(one for one in numbered if one not in taken)
