"""Stripe's API as the sandbox plays it: lists with cursors, objects by id, expansion, the change feed, restricted keys.

Source: Stripe's API reference (pagination, expanding objects, errors, versioning) and its keys documentation.
"""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import msgspec

from tracker.demo import stripe_billing_shapes as billing
from tracker.demo import stripe_shapes as shapes
from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History
from tracker.demo.stripe_feed import KEPT
from tracker.demo.stripe_shapes import Json, View
from tracker.demo.stripe_shelves import NEWEST_VERSION, Shelf, feed, homes_of, shelves

ACCOUNT = "acct_1PfadUndPapier"
_BASIL, _CLOVER = "2025-03-31", "2025-09-30"
_RANGES = {"gt", "gte", "lt", "lte"}
_DEPTH = 4


class Refusal(Exception):
    """An answer other than 200, in Stripe's error shape."""

    def __init__(
        self, status: int, message: str, *, code: str = "", param: str = "", kind: str = "invalid_request_error"
    ) -> None:
        super().__init__(message)
        error = (
            {"message": message, "type": kind} | ({"code": code} if code else {}) | ({"param": param} if param else {})
        )
        self.answer = as_json(
            status, {"error": error}, {"Stripe-Should-Retry": "true" if status in (409, 429) else "false"}
        )


