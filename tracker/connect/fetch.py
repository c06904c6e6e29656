"""The only code that talks to providers: sends requests, keeps every limit, turns trouble into our errors.

Nothing here logs a header, a query string or a body, and every message is washed of the connection's credentials.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

import msgspec
import requests
from requests.utils import parse_header_links
from urllib3.exceptions import HTTPError

from tracker.connect.answer import Answer, as_told, document_of, is_html, seconds_asked, why
from tracker.connect.auth import Credentials, Request, Tokens
from tracker.connect.connector import Connector, Resource
from tracker.connect.fields import Row, as_text, lookup
from tracker.connect.pace import Pace
from tracker.connect.paging import Step
from tracker.connect.plans import Leg
from tracker.connect.rows import Page, added, decode, encode, split
from tracker.connect.session import as_given
from tracker.errors import (
    AuthRejected,
    ConfigError,
    NotFound,
    ProviderError,
    RateLimited,
    RightMissing,
    Unavailable,
    UnexpectedData,
    UsageError,
)  # fmt: skip

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_CHUNK = 64 * 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one connection may take. Times in seconds, sizes in bytes."""

    connect_s: float = 10
    read_s: float = 60
    answer_s: float = 300  # one answer from first to last byte
    body_bytes: int = 32 * 1024 * 1024
    pages: int = 20_000  # in one leg
    tries: int = 4  # of one request, while the provider is in trouble
    patience_s: float = 60  # longest wait inside a run; a longer one moves the next sync


def base_url(connector: Connector, options: Mapping[str, str]) -> str:
    """The address requests start with. Raises UsageError unless it is https, or http on this machine."""
    address = (options.get("base_url") or connector.base_url).rstrip("/")
    parts = urlsplit(address)
    if not address:
        raise UsageError(
            "this provider needs to know your site's address.", hint="Give --option base_url=https://your-site.example"
        )
    if parts.username or parts.password or parts.query or parts.fragment or not parts.hostname:
        raise UsageError("base_url is not a plain address with a scheme and a host.", hint="Expected https://host/path")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise UsageError(
            f"{parts.hostname} must be reached by https.", hint="Plain http would send your key unprotected."
        )
    return address


