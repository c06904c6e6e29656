"""Authentication schemes: small values that put a credential on a request.

A scheme that holds a token gets it through `Tokens`, which keeps rotated tokens safe before they are used: a refresh
token that was replaced and then lost would lock the user out.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import msgspec

from tracker.errors import AuthRejected

Credentials = Mapping[str, str]


class Request(msgspec.Struct, kw_only=True):
    """A request before it is sent. `url` is absolute, without the query; `options` are the connection's, to read."""

    method: str
    url: str
    params: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: bytes | None = None
    options: Mapping[str, str] = {}


class Tokens(Protocol):
    """Where a scheme keeps what it was handed: read, replaced as a whole, and a way to ask the token endpoint."""

    stored: dict[str, str]

    @property
    def now(self) -> datetime:
        """The time of this request: a run may outlast a signature that lives for five minutes."""

    def save(self, values: dict[str, str]) -> None:
        """Durable before it returns."""

    def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Mapping[str, Any]:
        """The decoded JSON answer; the form is sent as JSON where the headers say so. Without a form it is a GET.

        Where the headers say XML, it is the form's `xml` and the session's cookie comes back as the access token.

        Raises AuthRejected, Unavailable or UnexpectedData.
        """


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Where a user allows us to read, in the browser: the pages `authorize` and `token` of RFC 6749, 3.

    `client_id`, `client_secret` and `fills` name credentials; a login brings the last one, a refresh token. `params` go
    along to the first page. `shown_at` is a redirect address of the provider's own, a page that shows the code.
    """

    authorize: str
    token: str
    client_id: str
    client_secret: str | None
    fills: str
    scope: str = ""
    params: Mapping[str, str] = {}
    shown_at: str = ""


class Scheme(msgspec.Struct, frozen=True):
    """`put` changes the request in place; a `renewable` token is dropped when the provider no longer takes it."""

    put: Callable[[Request, Credentials, Tokens], None]
    renewable: bool = False
    login: Login | None = None

    def __call__(self, request: Request, credentials: Credentials, tokens: Tokens) -> None:
        self.put(request, credentials, tokens)


def header(name: str, credential: str, prefix: str = "") -> Scheme:
    def put(request: Request, credentials: Credentials, tokens: Tokens) -> None:
        request.headers[name] = prefix + credentials[credential]

    return Scheme(put)


def bearer(credential: str) -> Scheme:
    return header("Authorization", credential, "Bearer ")


def query(**params: str) -> Scheme:
    """Credentials as query parameters, for providers that take them nowhere else: `query(key="api_key")`."""

    def put(request: Request, credentials: Credentials, tokens: Tokens) -> None:
        request.params.update({name: credentials[credential] for name, credential in params.items()})

    return Scheme(put)


def basic(user: str, password: str | None = None) -> Scheme:
    """HTTP Basic; without a password field the password is empty."""

    def put(request: Request, credentials: Credentials, tokens: Tokens) -> None:
        pair = f"{credentials[user]}:{credentials[password] if password else ''}"
        request.headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode()

    return Scheme(put)


def signed(sign: Callable[[Request, Credentials, datetime], None]) -> Scheme:
    """The connector's own function signs each request (a short-lived JWT, an HMAC)."""

    def put(request: Request, credentials: Credentials, tokens: Tokens) -> None:
        sign(request, credentials, tokens.now)

    return Scheme(put)


def token(
    url: str,
    form: Callable[[Credentials], Mapping[str, str]],
    *,
    headers: Callable[[Credentials], Mapping[str, str]] = lambda credentials: {},
    param: str = "",
    refreshed: bool = False,
    in_query: bool = False,
    read: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda answer: answer,
) -> Scheme:
    """A token of limited life, for a form and headers made of the credentials. Put as bearer, or as a query parameter.

    Where the connection has a `base_url` of its own, the token is asked for there as well. `refreshed`: a refresh token
    that came with the last one is used first, and the form only when there is none or it is refused. `in_query`: the
    form is the query of a GET. `read` gives the answer the names of RFC 6749; it raises what else the answer says.
    """

    def put(request: Request, credentials: Credentials, tokens: Tokens) -> None:
        def ask(asked: Callable[[], Mapping[str, str]]) -> str:
            address = at(url, request.options) + (f"?{urlencode(asked())}" if in_query else "")
            return _access_token(tokens, address, dict if in_query else asked, headers(credentials), read)

        kept = tokens.stored.get("refresh_token") if refreshed else None
        again = {"grant_type": "refresh_token", "refresh_token": kept or ""}
        try:
            found = ask(lambda: again if kept else form(credentials))
        except AuthRejected:
            if not kept:
                raise
            tokens.stored.pop("refresh_token")
            found = ask(lambda: form(credentials))
        if param:
            request.params[param] = found
        else:
            request.headers["Authorization"] = f"Bearer {found}"

    return Scheme(put, renewable=True)


