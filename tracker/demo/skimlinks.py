"""Skimlinks' Reporting API as the sandbox plays it: a token in the address, commissions that change in place, returns.

Source of the shapes and rules: developers.skimlinks.com/reporting.html. The bodies of errors are not published; what
they say here is the sandbox's own.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, ClassVar

import msgspec

from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale

_LARGEST_PAGE = 5_000
_TOKEN_LIVES = timedelta(days=7)
_RETURNS = 4_000_000_000  # added to a sale's id: the row that takes it back


class Skimlinks:
    rate: ClassVar[tuple[int, float]] = (40, 60.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._sales, self._keys = history.sales, keys

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        return {"client_id": digest[:32], "client_secret": digest[32:64], "publisher_id": "99001"}

    def caller(self, request: Request) -> str:
        """Tokens are asked for elsewhere, and not counted."""
        return f"{request.path}:{request.one('access_token')}" if request.method == "GET" else str(id(request))

    def throttled(self) -> Answer:
        return _error(429, "Too Many Requests")

    def error_in_200(self) -> Answer:
        return as_json(200, {"message": "Something went wrong"})

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """Always more, and never a row."""
        pagination = {"has_next": True, "total_count": 7, "offset": int(request.one("offset", "0")), "limit": 30}
        return as_json(200, {"pagination": pagination, "commissions": []})

    def answer(self, request: Request, now: datetime) -> Answer:
        if request.method == "POST" and request.path == "/access_token":
            return self._token(request, now)
        if not self._valid(request.one("access_token"), now):
            return _error(401, "Invalid access token")
        parts = request.path.strip("/").split("/")
        if len(parts) != 3 or parts[0] != "publisher" or parts[2] != "commission-report":
            return _error(404, "Not found")
        if parts[1] != self._keys["publisher_id"]:
            return _error(403, "No access to this publisher")
        return self._commissions(request, now)

    def _token(self, request: Request, now: datetime) -> Answer:
        try:
            asked = msgspec.json.decode(request.body)
        except msgspec.DecodeError:
            return _error(400, "The body is not JSON")
        wanted = {name: self._keys[name] for name in ("client_id", "client_secret")}
        if asked != wanted | {"grant_type": "client_credentials"}:
            return _error(401, "Invalid credentials")
        made = int(now.timestamp())
        token = f"{self._keys['publisher_id']}:{made}:{self._hash(str(made))}"
        until = int((now + _TOKEN_LIVES).timestamp())
        return as_json(200, {"access_token": token, "timestamp": made, "expiry_timestamp": until})

    def _hash(self, made: str) -> str:
        return blake2b((self._keys["client_secret"] + made).encode(), digest_size=16).hexdigest()

    def _valid(self, token: str, now: datetime) -> bool:
        made = token.split(":")[1] if token.count(":") == 2 else ""
        known = made.isdigit() and token == f"{self._keys['publisher_id']}:{made}:{self._hash(made)}"
        return known and datetime.fromtimestamp(int(made), UTC) + _TOKEN_LIVES > now

    def _commissions(self, request: Request, now: datetime) -> Answer:
        limit, offset = request.one("limit", "30"), request.one("offset", "0")
        if not limit.isdigit() or not 1 <= int(limit) <= _LARGEST_PAGE or not offset.isdigit():
            return _error(400, f"limit must be between 1 and {_LARGEST_PAGE}")
        if request.one("sort_by", "id") not in ("id", "transaction_date"):
            return _error(400, "sort_by must be id or transaction_date")
        times: dict[str, datetime] = {}
        for name in ("start_date", "end_date", "updated_since"):
            if text := request.one(name):
                try:
                    time = datetime.fromisoformat(text)
                except ValueError:
                    return _error(400, f"{name} is not a date and time")
                times[name] = time if time.tzinfo else time.replace(tzinfo=UTC)
        if times.get("end_date", now) > now:
            return _error(400, "end_date must not be in the future")
        low, high, since = times.get("start_date"), times.get("end_date"), times.get("updated_since")
        found = [
            row
            for sale in self._sales
            if sale.occurred <= now
            for occurred, updated, row in rows_of(sale, now)
            if (not low or occurred >= low) and (not high or occurred <= high) and (not since or updated >= since)
        ]
        found.sort(key=lambda row: row["commission_id"], reverse=request.one("sort_dir", "ASC") == "DESC")
        start, size = int(offset), int(limit)
        return as_json(
            200,
            {
                "pagination": {
                    "has_next": start + size < len(found),
                    "total_count": len(found),
                    "offset": start,
                    "limit": size,
                },
                "commissions": found[start : start + size],
            },
        )


def cancelled_in_place(sale: NetworkSale) -> bool:
    """Most merchants cancel the commission itself; some book the return as a row of its own."""
    return sale.id % 3 != 0


def rows_of(sale: NetworkSale, now: datetime) -> list[tuple[datetime, datetime, dict[str, Any]]]:
    """What there is of a sale at `now`: day, last change and row. A return of its own is the second row."""
    refused = sale.validated if sale.outcome != "approved" else None
    back = refused or sale.reversed
    cancelled = bool(back and back <= now and (refused or cancelled_in_place(sale)))
    invoiced = sale.validated if sale.outcome == "approved" else None
    changes = [sale.occurred, *(at for at in (invoiced, sale.amended, sale.paid) if at and at <= now)]
    if cancelled and back:
        changes.append(back)
    amounts = sale.amounts(now)
    details = {
        "status": "cancelled" if cancelled else "active",
        "payment_status": "paid" if sale.paid and sale.paid <= now else "unpaid",
        "transaction_date": _written(sale.occurred),
        "last_updated": _written(max(changes)),
        "invoice_id": (sale.payment_id or None) if invoiced and invoiced <= now else None,
    }
    found = [(sale.occurred, max(changes), _row(sale, sale.id, amounts, details))]
    if sale.reversed and sale.reversed <= now and not cancelled_in_place(sale):
        taken = {
            "status": "active",
            "payment_status": "unpaid",
            "transaction_date": f"{sale.reversed:%Y-%m-%d} 00:00:00",
            "last_updated": _written(sale.reversed),
            "invoice_id": None,
        }
        minus = tuple(-amount for amount in amounts if amount is not None)
        found.append((sale.reversed, sale.reversed, _row(sale, sale.id + _RETURNS, minus, taken)))
    return found


def _row(sale: NetworkSale, number: int, amounts: tuple[Any, ...], details: dict[str, Any]) -> dict[str, Any]:
    basket = {"items": 1, "order_amount": amounts[0], "publisher_amount": amounts[1]}
    kind = "Flat-fee" if sale.bonus else "CPA"
    basket |= {"currency": sale.programme.currency, "commission_type": kind}
    click = {
        "custom_id": sale.sub_id,
        "date": _written(sale.clicked),
        "page_url": f"https://pfad-und-papier.example/{sale.sub_id or ''}",
        "clicked_url": f"https://{sale.programme.id}.example",
        "user_country": sale.country,
        "platform": "desktop",
    }
    merchant = {"merchant_id": sale.programme.id, "merchant_name": sale.programme.name}
    return {
        "commission_id": number,
        "publisher_id": 99001,
        "publisher_domain_id": 1200345,
        "transaction_details": {"aggregation_id": str(number), "basket": basket, **details},
        "merchant_details": merchant
        | {"advertiser_id": merchant["merchant_id"], "advertiser_name": sale.programme.name},
        "click_details": None if sale.bonus or number >= _RETURNS else click,
    }


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")


def _error(status: int, message: str) -> Answer:
    return as_json(status, {"message": message})
