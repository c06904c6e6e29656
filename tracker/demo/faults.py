"""Trouble on demand: what a provider or the way to it can do wrong, for tests of the code that must survive it."""

import zlib
from collections.abc import Iterator
from enum import StrEnum
from threading import Lock

from msgspec import Struct


class Trouble(StrEnum):
    SERVER_ERROR = "server_error"  # 500 with a page of HTML
    UNAVAILABLE = "unavailable"  # 503, with Retry-After
    RATE_LIMITED = "rate_limited"  # 429 in the provider's shape, with Retry-After
    FORBIDDEN = "forbidden"  # 403 with a firewall's page of HTML
    HTML = "html"  # 200 with a page of HTML
    TRUNCATED = "truncated"  # 200 with the first half of the JSON
    ERROR_BODY = "error_body"  # 200 with an error in the provider's shape
    BODY = "body"  # 200 with the fault's own `body`
    REPEATED_CURSOR = "repeated_cursor"  # the same page for ever, and always more
    ENDLESS = "endless"  # a new page for ever
    HUGE = "huge"  # `size_bytes` of JSON, streamed
    GZIP_BOMB = "gzip_bomb"  # a few kilobytes that unpack to `size_bytes`
    SLOW = "slow"  # the right answer after `delay_s`
    RESET = "reset"  # the connection breaks in the middle of the answer


class Fault(Struct):
    """Strikes requests of one provider whose path contains `path`: the next `times` of them after the first `skip`.

    `times=None` strikes for ever. `retry_after_s=None` leaves the header out.
    """

    provider: str
    trouble: Trouble | str
    path: str = ""
    times: int | None = 1
    skip: int = 0
    retry_after_s: int | None = None
    delay_s: float = 1.0
    size_bytes: int = 200_000_000
    body: bytes = b""
    struck: int = 0


class Faults:
    """The faults that are still to strike. Safe to use from the server's threads."""

    def __init__(self, faults: list[Fault]) -> None:
        self._lock = Lock()
        self._waiting = list(faults)

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def next_for(self, provider: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self._waiting:
                if (
                    fault.provider != provider
                    or fault.path not in path
                    or (fault.times is not None and fault.times <= 0)
                ):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                fault.struck += 1
                return fault
        return None


PAGE_OF_HTML = b"<!doctype html><html><head><title>One moment, please</title></head><body>Checking</body></html>"
_PIECE = b'{"id": 1, "note": "' + b"x" * 65_000 + b'"},'


def huge(size_bytes: int) -> Iterator[bytes]:
    """A JSON array of about `size_bytes`, never held as a whole."""
    yield b"["
    for _ in range(size_bytes // len(_PIECE)):
        yield _PIECE
    yield b"{}]"


def bomb(size_bytes: int) -> bytes:
    """A gzip stream of a few hundred kilobytes at most that unpacks to about `size_bytes`."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = [packer.compress(piece) for piece in huge(size_bytes)]
    return b"".join([*packed, packer.flush()])
