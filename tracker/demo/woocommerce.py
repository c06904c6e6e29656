"""A WooCommerce shop's REST API as the sandbox plays it: orders, refunds and, with the plugin, subscriptions.

Source: WooCommerce's REST API documentation v3 and the REST controllers of WooCommerce Subscriptions. The site runs on
Europe/Berlin: plain dates are local, only the `_gmt` twins are UTC, and date filters are read as local time unless
`dates_are_gmt` says otherwise. Both ends of a filter are exclusive, and an offset inside a value is ignored: WordPress
compares the written date with its own columns.
"""

import math
import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from tracker.demo.exchange import Answer, Request, as_json
from tracker.demo.facts import History, Order, OrderRefund, ShopContract
from tracker.demo.woocommerce_shapes import (
    contract_status,
    contract_times,
    draw_contract,
    draw_order,
    draw_refund,
    modified_at,
    status_at,
)

SITE_ZONE = ZoneInfo("Europe/Berlin")
_ROOT = "/wp-json/wc/v3"
_ORDER_STATUSES = {"any", "pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed", "trash"}
_CONTRACT_STATUSES = {"any", "pending", "active", "on-hold", "pending-cancel", "cancelled", "expired", "switched"}
_ORDERBY = {"date", "id", "include", "title", "slug", "modified"}


class Refusal(Exception):
    """An answer other than 200, in WordPress's error shape."""

    def __init__(self, status: int, code: str, message: str, **data: Any) -> None:
        super().__init__(message)
        self.answer = as_json(status, {"code": code, "message": message, "data": {"status": status} | data})


