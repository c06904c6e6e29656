"""Samples: answer a connector's requests from a recorded file, or record such a file.

A sample (`tests/connectors/<slug>/<name>.json`) says in its first key where its shape comes from, then what the
connection looks like (resource, options, credentials that open nothing, state, clock) and lists exchanges of request
and answer. Replaying runs the connector's real plan, pager, fetch and fields; a request that was not recorded fails.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlsplit

import msgspec
import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.response import HTTPResponse

from tracker.connect.connector import Connector, Resource
from tracker.connect.fetch import Client, Limits, base_url, post_form
from tracker.connect.fields import lookup
from tracker.connect.normalise import normalise, prepare
from tracker.connect.pace import NoPace
from tracker.connect.plans import Known, Leg, When
from tracker.connect.rows import Page, decode, encode, scrub
from tracker.errors import DataError, ProviderError, UnexpectedData

EXCHANGES_MAX = 500
#: Stands for the user's own site where the provider has no address that is everybody's.
SAMPLE_SITE = "https://sample.example"
#: The last wall: an address that a connector forgot to drop.
EMAIL = re.compile(rb"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")


class Asked(msgspec.Struct, omit_defaults=True):
    method: str
    path: str
    query: dict[str, str] = {}
    body: str = ""


class Answered(msgspec.Struct, omit_defaults=True):
    """`body` is JSON, `text` an answer that is none."""

    status: int = 200
    headers: dict[str, str] = {}
    body: msgspec.Raw = msgspec.Raw()
    text: str | None = None


class Exchange(msgspec.Struct):
    request: Asked
    answer: Answered


class Sample(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`source`: "recorded", "official documentation: <page>" or "client code: <repository>"."""

    source: str
    resource: str
    now: datetime
    since: datetime
    exchanges: list[Exchange]
    credentials: dict[str, str] = {}
    options: dict[str, str] = {}
    state: dict[str, str] = {}
    open_ids: list[str] = []
    payouts: list[str] = []


def load(text: bytes) -> Sample:
    return msgspec.json.decode(text, type=Sample)


class MemoryTokens:
    """Tokens that live as long as the process: for samples and for tests. Without `http` none can be asked for."""

    def __init__(self, now: datetime, http: requests.Session | None = None, limits: Limits | None = None) -> None:
        self.now = now
        self.stored: dict[str, str] = {}
        self._http, self._limits = http, limits or Limits()

    def save(self, values: dict[str, str]) -> None:
        self.stored = values

    def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Mapping[str, Any]:
        if self._http is None:
            raise UnexpectedData("there is nobody here to ask for tokens.")
        return post_form(self._http, self._limits, url, form, headers)


class _Known:
    def __init__(self, sample: Sample) -> None:
        self._sample = sample

    def open_ids(self, after: str, limit: int) -> list[str]:
        return [item for item in sorted(self._sample.open_ids) if item > after][:limit]

    def payouts_to_itemise(self, limit: int) -> list[str]:
        return self._sample.payouts[:limit]


class ReplayAdapter(BaseAdapter):
    """Answers from a sample's exchanges, each once, and remembers what was asked for in vain."""

    def __init__(self, sample: Sample) -> None:
        super().__init__()
        self.left = list(sample.exchanges)

    def send(self, request: requests.PreparedRequest, *args: object, **kwargs: object) -> requests.Response:
        asked = asked_of(request)
        for number, exchange in enumerate(self.left):
            if exchange.request == asked:
                del self.left[number]
                return _response(request, exchange.answer)
        shown = msgspec.json.encode(asked).decode()
        following = msgspec.json.encode([exchange.request for exchange in self.left[:3]]).decode()
        raise AssertionError(f"not in the sample: {shown}\nnext in the sample: {following}")

    def close(self) -> None:
        pass


def asked_of(request: requests.PreparedRequest) -> Asked:
    parts = urlsplit(request.url or "")
    body = request.body or b""
    return Asked(
        method=request.method or "GET",
        path=parts.path,
        query=dict(sorted(parse_qsl(parts.query, keep_blank_values=True))),
        body=body.decode() if isinstance(body, bytes) else str(body),
    )


