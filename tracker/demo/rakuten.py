"""Rakuten Advertising as the sandbox plays it: tokens for an hour, transactions of a month, payments as CSV.

Source of the shapes and rules: the portal's "Affiliate APIs" (Events, Partnerships, Advanced Reports). The columns of
the report are the human names of those that open clients read.
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from tracker.demo.chance import cents
from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkAction

_TOKEN_LIVES = timedelta(hours=1)
_MEMORY = timedelta(days=30)
_LONGEST_REPORT = timedelta(days=366)


class Rakuten:
    rate: ClassVar[tuple[int, float]] = (60, 60.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._actions, self._keys, self._start = history.actions, keys, history.start

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        names = {"client_id": digest[:24], "client_secret": digest[24:48], "security_token": digest[48:88]}
        return names | {"sid": "3412345"}

    def caller(self, request: Request) -> str:
        return request.headers.get("authorization", "")

    def throttled(self) -> Answer:
        return as_json(403, {"message": "The number of requests allowed per minute has been exceeded"})

    def error_in_200(self) -> Answer:
        return Answer(200, b"You cannot request more reports", content_type="text/plain")

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        return self.answer(request.without("page"), now)

    def answer(self, request: Request, now: datetime) -> Answer:
        if request.method == "POST" and request.path == "/token":
            return self._token(request, now)
        if not self._valid(request.headers.get("authorization", "").removeprefix("Bearer "), now):
            return as_json(401, {"message": "Access Token Expired"})
        if request.path == "/events/1.0/transactions":
            return self._transactions(request, now)
        if request.path == "/v1/partnerships":
            return self._partnerships(request)
        if request.path == "/advancedreports/1.0":
            return self._payments(request, now)
        return as_json(403, {"message": "You cannot consume this service"})

    def _token(self, request: Request, now: datetime) -> Answer:
        pair = b64encode(f"{self._keys['client_id']}:{self._keys['client_secret']}".encode()).decode()
        form = dict(parse_qsl(request.body.decode()))
        if request.headers.get("authorization") != f"Bearer {pair}" or form != {"scope": self._keys["sid"]}:
            return as_json(401, {"error": "invalid_client", "error_description": "Invalid client credentials"})
        made = int(now.timestamp())
        life = int(_TOKEN_LIVES.total_seconds())
        handed = {"access_token": self._hash(made), "refresh_token": self._hash(-made), "token_type": "bearer"}
        return as_json(200, handed | {"expires_in": life})

    def _hash(self, made: int) -> str:
        return f"{made}.{blake2b((self._keys['client_secret'] + str(made)).encode(), digest_size=16).hexdigest()}"

    def _valid(self, token: str, now: datetime) -> bool:
        made = token.partition(".")[0]
        known = made.isdecimal() and token == self._hash(int(made))
        return known and datetime.fromtimestamp(int(made), UTC) + _TOKEN_LIVES > now

    def _transactions(self, request: Request, now: datetime) -> Answer:
        span: list[datetime] = []
        for name, default in (("start", now - _MEMORY), ("end", now)):
            written = request.one(f"process_date_{name}")
            try:
                time = datetime.strptime(written, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) if written else default
            except ValueError:
                return as_json(400, {"message": f"process_date_{name} must be YYYY-MM-DD HH:mm:ss"})
            span.append(time)
        if span[0] < now - _MEMORY:
            return as_json(400, {"message": "process_date_start must not be more than 30 days ago"})
        limit, page = request.one("limit", "100"), request.one("page", "1")
        if not (limit.isdecimal() and page.isdecimal() and int(limit) and int(page)):
            return as_json(400, {"message": "limit and page must be numbers from 1"})
        found = [row for action in self._actions if span[0] <= action.posted <= span[1] for row in rows_of(action)]
        start = (int(page) - 1) * int(limit)
        return as_json(200, found[start : start + int(limit)])

    def _partnerships(self, request: Request) -> Answer:
        """Two to a page at most, so that there is more than one."""
        programmes = sorted({action.programme for action in self._actions}, key=lambda programme: programme.id)
        page = int(request.one("page", "1"))
        size = min(int(request.one("limit", "10")), 2)
        rows = [
            {
                "advertiser": {"id": programme.id, "network": 1, "name": programme.name, "status": "active"},
                "status": "active",
                "approve_datetime": "2024-01-01T00:00:00Z",
            }
            for programme in programmes
        ]
        links = {"next": f"/rakuten/v1/partnerships?page={page + 1}&limit={size}"} if page * size < len(rows) else {}
        meta = {"api_name_version": "partnerships-v1.0.0", "page": page, "limit": size, "total": len(rows)}
        return as_json(
            200, {"_metadata": meta | {"_links": links}, "partnerships": rows[(page - 1) * size : page * size]}
        )

    def _payments(self, request: Request, now: datetime) -> Answer:
        if request.one("token") != self._keys["security_token"]:
            return Answer(200, b"Invalid token", content_type="text/plain")
        try:
            span = [datetime.strptime(request.one(name), "%Y%m%d").replace(tzinfo=UTC) for name in ("bdate", "edate")]
        except ValueError:
            return as_json(400, {"message": "bdate and edate must be YYYYMMDD"})
        if request.one("reportid") != "1" or span[1] - span[0] > _LONGEST_REPORT:
            return as_json(400, {"message": "A report covers 365 days at most"})
        lines = [
            "Payment ID,Date,Payment Type,Check Number,Currency Code,Total Commission Amount Paid,Payment Status",
            *(
                f'{870_000 + number},{day:%m/%d/%Y},Direct Deposit,,USD,"{amount:,.2f}",Paid'
                for number, (day, amount) in enumerate(self.payments(now))
                if span[0] <= day <= span[1]
            ),
        ]
        return Answer(200, ("\ufeff" + "\r\n".join(lines) + "\r\n").encode(), content_type="text/csv; charset=utf-8")

    def payments(self, now: datetime) -> list[tuple[datetime, Any]]:
        """What was processed in a month is paid on the fifth two months later."""
        sums: dict[datetime, Any] = {}
        for action in self._actions:
            month = action.posted.year * 12 + action.posted.month + 1
            day = datetime(month // 12, month % 12 + 1, 5, tzinfo=UTC)
            sums[day] = sums.get(day, 0) + action.commission
        return [(day, cents(amount)) for day, amount in sorted(sums.items()) if day <= now]


def identifier(action: NetworkAction, event: bool = False) -> str:
    return blake2b(f"{action.id}{'e' if event else ''}".encode(), digest_size=16).hexdigest().upper()


def rows_of(action: NetworkAction) -> list[dict[str, Any]]:
    """The transaction; each fourth sale is announced by an event that earns nothing."""
    row = {
        "etransaction_id": identifier(action),
        "advertiser_id": action.programme.id,
        "sid": 3412345,
        "order_id": action.order,
        "offer_id": "770012",
        "sku_number": "",
        "sale_amount": action.sale,
        "quantity": 1 if action.sale >= 0 else -1,
        "commissions": action.commission,
        "process_date": _written(action.posted),
        "transaction_date": _written(action.occurred),
        "transaction_type": "batch",
        "product_name": None,
        "u1": action.sub_id,
        "currency": action.programme.currency,
        "is_event": "N",
        "commissions_list_id": "1",
    }
    if not action.original or action.id % 4:
        return [row]
    event = {"etransaction_id": identifier(action, True), "is_event": "Y", "commissions": 0}
    return [row | event | {"transaction_type": "realtime"}, row]


def _written(at: datetime) -> str:
    return at.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (UTC)")
