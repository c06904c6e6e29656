"""Tradedoubler's publisher API in the sandbox: tokens, transactions in a report's currency, payments and wallets.

Source of the shapes and rules: Tradedoubler's publisher management API, "oAuth 2.0", "Roles", "Paging", "Rate
Limiting", "Transaction", "Payment" and "Digital Wallets". The largest window is what one of its clients tells of. Being
paid is no change of a transaction here, which is the harder of the two readings.
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from tracker.demo.chance import cents
from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, NetworkSale, by_payment

_ZONE = ZoneInfo("Europe/Stockholm")
_LARGEST_WINDOW, _MOST, _USUAL = 31, 100, 20  # days, rows, rows
_ACCESS_S, _REFRESH = 899, timedelta(days=7)
_INVOICED_AHEAD = timedelta(days=10)  # of the day of payment
_IN_EUR = {"EUR": Decimal(1), "GBP": Decimal("1.17"), "SEK": Decimal("0.09")}
_API = "/publisher/report/"


class Tradedoubler:
    rate: ClassVar[tuple[int, float]] = (60, 60.0)

    def __init__(self, history: History, keys: Mapping[str, str]) -> None:
        client = f"{keys['client_id']}:{keys['client_secret']}"
        self._client = "Basic " + b64encode(client.encode()).decode()
        self._users = {keys["username"]: "owner", keys["username"].replace("owner", "member"): "member"}
        self._password = keys["password"]
        self._sales = [sale for sale in history.sales if not sale.bonus]
        self._bonuses = [sale for sale in history.sales if sale.bonus]
        self._payments = by_payment(self._sales)

    @staticmethod
    def keys(digest: str) -> dict[str, str]:
        """The same password fits a user whose name says member in the place of owner."""
        return {
            "client_id": f"client-{digest[:8]}",
            "client_secret": digest[8:40],
            "username": f"owner-{digest[40:48]}",
            "password": digest[48:64],
        }

    def caller(self, request: Request) -> str:
        return "the client"  # its tokens count together

    def throttled(self) -> Answer:
        return Answer(429, b"API rate limit exceeded", content_type="text/plain")

    def error_in_200(self) -> Answer:
        return as_json(200, [{"code": "500", "message": "Something went wrong"}])

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """The first page for ever, or one with the right offset for ever."""
        if not request.path.startswith(_API):
            return self.answer(request, now)
        rows = [_row(sale, now, "EUR") for sale in self._sales[:_MOST]]
        skipped = int(request.one("offset", "0")) if turn else 0
        return as_json(200, {"limit": _MOST, "offset": skipped, "reportCurrencyCode": "EUR", "items": rows})

    def answer(self, request: Request, now: datetime) -> Answer:
        if request.path == "/uaa/oauth/token":
            return self._token(request, now)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        role, _, ends = token.partition("-until-")
        if scheme != "Bearer" or role not in ("owner", "member") or int(ends or 0) <= now.timestamp():
            return as_json(401, {"error": "invalid_token", "error_description": "Access token expired or not valid"})
        if request.path == "/publisher/sources":
            site = {"id": 123456, "name": "Pfad und Papier", "countryCode": "DE", "sourceStatus": "ACTIVE"}
            return as_json(200, [site])
        what = request.path.removeprefix(_API)
        if what == "payments" and role == "member":
            return _error(403, "Your role may not use this endpoint")
        try:
            return self._report(what, request, now)
        except (ValueError, KeyError):
            return _error(400, "A parameter is missing or not valid")

    def _token(self, request: Request, now: datetime) -> Answer:
        form = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        if request.headers.get("authorization") != self._client:
            return as_json(401, {"error": "invalid_client", "error_description": "Bad client credentials"})
        kept, _, ends = form.get("refresh_token", "").partition("-renews-until-")
        if form.get("grant_type") == "refresh_token" and kept in self._users.values() and int(ends) > now.timestamp():
            role = kept
        elif form.get("grant_type") == "password" and form.get("password") == self._password:
            role = self._users.get(form.get("username", ""), "")
        else:
            role = ""
        if not role:
            return as_json(400, {"error": "invalid_grant", "error_description": "Bad credentials"})
        last = int((now + _REFRESH).timestamp())
        return as_json(
            200,
            {
                "access_token": f"{role}-until-{int(now.timestamp()) + _ACCESS_S}",
                "token_type": "bearer",
                "refresh_token": f"{role}-renews-until-{last}",
                "expires_in": _ACCESS_S,
                "scope": "read",
            },
        )

    def _report(self, what: str, request: Request, now: datetime) -> Answer:
        code = request.one("reportCurrencyCode", "GBP")  # the account's own
        if what == "transactions/payments":
            sales = self._payments.get(int(request.one("paymentId")), [])
            rows = [_row(sale, now, code) for sale in sales if sale.paid and sale.paid <= now]
            return _listed(request, rows, reportCurrencyCode=code)
        first, last = (datetime.strptime(request.one(name), "%Y%m%d").date() for name in ("fromDate", "toDate"))  # noqa: DTZ007
        if what == "transactions":
            if (last - first).days >= _LARGEST_WINDOW:
                return _error(400, f"At most {_LARGEST_WINDOW} days can be asked for")
            changed = request.one("lastModified") == "true"
            rows = [
                _row(sale, now, code)
                for sale in self._sales
                if stored_at(sale) <= now and (at := sale.changed(now) if changed else sale.occurred)
                and first <= at.astimezone(_ZONE).date() <= last
            ]  # fmt: skip
            return _listed(request, rows, reportCurrencyCode=code)
        if what == "payments":
            found = [
                _payment(number, inside, paid)
                for number, inside in self._payments.items()
                if (paid := inside[0].paid) and paid <= now and first <= paid.astimezone(_ZONE).date() <= last
            ]
            return as_json(200, _part(request, found)[0])
        if what == "payments/digitalwallets":
            within = [
                sale
                for sale in self._bonuses
                if sale.occurred <= now and first <= sale.occurred.astimezone(_ZONE).date() <= last
            ]
            return _listed(request, [_wallet(sale, now, code) for sale in within], total=len(within))
        return _error(404, "No such report")


def status_at(sale: NetworkSale, now: datetime) -> str:
    if now < sale.validated:
        return "P"
    return "D" if sale.lost(now) else "A"


def stored_at(sale: NetworkSale) -> datetime:
    """Every twentieth sale is an offline one and stored ten days late."""
    return sale.occurred + timedelta(days=10 if sale.id % 20 == 0 else 0, minutes=5)


def in_currency(amount: Decimal, own: str, code: str) -> Decimal:
    return cents(amount * _IN_EUR[own] / _IN_EUR[code])


def _row(sale: NetworkSale, now: datetime, code: str) -> dict[str, Any]:
    basket, commission = sale.amounts(now)
    own, lead, modified = sale.programme.currency, sale.programme.renewal == "year", sale.changed(now)
    invoiced = sale.paid and sale.paid - _INVOICED_AHEAD <= now
    return {
        "transactionId": 30_000_000_000 + sale.id,
        "programId": sale.programme.id,
        "programName": sale.programme.name,
        "sourceId": 3100001,
        "sourceName": "Pfad und Papier",
        "eventId": sale.programme.id + sale.renewal,
        "eventName": "Renewal" if sale.renewal else "Registration" if lead else "Sale",
        "eventTypeId": 4 if lead else 5,
        "timeOfLastClick": _local(sale.clicked),
        "timeOfCreate": _local(stored_at(sale)),
        "timeOfTransaction": _local(sale.occurred),
        "timeOfLastModified": _local(modified) if modified else None,
        "epi": sale.sub_id,
        "epi2": sale.second_sub_id,
        "leadNumber": sale.order if lead else None,
        "orderNumber": None if lead else sale.order,
        "orderValue": None if lead else in_currency(basket or Decimal(0), own, code),
        "commission": in_currency(commission or Decimal(0), own, code),
        "paid": bool(sale.paid and sale.paid <= now),
        "status": status_at(sale, now),
        "paymentId": sale.payment_id if invoiced else None,
        "reasonName": sale.reason if status_at(sale, now) == "D" else None,
        "deviceObject": {"deviceType": "phone", "operatingSystem": None, "browser": None},
    }


def _payment(number: int, sales: list[NetworkSale], paid: datetime) -> dict[str, Any]:
    return {
        "paymentId": number,
        "paymentDate": f"{paid.astimezone(UTC):%FT%T}.000+0000",
        "currencyCode": sales[0].programme.currency,
        "paymentAmount": sum((sale.amounts(paid)[1] for sale in sales), Decimal(0)),
        "paymentProvider": "Opus",
    }


def _wallet(sale: NetworkSale, now: datetime, code: str) -> dict[str, Any]:
    own = sale.programme.currency
    paid = sale.paid and sale.paid <= now
    return {
        "programId": sale.programme.id,
        "programName": sale.programme.name,
        "sourceId": 3100001,
        "createdDate": sale.occurred.astimezone(_ZONE).strftime("%FT%T.000%z"),
        "text": f"Bonus {sale.occurred:%B %Y}",
        "digitalWalletType": "DEPOSIT",
        "amount": {
            "publisherCurrency": code,
            "publisherValue": in_currency(sale.commission, own, code),
            "programCurrency": own,
            "programValue": sale.commission,
        },
        "digitalWalletStatus": "PAID" if paid else "INVOICED" if sale.validated <= now else "OPEN",
    }


def _part(request: Request, rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int, int]:
    skip, limit = int(request.one("offset", "0")), min(int(request.one("limit", str(_USUAL))), _MOST)
    return rows[skip : skip + limit], skip, limit


def _listed(request: Request, rows: list[dict[str, Any]], **more: object) -> Answer:
    page, skip, limit = _part(request, rows)
    return as_json(200, {"limit": limit, "offset": skip, **more, "items": page})


def _local(at: datetime) -> str:
    return f"{at.astimezone(_ZONE):%F %T}.0"


def _error(status: int, message: str) -> Answer:
    return as_json(status, [{"code": str(status), "message": message}])
