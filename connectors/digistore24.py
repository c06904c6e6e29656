"""Digistore24: your shares of sales, as vendor and as affiliate, what takes them back, and credit notes.

Source: dev.digistore24.com, "listCommissions", "listPurchases", "listPayouts", and the official description
(www.digistore24.com/api/docs). The codes of errors are those of Digistore24's own PHP client, and the word for a test
payment is that of its IPN.
"""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

from tracker.connect.auth import header
from tracker.connect.connector import Connector, Credential, Details, Option, Rate, Resource, make
from tracker.connect.fields import (
    Field,
    Row,
    as_text,
    country,
    currency,
    first_of,
    get,
    money,
    one_of,
    optional,
    text,
    timestamp_in,
)
from tracker.connect.paging import page_number
from tracker.connect.plans import Axis, Full, Windows, local
from tracker.errors import AuthRejected, ProviderError, RateLimited, RightMissing, Unavailable
from tracker.records import Earning, Interval, Kind, Payout, PayoutStatus, Program, Recurrence, Settlement, Status

_BILLING = {
    "single_payment": Recurrence.ONE_OFF,
    "installment": Recurrence.INSTALMENT,
    "subscription": Recurrence.RECURRING,
}
_PURCHASE = "purchase.data.purchase_list.0"
_PAYMENT = f"{_PURCHASE}.transaction_list.0"
#: What stays of a purchase; the rest is about the buyer, or of no use.
_KEPT = (
    *("id", "billing_type", "number_of_installments", "other_billing_intervals", "vat_country", "campaignkey"),
    *("sub_ids", "vendor_id", "vendor_name", "merchant_id", "merchant_name", "buyer_id"),
)
_KEPT_OF_PAYMENTS = ("id", "amount", "currency", "pay_method", "pay_sequence_no", "parent_txn_id")
#: Taken out by name as well, for a purchase that is not shaped as documented and waits in quarantine.
_PEOPLE = (
    "buyer",
    "custom",
    "placeholders",
    "tracking_param",
    "invoice_url",
    "receipt_url",
    "renew_url",
    "details_url",
)
_SUB_IDS = ("campaignkey", "sub_ids.sid1", "sub_ids.sid2", "sub_ids.sid3", "sub_ids.sid4", "sub_ids.sid5")

_net, _parent = money("amount"), optional(text(f"{_PAYMENT}.parent_txn_id"))
_sequence = optional(text(f"{_PAYMENT}.pay_sequence_no"))
_billing = optional(one_of(f"{_PURCHASE}.billing_type", _BILLING))
_product = optional(text(f"{_PURCHASE}.items.0.product_name"))
_as_vendor, _as_affiliate = money("vendor_gross_amount"), money("affiliate_gross_amount")
_sale, _sale_currency = optional(money(f"{_PAYMENT}.amount")), optional(currency(f"{_PAYMENT}.currency"))


def tidy(row: Row) -> None:
    """Of the purchase behind a share only what is read stays, and of its payments the one that the share is of."""
    number = row.get("transaction_id")
    if get(row, "purchase.result") == "error":
        raise ValueError("the purchase could not be read")
    for purchase in get(row, "purchase.data.purchase_list") or ():
        kept = {name: purchase[name] for name in _KEPT if name in purchase}
        kept.setdefault("buyer_id", get(purchase, "buyer.id"))
        kept["items"] = [{"product_name": item.get("product_name")} for item in purchase.get("items") or ()]
        kept["transaction_list"] = [
            {name: one.get(name) for name in _KEPT_OF_PAYMENTS}
            for one in purchase.get("transaction_list") or ()
            if number is None or str(one["id"]) == str(number)
        ]
        purchase.clear()
        purchase.update(kept)


def refused(code: object) -> ProviderError:
    """An error with status 200. Its number is Digistore24's, its words may be in any language."""
    number = str(code)
    if number in ("1", "2", "10"):
        return AuthRejected("Digistore24 refused the key.", hint="Make a new API key.")
    if number == "5":
        return RightMissing("Digistore24 does not allow this key to read that. It needs: read access.")
    if number == "12":
        return RateLimited("Digistore24 asked to slow down (error 12).", retry_after_s=60)
    return Unavailable(f"Digistore24 answered with error {number[:10]}.", hint="It is tried again later.")


def signed(amount: Field, sign: int) -> Any:
    """Whether what is taken back comes below zero is not documented; what it is, is."""

    def read(row: Row) -> Decimal | None:
        value: Decimal | None = amount.read(row)
        return value if value is None or sign > 0 else -abs(value)

    return read


def is_real(row: Row) -> bool:
    """A vendor's test payment goes through all steps but moves no money."""
    return bool(get(row, f"{_PAYMENT}.pay_method") != "test")


def is_vendor(row: Row) -> bool:
    return bool(row["reason"] == "merchant_share")


def origin(row: Row) -> str | None:
    """The payment that was taken back: all its shares carry its number as well."""
    number: str | None = _parent.read(row)
    return number if number != "0" else None


def share(row: Row) -> Kind:
    """Your own product, or somebody else's that you recommended or had a part in."""
    if not is_vendor(row):
        return Kind.COMMISSION
    return Kind.SUBSCRIPTION_PAYMENT if _billing.read(row) is Recurrence.RECURRING else Kind.SALE


def recurrence(row: Row) -> Recurrence | None:
    """By the type of billing. Without it, number 0 is a single payment; others may be instalments or renewals."""
    said: Recurrence | None = _billing.read(row)
    return said or (Recurrence.ONE_OFF if _sequence.read(row) == "0" else None)


