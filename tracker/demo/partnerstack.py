"""PartnerStack's partner API in the sandbox: rewards of several companies' programmes and what was withdrawn of them.

Source of the shapes and rules: docs.partnerstack.com, "Partner API" and the reference of "List Rewards" and "List
Payouts".
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from tracker.demo.chance import unix
from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale, by_payment

_PAGE, _LARGEST_PAGE = 10, 250
_WITHDRAWABLE = timedelta(days=4)  # before the user withdraws it
_ORDERS = {"/api/v2/rewards": ("created_at", "amount", "ready_at"), "/api/v2/payouts": ("created_at",)}


class PartnerStack:
    rate: ClassVar[tuple[int, float]] = (120, 60.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._key = keys["api_key"]
        self._sales = history.sales
        self._payouts = by_payment(self._sales)

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        """A key that ends in "-company" is a company's, which may not read what a partner earns."""
        return {"api_key": f"ps-{digest[:40]}"}

    def caller(self, request: Request) -> str:
        return request.headers.get("authorization", "")

    def throttled(self) -> Answer:
        return _error(429, "Too many requests")

    def error_in_200(self) -> Answer:
        """No error comes with 200; an answer without its data is the nearest."""
        return as_json(200, {"message": "Something went wrong", "status": 500})

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """The first page, whichever is asked for."""
        return self.answer(request.without("starting_after"), now)

    def answer(self, request: Request, now: datetime) -> Answer:
        if self.caller(request) == f"Bearer {self._key}-company":
            return _error(403, "Forbidden")
        if self.caller(request) != f"Bearer {self._key}":
            return _error(401, "Invalid API key")
        if request.path == "/api/v2/rewards":
            return _page(request, [reward(sale, now) for sale in self._sales if sale.occurred <= now], "Rewards")
        if request.path == "/api/v2/payouts":
            made = [(number, sales[0].paid, sales) for number, sales in self._payouts.items()]
            rows = [payout(number, paid, sales) for number, paid, sales in made if paid and paid <= now]
            return _page(request, rows, "Payouts")
        return _error(404, "Not found")


def key_of(sale: NetworkSale) -> str:
    return f"rwrd_{sale.id}"


def states_at(sale: NetworkSale, now: datetime) -> tuple[str, str | None]:
    """The status of a reward, and where its money is."""
    if now < sale.validated:
        return "pending", None
    if sale.outcome != "approved":
        return "declined", None
    paid = sale.paid is not None and sale.paid <= now
    if sale.reversed and sale.reversed <= now:
        return ("approved", "paid_and_refunded") if paid else ("declined", None)
    if paid:
        return "approved", "withdrawn"
    return "approved", "available" if sale.paid and sale.paid - _WITHDRAWABLE <= now else "pending"


def reward(sale: NetworkSale, now: datetime) -> dict[str, Any]:
    status, payment = states_at(sale, now)
    programme, customer = sale.programme, unix(sale.clicked)
    return {
        "amount": int(sale.commission * 100),
        "company": {"id": programme.id, "key": f"co_{programme.id}", "name": programme.name},
        "created_at": unix(sale.occurred) * 1000,
        "currency": programme.currency,
        "customer": {
            "created_at": unix(sale.clicked) * 1000,
            "email": f"reader-{customer}@people.example",
            "key": f"reader-{customer}@people.example" if programme.id % 2 else f"cus_{customer}",
            "name": f"Reader {customer}",
            "sub_ids": [sale.sub_id] if sale.sub_id else [],
        },
        "decline_reason": sale.reason if status == "declined" else None,
        "description": f"Purchase by Reader {customer}",
        "key": key_of(sale),
        "partnership_key": f"part_{programme.id}",
        "payment_date": unix(sale.validated + timedelta(days=13)) * 1000,
        "payment_status": payment,
        "payout_id": sale.payment_id if payment in ("withdrawn", "paid_and_refunded") else None,
        "reward_status": status,
        "source": {"key": f"bonus_{sale.id}", "type": "bonus"}
        if sale.bonus
        else {"key": sale.order or f"txn_{sale.id}", "type": "transaction"},
        "transaction": None
        if sale.bonus
        else {"amount": int(sale.sale * 100), "currency": programme.currency, "product_key": None},
        "withdrawn": payment == "withdrawn",
    }


def payout(number: int, paid: datetime, sales: list[NetworkSale]) -> dict[str, Any]:
    at = unix(paid) * 1000
    return {
        "id": number,
        "key": f"pay_{number}",
        "amount": sum(int(sale.commission * 100) for sale in sales),
        "currency": sales[0].programme.currency,
        "created_at": at,
        "updated_at": at,
        "sent_at": at,
        "withdrawal_date": at,
        "provider": {"key": "paypal", "external_key": "creator@people.example"},
        "status": "successful",
    }


def _page(request: Request, rows: list[dict[str, Any]], what: str) -> Answer:
    size, order = request.one("limit", str(_PAGE)), request.one("order_by", "-created_at")
    since, until = request.one("min_created", "0"), request.one("max_created", "9999999999999")
    after = request.one("starting_after")
    if not size.isdigit() or not 1 <= int(size) <= _LARGEST_PAGE:
        return _error(400, f"limit must be between 1 and {_LARGEST_PAGE}")
    if not since.isdigit() or not until.isdigit():
        return _error(400, "min_created and max_created must be epoch timestamps in milliseconds")
    if order.removeprefix("-") not in _ORDERS[request.path]:
        return _error(400, "order_by is not supported")
    if after and request.one("ending_before"):
        return _error(400, "starting_after and ending_before are mutually exclusive")
    found = [row for row in rows if int(since) <= row["created_at"] <= int(until)]
    name = order.removeprefix("-").replace("ready_at", "payment_date")
    found.sort(key=lambda row: (row[name], row["key"]), reverse=order.startswith("-"))
    keys = [row["key"] for row in found]
    if after and after not in keys:
        return _error(400, f"{after} does not exist")
    start = keys.index(after) + 1 if after else 0
    page = found[start : start + int(size)]
    more = start + int(size) < len(found)
    return as_json(200, {"data": {"has_more": more, "items": page}, "message": f"{what} retrieved", "status": 200})


def _error(status: int, message: str) -> Answer:
    return as_json(status, {"message": message, "status": status})
