"""Admitad in the sandbox: a token with scopes, actions that change in place, payments and the actions inside them.

Source of the shapes and rules: developers.admitad.com, "Reports by actions", "List of payment requests" and "Statement
on the payment application". Being paid moves no date of an action here, the harder of the two readings. The limit of
calls is the sandbox's own.
"""

from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale

_ZONE = ZoneInfo("Europe/Moscow")
_TOKEN_LIVES = timedelta(hours=1)
_MOST, _USUAL = 500, 20
_ASKED_AHEAD = timedelta(days=5)  # of the day of payment
_DAY, _SECOND = "%d.%m.%Y", "%d.%m.%Y %H:%M:%S"


class Admitad:
    rate: ClassVar[tuple[int, float]] = (600, 60.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._sales, self._id = history.sales, keys["client_id"]
        pair = f"{keys['client_id']}:{keys['client_secret']}"
        self._basic = "Basic " + b64encode(pair.encode()).decode()
        self._payments: defaultdict[int, list[NetworkSale]] = defaultdict(list)
        for sale in self._sales:
            if sale.paid:
                self._payments[payment_of(sale)].append(sale)

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        return {"client_id": digest[:30], "client_secret": digest[30:60]}

    def caller(self, request: Request) -> str:
        return "the client"

    def throttled(self) -> Answer:
        return _error(429, "too_many_requests", "Too many requests")

    def error_in_200(self) -> Answer:
        return as_json(200, {"error": "server_error", "error_description": "Something went wrong"})

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """The first rows for ever, or one more page for ever."""
        if request.method == "POST":
            return self.answer(request, now)
        rows = [row_of(self._sales[0], now)] if turn == 0 else []
        return as_json(200, {"results": rows, "_meta": {"count": 9_000_000, "limit": 1, "offset": turn}})

    def answer(self, request: Request, now: datetime) -> Answer:
        if request.path == "/token/":
            return self._token(request, now)
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        until, _, scopes = token.partition("-")
        if kind != "Bearer" or not until.isdigit() or int(until) <= now.timestamp():
            return _error(401, "invalid_token", "Token is expired or not valid")
        parts = request.path.strip("/").split("/")
        if parts[0] not in scopes.split("+"):
            return _error(403, "insufficient_scope", "The token does not have the scope")
        try:
            if parts == ["statistics", "actions"]:
                return self._actions(request, now)
            if parts == ["payments"]:
                return _page(request, self._listed(now))
            if len(parts) == 3 and parts[0] == "payments" and parts[2] == "statement":
                return self._statement(int(parts[1]), request, now)
        except ValueError:
            return _error(400, "invalid_request", "A parameter is not valid")
        return _error(404, "not_found", "Not found")

    def _token(self, request: Request, now: datetime) -> Answer:
        form = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        known = form.get("grant_type") == "client_credentials" and form.get("client_id") == self._id
        if request.headers.get("authorization") != self._basic or not known:
            return _error(401, "invalid_client", "Client authentication failed")
        until = int((now + _TOKEN_LIVES).timestamp())
        token = f"{until}-{form.get('scope', '').replace(' ', '+')}"
        life = int(_TOKEN_LIVES.total_seconds())
        return as_json(
            200, {"access_token": token, "refresh_token": "unused", "expires_in": life, "scope": form["scope"]}
        )

    def _actions(self, request: Request, now: datetime) -> Answer:
        day, past_day = _between(request, "date_start", "date_end", _DAY)
        low, high = _between(request, "status_updated_start", "status_updated_end", _SECOND)
        paid = request.one("paid")
        by_update = bool(request.one("status_updated_start"))
        found = []
        for sale in self._sales:
            row, updated = row_of(sale, now), sale.changed(now)
            inside = sale.occurred <= now and day <= sale.occurred < past_day + timedelta(days=1)
            if by_update:
                inside = inside and updated is not None and low <= updated <= high
            if inside and (not paid or str(row["paid"]) == paid):
                found.append(row)
        return _page(request, found)

    def _listed(self, now: datetime) -> list[dict[str, Any]]:
        rows = []
        for number, sales in sorted(self._payments.items()):
            paid = sales[0].paid
            if paid is None or paid - _ASKED_AHEAD > now:
                continue
            rows.append(
                {
                    "id": number,
                    "status": "processed" if paid <= now else "pending",
                    "datetime": _written(paid - _ASKED_AHEAD),
                    "currency": sales[0].programme.currency,
                    "payment_sum": f"{sum(sale.amounts(now)[1] for sale in sales):.2f}",
                    "finally_currency": "USD",
                    "conversion_rate": "1.08",
                    "converted_payment_sum": "0.00",
                    "has_statement": paid <= now,
                    "comment": "",
                    "billing_info": {"id": 9, "name": "Kim's account"},
                    "cancel_bill_id": None,
                    "withdrawal_type": "bank",
                }
            )
        return rows

    def _statement(self, number: int, request: Request, now: datetime) -> Answer:
        sales = self._payments.get(number, [])
        if not sales or not sales[0].paid or sales[0].paid > now:
            return _error(404, "not_found", "There is no statement")
        inside = [
            {
                "id": sale.id,
                "processing_time": _written(sale.validated).replace(" ", "T"),
                "datetime": _written(sale.occurred).replace(" ", "T"),
                "currency": sale.programme.currency,
                "payment": f"{sale.amounts(now)[1]}",
                "advcampaign": {"id": sale.programme.id, "name": sale.programme.name},
            }
            for sale in sales
        ]
        brief = [{"currency": sales[0].programme.currency, "actions": len(sales), "payment": "0.00"}]
        return _page(request, inside if request.one("detailed") == "1" else brief)


def payment_of(sale: NetworkSale) -> int:
    return sale.payment_id * 10 + ("EUR", "GBP", "USD").index(sale.programme.currency)


def status_of(sale: NetworkSale, now: datetime) -> str:
    if sale.validated > now:
        return "pending"
    if sale.lost(now):
        return "declined"
    waits = sale.id % 5 == 0 and (sale.paid is None or sale.paid > now)
    return "approved_but_stalled" if waits else "approved"


def row_of(sale: NetworkSale, now: datetime) -> dict[str, Any]:
    updated = sale.changed(now)
    return {
        "action_id": sale.id,
        "id": sale.id,
        "advcampaign_id": sale.programme.id,
        "advcampaign_name": sale.programme.name,
        "action": "Bonus" if sale.bonus else "Paid order",
        "action_type": "sale",
        "action_date": _written(sale.occurred),
        "click_date": _written(sale.clicked),
        "closing_date": f"{sale.validated:%Y-%m-%d}",
        "status_updated": _written(updated) if updated else None,
        "conversion_time": int((sale.occurred - sale.clicked).total_seconds()),
        "status": status_of(sale, now),
        "payment": sale.amounts(now)[1],
        "cart": None if sale.bonus else sale.sale,
        "currency": sale.programme.currency,
        "subid": sale.sub_id or "",
        "subid1": sale.second_sub_id,
        "order_id": sale.order,
        "website_name": "pfad-und-papier",
        "click_user_ip": "203.0.113.7",
        "paid": int(bool(sale.paid and sale.paid <= now)),
        "processed": int(sale.validated <= now),
        "comment": sale.reason,
    }


def _between(request: Request, low: str, high: str, form: str) -> tuple[datetime, datetime]:
    """Two times in Moscow; whole past and future where they are left out. Raises ValueError."""
    first, last = (request.one(name) for name in (low, high))
    since = datetime.strptime(first, form).replace(tzinfo=_ZONE) if first else datetime(2000, 1, 1, tzinfo=UTC)
    until = datetime.strptime(last, form).replace(tzinfo=_ZONE) if last else datetime(2100, 1, 1, tzinfo=UTC)
    return since, until


def _page(request: Request, rows: list[dict[str, Any]]) -> Answer:
    limit, skip = int(request.one("limit", str(_USUAL))), int(request.one("offset", "0"))
    if not 1 <= limit <= _MOST or skip < 0:
        raise ValueError(limit)
    meta = {"count": len(rows), "limit": limit, "offset": skip}
    return as_json(200, {"results": rows[skip : skip + limit], "_meta": meta})


def _written(at: datetime) -> str:
    return at.astimezone(_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def _error(status: int, error: str, words: str) -> Answer:
    return as_json(status, {"error": error, "error_description": words, "error_code": status})