class Client:
    """Talks to one provider for one connection."""

    def __init__(
        self,
        connector: Connector,
        *,
        slug: str,
        credentials: Credentials,
        options: Mapping[str, str],
        tokens: Tokens,
        http: requests.Session,
        pace: Pace,
        limits: Limits | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.connector = connector
        self.options = {
            name: option.default for name, option in connector.options.items() if option.default is not None
        } | dict(options)
        self.limits = limits or Limits()
        self._base = base_url(connector, self.options)
        self._credentials = credentials
        self._tokens = tokens
        self.http = http
        self._pace = pace
        self._sleep = sleep
        named = "\n".join(f"{name}={value}" for name, value in sorted(credentials.items()))
        self._bucket = f"{slug}:{blake2b(named.encode(), digest_size=8).hexdigest()}"

    # --- listings ---

    def pages(
        self, resource: Resource, leg: Leg, start: Step | None = None
    ) -> Iterator[tuple[Step, Page, Step | None]]:
        """Walk a leg: each page with the step that led to it and the step that follows (None at the end).

        Raises UnexpectedData for a step that was taken before, a page that came before or too many pages.
        """
        if resource.fetch:
            yield from resource.fetch(self, resource, leg, start)
            return
        pager = leg.paging or resource.paging
        walk = pager.pages(start if pager.resumable else None)
        taken: set[bytes] = set()
        again, before = False, b""
        step: Step | None = next(walk)
        while step is not None:
            place = msgspec.json.encode(step, order="sorted")
            if place in taken:
                raise UnexpectedData("the provider sent the same cursor twice; going on would never end.")
            if again:
                raise UnexpectedData("the provider sent the same page twice; going on would never end.")
            if len(taken) >= self.limits.pages:
                raise UnexpectedData(f"more than {self.limits.pages} pages in one listing; the end never came.")
            taken.add(place)
            page = self._page(resource, leg, step, pager.envelope)
            again, before = bool(page.rows) and page.body == before, page.body
            try:
                following = walk.send(page)
            except StopIteration:
                following = None
            yield step, page, following
            step = following

    def _page(self, resource: Resource, leg: Leg, step: Step, envelope: tuple[str, ...]) -> Page:
        path = leg.path if leg.path is not None else resource.path
        own = {name: self._filled(value, raw=True) for name, value in resource.params.items()}
        params = {**own, **leg.params, **step.params}
        if step.url is not None:
            parts = urlsplit(step.url)
            target = urlsplit(self._base)._replace(path=parts.path).geturl()
            answer = self._send_to(target, dict(parse_qsl(parts.query)), resource, step.headers)
        else:
            answer = self.send(path, params, resource, step.headers)
        if leg.single:
            self._refuse_failure(lookup(decode(answer.body), _keys(self.connector.failure)))
            return Page(rows=[msgspec.Raw(answer.body)], body=answer.body)
        wanted = (*envelope, *resource.carry, *filter(None, (self.connector.failure,)))
        try:
            body = resource.convert(answer.body) if resource.convert else answer.body
        except ProviderError as error:
            raise self._washed_error(error) from None
        try:
            rows, values = split(body, resource.rows, wanted)
        except UnexpectedData:
            self._refuse_failure(lookup(decode(body), _keys(self.connector.failure)))
            raise
        self._refuse_failure(values.get(self.connector.failure))
        carried = {name: values[name] for name in resource.carry if values.get(name) is not None}
        if leg.payout is not None:
            carried["$payout"] = leg.payout
        if carried:
            rows = [added(row, carried) for row in rows]
        links = parse_header_links(answer.headers.get("Link", ""))
        following = next((link["url"] for link in links if link.get("rel") == "next"), None)
        return Page(
            rows=rows,
            envelope=values,
            headers=answer.headers,
            links_next=following,
            body=answer.body,
            status=answer.status,
        )

    def detail(self, resource: Resource, row: Row) -> Row:
        """The row with the answer of its `details` request in it."""
        details = resource.details
        if details is None or not details.when(row):
            return row
        path = re.sub(r"{(\w+)}", lambda found: quote(as_text(row.get(found[1])), safe=""), details.path)
        document = decode(self.send(path, details.params, resource).body)
        self._refuse_failure(lookup(document, _keys(self.connector.failure)))
        row[details.into] = document
        return row

    # --- one request ---

    def send(
        self,
        path: str,
        params: Mapping[str, str],
        resource: Resource | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One answer with status 200 to 299, after the retries that the limits allow."""
        return self._send_to(self._base + self._filled(path), dict(params), resource, headers or {})

    def _send_to(
        self, url: str, params: dict[str, str], resource: Resource | None, headers: Mapping[str, str]
    ) -> Answer:
        renewed = False
        waited = 0.0
        for attempt in range(1, self.limits.tries + 1):
            try:
                return self._once(url, params, resource, headers, doubt=attempt == 1)
            except AuthRejected as error:
                held = self.connector.auth.renewable and self._tokens.stored.get("access_token")
                if renewed or not held or isinstance(error, RightMissing):
                    raise  # without a token it is the credentials that were refused
                renewed = True
                self.forget_token()
            except Unavailable as error:
                asked = error.retry_after_s if isinstance(error, RateLimited) else None
                pause = asked if asked is not None else min(0.5 * 4 ** (attempt - 1), 30.0)
                if attempt == self.limits.tries or waited + pause > self.limits.patience_s:
                    raise
                self._sleep(pause)
                waited += pause
        raise AuthRejected("the provider refused a token that it had just issued.", hint="Check the credentials.")

    def _once(
        self, url: str, params: dict[str, str], resource: Resource | None, more: Mapping[str, str], *, doubt: bool
    ) -> Answer:
        body = resource.body if resource is not None and resource.method == "POST" else None
        headers = {"Accept": "application/json"} | {
            name: self._filled(value, raw=True) for name, value in {**self.connector.headers, **more}.items()
        }
        method = "POST" if body else "GET"
        request = Request(method=method, url=url, params=params, headers=headers, options=self.options)
        if body and resource is not None:
            request.body, request.params = body({**self.options, **self._public(), **params}), {}
            headers["Content-Type"] = resource.content_type
        self.connector.auth(request, self._credentials, self._tokens)
        self._pace.wait(self._bucket, self.connector.rates, at_most_s=self.limits.patience_s)
        answer = as_told(self._exchange(request), self.connector.status)
        if 200 <= answer.status < 300:
            if is_html(answer):
                raise UnexpectedData(
                    f"{urlsplit(url).hostname} answered with a web page instead of data.",
                    hint="Check the address; a firewall, a log-in or a maintenance page may stand in the way.",
                )
            return answer
        if doubt and answer.status in self.connector.doubtful:
            raise RateLimited(f"{urlsplit(url).hostname} may want us to slow down ({answer.status}).", retry_after_s=10)
        raise self._error(answer, resource, url)

    def _exchange(self, request: Request) -> Answer:
        host = urlsplit(request.url).hostname
        try:
            with self.http.request(
                request.method,
                request.url,
                params=request.params or None,
                headers=request.headers,
                data=request.body,
                auth=as_given,
                timeout=(self.limits.connect_s, self.limits.read_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                return Answer(response.status_code, response.headers, _body(response, self.limits, host))
        except requests.exceptions.SSLError:
            raise Unavailable(
                f"the certificate of {host} could not be verified.",
                hint="Check the address, the date of this machine and its certificates; nothing was sent.",
            ) from None
        except requests.exceptions.Timeout:
            raise Unavailable(f"{host} did not answer in time.", hint="It is tried again later.") from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, UnicodeError):
            raise UsageError(f"not an address that can be called: {host}", hint="Check base_url.") from None
        except (requests.exceptions.RequestException, HTTPError, OSError) as error:
            raise Unavailable(
                f"{host} cannot be reached ({why(error)}).", hint="Check the network and the address."
            ) from None

    # --- trouble ---

    def _error(self, answer: Answer, resource: Resource | None, url: str) -> ProviderError:
        host, status = urlsplit(url).hostname, answer.status
        document = document_of(answer)
        if self.connector.explain and (error := self.connector.explain(status, document)):
            return self._washed_error(error)
        words = self._message(document)
        said = f' It says: "{words.rstrip(".")}".' if words else ""
        if status == 401:
            return AuthRejected(f"{host} refused the credentials.{said}", hint="Check them, or make a new key.")
        if status == 403:
            if is_html(answer):
                return Unavailable(
                    f"{host} blocked the request with a web page (403).",
                    hint="A firewall may need to allow this machine.",
                )
            right = f" It needs: {resource.right}." if resource is not None and resource.right else ""
            return RightMissing(
                f"{host} does not allow this key to read {resource.name if resource else 'this'}.{right}{said}"
            )
        if status == 404:
            return NotFound(f"{host} has nothing at {urlsplit(url).path}.{said}", hint="Check the address and the ids.")
        if status == 429:
            return RateLimited(f"{host} asked to slow down (429).{said}", retry_after_s=self._pause(answer))
        if status in (408, 425) or status >= 500:
            pause = self._pause(answer)
            if pause is not None:
                return RateLimited(f"{host} is in trouble ({status}).{said}", retry_after_s=pause)
            return Unavailable(f"{host} is in trouble ({status}).{said}", hint="It is tried again later.")
        if 300 <= status < 400:
            target = urlsplit(answer.headers.get("Location", "")).hostname or "another address"
            return UnexpectedData(
                f"{host} redirects to {target} ({status}).", hint="Give the final address as base_url."
            )
        return UnexpectedData(f"{host} refused the request ({status}).{said}")

    def _pause(self, answer: Answer) -> float | None:
        return seconds_asked(answer.headers.get(self.connector.retry_after, ""))

    def _message(self, document: Any) -> str:
        found = [document, *(lookup(document, _keys(dotted)) for dotted in self.connector.message)]
        return self.washed(next((text for text in found if isinstance(text, str) and text), ""))[:200]

    def washed(self, text: str) -> str:
        """Text of the provider without credentials and control characters."""
        secrets = [value for name, value in self._credentials.items() if self._is_secret(name)]
        secrets += [value for name, value in self._tokens.stored.items() if name.endswith("token")]
        for value in sorted((value for value in secrets if len(value) >= 4), key=len, reverse=True):
            for shape in (value, quote(value, safe=""), quote_plus(value)):
                text = text.replace(shape, "***")
        return re.sub(r"[\x00-\x20\x7f]+", " ", text).strip()

    def _refuse_failure(self, found: object) -> None:
        if found and self.connector.refused:
            raise self._washed_error(self.connector.refused(found))

    def _washed_error(self, error: ProviderError) -> ProviderError:
        error.message = self.washed(error.message)
        error.args = (error.message,)
        return error

    # --- small ---

    def _is_secret(self, name: str) -> bool:
        known = self.connector.credentials.get(name)
        return known is None or known.secret

    def secrets(self) -> dict[str, str]:
        """The secret credentials by name: for washing a recording."""
        return {name: value for name, value in self._credentials.items() if self._is_secret(name)}

    def forget_token(self) -> None:
        """The next request asks for a new access token, where the provider hands out such."""
        self._tokens.stored.pop("access_token", None)

    def credentials_shown(self) -> dict[str, str]:
        """The credentials with every secret replaced by a word that opens nothing."""
        return self._public() | {name: f"sample-{name}" for name in self.secrets()}

    def _public(self) -> dict[str, str]:
        return {name: value for name, value in self._credentials.items() if not self._is_secret(name)}

    def _filled(self, template: str, *, raw: bool = False) -> str:
        """Options and non-secret credentials in the place of their {names}."""
        values = {**self.options, **self._public()}

        def fill(found: re.Match[str]) -> str:
            if found[1] not in values:
                raise ConfigError(f"the connection lacks {found[1]!r}.", hint="Add it as an option or credential.")
            return values[found[1]] if raw else quote(values[found[1]], safe="")

        return re.sub(r"{(\w+)}", fill, template)


def _body(response: requests.Response, limits: Limits, host: str | None) -> bytes:
    """The decompressed body, read in pieces so that neither a huge answer nor a gzip bomb fills the memory."""
    deadline, body = time.monotonic() + limits.answer_s, bytearray()
    # One read from the network at a time: `stream` would wait for a full piece, which a slow drip never fills.
    while piece := response.raw.read1(_CHUNK, decode_content=True):
        body += piece
        if len(body) > limits.body_bytes:
            raise UnexpectedData(
                f"an answer of {host} is larger than {limits.body_bytes // 2**20} MB; it was not read.",
                hint="Raise the limit in the settings if the provider really sends pages that large.",
            )
        if time.monotonic() > deadline:
            raise Unavailable(f"an answer of {host} took longer than {limits.answer_s:.0f} s.")
    return bytes(body)


def post_form(
    http: requests.Session, limits: Limits, url: str, form: Mapping[str, str], headers: Mapping[str, str]
) -> Mapping[str, Any]:
    """Ask a token endpoint, by GET where there is no form: the decoded JSON object.

    Raises AuthRejected, Unavailable or UnexpectedData.
    """
    host = urlsplit(url).hostname
    kind = headers.get("Content-Type", "")
    as_xml = kind.startswith("text/xml")
    data = encode(form) if kind == "application/json" else form["xml"].encode() if as_xml else dict(form)
    try:
        with http.request(
            "POST" if form else "GET", url, data=data, headers=dict(headers), auth=as_given,
            timeout=(limits.connect_s, limits.read_s), allow_redirects=False, stream=True,
        ) as answer:  # fmt: skip
            body = _body(answer, msgspec.structs.replace(limits, body_bytes=2**20), host)
    except (requests.exceptions.RequestException, HTTPError, OSError) as error:
        raise Unavailable(f"{host} cannot be reached ({why(error)}).", hint="It is tried again later.") from None
    if answer.status_code in (400, 401, 403) or (as_xml and b"<faultstring" in body):
        raise AuthRejected(f"{host} gave no access token ({answer.status_code}).", hint="Log in to the provider anew.")
    if answer.status_code != 200:
        raise Unavailable(f"{host} is in trouble ({answer.status_code}).", hint="It is tried again later.")
    if as_xml:
        held = answer.cookies.get_dict() or {
            name: morsel.value for name, morsel in SimpleCookie(answer.headers.get("Set-Cookie", "")).items()
        }
        return {"access_token": "; ".join(f"{name}={value}" for name, value in held.items())}
    document = decode(body)
    if not isinstance(document, dict):
        raise UnexpectedData(f"{host} answered the token request with something else.")
    return document


def _keys(dotted: str) -> tuple[str | int, ...]:
    return tuple(int(key) if key.isdigit() else key for key in dotted.split("."))
