"""ClickBank: sales, rebills and refunds of an affiliate's or a vendor's account, each a row of its own.

Source: support.clickbank.com, "Orders API", "ClickBank API keys" and "Refunds and chargebacks"; for the accounts that a
key sees api.clickbank.com/rest/1.3/quickstats and github.com/OcelliSolutions/OpenClickBank.
"""

import re
from collections.abc import Iterator
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tracker.connect.auth import Credentials, Request, Scheme, Tokens
from tracker.connect.connector import Connector, Credential, Discover, Option, Rate, Resource, make
from tracker.connect.fields import Field, Row, as_text, country, currency, get, money, one_of, optional, text, timestamp
from tracker.connect.paging import page_header
from tracker.connect.plans import created_since, local
from tracker.connect.rows import decode, encode
from tracker.errors import DataError
from tracker.records import Earning, Kind, Program, Recurrence, Status

_PACIFIC = ZoneInfo("America/Los_Angeles")
_ACCOUNTS = "/rest/1.3/quickstats/accounts"
#: All that is kept of a row; the rest may tell who the customer is.
_KEPT = {
    "transactionTime", "receipt", "trackingId", "paytmentMethod", "transactionType", "totalOrderAmount",
    "totalShippingAmount", "totalTaxAmount", "vendor", "affiliate", "country", "currency", "role", "lineItemData",
}  # fmt: skip
_CORRECTIONS = {"RFND": Kind.REFUND, "CGBK": Kind.CHARGEBACK, "FEE": Kind.FEE}
_RECURRING = optional(one_of("line.recurring", {True: True, "true": True, False: False, "false": False}))
#: A plan with so few payments in all is a price in parts.
_PARTS_MAX = 6

_type, _receipt, _item = text("transactionType"), text("receipt"), text("line.itemNo")
_time = timestamp("transactionTime", zone=_PACIFIC)
_amount, _paid = money("line.accountAmount"), optional(money("line.customerAmount"))
_done, _left = optional(money("line.processedPayments")), optional(money("line.futurePayments"))
_vendor = optional(text("vendor"))


def authenticate(request: Request, credentials: Credentials, tokens: Tokens) -> None:
    role = request.options.get("role", "AFFILIATE")
    request.headers["Authorization"] = credentials["api_key"]
    if request.url.endswith(_ACCOUNTS):
        return
    request.params["role"] = role
    if account := request.options.get("account"):
        request.params[role.lower()] = account


def convert(body: bytes) -> bytes:
    """ClickBank makes its JSON of XML: a list of one is the one, a list of none is missing, or nothing is all."""
    return encode(listed("orderData", without_nil(decode(body) if body.strip() else None)))


def accounts(body: bytes) -> bytes:
    return encode(listed("accountData", decode(body) if body.strip() else None))


def listed(name: str, document: Any) -> Any:
    document = document or {}
    if not isinstance(document, dict) or document.keys() - {name}:
        return document
    found = document.get(name) or []
    return {name: found if isinstance(found, list) else [found]}


def without_nil(value: Any) -> Any:
    if isinstance(value, list):
        return [without_nil(item) for item in value]
    if isinstance(value, dict):
        return None if "@nil" in value else {name: without_nil(item) for name, item in value.items()}
    return value


def tidy(row: Row) -> None:
    for name in row.keys() - _KEPT:
        del row[name]


def items(row: Row) -> list[Row]:
    found = row.get("lineItemData") or []
    return found if isinstance(found, list) else [found]


def lines(row: Row) -> Iterator[Row]:
    """Each item of an order, with its place among those of its number: they have no other id."""
    seen: list[str] = []
    if not items(row):
        raise DataError("the order has no item, and so no amount", field="lineItemData")
    for line in items(row):
        seen.append(as_text(line["itemNo"]))
        yield row | {"line": line, "place": seen.count(seen[-1])}


def event_id(row: Row) -> str:
    """A refund has the receipt of its sale, and a receipt may come back with each rebill: only the time tells."""
    return f"{_receipt.read(row)}:{_type.read(row)}:{_time.read(row).astimezone(UTC):%Y%m%dT%H%M%SZ}"


def row_id(row: Row) -> str:
    return ":".join([event_id(row), *(as_text(line.get("itemNo") or "") for line in items(row))])


def line_id(row: Row) -> str:
    again = f":{row['place']}" if row["place"] > 1 else ""
    return f"{event_id(row)}:{_item.read(row)}{again}"


def is_real(row: Row) -> bool:
    return not _type.read(row).startswith("TEST_")