def _response(request: requests.PreparedRequest, answer: Answered) -> requests.Response:
    body = answer.text.encode() if answer.text is not None else bytes(answer.body)
    response = requests.Response()
    response.status_code = answer.status
    response.headers = CaseInsensitiveDict({"Content-Type": "application/json"} | answer.headers)
    response.raw = HTTPResponse(
        BytesIO(body), status=answer.status, preload_content=False, headers=dict(response.headers)
    )
    response.request = request
    response.url = request.url or ""
    return response


def replay(connector: Connector, sample: Sample) -> Iterator[str]:
    """The records of a sample as lines of JSON, quarantined rows and a final error included."""
    resource = connector.resource(sample.resource)
    adapter = ReplayAdapter(sample)
    http = requests.Session()
    http.mount("https://", adapter)
    http.mount("http://", adapter)
    client = Client(
        connector,
        slug="sample",
        credentials=sample.credentials,
        options=sample.options,
        tokens=MemoryTokens(sample.now, http),
        http=http,
        pace=NoPace(),
        sleep=lambda seconds: None,
    )
    state = dict(sample.state)
    try:
        for leg in resource.plan.legs(
            state, When(now=sample.now, since=sample.since), _Known(sample), _reader(client, resource)
        ):
            if leg.path != "":
                yield from _leg(client, resource, leg, sample)
            for name, value in leg.begin.items():
                state.setdefault(name, value)
            state.update(leg.done)
    except ProviderError as error:
        yield _line({"error": type(error).__name__, "message": str(error)})
    yield _line({"state": {name: value for name, value in sorted(state.items()) if value}})
    for exchange in adapter.left:
        yield _line({"never asked for": msgspec.to_builtins(exchange.request)})


def _reader(client: Client, resource: Resource) -> Any:
    def read(leg: Leg) -> Iterator[Page]:
        for _, page, _ in client.pages(resource, leg):
            yield page

    return read


def _leg(client: Client, resource: Resource, leg: Leg, sample: Sample) -> Iterator[str]:
    for _, page, _ in client.pages(resource, leg):
        for raw in page.rows:
            prepared = prepare(
                resource, raw, lambda value: f"p_sample_{len(value)}", lambda row: client.detail(resource, row)
            )
            try:
                if prepared.fault:
                    raise prepared.fault
                for record in normalise(resource, prepared.row, client.options, sample.now):
                    yield _line(
                        {
                            type(record).__name__: {
                                k: v for k, v in msgspec.to_builtins(record, str_keys=True).items() if v is not None
                            }
                        }
                    )
            except DataError as error:
                yield _line({"quarantine": prepared.key, "reason": str(error)})


def _line(value: object) -> str:
    return msgspec.json.encode(value).decode() + "\n"


# --- recording ---


def record_sample(client: Client, resource: Resource, when: When, known: Known) -> Sample:
    """Walk a resource for real, keeping every exchange. The credentials in the sample open nothing."""
    client.forget_token()  # so that the recording shows how one is asked for, and knows it
    secrets = {name: (value, _opens_nothing(name, value)) for name, value in client.secrets().items()}
    credentials = client.credentials_shown() | {name: shown for name, (_, shown) in secrets.items()}
    own, site = base_url(client.connector, client.options), client.connector.base_url or SAMPLE_SITE
    adapter = RecordAdapter(resource, list(secrets.values()), own, site)
    client.http.mount("https://", adapter)
    client.http.mount("http://", adapter)
    state: dict[str, str] = {}
    payouts: list[str] = []
    for leg in resource.plan.legs(state, when, known, _reader(client, resource)):
        payouts += [leg.payout] if leg.payout else []
        for _, page, _ in client.pages(resource, leg) if leg.path != "" else ():
            for raw in page.rows:
                prepare(resource, raw, lambda value: "p_sample", lambda row: client.detail(resource, row))
            if len(adapter.exchanges) >= EXCHANGES_MAX:
                break
        for name, value in leg.begin.items():
            state.setdefault(name, value)
        state.update(leg.done)
    return Sample(
        source="recorded",
        resource=resource.name,
        now=when.now,
        since=when.since,
        credentials=credentials,
        options={name: value for name, value in client.options.items() if name != "base_url"}
        | ({} if client.connector.base_url else {"base_url": site}),
        exchanges=adapter.exchanges,
        payouts=payouts,
    )


