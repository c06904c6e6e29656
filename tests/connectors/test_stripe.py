"""Stripe's connector against the sandbox, over HTTP, and how it asks."""

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

import pytest

from connectors.stripe import ask, connector
from tests.connectors.over_http import Book
from tracker.connect.auth import Request
from tracker.connect.plans import iso_z
from tracker.connect.replay import MemoryTokens
from tracker.connect.webhook import WebhookScheme
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected, RateLimited, RightMissing, Unavailable, UnexpectedData
from tracker.records import (
    NOT_INCOME,
    Invoice,
    Kind,
    Payout,
    PayoutItem,
    PayoutStatus,
    Recurrence,
    Status,
    Subscription,
)

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
SINCE = datetime(2026, 2, 7, tzinfo=UTC)  # the first day of a window, so that no older row comes with it
OLD = "2024-06-20"


Made = TypeVar("Made")


class StripeBook(Book):
    def payouts_to_itemise(self, limit: int) -> list[str]:
        return [payout.external_id for payout in self.of(Payout) if payout.itemised][: min(limit, 20)]

    def of(self, kind: type[Made]) -> list[Made]:
        return [record for record in self.records.values() if isinstance(record, kind)]


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, rate_limits=False) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.now = NOW
    running.heal()
    running.forget_requests()
    return running


def book(sandbox: Sandbox, *, lacking: tuple[str, ...] = (), **options: str) -> StripeBook:
    return StripeBook(connector, sandbox.url("stripe"), sandbox.credentials("stripe", lacking=lacking), **options)


def asked_for(sandbox: Sandbox, path: str) -> list[str]:
    return [request.query for request in sandbox.requests if request.path == path]


# --- over HTTP


