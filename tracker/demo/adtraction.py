"""Adtraction's partner API as the sandbox plays it: transactions that change in place, clicks, payments.

Source of the shapes and rules: apidocs.adtraction.net and adtractionapi.docs.apiary.io, "Transactions", "Payments",
"Response codes". Which numbers `paymentStatus` has is not published; 0 and 1 are the sandbox's own.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale

APPROVED, PENDING, EITHER, CLAIM, REJECTED = 1, 2, 3, 4, 5
_FILTERS = {0: {APPROVED, PENDING, CLAIM, REJECTED}, EITHER: {APPROVED, PENDING}} | {
    one: {one} for one in (APPROVED, PENDING, CLAIM, REJECTED)
}


class Adtraction:
    rate: ClassVar[tuple[int, float]] = (30, 60.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._sales, self._token = history.sales, keys["token"]

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        return {"token": digest[:40].upper()}

    def caller(self, request: Request) -> str:
        return request.headers.get("x-token", "")

    def throttled(self) -> Answer:
        headers = {"X-RateLimit-Limit": "30", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1781524860000"}
        return as_json(429, {"status": 429, "message": "Too many requests"}, headers)

    def error_in_200(self) -> Answer:
        return as_json(200, {"status": 400, "message": "Bad request"})

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """There are no pages: as ever."""
        return self.answer(request, now)

    def answer(self, request: Request, now: datetime) -> Answer:
        if request.headers.get("x-token") != self._token:
            return _told(401, "Invalid token")
        parts = request.path.strip("/").split("/")
        if request.method == "POST" and parts == ["v2", "partner", "transactions"]:
            return self._transactions(request, now)
        if request.method == "GET" and parts == ["v2", "partner", "approvedchannels"]:
            return as_json(200, [{"channelId": 1535345, "channelName": "Pfadpapier"}])
        if request.method == "GET" and parts[:3] == ["v2", "partner", "payments"] and len(parts) == 4:
            return self._payments(parts[3], now)
        return _told(404, "Not found")

    def _transactions(self, request: Request, now: datetime) -> Answer:
        try:
            asked = msgspec.json.decode(request.body, type=dict[str, Any])
            low, high = (_time(asked[name]) for name in ("fromDate", "toDate"))
            wanted = _FILTERS[asked["transactionStatus"]]
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            return _told(400, "The request could not be understood")
        rows: list[dict[str, Any]] = []
        for sale in self._sales:
            if low <= sale.occurred <= min(high, now):
                row = transaction(sale, now)
                rows += [row] if row["transactionStatus"] in wanted else []
                rows += [_click(row)] if sale.id % 5 == 0 else []
        return as_json(200, rows) if rows else _told(200, "No transactions found.")

    def _payments(self, currency: str, now: datetime) -> Answer:
        payments: defaultdict[tuple[int, datetime], list[NetworkSale]] = defaultdict(list)
        for sale in self._sales:
            if sale.paid and sale.paid <= now and sale.programme.currency == currency:
                payments[sale.payment_id, sale.paid.replace(hour=0, minute=0, second=0, microsecond=0)].append(sale)
        rows = [
            {
                "paymentId": number,
                "currency": currency,
                "totalAmount": sum(sale.amounts(now)[1] for sale in sales),
                "paymentdate": _written(day),
                "originalCurrency": currency,
                "exchangeRate": 1,
            }
            for (number, day), sales in sorted(payments.items())
        ]
        return as_json(200, rows) if rows else _told(200, "No payments found.")


def status_at(sale: NetworkSale, now: datetime) -> int:
    if sale.validated > now:
        return CLAIM if sale.id % 29 == 0 else PENDING
    return REJECTED if sale.lost(now) else APPROVED


def transaction(sale: NetworkSale, now: datetime) -> dict[str, Any]:
    value, commission = sale.amounts(now)
    changes = (sale.validated, sale.amended, sale.reversed, sale.paid)
    return {
        "uniqueId": str(UUID(int=sale.id)),
        "transactionName": "Bonus" if sale.bonus else "Sale",
        "transactionStatus": status_at(sale, now),
        "paymentStatus": int(bool(sale.paid and sale.paid <= now)),
        "transactionDate": _written(sale.occurred),
        "lastUpdated": _written(max([sale.occurred, *(at for at in changes if at and at <= now)])),
        "autoApprovalDate": _written(sale.validated + timedelta(days=5)),
        "orderValue": value,
        "commission": commission,
        "currency": sale.programme.currency,
        "click": {
            "programId": sale.programme.id,
            "programName": sale.programme.name,
            "epi": sale.sub_id,
            "epi2": sale.second_sub_id,
            "clickDate": _written(sale.clicked),
        },
    }


def _click(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "uniqueId": None, "transactionName": "Click", "orderValue": 0, "commission": 0} | {
        "transactionStatus": APPROVED,
        "transactionDate": row["click"]["clickDate"],
    }


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None or text[-5] not in "+-":
        raise ValueError(text)
    return time


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S+0000")


def _told(status: int, message: str) -> Answer:
    return as_json(status, {"status": status, "message": message})
