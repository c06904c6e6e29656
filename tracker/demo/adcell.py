"""Adcell's API in the sandbox: commissions of a publisher's account in euros, and tokens that live 15 minutes.

Source of the shapes and rules: www.adcell.de/api/v2, as two clients of publishers read it. Each answer has the HTTP
status 200 and its own status inside.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from tracker.demo.chance import unix
from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale

CURRENCY = "EUR"
LIFE = timedelta(minutes=15)
_ZONE = ZoneInfo("Europe/Berlin")
_PAGE, _LARGEST_PAGE = 25, 1_000


class Adcell:
    rate: ClassVar[tuple[int, float]] = (60, 60.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self._sales = mine(history)

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        return {"user_name": "205700", "api_password": f"ac-{digest[:40]}"}

    def caller(self, request: Request) -> str:
        return request.one("token") or request.one("userName")

    def throttled(self) -> Answer:
        return _answer(429, "Too many requests")

    def error_in_200(self) -> Answer:
        return _answer(500, "Internal error")

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """The first page, whichever is asked for."""
        return self.answer(request.without("page"), now)

    def answer(self, request: Request, now: datetime) -> Answer:
        if request.path == "/api/v2/user/getToken":
            given = {"user_name": request.one("userName"), "api_password": request.one("password")}
            if request.method != "GET" or given != self._keys:
                return _answer(401, "User name or password is wrong")
            issued = f"{unix(now)}-{self._keys['api_password'][3:]}"
            return _answer(200, "", {"token": issued, "expires": int(LIFE.total_seconds())})
        issued, _, secret = request.one("token").partition("-")
        if secret != self._keys["api_password"][3:] or not 0 <= unix(now) - int(issued) < LIFE.total_seconds():
            return _answer(401, "Token is invalid or has expired")
        if request.path != "/api/v2/affiliate/statistic/byCommission":
            return _answer(404, "Unknown call")
        return self._commissions(request, now)

    def _commissions(self, request: Request, now: datetime) -> Answer:
        """The day that ends a window is not in it."""
        rows, page = request.one("rows", str(_PAGE)), request.one("page", "1")
        if not rows.isdigit() or not page.isdigit() or not 1 <= int(rows) <= _LARGEST_PAGE or page == "0":
            return _answer(400, f"rows must be between 1 and {_LARGEST_PAGE}, and page at least 1")
        try:
            low, high = (date.fromisoformat(request.one(name)) for name in ("startDate", "endDate"))
        except ValueError:
            return _answer(400, "startDate and endDate must be given as YYYY-MM-DD")
        seen = (sale for sale in self._sales if sale.occurred <= now)
        found = [commission(sale, now) for sale in seen if low <= sale.occurred.astimezone(_ZONE).date() < high]
        start = (int(page) - 1) * int(rows)
        total = {"numberItems": len(found)}
        return _answer(200, "", {"items": found[start : start + int(rows)], "total": total})


def mine(history: History) -> list[NetworkSale]:
    return [sale for sale in history.sales if sale.programme.currency == CURRENCY and not sale.bonus]


def state_at(sale: NetworkSale, now: datetime) -> str:
    if now < sale.validated:
        return "open"
    return "cancelled" if sale.lost(now) else "accepted"


def commission(sale: NetworkSale, now: datetime) -> dict[str, Any]:
    basket, earned = sale.amounts(now)
    changed = sale.changed(now)
    return {
        "commissionId": str(sale.id),
        "createTime": _local(sale.occurred),
        "changeTime": _local(changed) if changed else None,
        "changeNote": sale.reason or "" if state_at(sale, now) == "cancelled" else "",
        "programId": str(sale.programme.id),
        "programName": sale.programme.name,
        "eventName": "Folgezahlung" if sale.renewal else "Bestellung",
        "eventType": "SALE",
        "subId": sale.sub_id or "",
        "referer": "https://blog.example/post?reader=kim",
        "ip": "203.0.113.7",
        "isMobile": "0",
        "totalShoppingCart": f"{basket or Decimal(0):.2f}",
        "totalCommission": f"{earned or Decimal(0):.2f}",
        "status": state_at(sale, now),
    }


def _local(at: datetime) -> str:
    return at.astimezone(_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def _answer(status: int, message: str, data: dict[str, Any] | None = None) -> Answer:
    return as_json(200, {"status": status, "message": message, "data": data})
