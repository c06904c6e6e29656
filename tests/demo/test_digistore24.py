"""Digistore24 in the sandbox keeps Digistore24's rules, and its connector reads it over HTTP."""

import re
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
import requests

from connectors.digistore24 import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, connect
from tests.world import World
from tracker.connect.fetch import Client
from tracker.connect.normalise import prepare
from tracker.connect.pace import NoPace
from tracker.connect.plans import When
from tracker.connect.replay import MemoryTokens, dump, load, record_sample, replay
from tracker.connect.session import http_session
from tracker.demo.chance import cents
from tracker.demo.digistore24 import Digistore24, billing_of, share_of, type_of
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected, RateLimited, Unavailable, UnexpectedData
from tracker.records import Kind, Payout, PayoutStatus, Program, Recurrence, Settlement, Status

SINCE = NOW - timedelta(days=100)
BILLING = {
    "single_payment": Recurrence.ONE_OFF,
    "installment": Recurrence.INSTALMENT,
    "subscription": Recurrence.RECURRING,
}


def book(sandbox: Sandbox, **credentials: str) -> Book:
    keys = sandbox.credentials("digistore24") | credentials
    found = Book(connector, sandbox.url("digistore24"), keys, time_zone="Europe/Berlin")
    found.pace = NoPace()  # a purchase for each share: the sandbox has no limit that a test comes near
    return found


