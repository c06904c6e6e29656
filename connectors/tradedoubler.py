"""Tradedoubler: transactions of a publisher, changed in place, payments with what is inside, and digital wallets.

Source: Tradedoubler's publisher management API, "oAuth 2.0", "Transaction", "Payment", "Digital Wallets", "Source" and
"Rate Limiting" (tradedoubler.docs.apiary.io).
"""

from base64 import b64encode
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from zoneinfo import ZoneInfo

from tracker.connect.auth import token
from tracker.connect.connector import Connector, Credential, Discover, Option, Rate, Resource, make
from tracker.connect.fields import (
    Field,
    Row,
    currency,
    first_of,
    flag,
    money,
    one_of,
    optional,
    parse_time,
    text,
    timestamp,
)
from tracker.connect.paging import offset
from tracker.connect.plans import Axis, PerPayout, created_since, date_windows, local
from tracker.errors import ProviderError, RightMissing
from tracker.records import Earning, Kind, Payout, PayoutItem, PayoutStatus, Program, Settlement, Status

_STATUSES = {"P": Status.PENDING, "A": Status.APPROVED, "D": Status.DECLINED}
_WALLETS = {"OPEN": Settlement.UNPAID, "INVOICED": Settlement.UNPAID, "PAID": Settlement.PAID}
# The reference shows the first word and describes the other, "withdraw (correction to the publisher)".
_DIRECTIONS = {"DEPOSIT": Kind.BONUS, "WITHDRAW": Kind.ADJUSTMENT, "WITHDRAWAL": Kind.ADJUSTMENT}

_status, _paid = one_of("status", _STATUSES), optional(flag("paid"))
_payment = optional(text("paymentId"))
_direction, _value = one_of("digitalWalletType", _DIRECTIONS), money("amount.publisherValue")

_days = local("Europe/Stockholm", "%Y%m%d")  # whole days, both ends included
_paging = offset(size=("limit", 100), told=True)


def when(row: Row, name: str) -> datetime:
    """Times of transactions have no offset, and the reference names no zone. It spells them in two ways."""
    return parse_time(row.get(name) or row.get(name.replace("timeOf", "timeof")), ZoneInfo(row["$"]["time_zone"]))


def validated_at(row: Row) -> datetime | None:
    """The last change, which is usually the validation. Without one it was approved from the start."""
    changed = row.get("timeOfLastModified") or row.get("timeofLastModified")
    return when(row, "timeOfLastModified") if changed and row["status"] == "A" else None


def payout(row: Row) -> str | None:
    """A payment may be named before it is paid."""
    number: str | None = _payment.read(row)
    return number if _paid.read(row) else None


def wallet_key(row: Row) -> str:
    """Digital wallets have no id. The amount in the program's own currency does not move with exchange rates."""
    amount = row["amount"]
    said = [row["createdDate"], row["programId"], row.get("sourceId"), row["digitalWalletType"], row.get("text")]
    said += [f"{amount['programValue']:.2f}", amount["programCurrency"]]
    return blake2b("\0".join(map(str, said)).encode(), digest_size=12).hexdigest()


def wallet_net(row: Row) -> Decimal:
    amount: Decimal = abs(_value.read(row))
    return amount if _direction.read(row) is Kind.BONUS else -amount


def lower_role(error: ProviderError) -> bool:
    """Members and readers see transactions and wallets, but no payments."""
    return isinstance(error, RightMissing)


