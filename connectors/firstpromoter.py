"""FirstPromoter, the affiliate's side: commissions and payouts of one company's programme.

Source: docs.firstpromoter.com, "Affiliate API" (authentication, commissions, payouts) and "Introduction" (limits,
pages).
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tracker.connect.auth import bearer
from tracker.connect.connector import Connector, Credential, Make, Option, Rate, Resource, make
from tracker.connect.fields import Row, currency, flag, get, minor, money, one_of, only_if, optional, text, timestamp
from tracker.connect.paging import page_number
from tracker.connect.plans import Full, PerPayout, Plan, created_since
from tracker.errors import DataError
from tracker.records import (
    Earning,
    Invoice,
    Kind,
    Payout,
    PayoutItem,
    PayoutStatus,
    Program,
    Recurrence,
    Settlement,
    Status,
)

_STATUSES = {"pending": Status.PENDING, "approved": Status.APPROVED, "denied": Status.DECLINED}
_PAYOUTS = {
    "pending": PayoutStatus.PENDING,
    "processing": PayoutStatus.IN_TRANSIT,
    "completed": PayoutStatus.PAID,
    "failed": PayoutStatus.FAILED,
    "cancelled": PayoutStatus.CANCELED,
}
#: What is earned besides money is no income.
_UNITS = {"cash": True} | dict.fromkeys(("credits", "points", "free_months", "mon_discount", "discount_per"), False)

in_cash = one_of("unit", _UNITS).read
_currency = currency("$.currency")
_status = one_of("status", _STATUSES)
_kind = one_of("commission_type", {"sale": Kind.COMMISSION, "custom": Kind.BONUS})
_paid = flag("is_paid")
_decided = optional(timestamp("status_updated_at"))
_plan = optional(text("plan_id"))
_sale = optional(minor("sale_amount", "$.currency")), optional(money("sale_amount"))
_amount = minor("amount", "$.currency"), money("amount")


def in_units(row: Row) -> bool:
    """The affiliate's side does not say whether it counts in cents, as the company's does."""
    return bool(get(row, "$.amounts") == "units")


def amount(row: Row) -> Any:
    value = row.get("amount")
    if isinstance(value, Decimal) and value % 1 and not in_units(row):
        raise DataError(f"{value} is no number of cents.", hint="Set amounts=units if your dashboard shows it so.")
    return _amount[in_units(row)].read(row)


def sale(row: Row) -> Any:
    return _sale[in_units(row)].read(row)


def kind(row: Row) -> Kind:
    """A refund comes as a commission below zero, which does not name the one that it takes back."""
    found: Kind = _kind.read(row)
    return Kind.REFUND if amount(row) < 0 else found


def settlement(row: Row) -> Settlement:
    return Settlement.PAID if _paid.read(row) else Settlement.UNPAID


def renews(row: Row) -> bool:
    """A later commission of the same customer on a plan: a gift without a plan is none."""
    return bool(in_cash(row) and _plan.read(row) and _kind.read(row) is Kind.COMMISSION)


def the_day_before(time: datetime) -> str:
    """Days are the account's, in a zone that is not told."""
    return (time - timedelta(days=1)).strftime("%Y-%m-%d")


def since(look_back: timedelta) -> Plan:
    return created_since("filters[created_at][from]", look_back=look_back, form=the_day_before)


def commissions(name: str, *makes: Make, plan: Plan, **params: str) -> Resource:
    return Resource(
        name=name,
        path="/api/v2/affiliate/commissions",
        params={"sorting[created_at]": "asc", **params},
        # The length of a page is documented for lists in general, not for this one: 20 is what comes unasked.
        paging=page_number(size=("per_page", 100), short=20),
        plan=plan,
        right="an affiliate's token for this account id; a company's key is refused here",
        row_id=text("id"),
        drop=("referral.email", "referral.uid", "external_note"),
        makes=makes,
    )


connector = Connector(
    title="FirstPromoter",
    kind="affiliate",
    docs="https://docs.firstpromoter.com/api-reference-v2/api-affiliate/introduction",
    base_url="https://api.firstpromoter.com",
    credentials={
        "token": Credential("API token", help="in your affiliate dashboard, settings, API"),
        "account_id": Credential("Account id", help="of the company whose programme it is: acc_…", secret=False),
    },
    options={
        "currency": Option(
            "Currency of the programme", help="such as USD; FirstPromoter's rows name none", required=True
        ),
        "amounts": Option(
            "How amounts are counted",
            help="cents or units: compare one commission with your dashboard",
            default="cents",
            choices=("cents", "units"),
        ),
        "base_url": Option("Address of the API", help="only for tests and proxies"),
    },
    headers={"Account-ID": "{account_id}"},
    auth=bearer("token"),
    rates=(Rate(300, 60),),  # 400 a minute to everybody who uses the account
    payouts="read",
    resources=(
        commissions(
            "commissions",
            make(
                Program,
                when=lambda row: bool(get(row, "promoter_campaign.campaign.name")),
                external_id=text("promoter_campaign.campaign.id"),
                title=text("promoter_campaign.campaign.name"),
                currency=_currency,
            ),
            make(
                Earning,
                when=in_cash,
                external_id=text("id"),
                kind=kind,
                status=_status,
                settlement=settlement,
                net=amount,
                currency=_currency,
                sale_amount=sale,
                sale_currency=lambda row: None if sale(row) is None else _currency.read(row),
                earned_at=timestamp("created_at"),
                validated_at=only_if(_decided, _status, Status.APPROVED, Status.DECLINED),
                program=optional(text("promoter_campaign.campaign.id")),
                product=_plan,
                payer=optional(text("referral.id")),
                provider_status=text("status"),
            ),
            # Nothing tells what has changed. What changes later is found by its payout, or comes as a refund.
            plan=since(timedelta(days=365)),
        ),
        commissions(
            "renewals",
            make(
                Invoice,
                when=renews,
                external_id=text("id"),
                payment_ref=text("id"),
                recurrence=Recurrence.RECURRING,
                product=_plan,
                payer=optional(text("referral.id")),
            ),
            plan=since(timedelta(days=7)),
            **{"filters[first_commission]": "false"},
        ),
        Resource(
            name="payouts",
            path="/api/v2/affiliate/payouts",
            rows="data",
            paging=page_number(size=("per_page", 100), short=20),
            plan=Full(),
            right="an affiliate's token for this account id; a company's key is refused here",
            row_id=text("id"),
            drop=("promoter", "payout_method", "error"),
            makes=(
                make(
                    Payout,
                    when=in_cash,
                    external_id=text("id"),
                    status=one_of("status", _PAYOUTS),
                    amount=amount,
                    currency=_currency,
                    created_at=timestamp("created_at"),
                    arrives_at=optional(timestamp("paid_at")),
                    itemised=True,
                    provider_status=text("status"),
                ),
            ),
        ),
        commissions(
            "payout_items",
            make(
                PayoutItem,
                when=in_cash,
                external_id=lambda row: f"{row['$payout']}:{row['id']}",
                payout_ref=text("$payout"),
                earning_ref=text("id"),
                amount=amount,
                currency=_currency,
            ),
            plan=PerPayout(param="filters[payout_id]"),
        ),
    ),
)
