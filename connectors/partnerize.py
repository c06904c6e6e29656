"""Partnerize: the lines of a partner's conversions, changed in place, and the self-bills they are paid by.

Source: api-docs.partnerize.com/partner, "Retrieve a Partner Conversions Report", "List all Selfbills", "List
Campaigns", "List all Partner Websites", "Pagination", "Cursor Pagination" and "Rate Limits".
"""

from collections.abc import Iterator
from datetime import timedelta

from tracker.connect.auth import basic
from tracker.connect.connector import Connector, Credential, Discover, Option, Rate, Resource, make
from tracker.connect.fields import (
    Field,
    Row,
    as_text,
    country,
    currency,
    money,
    one_of,
    only_if,
    optional,
    text,
    timestamp,
)
from tracker.connect.paging import next_link
from tracker.connect.plans import Axis, created_since, date_windows, iso_z
from tracker.records import Earning, Kind, Payout, PayoutItem, PayoutStatus, Program, Status

# The reference's text calls it so, but its example "last_modified".
_CHANGED = "last_updated"
_STATUSES = {"pending": Status.PENDING, "approved": Status.APPROVED, "rejected": Status.DECLINED}

_status, _approved = one_of("item_status", _STATUSES), optional(timestamp("approved_at"))
_bill = optional(text("publisher_self_bill_id"))
_key, _item = text("conversion_id"), text("conversion_item_id")
_tracked, _billed, _sent = (optional(currency(f"selfbill.{name}_currency")) for name in ("tracked", "selfbill", "paid"))
_paid = optional(timestamp("selfbill.payment_date"))


def lines(row: Row) -> Iterator[Row]:
    """Every line with its conversion's values under it, for a conversion may be "mixed". Without lines, itself."""
    whole = row["conversion_data"]
    key = _key.read(whole)
    for line in whole.get("conversion_items") or ():
        yield {**whole, **line, "key": f"{key}:{_item.read(line)}"}
    if not whole.get("conversion_items"):
        value = whole["conversion_value"]
        yield {
            **whole,
            "key": key,
            "item_status": value["conversion_status"],
            "item_value": value.get("value"),
            "item_publisher_commission": value["publisher_commission"],
        }


def billed_as_tracked(row: Row) -> bool:
    """Which currency a bill's total is in is only certain where all of them are the same."""
    return len({_tracked.read(row), _billed.read(row), _sent.read(row)} - {None}) == 1


def of_account(name: str) -> Field:
    """A value of a partner account. The reference wraps each row of a list once more, but does not show this list."""
    return Field.of(lambda row: as_text(row.get("publisher", row)[name]))


_total, _net = money("selfbill.total_value"), money("selfbill.tracked_net_value")

