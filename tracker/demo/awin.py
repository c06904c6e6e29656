"""Awin's publisher API as the sandbox plays it: accounts, programmes and transactions that change in place.

Source of the shapes and rules: Awin's help centre, "Returns a list of transactions for a given publisher" and
"Response codes".
"""

from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale

_ZONES = {
    "UTC", "Europe/Berlin", "Europe/Paris", "Europe/London", "Europe/Dublin",
    *(f"Canada/{zone}" for zone in ("Eastern", "Central", "Mountain", "Pacific")),
    *(f"US/{zone}" for zone in ("Eastern", "Central", "Mountain", "Pacific")),
}  # fmt: skip
_STATUSES = ("pending", "approved", "declined", "deleted")
_LARGEST_WINDOW = timedelta(days=31)
_MOST_IDS = 100
PUBLISHER_ID = 189069


class Awin:
    def __init__(self, history: History, token: str) -> None:
        self._history, self._token = history, token
        self._sales = history.sales
        self._occurred = [sale.occurred for sale in history.sales]
        self._by_id = {sale.id: sale for sale in history.sales}

    def caller(self, request: Request) -> str:
        """Whose calls are counted together: the token's."""
        return _token_of(request)

    def throttled(self) -> Answer:
        return _error(429, "throttled", "You have exceeded the 20 API calls per minute limit")

    def error_in_200(self) -> Answer:
        return as_json(200, {"error": "internal_error", "description": "Something went wrong, please try again later"})

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """There are no pages to repeat: the window is the page."""
        return self.answer(request, now)

    def answer(self, request: Request, now: datetime) -> Answer:
        if not _token_of(request):
            return _error(401, "unauthorized", "Full authentication is required to access this resource")
        if _token_of(request) != self._token:
            return _error(401, "invalid_token", "Invalid access token")
        if request.method != "GET":
            return _error(405, "method_not_allowed", f"Request method '{request.method}' not supported")
        parts = request.path.strip("/").split("/")
        if parts == ["accounts"]:
            return self._accounts(request)
        if len(parts) != 3 or parts[0] != "publishers" or parts[2] not in ("programmes", "transactions"):
            return _error(404, "not_found", "No such resource")
        if parts[1] != str(PUBLISHER_ID):
            return _error(403, "forbidden", "You have no access to this account")
        if parts[2] == "programmes":
            return self._programmes(request, now)
        return self._by_ids(request, now) if request.one("ids") else self._transactions(request, now)

    def _accounts(self, request: Request) -> Answer:
        account = {
            "accountId": PUBLISHER_ID,
            "accountName": "Pfad und Papier",
            "accountType": "publisher",
            "userRole": "Owner",
        }
        return as_json(
            200, {"userId": 70911, "accounts": [account] if request.one("type", "publisher") == "publisher" else []}
        )

    def _programmes(self, request: Request, now: datetime) -> Answer:
        relationship = request.one("relationship", "joined")
        if relationship not in ("joined", "pending", "suspended", "rejected", "notjoined"):
            return _error(400, "bad_request", f"Invalid relationship '{relationship}'")
        rows = [
            {
                "id": programme.id,
                "name": programme.name,
                "displayUrl": f"https://{programme.id}.example",
                "currencyCode": programme.currency,
                "primaryRegion": {"name": programme.country, "countryCode": programme.country},
                "status": "active",
            }
            for programme in self._history.programmes
        ]
        return as_json(200, rows if relationship == "joined" else [])

    def _by_ids(self, request: Request, now: datetime) -> Answer:
        words = request.one("ids").split(",")
        zone = request.one("timezone", "UTC")
        if zone not in _ZONES:
            return _error(400, "bad_request", f"Invalid timezone '{zone}'")
        if len(words) > _MOST_IDS or not all(word.strip().isdigit() for word in words):
            return _error(400, "bad_request", f"ids must be at most {_MOST_IDS} numbers")
        found = [self._by_id.get(int(word)) for word in words]
        return as_json(200, [_row(sale, now, ZoneInfo(zone)) for sale in found if sale and sale.occurred <= now])

    def _transactions(self, request: Request, now: datetime) -> Answer:
        zone, axis = request.one("timezone", "UTC"), request.one("dateType", "transaction")
        if zone not in _ZONES:
            return _error(400, "bad_request", f"Invalid timezone '{zone}'")
        if axis not in ("transaction", "validation", "amendment"):
            return _error(400, "bad_request", f"Invalid dateType '{axis}'")
        window: list[datetime] = []
        for name in ("startDate", "endDate"):
            text = request.one(name)
            if not text:
                return _error(400, "bad_request", f"Required parameter '{name}' is not present")
            try:
                window.append(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=ZoneInfo(zone)))
            except ValueError:
                return _error(400, "bad_request", f"'{name}' must have the format yyyy-MM-ddThh:mm:ss")
        start, end = window
        if end < start:
            return _error(400, "bad_request", "endDate must not be before startDate")
        if end - start > _LARGEST_WINDOW:
            return _error(400, "bad_request", "The maximum date range between startDate and endDate is 31 days")
        status, advertisers = request.one("status"), set(filter(None, request.one("advertiserId").split(",")))
        if status and status not in _STATUSES:
            return _error(400, "bad_request", f"Invalid status '{status}'")
        rows = [
            _row(sale, now, ZoneInfo(zone))
            for sale in self._within(axis, start, min(end, now), now)
            if (not status or status_at(sale, now) == status)
            and (not advertisers or str(sale.programme.id) in advertisers)
        ]
        return as_json(200, rows)

    def _within(self, axis: str, start: datetime, end: datetime, now: datetime) -> list[NetworkSale]:
        if axis == "transaction":
            return self._sales[bisect_left(self._occurred, start) : bisect_right(self._occurred, end)]
        known = self._sales[: bisect_right(self._occurred, now)]
        if axis == "validation":
            return [sale for sale in known if (at := validated_at(sale, now)) and start <= at <= end]
        return [sale for sale in known if sale.amended and start <= sale.amended <= end]


