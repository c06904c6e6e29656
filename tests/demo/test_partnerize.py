"""Partnerize's connector from end to end against the sandbox, which keeps Partnerize's rules."""

from datetime import UTC, datetime, timedelta

import pytest
import requests

from connectors.partnerize import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, connect
from tests.world import World
from tracker.connect.normalise import prepare
from tracker.connect.rows import encode
from tracker.demo.facts import NetworkSale
from tracker.demo.partnerize import status_at
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected, RateLimited, RightMissing, UnexpectedData
from tracker.records import Earning, Payout, PayoutStatus, Settlement, Status

SINCE = datetime(2026, 2, 7, tzinfo=UTC)  # the first day of a window, so that no older conversion comes with it
WORDS = {"pending": Status.PENDING, "approved": Status.APPROVED, "rejected": Status.DECLINED}


def book(sandbox: Sandbox, **credentials: str) -> Book:
    return Book(connector, sandbox.url("partnerize"), sandbox.credentials("partnerize") | credentials)


def made_since(earnings: dict[str, Earning]) -> dict[str, Earning]:
    """Without the older conversions that were approved since then."""
    return {key: found for key, found in earnings.items() if found.earned_at >= SINCE}


def key(sale: NetworkSale, line: int = 1) -> str:
    return f"1011l{sale.id}:1011l{sale.id}{line}"


def get(sandbox: Sandbox, http: requests.Session, **params: str) -> requests.Response:
    keys = sandbox.credentials("partnerize")
    url = f"{sandbox.url('partnerize')}/reporting/report_publisher/publisher/{keys['publisher_id']}/conversion.json"
    return http.get(url, params=params, auth=(keys["application_key"], keys["user_api_key"]), timeout=10)


