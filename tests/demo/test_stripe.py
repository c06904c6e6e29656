"""Stripe in the sandbox keeps Stripe's rules: keys, lists, expansion, versions, the change feed."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests

from tests.demo.conftest import NOW, Get
from tracker.demo.server import Sandbox

All = Callable[..., list[dict[str, Any]]]
OLD = "2024-06-20"


def test_a_missing_or_wrong_key_is_refused(sandbox: Sandbox, stripe: Get, http: requests.Session) -> None:
    url = sandbox.url("stripe") + "/v1/charges"
    assert http.get(url, timeout=10).status_code == 401
    wrong = stripe("charges", key="rk_live_wrong")
    assert wrong.status_code == 401
    assert wrong.json()["error"]["type"] == "invalid_request_error"
    key = sandbox.credentials("stripe")["api_key"]
    assert key not in stripe("charges", key=key + "x").text
    assert http.get(url, auth=(key, ""), timeout=10).status_code == 200


def test_a_restricted_key_without_a_right_is_told_which_one(sandbox: Sandbox, stripe: Get) -> None:
    key = sandbox.credentials("stripe", lacking=["payout", "dispute"])["api_key"]
    refused = stripe("payouts", key=key)
    assert refused.status_code == 403
    assert "'rak_payout_read'" in refused.json()["error"]["message"]
    assert stripe("disputes", key=key).status_code == 403
    assert stripe("charges", key=key).status_code == 200


@pytest.mark.parametrize(
    ("path", "params", "status", "param"),
    [
        ("charges", {"limit": "101"}, 400, "limit"),
        ("charges", {"limit": "0"}, 400, "limit"),
        ("charges", {"limit": "ten"}, 400, "limit"),
        ("charges", {"starting_after": "ch_nobody"}, 400, "starting_after"),
        ("charges", {"since": "1"}, 400, "since"),
        ("charges", {"created[gte]": "2026-01-01"}, 400, "created[gte]"),
        ("charges", {"expand[]": "balance_transaction"}, 400, "expand"),
        ("charges", {"expand[]": "data.nonsense"}, 400, "expand"),
        ("charges", {"expand[]": "data.a.b.c.d.e"}, 400, "expand"),
        ("balance_transactions", {"payout": "po_nobody"}, 400, "payout"),
        ("charges/ch_nobody", {}, 404, "id"),
        ("nonsense", {}, 404, None),
    ],
)
def test_a_broken_rule_has_stripes_error(
    stripe: Get, path: str, params: dict[str, str], status: int, param: str | None
) -> None:
    answer = stripe(path, params)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["message"]
    assert error.get("param") == param
    assert answer.headers["Stripe-Should-Retry"] == "false"


def test_an_unknown_version_is_refused_and_the_answer_names_its_own(stripe: Get) -> None:
    assert stripe("charges", version="basil").status_code == 400
    assert stripe("charges", version=OLD).headers["Stripe-Version"] == OLD


def test_a_hundred_and_first_request_in_a_second_is_throttled(http: requests.Session) -> None:
    with Sandbox(now=NOW, stripe_calls_per_second=100, monotonic=lambda: 1.0) as sandbox:
        headers = {"Authorization": "Bearer " + sandbox.credentials("stripe")["api_key"]}
        seen = [http.get(sandbox.url("stripe") + "/v1/account", headers=headers, timeout=10) for _ in range(101)]
    assert [answer.status_code for answer in seen] == [200] * 100 + [429]
    assert seen[-1].json()["error"]["code"] == "rate_limit"


def test_lists_are_newest_first_and_hold_each_row_once(all_of: All, sandbox: Sandbox) -> None:
    rows = all_of("balance_transactions")
    assert [row["created"] for row in rows] == sorted((row["created"] for row in rows), reverse=True)
    assert len({row["id"] for row in rows}) == len(rows)
    assert len(rows) == sum(row.created <= sandbox.now for row in sandbox.history.movements)
    assert 150 * 24 < len(rows) < 400 * 25


def test_a_page_before_a_row_is_the_page_above_it(stripe: Get) -> None:
    first = stripe("charges", {"limit": 20}).json()["data"]
    above = stripe("charges", {"limit": 5, "ending_before": first[10]["id"]}).json()
    assert [row["id"] for row in above["data"]] == [row["id"] for row in first[5:10]]
    assert above["has_more"]


@pytest.mark.parametrize(("word", "holds"), [("gt", False), ("gte", True), ("lt", False), ("lte", True)])
def test_created_is_compared_by_the_second(stripe: Get, word: str, holds: bool) -> None:
    row = stripe("balance_transactions", {"limit": 50}).json()["data"][30]
    found = stripe("balance_transactions", {"limit": 100, f"created[{word}]": row["created"]}).json()["data"]
    assert (row["id"] in [other["id"] for other in found]) == holds
    compare = {"gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__}[word]
    assert all(compare(other["created"], row["created"]) for other in found)


def test_canceled_subscriptions_are_hidden_unless_all_are_asked_for(all_of: All) -> None:
    shown = all_of("subscriptions")
    everyone = all_of("subscriptions", ("status", "all"))
    assert {row["status"] for row in everyone} == {"active", "canceled", "past_due", "trialing"}
    assert {row["id"] for row in shown} == {row["id"] for row in everyone if row["status"] != "canceled"}
    assert {row["status"] for row in all_of("subscriptions", ("status", "canceled"))} == {"canceled"}


def test_expansion_works_in_lists_and_on_single_objects(stripe: Get) -> None:
    path = [("expand[]", "data.source"), ("type", "refund")]
    row = stripe("balance_transactions", path).json()["data"][0]
    assert row["source"]["object"] == "refund"
    single = stripe(f"balance_transactions/{row['id']}", [("expand[]", "source.charge")]).json()
    assert single["source"]["charge"]["id"] == row["source"]["charge"]
    assert stripe(f"balance_transactions/{row['id']}").json()["source"] == row["source"]["id"]
    contract = stripe("subscriptions", [("expand[]", "data.customer"), ("expand[]", "data.items.data.price.product")])
    first = contract.json()["data"][0]
    assert first["customer"]["object"] == "customer"
    assert first["items"]["data"][0]["price"]["product"]["name"]


def test_before_basil_an_invoice_names_its_subscription_and_charge_itself(all_of: All, stripe: Get) -> None:
    new = stripe("invoices", [("status", "paid"), ("expand[]", "data.payments"), ("limit", "50")]).json()["data"]
    old = stripe("invoices", {"status": "paid", "limit": "50"}, version=OLD).json()["data"]
    assert [bill["id"] for bill in new] == [bill["id"] for bill in old]
    for after, before in zip(new, old, strict=True):
        assert not {"subscription", "charge", "payment_intent", "paid", "tax"} & set(after)
        assert not {"parent", "payments"} & set(before)
        assert after["parent"]["subscription_details"]["subscription"] == before["subscription"]
        intents = [link["payment"]["payment_intent"] for link in after["payments"]["data"]]
        assert intents == ([before["payment_intent"]] if before["payment_intent"] else [])
        assert (
            before["lines"]["data"][0]["price"]["id"] == after["lines"]["data"][0]["pricing"]["price_details"]["price"]
        )
    contract, older = stripe("subscriptions").json()["data"][0], stripe("subscriptions", version=OLD).json()["data"][0]
    assert "current_period_end" not in contract
    assert contract["items"]["data"][0]["current_period_end"] == older["current_period_end"]
    charge = stripe("charges", version=OLD).json()["data"]
    assert all("invoice" in row for row in charge)
    assert "invoice" not in stripe("charges").json()["data"][0]
    assert stripe("invoice_payments", version=OLD).status_code == 404


def test_a_payment_leads_to_its_invoice(stripe: Get) -> None:
    bill = stripe("invoices", [("status", "paid"), ("limit", "100"), ("expand[]", "data.payments")]).json()["data"]
    paid = next(entry for entry in bill if entry["payments"]["data"])
    intent = paid["payments"]["data"][0]["payment"]["payment_intent"]
    pairs = {"payment[type]": "payment_intent", "payment[payment_intent]": intent}
    links = stripe("invoice_payments", pairs).json()["data"]
    assert [link["invoice"] for link in links] == [paid["id"]]
    assert stripe("charges", {"payment_intent": intent}).json()["data"][0]["amount"] == paid["amount_paid"]


def test_the_coupon_moved_to_the_source_of_a_discount(all_of: All, stripe: Get) -> None:
    new = [row for row in all_of("subscriptions", ("expand[]", "data.discounts.source.coupon")) if row["discounts"]]
    assert {row["discounts"][0]["source"]["coupon"]["duration"] for row in new} == {"forever", "repeating"}
    path = [("expand[]", "discounts")]
    old = stripe(f"subscriptions/{new[0]['id']}", path, version=OLD).json()
    assert old["discounts"][0]["coupon"] == new[0]["discounts"][0]["source"]["coupon"]
    assert stripe(f"subscriptions/{new[0]['id']}").json()["discounts"] == [new[0]["discounts"][0]["id"]]


def test_events_are_kept_thirty_days_and_filtered_by_type(all_of: All, stripe: Get) -> None:
    events = all_of("events")
    oldest = (NOW - timedelta(days=30)).timestamp()
    assert oldest <= min(event["created"] for event in events) < oldest + 86_400
    kinds = [("types[]", "payout.paid"), ("types[]", "customer.subscription.*")]
    found = all_of("events", *kinds)
    assert {event["type"].rpartition(".")[0] for event in found} == {"payout", "customer.subscription"}
    assert {event["id"] for event in found} < {event["id"] for event in events}
    assert stripe("events", [*kinds, ("type", "charge.*")]).status_code == 400
    assert stripe("events", [("types[]", f"charge.{n}") for n in range(21)]).status_code == 400


def test_every_change_of_an_object_has_an_event_and_the_object_is_read_again(
    all_of: All, stripe: Get, sandbox: Sandbox
) -> None:
    before = {row["id"]: row for row in all_of("subscriptions", ("status", "all"))}
    sandbox.now = NOW + timedelta(days=20)
    told = {event["data"]["object"]["id"] for event in all_of("events", ("created[gt]", str(int(NOW.timestamp()))))}
    now = {row["id"]: row for row in all_of("subscriptions", ("status", "all"))}
    changed = {number for number, row in now.items() if before.get(number) != row}
    assert changed <= told
    assert any(
        before[number]["status"] == "active" and now[number]["status"] == "canceled" for number in changed & set(before)
    )
    some = changed.pop()
    assert stripe(f"subscriptions/{some}").json() == now[some]
