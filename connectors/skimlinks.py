"""Skimlinks: commissions of a publisher, changed in place, with some returns as rows of their own.

Source: developers.skimlinks.com/reporting.html ("Commission report") and the notes to the columns of the same
commissions at developers.skimlinks.com/data-pipe.html.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tracker.connect.auth import Credentials, token
from tracker.connect.connector import Connector, Credential, Option, Rate, Resource, make
from tracker.connect.fields import Row, country, currency, get, money, one_of, optional, text, timestamp
from tracker.connect.paging import offset
from tracker.connect.plans import iso_z, updated_since
from tracker.errors import AuthRejected, ProviderError
from tracker.records import Earning, Kind, Program, Settlement, Status

_day = timestamp("transaction_details.transaction_date")
_net = money("transaction_details.basket.publisher_amount")
_sale = optional(money("transaction_details.basket.order_amount"))
_currency = currency("transaction_details.basket.currency")
_said = one_of("transaction_details.status", {"active": Status.PENDING, "cancelled": Status.DECLINED})
_paid = one_of("transaction_details.payment_status", {"paid": Settlement.PAID, "unpaid": Settlement.UNPAID})
_invoice = optional(text("transaction_details.invoice_id"))


def form(credentials: Credentials) -> dict[str, str]:
    named = {name: credentials[name] for name in ("client_id", "client_secret")}
    return {**named, "grant_type": "client_credentials"}


def explain(status: int, document: Any) -> ProviderError | None:
    """Skimlinks answers an old token with 401 or 403, so that either is tried once more with a new one."""
    if status != 403:
        return None
    return AuthRejected(
        "reporting.skimapis.com refused the token or the publisher id.",
        hint="Check that the client id, the client secret and the publisher id belong together.",
    )


def invoice(row: Row) -> str | None:
    number: str | None = _invoice.read(row)
    return number if number != "0" else None


def status(row: Row) -> Status:
    """Skimlinks has no stage of approval: what stands on an invoice or is paid, is due."""
    said: Status = _said.read(row)
    due = invoice(row) or _paid.read(row) is Settlement.PAID
    return Status.APPROVED if said is Status.PENDING and due else said


def settlement(row: Row) -> Settlement:
    paid: Settlement = _paid.read(row)
    waits = paid is Settlement.UNPAID and invoice(row) and _said.read(row) is Status.PENDING
    return Settlement.SCHEDULED if waits else paid


def payout(row: Row) -> str | None:
    return invoice(row) if _paid.read(row) is Settlement.PAID else None


def kind(row: Row) -> Kind:
    """A negative row takes back sales, which it does not name and of which it may net several."""
    if _net.read(row) < 0:
        return Kind.REFUND
    flat = get(row, "transaction_details.basket.commission_type") in ("Flat-fee", "Performance")
    return Kind.BONUS if flat else Kind.COMMISSION


def day(row: Row) -> datetime:
    """Noon of the written day, which is that day everywhere: the time is the merchant's network's, in a zone untold."""
    time: datetime = _day.read(row)
    return time.replace(hour=12, minute=0, second=0, microsecond=0, tzinfo=UTC)


def merchant(name: str) -> Callable[[Row], str | None]:
    """Two versions of the API name the merchant's fields differently."""
    short, long = (optional(text(f"merchant_details.{key}")) for key in (name, f"merchant_{name}"))
    return lambda row: long.read(row) or short.read(row)


merchant_id, merchant_name = merchant("id"), merchant("name")


connector = Connector(
    title="Skimlinks",
    kind="affiliate",
    docs="https://developers.skimlinks.com/reporting.html",
    base_url="https://reporting.skimapis.com",
    credentials={
        "client_id": Credential("Client id", help="hub.skimlinks.com > Toolbox > APIs > credentials", secret=False),
        "client_secret": Credential("Client secret", help="beside the client id"),
        "publisher_id": Credential("Publisher id", help="beside the client id", secret=False),
    },
    options={"base_url": Option("Address of the API", help="only for tests and proxies")},
    auth=token(
        "https://authentication.skimapis.com/access_token",
        form,
        headers=lambda credentials: {"Content-Type": "application/json"},
        param="access_token",
    ),
    rates=(Rate(40, 60), Rate(300, 3600)),
    explain=explain,
    message=("message", "error", "error.message"),
    payouts="from_earnings",
    resources=(
        Resource(
            name="commissions",
            path="/publisher/{publisher_id}/commission-report",
            params={"sort_by": "id", "sort_dir": "ASC"},  # else rows slip between pages
            rows="commissions",
            paging=offset(size=("limit", 5_000), more="pagination.has_next"),
            plan=updated_since("updated_since", form=iso_z, overlap=timedelta(days=1)),
            right="credentials of this publisher id",
            row_id=text("commission_id"),
            drop=("click_details.page_url", "click_details.clicked_url"),
            makes=(
                make(
                    Program,
                    when=lambda row: bool(merchant_id(row) and merchant_name(row)),
                    external_id=merchant_id,
                    title=merchant_name,
                ),
                make(
                    Earning,
                    external_id=text("commission_id"),
                    kind=kind,
                    status=status,
                    settlement=settlement,
                    net=_net,
                    currency=_currency,
                    sale_amount=_sale,
                    sale_currency=lambda row: None if _sale.read(row) is None else _currency.read(row),
                    earned_at=day,
                    program=merchant_id,
                    country=country("click_details.user_country"),
                    sub_id=optional(text("click_details.custom_id")),
                    payout_ref=payout,
                    provider_status=text("transaction_details.status"),
                ),
            ),
        ),
    ),
)