def client_credentials(url: str, client_id: str, client_secret: str, **form: str) -> Scheme:
    """OAuth 2 client credentials (RFC 6749, 4.4): a token of limited life for an id and a secret."""

    def ask(credentials: Credentials) -> Mapping[str, str]:
        named = {"client_id": credentials[client_id], "client_secret": credentials[client_secret]}
        return {"grant_type": "client_credentials", **named, **form}

    return token(url, ask)


def refresh_token(url: str, client_id: str, client_secret: str | None, refresh: str) -> Scheme:
    """OAuth 2 refresh token (RFC 6749, 6). A rotated refresh token is saved before the access token is used."""

    def put(request: Request, credentials: Credentials, tokens: Tokens) -> None:
        def ask() -> Mapping[str, str]:
            form = {
                "grant_type": "refresh_token",
                "client_id": credentials[client_id],
                "refresh_token": tokens.stored.get("refresh_token") or credentials[refresh],
            }
            return form | ({"client_secret": credentials.get(client_secret, "")} if client_secret else {})

        request.headers["Authorization"] = "Bearer " + _access_token(tokens, at(url, request.options), ask, {})

    return Scheme(put, renewable=True)


def authorization_code(
    authorize: str,
    url: str,
    client_id: str,
    client_secret: str | None,
    refresh: str,
    *,
    scope: str = "",
    params: Mapping[str, str] | None = None,
    shown_at: str = "",
) -> Scheme:
    """OAuth 2 authorization code (RFC 6749, 4.1; see `connect.login`), then the refresh token that it brought."""
    login = Login(
        authorize=authorize, token=url, client_id=client_id, client_secret=client_secret, fills=refresh,
        scope=scope, params=params or {}, shown_at=shown_at,
    )  # fmt: skip
    return Scheme(refresh_token(url, client_id, client_secret, refresh).put, renewable=True, login=login)


def session_cookie(url: str, login: Callable[[Credentials], bytes]) -> Scheme:
    """A session that begins with a posted XML document and is told by a cookie. It is begun anew when it is refused."""

    def put(request: Request, credentials: Credentials, tokens: Tokens) -> None:
        def ask() -> Mapping[str, str]:
            return {"xml": login(credentials).decode()}

        kind = {"Content-Type": "text/xml; charset=utf-8"}
        request.headers["Cookie"] = _access_token(tokens, at(url, request.options), ask, kind)

    return Scheme(put, renewable=True)


def at(url: str, options: Mapping[str, str]) -> str:
    """An address of the provider's log-in, at the connection's own `base_url` where it has one."""
    own = options.get("base_url", "").rstrip("/")
    return own + urlsplit(url).path if own else url


def _access_token(
    tokens: Tokens,
    url: str,
    ask: Callable[[], Mapping[str, str]],
    headers: Mapping[str, str],
    read: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda answer: answer,
) -> str:
    """The stored access token while it has a minute left, else a new one."""
    stored = tokens.stored
    expires = stored.get("expires_at")
    if stored.get("access_token") and expires and datetime.fromisoformat(expires) > tokens.now + timedelta(minutes=1):
        return stored["access_token"]
    answer = read(tokens.post(url, ask(), {"Accept": "application/json", **headers}))
    fresh = handed_out(answer, tokens.now)
    before = {name: value for name, value in stored.items() if name == "refresh_token"}
    tokens.save(before | fresh)
    return fresh["access_token"]


def handed_out(answer: Mapping[str, Any], now: datetime) -> dict[str, str]:
    """What a token endpoint gave, as `Tokens` keeps it. Raises AuthRejected where there is no token in the answer."""
    found = answer.get("access_token")
    if not isinstance(found, str) or not found:
        raise AuthRejected("the provider gave no access token.", hint="Check the client id and secret.")
    life = answer.get("expires_in", 3600)
    seconds = int(life) if isinstance(life, int) or (isinstance(life, str) and life.isdigit()) else 3600
    until = now.astimezone(UTC) + timedelta(seconds=min(seconds, 86_400 * 365))
    refresh = answer.get("refresh_token")
    kept = {"refresh_token": str(refresh)} if refresh else {}
    return {"access_token": found, "expires_at": until.isoformat(), **kept}