def interval(row: Row) -> Interval | None:
    """Of a subscription, such as "1_month"."""
    said = str(get(row, f"{_PURCHASE}.other_billing_intervals"))
    found = re.fullmatch(r"([1-9]\d{0,2})_(day|week|month|year)s?", said)
    return Interval(found[2], int(found[1])) if found and _billing.read(row) is Recurrence.RECURRING else None


def vendor(what: str) -> Any:
    """The vendor of a product that is not yours."""
    names = [optional(text(f"{_PURCHASE}.{side}_{what}")) for side in ("vendor", "merchant")]

    def read(row: Row) -> str | None:
        return None if is_vendor(row) else next((found for name in names if (found := name.read(row))), None)

    return read


vendor_id, vendor_name = vendor("id"), vendor("name")


def product(row: Row) -> str | None:
    several = len(get(row, f"{_PURCHASE}.items") or ()) > 1
    return None if several else _product.read(row)


def shares(name: str, of: str, kind: Any, sign: int = 1) -> Resource:
    """The rows do not say what they are of, so that each type of transaction is asked for by itself."""
    return Resource(
        name=name,
        path="/api/call/listCommissions",
        rows="data.items",
        params={"transaction_type": of},
        paging=page_number("page_no", size=("page_size", 500), total="data.page_count"),
        # Every change is a new row. The zone of the filter is not documented, and is covered by two days.
        plan=Windows(
            axes=(Axis(name="created", since="from", until="to", overlap=timedelta(days=2)),),
            days=92,
            form=local("Europe/Berlin", "%Y-%m-%d %H:%M:%S"),
        ),
        right="an API key with read access",
        row_id=text("id"),
        drop=tuple(f"purchase.data.purchase_list.*.{name}" for name in _PEOPLE),
        tidy=tidy,
        details=Details(
            path="/api/call/listPurchases?search[purchase_id]={purchase_id}",
            params={"from": "start", "load_transactions": "true"},
            into="purchase",
            when=lambda row: bool(row.get("purchase_id")),
        ),
        makes=(
            make(
                Program,
                when=lambda row: bool(vendor_id(row) and vendor_name(row)),
                external_id=vendor_id,
                title=vendor_name,
            ),
            make(
                Earning,
                when=is_real,
                external_id=text("id"),
                kind=kind,
                status=Status.APPROVED,
                settlement=lambda row: Settlement.SCHEDULED if row.get("schedule_payout_at") else Settlement.UNPAID,
                net=signed(_net, sign),
                currency=currency("currency"),
                sale_amount=signed(_sale, sign),
                sale_currency=lambda row: None if _sale.read(row) is None else _sale_currency.read(row),
                earned_at=timestamp_in("created_at", "$.time_zone"),
                program=vendor_id,
                product=product,
                payer=optional(text(f"{_PURCHASE}.buyer_id")),
                country=country(f"{_PURCHASE}.vat_country"),
                sub_id=first_of(*(f"{_PURCHASE}.{name}" for name in _SUB_IDS)),
                order_ref=optional(text("purchase_id")),
                origin_ref=text("transaction_id") if sign > 0 else origin,
                recurrence=recurrence,
                recurrence_interval=interval,
                provider_status=of,
            ),
        ),
    )


def credit_note(row: Row) -> str:
    """Each company of Digistore24's group counts its own."""
    return f"{as_text(row['reseller_id'])}-{as_text(row['id'])}"


def fee(row: Row) -> Decimal:
    without, tax = (optional(money(name)).read(row) for name in ("fee_amount", "fee_vat_amount"))
    return (without or Decimal(0)) + (tax or Decimal(0))


connector = Connector(
    title="Digistore24",
    kind="affiliate",
    docs="https://www.digistore24.com/api/docs",
    base_url="https://www.digistore24.com",
    credentials={
        "api_key": Credential("API key", help="Settings > Account access > API keys; read only is enough"),
    },
    options={
        "time_zone": Option("Time zone of your account", help="such as Europe/Berlin", default="Europe/Berlin"),
        "base_url": Option("Address of the API", help="only for tests and proxies"),
    },
    auth=header("X-DS-API-KEY", "api_key"),
    rates=(Rate(5),),  # a limit is enforced, its number is not published
    failure="code",
    refused=refused,
    corrections="appended",
    payouts="read",
    resources=(
        shares("shares", "payment", share),
        shares("refunds", "refund", Kind.REFUND, -1),
        shares("chargebacks", "chargeback", Kind.CHARGEBACK, -1),
        Resource(
            name="payouts",
            path="/api/call/listPayouts",
            rows="data.payout_list",
            plan=Full(),
            right="an API key with read access",
            row_id=Field.of(credit_note),
            drop=("credit_note_url", "commission_list_url"),  # open to whoever knows them
            makes=(
                make(
                    Payout,
                    external_id=credit_note,
                    status=lambda row: PayoutStatus.PAID if row.get("processed_at") else PayoutStatus.PENDING,
                    amount=lambda row: _as_vendor.read(row) + _as_affiliate.read(row) - fee(row),
                    currency=currency("currency"),
                    created_at=timestamp_in("created_at", "$.time_zone"),
                    arrives_at=optional(timestamp_in("processed_at", "$.time_zone")),
                    fee=fee,
                ),
            ),
        ),
    ),
)
