"""Pages about rows that nobody understood: kept, shown, tried again."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from pydantic import Field

from tracker import connections, quarantine
from tracker.web.site import NotThere, Owner, OwnForm, RowId, User, Words, deps_of, go, note, show, speech

router = APIRouter()
SHOWN = 50


@router.get("/quarantine")
def page(
    request: Request,
    visitor: User,
    connection: Annotated[str, Query(max_length=60)] = "",
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> Response:
    engine = deps_of(request).engine
    owner = connections.find(engine, connection).id if connection else None
    rows, total = quarantine.held(engine, owner, SHOWN + 1, before)
    older = f"?connection={connection}&before={rows[SHOWN - 1].id}" if len(rows) > SHOWN else None
    values = {
        "rows": rows[:SHOWN],
        "total": total,
        "connection": connection,
        "slugs": [(row.slug, row.title) for row in connections.every(engine)],
        "older": older,
        "newest": f"?connection={connection}" if before else None,
    }
    return show(request, "quarantine/list.html.j2", values)


@router.get("/quarantine/{row_id}")
def single(request: Request, visitor: User, row_id: RowId) -> Response:
    row = quarantine.found(deps_of(request).engine, row_id)
    if row is None:
        raise NotThere
    return show(request, "quarantine/row.html.j2", {"row": row, "payload": readable(bytes(row.payload))})


def readable(payload: bytes) -> str:
    """The row as it came; JSON with its fields under each other."""
    text = payload.decode("utf-8", "replace")
    try:
        return msgspec.json.format(text, indent=2)
    except ValueError:
        return text


@router.post("/quarantine/retry", dependencies=[OwnForm])
def retry(
    request: Request,
    visitor: Owner,
    connection: Words = "",
    ids: Annotated[tuple[Annotated[int, Field(ge=1, lt=2**63)], ...], Form()] = (),
) -> Response:
    deps, say = deps_of(request), speech(request)
    owner = connections.find(deps.engine, connection).id if connection and not ids else None
    tried = quarantine.retry(deps, ids, owner)
    understood, rows = (sum(getattr(one, name) for one in tried) for name in ("understood", "tried"))
    note(request, visitor, "quarantine tried again", connection or ", ".join(map(str, ids[:10])) or "all")
    told = say.n(
        "Of %(count)s row that was tried again, %(understood)s is understood now.",
        "Of %(count)s rows that were tried again, %(understood)s are understood now.",
        rows,
        understood=say.count(understood),
    )
    return go(f"/quarantine?connection={connection}" if connection else "/quarantine", told)
