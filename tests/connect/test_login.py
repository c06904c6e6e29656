"""The authorization-code flow without a network: what is asked, what comes back, what it is worth."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.connect.test_declared import PLAIN
from tracker.connect.auth import Login, authorization_code
from tracker.connect.declared.connector import declare
from tracker.connect.login import Begun, code_of, page, tokens
from tracker.errors import AuthRejected, ConfigError

NOW = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
HERE = "http://127.0.0.1:8410/connections/add/example/login"
KEYS = {"id": "app 7", "secret": "s&cret"}
#: RFC 7636, appendix B.
BEGUN = Begun(state="of-this-login", verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def login(**more: Any) -> Login:
    found = authorization_code(
        "https://id.example/authorize?tenant=1", "https://id.example/token", "id", "secret", "refresh", **more
    ).login
    assert found
    return found


def test_the_page_is_asked_for_as_the_standard_says_and_without_a_secret() -> None:
    address = page(login(scope="read payouts", params={"access_type": "offline"}), BEGUN, KEYS, {}, HERE)
    assert address.startswith("https://id.example/authorize?")
    assert dict(parse_qsl(urlsplit(address).query)) == {
        "tenant": "1",
        "response_type": "code",
        "client_id": "app 7",
        "redirect_uri": HERE,
        "scope": "read payouts",
        "state": "of-this-login",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "access_type": "offline",
    }


def test_every_login_has_a_state_and_a_verifier_of_its_own() -> None:
    one, other = Begun(), Begun()
    assert len({one.state, one.verifier, other.state, other.verifier}) == 4
    assert 43 <= len(one.verifier) <= 128  # RFC 7636, 4.1


def test_the_code_is_exchanged_with_the_verifier_at_the_connections_own_address() -> None:
    asked: list[tuple[str, Mapping[str, str]]] = []

    def post(url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Mapping[str, Any]:
        asked.append((url, form))
        return {"access_token": "a", "refresh_token": "r", "expires_in": "60"}

    options = {"base_url": "https://proxy.example/idp"}
    found = tokens(login(), BEGUN, "c0de", HERE, KEYS, options, post=post, now=NOW)
    assert found == {"access_token": "a", "refresh_token": "r", "expires_at": "2026-06-15T10:01:00+00:00"}
    form = {
        "grant_type": "authorization_code",
        "code": "c0de",
        "redirect_uri": HERE,
        "client_id": "app 7",
        "client_secret": "s&cret",
        "code_verifier": BEGUN.verifier,
    }
    assert asked == [("https://proxy.example/idp/token", form)]


@pytest.mark.parametrize("answer", [{}, {"access_token": ""}, {"access_token": "a"}, {"refresh_token": "r"}])
def test_an_answer_without_both_tokens_is_refused(answer: Mapping[str, Any]) -> None:
    with pytest.raises(AuthRejected, match="gave no"):
        tokens(login(), BEGUN, "c", HERE, KEYS, {}, post=lambda *asked: answer, now=NOW)


@given(st.text(min_size=1, max_size=200).filter(lambda code: code.strip() == code and "\0" not in code))
def test_a_code_comes_out_of_an_address_as_it_went_in(code: str) -> None:
    assert code_of(f"{HERE}?{urlencode({'code': code, 'state': BEGUN.state})}", BEGUN) == code


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (f"{HERE}?code=c&state=of-another", "another login"),
        (f"{HERE}?code=c&state=%C3%A9", "another login"),
        (f"{HERE}?error=access_denied&state=of-this-login", 'says: "access_denied"'),
        (f"{HERE}?error=x&error_description=Not+today&state=of-this-login", 'says: "Not today"'),
        (f"{HERE}?state=of-this-login", "no code"),
        (f"{HERE}?code=&state=of-this-login", "no code"),
        ("  ", "no code"),
        ("https://[?x=1", "no code"),
    ],
)
def test_an_answer_without_a_code_says_why(answer: str, told: str) -> None:
    with pytest.raises(AuthRejected, match=told) as refused:
        code_of(answer, BEGUN)
    assert "allow the tracker to read" in refused.value.hint


def test_what_a_provider_says_is_cut_short() -> None:
    with pytest.raises(AuthRejected) as refused:
        code_of(f"{HERE}?error={'x' * 3000}", BEGUN)
    assert len(str(refused.value)) < 400


@given(st.text(max_size=300))
def test_whatever_is_typed_in_is_a_code_or_refused(answer: str) -> None:
    with suppress(AuthRejected):
        assert code_of(answer, BEGUN)


def test_a_file_may_send_its_user_to_the_providers_login() -> None:
    words = """[auth]
authorization_code = "https://id.plain.example/authorize"
token = "https://id.plain.example/token"
client_id = "site"
refresh = "token"
scope = "read"
params = {access_type = "offline"}
shown_at = "https://id.plain.example/code"
"""
    without = PLAIN.replace('auth = {bearer = "token"}\n', "")
    login = declare("plain.toml", without + words).auth.login
    assert login
    assert (login.authorize, login.token) == ("https://id.plain.example/authorize", "https://id.plain.example/token")
    assert (login.client_id, login.client_secret, login.fills, login.scope) == ("site", None, "token", "read")
    assert (login.params, login.shown_at) == ({"access_type": "offline"}, "https://id.plain.example/code")
    with pytest.raises(ConfigError, match="begins with https://"):
        declare("plain.toml", without + words.replace("https://id.plain.example/authorize", "javascript:x"))