connector = Connector(
    title="Tradedoubler",
    kind="affiliate",
    docs="https://tradedoubler.docs.apiary.io/",
    base_url="https://connect.tradedoubler.com",
    credentials={
        "client_id": Credential(
            "Client id", help="publishers.tradedoubler.com/account/clients, made by an owner or admin", secret=False
        ),
        "client_secret": Credential("Client secret", help="shown once, when the client is made"),
        "username": Credential("User name", help="of your login at Tradedoubler"),
        "password": Credential("Password", help="of the same login"),
    },
    options={
        "currency": Option(
            "Currency of your account", help="such as EUR; amounts come converted into it", required=True
        ),
        "time_zone": Option("Time zone of your reports", help="such as Europe/London", default="Europe/Stockholm"),
        "base_url": Option("Address of the API", help="only for tests and proxies"),
    },
    auth=token(
        "https://connect.tradedoubler.com/uaa/oauth/token",
        lambda keys: {"grant_type": "password", "username": keys["username"], "password": keys["password"]},
        headers=lambda keys: {
            "Authorization": "Basic " + b64encode(f"{keys['client_id']}:{keys['client_secret']}".encode()).decode()
        },
        refreshed=True,
    ),
    rates=(Rate(60, 60),),
    message=("0.message", "message", "error_description"),
    payouts="read",
    discover=(Discover(what="sites", path="/publisher/sources", id=text("id"), title=optional(text("name"))),),
    resources=(
        Resource(
            name="transactions",
            path="/publisher/report/transactions",
            rows="items",
            params={"reportCurrencyCode": "{currency}", "sortBy": "timeOfTransaction", "sortOrder": "asc"},
            carry=("reportCurrencyCode",),
            paging=_paging,
            plan=date_windows(
                30,
                # Offline sales are stored days later; a month back is one more call.
                Axis(name="transaction", since="fromDate", until="toDate", overlap=timedelta(days=29)),
                Axis(
                    name="change",
                    params={"lastModified": "true"},
                    since="fromDate",
                    until="toDate",
                    overlap=timedelta(days=2),
                    backfill=False,
                ),
                form=_days,
            ),
            right="a user of the publisher account, in any role",
            row_id=text("transactionId"),
            drop=("deviceObject",),
            makes=(
                make(Program, external_id=text("programId"), title=text("programName")),
                make(
                    Earning,
                    external_id=text("transactionId"),
                    kind=Kind.COMMISSION,
                    status=_status,
                    settlement=lambda row: Settlement.PAID if _paid.read(row) else Settlement.UNPAID,
                    net=money("commission"),
                    currency=currency("reportCurrencyCode"),
                    sale_amount=optional(money("orderValue")),
                    sale_currency=currency("reportCurrencyCode"),
                    earned_at=lambda row: when(row, "timeOfTransaction"),
                    validated_at=validated_at,
                    program=text("programId"),
                    product=optional(text("eventName")),
                    sub_id=first_of("epi", "epi2"),
                    order_ref=first_of("orderNumber", "leadNumber"),
                    payout_ref=payout,
                    provider_status=text("status"),
                ),
            ),
        ),
        Resource(
            name="digital-wallets",
            path="/publisher/report/payments/digitalwallets",
            rows="items",
            params={"reportCurrencyCode": "{currency}"},
            paging=_paging,
            plan=created_since(
                "fromDate",
                until="toDate",
                look_back=timedelta(days=365),  # their status changes without a date
                form=_days,
            ),
            right="a user of the publisher account, in any role",
            row_id=Field.of(wallet_key),
            makes=(
                make(Program, external_id=text("programId"), title=text("programName")),
                make(
                    Earning,
                    external_id=wallet_key,
                    kind=_direction,
                    status=Status.APPROVED,
                    settlement=one_of("digitalWalletStatus", _WALLETS),
                    net=wallet_net,
                    currency=currency("amount.publisherCurrency"),
                    earned_at=lambda row: when(row, "createdDate"),
                    program=text("programId"),
                    product=optional(text("text")),
                    provider_status=text("digitalWalletStatus"),
                ),
            ),
        ),
        Resource(
            name="payments",
            path="/publisher/report/payments",
            paging=offset(size=("limit", 100)),
            plan=created_since("fromDate", until="toDate", look_back=timedelta(days=31), form=_days),
            right="a user with the role Owner or Admin",
            absent=lower_role,
            row_id=text("paymentId"),
            makes=(
                make(
                    Payout,
                    external_id=text("paymentId"),
                    status=PayoutStatus.PAID,
                    amount=money("paymentAmount"),
                    currency=currency("currencyCode"),
                    created_at=timestamp("paymentDate"),
                    arrives_at=timestamp("paymentDate"),
                    itemised=True,
                ),
            ),
        ),
        Resource(
            name="paid",
            path="/publisher/report/transactions/payments",
            rows="items",
            params={"reportCurrencyCode": "{currency}"},
            carry=("reportCurrencyCode",),
            paging=_paging,
            plan=PerPayout(param="paymentId"),  # being paid need not count as a change of a transaction
            right="a user with the role Owner or Admin",
            absent=lower_role,
            row_id=text("transactionId"),
            drop=("deviceObject",),
            makes=(
                make(
                    PayoutItem,
                    external_id=text("transactionId"),
                    payout_ref=text("$payout"),
                    earning_ref=text("transactionId"),
                    amount=money("commission"),
                    currency=currency("reportCurrencyCode"),
                ),
            ),
        ),
    ),
)
