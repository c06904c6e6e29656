"""FirstPromoter's affiliate API as the sandbox plays it: one company's programme, with renewals, refunds and payouts.

Source of the shapes and rules: docs.firstpromoter.com, "Affiliate API" (commissions, payouts) and "Introduction".
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale, by_payment

PROGRAMME = 60331  # the one whose customers renew every month
_REFUNDS = 5_000_000_000  # added to a commission's id: the one that takes it back
_PAGE, _LARGEST_PAGE = 20, 100
_WORDS = {
    "filters[status]": {"pending", "approved", "denied"},
    "filters[paid]": {"yes", "no"},
    "filters[first_commission]": {"true", "false", "1", "0"},
    "sorting[created_at]": {"asc", "desc"},
}


class FirstPromoter:
    rate: ClassVar[tuple[int, float]] = (400, 60.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._keys = keys
        self._sales = [sale for sale in history.sales if sale.programme.id == PROGRAMME]
        self._payouts = by_payment(self._sales)

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        return {"token": f"fp-{digest[:40]}", "account_id": f"acc_{digest[40:48]}"}

    def caller(self, request: Request) -> str:
        return request.headers.get("account-id", "")

    def throttled(self) -> Answer:
        return _error(429, "Too Many Requests", "rate_limited")

    def error_in_200(self) -> Answer:
        return as_json(200, {"message": "Something went wrong", "code": "error"})

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """The first page, whichever is asked for."""
        return self.answer(request.without("page"), now)

    def answer(self, request: Request, now: datetime) -> Answer:
        if request.headers.get("authorization") != f"Bearer {self._keys['token']}":
            return _error(401, "Unauthorized", "unauthorized")
        if request.headers.get("account-id") != self._keys["account_id"]:
            return _error(403, "You are not allowed to access this account", "forbidden")
        for name, words in _WORDS.items():
            if request.one(name) and request.one(name) not in words:
                return _error(422, f"{name} is not one of {', '.join(sorted(words))}", "invalid")
        if request.path == "/api/v2/affiliate/commissions":
            return self._commissions(request, now)
        if request.path == "/api/v2/affiliate/payouts":
            rows = [payout(number, sales, now) for number, sales in sorted(self._payouts.items())]
            meta = {"net_payout_days": 30, "payout_cycle": "monthly", "min_payment": 0}
            return _page(request, [row for row in rows if row], lambda rows: {"data": rows, "meta": meta})
        return _error(404, "Not found", "not_found")

    def _commissions(self, request: Request, now: datetime) -> Answer:
        try:
            low = date.fromisoformat(request.one("filters[created_at][from]", "1970-01-01"))
            high = date.fromisoformat(request.one("filters[created_at][to]", "2999-01-01"))
        except ValueError:
            return _error(422, "created_at is not a date", "invalid")
        first, inside = request.one("filters[first_commission]"), request.one("filters[payout_id]")
        wanted = {"status": request.one("filters[status]"), "is_paid": request.one("filters[paid]")}
        found = []
        for sale in self._sales:
            if inside and (str(sale.payment_id) != inside or not _listed(sale, now)):
                continue
            if first and (first in ("true", "1")) == sale.renewal:
                continue
            rows = rows_of(sale, now)[: 1 if inside else None]  # a refund waits for a later payout
            found += [row for row in rows if low <= date.fromisoformat(row["created_at"][:10]) <= high]
        found = [
            row
            for row in found
            if wanted["status"] in ("", row["status"]) and wanted["is_paid"] in ("", "yes" if row["is_paid"] else "no")
        ]
        down = request.one("sorting[created_at]", "desc") == "desc"
        found.sort(key=lambda row: (row["created_at"], row["id"]), reverse=down)
        return _page(request, found, lambda rows: rows)


def refunded(sale: NetworkSale, now: datetime) -> bool:
    """Once paid, what is taken back comes as a negative commission; until then the commission is denied."""
    return bool(sale.reversed and sale.reversed <= now and sale.paid and sale.paid <= sale.reversed)


def status_at(sale: NetworkSale, now: datetime) -> str:
    if now < sale.validated:
        return "pending"
    taken_back = sale.reversed and sale.reversed <= now and not refunded(sale, now)
    return "approved" if sale.outcome == "approved" and not taken_back else "denied"


def rows_of(sale: NetworkSale, now: datetime) -> list[dict[str, Any]]:
    if sale.occurred > now:
        return []
    customer = int(sale.clicked.timestamp())
    decided = sale.reversed if sale.reversed and sale.reversed <= now and not refunded(sale, now) else sale.validated
    row: dict[str, Any] = {
        "id": sale.id,
        "status": status_at(sale, now),
        "external_note": None,
        "created_at": _iso(sale.occurred),
        "status_updated_at": _iso(decided) if decided <= now else None,
        "commission_type": "custom" if sale.bonus else "sale",
        "sale_amount": _cents(sale.sale),
        "original_sale_amount": _cents(sale.sale),
        "original_sale_currency": sale.programme.currency,
        "plan_id": None if sale.bonus else f"plan-{sale.sale:.0f}",
        "tier": 1,
        "unit": "cash",
        "amount": _cents(sale.commission),
        "is_paid": bool(sale.paid and sale.paid <= now),
        "promoter_campaign": {
            "id": 71,
            "campaign_id": PROGRAMME,
            "created_at": "2023-01-09T10:00:00.000Z",
            "campaign": {"id": PROGRAMME, "name": sale.programme.name, "color": "#26a69a"},
        },
        "referral": {"id": customer, "uid": f"u-{customer}", "email": f"reader-{customer}@people.example"},
        "reward": {"id": 3, "name": "30% recurring"},
    }
    if not refunded(sale, now) or sale.reversed is None:
        return [row]
    back = row | {
        "id": sale.id + _REFUNDS,
        "status": "approved",
        "created_at": _iso(sale.reversed),
        "status_updated_at": _iso(sale.reversed),
        "sale_amount": -row["sale_amount"],
        "original_sale_amount": -row["sale_amount"],
        "amount": -row["amount"],
        "is_paid": False,
    }
    return [row, back]


def _listed(sale: NetworkSale, now: datetime) -> bool:
    return sale.occurred <= now and sale.validated <= now


def payout(number: int, sales: list[NetworkSale], now: datetime) -> dict[str, Any] | None:
    inside = [sale for sale in sales if _listed(sale, now)]
    if not inside or sales[0].paid is None:
        return None
    made, paid = min(sale.validated for sale in inside), sales[0].paid
    status = "completed" if paid <= now else "processing" if paid - timedelta(days=2) <= now else "pending"
    amount = sum(_cents(sale.commission) for sale in inside)
    return {
        "id": number,
        "status": status,
        "amount": amount,
        "payments_batch_id": number // 10,
        "tax_rate": 0,
        "unit": "cash",
        "period_start": f"{made:%Y-%m-01}",
        "period_end": f"{made:%Y-%m-28}",
        "paid_at": _iso(paid) if status == "completed" else None,
        "processing_started_at": None if status == "pending" else _iso(paid - timedelta(days=2)),
        "failed_at": None,
        "error": None,
        "total_incl_tax": amount,
        "created_at": _iso(made),
        "payout_method": {"method": "paypal", "email": "creator@people.example"},
        "promoter": {"id": 4, "email": "creator@people.example", "name": "A Creator"},
        "campaign": {"id": PROGRAMME, "name": "Main", "color": None},
    }


def _page(request: Request, rows: list[dict[str, Any]], envelope: Any) -> Answer:
    number, size = request.one("page", "1"), request.one("per_page", str(_PAGE))
    if not number.isdigit() or not size.isdigit() or not int(number) or not int(size):
        return _error(422, "page and per_page are numbers from 1", "invalid")
    most = min(int(size), _LARGEST_PAGE)
    start = (int(number) - 1) * most
    return as_json(200, envelope(rows[start : start + most]))


def _cents(amount: Any) -> int:
    return int(amount * 100)


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _error(status: int, message: str, code: str) -> Answer:
    return as_json(status, {"message": message, "code": code})