def dump(sample: Sample) -> bytes:
    """A sample as the text of its file."""
    return msgspec.json.format(msgspec.json.encode(sample), indent=2) + b"\n"


def _opens_nothing(name: str, secret: str) -> str:
    """A stand-in for a secret. Keys of hexadecimal digits keep their shape, because some are taken apart to sign."""
    hexadecimal = re.fullmatch(r"[0-9a-f]+(:[0-9a-f]+)*", secret)
    return re.sub(r"[0-9a-f]", "0", secret) if hexadecimal else f"sample-{name}"


class RecordAdapter(HTTPAdapter):
    """Passes requests on and keeps the exchanges, without secrets and without people, as if `own` were at `shown`."""

    def __init__(self, resource: Resource, secrets: Sequence[tuple[str, str]], own: str, shown: str) -> None:
        super().__init__()
        self.exchanges: list[Exchange] = []
        self._resource = resource
        self._secrets = list(secrets)
        self._own, self._shown = own, shown.rstrip("/")

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        response = super().send(request, *args, **kwargs)
        body = response.raw.read(decode_content=True)
        if len(self.exchanges) < EXCHANGES_MAX:
            asked = msgspec.json.decode(self._washed(msgspec.json.encode(asked_of(request))), type=Asked)
            asked.path = urlsplit(self._shown).path + asked.path.removeprefix(urlsplit(self._own).path)
            kept = {
                name: self._washed(value.encode()).decode()
                for name, value in response.headers.items()
                if name.lower() in ("link", "x-wp-total", "x-wp-totalpages", "x-total-count", "retry-after")
            }
            if "Set-Cookie" in response.headers:  # a session: secret, and asked for again by the sample
                kept["Set-Cookie"] = "session=sample-session"
            self.exchanges.append(Exchange(asked, self._answer(response.status_code, kept, body)))
        response.raw = HTTPResponse(BytesIO(body), status=response.status_code, preload_content=False)
        return response

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> Answered:
        if self._resource.convert and status < 300:  # so that people are found in it
            with suppress(ProviderError):
                body = self._resource.convert(body)
        try:
            document = decode(body)
        except UnexpectedData:
            return Answered(status, headers, text=self._washed(body).decode(errors="replace")[:2000])
        for holder in (document, lookup(document, ("data",))):  # what a token endpoint hands out is secret from here on
            for name in ("access_token", "refresh_token", "token") if isinstance(holder, dict) else ():
                self._secrets += [(holder[name], f"sample-{name}")] if isinstance(holder.get(name), str) else []
        prefix = tuple(self._resource.rows.split(".")) if self._resource.rows else ()
        found = lookup(document, prefix)
        # An answer that is put into a row is tidied in one.
        into = self._resource.details.into if self._resource.details and not isinstance(found, list) else None
        if into:
            document = found = [{into: document}]
            prefix = ()
        if self._resource.tidy and isinstance(found, list):
            for row in found:
                self._resource.tidy(row)
        people = [(*prefix, "*", *path.split(".")) for path in (*self._resource.drop, *self._resource.pseudonymise)]
        scrub({"": document}, [("", *path) for path in people], (), str)
        document = document[0][into] if into else document
        return Answered(status, headers, body=msgspec.Raw(self._washed(encode(document))))

    def _washed(self, data: bytes) -> bytes:
        for value, shown in self._secrets:
            for shape in (value, quote_plus(value)) if len(value) >= 4 else ():
                data = data.replace(shape.encode(), shown.encode())
        data = data.replace(self._own.encode(), self._shown.encode())
        return EMAIL.sub(b"somebody@sample.example", data)
