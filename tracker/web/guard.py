"""What every request passes before any page: known host names, small bodies, and headers that keep browsers strict."""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from threading import Lock

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tracker.inbound import BODY_MAX
from tracker.web.api.problems import PREFIX, problem

log = structlog.get_logger()

#: Names of this machine itself. No other web site can be reached under them, so they need not be set.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
#: Seconds in which a body of `BODY_MAX` bytes must have come.
BODY_S = 20.0
#: Of a body that is too large so much is still read, because a sender who is cut off does not see the answer.
READ_MAX = 4 * BODY_MAX
INBOUND = "/in/"
#: Seconds that may pass between two pieces of an upload.
PIECE_S = 60.0
_FAULT = "A fault of the tracker itself; its log says more. What was written is safe."
#: What a route may set otherwise: the preview of a letter stands in a frame of ours.
_USUAL = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
_STRICT = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


Refusal = tuple[int, str]  # status, and what is told


class Guard:
    """ASGI middleware. It reads a body whole before anything else runs: nothing behind it waits for a slow sender.

    `uploads` are paths that take files of so many bytes, which go to disk as they come; `welcome` tells by the headers
    whether the sender may send one.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Iterable[str],
        uploads: Mapping[str, int],
        welcome: Callable[[Headers], bool],
        body_s: float = BODY_S,
    ) -> None:
        self._app, self._hosts, self._body_s = app, frozenset(hosts) | LOOPBACK, body_s
        self._uploads, self._welcome = uploads, welcome

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        started = False

        async def strictly(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _harden(MutableHeaders(scope=message), scope["scheme"] == "https")
                if scope["scheme"] == "https":
                    message["headers"] = [_private(*header) for header in message["headers"]]
            await send(message)

        headers = Headers(scope=scope)
        limit = self._uploads.get(scope["path"], 0) if scope["method"] == "POST" else 0
        if limit and not await run_in_threadpool(self._welcome, headers):
            limit = 0
        refused = self._refusal(headers, limit or READ_MAX) or _unreadable(scope)
        behind = _pieces(receive, limit)
        if refused is None and not limit:
            try:
                async with asyncio.timeout(self._body_s):
                    body, refused = await _whole(receive)
                behind = _again(body, receive)
            except TimeoutError:
                refused = 408, "The request came too slowly."
        if refused is not None:
            answer = _plainly(scope["path"], *refused)
            answer.headers["Connection"] = "close"
            await answer(scope, receive, strictly)
            return
        if scope["method"] == "HEAD" and not scope["path"].startswith(INBOUND):
            scope = {**scope, "method": "GET"}  # the server knows better, and leaves the body out
        try:
            await self._app(scope, behind, strictly)
        except Exception:
            log.exception("page failed")
            if not started:
                await _plainly(scope["path"], 500, _FAULT)(scope, receive, strictly)

    def _refusal(self, headers: Headers, most: int) -> Refusal | None:
        hosts = headers.getlist("host")
        name = re.sub(r":\d*$", "", hosts[0]).lower().rstrip(".") if len(hosts) == 1 else ""
        if name not in self._hosts:
            log.warning("refused a request for another host", host=name[:100])
            return 400, "This name is not known here: add it to TRACKER_WEB_HOSTS."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:12]) > most:
            return _too_large(BODY_MAX if most == READ_MAX else most)
        return None


def _unreadable(scope: Scope) -> Refusal | None:
    """No address of ours has a NUL in it, and PostgreSQL takes none, not even to look for it.

    What is sent to an inbound address is for its own part to judge.
    """
    if scope["path"].startswith(INBOUND):
        return None
    if "\0" in scope["path"] or b"%00" in scope["query_string"] or b"\0" in scope["query_string"]:
        return 400, "This address cannot be read."
    return None


def _too_large(limit: int = BODY_MAX) -> Refusal:
    return 413, f"The request is larger than {limit} bytes."


def _plainly(path: str, status: int, told: str) -> Response:
    """An answer without a page: programs get what they get for everything else that is wrong."""
    return problem(status, told) if path.startswith(PREFIX) else PlainTextResponse(f"{told}\n", status)


async def _whole(receive: Receive) -> tuple[bytes, Refusal | None]:
    pieces, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"", (400, "The request broke off.")
        piece = message.get("body", b"")
        size += len(piece)
        if size <= BODY_MAX:
            pieces.append(piece)
        more = message.get("more_body", False)
        if size > BODY_MAX and (size > READ_MAX or not more):
            return b"", _too_large()
        if not more:
            return b"".join(pieces), None


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read once, then whatever comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _pieces(receive: Receive, limit: int) -> Receive:
    """Passes on what comes, up to `limit` bytes in all. More of it, or a sender who stops, ends the request."""
    size = 0

    async def counted() -> Message:
        nonlocal size
        async with asyncio.timeout(PIECE_S):
            message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise ValueError(f"the upload is larger than {limit} bytes")
        return message

    return counted


def _harden(headers: MutableHeaders, is_private: bool) -> None:
    for name, value in _STRICT.items():
        headers[name] = value
    for name, value in _USUAL.items():
        headers.setdefault(name, value)
    if is_private:
        headers["Strict-Transport-Security"] = "max-age=31536000"


def _private(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Behind TLS no cookie goes without it."""
    if name.lower() == b"set-cookie" and b"; secure" not in value.lower():
        return name, value + b"; Secure"
    return name, value


class Window:
    """So many per key and period; the keys of which nothing was heard for longest are forgotten first."""

    def __init__(self, limit: int, period: timedelta, *, keys: int = 10_000) -> None:
        self._limit, self._period, self._keys = limit, period, keys
        self._seen: OrderedDict[str, tuple[datetime, int]] = OrderedDict()
        self._lock = Lock()

    def wait_s(self, key: str, now: datetime) -> int:
        """Count one more. Answers 0, or after how many seconds the next is welcome."""
        with self._lock:
            start, count = self._seen.pop(key, (now, 0))
            if not timedelta() <= now - start < self._period:
                start, count = now, 0
            self._seen[key] = (start, min(count + 1, self._limit + 1))
            if len(self._seen) > self._keys:
                self._seen.popitem(last=False)
        return 0 if count < self._limit else int((start + self._period - now).total_seconds()) + 1
