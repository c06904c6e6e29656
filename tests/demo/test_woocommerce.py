"""WooCommerce in the sandbox keeps WooCommerce's rules, and its orders add up."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests

from tests.demo.conftest import NOW, Get
from tracker.demo.server import Sandbox


def everything(woo: Get, path: str, **params: Any) -> list[dict[str, Any]]:
    """Page by page along the Link header."""
    rows: list[dict[str, Any]] = []
    answer = woo(path, per_page=100, orderby="id", order="asc", **params)
    for _ in range(100):
        assert answer.status_code == 200, answer.text
        rows += answer.json()
        if "next" not in answer.links:
            assert len(rows) == int(answer.headers["X-WP-Total"])
            return rows
        answer = woo(answer.links["next"]["url"])
    raise AssertionError("the pages do not end")


def test_a_missing_or_wrong_key_is_refused(sandbox: Sandbox, http: requests.Session) -> None:
    url, keys = sandbox.url("woocommerce") + "/wp-json/wc/v3/orders", sandbox.credentials("woocommerce")
    nobody = http.get(url, timeout=10)
    assert nobody.status_code == 401
    assert nobody.json()["code"] == "woocommerce_rest_cannot_view"
    for key, secret in (("ck_wrong", keys["consumer_secret"]), (keys["consumer_key"], "cs_wrong")):
        wrong = http.get(url, auth=(key, secret), timeout=10)
        assert wrong.status_code == 401
        assert wrong.json()["code"] == "woocommerce_rest_authentication_error"
    assert http.get(url, params=keys, timeout=10).status_code == 200


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"per_page": 101}, "per_page"),
        ({"per_page": 0}, "per_page"),
        ({"orderby": "total"}, "orderby"),
        ({"order": "up"}, "order"),
        ({"status": "paid"}, "status"),
        ({"modified_after": "yesterday"}, "modified_after"),
    ],
)
def test_a_broken_rule_is_a_bad_request(woo: Get, params: dict[str, Any], name: str) -> None:
    answer = woo("orders", **params)
    assert answer.status_code == 400
    assert answer.json()["code"] == "rest_invalid_param"
    assert list(answer.json()["data"]["params"]) == [name]


def test_pages_are_counted_in_headers_and_linked(woo: Get) -> None:
    answer = woo("orders", per_page=100, page=2)
    total, pages = int(answer.headers["X-WP-Total"]), int(answer.headers["X-WP-TotalPages"])
    assert pages == -(-total // 100)
    assert set(answer.links) == {"prev", "next"}
    assert set(woo("orders", per_page=100, page=pages).links) == {"prev"}
    assert woo("orders", per_page=100, page=pages + 1).json() == []
    assert len(everything(woo, "orders")) == len({row["id"] for row in everything(woo, "orders")}) == total


def test_an_orders_total_is_its_lines_and_tax_less_the_discount(woo: Get) -> None:
    for order in everything(woo, "orders"):
        lines = order["line_items"]
        subtotal = sum((Decimal(line["subtotal"]) for line in lines), Decimal(0))
        assert Decimal(order["total"]) == subtotal + Decimal(order["total_tax"]) - Decimal(order["discount_total"])
        assert Decimal(order["total_tax"]) == sum((Decimal(line["total_tax"]) for line in lines), Decimal(0))


def test_the_shop_has_all_that_the_story_promises(woo: Get) -> None:
    orders = everything(woo, "orders")
    assert {order["status"] for order in orders} >= {"completed", "cancelled", "failed", "refunded"}
    assert {order["payment_method"] for order in orders} == {"stripe", "ppcp-gateway", "bacs"}
    assert {order["currency"] for order in orders} == {"EUR", "USD"}
    assert any(order["customer_id"] == 0 for order in orders)
    assert any(order["total"] == "0.00" and order["status"] == "completed" for order in orders)
    assert any(order["refunds"] and order["status"] == "completed" for order in orders)
    assert all(order["billing"]["email"].endswith(".example") for order in orders)
    assert all(
        (order["date_paid_gmt"] is None) == (order["status"] in ("cancelled", "failed", "pending", "on-hold"))
        for order in orders
    )
    parts = [order for order in orders if any(meta["key"] == "_instalment" for meta in order["meta_data"])]
    buyers = {order["customer_id"] for order in parts}
    assert all(sum(order["customer_id"] == buyer for order in parts) <= 3 for buyer in buyers)


def test_an_order_waits_for_its_payment_until_the_shop_gives_it_up(woo: Get, sandbox: Sandbox) -> None:
    given_up = everything(woo, "orders", status="cancelled")[-1]
    sandbox.now = datetime.fromisoformat(given_up["date_created_gmt"] + "+00:00") + timedelta(hours=1)
    waiting = woo(f"orders/{given_up['id']}").json()
    assert waiting["status"] in ("pending", "on-hold")
    assert waiting["transaction_id"] == ""


def test_an_order_paid_by_card_is_the_charge_at_stripe(woo: Get, all_of: Callable[..., list[dict[str, Any]]]) -> None:
    charges = {charge["id"]: charge for charge in all_of("charges")}
    paid = [order for order in everything(woo, "orders") if order["transaction_id"].startswith("ch_")]
    assert len(paid) > 500
    for order in paid:
        charge = charges[order["transaction_id"]]
        assert Decimal(charge["amount"]) / 100 == Decimal(order["total"])
        assert charge["currency"] == order["currency"].lower()
        assert charge["metadata"]["order_id"] == str(order["id"])
    given = {number: Decimal(charge["amount_refunded"]) / 100 for number, charge in charges.items()}
    for order in paid:
        total = sum((Decimal(refund["total"]) for refund in order["refunds"]), Decimal(0))
        assert given[order["transaction_id"]] in (-total, 0)  # 0: recorded by hand, the money went another way


def test_refunds_are_positive_apart_and_negative_inside_their_order(woo: Get) -> None:
    refunds = everything(woo, "refunds")
    assert {refund["refunded_payment"] for refund in refunds} == {True, False}
    inside = {
        short["id"]: (order["id"], short["total"]) for order in everything(woo, "orders") for short in order["refunds"]
    }
    assert {refund["id"]: (refund["parent_id"], f"-{refund['amount']}") for refund in refunds} == inside
    order_id = refunds[0]["parent_id"]
    assert woo(f"orders/{order_id}/refunds").json()[-1] in refunds
    assert woo("orders/1/refunds").status_code == 404


def test_plain_dates_are_local_and_their_twins_utc(woo: Get) -> None:
    for order in everything(woo, "orders"):
        local = datetime.fromisoformat(order["date_created"]).replace(tzinfo=ZoneInfo("Europe/Berlin"))
        utc = datetime.fromisoformat(order["date_created_gmt"]).replace(tzinfo=ZoneInfo("UTC"))
        assert local.utcoffset() in (timedelta(hours=1), timedelta(hours=2))
        assert abs(local - utc) in (
            timedelta(0),
            timedelta(hours=1),
        )  # an hour only in the autumn night that has it twice


def test_a_date_filter_is_local_time_unless_it_is_said_to_be_utc(woo: Get) -> None:
    order = woo("orders", per_page=1).json()[0]
    just_before = datetime.fromisoformat(order["date_modified_gmt"]) - timedelta(seconds=1)
    text = just_before.isoformat()
    assert order["id"] in [row["id"] for row in woo("orders", modified_after=text, dates_are_gmt="true").json()]
    local = woo("orders", modified_after=order["date_modified"]).json()
    assert order["id"] not in [row["id"] for row in local]  # both ends are exclusive
    hours_early = woo("orders", modified_before=order["date_modified_gmt"]).json()
    assert order["id"] not in [row["id"] for row in hours_early]


def test_a_changed_order_returns_in_the_next_window(woo: Get, sandbox: Sandbox) -> None:
    before = {order["id"]: order for order in everything(woo, "orders")}
    sandbox.now = NOW + timedelta(days=25)
    span = {"modified_after": "2026-06-15T12:00:00", "modified_before": "2026-07-11T00:00:00", "dates_are_gmt": "true"}
    window = {order["id"]: order for order in everything(woo, "orders", **span)}
    after = {order["id"]: order for order in everything(woo, "orders")}
    assert {number for number, order in after.items() if before.get(number) != order} == set(window)
    assert any(
        len(order["refunds"]) > len(before[number]["refunds"]) for number, order in window.items() if number in before
    )
    assert any(number not in before for number in window)


def test_renewals_name_their_subscription(woo: Get) -> None:
    contracts = {contract["id"]: contract for contract in everything(woo, "subscriptions")}
    assert {contract["status"] for contract in contracts.values()} >= {"active", "cancelled"}
    renewals = 0
    for order in everything(woo, "orders"):
        keys = {meta["key"]: meta["value"] for meta in order["meta_data"]}
        if "_subscription_renewal" in keys:
            renewals += 1
            assert order["created_via"] == "subscription"
            assert contracts[int(keys["_subscription_renewal"])]["customer_id"] == order["customer_id"]
    assert renewals > 100
    some = next(contract for contract in contracts.values() if contract["status"] == "active")
    assert some["next_payment_date_gmt"] > f"{NOW:%Y-%m-%dT%H:%M:%S}"
    orders = woo(f"subscriptions/{some['id']}/orders").json()
    assert orders[-1]["id"] == some["parent_id"]
    assert {order["order_type"] for order in orders} <= {"parent_order", "renewal_order"}
    assert woo(f"orders/{some['parent_id']}/subscriptions").json() == [some]


def test_without_the_plugin_there_is_no_such_route(http: requests.Session) -> None:
    with Sandbox(now=NOW, subscriptions_plugin=False) as sandbox:
        keys = sandbox.credentials("woocommerce")
        auth = (keys["consumer_key"], keys["consumer_secret"])
        answer = http.get(sandbox.url("woocommerce") + "/wp-json/wc/v3/subscriptions", auth=auth, timeout=10)
    assert answer.status_code == 404
    assert answer.json()["code"] == "rest_no_route"
