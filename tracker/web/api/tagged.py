"""Answers that need not be sent twice: each has a tag of its content (RFC 9110, 8.8.3)."""

import hashlib
import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

_TAGS = re.compile(r'(?:W/)?("[^"]*")')


class Tagged(APIRoute):
    """A route whose answers to GET carry an ETag; whoever has that one already gets 304 and no body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def tagged(request: Request) -> Response:
            response = await answer(request)
            if request.method != "GET" or response.status_code != 200:
                return response
            tag = f'"{hashlib.sha256(response.body).hexdigest()[:32]}"'
            # Kept by whoever asked, for themselves, and never used without asking again.
            headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
            if _known(request.headers.get("If-None-Match", ""), tag):
                return Response(status_code=304, headers=headers)
            response.headers.update(headers)
            return response

        return tagged


def _known(given: str, tag: str) -> bool:
    """Compared weakly, as RFC 9110, 13.1.2 asks for this header."""
    return given.strip() == "*" or tag in _TAGS.findall(given[:4000])
