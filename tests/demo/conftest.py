"""A fresh sandbox for each test, at one fixed moment, clients that speak to it, and what all networks must do alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import pytest
import requests

from tests.connectors.over_http import Book
from tests.world import World
from tracker import connections
from tracker.demo.exchange import Logged
from tracker.demo.server import Sandbox
from tracker.errors import ProviderError, RateLimited, UnexpectedData
from tracker.records import Earning, Status

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
Get = Callable[..., requests.Response]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, seed=7) as sandbox:
        yield sandbox


@pytest.fixture
def unhurried() -> Iterator[Sandbox]:
    """Without limits of calls, so that it may be read several times in one test."""
    with Sandbox(now=NOW, seed=7, rate_limits=False) as sandbox:
        yield sandbox


# --- a connector's later reads, and its trouble ---


class Twice(NamedTuple):
    """The earnings that a book knew at first and after a second read, and those that a new book then finds.

    `asked` is what the second read asked for.
    """

    before: dict[str, Earning]
    later: dict[str, Earning]
    anew: dict[str, Earning]
    asked: Sequence[Logged]

    @property
    def common(self) -> dict[str, Earning]:
        """What is known later, without what is too old for the new book."""
        return {key: found for key, found in self.later.items() if key in self.anew}

    @property
    def moves(self) -> set[tuple[Status, Status]]:
        return {(old.status, self.later[key].status) for key, old in self.before.items()}

    def changed(self, field: str) -> bool:
        """Whether an earning changed in that since it was first read."""
        return any(getattr(old, field) != getattr(self.later[key], field) for key, old in self.before.items())


def read_twice(
    sandbox: Sandbox,
    book: Callable[[Sandbox], Book],
    resource: str,
    since: datetime,
    *days_ago: int,
    anew_since: datetime | None = None,
) -> Twice:
    """Read at first so many days ago, then on each of the following, and in the end today."""
    ours, (first, *following) = book(sandbox), days_ago
    sandbox.now = NOW - timedelta(days=first)
    ours.read(resource, now=sandbox.now, since=since)
    before = ours.earnings
    sandbox.forget_requests()
    for days in (*following, 0):
        sandbox.now = NOW - timedelta(days=days)
        ours.read(resource, now=sandbox.now, since=since)
    asked = sandbox.requests
    anew = book(sandbox)
    anew.read(resource, now=NOW, since=anew_since or since)
    return Twice(before, ours.earnings, anew.earnings, asked)


TROUBLES: dict[str, type[ProviderError]] = {
    "rate_limited": RateLimited,
    "error_body": UnexpectedData,
    "repeated_cursor": UnexpectedData,
}


def check_troubles(
    sandbox: Sandbox,
    provider: str,
    read: Callable[[], object],
    told: Mapping[str, type[ProviderError]] = TROUBLES,
    **where: Any,
) -> None:
    """Every trouble that the sandbox makes ends the read with the error that says what is to be done."""
    for trouble, error in told.items():
        sandbox.fail(provider, trouble, times=None, **where)
        with pytest.raises(error):
            read()
        sandbox.heal()


# --- a ledger ---


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path / 'tracker.db'}", tmp_path / "data") as world:
        yield world


def connect(
    world: World,
    sandbox: Sandbox,
    provider: str,
    at: datetime,
    since: datetime,
    keys: Mapping[str, str] | None = None,
    **options: str,
) -> None:
    """Connect the ledger to the sandbox and set the clocks of both; `keys` take the place of the right ones."""
    world.now = sandbox.now = at
    credentials = sandbox.credentials(provider) | dict(keys or {})
    options["base_url"] = sandbox.url(provider)
    connections.add(world.deps, provider, provider, credentials=credentials, options=options, since=since)


# --- clients ---


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def awin(sandbox: Sandbox, http: requests.Session) -> Get:
    keys = sandbox.credentials("awin")

    def get(path: str, **params: Any) -> requests.Response:
        url = f"{sandbox.url('awin')}{path.format(id=keys['publisher_id'])}"
        return http.get(url, params=params, headers={"Authorization": f"Bearer {keys['token']}"}, timeout=10)

    return get


@pytest.fixture
def stripe(sandbox: Sandbox, http: requests.Session) -> Get:
    """`get(path, params, version=…, key=…)`; params as pairs, because Stripe repeats names."""
    own = sandbox.credentials("stripe")["api_key"]

    def get(path: str, params: Any = (), *, version: str = "2026-06-24.dahlia", key: str = own) -> requests.Response:
        headers = {"Authorization": f"Bearer {key}", "Stripe-Version": version}
        return http.get(f"{sandbox.url('stripe')}/v1/{path}", params=params, headers=headers, timeout=10)

    return get


@pytest.fixture
def all_of(stripe: Get) -> Callable[..., list[dict[str, Any]]]:
    """Every object of one of Stripe's lists, newest first, page by page."""

    def read(path: str, *params: tuple[str, str], version: str = "2026-06-24.dahlia") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for _ in range(200):
            cursor = [("starting_after", found[-1]["id"])] if found else []
            answer = stripe(path, [*params, *cursor, ("limit", "100")], version=version)
            assert answer.status_code == 200, answer.text
            found += answer.json()["data"]
            if not answer.json()["has_more"]:
                return found
        raise AssertionError("the list does not end")

    return read


@pytest.fixture
def woo(sandbox: Sandbox, http: requests.Session) -> Get:
    keys = sandbox.credentials("woocommerce")

    def get(path: str, **params: Any) -> requests.Response:
        url = path if path.startswith("http") else f"{sandbox.url('woocommerce')}/wp-json/wc/v3/{path}"
        return http.get(url, params=params, auth=(keys["consumer_key"], keys["consumer_secret"]), timeout=10)

    return get


@pytest.fixture
def cj(sandbox: Sandbox, http: requests.Session) -> Callable[..., dict[str, Any]]:
    """`ask(arguments, fields)` posts the bare query, as CJ's own example does."""
    keys = sandbox.credentials("cj")

    def ask(arguments: str, fields: str, *, token: str = keys["personal_access_token"]) -> dict[str, Any]:
        query = f'{{ publisherCommissions(forPublishers: ["{keys["publisher_cid"]}"] {arguments}) {{ {fields} }} }}'
        headers = {"Authorization": f"Bearer {token}"}
        answer = http.post(f"{sandbox.url('cj')}/query", data=query, headers=headers, timeout=10)
        assert answer.status_code == 200
        body: dict[str, Any] = answer.json()
        return body

    return ask


@pytest.fixture
def ghost_token(sandbox: Sandbox) -> Callable[..., str]:
    """A signed token; each claim can be spoilt."""
    key_id, _, secret = sandbox.credentials("ghost")["admin_api_key"].partition(":")

    def sign(
        *,
        seconds: int = 300,
        issued: int | None = None,
        audience: str = "/admin/",
        kid: str = key_id,
        raw: bool = False,
    ) -> str:
        issued = int(sandbox.now.timestamp()) if issued is None else issued
        claims = {"iat": issued, "exp": issued + seconds, "aud": audience}
        return jwt.encode(claims, secret if raw else bytes.fromhex(secret), algorithm="HS256", headers={"kid": kid})

    return sign


@pytest.fixture
def ghost(sandbox: Sandbox, http: requests.Session, ghost_token: Callable[..., str]) -> Get:
    def get(path: str, token: str | None = None, **params: Any) -> requests.Response:
        headers = {"Authorization": f"Ghost {ghost_token() if token is None else token}"}
        return http.get(f"{sandbox.url('ghost')}/ghost/api/admin/{path}", params=params, headers=headers, timeout=10)

    return get