class WooCommerce:
    def __init__(self, history: History, key: str, secret: str, *, subscriptions_plugin: bool) -> None:
        self._key, self._secret, self._plugin = key, secret, subscriptions_plugin
        self._orders = sorted(history.orders, key=lambda order: order.id)
        self._by_id = {order.id: order for order in self._orders}
        self._contracts = {contract.id: contract for contract in history.shop_contracts}
        self._payments = {payment.order.id: payment for payment in history.payments if payment.order}
        self._refunds = sorted(
            ((refund, order) for order in self._orders for refund in order.refunds), key=lambda pair: pair[0].id
        )

    def caller(self, request: Request) -> str:
        return _credentials(request)[0]

    def throttled(self) -> Answer:
        return Refusal(429, "too_many_requests", "Too many requests.").answer

    def error_in_200(self) -> Answer:
        return as_json(
            200,
            {
                "code": "internal_server_error",
                "message": "There has been a critical error on this website.",
                "data": {"status": 500},
            },
        )

    def looping(self, request: Request, now: datetime, turn: int) -> Answer:
        """Always a next page: with `turn` 0 the same one for ever, else one with a higher number."""
        answer = self.answer(request.without("page"), now)
        page = request.one("page", "1")
        following = int(page) + 1 if turn and page.isdigit() else page
        if answer.status == 200:
            answer.headers |= {
                "X-WP-Total": "100000000",
                "X-WP-TotalPages": "1000000",
                "Link": f'<{_url(request, following)}>; rel="next"',
            }
        return answer

    def answer(self, request: Request, now: datetime) -> Answer:
        try:
            return self._route(request, now)
        except Refusal as refusal:
            return refusal.answer

    def _route(self, request: Request, now: datetime) -> Answer:
        missing = Refusal(404, "rest_no_route", "No route was found matching the URL and request method.")
        path = request.path.rstrip("/")
        if not path.startswith(_ROOT):
            raise missing
        parts = path.removeprefix(_ROOT).strip("/").split("/")
        shop = parts[0] in ("orders", "refunds") or (parts[0] == "subscriptions" and self._plugin)
        if not shop or (parts[-1] == "subscriptions" and not self._plugin):
            raise missing
        self._admit(request)
        if request.method != "GET":
            raise Refusal(
                401, "woocommerce_rest_authentication_error", "The API key provided does not have write permissions."
            )
        match parts:
            case ["orders"]:
                return self._list_orders(request, now)
            case ["orders", number]:
                return as_json(200, draw_order(self._order(number, now), now, self._payments))
            case ["orders", number, "refunds"]:
                order = self._order(number, now)
                pairs = [(refund, order) for refund in order.refunds if refund.created <= now]
                return self._paged(request, pairs, _refund_times, lambda pair: draw_refund(pair[0], pair[1]))
            case ["orders", number, "subscriptions"]:
                order = self._order(number, now)
                held = [
                    contract
                    for contract in self._contracts.values()
                    if order in contract.orders and contract.started <= now
                ]
                return as_json(200, [draw_contract(contract, now) for contract in held])
            case ["refunds"]:
                pairs = [pair for pair in self._refunds if pair[0].created <= now]
                return self._paged(request, pairs, _refund_times, lambda pair: draw_refund(pair[0], pair[1]))
            case ["subscriptions"]:
                return self._list_contracts(request, now)
            case ["subscriptions", "statuses"]:
                return as_json(
                    200,
                    {
                        f"wc-{word}": word.replace("-", " ").capitalize()
                        for word in sorted(_CONTRACT_STATUSES - {"any"})
                    },
                )
            case ["subscriptions", number]:
                return as_json(200, draw_contract(self._contract(number, now), now))
            case ["subscriptions", number, "orders"]:
                contract = self._contract(number, now)
                rows = [
                    draw_order(order, now, self._payments)
                    | {"order_type": "renewal_order" if order.renewal_of else "parent_order"}
                    for order in reversed(contract.orders)
                    if order.created <= now
                ]
                return as_json(200, rows, {"X-WP-Total": str(len(rows)), "X-WP-TotalPages": "1"})
        raise missing

    def _admit(self, request: Request) -> None:
        key, secret = _credentials(request)
        if not key:
            raise Refusal(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")
        if key != self._key:
            raise Refusal(401, "woocommerce_rest_authentication_error", "Consumer key is invalid.")
        if secret != self._secret:
            raise Refusal(401, "woocommerce_rest_authentication_error", "Consumer secret is invalid.")

    def _order(self, number: str, now: datetime) -> Order:
        order = self._by_id.get(int(number)) if number.isdigit() else None
        if order is None or order.created > now:
            raise Refusal(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
        return order

    def _contract(self, number: str, now: datetime) -> ShopContract:
        contract = self._contracts.get(int(number)) if number.isdigit() else None
        if contract is None or contract.started > now:
            raise Refusal(404, "woocommerce_rest_shop_subscription_invalid_id", "Invalid ID.")
        return contract

    def _list_orders(self, request: Request, now: datetime) -> Answer:
        statuses = _statuses(request, _ORDER_STATUSES)
        customers, products = _numbers(request, "customer"), _numbers(request, "product")
        orders = [
            order
            for order in self._orders
            if order.created <= now
            and (not statuses or status_at(order, now) in statuses)
            and (not customers or (0 if order.guest else order.person.number) in customers)
            and (not products or any(line.product_id in products for line in order.lines))
        ]
        return self._paged(
            request,
            orders,
            lambda order: (order.created, modified_at(order, now)),
            lambda order: draw_order(order, now, self._payments),
        )

    def _list_contracts(self, request: Request, now: datetime) -> Answer:
        statuses = _statuses(request, _CONTRACT_STATUSES)
        found = [
            contract
            for contract in self._contracts.values()
            if contract.started <= now and (not statuses or contract_status(contract, now) in statuses)
        ]
        return self._paged(
            request,
            found,
            lambda contract: contract_times(contract, now),
            lambda contract: draw_contract(contract, now),
        )

    def _paged(
        self,
        request: Request,
        rows: list[Any],
        times: Callable[[Any], tuple[datetime, datetime]],
        draw: Callable[[Any], dict[str, Any]],
    ) -> Answer:
        per_page, page = _bounded(request, "per_page", 10, 1, 100), _bounded(request, "page", 1, 1, 10**6)
        orderby, order = request.one("orderby", "date"), request.one("order", "desc")
        if orderby not in _ORDERBY:
            raise _invalid("orderby", f"orderby is not one of {', '.join(sorted(_ORDERBY))}.")
        if order not in ("asc", "desc"):
            raise _invalid("order", "order is not one of asc and desc.")
        for name, place, later in (
            ("after", 0, True),
            ("before", 0, False),
            ("modified_after", 1, True),
            ("modified_before", 1, False),
        ):
            if bound := _moment(request, name):
                rows = [row for row in rows if (times(row)[place] > bound if later else times(row)[place] < bound)]
        if include := _numbers(request, "include"):
            rows = [row for row in rows if _id_of(row) in include]
        exclude = _numbers(request, "exclude")
        rows = [row for row in rows if _id_of(row) not in exclude]
        by = {"id": _id_of, "modified": lambda row: (times(row)[1], _id_of(row))}.get(
            orderby, lambda row: (times(row)[0], _id_of(row))
        )
        rows = sorted(rows, key=by, reverse=order == "desc")  # type: ignore[arg-type]
        first = _bounded(request, "offset", (page - 1) * per_page, 0, 10**8)
        pages = math.ceil(len(rows) / per_page)
        links = [
            f'<{_url(request, number)}>; rel="{word}"'
            for number, word in ((page - 1, "prev"), (page + 1, "next"))
            if 1 <= number <= pages
        ]
        headers = {"X-WP-Total": str(len(rows)), "X-WP-TotalPages": str(pages)} | (
            {"Link": ", ".join(links)} if links else {}
        )
        return as_json(200, [draw(row) for row in rows[first : first + per_page]], headers)


def _id_of(row: Any) -> int:
    return int(row[0].id if isinstance(row, tuple) else row.id)


def _refund_times(pair: tuple[OrderRefund, Order]) -> tuple[datetime, datetime]:
    return pair[0].created, pair[0].created


def _url(request: Request, page: int | str) -> str:
    """The address of another page; like WordPress it repeats every parameter, keys passed as parameters included."""
    query = urlencode([pair for pair in request.query if pair[0] != "page"] + [("page", str(page))])
    return f"http://{request.headers.get('host', '127.0.0.1')}/woocommerce{request.path}?{query}"


def _moment(request: Request, name: str) -> datetime | None:
    text = request.one(name)
    if not text:
        return None
    try:
        written = datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise _invalid(name, "Invalid date.") from None
    gmt = request.one("dates_are_gmt", "false").lower() in ("true", "1")
    return written.replace(tzinfo=UTC) if gmt else written.replace(tzinfo=SITE_ZONE).astimezone(UTC)


def _statuses(request: Request, known: set[str]) -> set[str]:
    wanted = {word for value in request.every("status") for word in value.split(",") if word}
    if wanted - known:
        raise _invalid("status", f"status[0] is not one of {', '.join(sorted(known))}.")
    return set() if "any" in wanted else wanted


def _numbers(request: Request, name: str) -> set[int]:
    words = [word.strip() for value in request.every(name) for word in value.split(",") if word.strip()]
    if not all(word.isdigit() for word in words):
        raise _invalid(name, f"{name}[0] is not of type integer.")
    return {int(word) for word in words}


def _bounded(request: Request, name: str, default: int, low: int, high: int) -> int:
    text = request.one(name)
    if not text:
        return default
    if not re.fullmatch(r"\d{1,9}", text) or not low <= int(text) <= high:
        raise _invalid(name, f"{name} must be between {low} (inclusive) and {high} (inclusive)")
    return int(text)


def _invalid(name: str, message: str) -> Refusal:
    details = {name: {"code": "rest_invalid_param", "message": message, "data": None}}
    return Refusal(400, "rest_invalid_param", f"Invalid parameter(s): {name}", params={name: message}, details=details)


def _credentials(request: Request) -> tuple[str, str]:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            key, _, secret = b64decode(value, validate=True).decode("ascii", "replace").partition(":")
        except NotBase64:
            return "", ""
        return key, secret
    return request.one("consumer_key"), request.one("consumer_secret")
