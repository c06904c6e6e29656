"""Authentication schemes: what they put on a request, and that a rotated token is safe before it is used."""

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tracker.connect.auth import (
    Request,
    Scheme,
    basic,
    bearer,
    client_credentials,
    header,
    query,
    refresh_token,
    signed,
    token,
)
from tracker.connect.replay import MemoryTokens
from tracker.errors import AuthRejected

NOW = datetime(2026, 6, 15, 10, tzinfo=UTC)
KEYS = {"key": "k", "secret": "s:é", "refresh": "r0"}


class Endpoint(MemoryTokens):
    """A token endpoint whose answers are given; remembers in which order things happened."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        super().__init__(NOW)
        self.answers = list(answers)
        self.happened: list[Any] = []

    def save(self, values: dict[str, str]) -> None:
        self.happened.append(("saved", values.get("refresh_token")))
        super().save(values)

    def post(self, url: str, form: Any, headers: Any) -> Any:
        self.happened.append(("asked", dict(form)))
        return self.answers.pop(0)


def put(scheme: Scheme, tokens: MemoryTokens | None = None) -> Request:
    request = Request(method="GET", url="https://api.example/list")
    scheme(request, KEYS, tokens or MemoryTokens(NOW))
    return request


def test_plain_schemes_put_the_credential_where_the_provider_wants_it() -> None:
    assert put(bearer("key")).headers == {"Authorization": "Bearer k"}
    assert put(header("X-Api-Key", "key", "Token ")).headers == {"X-Api-Key": "Token k"}
    assert put(query(api_key="key", token="secret")).params == {"api_key": "k", "token": "s:é"}
    pair = put(basic("key", "secret")).headers["Authorization"].removeprefix("Basic ")
    assert b64decode(pair).decode() == "k:s:é"
    assert b64decode(put(basic("key")).headers["Authorization"].removeprefix("Basic ")) == b"k:"


def test_a_signature_is_made_for_the_moment_of_the_request() -> None:
    tokens = MemoryTokens(NOW)
    scheme = signed(lambda request, keys, now: request.headers.update(At=now.isoformat()))
    first = put(scheme, tokens).headers
    tokens.now += timedelta(minutes=7)
    assert first != put(scheme, tokens).headers


def test_a_token_is_asked_for_once_and_kept_until_a_minute_before_its_end() -> None:
    tokens = Endpoint({"access_token": "a1", "expires_in": 600}, {"access_token": "a2", "expires_in": "600"})
    scheme = client_credentials("https://api.example/token", "key", "secret", scope="read")
    for _ in range(3):
        assert put(scheme, tokens).headers["Authorization"] == "Bearer a1"
    tokens.now = NOW + timedelta(seconds=541)
    assert put(scheme, tokens).headers["Authorization"] == "Bearer a2"
    assert [form for what, form in tokens.happened if what == "asked"] == [
        {"grant_type": "client_credentials", "client_id": "k", "client_secret": "s:é", "scope": "read"}
    ] * 2


def test_a_token_is_put_and_asked_for_as_the_provider_wants_it() -> None:
    class Address(Endpoint):
        def post(self, url: str, form: Any, headers: Any) -> Any:
            self.happened.append((url, headers["X-Id"]))
            return super().post(url, form, headers)

    tokens = Address({"access_token": "a1", "expires_in": 600}, {"access_token": "a2"})
    scheme = token(
        "https://login.example/v2/token",
        lambda keys: {"scope": keys["key"]},
        headers=lambda keys: {"X-Id": keys["key"]},
        param="access_token",
    )
    assert put(scheme, tokens).params == {"access_token": "a1"}
    tokens.stored = {}
    own = Request(method="GET", url="http://127.0.0.1/list", options={"base_url": "http://127.0.0.1/stand-in/"})
    scheme(own, KEYS, tokens)
    assert own.headers == {}
    asked = [("asked", {"scope": "k"}), ("saved", None)]
    assert tokens.happened == [
        *(("https://login.example/v2/token", "k"), *asked),
        *(("http://127.0.0.1/stand-in/v2/token", "k"), *asked),
    ]


def test_a_token_may_be_asked_for_in_the_query_and_answered_in_other_words() -> None:
    class Address(Endpoint):
        def post(self, url: str, form: Any, headers: Any) -> Any:
            self.happened.append(url)
            return super().post(url, form, headers)

    tokens = Address({"data": {"token": "a1"}}, {"data": {}})
    scheme = token(
        "https://login.example/token",
        lambda keys: {"user": keys["key"], "password": keys["secret"]},
        in_query=True,
        read=lambda answer: {"access_token": answer["data"].get("token"), "expires_in": 600},
        param="token",
    )
    assert put(scheme, tokens).params == {"token": "a1"}
    assert tokens.happened[:2] == ["https://login.example/token?user=k&password=s%3A%C3%A9", ("asked", {})]
    tokens.stored = {}
    with pytest.raises(AuthRejected):
        put(scheme, tokens)


def test_a_password_is_sent_only_when_no_refresh_token_is_taken() -> None:
    class Forgetful(Endpoint):
        def post(self, url: str, form: Any, headers: Any) -> Any:
            if form.get("refresh_token") == "r2":
                raise AuthRejected("expired")
            return super().post(url, form, headers)

    tokens = Forgetful(*({"access_token": f"a{n}", "refresh_token": f"r{n}", "expires_in": 30} for n in (1, 2, 3)))
    scheme = token("https://login.example/token", lambda keys: {"password": keys["key"]}, refreshed=True)
    for number in (1, 2, 3):
        assert put(scheme, tokens).headers == {"Authorization": f"Bearer a{number}"}
    forms = [form for what, form in tokens.happened if what == "asked"]
    assert forms == [{"password": "k"}, {"grant_type": "refresh_token", "refresh_token": "r1"}, {"password": "k"}]
    assert tokens.stored["refresh_token"] == "r3"


def test_a_rotated_refresh_token_is_saved_before_the_access_token_is_used() -> None:
    tokens = Endpoint({"access_token": "a1", "expires_in": 60, "refresh_token": "r1"}, {"access_token": "a2"})
    scheme = refresh_token("https://api.example/token", "key", "secret", "refresh")
    put(scheme, tokens)
    put(scheme, tokens)
    used = [form["refresh_token"] for what, form in tokens.happened if what == "asked"]
    assert used == ["r0", "r1"]
    assert [what for what, _ in tokens.happened] == ["asked", "saved", "asked", "saved"]
    assert tokens.stored["refresh_token"] == "r1"  # not rotated the second time: kept


def test_a_save_that_fails_uses_nothing() -> None:
    class Full(Endpoint):
        def save(self, values: dict[str, str]) -> None:
            raise OSError("disk full")

    request = Request(method="GET", url="https://api.example/list")
    with pytest.raises(OSError, match="disk full"):
        refresh_token("u", "key", None, "refresh")(request, KEYS, Full({"access_token": "a1"}))
    assert request.headers == {}


@pytest.mark.parametrize("answer", [{}, {"access_token": ""}, {"access_token": 7}, {"error": "invalid_grant"}])
def test_an_answer_without_a_token_is_a_refusal(answer: dict[str, Any]) -> None:
    with pytest.raises(AuthRejected, match="no access token"):
        put(client_credentials("u", "key", "secret"), Endpoint(answer))


@pytest.mark.parametrize("life", [None, "soon", -5, 10**12, 1.5])
def test_any_stated_life_of_a_token_is_survived(life: Any) -> None:
    tokens = Endpoint({"access_token": "a1", "expires_in": life})
    assert put(client_credentials("u", "key", "secret"), tokens).headers["Authorization"] == "Bearer a1"
    assert datetime.fromisoformat(tokens.stored["expires_at"]).tzinfo is not None
