"""The money in the sandbox's Stripe adds up."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.demo.conftest import NOW, Get
from tracker.demo.server import Sandbox

All = Callable[..., list[dict[str, Any]]]


def test_net_is_amount_less_fee_and_fees_have_their_details(all_of: All) -> None:
    for row in all_of("balance_transactions"):
        assert row["net"] == row["amount"] - row["fee"]
        assert row["fee"] == sum(detail["amount"] for detail in row["fee_details"])
        assert row["currency"] == "eur"


def test_the_ledger_has_every_kind_of_row_the_story_promises(all_of: All) -> None:
    rows = all_of("balance_transactions")
    assert {row["reporting_category"] for row in rows} == {
        "charge",
        "refund",
        "charge_failure",
        "dispute",
        "dispute_reversal",
        "fee",
        "payout",
        "payout_reversal",
        "loyalty_credit",  # no category of Stripe's: a row to be kept and shown
    }
    assert {row["type"] for row in rows} >= {
        "charge",
        "payment",
        "refund",
        "adjustment",
        "stripe_fee",
        "payout_failure",
    }
    assert any(row["exchange_rate"] for row in rows)
    assert {row["status"] for row in rows} == {"available", "pending"}


def test_a_dollar_charge_settles_in_euros_at_its_rate(stripe: Get) -> None:
    rows = stripe("balance_transactions", [("expand[]", "data.source"), ("limit", "100"), ("type", "charge")]).json()
    foreign = [row for row in rows["data"] if row["exchange_rate"] is not None]
    assert foreign
    for row in foreign:
        assert row["source"]["currency"] == "usd"
        assert row["amount"] == round(row["source"]["amount"] * row["exchange_rate"])


def test_every_reconciled_payout_equals_its_rows(all_of: All) -> None:
    payouts = [payout for payout in all_of("payouts") if payout["reconciliation_status"] == "completed"]
    assert len(payouts) > 90
    for payout in payouts:
        rows = all_of("balance_transactions", ("payout", payout["id"]))
        own = [row for row in rows if row["type"] == "payout"]
        assert [row["id"] for row in own] == [payout["balance_transaction"]]
        assert own[0]["net"] == -payout["amount"]
        assert sum(row["net"] for row in rows if row["type"] != "payout") == payout["amount"] > 0


def test_every_row_that_became_available_is_in_exactly_one_payout(all_of: All, sandbox: Sandbox) -> None:
    settled = [row.id for transfer in sandbox.history.settlements for row in transfer.rows]
    assert len(settled) == len(set(settled))
    old = (NOW - timedelta(days=14)).timestamp()
    assert {
        row["id"] for row in all_of("balance_transactions") if row["available_on"] < old and row["type"] != "payout"
    } <= set(settled)


def test_a_fresh_payout_lists_nothing_but_itself_until_it_is_reconciled(all_of: All, stripe: Get) -> None:
    newest = stripe("payouts", {"limit": 1}).json()["data"][0]
    assert newest["reconciliation_status"] == "in_progress"
    assert [row["type"] for row in all_of("balance_transactions", ("payout", newest["id"]))] == ["payout"]


def test_a_manual_payout_cannot_be_itemised(all_of: All, stripe: Get) -> None:
    by_hand = [payout for payout in all_of("payouts") if not payout["automatic"]]
    assert len(by_hand) == 1
    assert by_hand[0]["reconciliation_status"] == "not_applicable"
    refused = stripe("balance_transactions", {"payout": by_hand[0]["id"]})
    assert refused.status_code == 400


def test_a_failed_payout_comes_back_as_a_row_of_the_next(all_of: All, stripe: Get) -> None:
    failed = all_of("payouts", ("status", "failed"))
    assert len(failed) == 1
    back = stripe(f"balance_transactions/{failed[0]['failure_balance_transaction']}").json()
    assert (back["reporting_category"], back["net"], back["source"]) == (
        "payout_reversal",
        failed[0]["amount"],
        failed[0]["id"],
    )


def test_a_paid_payout_fails_when_the_clock_moves_on(all_of: All, sandbox: Sandbox) -> None:
    before = {payout["id"]: payout["status"] for payout in all_of("payouts")}
    sandbox.now = NOW + timedelta(days=7)
    after = {payout["id"]: payout["status"] for payout in all_of("payouts")}
    moves = {(before[number], status) for number, status in after.items() if number in before}
    assert ("paid", "failed") in moves
    assert ("pending", "paid") in moves


def test_pending_rows_become_available_without_an_event(all_of: All, sandbox: Sandbox) -> None:
    waiting = {row["id"] for row in all_of("balance_transactions") if row["status"] == "pending"}
    sandbox.now = NOW + timedelta(days=8)
    later = {row["id"]: row for row in all_of("balance_transactions")}
    assert waiting
    assert {later[number]["status"] for number in waiting} == {"available"}


def test_one_dispute_is_lost_and_one_is_won(all_of: All) -> None:
    cases = {case["status"]: case for case in all_of("disputes")}
    assert set(cases) == {"lost", "won"}
    assert [row["reporting_category"] for row in cases["lost"]["balance_transactions"]] == ["dispute"]
    assert sum(row["amount"] for row in cases["won"]["balance_transactions"]) == 0
    assert cases["lost"]["balance_transactions"][0]["fee"] == 2000


def test_charges_tell_what_was_given_back(all_of: All) -> None:
    charges = {charge["id"]: charge for charge in all_of("charges")}
    given: dict[str, int] = {}
    for refund in all_of("refunds"):
        given[refund["charge"]] = given.get(refund["charge"], 0) + refund["amount"]
    assert {
        number: charge["amount_refunded"] for number, charge in charges.items() if charge["amount_refunded"]
    } == given
    assert {charge["refunded"] for number, charge in charges.items() if number in given} == {True, False}
    assert {charge["status"] for charge in charges.values()} == {"succeeded", "failed", "pending"}


def test_invoices_add_up(all_of: All) -> None:
    bills = all_of("invoices")
    assert {bill["status"] for bill in bills} >= {"paid", "uncollectible", "void"}
    assert {bill["billing_reason"] for bill in bills} == {
        "subscription_create",
        "subscription_cycle",
        "subscription_update",
    }
    for bill in bills:
        assert bill["subtotal"] == sum(line["amount"] for line in bill["lines"]["data"])
        assert bill["total"] == bill["subtotal"] - sum(off["amount"] for off in bill["total_discount_amounts"])
        assert bill["amount_paid"] + bill["amount_remaining"] == bill["amount_due"]
    assert any(bill["total"] == 0 for bill in bills)  # a trial


def test_a_price_rise_reaches_old_customers_at_their_renewal(all_of: All) -> None:
    prices: dict[str, set[str]] = {}
    for bill in all_of("invoices"):
        if bill["billing_reason"] == "subscription_cycle":
            line = bill["lines"]["data"][0]
            prices.setdefault(bill["parent"]["subscription_details"]["subscription"], set()).add(
                line["pricing"]["price_details"]["price"]
            )
    assert any({"price_1WegmarkeSolo2023", "price_1WegmarkeSolo2025"} <= seen for seen in prices.values())
