"""Daisycon: transactions of a publisher with their parts, changed in place.

Source: daisycon.com/developers/api ("Authentication", "Rate limits"), Daisycon's own examples of logging in, and, for
the report itself, github.com/whitelabeled/daisycon-api-client.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tracker.connect.auth import authorization_code
from tracker.connect.connector import Connector, Credential, Option, Rate, Resource, make
from tracker.connect.fields import Row, as_text, currency, money, one_of, optional, text, timestamp
from tracker.connect.paging import page_number
from tracker.connect.plans import local, updated_since
from tracker.errors import ProviderError, RateLimited
from tracker.records import Earning, Kind, Program, Status

_STATUSES = {
    "open": Status.PENDING,
    "pending": Status.PENDING,
    "potential": Status.PENDING,
    "approved": Status.APPROVED,
    "disapproved": Status.DECLINED,
    "incasso": Status.DECLINED,  # debts are being collected
}
_ZONE = ZoneInfo("Europe/Amsterdam")  # of times without an offset

_status, _sale, _currency = one_of("status", _STATUSES), optional(money("revenue")), currency("currency_code")
_approved = optional(timestamp("approval_date", zone=_ZONE))
_extras = ("referer_click", "publisher_description", *(f"extra_{number}" for number in range(1, 6)))


def parts(row: Row) -> Iterator[Row]:
    """What is earned. The number of a part is unique in its transaction only."""
    for part in row["parts"]:
        yield {**row, **part, "key": f"{as_text(row['affiliatemarketing_id'])}-{as_text(part['id'])}"}


def approved_at(row: Row) -> datetime | None:
    time: datetime | None = _approved.read(row) if _status.read(row) is Status.APPROVED else None
    return time


def sub_id(row: Row) -> str | None:
    """The first that is set. A share of revenue stands in the second as "partner|amount", and is no sub id."""
    found = (row.get(name) for name in ("subid", "subid_2", "subid_3"))
    return next((as_text(value) for value in found if value and "|" not in as_text(value)), None)


def explain(status: int, document: Any) -> ProviderError | None:
    """Who asks too often is shut out for a minute. An older page says 503 for it, with a sentence."""
    if status == 429 or (status == 503 and "request rate" in str(document).lower()):
        return RateLimited(f"services.daisycon.com asked to slow down ({status}).", retry_after_s=60)
    return None


connector = Connector(
    title="Daisycon",
    kind="affiliate",
    docs="https://daisycon.com/en/developers/api",
    base_url="https://services.daisycon.com",
    credentials={
        "client_id": Credential("Client id", help="MyDaisycon > developer account > your app", secret=False),
        "client_secret": Credential("Client secret", help="beside the client id", required=False),
        "refresh_token": Credential("Refresh token", help="what a login of another program brought"),
        "publisher_id": Credential("Publisher id", help="the number beside your account's name", secret=False),
    },
    options={"base_url": Option("Address of the API", help="only for tests and proxies")},
    auth=authorization_code(
        "https://login.daisycon.com/oauth/authorize",
        "https://login.daisycon.com/oauth/access-token",
        "client_id",
        "client_secret",
        "refresh_token",
        shown_at="https://login.daisycon.com/oauth/cli",
    ),
    rates=(Rate(45, 60),),  # 50 to an address
    explain=explain,
    message=("error_description", "message", "error"),
    resources=(
        Resource(
            name="transactions",
            path="/publishers/{publisher_id}/transactions",
            convert=lambda body: body or b"[]",  # 204 when there is nothing
            paging=page_number(size=("per_page", 200), rows_header="x-total-count"),
            plan=updated_since(
                "date_modified_start",
                until="date_modified_end",
                days=92,
                form=local("Europe/Amsterdam", "%Y-%m-%d %H:%M:%S"),
                overlap=timedelta(days=1),  # their copies may lag behind by minutes
            ),
            right="an app with permission to read the publisher's transactions",
            row_id=text("affiliatemarketing_id"),
            drop=("anonymous_ip", "age", "gender", "region_id", *(f"parts.*.{name}" for name in _extras)),
            makes=(
                make(Program, external_id=text("program_id"), title=text("program_name")),
                make(
                    Earning,
                    parts=parts,
                    external_id=text("key"),
                    kind=Kind.COMMISSION,
                    status=_status,
                    net=money("commission"),
                    currency=_currency,
                    sale_amount=_sale,
                    sale_currency=lambda row: None if _sale.read(row) is None else _currency.read(row),
                    earned_at=timestamp("date", zone=_ZONE),
                    validated_at=approved_at,
                    program=text("program_id"),
                    sub_id=sub_id,
                    order_ref=optional(text("referencenumber")),
                    provider_status=text("status"),
                ),
            ),
        ),
    ),
)
