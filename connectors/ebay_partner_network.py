"""eBay Partner Network: transactions of a publisher from a report that lists each of their changes as a row.

Source: partnerhelp.ebay.com, "Transaction Detail Report API Documentation" and "Getting Paid Overview"; eBay's slides
"Partner Reporting via the New API Endpoints".
"""

import re
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from tracker.connect.auth import basic
from tracker.connect.connector import Connector, Credential, Option, Rate, Resource, make
from tracker.connect.fields import Field, Row, currency, money, one_of, only_if, optional, text, timestamp
from tracker.connect.plans import Axis, date_windows, local
from tracker.connect.rows import decode, digest, encode
from tracker.errors import AuthRejected, ProviderError, Unavailable
from tracker.records import Earning, Kind, Program, Recurrence, Status

_ZONE = "America/Denver"
#: Rows of other events, such as clicks, have no money; one that has is held back as unknown.
_EVENTS = {"Sale": Kind.COMMISSION, "Winning Bid (Revenue)": Kind.COMMISSION}
_STATUSES = {"Pending": Status.PENDING, "Approved": Status.APPROVED, "Reversed": Status.DECLINED}

_status = one_of("Status", _STATUSES)
_ids = optional(text("EpnTransactionId")), text("EbayCheckoutTransactionId")
_site = optional(text("CheckoutSite"))
_updated = timestamp("UpdateDate", zone=ZoneInfo(_ZONE))


def transaction(row: Row) -> str:
    key: str = _ids[0].read(row) or _ids[1].read(row)
    return key


def row_id(row: Row) -> str:
    """A click need not have a number. It earns nothing, so that it is not followed either."""
    nameless = not any(row.get(name) for name in ("EpnTransactionId", "EbayCheckoutTransactionId"))
    if nameless and row.get("EventName") not in _EVENTS:
        return f"event {digest(encode(row)).hex()}"
    return transaction(row)


def newest(body: bytes) -> bytes:
    """The last change of each transaction, which has its totals: a transaction that changes comes once more.

    All times are eBay's local time, so that their text tells which is later.
    """
    document = decode(body)
    rows = document.get("Records") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        return body
    kept: dict[object, Row] = {}
    for number, row in enumerate(rows):
        names = [row.get("EpnTransactionId"), row.get("EbayCheckoutTransactionId")] if isinstance(row, dict) else []
        key = next(filter(None, names), number)
        if key not in kept or str(row.get("UpdateDate")) >= str(kept[key].get("UpdateDate")):
            kept[key] = row
    return encode({"Records": list(kept.values())})


def refused(error: object) -> ProviderError:
    """An error in the place of the records, although the status is 200."""
    words = str(error)[:100]
    if re.search(r"authori[sz]|authenticat|credential|token|denied", words, re.IGNORECASE):
        return AuthRejected(f'eBay refused the credentials. It says: "{words}"', hint="Compare the SID and the token.")
    return Unavailable(f'eBay answered with an error: "{words}"', hint="Nothing was lost; it is tried again later.")


def amount(name: str) -> Field:
    """The total or, once a transaction is reversed and its total nothing, what was lost by that."""
    total, change = optional(money(name)), optional(money(f"Delta{name}"))

    def read(row: Row) -> Decimal | None:
        value: Decimal | None = total.read(row)
        if value or _status.read(row) is not Status.DECLINED:
            return value
        lost: Decimal = -(change.read(row) or Decimal(0))
        return lost if lost > 0 else value

    return Field.of(read)


_earnings = amount("Earnings")
_required = money("Earnings")


def earns(row: Row) -> bool:
    return row.get("EventName") in _EVENTS or bool(_earnings.read(row))


def net(row: Row) -> Decimal:
    value: Decimal = _required.read(row)
    return value or _earnings.read(row)


connector = Connector(
    title="eBay Partner Network",
    kind="affiliate",
    docs="https://partnerhelp.ebay.com",
    base_url="https://api.partner.ebay.com",
    credentials={
        "account_sid": Credential("Account SID", help="partner.ebay.com, the cloud icon > API", secret=False),
        "auth_token": Credential("Auth token", help="beside the SID, once API access is enabled"),
    },
    options={
        "currency": Option(
            "Currency of the account", help="the one that eBay pays you in; its report names none", required=True
        ),
        "base_url": Option("Address of the API", help="only for tests and proxies"),
    },
    auth=basic("account_sid", "auth_token"),
    rates=(Rate(1_000, 3_600),),  # of the platform that eBay's reports run on
    failure="Message",
    refused=refused,
    message=("Message",),
    recurrence=Recurrence.ONE_OFF,
    resources=(
        Resource(
            name="transactions",
            path="/Mediapartners/{account_sid}/Reports/ebay_partner_transaction_detail.json",
            params={"STATUS": "ALL", "CHECKOUT_SITE": "0"},
            rows="Records",
            convert=newest,
            # Both days of a window belong to it, so 29 days are 30 dates. Changes show up to two days late.
            plan=date_windows(
                29,
                Axis(
                    name="update",
                    params={"date_type": "update_date"},
                    since="START_DATE",
                    until="END_DATE",
                    overlap=timedelta(days=3),
                ),
                form=local(_ZONE, "%Y-%m-%d"),
            ),
            right="an account with API access",
            row_id=Field.of(row_id),
            makes=(
                make(
                    Program,
                    when=earns,
                    external_id=lambda row: _site.read(row) or "eBay",
                    title=lambda row: f"eBay {_site.read(row) or ''}".strip(),
                ),
                make(
                    Earning,
                    when=earns,
                    external_id=transaction,
                    kind=one_of("EventName", _EVENTS),
                    status=_status,
                    net=net,
                    currency=currency("$.currency"),
                    sale_amount=amount("Sales"),
                    sale_currency=currency("$.currency"),  # a report without a currency is in one
                    earned_at=timestamp("EventDate", zone=ZoneInfo(_ZONE)),
                    # When it was approved or last corrected.
                    validated_at=only_if(_updated, _status, Status.APPROVED),
                    program=lambda row: _site.read(row) or "eBay",
                    product=optional(text("ItemName")),
                    sub_id=optional(text("CustomId")),
                    order_ref=optional(text("EbayCheckoutTransactionId")),
                    provider_status=text("Status"),
                ),
            ),
        ),
    ),
)
