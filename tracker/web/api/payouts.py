"""Payouts: money sent to the bank, and the earnings inside. They are never income."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from tracker import payouts
from tracker.errors import UsageError
from tracker.payouts import Told
from tracker.records import PayoutStatus
from tracker.web.api.bearer import Reader
from tracker.web.api.problems import not_there
from tracker.web.api.tagged import Tagged
from tracker.web.api.words import (
    Amount,
    AskedCurrency,
    AskedDay,
    Code,
    Moment,
    Paged,
    RowId,
    Shape,
    Slug,
    linked,
)
from tracker.web.site import deps_of

router = APIRouter(route_class=Tagged, tags=["payouts"])


class Payout(Shape):
    """`difference` is the amount less what is inside; null where that is not known. `told`: how it is known."""

    id: int
    connection: str
    resource: str
    external_id: str
    status: PayoutStatus
    provider_status: str | None
    amount: Amount
    currency: Code
    fee: Amount | None
    created_at: Moment
    arrives_at: Moment | None
    estimated: bool = Field(description="Put together from earnings, because the provider lists no payouts.")
    told: Told
    earnings: int | None
    earnings_net: Amount | None = Field(validation_alias="net")
    difference: Amount | None


class Payouts(Shape):
    rows: list[Payout]
    next: str | None


class Item(Shape):
    """Something inside a payout. `earning_id` is null where the ledger does not have it."""

    earning_id: int | None
    external_id: str
    amount: Amount
    currency: Code
    earned_at: Moment | None
    kind: str | None
    status: str | None
    program: str | None
    product: str | None
    earning_net: Amount | None
    earning_currency: Code | None


class Items(Shape):
    rows: list[Item]
    next: str | None


class AskedPayouts(Paged):
    """Days are those on which payouts were made, in the time zone of the settings, both included."""

    first: AskedDay | None = Field(None, alias="from")
    last: AskedDay | None = Field(None, alias="to")
    connection: Slug | None = None
    status: PayoutStatus | None = None
    currency: AskedCurrency | None = None


@router.get("/payouts", response_model=Payouts)
def payouts_(
    request: Request, response: Response, token: Reader, asked: Annotated[AskedPayouts, Query()]
) -> dict[str, Any]:
    """Payouts, the newest first."""
    if asked.first and asked.last and asked.first > asked.last:
        raise UsageError("from is after to.")
    deps = deps_of(request)
    wanted = payouts.Wanted(**asked.model_dump(exclude={"limit", "cursor"}))
    found = payouts.page(deps.engine, deps.settings, wanted, place=asked.cursor, limit=asked.limit)
    return {"rows": found.rows, "next": linked(request, response, found.older)}


@router.get("/payouts/{payout_id}", response_model=Payout)
def payout(request: Request, token: Reader, payout_id: RowId) -> Any:
    """One payout."""
    return _found(request, payout_id)


def _found(request: Request, payout_id: int) -> payouts.PayoutRow:
    deps = deps_of(request)
    found = payouts.one(deps.engine, deps.settings, payout_id)
    if found is None:
        raise not_there("such payout")
    return found.row


@router.get("/payouts/{payout_id}/earnings", response_model=Items)
def payout_earnings(
    request: Request, response: Response, token: Reader, payout_id: RowId, asked: Annotated[Paged, Query()]
) -> dict[str, Any]:
    """What is inside a payout, the newest first; nothing where the provider does not say."""
    found = payouts.inside(
        deps_of(request).engine, _found(request, payout_id).id, place=asked.cursor, limit=asked.limit
    )
    return {"rows": found.rows, "next": linked(request, response, found.older)}
