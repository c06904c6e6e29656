"""`/in/<token>`: postbacks and webhooks. Kept and answered; what follows from them is a sync's to find out."""

from typing import Annotated, Literal, cast

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse, Response

from tracker import inbound
from tracker.errors import AuthRejected, DataError
from tracker.inbound import Sent
from tracker.web.site import site_of

log = structlog.get_logger()
router = APIRouter()
#: Seconds after which a provider may send again what there was no room for.
FULL_S = 600


async def whole_body(request: Request) -> bytes:
    """The bytes as they came, over which a signature is made. The guard has read them already."""
    return await request.body()


@router.api_route("/in/{token}", methods=["GET", "POST"])
def receive(request: Request, token: str, body: Annotated[bytes, Depends(whole_body)]) -> Response:
    site = site_of(request)
    row = inbound.connection_at(site.deps.engine, token)
    if row is None:
        return PlainTextResponse("There is nothing here.\n", 404)
    if wait_s := site.received.wait_s(str(row.id), site.deps.now()):
        return _later(429, wait_s)
    sent = Sent(
        method=cast(Literal["GET", "POST"], request.method),
        headers=_once_each(request),
        query=request.url.query,
        body=body,
    )
    try:
        new = inbound.receive(site.deps, row, sent)
    except AuthRejected as error:
        log.warning("inbound refused", connection=row.slug, why=error.message)
        return PlainTextResponse("The signature does not fit.\n", 401)
    except DataError as error:
        log.warning("inbound refused", connection=row.slug, why=error.message)
        return PlainTextResponse(f"{error}\n", 400)
    except inbound.Full:
        log.error("inbound refused", connection=row.slug, why="more waits for its next sync than is kept")
        return _later(503, FULL_S)
    log.info("inbound", connection=row.slug, new=new)
    return Response(status_code=204)


def _later(status: int, wait_s: int) -> Response:
    return PlainTextResponse("Please send it again later.\n", status, {"Retry-After": str(wait_s)})


def _once_each(request: Request) -> dict[str, str]:
    """Headers by name; the second of a doubled one stands beside the first, where the signature check notices it."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        found[name.upper() if name in found else name] = value
    return found
