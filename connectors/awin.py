"""Awin: commissions of a publisher account, changed in place while Awin validates and pays them.

Source: help.awin.com, "Get List of Transactions", "Get Program Information", "Get accounts" and "Response codes".
"""

import re
from datetime import timedelta

from tracker.connect.auth import bearer
from tracker.connect.connector import Connector, Credential, Discover, Option, Rate, Resource, make
from tracker.connect.fields import (
    Row,
    country,
    currency,
    first_of,
    flag,
    money,
    one_of,
    optional,
    text,
    timestamp,
)
from tracker.connect.plans import Axis, Full, Reread, date_windows, iso_naive
from tracker.errors import AuthRejected, ProviderError, Unavailable
from tracker.records import Earning, Kind, Program, Settlement, Status

_STATUSES = {
    "pending": Status.PENDING,
    "approved": Status.APPROVED,
    "bonus": Status.APPROVED,
    "declined": Status.DECLINED,
    "deleted": Status.DECLINED,
}
_CLICK_REFS = ("clickRef", "clickRef2", "clickRef3", "clickRef4", "clickRef5", "clickRef6")

_paid = optional(flag("paidToPublisher"))
_payment = optional(text("paymentId"))
_only_group = optional(text("transactionParts.0.commissionGroupName"))


def kind(row: Row) -> Kind:
    """Some accounts name a bonus in `type`, others in `commissionStatus`."""
    words = f"{row.get('type')} {row['commissionStatus']}".lower()
    return Kind.BONUS if "bonus" in words else Kind.COMMISSION


def settlement(row: Row) -> Settlement:
    return Settlement.PAID if _paid.read(row) else Settlement.UNPAID


def payout(row: Row) -> str | None:
    """The payment's id, which is 0 until the commission is paid."""
    number: str | None = _payment.read(row)
    return number if number != "0" and _paid.read(row) else None


def product(row: Row) -> str | None:
    """The commission group, unless the order is split over several."""
    group: str | None = _only_group.read(row)
    return group if len(row.get("transactionParts") or ()) == 1 else None


def refused(error: object) -> ProviderError:
    """An error object where the list should be, although the status is 200."""
    words = str(error)[:100]
    if re.search(r"authori[sz]|authenticat|token|forbidden", words, re.IGNORECASE):
        return AuthRejected(f'Awin refused the credentials. It says: "{words}"', hint="Make a new token.")
    return Unavailable(f'Awin answered with an error: "{words}"', hint="Nothing was lost; it is tried again later.")


def follow(name: str, *, backfill: bool = False, overlap: timedelta = timedelta(days=1)) -> Axis:
    return Axis(
        name=name, params={"dateType": name}, since="startDate", until="endDate", backfill=backfill, overlap=overlap
    )


connector = Connector(
    title="Awin",
    kind="affiliate",
    docs="https://help.awin.com/apidocs/introduction-1",
    base_url="https://api.awin.com",
    credentials={
        "token": Credential("API token", help="ui.awin.com/awin-api, or Account > API credentials"),
        "publisher_id": Credential("Publisher id", help="the number beside your account's name", secret=False),
    },
    options={"base_url": Option("Address of the API", help="only for tests and proxies")},
    auth=bearer("token"),
    rates=(Rate(20, 60),),
    failure="error",
    refused=refused,
    message=("description", "error"),
    payouts="from_earnings",
    discover=(
        Discover(
            what="publisher accounts",
            path="/accounts",
            params={"type": "publisher"},
            rows="accounts",
            id=text("accountId"),
            title=optional(text("accountName")),
            fills="publisher_id",
        ),
        Discover(
            what="programmes",
            path="/publishers/{publisher_id}/programmes",
            params={"relationship": "joined"},
            id=text("id"),
            title=text("name"),
        ),
    ),
    resources=(
        Resource(
            name="programmes",
            path="/publishers/{publisher_id}/programmes",
            params={"relationship": "joined"},
            plan=Full(),  # not a snapshot: a programme that was left keeps its name for its old commissions
            right="a user with access to this publisher account",
            row_id=text("id"),
            makes=(
                make(
                    Program,
                    external_id=text("id"),
                    title=text("name"),
                    currency=optional(currency("currencyCode")),
                ),
            ),
        ),
        Resource(
            name="transactions",
            path="/publishers/{publisher_id}/transactions/",
            params={"timezone": "UTC"},
            plan=date_windows(
                31,
                # Sales are sometimes booked days late; a week's look back costs no further call.
                follow("transaction", backfill=True, overlap=timedelta(days=7)),
                follow("validation"),
                follow("amendment"),
                form=iso_naive,
                # The paid flag has no date to follow. Ten calls keep a daily run within a minute's allowance.
                reread=Reread(param="ids", chunk=100, at_most=1_000),
            ),
            right="a user with access to this publisher account",
            row_id=text("id"),
            drop=("ipHash", "customParameters", "publisherUrl"),
            makes=(
                make(
                    Earning,
                    external_id=text("id"),
                    kind=kind,
                    status=one_of("commissionStatus", _STATUSES),
                    settlement=settlement,
                    net=money("commissionAmount.amount"),
                    currency=currency("commissionAmount.currency"),
                    sale_amount=optional(money("saleAmount.amount")),
                    sale_currency=optional(currency("saleAmount.currency")),
                    earned_at=timestamp("transactionDate"),
                    validated_at=optional(timestamp("validationDate")),
                    program=text("advertiserId"),
                    product=product,
                    country=country("customerCountry"),
                    # `clickRef` may be empty while `clickRef2` is not.
                    sub_id=first_of(*(f"clickRefs.{name}" for name in _CLICK_REFS)),
                    order_ref=optional(text("orderRef")),
                    payout_ref=payout,
                    provider_status=text("commissionStatus"),
                ),
            ),
        ),
    ),
)