def test_a_first_read_finds_every_line_with_its_own_status(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("conversions", now=NOW, since=SINCE)
    sales = [sale for sale in sandbox.history.sales if SINCE <= sale.occurred <= NOW]
    split = [sale for sale in sales if sale.amended and sale.amended <= NOW]
    assert split
    assert {name: found.status for name, found in made_since(ours.earnings).items()} == {
        key(sale): WORDS[status_at(sale, NOW)] for sale in sales
    } | {key(sale, 2): Status.DECLINED for sale in split}
    assert all(ours.earnings[key(sale)].net == sale.amended_commission for sale in split)
    assert all(ours.earnings[key(sale)].earned_at == sale.occurred for sale in sales)
    assert any(line.query.count("cursor_id") for line in sandbox.requests)  # one window has more than a page


def test_a_later_read_ends_where_reading_everything_anew_ends(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    sandbox.now = NOW - timedelta(days=35)
    ours.read("conversions", now=sandbox.now, since=SINCE)
    before, unbilled = ours.earnings, set(ours.records)
    sandbox.now = NOW
    ours.read("conversions", now=NOW, since=SINCE)

    anew = book(sandbox)
    anew.read("conversions", now=NOW, since=SINCE)
    assert made_since(ours.earnings) == made_since(anew.earnings)
    assert anew.records.keys() <= ours.records.keys()
    assert any(kind == "PayoutItem" for kind, _ in ours.records.keys() - unbilled)

    later = {name: ours.earnings[name] for name in before}
    assert any(before[name].status is Status.PENDING and later[name].status is Status.APPROVED for name in before)
    assert any(before[name].status is Status.APPROVED and later[name].status is Status.DECLINED for name in before)
    assert any(before[name].net != later[name].net for name in before)


def test_a_line_is_as_settled_as_its_self_bill(sandbox: Sandbox, world: World) -> None:
    bill_day = datetime(2026, 6, 15, 9, tzinfo=UTC)  # a pay day in the sandbox
    connect(world, sandbox, "partnerize", at=bill_day - timedelta(hours=1), since=SINCE)
    assert world.sync("partnerize").outcome == "ok"
    before = world.earnings()
    world.now = sandbox.now = bill_day + timedelta(hours=1)
    assert world.sync("partnerize").outcome == "ok"
    after = world.earnings()
    again = world.sync("partnerize")
    payouts = world.ask("select external_id, status, amount from payout")
    due = [key(sale) for sale in sandbox.history.sales if sale.paid == bill_day and sale.occurred >= SINCE]
    assert due
    assert {before[name].settlement for name in due} == {Settlement.SCHEDULED}
    assert {(after[name].settlement, after[name].paid_at) for name in due} == {(Settlement.PAID, bill_day)}
    assert {after[name].payout_ref for name in due} <= {number for number, *_ in payouts}
    assert (again.new, again.changed) == (0, 0)


def test_a_bill_is_pending_until_it_has_a_payment_date(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    sandbox.now = NOW - timedelta(hours=4)  # before the pay day's hour
    ours.read("selfbills", now=sandbox.now, since=SINCE)
    bills = {one.external_id: one for one in ours.records.values() if isinstance(one, Payout)}
    pending = {name for name, bill in bills.items() if bill.status is PayoutStatus.PENDING}
    assert pending
    assert pending < bills.keys()
    assert all((bill.arrives_at is None) == (name in pending) for name, bill in bills.items())


def test_a_wrong_key_and_another_partners_account_are_told_apart(sandbox: Sandbox) -> None:
    with pytest.raises(AuthRejected, match="Authentication failed") as wrong:
        book(sandbox, user_api_key="wrong-key-0815").read("conversions", now=NOW, since=SINCE)
    assert not isinstance(wrong.value, RightMissing)
    with pytest.raises(RightMissing, match="user of this partner account"):
        book(sandbox, publisher_id="1l1").read("conversions", now=NOW, since=SINCE)


def test_a_pause_is_as_long_as_partnerize_says(sandbox: Sandbox) -> None:
    sandbox.fail("partnerize", "rate_limited")
    with pytest.raises(RateLimited) as pause:
        book(sandbox).read("conversions", now=NOW, since=SINCE)
    assert pause.value.retry_after_s == 23


@pytest.mark.parametrize(("trouble", "words"), [("repeated_cursor", "same cursor"), ("error_body", "no list")])
def test_an_answer_that_leads_nowhere_is_refused(sandbox: Sandbox, trouble: str, words: str) -> None:
    sandbox.fail("partnerize", trouble, times=None)
    with pytest.raises(UnexpectedData, match=words):
        book(sandbox).read("conversions", now=NOW, since=SINCE)


def test_every_time_is_asked_for_in_utc(sandbox: Sandbox, http: requests.Session) -> None:
    book(sandbox).read("conversions", now=NOW, since=NOW)
    assert all("timezone=UTC" in line.query for line in sandbox.requests)
    span = {"start_date": "2026-06-01T00:00:00Z", "end_date": "2026-06-02T00:00:00Z"}
    utc = get(sandbox, http, **span, timezone="UTC").json()["conversions"][0]["conversion_data"]
    own = get(sandbox, http, **span).json()["conversions"][0]["conversion_data"]  # the account's own zone
    assert (utc["conversion_id"], utc["conversion_time"]) != (own["conversion_id"], own["conversion_time"])


@pytest.mark.parametrize(
    "params", [{}, {"start_date": "yesterday"}, {"start_date": "2026-06-01T00:00:00Z", "date_type": "last_modified"}]
)
def test_a_broken_rule_is_a_bad_request(sandbox: Sandbox, http: requests.Session, params: dict[str, str]) -> None:
    answer = get(sandbox, http, **params)
    assert (answer.status_code, set(answer.json()["error"])) == (400, {"message", "type"})


def test_nobody_can_be_known_from_a_kept_row() -> None:
    row = {
        "conversion_data": {
            "conversion_id": "1l1",
            "referer_ip": "2001:db8::7",
            "customer_reference": "Kim@reader.example",
            "meta_data": {"mail": "kim@reader.example"},
            "click": {"set_ip": "2001:db8::7", "last_ip": "2001:db8::7", "referer": "b.example/kim", "set_time": "x"},
            "conversion_items": [{"conversion_item_id": "1l2", "meta_data": {"name": "Kim"}}],
        }
    }  # fmt: skip
    kept = prepare(connector.resource("conversions"), encode(row), lambda text: f"p_{len(text)}", lambda row: row).row
    assert kept == {
        "conversion_data": {
            "conversion_id": "1l1",
            "customer_reference": "p_18",
            "click": {"set_time": "x"},
            "conversion_items": [{"conversion_item_id": "1l2"}],
        }
    }


def test_a_payer_is_the_same_in_every_conversion(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("conversions", now=NOW, since=SINCE)
    payers = [found.payer for found in ours.earnings.values() if isinstance(found, Earning)]
    assert None not in payers
    assert 1 < len(set(payers)) < len(payers)
