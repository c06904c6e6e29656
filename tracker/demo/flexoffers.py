"""FlexOffers' sales report as the sandbox plays it: sales that change in place, told in the time of the US east coast.

Source of the shapes and rules: client code, padosoft/php-oara (Publisher/FlexOffers). What errors say, and how many
calls are too many, is the sandbox's own.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale

_EASTERN = ZoneInfo("America/New_York")
_STATUSES = {"all", "pending", "approved", "canceled", "bonus", "non-commissionable"}
_LARGEST_PAGE = 500


class FlexOffers:
    rate: ClassVar[tuple[int, float]] = (60, 60.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._sales, self._key = history.sales, keys["api_key"]

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        return {"api_key": f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"}

    def caller(self, request: Request) -> str:
        return request.headers.get("apikey", "")

    def throttled(self) -> Answer:
        return _told(429, "Too many requests")

    def error_in_200(self) -> Answer:
        return _told(200, "Something went wrong")

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """The first page, whichever is asked for."""
        return self.answer(request.without("page"), now)

    def answer(self, request: Request, now: datetime) -> Answer:
        if request.headers.get("apikey") != self._key:
            return _told(401, "The API key is not valid")
        if request.path != "/allsales":
            return _told(404, "Not found")
        if request.method != "GET":
            return _told(405, "The method is not allowed")
        page, size, status = request.one("page", "1"), request.one("pageSize", "10"), request.one("status", "all")
        if not page.isdigit() or not int(page) or not size.isdigit() or not 1 <= int(size) <= _LARGEST_PAGE:
            return _told(400, f"pageSize must be between 1 and {_LARGEST_PAGE}")
        if request.one("reportType") != "sales" or status not in _STATUSES:
            return _told(400, "reportType or status is not valid")
        try:
            low, high = (datetime.fromisoformat(request.one(name)) for name in ("startDate", "endDate"))
        except ValueError:
            return _told(400, "startDate and endDate are dates in ISO 8601")
        if low.tzinfo is None or high.tzinfo is None:
            return _told(400, "startDate and endDate need an offset")
        rows = [row(sale, now) for sale in self._sales if low <= sale.occurred <= min(high, now)]
        rows = [one for one in rows if status in ("all", one["orderStatus"].lower())]
        found = rows[(int(page) - 1) * int(size) : int(page) * int(size)]
        if not found:
            return Answer(204, b"")
        return as_json(200, {"results": found, "totalCount": len(rows), "pageSize": int(size)})


def word_at(sale: NetworkSale, now: datetime) -> str:
    if sale.bonus:
        return "Bonus"
    if sale.validated > now:
        return "Pending"
    if sale.outcome == "deleted":
        return "Non-Commissionable"
    return "Canceled" if sale.lost(now) else "Approved"


def row(sale: NetworkSale, now: datetime) -> dict[str, Any]:
    value, commission = sale.amounts(now)
    return {
        "legacyId": f"F7-{sale.id}",
        "programId": sale.programme.id,
        "programName": sale.programme.name,
        "eventDate": _local(sale.occurred),
        "clickDate": _local(sale.clicked),
        "modifiedDate": _local(sale.changed(now) or sale.occurred),
        "orderStatus": word_at(sale, now),
        "saleAmount": f"{value}",
        "commission": f"{commission}",
        "currency": sale.programme.currency,
        "subTracking": sale.sub_id or "",
        "subId1": sale.second_sub_id or "",
    }


def _local(at: datetime) -> str:
    return at.astimezone(_EASTERN).strftime("%Y-%m-%dT%H:%M:%S")


def _told(status: int, message: str) -> Answer:
    return as_json(status, {"message": message})
