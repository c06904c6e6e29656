"""Webgains' platform API in the sandbox: the transactions of a publisher, whose status is a code.

Source of the shapes and rules: docs.webgains.dev, Platform API, "Get Transaction Report" and "Transaction Statuses".
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from tracker.demo.chance import unix
from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale

_LARGEST_WINDOW = timedelta(days=366)
_PAGE, _LARGEST_PAGE = 25, 250


class Webgains:
    rate: ClassVar[tuple[int, float]] = (60, 60.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self._sales = [sale for sale in history.sales if not sale.bonus]

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        """Whose token ends in "-merchant" belongs to an advertiser, who may not read a publisher's transactions."""
        return {"token": f"wg-{digest[:60]}", "publisher_id": "1426400"}

    def caller(self, request: Request) -> str:
        return request.headers.get("authorization", "")

    def throttled(self) -> Answer:
        return _error(429, "Too Many Attempts.")

    def error_in_200(self) -> Answer:
        """No error comes with 200; an answer without its data is the nearest."""
        return as_json(200, {"message": "Server Error"})

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """The first page, whichever is asked for."""
        return self.answer(request.without("page"), now)

    def answer(self, request: Request, now: datetime) -> Answer:
        own = f"Bearer {self._keys['token']}"
        if self.caller(request) == f"{own}-merchant":
            return _error(403, "This action is unauthorized.")
        if self.caller(request) != own:
            return _error(401, "Unauthenticated.")
        if request.path != f"/publishers/{self._keys['publisher_id']}/reports/transactions":
            return _error(404, "Not found.")
        texts = request.one("filters[start_date]"), request.one("filters[end_date]")
        size, page = request.one("size", str(_PAGE)), request.one("page", "1")
        if not all(text.isdigit() for text in (*texts, size, page)):
            return _error(422, "Dates, size and page must be whole numbers.")
        low, high = map(int, texts)
        if high < low or high - low > _LARGEST_WINDOW.total_seconds():
            return _error(422, "The date range may not be greater than 1 year.")
        if not 1 <= int(size) <= _LARGEST_PAGE or int(page) < 1:
            return _error(422, f"The size must be between 1 and {_LARGEST_PAGE}.")
        if request.one("sort", "date") != "date" or request.one("sort_order", "DESC") not in ("ASC", "DESC"):
            return _error(422, "The selected sort is invalid.")
        rows = [
            transaction(sale, now)
            for sale in self._sales
            if low <= unix(sale.occurred) <= high and sale.occurred <= now
        ]
        rows.sort(key=lambda row: (row["date"], row["id"]), reverse=request.one("sort_order", "DESC") == "DESC")
        start = (int(page) - 1) * int(size)
        pages = {"current_page": int(page), "last_page": max(1, -(-len(rows) // int(size))), "total": len(rows)}
        return as_json(200, {"data": rows[start : start + int(size)], "pagination": pages})


def code_at(sale: NetworkSale, now: datetime) -> int:
    """The lower, the nearer to the publisher's account; 70 is cancelled."""
    if now < sale.validated:
        return 50 if now < sale.occurred + timedelta(days=14) else 60
    if sale.lost(now):
        return 70
    if sale.paid and now >= sale.paid - timedelta(days=17):
        return 10 if now >= sale.paid else 20
    return 40 if now < sale.validated + timedelta(days=5) else 30


def transaction(sale: NetworkSale, now: datetime) -> dict[str, Any]:
    basket, commission = sale.amounts(now)
    changes = [at for at in (sale.occurred, sale.validated, sale.reversed, sale.paid) if at and at <= now]
    unit = sale.programme.currency
    return {
        "id": sale.id,
        "date": unix(sale.occurred),
        "status_changed_date": unix(max(changes)),
        "program": {"id": sale.programme.id, "name": sale.programme.name},
        "campaign": {"id": 1749800, "name": "blog.example"},
        "value": {"amount": _parts(basket), "currency_code": unit},
        "commission": {"amount": _parts(commission), "currency_code": unit},
        "click_reference": sale.sub_id,
        "status": code_at(sale, now),
    }


def _parts(amount: Decimal | None) -> int:
    return int((amount or Decimal(0)) * 10_000)


def _error(status: int, message: str) -> Answer:
    return as_json(status, {"message": message})
