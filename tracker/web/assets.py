"""`/static`: style sheets, scripts and pictures, read once and compressed once. They hold no secret, unlike pages.

Pages themselves are not compressed: next to their form tokens stands what an address says, and the length of the two
together would tell one from the other (breachattack.com).
"""

import gzip
import hashlib
import mimetypes
from pathlib import Path
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

#: A browser asks again each time, and mostly hears that nothing changed.
_CACHE = "no-cache"
_TEXT = (".css", ".js", ".svg", ".md", ".toml")


class _File(NamedTuple):
    body: bytes
    packed: bytes | None  # where that is shorter
    media_type: str
    etag: str


class Assets:
    """An ASGI application over the files of a folder, as they were when it started."""

    def __init__(self, folder: Path) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): _read(path) for path in sorted(folder.rglob("*")) if path.is_file()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(Request(scope)).__call__(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        name = request.scope["path"].removeprefix(request.scope.get("root_path", "")).lstrip("/")
        file = self._files.get(name)
        if file is None:
            return PlainTextResponse("There is no such file.\n", 404)
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("This can only be read.\n", 405, {"Allow": "GET, HEAD"})
        packs = file.packed is not None and "gzip" in request.headers.get("accept-encoding", "")
        etag = f'"{file.etag}{"-gz" if packs else ""}"'
        headers = {"ETag": etag, "Cache-Control": _CACHE, "Vary": "Accept-Encoding"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if packs:
            headers["Content-Encoding"] = "gzip"
        body = file.packed if packs and file.packed is not None else file.body
        return Response(body, headers=headers, media_type=file.media_type)


def _read(path: Path) -> _File:
    body = path.read_bytes()
    packed = gzip.compress(body, 9, mtime=0) if path.suffix in _TEXT else body
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    kind = {".js": "text/javascript", ".toml": "text/plain", ".md": "text/plain"}.get(path.suffix, kind)
    return _File(body, packed if len(packed) < len(body) else None, kind, hashlib.sha256(body).hexdigest()[:20])
