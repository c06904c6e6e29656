"""Ghost's Admin API as the sandbox plays it: members with their Stripe subscriptions, tiers and Ghost's own MRR.

Source: Ghost's Admin API documentation and its source (token check of the admin API key, serializers of members, the
MRR statistics). Ghost 6 gives at most 100 rows a page, whatever is asked for.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import jwt
import msgspec

from tracker.demo.chance import midnight
from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import Contract, History, Member
from tracker.demo.stripe_billing_shapes import subscription_status

Json = dict[str, Any]
_TIER = {
    "id": "66a0f0c0ffee000000000001",
    "name": "Trail Letters",
    "slug": "trail-letters",
    "active": True,
    "type": "paid",
}
_LONGEST_TOKEN_S = 300
_CLOCK_TOLERANCE_S = 10
_MOST_ROWS = 100
_ORDERS = ("created_at", "updated_at", "id")


class Refusal(Exception):
    """An answer other than 200, in Ghost's error shape."""

    def __init__(
        self, status: int, kind: str, message: str, *, code: str | None = None, context: str | None = None
    ) -> None:
        super().__init__(message)
        error = {"message": message, "context": context, "type": kind, "details": None, "property": None, "help": None}
        self.answer = as_json(status, {"errors": [error | {"code": code, "id": "sandbox", "ghostErrorCode": None}]})


