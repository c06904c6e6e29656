"""Rewardful's REST API as the sandbox plays it: the owner of programmes, who owes what others earn elsewhere.

Source of the shapes and rules: developers.rewardful.com, "Overview", "The commission object", "List commissions" and
"Retrieve commission".
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale

_PAGE, _LARGEST_PAGE = 25, 100
_STATES = {"pending", "due", "paid", "voided"}


class Rewardful:
    rate: ClassVar[tuple[int, float]] = (45, 30.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._authorization = "Basic " + b64encode(f"{keys['api_secret']}:".encode()).decode()
        self._sales = history.sales[::-1]

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        return {"api_secret": digest[:40]}

    def caller(self, request: Request) -> str:
        return request.headers.get("authorization", "")

    def throttled(self) -> Answer:
        return as_json(429, {"error": "Too many requests"}, {"RateLimit-Limit": "45", "RateLimit-Reset": "30"})

    def error_in_200(self) -> Answer:
        return as_json(200, {"error": "Something went wrong"})

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """The first page, whichever is asked for."""
        return self.answer(request.without("page"), now)

    def answer(self, request: Request, now: datetime) -> Answer:
        if request.headers.get("authorization") != self._authorization:
            return _error(401, "Invalid API Secret")
        parts = request.path.strip("/").split("/")
        if parts[:2] != ["v1", "commissions"] or len(parts) > 3:
            return _error(404, "Not found")
        expand = set(request.every("expand"))
        if len(parts) == 3:
            sale = next((sale for sale in self._sales if str(UUID(int=sale.id)) == parts[2]), None)
            found = sale and commission(sale, now, expand)
            return as_json(200, found) if found else _error(404, f"Commission not found: {parts[2]}")
        states = set(request.every("state"))
        if not states <= _STATES:
            return _error(422, f"state is not one of {', '.join(sorted(_STATES))}")
        rows = [row for sale in self._sales if (row := commission(sale, now, expand))]
        return _page(request, [row for row in rows if not states or row["state"] in states])


def state_at(sale: NetworkSale, now: datetime) -> str:
    """Once paid, a commission stays paid."""
    if sale.paid and sale.paid <= now:
        return "paid"
    if sale.lost(now):
        return "voided"
    return "due" if sale.validated <= now else "pending"


def commission(sale: NetworkSale, now: datetime, expand: set[str]) -> dict[str, Any] | None:
    if sale.occurred > now:
        return None
    state = state_at(sale, now)
    left, amount = sale.amounts(now)
    voided = sale.validated if sale.outcome != "approved" else sale.reversed
    changes = (sale.validated, sale.amended, sale.reversed, sale.paid)
    row: dict[str, Any] = {
        "id": str(UUID(int=sale.id)),
        "created_at": _iso(sale.occurred),
        "updated_at": _iso(max([sale.occurred, *(at for at in changes if at and at <= now)])),
        "amount": _cents(amount),
        "currency": sale.programme.currency,
        "state": state,
        "due_at": _iso(sale.validated),
        "paid_at": _iso(sale.paid) if sale.paid and state == "paid" else None,
        "voided_at": _iso(voided) if voided and state == "voided" else None,
    }
    if "campaign" in expand:
        row["campaign"] = {"id": str(UUID(int=sale.programme.id)), "name": sale.programme.name}
    if "sale" in expand:
        row["sale"] = {
            "id": str(UUID(int=sale.id + 1)),
            "currency": sale.programme.currency,
            "charged_at": _iso(sale.occurred),
            "stripe_charge_id": f"ch_{sale.id}",
            "sale_amount_cents": _cents(left),
            "charge_amount_cents": _cents(sale.sale),
            "refund_amount_cents": _cents(sale.sale) - _cents(left),
            "tax_amount_cents": 0,
            "referral": {
                "id": str(UUID(int=int(sale.clicked.timestamp()))),
                "customer": {"email": "kim@people.example"},
            },
            "affiliate": {"id": str(UUID(int=len(sale.sub_id or ""))), "email": "anna@people.example"},
        }
    return row


def _page(request: Request, rows: list[dict[str, Any]]) -> Answer:
    number, limit = request.one("page", "1"), request.one("limit", str(_PAGE))
    if not number.isdigit() or not limit.isdigit() or not int(number) or not int(limit):
        return _error(422, "page and limit are numbers from 1")
    page, most = int(number), min(int(limit), _LARGEST_PAGE)
    pages = -(-len(rows) // most)
    found = rows[(page - 1) * most : page * most]
    pagination = {
        "previous_page": page - 1 or None,
        "current_page": page,
        "next_page": page + 1 if page < pages else None,
        "count": len(found),
        "limit": most,
        "total_pages": pages,
        "total_count": len(rows),
    }
    return as_json(200, {"pagination": pagination, "data": found})


def _cents(amount: Any) -> int:
    return int(amount * 100)


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _error(status: int, message: str) -> Answer:
    return as_json(status, {"error": message})
