"""A fresh sandbox for each test, at one fixed moment, and a client that speaks to it as a connector would."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
import requests

from tracker.demo.server import Sandbox

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
Get = Callable[..., requests.Response]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, seed=7) as sandbox:
        yield sandbox


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