class Ghost:
    def __init__(self, history: History, admin_api_key: str, unix_time: Callable[[], float]) -> None:
        self._members = history.members
        self._key_id, _, secret = admin_api_key.partition(":")
        self._secret = bytes.fromhex(secret)
        self._unix_time = unix_time
        self._drawn: tuple[datetime | None, list[Json]] = (None, [])  # as of the moment asked for last

    def caller(self, request: Request) -> str:
        return "ghost"

    def throttled(self) -> Answer:
        return Refusal(429, "TooManyRequestsError", "Too many attempts.").answer

    def error_in_200(self) -> Answer:
        return Refusal(200, "InternalServerError", "An unexpected error occurred, please try again.").answer

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """Always a next page: with `turn` 0 the same one for ever, else one with a higher number."""
        answer = self.answer(request.without("page"), now)
        body = msgspec.json.decode(answer.body)
        if "meta" in body and "pagination" in body["meta"]:
            page = int(request.one("page", "1"))
            body["meta"]["pagination"] |= {"page": page, "pages": 10**6, "next": page + 1 if turn else page}
        return as_json(answer.status, body, answer.headers)

    def answer(self, request: Request, now: datetime) -> Answer:
        path = request.path.removeprefix("/ghost").strip("/").split("/")
        try:
            if path[:2] != ["api", "admin"]:
                raise Refusal(404, "NotFoundError", "Resource not found error, cannot read.")
            if path[2:] != ["site"]:
                self._admit(request, now)
            if request.method != "GET":
                raise Refusal(403, "NoPermissionError", "The sandbox is read-only.")
            return as_json(200, self._route(path[2:], request, now), {"Content-Version": "v6.0"})
        except Refusal as refusal:
            return refusal.answer

    def _admit(self, request: Request, now: datetime) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not token:
            context = "Unable to determine the authenticated user or integration."
            raise Refusal(403, "NoPermissionError", "Authorization failed", context=context)
        if scheme != "Ghost":
            raise Refusal(
                401,
                "UnauthorizedError",
                'Authorization header format is "Authorization: Ghost [token]"',
                code="INVALID_AUTH_HEADER",
            )
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            if kid != self._key_id:
                raise Refusal(401, "UnauthorizedError", "Unknown Admin API Key", code="UNKNOWN_ADMIN_API_KEY")
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=["HS256"],
                audience="/admin/",
                options={"require": ["iat", "exp", "aud"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.PyJWTError as error:
            raise Refusal(401, "UnauthorizedError", f"Invalid token: {error}", code="INVALID_JWT") from None
        issued, expires = claims["iat"], claims["exp"]
        if not isinstance(issued, int) or not isinstance(expires, int) or expires > issued + _LONGEST_TOKEN_S:
            raise Refusal(401, "UnauthorizedError", "Invalid token: maxAge exceeded", code="INVALID_JWT")
        # A test's clock and the machine's clock are both right here: a client signs by whichever it was given.
        clocks = (now.timestamp(), self._unix_time())
        if not any(issued - _CLOCK_TOLERANCE_S <= clock < expires for clock in clocks):
            raise Refusal(401, "UnauthorizedError", "Invalid token: jwt expired", code="INVALID_JWT")

    def _route(self, parts: list[str], request: Request, now: datetime) -> Json:
        match parts:
            case ["site"]:
                return {
                    "site": {
                        "title": "Trail Letters",
                        "url": "https://letters.pfad-und-papier.example/",
                        "version": "6.2",
                    }
                }
            case ["members"]:
                return self._list(request, now)
            case ["members", "stats", "mrr"] | ["stats", "mrr"]:
                return self._mrr(now)
            case ["members", number]:
                found = [member for member in self._members if member.id == number and member.joined <= now]
                if found:
                    return {"members": [_draw(found[0], now)]}
                raise Refusal(
                    404, "NotFoundError", "Resource not found error, cannot read member.", context="Member not found."
                )
            case ["tiers"]:
                prices = {"monthly_price": 600, "yearly_price": 6000, "currency": "EUR"}
                return {"tiers": [_TIER | prices], "meta": _pagination(1, 15, 1)}
        raise Refusal(404, "NotFoundError", "Resource not found error, cannot read.")

    def _list(self, request: Request, now: datetime) -> Json:
        limit, page = _limit(request), request.one("page", "1")
        if not re.fullmatch(r"[1-9]\d{0,6}", page):
            raise Refusal(
                422,
                "ValidationError",
                "Validation error, cannot list members.",
                context="Validation (isInt) failed for page",
            )
        if self._drawn[0] != now:
            self._drawn = now, [_draw(member, now) for member in self._members if member.joined <= now]
        rows = [row for row in self._drawn[1] if _passes(row, request.one("filter"))]
        for clause in reversed(request.one("order", "created_at desc").split(",")):
            name, _, direction = clause.strip().partition(" ")
            if name not in _ORDERS or direction.lower() not in ("", "asc", "desc"):
                raise Refusal(
                    400,
                    "BadRequestError",
                    "Request not understood error, cannot list members.",
                    context=f"order by {name[:40]}",
                )
            rows.sort(key=lambda row, name=name: (row[name], row["id"]), reverse=direction.lower() == "desc")  # type: ignore[misc]
        first = (int(page) - 1) * limit
        return {"members": rows[first : first + limit], "meta": _pagination(int(page), limit, len(rows))}

    def _mrr(self, now: datetime) -> Json:
        """Per currency and day for 90 days, in minor units, by Ghost's own rule."""
        contracts = [member.contract for member in self._members if member.contract and member.contract.started <= now]
        rows: list[Json] = []
        days = [midnight(now) - timedelta(days=back) for back in range(89, 0, -1)] + [now]
        totals: dict[str, int] = {}
        for day in days:
            sums: defaultdict[str, int] = defaultdict(int, {"eur": 0, "usd": 0})
            for contract in contracts:
                if contract.started <= day:
                    sums[contract.plan_at(day).currency.lower()] += mrr(contract, day)
            totals = dict(sums)
            rows += [
                {"date": f"{day:%Y-%m-%d}", "mrr": amount, "currency": currency}
                for currency, amount in sorted(sums.items())
            ]
        return {
            "stats": rows,
            "meta": {"totals": [{"currency": currency, "mrr": amount} for currency, amount in sorted(totals.items())]},
        }


def mrr(contract: Contract, now: datetime) -> int:
    """Nothing for a subscription that ended or is set to end; a year counts a twelfth, rounded down."""
    if subscription_status(contract, now) in ("canceled", "trialing") or (
        contract.cancel_requested and contract.cancel_requested <= now
    ):
        return 0
    plan = contract.plan_at(now)
    return plan.amount // 12 if plan.interval == "year" else plan.amount


def _draw(member: Member, now: datetime) -> Json:
    contract, person = member.contract, member.person
    paying = contract is not None and subscription_status(contract, now) != "canceled"
    changes = [member.joined]
    if contract:
        changes += [at for at in (contract.cancel_requested, contract.ended) if at] + [
            start for start, _ in contract.periods
        ]
        changes += [at for window in contract.overdue for at in window]
    return {
        "id": member.id,
        "uuid": member.uuid,
        "email": person.email,
        "name": person.name,
        "note": None,
        "geolocation": None,
        "subscribed": True,
        "status": "paid" if paying else "comped" if member.comped else "free",
        "comped": member.comped,
        "created_at": _stamp(member.joined),
        "updated_at": _stamp(max(change for change in changes if change <= now)),
        "last_seen_at": None,
        "labels": [],
        "tiers": [_TIER] if paying or member.comped else [],
        "subscriptions": [_subscription(contract, now)]
        if contract
        else [_complimentary(member)]
        if member.comped
        else [],
        "attribution": None,
        "email_count": 0,
        "email_opened_count": 0,
    }


def _subscription(contract: Contract, now: datetime) -> Json:
    plan, person = contract.plan_at(now), contract.person
    end = next(period[1] for period in reversed(contract.periods) if period[0] <= now)
    status = subscription_status(contract, now)
    asked = bool(contract.cancel_requested and contract.cancel_requested <= now)
    money = {"nickname": plan.nickname, "amount": plan.amount, "interval": plan.interval, "currency": plan.currency}
    tier = {"id": f"tp{plan.price_id[-8:]}", "tier_id": _TIER["id"]}
    return {
        "id": contract.id,
        "customer": {"id": person.customer_id, "name": person.name, "email": person.email},
        "status": status,
        "start_date": _stamp(contract.started),
        "default_payment_card_last4": "4242",
        "cancel_at_period_end": asked and status != "canceled",
        "cancellation_reason": None,
        "current_period_end": _stamp(end),
        "plan": {"id": plan.price_id, **money},
        "price": {
            "id": f"pr{plan.price_id[-8:]}",
            "price_id": plan.price_id,
            "type": "recurring",
            **money,
            "tier": tier,
        },
        "tier": _TIER,
        "offer": None,
        "attribution": None,
    }


def _complimentary(member: Member) -> Json:
    money = {"nickname": "Complimentary", "amount": 0, "interval": "year", "currency": "EUR"}
    return {
        "id": "",
        "customer": {"id": "", "name": member.person.name, "email": member.person.email},
        "status": "active",
        "start_date": _stamp(member.joined),
        "default_payment_card_last4": "****",
        "cancel_at_period_end": False,
        "cancellation_reason": None,
        "current_period_end": _stamp(member.joined + timedelta(days=36_500)),
        "plan": {"id": "", **money},
        "price": {"id": "", "price_id": "", "type": "recurring", **money, "tier": {"id": "", "tier_id": _TIER["id"]}},
        "tier": _TIER,
        "offer": None,
    }


def _limit(request: Request) -> int:
    text = request.one("limit", "15")
    if text == "all":
        return _MOST_ROWS
    if not re.fullmatch(r"[1-9]\d{0,6}", text):
        raise Refusal(
            422,
            "ValidationError",
            "Validation error, cannot list members.",
            context="Validation (isInt) failed for limit",
        )
    return min(int(text), _MOST_ROWS)


_CLAUSE = re.compile(r"(status|updated_at|created_at|id|email):(-|>=|<=|>|<)?'?([^'+]+)'?")


def _passes(row: Json, text: str) -> bool:
    """As much of NQL as lists of members need: clauses joined by `+`."""
    for clause in filter(None, text.split("+")):
        match = _CLAUSE.fullmatch(clause.strip())
        if not match:
            raise Refusal(400, "BadRequestError", "Error parsing filter", context=clause[:60])
        name, operator, value = match.groups()
        have = row[name]
        if name.endswith("_at"):
            have, value = have[: len(value)].replace("T", " "), value.replace("T", " ")
        verdict = {
            "-": have != value,
            ">": have > value,
            "<": have < value,
            ">=": have >= value,
            "<=": have <= value,
            None: have == value,
        }
        if not verdict[operator]:
            return False
    return True


def _pagination(page: int, limit: int, total: int) -> Json:
    pages = max(1, math.ceil(total / limit))
    following, before = page + 1 if page < pages else None, page - 1 if page > 1 else None
    return {
        "pagination": {"page": page, "limit": limit, "pages": pages, "total": total, "next": following, "prev": before}
    }


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
