"""Daisycon in the sandbox: a login in the browser, refresh tokens that die when they are used, and transactions whose
parts change in place.

Source of the shapes and rules: daisycon.com/developers/api ("Authentication", "Rate limits"), Daisycon's own examples
of logging in and two of its clients. The bodies of errors and the looks of pages are the sandbox's own.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from html import escape
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode
from zoneinfo import ZoneInfo

import msgspec

from tracker.demo.chance import cents
from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale

_ZONE = ZoneInfo("Europe/Amsterdam")
_TOKEN_LIVES, _CODE_LIVES = timedelta(minutes=30), timedelta(minutes=10)
_MOST, _USUAL = 1_000, 100


class _Code(msgspec.Struct, frozen=True):
    """What a login was asked for with; the code is worth tokens to nobody else."""

    redirect: str
    challenge: str
    at: datetime


class Daisycon:
    rate: ClassVar[tuple[int, float]] = (50, 60.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        self._sales, self._keys = history.sales, keys
        self._refresh, self._renewed = keys["refresh_token"], 0
        self._codes: dict[str, _Code] = {}

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        return {
            "client_id": digest[:12],
            "client_secret": digest[12:40],
            "refresh_token": f"def50200{digest[40:72]}",
            "publisher_id": "389311",
        }

    def caller(self, request: Request) -> str:
        """An address; logging in is counted elsewhere."""
        return "login" if request.path.startswith("/oauth") else "here"

    def throttled(self) -> Answer:
        return as_json(429, {"error": "Please reduce your request rate"})

    def error_in_200(self) -> Answer:
        return as_json(200, {"error": "Something went wrong"})

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """The same page for ever."""
        if request.method == "POST":
            return self.answer(request, now)
        return as_json(200, [row_of(self._sales[0], now)], {"x-total-count": "9000000"})

    def answer(self, request: Request, now: datetime) -> Answer:
        if request.path == "/oauth/authorize":
            return self._login(request, now)
        if request.path == "/oauth/cli":
            return _page(f"<p>Your code: <code>{escape(request.one('code'))}</code></p>")
        if request.path == "/oauth/access-token":
            return self._token(request, now)
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        until, _, mark = token.partition(":")
        if kind != "Bearer" or mark != self._keys["client_id"] or not until.isdigit() or int(until) <= now.timestamp():
            return as_json(401, {"error": "The access token is not valid"})
        parts = request.path.strip("/").split("/")
        if len(parts) != 3 or parts[0] != "publishers" or parts[2] != "transactions":
            return as_json(404, {"error": "Not found"})
        if parts[1] != self._keys["publisher_id"]:
            return as_json(403, {"error": "No access to this publisher"})
        try:
            return self._transactions(request, now)
        except ValueError:
            return as_json(400, {"error": "A parameter is not valid"})

    def _token(self, request: Request, now: datetime) -> Answer:
        form = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        app = all(form.get(name) == self._keys[name] for name in ("client_id", "client_secret"))
        if not app or not (self._renews(form) or self._logs_in(form, now)):
            return as_json(400, {"error": "invalid_grant", "error_description": "The refresh token is not valid"})
        self._renewed += 1
        self._refresh = f"{self._keys['refresh_token']}r{self._renewed}"
        access = f"{int((now + _TOKEN_LIVES).timestamp())}:{self._keys['client_id']}"
        life = int(_TOKEN_LIVES.total_seconds())
        return as_json(200, {"access_token": access, "refresh_token": self._refresh, "expires_in": life})

    def _renews(self, form: Mapping[str, str]) -> bool:
        return form.get("grant_type") == "refresh_token" and form.get("refresh_token") == self._refresh

    def _logs_in(self, form: Mapping[str, str], now: datetime) -> bool:
        """Whether a code is worth tokens: once, soon, to who asked for it and where it was sent."""
        if (
            form.get("grant_type") != "authorization_code"
            or (known := self._codes.pop(form.get("code", ""), None)) is None
        ):
            return False
        digest = sha256(form.get("code_verifier", "").encode()).digest()
        proof = urlsafe_b64encode(digest).decode().rstrip("=")
        return (form.get("redirect_uri"), proof) == (known.redirect, known.challenge) and now - known.at < _CODE_LIVES

    def _login(self, request: Request, now: datetime) -> Answer:
        """The page that asks. Nobody has to prove here who they are."""
        redirect, challenge = request.one("redirect_uri"), request.one("code_challenge")
        if request.one("client_id") != self._keys["client_id"] or not redirect.startswith("http://127.0.0.1:"):
            return _page("<p>This app is not known, or not with this redirect address.</p>", 400)
        if request.one("response_type") != "code" or len(challenge) != 43:
            return _page("<p>A parameter is missing.</p>", 400)
        code = sha256(f"{self._keys['refresh_token']}/{challenge}".encode()).hexdigest()[:40]
        self._codes[code] = _Code(redirect, challenge, now)
        state = {"state": request.one("state")}
        yes = escape(f"{redirect}?{urlencode({'code': code} | state)}")
        no = escape(f"{redirect}?{urlencode({'error': 'access_denied'} | state)}")
        return _page(
            f'<p>An app wants to read your transactions.</p><p><a href="{yes}">Allow</a> <a href="{no}">Refuse</a></p>'
        )

    def _transactions(self, request: Request, now: datetime) -> Answer:
        size, number = int(request.one("per_page", str(_USUAL))), int(request.one("page", "1"))
        if not 1 <= size <= _MOST or number < 1:
            raise ValueError(size)
        made = _time(request.one("start")), _time(request.one("end"))
        changed = _time(request.one("date_modified_start")), _time(request.one("date_modified_end"))
        found = [
            row_of(sale, now)
            for sale in self._sales
            if sale.occurred <= now and _inside(sale.occurred, *made) and _inside(modified_at(sale, now), *changed)
        ]
        page = found[(number - 1) * size : number * size]
        headers = {"x-total-count": str(len(found))}
        return as_json(200, page, headers) if page else Answer(204, b"", headers)


def _page(told: str, status: int = 200) -> Answer:
    whole = f'<!doctype html><html lang="en"><title>Daisycon, played</title><h1>Daisycon, played</h1>{told}</html>'
    return Answer(status, whole.encode(), content_type="text/html; charset=utf-8")


def modified_at(sale: NetworkSale, now: datetime) -> datetime:
    return max(at for at in (sale.occurred, sale.validated, sale.amended, sale.reversed) if at and at <= now)


def status_of(sale: NetworkSale, now: datetime) -> str:
    if sale.validated > now:
        return ("open", "pending", "potential")[sale.id % 3]
    if sale.outcome != "approved" or (sale.reversed and sale.reversed <= now):
        return "incasso" if sale.id % 5 == 0 else "disapproved"
    return "approved"


def amounts_of(sale: NetworkSale, now: datetime) -> list[tuple[Decimal, Decimal]]:
    """Commission and sale of each part: some orders are booked in two."""
    amended = bool(sale.amended and sale.amended <= now)
    commission = (sale.amended_commission if amended else None) or sale.commission
    amount = (sale.amended_sale if amended else None) or sale.sale
    if sale.id % 7:
        return [(commission, amount)]
    first = cents(commission * Decimal("0.6")), cents(amount * Decimal("0.6"))
    return [first, (commission - first[0], amount - first[1])]


def row_of(sale: NetworkSale, now: datetime) -> dict[str, Any]:
    common = {
        "date": _written(sale.occurred),
        "date_click": _written(sale.clicked),
        "approval_date": _written(sale.validated) if sale.validated <= now else None,
        "last_modified": _written(modified_at(sale, now)),
        "status": status_of(sale, now),
        "disapproved_reason": sale.reason,
        "subid": sale.sub_id or "",
        "subid_2": sale.second_sub_id or "",
        "subid_3": "",
        "referencenumber": sale.order or "",
        "currency_code": sale.programme.currency,
        "media_id": 200_001,
        "media_name": "pfad-und-papier",
        "referer_click": "https://pfad-und-papier.example/",
    }
    return {
        "affiliatemarketing_id": f"{sale.id:X}",
        "program_id": sale.programme.id,
        "program_name": sale.programme.name,
        "anonymous_ip": "203.0.113.0",
        "device_type": "mobile",
        "parts": [
            common | {"id": number, "commission": f"{commission}", "revenue": f"{amount}"}
            for number, (commission, amount) in enumerate(amounts_of(sale, now), start=1)
        ],
    }


def _time(text: str) -> datetime | None:
    return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=_ZONE) if text else None


def _inside(at: datetime, low: datetime | None, high: datetime | None) -> bool:
    return (low is None or low <= at) and (high is None or at <= high)


def _written(at: datetime) -> str:
    return at.astimezone(_ZONE).strftime("%Y-%m-%d %H:%M:%S")
