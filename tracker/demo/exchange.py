"""One request and one answer, as the sandbox providers see them. No sockets here."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode

import msgspec

#: Amounts are Decimals in the facts and plain JSON numbers on the wire: 80.00, never 80.0000001.
_NUMBERS = msgspec.json.Encoder(decimal_format="number")
_SECRET_PARAMETERS = re.compile(r"token|secret|key|password|signature", re.IGNORECASE)


class Request(msgspec.Struct, frozen=True):
    method: str
    path: str  # without the provider's prefix: "/v1/charges"
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""

    def one(self, name: str, default: str = "") -> str:
        """The last value of a query parameter, as most servers read it."""
        return next((value for key, value in reversed(self.query) if key == name), default)

    def every(self, name: str) -> list[str]:
        """All values of `name`, `name[]` and `name[0]`."""
        pattern = re.compile(re.escape(name) + r"(\[\d*\])?")
        return [value for key, value in self.query if pattern.fullmatch(key)]

    def without(self, *names: str) -> "Request":
        return msgspec.structs.replace(self, query=tuple(pair for pair in self.query if pair[0] not in names))

    def url_with(self, **changes: object) -> str:
        """The path and query with some parameters replaced."""
        kept = [pair for pair in self.query if pair[0] not in changes]
        return f"{self.path}?{urlencode(kept + [(name, str(value)) for name, value in changes.items()])}"


class Answer(msgspec.Struct):
    status: int
    body: bytes
    headers: dict[str, str] = {}
    content_type: str = "application/json; charset=utf-8"


class Provider(Protocol):
    """Answers as a provider does, also when it is in trouble."""

    def answer(self, request: Request, now: datetime) -> Answer: ...
    def caller(self, request: Request) -> str: ...
    def throttled(self) -> Answer: ...
    def error_in_200(self) -> Answer: ...
    def looping(self, request: Request, now: datetime, turn: int) -> Answer: ...


class Logged(msgspec.Struct, frozen=True):
    """One line of the request log: nothing in it is a credential."""

    provider: str
    method: str
    path: str
    query: str
    status: int
    body: str = ""


def as_json(status: int, value: Any, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, _NUMBERS.encode(value), headers or {})


def parse_query(text: str) -> tuple[tuple[str, str], ...]:
    return tuple(parse_qsl(text, keep_blank_values=True, max_num_fields=500))


def sanitised(query: tuple[tuple[str, str], ...]) -> str:
    return urlencode(
        [(name, "***" if _SECRET_PARAMETERS.search(name) else value) for name, value in query], safe="[]:,*"
    )
