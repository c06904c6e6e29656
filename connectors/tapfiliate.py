"""Tapfiliate, the programme owner's side: what is owed to the affiliates, as costs that are in no income.

Source: tapfiliate.com/docs/rest, "Authentication", "Pagination", "Conversions" and "Commissions".
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tracker.connect.auth import header
from tracker.connect.connector import Connector, Credential, Option, Rate, Resource, make
from tracker.connect.fields import Row, currency, get, money, optional, text, timestamp
from tracker.connect.paging import next_link
from tracker.connect.plans import created_since
from tracker.errors import DataError
from tracker.records import Earning, Kind, Program, Settlement, Status

_STATUSES = {"null": Status.PENDING, "true": Status.APPROVED, "false": Status.DECLINED}
#: A commission names its payout, whose shape is not documented; payments have these words.
_PAYOUTS = {
    None: Settlement.PAID,
    "paid": Settlement.PAID,
    "pending": Settlement.SCHEDULED,
    "cancelled": Settlement.UNPAID,
}

_amount = money("amount")
_sale = optional(money("conversion_sub_amount"))
_own_currency, _its_currency = optional(currency("currency")), optional(currency("conversion.program.currency"))
_own_time, _its_time = optional(timestamp("created_at")), timestamp("conversion.created_at")


def commissions(row: Row) -> Iterator[Row]:
    """Several affiliates may earn from a conversion, and one may earn again whenever the customer pays again."""
    around = {name: value for name, value in row.items() if name != "commissions"}
    return ({**commission, "conversion": around} for commission in row["commissions"])


def owed(part: Row) -> Decimal:
    amount: Decimal = _amount.read(part)
    return -amount


def unit(part: Row) -> str:
    found: str | None = _own_currency.read(part) or _its_currency.read(part)
    if not found:
        raise DataError("neither the commission nor its programme names a currency.", field="currency")
    return found


def said(part: Row) -> str:
    """`approved` as it is written: true, false, or null while nobody has decided."""
    return {True: "true", False: "false", None: "null"}.get(part["approved"], repr(part["approved"]))


def status(part: Row) -> Status:
    word = said(part)
    if word not in _STATUSES:
        raise DataError(f"approved is {word[:40]}; known: true, false, null", field="status")
    return _STATUSES[word]


def settlement(part: Row) -> Settlement:
    payout = part.get("payout")
    if not payout:
        return Settlement.UNPAID
    word = payout.get("status") if isinstance(payout, dict) else None
    if word not in _PAYOUTS:
        raise DataError(f"unknown status of a payout: {str(word)[:40]!r}", field="settlement")
    return _PAYOUTS[word]


def made_at(part: Row) -> datetime:
    time: datetime = _own_time.read(part) or _its_time.read(part)
    return time


def nobody(row: Row) -> None:
    """Of affiliates only the id stays, which becomes a pseudonym: it is made of the name."""
    for holder in (row, *(row.get("commissions") or ())):
        if isinstance(holder.get("affiliate"), dict):
            holder["affiliate"] = {"id": holder["affiliate"].get("id")}


def is_named(row: Row) -> Any:
    return get(row, "program.id") and get(row, "program.title")


def long_before(time: datetime) -> str:
    """A conversion earns a commission each time its customer pays: young ones stand in conversions of three years ago.

    The first read, too, begins that much earlier than it was told. Days are in a zone that is not told.
    """
    return (time - timedelta(days=1_100)).strftime("%Y-%m-%d")


connector = Connector(
    title="Tapfiliate",
    kind="affiliate",
    docs="https://tapfiliate.com/docs/rest/",
    base_url="https://api.tapfiliate.com",
    credentials={"api_key": Credential("API key", help="in your account's settings; it can also approve and pay")},
    options={"base_url": Option("Address of the API", help="only for tests and proxies")},
    auth=header("X-Api-Key", "api_key"),
    rates=(Rate(60, 60),),  # the limit is told in each answer, but not in advance
    warning="Reads what you owe to your affiliates: costs, which are in no income.",
    resources=(
        Resource(
            name="conversions",
            path="/1.6/conversions/",
            paging=next_link(header=True),
            # Nothing tells what has changed.
            plan=created_since("date_from", look_back=timedelta(days=1), form=long_before),
            right="the API key of the account whose programme it is",
            row_id=text("id"),
            tidy=nobody,
            pseudonymise=("affiliate.id", "commissions.*.affiliate.id"),
            drop=("customer", "click", "meta_data", "affiliate_meta_data", "commissions.*.comment"),
            makes=(
                make(
                    Program,
                    when=is_named,
                    external_id=text("program.id"),
                    title=text("program.title"),
                    currency=optional(currency("program.currency")),
                ),
                make(
                    Earning,
                    parts=commissions,
                    external_id=text("id"),
                    kind=Kind.COST,
                    status=status,
                    settlement=settlement,
                    net=owed,
                    currency=unit,
                    sale_amount=_sale,
                    sale_currency=lambda part: None if _sale.read(part) is None else unit(part),
                    earned_at=made_at,
                    program=optional(text("conversion.program.id")),
                    product=optional(text("commission_name")),
                    sub_id=optional(text("affiliate.id")),
                    order_ref=optional(text("conversion.external_id")),
                    provider_status=said,
                ),
            ),
        ),
    ),
)
