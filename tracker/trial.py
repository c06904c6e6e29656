"""Trying out credentials with the cheapest calls, of a connection or before there is one; recording a sample."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import msgspec

from tracker.connect import catalog, login
from tracker.connect.auth import Login, at
from tracker.connect.fetch import Client
from tracker.connect.plans import When
from tracker.connect.replay import MemoryTokens, Sample, record_sample
from tracker.connections import Deps, check, limits_of, open_client
from tracker.errors import AuthRejected, ProviderError, RightMissing

#: Seconds of a trial after which no further resource is asked for, because somebody waits for the answer.
TRIAL_S = 40.0


class Tried(msgspec.Struct, frozen=True):
    """What trying a resource showed. `problem` is empty when it can be read."""

    resource: str
    readable: bool
    problem: str = ""
    right: str = ""


class _NothingKnown:
    def open_ids(self, after: str, limit: int) -> list[str]:
        return []

    def payouts_to_itemise(self, limit: int) -> list[str]:
        return []


def try_out(deps: Deps, row: Any) -> list[Tried]:
    """Prove the credentials with the first page of every resource, of the newest day where there is a date filter.

    Raises AuthRejected when the credentials themselves are refused, Unavailable when the provider cannot be reached.
    """
    return _try(open_client(deps, row, tries=2), deps.now(), [])  # somebody is waiting for the answer


class Trial(msgspec.Struct, kw_only=True):
    """What a trial before there is a connection showed, up to the `trouble` that ended it.

    `tokens` were handed out meanwhile. Whoever stores the credentials stores them as well: a refresh token that was
    replaced by another would not be taken again.
    """

    tried: list[Tried] = []
    tokens: dict[str, str] = {}
    trouble: ProviderError | None = None


def before(
    deps: Deps,
    provider: str,
    credentials: Mapping[str, str],
    options: Mapping[str, str],
    handed_out: Mapping[str, str] | None = None,
) -> Trial:
    """Prove credentials that no connection has yet. Nothing is stored. `handed_out` are tokens that came with them.

    Raises UsageError as `connections.add` does.
    """
    connector = catalog.find(provider)
    credentials, options = check(connector, credentials, options)
    http, limits = deps.http(), msgspec.structs.replace(limits_of(deps.settings), tries=2)
    tokens = MemoryTokens(deps.now(), http, limits)
    tokens.stored = dict(handed_out or {})
    more: dict[str, Any] = {} if deps.sleep is None else {"sleep": deps.sleep}
    client = Client(
        connector,
        slug=provider,
        credentials={name: value for name, value in credentials.items() if value},
        options={name: value for name, value in options.items() if value},
        tokens=tokens,
        http=http,
        pace=deps.pace,
        limits=limits,
        **more,
    )
    found = Trial()
    try:
        _try(client, deps.now(), found.tried)
    except ProviderError as error:
        found.trouble = error
    found.tokens = tokens.stored
    return found


def logged_in(
    deps: Deps, allowed: Login, begun: login.Begun, answer: str, redirect: str,
    credentials: Mapping[str, str], options: Mapping[str, str],
) -> dict[str, str]:  # fmt: skip
    """The tokens for what came back from a login: an address with a code in it, or the code. `redirect` as asked for.

    Raises AuthRejected, Unavailable or UnexpectedData.
    """
    code = login.code_of(answer, begun)
    post = MemoryTokens(deps.now(), deps.http(), limits_of(deps.settings)).post
    return login.tokens(allowed, begun, code, redirect, credentials, options, post=post, now=deps.now())


def refresh_token_of(
    deps: Deps, allowed: Login, credentials: Mapping[str, str], options: Mapping[str, str], ask: Callable[[str], str]
) -> str:
    """What a login without a page of ours brings: `ask` is given the address to open and answers with the code that the
    provider shows. Raises as `logged_in` does.
    """
    begun, shown_at = login.Begun(), at(allowed.shown_at, options)
    answer = ask(login.page(allowed, begun, credentials, options, shown_at))
    return logged_in(deps, allowed, begun, answer, shown_at, credentials, options)["refresh_token"]


def _try(client: Client, now: datetime, tried: list[Tried]) -> list[Tried]:
    begun = monotonic()
    for resource in client.connector.resources:
        if monotonic() - begun > TRIAL_S:
            break
        when = When(now=now, since=now - timedelta(days=1))
        leg = next(resource.plan.legs({}, when, _NothingKnown(), lambda leg: iter(())), None)
        if leg is None or leg.path == "":
            continue
        try:
            next(client.pages(resource, leg), None)
            tried.append(Tried(resource.name, True, right=resource.right))
        except RightMissing as error:
            tried.append(Tried(resource.name, False, str(error), resource.right))
        except AuthRejected:
            raise
        except ProviderError as error:
            if resource.absent is None or not resource.absent(error):
                raise
            tried.append(Tried(resource.name, True, "this account does not have it", resource.right))
    return tried


def record(deps: Deps, row: Any, resource: str, since: datetime) -> Sample:
    """Read a resource for real and keep the exchanges as a sample, without secrets and personal fields."""
    client = open_client(deps, row)
    wanted = client.connector.resource(resource)
    return record_sample(client, wanted, When(now=deps.now().replace(microsecond=0), since=since), _NothingKnown())
