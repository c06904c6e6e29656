"""Pages about payouts: money that providers sent to the bank, and whether the earnings inside explain it."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from tracker import payouts
from tracker.payouts import Wanted
from tracker.records import PayoutStatus
from tracker.web.fresh import fresh
from tracker.web.site import NotThere, User, deps_of, show

router = APIRouter()
Place = Annotated[str | None, Query(max_length=80)]


@router.get("/payouts")
def page(request: Request, visitor: User, place: Place = None) -> Response:
    deps, wanted = deps_of(request), Wanted.read(request.query_params)
    found = payouts.page(deps.engine, deps.settings, wanted, place=place)
    params = wanted.params()
    values = {
        "found": found,
        "wanted": wanted,
        "filtered": bool(params),
        "choices": payouts.choices(deps.engine),
        "statuses": list(PayoutStatus),
        "open": payouts.open_sums(deps.engine) if place is None and not params else [],
        "newer": address("/payouts", params, found.newer),
        "older": address("/payouts", params, found.older),
        "fresh": fresh(request, [wanted.connection] if wanted.connection else ()),
    }
    return show(request, "payouts/list.html.j2", values)


@router.get("/payouts/{payout_id}")
def one(
    request: Request, visitor: User, payout_id: Annotated[int, Path(ge=1, lt=2**63)], place: Place = None
) -> Response:
    deps = deps_of(request)
    detail = payouts.one(deps.engine, deps.settings, payout_id)
    if detail is None:
        raise NotThere
    inside = payouts.inside(deps.engine, payout_id, place=place)
    path = f"/payouts/{payout_id}"
    values = {
        "d": detail,
        "p": detail.row,
        "inside": inside,
        "bank_days": payouts.BANK_DAYS.days,
        "newer": address(path, {}, inside.newer),
        "older": address(path, {}, inside.older),
        "fresh": fresh(request, [detail.row.connection]),
    }
    return show(request, "payouts/one.html.j2", values)


def address(path: str, params: dict[str, str], place: str | None) -> str | None:
    return place and f"{path}?{urlencode({**params, 'place': place})}"