class Stripe:
    def __init__(self, history: History, api_key: str) -> None:
        self._key = api_key
        self._shelves = shelves(history)
        self._homes = homes_of(self._shelves)
        self._history = history

    @cached_property
    def _events(self) -> Shelf:
        """Tens of thousands of events, gathered when somebody asks for them."""
        return feed(self._history, self._homes)

    def caller(self, request: Request) -> str:
        return _key_of(request)

    def throttled(self) -> Answer:
        return Refusal(429, "Request rate limit exceeded.", code="rate_limit").answer

    def error_in_200(self) -> Answer:
        return as_json(200, {"error": {"message": "An unknown error occurred", "type": "api_error"}})

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """Always more: with `turn` 0 the same page for ever, else a last row whose id was never seen."""
        answer = self.answer(request.without("starting_after"), now)
        body = msgspec.json.decode(answer.body)
        if answer.status == 200 and body.get("data"):
            body["has_more"] = True
            body["data"][-1]["id"] += f"x{turn}" if turn else ""
        return as_json(answer.status, body, answer.headers)

    def answer(self, request: Request, now: datetime) -> Answer:
        try:
            lacking = self._admit(request)
            version = request.headers.get("stripe-version") or NEWEST_VERSION
            if not re.fullmatch(r"20\d\d-\d\d-\d\d(\.[a-z_]+)?", version):
                raise Refusal(400, f"Invalid Stripe API version: {version[:40]}")
            view = View(now, version[:10] >= _BASIL, version[:10] >= _CLOVER)
            body = self._route(request, view, lacking)
        except Refusal as refusal:
            return refusal.answer
        return as_json(200, body, {"Stripe-Version": version, "Request-Id": "req_sandbox"})

    def _admit(self, request: Request) -> set[str]:
        """The rights the key lacks: "…_without_dispute_payout" is the sandbox's way to a restricted key."""
        key = _key_of(request)
        if not key:
            raise Refusal(
                401, "You did not provide an API key. You need to provide your API key in the Authorization header."
            )
        known, _, lacking = key.partition("_without_")
        if known != self._key:
            raise Refusal(401, f"Invalid API Key provided: {key[:8]}{'*' * 8}{key[-4:]}")
        return set(lacking.split("-")) - {""}

    def _route(self, request: Request, view: View, lacking: set[str]) -> Json:
        parts = request.path.strip("/").split("/")
        unknown = Refusal(404, f"Unrecognized request URL ({request.method}: {request.path}).")
        if parts[0] != "v1" or len(parts) not in (2, 3):
            raise unknown
        if parts == ["v1", "account"]:
            return {
                "id": ACCOUNT,
                "object": "account",
                "country": "DE",
                "default_currency": "eur",
                "charges_enabled": True,
            }
        shelf = self._events if parts[1] == "events" else self._shelves.get(parts[1])
        if shelf is None or (parts[1] == "invoice_payments" and not view.basil):
            raise unknown
        verb = "read" if request.method == "GET" else "write"
        if verb == "write" or shelf.right in lacking:
            raise Refusal(
                403,
                f"The provided key '{self._key[:8]}{'*' * 12}' does not have the required permissions for this "
                f"endpoint on account '{ACCOUNT}'. Having the 'rak_{shelf.right}_{verb}' permission would allow this "
                "request to continue.",
            )
        expand = request.every("expand")
        if any(len(path.split(".")) > _DEPTH + (len(parts) == 2) for path in expand):
            raise Refusal(400, f"You cannot expand more than {_DEPTH} levels of a property.", param="expand")
        if len(parts) == 2:
            return self._list(parts[1], shelf, request, view, expand)
        if not shelf.has(parts[2], view.now):
            raise Refusal(404, f"No such {_singular(parts[1])}: '{parts[2][:60]}'", code="resource_missing", param="id")
        return self._expanded(shelf.drawn(parts[2], view), expand, view)

    def _list(self, name: str, shelf: Shelf, request: Request, view: View, expand: list[str]) -> Json:
        limit, tests = self._limit(request), self._tests(name, shelf, request, view.now)
        low, high = self._bounds(name, shelf, request, view.now)
        after, before = request.one("starting_after"), request.one("ending_before")
        for param, cursor in (("starting_after", after), ("ending_before", before)):
            if cursor and not shelf.has(cursor, view.now):
                raise Refusal(400, f"No such {_singular(name)}: '{cursor[:60]}'", code="resource_missing", param=param)
        places: Iterator[int] | range = range(high - 1, low - 1, -1)
        if after:
            places = range(min(high, shelf.places[after]) - 1, low - 1, -1)
        elif before:
            places = range(max(low, shelf.places[before] + 1), high)
        found: list[Any] = []
        for place in places:
            fact = shelf.facts[place]
            if all(test(fact) for test in tests):
                found.append(fact)
                if len(found) > limit:
                    break
        page = found[:limit][::-1] if before and not after else found[:limit]
        if any(not path.startswith("data.") for path in expand):
            raise Refusal(
                400, "This property cannot be expanded on a list. You may want to try expanding 'data'.", param="expand"
            )
        inner = [path.removeprefix("data.") for path in expand]
        data = [self._expanded(shelf.draw(fact, view), inner, view) for fact in page]
        return {"object": "list", "data": data, "has_more": len(found) > limit, "url": f"/v1/{name}"}

    def _limit(self, request: Request) -> int:
        text = request.one("limit", "10")
        if not re.fullmatch(r"\d{1,6}", text):
            raise Refusal(400, f"Invalid integer: {text[:40]}", code="parameter_invalid_integer", param="limit")
        if not 1 <= int(text) <= 100:
            bound = "less than or equal to 100" if int(text) else "greater than or equal to 1"
            raise Refusal(400, f"This value must be {bound}.", code="parameter_invalid_integer", param="limit")
        return int(text)

    def _tests(self, name: str, shelf: Shelf, request: Request, now: datetime) -> list[Callable[[Any], bool]]:
        tests: list[Callable[[Any], bool]] = []
        for key, value in request.query:
            field, _, inner = key.partition("[")
            inner = inner.rstrip("]")
            if key in ("limit", "starting_after", "ending_before") or field == "expand":
                continue
            if field in shelf.times and (inner in _RANGES or not inner):
                if field != "created":
                    tests.append(_in_time(shelf.times[field], inner, _seconds(key, value)))
                continue
            test = shelf.filters.get(key) or (
                shelf.filters.get(f"{field}[]") if inner.isdigit() or key.endswith("[]") else None
            )
            if test is None:
                raise Refusal(400, f"Received unknown parameter: {key[:60]}", code="parameter_unknown", param=key[:60])
            if name != "events" or field == "delivery_success":
                tests.append(lambda fact, test=test, value=value: test(fact, now, value))  # type: ignore[misc]
        if name == "subscriptions" and not request.one("status"):
            tests.append(lambda contract: billing.subscription_status(contract, now) != "canceled")
        if name == "events" and (kinds := request.every("types") or request.every("type")):
            if len(kinds) > 20 or (request.one("type") and request.every("types")):
                raise Refusal(400, "Give either type or at most 20 types.", param="types")
            tests.append(lambda event: any(fnmatchcase(event.type, kind) for kind in kinds))
        if name == "balance_transactions" and (wanted := request.one("payout")):
            self._check_payout(wanted, now)
        return tests

    def _check_payout(self, payout_id: str, now: datetime) -> None:
        shelf = self._shelves["payouts"]
        if not shelf.has(payout_id, now):
            raise Refusal(400, f"No such payout: '{payout_id[:60]}'", code="resource_missing", param="payout")
        if not shelf.facts[shelf.places[payout_id]].automatic:
            raise Refusal(
                400,
                "Balance transaction history can only be filtered on automatic transfers, not manual.",
                param="payout",
            )

    def _bounds(self, name: str, shelf: Shelf, request: Request, now: datetime) -> tuple[int, int]:
        """The slice of the shelf that exists at `now` and lies within created[...]."""
        low, high = 0, bisect_right(shelf.moments, now)
        if name == "events":
            low = bisect_left(shelf.moments, now - KEPT)
        for key, value in request.query:
            if not re.fullmatch(r"created(\[\w*\])?", key):
                continue
            inner, at = key[8:-1], _seconds(key, value)
            moment = datetime.fromtimestamp(min(at, 32_503_680_000), UTC)
            # Facts have whole seconds, so one second tells "greater" from "greater or equal".
            if inner in ("gt", "gte", ""):
                low = max(low, bisect_left(shelf.moments, moment + timedelta(seconds=inner == "gt")))
            if inner in ("lt", "lte", ""):
                high = min(high, bisect_left(shelf.moments, moment + timedelta(seconds=inner != "lt")))
        return low, high

    def _expanded(self, body: Json, paths: list[str], view: View) -> Json:
        for path in paths:
            self._expand(body, path.split("."), view, path)
        return body

    def _expand(self, body: Any, names: list[str], view: View, path: str) -> None:
        if isinstance(body, list):
            for entry in body:
                self._expand(entry, names, view, path)
            return
        if not isinstance(body, dict):
            return
        name = names[0]
        if name in ("payments", "refunds") and name not in body:
            self._include(body, name, view)
        if name not in body:
            raise Refusal(400, f"This property cannot be expanded ({path[:60]}).", param="expand")
        body[name] = self._opened(body[name], body, view)
        if len(names) > 1:
            self._expand(body[name], names[1:], view, path)

    def _opened(self, value: Any, owner: Json, view: View) -> Any:
        if isinstance(value, list):
            return [self._opened(entry, owner, view) for entry in value]
        if not isinstance(value, str):
            return value
        if value.startswith("di_"):
            return billing.discount_of(self._contract(value), view)
        if value.startswith(("FOUNDER", "HALFYEAR")):
            return billing.coupon(20, value.startswith("FOUNDER"))
        shelf = self._homes.get(value)
        return shelf.drawn(value, view) if shelf else value

    def _contract(self, discount_id: str) -> Any:
        shelf = self._shelves["subscriptions"]
        return shelf.facts[shelf.places[f"sub_{discount_id[3:]}"]]

    def _include(self, body: Json, name: str, view: View) -> None:
        """Lists that an object carries only when asked: an invoice's payments since basil, a charge's refunds."""
        rows: list[Json]
        if name == "payments" and body["object"] == "invoice" and view.basil:
            shelf = self._shelves["invoice_payments"]
            link = f"inpay_{body['id'][3:]}"
            rows = [shelf.drawn(link, view)] if shelf.has(link, view.now) else []
            url = f"/v1/invoice_payments?invoice={body['id']}"
        elif name == "refunds" and body["object"] == "charge":
            shelf = self._shelves["charges"]
            payment = shelf.facts[shelf.places[body["id"]]]
            rows = [shapes.refund(back, view) for back in payment.refunds if back.created <= view.now]
            url = f"/v1/charges/{body['id']}/refunds"
        else:
            return
        body[name] = {"object": "list", "data": rows, "has_more": False, "url": url}


def _in_time(of: Callable[[Any], datetime], inner: str, at: int) -> Callable[[Any], bool]:
    def test(fact: Any) -> bool:
        seconds = of(fact).timestamp()
        return {"gt": seconds > at, "gte": seconds >= at, "lt": seconds < at, "lte": seconds <= at, "": seconds == at}[
            inner
        ]

    return test


def _seconds(key: str, value: str) -> int:
    if not re.fullmatch(r"-?\d{1,12}", value):
        raise Refusal(400, f"Invalid integer: {value[:40]}", code="parameter_invalid_integer", param=key[:60])
    return max(0, int(value))


def _singular(name: str) -> str:
    return {"balance_transactions": "balance transaction", "invoice_payments": "invoice payment"}.get(
        name, name.removesuffix("s")
    )


def _key_of(request: Request) -> str:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(value, validate=True).decode("ascii", "replace").partition(":")[0]
        except NotBase64:
            return ""
    return ""
