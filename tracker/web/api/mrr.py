"""Monthly recurring revenue (MRR) and its movements in a month."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field

from tracker import reports
from tracker.figures.contracts import Brief, Cancellation, Delinquent, Discounts, IntervalRule, Rounding
from tracker.figures.mrr import Move, lifetime_value, rounded
from tracker.web.api.bearer import Reader
from tracker.web.api.tagged import Tagged
from tracker.web.api.words import Amount, Asked, AskedCurrency, AskedMonth, Code, Moment, Month, Shape, Share
from tracker.web.site import deps_of

router = APIRouter(route_class=Tagged, tags=["reports"])


class Policy(Shape):
    """What counts: docs/mrr.md explains each choice."""

    name: str
    interval: IntervalRule
    cancellation: Cancellation
    discounts: Discounts
    delinquent: Delinquent
    rounding: Rounding
    brief: Brief
    merge_within_s: int


class Flow(Shape):
    """end = start + new + expansion + reactivation - contraction - churn + fx"""

    start: Amount
    new: Amount
    expansion: Amount
    reactivation: Amount
    contraction: Amount
    churn: Amount
    fx: Amount
    end: Amount


class CustomersMoved(Shape):
    """How many customers made this movement at least once."""

    new: int
    expansion: int
    contraction: int
    churn: int
    reactivation: int


class Rates(Shape):
    """Shares of one; null where there is nothing to divide by."""

    gross_churn: Share | None
    net_churn: Share | None
    net_retention: Share | None
    gross_retention: Share | None
    logo_churn: Share | None
    subscriber_churn: Share | None


class Mrr(Shape):
    """MRR at the end of a month, or now while it runs. Amounts are rounded to the currency's minor unit."""

    month: Month
    currency: Code
    time_zone: str
    as_of: dict[str, Moment | None] = Field(description="When each connection was last read completely.")
    until: Moment
    policy: Policy
    mrr: Amount
    arr: Amount
    arpa: Amount | None
    customers: int
    subscriptions: int
    metered: int = Field(description="Subscriptions with usage-priced parts on top, which are in no figure.")
    by_currency: dict[str, Amount]
    movements: Flow
    customers_moved: CustomersMoved
    rates: Rates
    ltv: Amount | None
    unconverted: list[Code] = Field(description="Currencies in none of the amounts, because no rate is known.")


def told(report: reports.Recurring) -> Mrr:
    """As `tracker mrr --json` tells it."""
    balance, moves, code = report.balance, report.movements, report.balance.currency
    choices = [name for name in Policy.model_fields if name not in ("name", "merge_within_s")]
    policy = {name: getattr(report.policy, name) for name in choices}
    merge_within_s = int(report.policy.merge_within.total_seconds())
    rates = {name: getattr(moves, name) for name in Rates.model_fields} | {"net_retention": moves.net_retention()}
    worth = lifetime_value(balance.arpa, moves.logo_churn)
    return Mrr.model_validate(
        {
            "month": report.month,
            "currency": code,
            "time_zone": report.time_zone,
            "as_of": report.as_of,
            "until": report.until,
            "policy": {"name": report.policy_name, "merge_within_s": merge_within_s, **policy},
            "mrr": rounded(balance.total, code),
            "arr": rounded(balance.arr, code),
            "arpa": None if balance.arpa is None else rounded(balance.arpa, code),
            "customers": balance.customers,
            "subscriptions": balance.contracts,
            "metered": balance.metered,
            "by_currency": {money: rounded(amount, money) for money, amount in balance.by_currency.items()},
            "movements": {name: rounded(getattr(moves, name), code) for name in Flow.model_fields},
            "customers_moved": {move.value: moves.count(move) for move in Move},
            "rates": rates,
            "ltv": None if worth is None else rounded(worth, code),
            "unconverted": sorted({*balance.unconverted, *moves.unconverted}),
        }
    )


class AskedMrr(Asked):
    month: AskedMonth | None = Field(None, description="By default the one that runs.")
    currency: AskedCurrency | None = Field(None, description="Another than that of the settings.")
    policy: Literal["default", "stripe", "chartmogul", "profitwell", "ghost"] = Field(
        "default", description="Count as this tool does."
    )


@router.get("/mrr")
def mrr(request: Request, token: Reader, asked: Annotated[AskedMrr, Query()]) -> Mrr:
    """MRR at the end of a month and how it moved, as `tracker mrr` tells it."""
    deps = deps_of(request)
    report = reports.recurring(
        deps.engine, deps.settings, deps.now(), month=asked.month, currency=asked.currency, policy=asked.policy
    )
    return told(report)
