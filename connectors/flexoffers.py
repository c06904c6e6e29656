"""FlexOffers: commissions of a publisher's site, changed in place.

Source: client code, padosoft/php-oara (Publisher/FlexOffers): address, parameters, fields, status words and errors of
the sales report, which FlexOffers documents for its publishers only.
"""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tracker.connect.auth import header
from tracker.connect.connector import Connector, Credential, Option, Rate, Resource, make
from tracker.connect.fields import Row, currency, first_of, get, money, one_of, only_if, optional, text, timestamp
from tracker.connect.paging import page_number
from tracker.connect.plans import created_since
from tracker.errors import ProviderError, RateLimited, Unavailable
from tracker.records import Earning, Kind, Program, Status

_STATUSES = {
    "pending": Status.PENDING,
    "approved": Status.APPROVED,
    "bonus": Status.APPROVED,
    "canceled": Status.DECLINED,
    "cancelled": Status.DECLINED,
    "non-commissionable": Status.DECLINED,
}
_EASTERN = ZoneInfo("America/New_York")
_SUB_IDS = ("subTracking", "subId1", "subId2", "subId3", "subId4", "subId5")

_word = text("orderStatus")
_known = one_of("orderStatus", _STATUSES)
_sale = optional(money("saleAmount")), optional(money("merchantValue"))
_currency = currency("currency")
_changed = optional(timestamp("modifiedDate", zone=_EASTERN))


def eastern(time: datetime) -> str:
    return time.astimezone(_EASTERN).isoformat(timespec="seconds")


def word(row: Row) -> str:
    said: str = _word.read(row)
    return said.lower()


def status(row: Row) -> Status:
    found: Status = _known.read({"orderStatus": word(row)})
    return found


def sale(row: Row) -> Any:
    """Two versions of the report name the amount differently."""
    amounts = [field.read(row) for field in _sale]
    return next((amount for amount in amounts if amount is not None), None)


def is_named(row: Row) -> Any:
    return get(row, "programId") and get(row, "programName")


def rows_or_none(body: bytes) -> bytes:
    """Where nothing is found, the answer is empty."""
    return body if body.strip() else b'{"results": []}'


def explain(status: int, document: Any) -> ProviderError | None:
    words = str(document.get("message", ""))[:200] if isinstance(document, dict) else ""
    if status == 429:
        return RateLimited("FlexOffers asked to slow down (429).", retry_after_s=30)
    if status == 400 and "maintenance" in words.lower():
        return Unavailable(f'FlexOffers has no sales for now. It says: "{words}"', hint="It is tried again later.")
    return None


connector = Connector(
    title="FlexOffers",
    kind="affiliate",
    docs="https://www.flexoffers.com/affiliate-programs/api-tools/",
    base_url="https://api.flexoffers.com",
    credentials={"api_key": Credential("API key", help="in your publisher account, beside the site; each has its own")},
    options={"base_url": Option("Address of the API", help="https://api.flexoffers.com/v3 if yours is versioned")},
    auth=header("apiKey", "api_key"),
    rates=(Rate(20, 60),),  # no limit is known
    explain=explain,
    resources=(
        Resource(
            name="sales",
            path="/allsales",
            params={"reportType": "sales", "status": "all"},
            rows="results",
            # Other addresses of FlexOffers give pages of 10 to 100, whatever is asked for: a few rows more are awaited.
            paging=page_number(size=("pageSize", 500), short=10),
            convert=rows_or_none,
            # Nothing tells what has changed, and no largest window is known. A trip is decided on after it was made.
            plan=created_since("startDate", until="endDate", days=30, look_back=timedelta(days=365), form=eastern),
            right="the API key of this site",
            row_id=text("legacyId"),
            makes=(
                make(Program, when=is_named, external_id=text("programId"), title=text("programName")),
                make(
                    Earning,
                    external_id=text("legacyId"),
                    kind=lambda row: Kind.BONUS if word(row) == "bonus" else Kind.COMMISSION,
                    status=status,
                    net=money("commission"),
                    currency=_currency,
                    sale_amount=sale,
                    sale_currency=lambda row: None if sale(row) is None else _currency.read(row),
                    earned_at=timestamp("eventDate", zone=_EASTERN),
                    validated_at=only_if(_changed, status, Status.APPROVED, Status.DECLINED),
                    program=optional(text("programId")),
                    sub_id=first_of(*_SUB_IDS),
                    provider_status=_word,
                ),
            ),
        ),
    ),
)
