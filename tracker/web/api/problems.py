"""What the API answers when something is wrong: RFC 9457 problem details, for every error alike."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoneFree
from starlette.exceptions import HTTPException

from tracker import connections
from tracker.connections import Deps
from tracker.errors import TrackerError, UsageError

log = structlog.get_logger()
PREFIX = "/api/v1"
MEDIA_TYPE = "application/problem+json"
#: Name and title of each problem; the names are the API's promise. No page stands behind them, so they are URNs.
TYPES = {
    400: ("unreadable", "Cannot be read"),
    401: ("token", "No valid token"),
    403: ("scope", "Not with this token"),
    404: ("not-found", "Not found"),
    405: ("method", "Method not allowed"),
    409: ("busy", "Busy"),
    413: ("too-large", "Too large"),
    422: ("invalid", "Invalid request"),
    429: ("too-many", "Too many wrong tokens"),
    500: ("fault", "Internal fault"),
    503: ("unavailable", "Unavailable"),
}
_RETRY_S = 30


class Fault(BaseModel):
    """One field that is wrong: `pointer` names it in the body (RFC 6901), or else `parameter` in the address."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None


class Problem(BaseModel):
    """What went wrong (RFC 9457). `errors` names the fields, where it is about fields."""

    type: str = Field(examples=["urn:income-tracker:problem:not-found"])
    title: str
    status: int
    detail: str
    errors: list[Fault]


class Refused(Exception):
    """A request that is answered with a problem."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, errors: Iterable[Fault] = ()
) -> Response:
    name, title = TYPES.get(status, ("other", HTTPStatus(status).phrase))
    kind = f"urn:income-tracker:problem:{name}"
    told = Problem(type=kind, title=title, status=status, detail=detail, errors=list(errors))
    return Response(told.model_dump_json(exclude_none=True), status, dict(headers or {}), MEDIA_TYPE)


def not_there(what: str) -> Refused:
    return Refused(404, f"There is no {what}.")


@contextmanager
def unless_busy(deps: Deps, connection_id: int) -> Iterator[None]:
    """Say so when what is refused was refused because the connection is being synced: that passes."""
    try:
        yield
    except UsageError:
        until = connections.by_id(deps.engine, connection_id).leased_until
        if until is None or until < deps.now():
            raise
        raise Refused(409, "Its connection is being synced just now.", Retry_After=str(_RETRY_S)) from None


def told(error: TrackerError) -> str:
    """An error's own sentence. Its hint is left out, because hints name commands and pages."""
    return error.message[:1].upper() + error.message[1:]


def answer_with_problems(api: FastAPI) -> None:
    """Let every error of an application end as a problem."""
    api.add_exception_handler(Refused, _refused)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(UsageError, _unwanted)
    for kind in (TrackerError, OperationalError, InterfaceError, NoneFree):
        api.add_exception_handler(kind, _unavailable)
    # The log has it from the guard, to which it is raised once more.
    fault = "A fault of the tracker itself; its log says more. What was written is safe."
    api.add_exception_handler(Exception, lambda request, error: problem(500, fault))


def _refused(request: Request, error: Any) -> Response:
    return problem(error.status, error.detail, {name.replace("_", "-"): text for name, text in error.headers.items()})


def _unwanted(request: Request, error: Any) -> Response:
    return problem(422, told(error))


def _invalid(request: Request, error: Any) -> Response:
    """Without what was sent, which may be anything."""
    found = [_fault(one["loc"], one["msg"]) for one in error.errors()[:100]]
    return problem(422, "The request cannot be understood: see the errors.", errors=found)


def _fault(place: tuple[Any, ...], message: str) -> Fault:
    origin, *path = place
    message = message.removeprefix("Value error, ")
    if origin == "body":
        steps = [str(step).replace("~", "~0").replace("/", "~1") for step in path if not _inside(step)]
        return Fault(detail=message, pointer="#" + "".join(f"/{step}" for step in steps))
    return Fault(detail=message, parameter=".".join(map(str, path)))


def _inside(step: object) -> bool:
    """Where JSON itself is broken, the place is a number of bytes, not a field; no body has lists."""
    return isinstance(step, int)


def _http(request: Request, error: Any) -> Response:
    if error.status_code == 405:
        allowed = ", ".join(_allowed(request)) or "GET"  # what the document leaves out is itself
        return problem(405, f"{request.method[:20]} is not possible here.", {"Allow": allowed})
    if error.status_code == 404:
        return problem(404, "There is nothing at this address.")
    if error.status_code == 400:  # the framework's word for a body that is no text
        return problem(422, "The body cannot be read.", errors=[Fault(detail="Send JSON in UTF-8.", pointer="#")])
    return problem(error.status_code, str(error.detail), error.headers)


def _allowed(request: Request) -> list[str]:
    """Every method that this address knows (RFC 9110, 15.5.6); the framework names those of one route only."""
    steps = request.scope["path"].removeprefix(request.scope.get("root_path", "")).split("/")
    paths = request.app.openapi()["paths"].items()
    return sorted({method.upper() for path, methods in paths if _fits(path.split("/"), steps) for method in methods})


def _fits(pattern: list[str], steps: list[str]) -> bool:
    pairs = zip(pattern, steps, strict=False)
    return len(pattern) == len(steps) and all(part == step or part.startswith("{") for part, step in pairs)


def _unavailable(request: Request, error: Exception) -> Response:
    """What exactly is wrong is for the log alone."""
    log.error("api failed", why=str(error) if isinstance(error, TrackerError) else type(error).__name__)
    told = "This cannot be done just now, mostly because the database is busy or away; the log says more."
    return problem(503, told, {"Retry-After": str(_RETRY_S)})
