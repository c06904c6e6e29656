"""Single earnings: searching them, one with its history, and deciding by hand what one is."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field, field_validator

from tracker import earning_story, search, streams
from tracker.classify import reason
from tracker.errors import UsageError
from tracker.filters import Filter
from tracker.money import plain
from tracker.records import Kind, Recurrence, Settlement, Status
from tracker.search import Sort
from tracker.store.reads import Basis
from tracker.tokens import Bearer
from tracker.web.api.bearer import Reader, Writer, note
from tracker.web.api.problems import not_there, unless_busy
from tracker.web.api.tagged import Tagged
from tracker.web.api.words import (
    Amount,
    Asked,
    AskedAmount,
    AskedCurrency,
    AskedDay,
    AskedMonth,
    Clean,
    Code,
    Cursor,
    Day,
    Given,
    Moment,
    Month,
    RowId,
    Shape,
    Slug,
    linked,
)
from tracker.web.site import deps_of

router = APIRouter(route_class=Tagged, tags=["earnings"])
Looked = Annotated[
    Clean,
    Field(
        min_length=1,
        max_length=200,
        description="Its id or title; `*` is any text. `=` before it: exactly a program's id, a product's name.",
    ),
]
Reason = Literal["not_income", "paired", "declined", "reversed", "estimated", "pending"]


class Earning(Shape):
    """One signed movement of income. `counted` is true, or the reason why it is in no total."""

    id: int
    connection: str
    resource: str
    external_id: str
    kind: Kind
    status: Status
    settlement: Settlement
    net: Amount = Field(description="What reaches you, after fees.")
    gross: Amount | None
    fee: Amount | None
    tax: Amount | None
    sale_amount: Amount | None
    sale_currency: Code | None
    currency: Code
    reporting_net: Amount | None = Field(description="In the currency of the settings; null: no rate is known.")
    reporting_currency: Code
    rate_day: Day | None
    earned_at: Moment
    validated_at: Moment | None
    paid_at: Moment | None
    program: str | None
    product: str | None
    sub_id: str | None
    country: str | None
    order_ref: str | None
    gateway_ref: str | None
    origin_ref: str | None
    subscription_ref: str | None
    payout_ref: str | None
    recurrence: Recurrence
    recurrence_reason: str | None
    recurrence_interval: str | None
    estimated: bool
    counted: Literal[True] | Reason
    stream: str | None
    stream_slug: str | None
    provider_status: str | None


class Changed(Shape):
    """A change of status, settlement or amount; an amount is a decimal string as everywhere."""

    changed_at: Moment
    what: str
    old: str | None
    new: str | None

    @field_validator("old", "new", mode="before")
    @classmethod
    def _worded(cls, value: object) -> object:
        return plain(value) if isinstance(value, Decimal) else value


class Raw(Shape):
    """The row as the provider sent it, without personal fields, as JSON; cut where it is not `whole`."""

    fetched_at: Moment
    text: str
    whole: bool


class EarningDetail(Earning):
    """With its history, the newest change first, and what is around it, by the ids of earnings and payouts."""

    stream_by: Literal["override", "rule", "connection"] = Field(description="What put it into its stream.")
    rate: Amount | None = Field(description="Units of the reporting currency for one of its own.")
    payout_id: int | None
    pairs: list[int] = Field(description="Rows of other connections that tell the same money.")
    related: list[int] = Field(description="What it corrects, or what corrects it.")
    changes: list[Changed]
    raw: Raw | None


class FoundSum(Shape):
    """All that fits in one currency; `counted` of the `earnings` are in totals. `reporting`: null without a rate."""

    currency: Code
    earnings: int
    net: Amount
    counted: int
    counted_net: Amount
    reporting: Amount | None


class Totals(Shape):
    """All that fits, on every page together."""

    earnings: int
    sums: list[FoundSum]


class Earnings(Shape):
    """`searched_to` is the oldest month (with `oldest`, the newest) that was looked at where there are more to look at:
    then go on with `next`, even from a page of few rows or none. `totals` is null where it was not asked for, or would
    mean to look at too many earnings one by one."""

    rows: list[Earning]
    totals: Totals | None
    searched_to: Month | None
    next: str | None


class AskedEarnings(Asked):
    """What all fit. Days are of the time zone of the settings, both included."""

    first: AskedDay | None = Field(None, alias="from")
    last: AskedDay | None = Field(None, alias="to")
    month: AskedMonth | None = None
    basis: Basis = Field(Basis.EARNED, description="Which date days and month go by.")
    stream: Slug | None = None
    connection: Slug | None = None
    program: Looked | None = None
    product: Looked | None = None
    sub_id: Looked | None = None
    status: Status | None = None
    settlement: Settlement | None = None
    recurrence: Recurrence | Literal["other"] | None = Field(None, description="`other`: all but what recurs.")
    kind: Kind | None = None
    currency: AskedCurrency | None = None
    least: AskedAmount | None = Field(None, alias="min")
    most: AskedAmount | None = Field(None, alias="max")
    q: Looked | None = Field(None, description="A reference as a whole, or else a part of an id, title or sub id.")
    counted: bool | Reason | None = Field(None, description="Whether it is in totals, or the reason why it is not.")
    sort: Sort = Sort.NEWEST
    totals: bool = False
    limit: int = Field(50, ge=1, le=search.SIZE_MAX)
    cursor: Cursor | None = None

    def filter(self) -> Filter:
        if self.first and self.last and self.first > self.last:
            raise UsageError("from is after to.")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise UsageError("min is more than max.")
        return Filter(**self.model_dump(include=set(Filter.__slots__)))


@router.get("/earnings", response_model=Earnings)
def earnings(
    request: Request, response: Response, token: Reader, asked: Annotated[AskedEarnings, Query()]
) -> dict[str, Any]:
    """Earnings that fit every filter. A million of them are no trouble: go from page to page with `next`."""
    deps = deps_of(request)
    found = search.search(
        deps.engine,
        deps.settings,
        asked.filter(),
        sort=asked.sort,
        after=asked.cursor,
        size=asked.limit,
        totals=asked.totals,
    )
    return {
        "rows": found.rows,
        "totals": found.totals,
        "searched_to": found.searched_to,
        "next": linked(request, response, found.next),
    }


@router.get("/earnings/{earning_id}", response_model=EarningDetail)
def earning(request: Request, token: Reader, earning_id: RowId) -> dict[str, Any]:
    """One earning with its history and the row that it came from."""
    deps = deps_of(request)
    found = earning_story.one(deps.engine, deps.settings, earning_id)
    if found is None:
        raise not_there("such earning")
    return {
        **found.row,
        "stream_by": found.in_stream.by,
        "rate": found.converted and found.converted.rate,
        "payout_id": found.payout and found.payout.id,
        "pairs": [row["id"] for row in found.pairs],
        "related": [row["id"] for row in found.related],
        "changes": found.changes,
        "raw": found.raw,
    }


# --- your own word ---


class Override(Given):
    """What you decide; what is not given stays as it was."""

    recurrence: Recurrence | None = None
    stream: Slug | None = None


class Decided(Shape):
    """What an earning is now, and why."""

    id: int
    external_id: str
    recurrence: Recurrence
    recurrence_reason: str | None
    stream: str


@router.put("/earnings/{earning_id}/override", response_model=Decided, openapi_extra={"x-busy": True})
def override(request: Request, token: Writer, earning_id: RowId, given: Override) -> dict[str, Any]:
    """Decide by hand what an earning is. Your word wins over the provider's and over every rule."""
    if given.recurrence is None and given.stream is None:
        raise UsageError("say what is to change: recurrence, stream or both.")
    told = ", ".join(f"{name} {word}" for name, word in given.model_dump(exclude_none=True).items())
    return _override(request, token, earning_id, told, recurrence=given.recurrence, stream=given.stream)


@router.delete("/earnings/{earning_id}/override", response_model=Decided, openapi_extra={"x-busy": True})
def clear_override(request: Request, token: Writer, earning_id: RowId) -> dict[str, Any]:
    """Take your decisions about an earning back."""
    return _override(request, token, earning_id, "cleared", clear=True)


def _override(request: Request, token: Bearer, earning_id: int, told: str, **wanted: Any) -> dict[str, Any]:
    deps = deps_of(request)
    try:
        earning = streams.find_earning(deps.engine, str(earning_id))
    except UsageError:
        raise not_there("such earning") from None
    with unless_busy(deps, earning.connection_id):
        row = streams.override(deps, str(earning_id), **wanted)
    note(request, token, "earning overridden", f"{row.external_id}: {told}")
    why = reason(row.recurrence_by, row.recurrence_reason)
    same = {name: getattr(row, name) for name in ("id", "external_id", "recurrence", "stream")}
    return {**same, "recurrence_reason": why}