def test_a_first_read_finds_every_row_of_the_ledger(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("balance_transactions", now=NOW, since=SINCE)
    rows = {row.id: row for row in sandbox.history.movements if SINCE <= row.created <= NOW}
    assert ours.earnings.keys() == rows.keys()
    assert {key: found.net for key, found in ours.earnings.items()} == {
        key: Decimal(row.net) / 100 for key, row in rows.items()
    }
    assert {key for key, found in ours.earnings.items() if found.kind is Kind.REFUND} == {
        key for key, row in rows.items() if row.category in ("refund", "charge_failure")
    }
    assert {key for key, found in ours.earnings.items() if found.kind in NOT_INCOME} == {
        key for key, row in rows.items() if row.category.startswith("payout") or row.category == "loyalty_credit"
    }
    assert {found.sale_currency for found in ours.earnings.values()} == {"EUR", "USD", None}


def test_a_pending_row_is_approved_once_it_is_available(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("balance_transactions", now=NOW, since=SINCE)
    waiting = {key for key, found in ours.earnings.items() if found.status is Status.PENDING}
    assert waiting == {row.id for row in sandbox.history.movements if row.created <= NOW < row.available}
    assert all(ours.earnings[key].validated_at is None for key in waiting)
    sandbox.forget_requests()
    sandbox.now = later = NOW + timedelta(days=12)
    ours.read("balance_transactions", now=later, since=SINCE)
    assert all(ours.earnings[key].status is Status.APPROVED for key in waiting)
    assert all(ours.earnings[key].validated_at for key in waiting)
    since = int((NOW - timedelta(days=35)).timestamp())
    assert f"created[gte]={since}" in asked_for(sandbox, "/v1/balance_transactions")[0].replace("%5B", "[").replace(
        "%5D", "]"
    )


def test_what_is_inside_a_payout_adds_up_to_it(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("payouts", now=NOW, since=SINCE)
    ours.read("payout_items", now=NOW, since=SINCE)
    payouts = {payout.external_id: payout for payout in ours.of(Payout)}
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for item in ours.of(PayoutItem):
        sums[item.payout_ref] += item.amount
    assert len(sums) == 20
    assert sums == {key: payouts[key].amount for key in sums}
    by_hand = {transfer.id for transfer in sandbox.history.settlements if not transfer.automatic}
    assert by_hand & payouts.keys()
    assert not by_hand & sums.keys()


def test_a_payout_that_fails_later_is_read_anew_from_the_change_feed(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("payouts", now=NOW, since=SINCE)
    before = {payout.external_id: payout.status for payout in ours.of(Payout)}
    sandbox.forget_requests()
    sandbox.now = later = NOW + timedelta(days=6)
    ours.read("payouts", now=later, since=SINCE)
    turned = {payout.external_id for payout in ours.of(Payout) if payout.status is PayoutStatus.FAILED} - {
        key for key, status in before.items() if status is PayoutStatus.FAILED
    }
    assert {before[key] for key in turned} == {PayoutStatus.PAID}
    assert asked_for(sandbox, "/v1/events")
    assert not asked_for(sandbox, "/v1/payouts")


def test_after_more_than_the_memory_of_the_feed_the_full_list_is_read(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("payouts", now=NOW, since=SINCE)
    sandbox.forget_requests()
    sandbox.now = later = NOW + timedelta(days=31)
    ours.read("payouts", now=later, since=SINCE)
    assert not asked_for(sandbox, "/v1/events")
    assert len(ours.of(Payout)) == sum(transfer.created <= later for transfer in sandbox.history.settlements)


def test_invoices_name_the_subscription_of_each_payment(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("invoices", now=NOW, since=SINCE)
    bills = [bill for bill in sandbox.history.invoices if bill.attempts and bill.attempts[0].created <= NOW]
    assert {(found.payment_ref, found.subscription_ref) for found in ours.of(Invoice)} >= {
        (bill.attempts[0].intent, bill.contract.id) for bill in bills
    }
    assert {found.recurrence for found in ours.of(Invoice)} == {Recurrence.RECURRING}
    assert {found.interval for found in ours.of(Invoice)} == {None}
    assert {found.product for found in ours.of(Invoice)} == {"prod_TrailLetters01", "prod_Wegmarke0001"}


@pytest.mark.parametrize("version", ["2026-06-24.dahlia", OLD])
def test_an_invoice_is_read_when_it_is_paid_however_old_it_is(sandbox: Sandbox, version: str) -> None:
    ours = book(sandbox, api_version=version)
    since = NOW - timedelta(days=3)
    ours.state = {"through": iso_z(since)}
    ours.read("invoices", now=NOW, since=SINCE)
    paid = {
        bill.contract.id
        for bill in sandbox.history.invoices
        if bill.attempts and bill.paid and since <= bill.paid <= NOW
    }
    assert paid
    assert {found.subscription_ref for found in ours.of(Invoice)} >= paid
    assert {str(found.interval) for found in ours.of(Invoice)} == ({"month", "year"} if version == OLD else {"None"})
    assert not asked_for(sandbox, "/v1/invoices")


def test_subscriptions_are_the_same_in_both_shapes(sandbox: Sandbox) -> None:
    shapes = [book(sandbox), book(sandbox, api_version="2025-04-30.basil"), book(sandbox, api_version=OLD)]
    for ours in shapes:
        ours.read("subscriptions", now=NOW, since=SINCE)
    new, middle, old = (ours.records for ours in shapes)
    assert new == middle == old
    contracts = {contract.id: contract for contract in sandbox.history.contracts if contract.started <= NOW}
    found = {record.external_id: record for record in shapes[0].of(Subscription)}
    assert found.keys() == contracts.keys()
    assert {key: record.amount for key, record in found.items()} == {
        key: Decimal(contract.plan_at(NOW).amount) / 100 for key, contract in contracts.items()
    }
    reduced = {key for key, record in found.items() if record.discount_forever or record.discount_limited}
    running = {
        key
        for key, one in contracts.items()
        if one.discount_percent and not (one.discount_ends and one.discount_ends <= NOW)
    }
    assert reduced == running != set()


def test_a_subscription_that_ends_is_read_anew(sandbox: Sandbox) -> None:
    last = max(
        (one for one in sandbox.history.contracts if one.ended and one.ended <= NOW), key=lambda one: str(one.ended)
    )
    assert last.ended
    sandbox.now = last.ended + timedelta(hours=1)
    ours = book(sandbox)
    ours.state = {"through": iso_z(last.ended - timedelta(hours=1))}
    ours.read("subscriptions", now=sandbox.now, since=SINCE)
    assert {found.external_id: found.ended_at for found in ours.of(Subscription)}[last.id] == last.ended
    assert not asked_for(sandbox, "/v1/subscriptions")


def test_a_wrong_key_is_refused(sandbox: Sandbox) -> None:
    ours = StripeBook(connector, sandbox.url("stripe"), {"api_key": "rk_live_" + "0" * 30})
    with pytest.raises(AuthRejected, match="Invalid API Key") as caught:
        ours.read("payouts", now=NOW, since=SINCE)
    assert "0" * 20 not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "lacking", "right"),
    [
        ("balance_transactions", "balance_transaction_source", "Balance transaction sources"),
        ("payouts", "payout", "Payouts"),
        ("payout_items", "balance_transaction_source", "Balance transaction sources"),
        ("invoices", "invoice", "Invoices"),
        ("subscriptions", "subscription", "Subscriptions"),
    ],
)
def test_a_missing_right_is_named(sandbox: Sandbox, name: str, lacking: str, right: str) -> None:
    whole, ours = book(sandbox), book(sandbox, lacking=(lacking,))
    whole.read("payouts", now=NOW, since=SINCE)
    ours.records = whole.records
    with pytest.raises(RightMissing, match=right):
        ours.read(name, now=NOW, since=SINCE)


def test_the_right_to_events_is_named_once_it_is_needed(sandbox: Sandbox) -> None:
    ours = book(sandbox, lacking=("event",))
    ours.read("payouts", now=NOW, since=SINCE)
    with pytest.raises(RightMissing, match="Events"):
        ours.read("payouts", now=NOW, since=SINCE)


@pytest.mark.parametrize(
    ("trouble", "error"),
    [("rate_limited", RateLimited), ("error_body", Unavailable), ("repeated_cursor", UnexpectedData)],
)
def test_trouble_at_stripe_loses_nothing(sandbox: Sandbox, trouble: str, error: type[Exception]) -> None:
    sandbox.fail("stripe", trouble, times=None)
    ours = book(sandbox)
    with pytest.raises(error):
        ours.read("invoices", now=NOW, since=SINCE)
    assert "through" not in ours.state


def test_an_error_in_place_of_a_changed_object_does_not_lose_the_change(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.state = before = {"through": iso_z(NOW - timedelta(days=8))}
    sandbox.fail("stripe", "error_body", path="/v1/payouts/", times=None)
    with pytest.raises(Unavailable, match="unknown error"):
        ours.read("payouts", now=NOW, since=SINCE)
    assert ours.state == before
    sandbox.heal()
    ours.read("payouts", now=NOW, since=SINCE)
    assert ours.of(Payout)


# --- asking


def asked(version: str, params: dict[str, str], **credentials: str) -> Request:
    request = Request(
        method="GET", url="https://api.stripe.com/v1/x", params=dict(params), headers={"Stripe-Version": version}
    )
    ask(request, {"api_key": "rk_live_x", **credentials}, MemoryTokens(NOW))
    return request


def test_a_connected_account_is_named_only_when_given() -> None:
    assert asked("2026-06-24.dahlia", {}).headers["Authorization"] == "Bearer rk_live_x"
    assert "Stripe-Account" not in asked("2026-06-24.dahlia", {}, account_id="").headers
    assert asked("2026-06-24.dahlia", {}, account_id="acct_1").headers["Stripe-Account"] == "acct_1"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2026-06-24.dahlia", {"a": "data.discounts.source.coupon", "b": "data.payments", "c": "data.source"}),
        ("2025-03-31.basil", {"a": "data.discounts", "b": "data.payments", "c": "data.source"}),
        ("2024-06-20", {"a": "data.discounts", "c": "data.source"}),
    ],
)
def test_an_older_version_is_not_asked_to_expand_what_it_does_not_know(version: str, expected: dict[str, str]) -> None:
    params = {"a": "data.discounts.source.coupon", "b": "data.payments", "c": "data.source"}
    assert asked(version, params).params == expected


def test_a_webhook_is_checked_by_stripes_signature() -> None:
    scheme, body = connector.webhook, b'{"id": "evt_1"}'
    assert isinstance(scheme, WebhookScheme)
    stamp = int(NOW.timestamp())
    digest = hmac.new(b"whsec_sample", f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    scheme.verify({"Stripe-Signature": f"t={stamp},v1={digest},v0=old"}, body, "whsec_sample", NOW)
    with pytest.raises(AuthRejected, match="signature"):
        scheme.verify({"Stripe-Signature": f"t={stamp},v1={digest}"}, body + b" ", "whsec_sample", NOW)