def status_at(sale: NetworkSale, now: datetime) -> str:
    if now < sale.validated:
        return "pending"
    return "declined" if sale.reversed and sale.reversed <= now else sale.outcome


def validated_at(sale: NetworkSale, now: datetime) -> datetime | None:
    if sale.reversed and sale.reversed <= now:
        return sale.reversed
    return sale.validated if sale.validated <= now else None


def _row(sale: NetworkSale, now: datetime, zone: ZoneInfo) -> dict[str, Any]:
    programme, status, validated = sale.programme, status_at(sale, now), validated_at(sale, now)
    amended = bool(sale.amended and sale.amended <= now)
    basket, commission = sale.amounts(now)
    currency = programme.currency
    paid = bool(sale.paid and sale.paid <= now)
    group = (
        ("RENEWAL", "Renewal")
        if sale.renewal
        else ("NEW", "New customer")
        if programme.renewal
        else ("DEFAULT", "Default")
    )
    part = {
        "commissionGroupId": programme.id * 10 + sale.renewal,
        "commissionGroupCode": group[0],
        "commissionGroupName": group[1],
        "amount": basket,
        "commissionAmount": commission,
    }
    refs = {"clickRef": sale.sub_id, "clickRef2": sale.second_sub_id} if sale.sub_id or sale.second_sub_id else None
    return {
        "id": sale.id,
        "url": "https://pfad-und-papier.example",
        "advertiserId": programme.id,
        "publisherId": PUBLISHER_ID,
        "commissionSharingPublisherId": None,
        "siteName": "pfad-und-papier.example",
        "commissionStatus": status,
        "commissionAmount": {"amount": commission, "currency": currency},
        "saleAmount": {"amount": basket, "currency": currency},
        "ipHash": f"{hash_of(sale.id):019d}",
        "customerCountry": sale.country,
        "clickRefs": refs,
        "clickDate": _local(sale.clicked, zone),
        "transactionDate": _local(sale.occurred, zone),
        "validationDate": _local(validated, zone) if validated else None,
        "type": "bonus" if sale.bonus else "Commission group transaction",
        "declineReason": (sale.reason or "Withdrawn") if status in ("declined", "deleted") else None,
        "voucherCodeUsed": False,
        "voucherCode": None,
        "lapseTime": int((sale.occurred - sale.clicked).total_seconds()),
        "amended": amended,
        "amendReason": "partial return" if amended else None,
        "oldSaleAmount": {"amount": sale.sale, "currency": currency} if amended else None,
        "oldCommissionAmount": {"amount": sale.commission, "currency": currency} if amended else None,
        "clickDevice": "Windows",
        "transactionDevice": "Windows",
        "publisherUrl": "https://pfad-und-papier.example/" + (sale.sub_id or ""),
        "advertiserCountry": programme.country,
        "orderRef": sale.order,
        "customParameters": None,
        "transactionParts": [] if sale.bonus else [part],
        "paidToPublisher": paid,
        "paymentId": sale.payment_id if paid else 0,
        "transactionQueryId": 0,
        "originalSaleAmount": None,
    }


def hash_of(number: int) -> int:
    """Looks like the hash of an address, and is none."""
    return (number * 2_654_435_761) % 10**19


def _local(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")


def _token_of(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.one("accessToken")


def _error(status: int, error: str, description: str) -> Answer:
    return as_json(status, {"error": error, "description": description})
