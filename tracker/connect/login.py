"""Logging in at a provider: on its own page the user allows us to read, and a code comes back that is worth tokens.

OAuth 2 authorization code with PKCE (RFC 6749, 4.1; RFC 7636), with what RFC 9700 asks for: a state and a verifier of
which only we know, both good for one login. The browser is sent back to a page of ours with the code, or the provider
shows the code and the user types it in.
"""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from tracker.connect.auth import Credentials, Login, at, handed_out
from tracker.errors import AuthRejected

Post = Callable[[str, Mapping[str, str], Mapping[str, str]], Mapping[str, Any]]
#: Characters of what a user may paste, and of what a provider may say.
ANSWER_MAX, SAID_MAX = 4_000, 200
_AGAIN = "Log in once more, and allow the tracker to read."


class Begun(msgspec.Struct, frozen=True):
    """A login under way: what the provider sends back to us, and what it is shown only with the code."""

    state: str = msgspec.field(default_factory=lambda: secrets.token_urlsafe(32))
    verifier: str = msgspec.field(default_factory=lambda: secrets.token_urlsafe(64))


def page(login: Login, begun: Begun, credentials: Credentials, options: Mapping[str, str], redirect: str) -> str:
    """The provider's page where the user allows it; from there the browser is sent to `redirect`."""
    address: str = prepare_grant_uri(
        at(login.authorize, options),
        credentials[login.client_id],
        "code",
        redirect_uri=redirect,
        scope=login.scope or None,
        state=begun.state,
        code_challenge=create_s256_code_challenge(begun.verifier),  # type: ignore[no-untyped-call]
        code_challenge_method="S256",
        **login.params,
    )
    return address


def code_of(answer: str, begun: Begun) -> str:
    """The code in the address that a browser was sent to, or a code as it was shown.

    Raises AuthRejected when the user did not allow it, and for an answer to another login.
    """
    answer = answer.strip()[:ANSWER_MAX]
    asked = answer.partition("?")[2].partition("#")[0]
    told = dict(parse_qsl(asked)) if "=" in asked else {"code": answer}
    if "state" in told and not secrets.compare_digest(told["state"].encode(), begun.state.encode()):
        raise AuthRejected("that is the answer to another login.", hint=_AGAIN)
    if said := told.get("error_description") or told.get("error"):
        raise AuthRejected(f'the provider did not let us in. It says: "{said[:SAID_MAX]}".', hint=_AGAIN)
    if not told.get("code"):
        raise AuthRejected("there is no code in the answer.", hint=_AGAIN)
    return told["code"]


def tokens(
    login: Login, begun: Begun, code: str, redirect: str, credentials: Credentials, options: Mapping[str, str],
    *, post: Post, now: datetime,
) -> dict[str, str]:  # fmt: skip
    """What the code is worth, as a connection keeps it, with a refresh token. `redirect` as it was in `page`.

    `post` asks a token endpoint as `Tokens.post` does. Raises AuthRejected, Unavailable or UnexpectedData.
    """
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect,
        "client_id": credentials[login.client_id],
        "code_verifier": begun.verifier,
    }
    if login.client_secret:
        form["client_secret"] = credentials.get(login.client_secret, "")
    found = handed_out(post(at(login.token, options), form, {"Accept": "application/json"}), now)
    if "refresh_token" not in found:
        raise AuthRejected("the provider gave no refresh token, so that the login would end soon.", hint=_AGAIN)
    return found