def test_every_share_is_read_with_the_kind_of_its_billing(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("shares", now=NOW, since=SINCE)
    actions = {str(action.id): action for action in sandbox.history.actions if action.original}
    wanted = {key for key, action in actions.items() if SINCE <= action.posted <= NOW}
    assert wanted <= ours.earnings.keys() <= actions.keys()
    for key, found in ours.earnings.items():
        action = actions[key]
        assert (found.net, found.sale_amount) == (cents(action.commission), action.sale)
        assert found.recurrence is BILLING[billing_of(action)]
        assert found.earned_at == action.posted.replace(microsecond=0)
        assert bool(found.recurrence_interval) == (found.recurrence is Recurrence.RECURRING)
        own = action.programme.id % 2 == 1
        renews = Kind.SUBSCRIPTION_PAYMENT if found.recurrence is Recurrence.RECURRING else Kind.SALE
        assert found.kind is (renews if own else Kind.COMMISSION)
        assert found.program == (None if own else str(action.programme.id))
    assert {found.recurrence for found in ours.earnings.values()} == set(BILLING.values())
    assert {found.kind for found in ours.earnings.values()} >= {Kind.COMMISSION, Kind.SALE}
    titles = {record.external_id for record in ours.records.values() if isinstance(record, Program)}
    assert titles == {found.program for found in ours.earnings.values()} - {None}


@pytest.mark.parametrize(("resource", "kind"), [("refund", Kind.REFUND), ("chargeback", Kind.CHARGEBACK)])
def test_what_is_taken_back_names_the_payment(sandbox: Sandbox, resource: str, kind: Kind) -> None:
    ours = book(sandbox)
    ours.read(f"{resource}s", now=NOW, since=sandbox.history.start)
    taken = {
        str(action.id): action
        for action in sandbox.history.actions
        if not action.original and action.commission < 0 and type_of(action) == resource and action.posted <= NOW
    }
    assert taken.keys() == ours.earnings.keys()
    firsts = {action.action_id: action.id for action in sandbox.history.actions if action.original}
    for key, found in ours.earnings.items():
        assert (found.kind, found.net) == (kind, cents(taken[key].commission))
        assert found.origin_ref == str(7_000_000_000 + firsts[taken[key].action_id])


def test_a_sale_that_is_refunded_later_is_reversed(sandbox: Sandbox, world: World) -> None:
    connect(world, sandbox, "digistore24", at=NOW - timedelta(days=20), since=SINCE)
    assert world.sync("digistore24").outcome == "ok"
    before = world.earnings()
    assert {row.settlement for row in before.values()} == {Settlement.SCHEDULED}
    world.now = sandbox.now = NOW
    assert world.sync("digistore24").outcome == "ok"
    after = world.earnings()
    moves = {(row.status, after[key].status) for key, row in before.items()}
    assert (Status.APPROVED, Status.REVERSED) in moves
    assert after.keys() > before.keys()
    taken = [row for row in after.values() if row.kind in (Kind.REFUND, Kind.CHARGEBACK)]
    firsts = {row.origin_ref: row for row in after.values() if row.kind not in (Kind.REFUND, Kind.CHARGEBACK)}
    assert any(row.origin_ref in firsts for row in taken)
    assert all(firsts[row.origin_ref].status == Status.REVERSED for row in taken if row.origin_ref in firsts)


def test_nothing_of_a_buyer_is_kept_nor_recorded(sandbox: Sandbox) -> None:
    keys, options = sandbox.credentials("digistore24"), {"base_url": sandbox.url("digistore24")}
    with http_session(allow_private=True) as http:
        tokens = MemoryTokens(NOW)
        client = Client(connector, slug="t", credentials=keys, options=options, tokens=tokens, http=http, pace=NoPace())
        resource = connector.resource("shares")
        recorded = dump(
            record_sample(client, resource, When(now=NOW, since=NOW - timedelta(days=3)), Book(connector, "", {}))
        )
        raw = msgspec.json.encode(share_of(sandbox.history.actions[0]))
        kept = prepare(resource, raw, str, lambda row: client.detail(resource, row)).kept
    assert b"listPurchases" in recorded
    assert b"billing_type" in kept
    assert not re.search(b"kim|@reader|sample.example", recorded + kept, re.IGNORECASE)
    assert not [line for line in replay(connector, load(recorded)) if "quarantine" in line or "error" in line]


def test_credit_notes_become_payouts_less_their_fee(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    sandbox.now = NOW.replace(day=2)
    ours.read("payouts", now=sandbox.now, since=SINCE)
    played = Digistore24(sandbox.history, sandbox.credentials("digistore24"))
    payouts = [record for record in ours.records.values() if isinstance(record, Payout)]
    assert [(one.created_at, one.amount) for one in payouts] == [
        (day, amount - 1) for day, amount in played.credit_notes(sandbox.now)
    ]
    assert (payouts[-1].status, payouts[-1].arrives_at, payouts[-1].fee) == (PayoutStatus.PENDING, None, Decimal(1))
    sandbox.now = NOW
    ours.read("payouts", now=NOW, since=SINCE)
    later = ours.records["Payout", payouts[-1].external_id]
    assert isinstance(later, Payout)
    assert (later.status, later.arrives_at) == (PayoutStatus.PAID, later.created_at + timedelta(days=3))


def test_a_wrong_key_is_refused_and_stands_in_no_message(sandbox: Sandbox) -> None:
    with pytest.raises(AuthRejected) as refused:
        book(sandbox, api_key="123456-wrong").read("shares", now=NOW, since=SINCE)
    assert "wrong" not in str(refused.value)
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    ("trouble", "path", "error"),
    [
        ("rate_limited", "", RateLimited),
        ("error_body", "listCommissions", Unavailable),
        ("error_body", "listPurchases", Unavailable),
        ("repeated_cursor", "listCommissions", UnexpectedData),
    ],
)
def test_trouble_stops_the_sync_and_loses_nothing(
    sandbox: Sandbox, trouble: str, path: str, error: type[Exception]
) -> None:
    sandbox.fail("digistore24", trouble, path=path, times=None)
    with pytest.raises(error):
        book(sandbox).read("shares", now=NOW, since=NOW - timedelta(days=20))


def test_without_a_start_only_the_last_day_comes(sandbox: Sandbox, http: requests.Session) -> None:
    url = f"{sandbox.url('digistore24')}/api/call/listCommissions"
    headers = {"X-DS-API-KEY": sandbox.credentials("digistore24")["api_key"]}
    short, long = (
        http.get(url, params=params, headers=headers, timeout=10).json()["data"]["item_count"]
        for params in ({}, {"from": "-30d"})
    )
    assert short < long
    odd = http.get(url, params={"from": "yesterday"}, headers=headers, timeout=10).json()
    assert (odd["result"], odd["code"]) == ("error", 3)
