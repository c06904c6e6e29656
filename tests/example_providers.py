"""The two providers of config/connectors on a loopback port: they keep their rules and answer as their files say."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.pretend import Asked, Reply

EXAMPLES = Path(__file__).parents[1] / "config" / "connectors"
BERLIN = ZoneInfo("Europe/Berlin")
TOKEN = "network-token-4711"
Row = dict[str, Any]


class Network:
    """Windows of 30 days at most in the time of Berlin, pages of 100 at most, errors as `{"error": {"message": …}}`."""

    key = TOKEN
    accounts: tuple[Row, ...] = ({"id": 77, "name": "Pfad und Papier"},)

    def __init__(self) -> None:
        self.commissions: dict[str, Row] = {}
        self.asked: list[Asked] = []

    def put(self, key: str, at: datetime, state: str = "open", validated: datetime | None = None, **more: Any) -> Row:
        row: Row = {
            "id": key,
            "state": state,
            "programme_id": 5,
            "commission": {"amount": "12.50", "currency": "EUR"},
            "order": {"amount": "250.00", "number": f"o-{key}"},
            "sold_at": _local(at),
            "validated_at": _local(validated) if validated else None,
            "sub_id": "review-nas",
            "customer": {"id": f"customer-{key}", "name": "Ann Example", "email": "ann@people.example"},
        }
        self.commissions[key] = row | more
        return self.commissions[key]

    def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(401, "the token is not valid")
        if asked.path == "/v2/accounts":
            return Reply.json({"accounts": self.accounts})
        if not asked.path.startswith("/v2/publishers/77/"):
            return _error(403, "not your account")
        if asked.path.endswith("/programmes"):
            return self._page(asked, [{"id": 5, "name": "Werkzeug und mehr", "currency": "EUR"}])
        try:
            low, high = (_aware(asked.query[name]) for name in ("from", "to"))
        except (KeyError, ValueError):
            return _error(400, "from and to must be times such as 2026-06-15 10:00:00")
        if high - low > timedelta(days=30, hours=1):  # an hour more where the clocks are put back
            return _error(400, "at most 30 days")
        name = {"sale": "sold_at", "validation": "validated_at"}[asked.query["date_type"]]
        return self._page(
            asked, [row for row in self.commissions.values() if row[name] and low <= _aware(row[name]) <= high]
        )

    def _page(self, asked: Asked, rows: list[Row]) -> Reply:
        size, number = int(asked.query["per_page"]), int(asked.query["page"])
        if size > 100:
            return _error(400, "at most 100 rows")
        return Reply.json({"data": rows[(number - 1) * size : number * size], "meta": {"pages": -(-len(rows) // size)}})


class Shop:
    """Orders by the time of their last change and a cursor, amounts in cents, HTTP Basic."""

    key = "shop-key:shop-secret-0815"

    def __init__(self) -> None:
        self.orders: dict[int, Row] = {}
        self.payouts: dict[str, Row] = {}
        self.asked: list[Asked] = []

    def put(self, number: int, at: datetime, state: str = "paid", **more: Any) -> Row:
        self.orders[number] = {
            "id": number,
            "number": f"R-{number}",
            "state": state,
            "total": 1900,
            "fee": 86,
            "tax": 303,
            "currency": "EUR",
            "paid_at": int(at.timestamp()),
            "updated": int(at.timestamp()),
            "customer": {"email": f"reader{number}@people.example", "country": "DE"},
            "shipping": {"name": "Ann Example"},
            "items": [{"name": "Das Buch"}],
            "payment": {"charge": f"ch_{number}"},
            "refunds": [],
        } | more
        return self.orders[number]

    def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if asked.headers.get("authorization") != "Basic " + base64.b64encode(self.key.encode()).decode():
            return Reply.json({"message": "who are you?"}, 401)
        size = int(asked.query["limit"])
        if size > 50:
            return Reply.json({"message": "limit is 50"}, 400)
        if asked.path == "/api/orders":
            after = int(asked.query.get("updated_after", 0))
            rows = sorted(
                (row for row in self.orders.values() if row["updated"] >= after),
                key=lambda row: (row["updated"], row["id"]),
            )
        else:
            rows = [row for row in self.payouts.values() if row["created_at"] >= int(asked.query["from"])]
        ids = [str(row["id"]) for row in rows]
        start = ids.index(asked.query["after"]) + 1 if "after" in asked.query else 0
        more = start + size < len(rows)
        name = asked.path.rpartition("/")[2]
        return Reply.json({name: rows[start : start + size], "next_cursor": ids[start + size - 1] if more else None})


def _error(status: int, message: str) -> Reply:
    return Reply.json({"error": {"message": message}}, status)


def _local(at: datetime) -> str:
    return at.astimezone(BERLIN).strftime("%Y-%m-%d %H:%M:%S")


def _aware(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=BERLIN).astimezone(UTC)
