"""Admitad: actions of a publisher, changed in place, and payments with the actions inside.

Source: developers.admitad.com, "Reports by actions", "List of payment requests" and "Statement on the payment
application"; limits of a page and the token from Admitad's own Python client.
"""

from base64 import b64encode
from datetime import timedelta

from tracker.connect.auth import token
from tracker.connect.connector import Connector, Credential, Option, Rate, Resource, make
from tracker.connect.fields import Field, currency, first_of, flag, money, one_of, only_if, optional, text, timestamp_in
from tracker.connect.paging import offset
from tracker.connect.plans import Axis, Full, PerPayout, date_windows, local
from tracker.records import Earning, Kind, Payout, PayoutItem, PayoutStatus, Program, Settlement, Status

_STATUSES = {
    "pending": Status.PENDING,
    "approved": Status.APPROVED,
    "approved_but_stalled": Status.APPROVED,  # waits for the advertiser's money
    "declined": Status.DECLINED,
}
_PAYMENTS = {"pending": PayoutStatus.PENDING, "processed": PayoutStatus.PAID}
_PAID = {0: Settlement.UNPAID, 1: Settlement.PAID, "0": Settlement.UNPAID, "1": Settlement.PAID}

_status, _paid = one_of("status", _STATUSES), optional(one_of("paid", _PAID))
_sale = optional(money("cart"))
_days, _seconds = local("Europe/Moscow", "%d.%m.%Y"), local("Europe/Moscow", "%d.%m.%Y %H:%M:%S")
_paging = offset(size=("limit", 500), total="_meta.count")


_updated = optional(timestamp_in("status_updated", "$.time_zone"))


connector = Connector(
    title="Admitad",
    kind="affiliate",
    docs="https://developers.admitad.com/knowledge-base/article/publisher-reports_1",
    base_url="https://api.admitad.com",
    credentials={
        "client_id": Credential("Client id", help="in your account, behind the button Show credentials", secret=False),
        "client_secret": Credential("Client secret", help="beside the client id"),
    },
    options={
        "time_zone": Option("Time zone of your reports", help="such as Europe/Moscow", default="Europe/Moscow"),
        "base_url": Option("Address of the API", help="only for tests and proxies"),
    },
    auth=token(
        "https://api.admitad.com/token/",
        lambda keys: {
            "grant_type": "client_credentials",
            "client_id": keys["client_id"],
            "scope": "statistics payments",
        },
        headers=lambda keys: {
            "Authorization": "Basic " + b64encode(f"{keys['client_id']}:{keys['client_secret']}".encode()).decode()
        },
    ),
    rates=(Rate(60, 60),),  # no number is published
    message=("error_description", "details", "error"),
    payouts="read",
    resources=(
        Resource(
            name="actions",
            path="/statistics/actions/",
            rows="results",
            params={"order_by": "datetime"},
            paging=_paging,
            plan=date_windows(
                92,
                Axis(name="action", since="date_start", until="date_end", overlap=timedelta(days=7), form=_days),
                Axis(
                    name="status",
                    params={"date_start": "01.01.2009"},  # whatever a report without a date would begin with
                    since="status_updated_start",
                    until="status_updated_end",
                    overlap=timedelta(days=2),
                    backfill=False,
                ),
                # Being paid is no status, so it may leave the date of the update as it was.
                Axis(
                    name="paid",
                    params={"paid": "1"},
                    since="date_start",
                    until="date_end",
                    overlap=timedelta(days=183),
                    backfill=False,
                    form=_days,
                ),
                form=_seconds,
            ),
            right="the scope statistics",
            row_id=text("action_id"),
            drop=("click_user_ip", "click_user_referer", "user_referer", "positions"),
            makes=(
                make(Program, external_id=text("advcampaign_id"), title=text("advcampaign_name")),
                make(
                    Earning,
                    external_id=text("action_id"),
                    kind=Kind.COMMISSION,
                    status=_status,
                    settlement=lambda row: _paid.read(row) or Settlement.UNPAID,
                    net=money("payment"),
                    currency=currency("currency"),
                    sale_amount=_sale,
                    sale_currency=lambda row: None if _sale.read(row) is None else currency("currency").read(row),
                    earned_at=timestamp_in("action_date", "$.time_zone"),
                    validated_at=only_if(_updated, _status, Status.APPROVED),
                    program=text("advcampaign_id"),
                    product=optional(text("action")),
                    sub_id=first_of("subid", "subid1", "subid2", "subid3", "subid4"),
                    order_ref=optional(text("order_id")),
                    provider_status=text("status"),
                ),
            ),
        ),
        Resource(
            name="payments",
            path="/payments/",
            rows="results",
            paging=_paging,
            plan=Full(),
            right="the scope payments",
            row_id=text("id"),
            drop=("billing_info", "comment", "cancel_bill_id"),
            makes=(
                make(
                    Payout,
                    external_id=text("id"),
                    status=one_of("status", _PAYMENTS),
                    amount=money("payment_sum"),
                    currency=currency("currency"),
                    created_at=timestamp_in("datetime", "$.time_zone"),
                    itemised=flag("has_statement"),
                    provider_status=text("status"),
                ),
            ),
        ),
        Resource(
            name="paid",
            path="/payments/{id}/statement/",
            rows="results",
            params={"detailed": "1"},  # else a line for each programme, without the actions
            paging=_paging,
            plan=PerPayout(one="/payments/{id}/statement/"),
            right="the scope payments",
            row_id=Field.of(lambda row: f"{row['$payout']}:{row['id']}"),
            makes=(
                make(
                    PayoutItem,
                    external_id=lambda row: f"{row['$payout']}:{row['id']}",
                    payout_ref=text("$payout"),
                    earning_ref=text("id"),
                    amount=money("payment"),
                    currency=currency("currency"),
                ),
            ),
        ),
    ),
)
