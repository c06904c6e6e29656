"""The API as an application of its own, mounted at /api/v1: routes, problems and the OpenAPI document."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from tracker.web.api import (
    about,
    connections,
    earnings,
    income,
    letters,
    mrr,
    payouts,
    quarantine,
    streams,
    subscriptions,
)
from tracker.web.api.bearer import wrong_tokens
from tracker.web.api.problems import MEDIA_TYPE, PREFIX, TYPES, Problem, answer_with_problems
from tracker.web.site import Site

PARTS = (about, income, mrr, earnings, payouts, subscriptions, streams, connections, quarantine, letters)
_ABOUT = """\
Read the figures of your ledger, and change what may be changed. Every request needs a token.

Amounts are decimal strings in major units of the currency beside them, times are UTC, months are cut in the time zone
of the settings, and null is unknown, which is never zero.
"""
_TOLD = {
    304: "Nothing new since the answer whose ETag was sent in If-None-Match.",
    400: "The address or its host name cannot be read.",
    401: "There is no token, or it is unknown, revoked or over.",
    403: "The token may only read.",
    404: "There is nothing of that name.",
    409: "It is being synced; try again when that is done.",
    413: "The request is larger than is read.",
    422: "The request cannot be understood or done.",
    429: "Too many wrong tokens came from this address.",
    500: "A fault of the tracker itself.",
    503: "The ledger cannot be reached; try again soon.",
}


def make_api(site: Site) -> FastAPI:
    """The API over the ledger of a site."""
    api = FastAPI(
        title="Income tracker",
        version="1",
        description=_ABOUT,
        servers=[{"url": PREFIX}],
        root_path_in_servers=False,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name.rstrip("_"),
    )
    api.state.site, api.state.wrong_tokens = site, wrong_tokens()
    for part in PARTS:
        api.include_router(part.router)
    answer_with_problems(api)
    api.openapi = lambda: _document(api)  # type: ignore[method-assign]
    return api


def _document(api: FastAPI) -> dict[str, Any]:
    """What the framework knows of the routes, with what all of them have in common."""
    if api.openapi_schema is None:
        made = get_openapi(
            title=api.title,
            version=api.version,
            description=api.description,
            routes=api.routes,
            servers=api.servers,
        )
        schemas = made["components"]["schemas"]
        problem = Problem.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
        schemas |= {**problem.pop("$defs"), "Problem": problem}
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for schema in schemas.values():
            for field in schema.get("properties", {}).values():
                field.pop("title", None)  # which only says the field's name again
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        answers = {str(status): {"description": _TOLD[status], "content": content} for status in TYPES if status != 405}
        made["components"]["responses"] = answers | {"304": {"description": _TOLD[304]}}
        made["components"]["headers"] = {"ETag": _ETAG}
        made["components"]["parameters"] = {"IfNoneMatch": _IF_NONE_MATCH}
        for path, methods in made["paths"].items():
            for method, operation in methods.items():
                _complete(path, method, operation)
        api.openapi_schema = made
    return api.openapi_schema


_ETAG = {"description": "Names this answer.", "schema": {"type": "string"}}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of an earlier answer.",
    "schema": {"type": "string"},
}


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    writes = method != "get"
    statuses = {"400", "401", "429", "500", "503"}
    statuses |= {"403", "413"} if writes else {"304"}
    statuses |= {"404"} if "{" in path else set()
    statuses |= {"422"} if "422" in operation["responses"] or writes else set()
    statuses |= {"409"} if operation.pop("x-busy", False) else set()
    operation["responses"] |= {status: {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)}
    # The first sentence in lists, the rest below it.
    first, _, rest = operation.pop("description").partition(". ")
    operation["summary"] = first.rstrip(".")
    if rest:
        operation["description"] = rest
    for parameter in operation.get("parameters", []):
        _simplify(parameter["schema"])
    if not writes:
        operation["responses"]["200"]["headers"] = {"ETag": {"$ref": "#/components/headers/ETag"}}
        operation.setdefault("parameters", []).append({"$ref": "#/components/parameters/IfNoneMatch"})


def _simplify(schema: dict[str, Any]) -> None:
    """What stands in an address is there or not, but never null."""
    schema.pop("title", None)
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        schema |= kinds[0]