connector = Connector(
    title="Partnerize",
    kind="affiliate",
    docs="https://api-docs.partnerize.com/partner/",
    base_url="https://api.partnerize.com",
    credentials={
        "application_key": Credential(
            "User application key", help="console.partnerize.com, Settings > Account settings"
        ),
        "user_api_key": Credential("User API key", help="beside the application key"),
        "publisher_id": Credential("Partner id", help="such as 1100l99, beside your account's name", secret=False),
    },
    options={"base_url": Option("Address of the API", help="only for tests and proxies")},
    auth=basic("application_key", "user_api_key"),
    rates=(Rate(30, 60),),  # no number is published
    retry_after="X-RateLimit-Retry-After",
    message=("error.message",),
    payouts="read",
    discover=(
        Discover(
            what="partner accounts",
            path="/user/publisher",
            rows="publishers",
            id=of_account("publisher_id"),
            title=of_account("account_name"),
            fills="publisher_id",
        ),
        Discover(
            what="websites",
            path="/user/publisher/{publisher_id}/website",
            rows="websites",
            id=text("website.website_id"),
            title=optional(text("website.website_url")),
        ),
        Discover(
            what="programmes",
            path="/user/publisher/{publisher_id}/campaign/a",  # those that approved the partner
            rows="campaigns",
            paging=next_link(path="hypermedia.pagination.next_page"),
            id=text("campaign.campaign_id"),
            title=optional(text("campaign.title")),
        ),
    ),
    resources=(
        Resource(
            name="conversions",
            path="/reporting/report_publisher/publisher/{publisher_id}/conversion.json",
            rows="conversions",
            params={"timezone": "UTC"},  # times have no offset: they are in the zone that is asked for
            # The reference promises links, but its example of this report has none.
            paging=next_link(
                path="hypermedia.pagination.next_page",
                size=("limit", 300),
                unlinked=("hypermedia.pagination.first_page", "offset"),
            ),
            plan=date_windows(
                31,
                Axis(name="conversion", since="start_date", until="end_date", overlap=timedelta(days=7)),
                Axis(
                    name="change",
                    params={"date_type": _CHANGED},
                    since="start_date",
                    until="end_date",
                    overlap=timedelta(days=1),
                    backfill=False,
                ),
                # Whether billing is a change is not said: look again at what was approved in the last half year.
                Axis(
                    name="approval",
                    params={"date_type": "approved_at"},
                    since="start_date",
                    until="end_date",
                    overlap=timedelta(days=185),
                ),
                form=iso_z,
            ),
            right="a user of this partner account",
            row_id=text("conversion_data.conversion_id"),
            drop=(
                "conversion_data.referer_ip",
                "conversion_data.source_referer",
                "conversion_data.click.set_ip",
                "conversion_data.click.last_ip",
                "conversion_data.click.referer",
                "conversion_data.meta_data",
                "conversion_data.conversion_items.*.meta_data",
            ),
            pseudonymise=("conversion_data.customer_reference",),
            makes=(
                make(
                    Program,
                    external_id=text("conversion_data.campaign_id"),
                    title=text("conversion_data.campaign_title"),
                ),
                make(
                    Earning,
                    parts=lines,
                    external_id=text("key"),
                    kind=Kind.COMMISSION,
                    status=_status,
                    net=money("item_publisher_commission"),
                    currency=currency("currency"),
                    sale_amount=optional(money("item_value")),
                    sale_currency=currency("currency"),
                    earned_at=timestamp("conversion_time"),
                    validated_at=only_if(_approved, _status, Status.APPROVED),
                    program=text("campaign_id"),
                    product=optional(text("category")),
                    payer=optional(text("customer_reference")),
                    country=country("country"),
                    sub_id=optional(text("publisher_reference")),
                    order_ref=optional(text("conversion_reference")),
                    provider_status=text("item_status"),
                ),
                make(
                    PayoutItem,
                    parts=lines,
                    when=lambda line: _bill.read(line) is not None,
                    external_id=text("key"),
                    payout_ref=_bill,
                    earning_ref=text("key"),
                    amount=money("item_publisher_commission"),
                    currency=currency("currency"),
                ),
            ),
        ),
        Resource(
            name="selfbills",
            path="/user/publisher/{publisher_id}/selfbill",
            rows="selfbills",
            paging=next_link(path="hypermedia.pagination.next_page"),
            plan=created_since(
                "start_date",
                until="end_date",
                look_back=timedelta(days=365),  # a bill is paid some time after it was made
                form=lambda time: time.strftime("%Y-%m-%d %H:%M:%S"),
            ),
            right="a user of this partner account who may see payments",
            row_id=text("selfbill.publisher_self_bill_id"),
            drop=("selfbill.download", "selfbill.item_download"),
            makes=(
                make(
                    Payout,
                    external_id=text("selfbill.publisher_self_bill_id"),
                    status=lambda row: PayoutStatus.PAID if _paid.read(row) else PayoutStatus.PENDING,
                    amount=lambda row: (_total if billed_as_tracked(row) else _net).read(row),
                    currency=currency("selfbill.tracked_currency"),
                    created_at=timestamp("selfbill.creation_date"),
                    arrives_at=_paid,
                    provider_status=optional(text("selfbill.status")),
                ),
            ),
        ),
    ),
)
