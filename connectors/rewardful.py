"""Rewardful, the programme owner's side: what is owed to the affiliates, as costs that are in no income.

Source: developers.rewardful.com, "Overview", "The commission object", "List commissions" and "Retrieve commission".
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tracker.connect.auth import basic
from tracker.connect.connector import Connector, Credential, Option, Rate, Resource, make
from tracker.connect.fields import Row, currency, get, minor, one_of, optional, text, timestamp
from tracker.connect.paging import page_number
from tracker.connect.plans import NewestFirst, Reread
from tracker.records import Earning, Kind, Program, Settlement, Status

_STATES = {
    "pending": Status.PENDING,
    "due": Status.APPROVED,
    "paid": Status.APPROVED,
    "voided": Status.DECLINED,
}

_state = one_of("state", _STATES)
_amount = minor("amount", "currency")
_sale = optional(minor("sale.sale_amount_cents", "sale.currency"))
_sale_currency = optional(currency("sale.currency"))
_due, _paid, _voided = (optional(timestamp(name)) for name in ("due_at", "paid_at", "voided_at"))


def owed(row: Row) -> Decimal:
    amount: Decimal = _amount.read(row)
    return -amount


def decided_at(row: Row) -> datetime | None:
    """When it was voided or became due; `due_at` is a plan until then, and the owner may pay before."""
    state = _state.read(row)
    if state is Status.PENDING:
        return None
    times = [_voided.read(row)] if state is Status.DECLINED else [_due.read(row), _paid.read(row)]
    return min((time for time in times if time), default=None)


def sale(row: Row) -> Decimal | None:
    amount: Decimal | None = _sale.read(row) if _sale_currency.read(row) else None
    return amount


def nobody(row: Row) -> None:
    """Of people only the ids stay: names, addresses of mail and of PayPal stand around them."""
    for holder in (row, row.get("sale")):
        for name in ("affiliate", "referral", "link", "customer"):
            if isinstance(holder, dict) and isinstance(holder.get(name), dict):
                holder[name] = {"id": holder[name].get("id")}


def is_named(row: Row) -> Any:
    return get(row, "campaign.id") and get(row, "campaign.name")


connector = Connector(
    title="Rewardful",
    kind="affiliate",
    docs="https://developers.rewardful.com/rest-api/overview",
    base_url="https://api.getrewardful.com",
    credentials={"api_secret": Credential("API secret", help="app.getrewardful.com/company/edit; it can also write")},
    options={"base_url": Option("Address of the API", help="only for tests and proxies")},
    auth=basic("api_secret"),
    rates=(Rate(40, 30),),  # 45 to everybody who uses the account
    retry_after="RateLimit-Reset",
    message=("error",),
    warning="Reads what you owe to your affiliates: costs, which are in no income.",
    resources=(
        Resource(
            name="commissions",
            # The parameter is repeated: here one, below the other.
            path="/v1/commissions?expand[]=campaign",
            params={"expand[]": "sale"},
            rows="data",
            paging=page_number(size=("limit", 100), total="pagination.total_pages"),
            plan=NewestFirst(
                time=timestamp("created_at"),
                # A commission is due after 30 or 60 days and paid in one of the months that follow.
                rescan=timedelta(days=120),
                reread=Reread(one="/v1/commissions/{id}?expand[]=campaign", at_most=30),
            ),
            right="the API secret of the company whose programme it is",
            row_id=text("id"),
            tidy=nobody,
            makes=(
                make(Program, when=is_named, external_id=text("campaign.id"), title=text("campaign.name")),
                make(
                    Earning,
                    external_id=text("id"),
                    kind=Kind.COST,
                    status=_state,
                    settlement=lambda row: Settlement.PAID if _paid.read(row) else Settlement.UNPAID,
                    net=owed,
                    currency=currency("currency"),
                    sale_amount=sale,
                    sale_currency=_sale_currency,
                    earned_at=timestamp("created_at"),
                    validated_at=decided_at,
                    paid_at=_paid,
                    program=optional(text("campaign.id")),
                    sub_id=optional(text("sale.affiliate.id")),
                    # Not as gateway_ref: Stripe's charge is the sale, and not this money reported twice.
                    order_ref=optional(text("sale.stripe_charge_id")),
                    provider_status=text("state"),
                ),
            ),
        ),
    ),
)