def sells(row: Row) -> bool:
    return bool(get(row, "$.role") == "VENDOR")


def kind(row: Row) -> Kind:
    word = _type.read(row)
    if word in ("SALE", "BILL"):
        own = Kind.SUBSCRIPTION_PAYMENT if recurrence(row) is Recurrence.RECURRING else Kind.SALE
        return own if sells(row) else Kind.COMMISSION
    return _CORRECTIONS.get(word, Kind.UNKNOWN)


def signed(amount: Decimal, row: Row) -> Decimal:
    """What is taken back or charged is a debit, whether or not ClickBank writes the minus."""
    return -abs(amount) if _type.read(row) in _CORRECTIONS else amount


def sale(row: Row) -> Decimal | None:
    amount: Decimal | None = _paid.read(row)
    return None if amount is None else signed(amount, row)


def recurrence(row: Row) -> Recurrence | None:
    """Few payments in all are a price in parts. But the one payment to come of a plan may be the next of many.

    Then the history of its order tells.
    """
    if _type.read(row) not in ("SALE", "BILL") or not (_type.read(row) == "BILL" or _RECURRING.read(row)):
        return None
    done, left = _done.read(row), _left.read(row)
    if done is None or left is None or done + left > _PARTS_MAX:
        return Recurrence.RECURRING
    return Recurrence.INSTALMENT if left > 1 or get(row, "line.status") == "COMPLETED" else None


def order(row: Row) -> str:
    """The receipt of the first payment: rebills carry it with a suffix."""
    return re.sub(r"-B\d+$", "", _receipt.read(row))


def subscription(row: Row) -> str | None:
    return order(row) if recurrence(row) else None


def origin(row: Row) -> str | None:
    """What a sale and its refund share."""
    return None if _type.read(row) == "FEE" else f"{_receipt.read(row)}:{_item.read(row)}"


connector = Connector(
    title="ClickBank",
    kind="affiliate",
    docs="https://support.clickbank.com/en/articles/10535407-orders-api",
    base_url="https://api.clickbank.com",
    credentials={"api_key": Credential("API key", help="Accounts > Settings > API; role API Order Read")},
    options={
        "role": Option("Your part", help="whose money it is", default="AFFILIATE", choices=("AFFILIATE", "VENDOR")),
        "account": Option("Account nickname", help="left out, all that the key can see"),
        "currency": Option("Currency in which ClickBank pays you", default="USD"),
        "base_url": Option("Address of the API", help="only for tests and proxies"),
    },
    auth=Scheme(authenticate),
    rates=(Rate(5),),  # 10 a second to an address, 25,000 a day to an account
    doubtful=(403,),  # a bad key, a missing role, or more than ten calls in a second
    corrections="appended",
    discover=(
        Discover(
            what="accounts",
            path=_ACCOUNTS,
            convert=accounts,
            rows="accountData",
            id=text("nickName"),
            fills="account",
        ),
    ),
    warning="Amounts are taken to be in the currency in which ClickBank pays you. Compare a sale in another currency.",
    resources=(
        Resource(
            name="orders",
            path="/rest/1.3/orders2/list",
            rows="orderData",
            convert=convert,
            paging=page_header("Page", more=206),
            plan=created_since(
                "startDate",
                until="endDate",
                days=30,  # no largest window is documented
                look_back=timedelta(days=3),
                form=local("America/Los_Angeles", "%Y-%m-%d"),
            ),
            right="the role API Order Read",
            row_id=Field.of(row_id),
            tidy=tidy,
            makes=(
                make(
                    Program,
                    when=lambda row: is_real(row) and not sells(row) and bool(_vendor.read(row)),
                    external_id=text("vendor"),
                    title=text("vendor"),
                ),
                make(
                    Earning,
                    parts=lines,
                    when=is_real,
                    external_id=line_id,
                    kind=kind,
                    status=Status.APPROVED,
                    net=lambda row: signed(_amount.read(row), row),
                    currency=currency("$.currency"),
                    sale_amount=sale,
                    sale_currency=lambda row: None if sale(row) is None else currency("currency").read(row),
                    earned_at=_time,
                    program=lambda row: None if sells(row) else _vendor.read(row),
                    product=lambda row: get(row, "line.productTitle") or _item.read(row),
                    country=country("country"),
                    sub_id=optional(text("trackingId")),
                    order_ref=order,
                    origin_ref=origin,
                    subscription_ref=subscription,
                    recurrence=recurrence,
                    provider_status=_type,
                ),
            ),
        ),
    ),
)
