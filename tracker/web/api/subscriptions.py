"""Subscriptions: the contracts that monthly recurring revenue is made of."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from tracker import subscriptions
from tracker.records import SubscriptionStatus
from tracker.web.api.bearer import Reader
from tracker.web.api.tagged import Tagged
from tracker.web.api.words import Amount, Clean, Code, Moment, Paged, Shape, Slug, linked
from tracker.web.site import deps_of

router = APIRouter(route_class=Tagged, tags=["subscriptions"])
Looked = Annotated[Clean, Field(min_length=1, max_length=subscriptions.TEXT_MAX)]


class Subscription(Shape):
    """A contract of one payer, who is told by an opaque id. `counted`: it is in MRR while it runs."""

    id: int
    connection: str
    external_id: str
    status: SubscriptionStatus
    provider_status: str | None
    product: str | None
    amount: Amount = Field(description="Per interval, without discounts.")
    currency: Code
    interval: str
    started_at: Moment
    next_at: Moment | None = Field(description="When the next payment is due.")
    ends_at: Moment | None = Field(description="When it ended, or will end.")
    payer: str | None
    metered: bool
    counted: bool


class Subscriptions(Shape):
    rows: list[Subscription]
    next: str | None


class AskedSubscriptions(Paged):
    status: SubscriptionStatus | None = None
    connection: Slug | None = None
    product: Looked | None = None
    interval: Looked | None = Field(None, examples=["month"])
    q: Looked | None = Field(None, description="A part of an id, product or payer.")
    doubles: bool = Field(False, description="Also those that another connection tells, and counts.")


@router.get("/subscriptions", response_model=Subscriptions)
def subscriptions_(
    request: Request, response: Response, token: Reader, asked: Annotated[AskedSubscriptions, Query()]
) -> dict[str, Any]:
    """Subscriptions, those begun last first."""
    wanted = subscriptions.Wanted(text=asked.q, **asked.model_dump(exclude={"limit", "cursor", "q"}))
    found = subscriptions.page(deps_of(request).engine, wanted, place=asked.cursor, limit=asked.limit)
    return {"rows": found.rows, "next": linked(request, response, found.older)}
