"""Tapfiliate's REST API as the sandbox plays it: the owner of programmes, whose customers earn commissions for others.

Source of the shapes and rules: tapfiliate.com/docs/rest, "Authentication", "Pagination" and "Conversions". How many
calls it takes is not published; the number here is the sandbox's own.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, ClassVar

from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale

_PAGE = 25


class Tapfiliate:
    rate: ClassVar[tuple[int, float]] = (120, 60.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._key = keys["api_key"]
        whose: defaultdict[tuple[int, datetime, str | None], list[NetworkSale]] = defaultdict(list)
        for sale in history.sales:  # a renewal adds a commission to the conversion of its customer
            whose[sale.programme.id, sale.clicked, sale.sub_id].append(sale)
        self._conversions = sorted(whose.values(), key=lambda sales: sales[0].occurred, reverse=True)

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        return {"api_key": digest[:40]}

    def caller(self, request: Request) -> str:
        return request.headers.get("x-api-key", "")

    def throttled(self) -> Answer:
        limits = {"X-Ratelimit-Limit": "120", "X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": "1781524860"}
        return as_json(429, {"message": "Too Many Requests"}, limits)

    def error_in_200(self) -> Answer:
        return as_json(200, {"message": "Something went wrong"})

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """The first page, which always says that there is another."""
        answer = self.answer(request.without("page"), now)
        answer.headers["Link"] = f'</tapfiliate{request.url_with(page=turn + 2)}>; rel="next"'
        return answer

    def answer(self, request: Request, now: datetime) -> Answer:
        key = request.headers.get("x-api-key", "")
        if not key:
            return _page_of_html(401, "Unauthorized")
        if key != self._key:
            return as_json(401, {"message": "Authentication Failed.", "code": 401})
        if request.path != "/1.6/conversions/":
            return _page_of_html(404, "Page not found")
        try:
            low = date.fromisoformat(request.one("date_from", "1970-01-01"))
            high = date.fromisoformat(request.one("date_to", "2999-01-01"))
        except ValueError:
            return as_json(422, {"message": "The dates are not valid"})
        page = request.one("page", "1")
        if not page.isdigit() or not int(page):
            return as_json(422, {"message": "The page is not valid"})
        begun = [sales for sales in self._conversions if sales[0].occurred <= now]
        return _listed(request, [sales for sales in begun if low <= sales[0].occurred.date() <= high], int(page), now)


def approved_at(sale: NetworkSale, now: datetime) -> bool | None:
    if sale.lost(now):
        return False
    return True if sale.validated <= now else None


def conversion(sales: list[NetworkSale], now: datetime) -> dict[str, Any]:
    first = sales[0]
    programme = {"id": f"programme-{first.programme.id}", "title": first.programme.name}
    affiliate = {"id": f"anna-{first.sub_id or 'partner'}", "firstname": "Anna", "lastname": "Partner"}
    return {
        "id": first.id,
        "external_id": first.order,
        "amount": first.sale,
        "click": {"created_at": _iso(first.clicked), "referrer": "https://anna.example/", "landing_page": None},
        "commissions": [_commission(sale, affiliate, now) for sale in sales if sale.occurred <= now],
        "program": programme | {"currency": first.programme.currency},
        "affiliate": affiliate,
        "customer": {"id": f"cu_{first.id}", "customer_id": "kim@people.example", "status": "paying"},
        "meta_data": {},
        "created_at": _iso(first.occurred),
        "warnings": None,
    }


def _commission(sale: NetworkSale, affiliate: dict[str, str], now: datetime) -> dict[str, Any]:
    value, commission = sale.amounts(now)
    paid = sale.paid is not None and sale.paid <= now
    return {
        "id": sale.id,
        "conversion_sub_amount": value,
        "amount": commission,
        "commission_type": "standard",
        "approved": approved_at(sale, now),
        "affiliate": affiliate,
        "kind": "regular",
        "currency": sale.programme.currency,
        "created_at": _iso(sale.occurred),
        "payout": {"id": sale.payment_id, "status": "paid"} if paid else None,
        "comment": None,
        "commission_name": "standard",
    }


def _listed(request: Request, found: list[list[NetworkSale]], page: int, now: datetime) -> Answer:
    last = max(1, -(-len(found) // _PAGE))
    wanted = {"first": 1, "last": last} | ({"next": page + 1} if page < last else {})
    links = ", ".join(f'</tapfiliate{request.url_with(page=number)}>; rel="{rel}"' for rel, number in wanted.items())
    rows = [conversion(sales, now) for sales in found[(page - 1) * _PAGE : page * _PAGE]]
    return as_json(200, rows, {"Link": links})


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S+0000")


def _page_of_html(status: int, title: str) -> Answer:
    body = f"<!doctype html><title>{title}</title><h1>{title}</h1>"
    return Answer(status, body.encode(), content_type="text/html; charset=UTF-8")
