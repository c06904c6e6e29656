"""Rakuten Advertising: transactions of a publisher, corrected by negative ones; partnerships and payments.

Source: the portal's "Affiliate APIs" (Events, Partnerships, Advanced Reports) and pubhelp.rakutenadvertising.com,
"Events API" and "Tracking methods".
"""

import re
from base64 import b64encode
from datetime import datetime, timedelta
from typing import Any

from tracker.connect.auth import Credentials, Request, Scheme, Tokens, token
from tracker.connect.connector import Connector, Credential, Option, Rate, Resource, make
from tracker.connect.fields import (
    Field,
    Row,
    as_text,
    currency,
    localised_money,
    money,
    one_of,
    optional,
    parse_time,
    text,
)
from tracker.connect.paging import next_link, page_number
from tracker.connect.plans import Axis, Full, Windows, iso_naive
from tracker.connect.rows import csv_as_json
from tracker.errors import DataError, NotFound, ProviderError, RateLimited
from tracker.records import Earning, Kind, Payout, PayoutStatus, Program, Status

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_JAVASCRIPT = re.compile(r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) (\d{2}) (\d{4}) (\d{2}:\d{2}:\d{2}) GMT([+-]\d{4})")
_SLASHES = re.compile(r"(\d{1,2})/(\d{1,2})/(?:20)?(\d{2})")
#: Events of media optimisation earn nothing; the transaction follows with an id of its own.
_IS_EVENT = dict.fromkeys(("Y", "y", "true", True, 1, "1"), True) | dict.fromkeys(("N", "n", "false", False, 0), False)
#: Rakuten does not publish the words of a payment's status, nor the columns of the report.
_PAYMENTS = {
    **dict.fromkeys(("paid", "issued", "cleared", "complete", "completed", "processed"), PayoutStatus.PAID),
    **dict.fromkeys(("pending", "processing", "open"), PayoutStatus.PENDING),
    **dict.fromkeys(("void", "voided", "cancelled", "canceled", "stopped", "returned"), PayoutStatus.CANCELED),
}
_REPORTS = "/advancedreports/1.0"

_bearer = token(
    "https://api.linksynergy.com/token",
    lambda credentials: {"scope": credentials["sid"]},
    headers=lambda credentials: {"Authorization": f"Bearer {_pair(credentials)}"},
)
_net, _sale = money("commissions"), optional(money("sale_amount"))
_currency = currency("currency")
_is_event = optional(one_of("is_event", _IS_EVENT))


def _pair(credentials: Credentials) -> str:
    return b64encode(f"{credentials['client_id']}:{credentials['client_secret']}".encode()).decode()


def authenticate(request: Request, credentials: Credentials, tokens: Tokens) -> None:
    """Reports of payments want a second token, which lives in the user's account."""
    if request.url.endswith(_REPORTS):
        if not credentials.get("security_token"):
            raise NotFound("without a security token the payments cannot be read.")
        request.params["token"] = credentials["security_token"]
    _bearer(request, credentials, tokens)


def explain(status: int, document: Any) -> ProviderError | None:
    """Rakuten documents 403 as too many requests in a minute; only a service that is not yours says otherwise."""
    if status != 403 or "cannot consume" in str(document).lower():
        return None
    return RateLimited("api.linksynergy.com asked to slow down (403).", retry_after_s=60)


def time(dotted: str) -> Field:
    """As JavaScript writes it, "Wed Mar 04 2026 21:02:11 GMT+0000 (UTC)", else ISO 8601 in UTC."""

    def convert(value: object) -> datetime:
        found = _JAVASCRIPT.match(as_text(value))
        if not found or found[1] not in _MONTHS:
            return parse_time(value)
        month, day, year, clock, zone = found.groups()
        return parse_time(f"{year}-{_MONTHS.index(month) + 1:02}-{day}T{clock}{zone}")

    return Field(dotted, convert)


def payment_day(row: Row) -> datetime:
    written = as_text(either("date", "payment_date", "issue_date")(row))
    found = _SLASHES.fullmatch(written)
    return parse_time(f"20{found[3]}-{int(found[1]):02}-{int(found[2]):02}" if found else written)


def either(*names: str) -> Any:
    """The first of several columns that there is: their names are not published."""

    def read(row: Row) -> Any:
        name = next((name for name in names if row.get(name) not in (None, "")), None)
        if name is None:
            raise DataError(f"the report has none of the columns {', '.join(names)}")
        return row[name]

    return read


def payment_amount(row: Row) -> Any:
    amount = either("total_commission_amount_paid", "total_commission", "commission_total", "amount")(row)
    return localised_money("amount").read({"amount": amount})


def payment_status(row: Row) -> PayoutStatus:
    """Without a word it is a payment made, as the report's name says."""
    word = as_text(row.get("payment_status") or "").strip().lower()
    status: PayoutStatus = one_of("payment_status", _PAYMENTS).read({"payment_status": word or "paid"})
    return status


