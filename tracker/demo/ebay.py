"""eBay Partner Network's reports in the sandbox: one account, whose transactions come again whenever they change.

Source of the shapes and rules: partnerhelp.ebay.com, "Transaction Detail Report API Documentation"; eBay's slides
"Partner Reporting via the New API Endpoints".
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale

CURRENCY = "EUR"  # of the account: the report names none
LAG = timedelta(hours=36)  # until a change is in the report
_ZONE = ZoneInfo("America/Denver")
_SITES = {"GB": "UK"}
_WORDS = {
    "STATUS": {"ALL", "Approved", "Pending"},
    "date_type": {"event_date", "update_date"},
    "CHECKOUT_SITE": {"0", "US", "UK", "CA", "DE", "IT", "FR", "AU", "AT", "BE", "CH", "NL", "ES", "IE"},
}


class Ebay:
    rate: ClassVar[tuple[int, float]] = (1_000, 3_600.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._sid = keys["account_sid"]
        self._pair = "Basic " + b64encode(f"{self._sid}:{keys['auth_token']}".encode()).decode()
        self._sales = mine(history)

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        return {"account_sid": f"IR{digest[:20]}", "auth_token": digest[20:60]}

    def caller(self, request: Request) -> str:
        return request.headers.get("authorization", "")

    def throttled(self) -> Answer:
        return _error(429, "Rate limit exceeded")

    def error_in_200(self) -> Answer:
        return _error(200, "The report is not available at the moment")

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """There are no pages; instead the web page that eBay puts in the place of a report, with 200."""
        page = b"<!DOCTYPE html><html><head><title>eBay Partner Network</title></head><body>Sorry</body></html>"
        return Answer(200, page, content_type="text/html; charset=utf-8")

    def answer(self, request: Request, now: datetime) -> Answer:
        if self.caller(request) != self._pair:
            return _error(401, "Authentication failed")
        parts = request.path.strip("/").split("/")
        if parts[:3] != ["Mediapartners", self._sid, "Reports"]:
            return _error(403, "Access denied")
        if parts[3:] != ["ebay_partner_transaction_detail.json"]:
            return _error(404, "No such report")
        for name, words in _WORDS.items():
            if request.one(name) and request.one(name) not in words:
                return _error(400, f"{name} is not one of {', '.join(sorted(words))}")
        try:
            low, high = (date.fromisoformat(request.one(name)) for name in ("START_DATE", "END_DATE"))
        except ValueError:
            return _error(400, "START_DATE and END_DATE must be given as YYYY-MM-DD")
        by = "UpdateDate" if request.one("date_type", "event_date") == "update_date" else "EventDate"
        status, site = request.one("STATUS", "ALL"), request.one("CHECKOUT_SITE", "0")
        found = [
            row
            for sale in self._sales
            for row in changes(sale, now - LAG)
            if low <= datetime.fromisoformat(row[by]).date() <= high
            and status in ("ALL", row["Status"])
            and site in ("0", row["CheckoutSite"])
        ]
        found.sort(key=lambda row: (row["EpnTransactionId"], row["UpdateDate"]), reverse=True)
        return as_json(200, {"Records": [*found, _click(now)]})


def mine(history: History) -> list[NetworkSale]:
    return [sale for sale in history.sales if sale.programme.currency == CURRENCY and not sale.bonus]


def state_at(sale: NetworkSale, now: datetime) -> str:
    if now < sale.validated:
        return "Pending"
    return "Reversed" if sale.lost(now) else "Approved"


def changes(sale: NetworkSale, now: datetime) -> Iterator[dict[str, Any]]:
    """A row for each change until `now`, with the totals after it and how much they went up or down."""
    times = sorted({at for at in (sale.occurred, sale.validated, sale.amended, sale.reversed) if at and at <= now})
    earned = sold = Decimal(0)
    for at in times:
        gone = state_at(sale, at) == "Reversed"
        basket, earnings = (Decimal(0), Decimal(0)) if gone else sale.amounts(at)
        yield {
            "EpnTransactionId": str(sale.id),
            "EbayCheckoutTransactionId": sale.order or str(sale.id),
            "EventDate": _local(sale.occurred),
            "UpdateDate": _local(at),
            "ClickTimestamp": _local(sale.clicked),
            "EventName": "Winning Bid (Revenue)" if sale.id % 2 else "Sale",
            "Status": state_at(sale, at),
            "Sales": f"{basket}",
            "DeltaSales": f"{basket - sold}",
            "Earnings": f"{earnings}",
            "DeltaEarnings": f"{earnings - earned}",
            "Quantity": "0" if gone else "1",
            "DeltaQuantity": "-1" if gone else "1" if at == sale.occurred else "0",
            "ItemId": str(sale.programme.id),
            "ItemName": sale.programme.name,
            "CampaignId": "5338000001",
            "CampaignName": "blog",
            "CustomId": sale.sub_id or "",
            "CheckoutSite": _SITES.get(sale.country, sale.country),
        }
        earned, sold = earnings, basket


def _click(now: datetime) -> dict[str, Any]:
    """What the report also lists, without money."""
    at = _local(now - LAG)
    times = {"EpnTransactionId": "", "EventDate": at, "UpdateDate": at}
    return times | {"EventName": "Click", "Status": "Approved", "Sales": "0.00", "Earnings": "0.00"}


def _local(at: datetime) -> str:
    return at.astimezone(_ZONE).strftime("%Y-%m-%dT%H:%M:%S%z")


def _error(status: int, message: str) -> Answer:
    return as_json(status, {"Status": "ERROR", "Message": message})