def report(body: bytes) -> bytes:
    """Comes as CSV or as JSON, and with words instead of rows when the limit is reached."""
    if b"cannot request" in body[:2_000]:
        raise RateLimited("Rakuten's limit of reports is used up.", retry_after_s=3600)
    return csv_as_json(body, "payment_id")


def kind(row: Row) -> Kind:
    """A negative line takes back an earlier one of the same order and item."""
    if _net.read(row) >= 0:
        return Kind.COMMISSION
    return Kind.REFUND if (_sale.read(row) or 0) < 0 else Kind.ADJUSTMENT


def origin(row: Row) -> str | None:
    """What all lines of an item of an order share, the first included: lines do not name the one they correct."""
    names = [row.get(name) for name in ("advertiser_id", "order_id", "sku_number")]
    return ":".join(as_text(name or "") for name in names) if names[1] else None


def product(row: Row) -> str | None:
    found: str | None = optional(text("product_name")).read(row) or optional(text("sku_number")).read(row)
    return found


connector = Connector(
    title="Rakuten Advertising",
    kind="affiliate",
    docs="https://pubhelp.rakutenadvertising.com/hc/en-us/articles/5949867433997",
    base_url="https://api.linksynergy.com",
    credentials={
        "client_id": Credential("Client id", help="developers.rakutenadvertising.com > Keys and Tokens", secret=False),
        "client_secret": Credential("Client secret", help="beside the client id"),
        "sid": Credential("Site id (SID)", help="the number beside your site's name", secret=False),
        "security_token": Credential("Security token", help="Links > Web Services; for payments", required=False),
    },
    options={"base_url": Option("Address of the API", help="only for tests and proxies")},
    auth=Scheme(authenticate, renewable=True),
    rates=(Rate(20, 60),),  # a limit per minute is documented, its number is not
    explain=explain,
    message=("message", "error_description", "error", "errors.0.message", "fault.message"),
    corrections="appended",
    payouts="read",
    # Pending would be no truer: nothing that is read ever says approved, so that no commission would ever count.
    warning="Rakuten tells no approval: a commission counts from the first, until a negative one takes it back.",
    resources=(
        Resource(
            name="partnerships",
            path="/v1/partnerships",
            rows="partnerships",
            paging=next_link(path="_metadata._links.next", size=("limit", 200)),
            plan=Full(),  # not a snapshot: a partnership that has ended keeps its name for its old commissions
            right="the Partnerships API",
            row_id=text("advertiser.id"),
            makes=(make(Program, external_id=text("advertiser.id"), title=text("advertiser.name")),),
        ),
        Resource(
            name="transactions",
            path="/events/1.0/transactions",
            # No largest page is documented; a hundred come unasked, so that fewer are certainly the last.
            paging=page_number(size=("limit", 1_000), short=100),
            plan=Windows(
                axes=(
                    Axis(
                        name="process",
                        since="process_date_start",
                        until="process_date_end",
                        overlap=timedelta(days=1),
                        memory=timedelta(days=29),
                    ),
                ),
                days=None,
                form=lambda time: iso_naive(time).replace("T", " "),
            ),
            right="the Events API",
            row_id=text("etransaction_id"),
            makes=(
                make(
                    Earning,
                    when=lambda row: not _is_event.read(row),
                    external_id=text("etransaction_id"),
                    kind=kind,
                    status=Status.APPROVED,
                    net=_net,
                    currency=_currency,
                    sale_amount=_sale,
                    sale_currency=lambda row: None if _sale.read(row) is None else _currency.read(row),
                    earned_at=time("transaction_date"),
                    validated_at=time("process_date"),
                    program=text("advertiser_id"),
                    product=product,
                    sub_id=optional(text("u1")),
                    order_ref=optional(text("order_id")),
                    origin_ref=origin,
                ),
            ),
        ),
        Resource(
            name="payments",
            path=_REPORTS,
            params={"reportid": "1"},
            plan=Windows(
                axes=(Axis(name="payment", since="bdate", until="edate", overlap=timedelta(days=60)),),
                days=364,  # a year with the last day
                form=lambda time: iso_naive(time)[:10].replace("-", ""),
            ),
            right="the Advanced Reports API and a security token",
            absent=lambda error: isinstance(error, NotFound) and "security token" in error.message,
            convert=report,
            row_id=text("payment_id"),
            drop=("check_number",),
            makes=(
                make(
                    Payout,
                    external_id=text("payment_id"),
                    status=payment_status,
                    amount=payment_amount,
                    currency=lambda row: currency("code").read({"code": either("currency_code", "currency")(row)}),
                    created_at=payment_day,
                    arrives_at=payment_day,
                    provider_status=optional(text("payment_status")),
                ),
            ),
        ),
    ),
)
