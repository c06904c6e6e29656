"""TradeTracker in the sandbox keeps TradeTracker's rules, and its connector reads it over SOAP."""

from datetime import timedelta

import pytest
import requests

from connectors.tradetracker import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, TROUBLES, check_troubles, connect, read_twice
from tests.world import World
from tracker.connect.pace import NoPace
from tracker.connect.soap import call
from tracker.demo.server import Sandbox
from tracker.demo.tradetracker import status_of
from tracker.errors import AuthRejected, NotFound, Unavailable, UnexpectedData
from tracker.records import Payout, PayoutStatus, Program, Settlement, Status

SINCE = NOW - timedelta(days=300)
WORDS = {"pending": Status.PENDING, "accepted": Status.APPROVED, "rejected": Status.DECLINED}


def book(sandbox: Sandbox, payments: str = "yes", **credentials: str) -> Book:
    keys = sandbox.credentials("tradetracker") | credentials
    found = Book(connector, sandbox.url("tradetracker"), keys, payments=payments)
    found.pace = NoPace()
    return found


def test_a_first_read_finds_every_conversion_with_both_of_its_states(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("conversions", now=NOW, since=sandbox.history.start)
    sales = {str(sale.id): sale for sale in sandbox.history.sales if sale.occurred < NOW and not sale.bonus}
    assert {key: (found.status, found.net) for key, found in ours.earnings.items()} == {
        key: (WORDS[status_of(sale, NOW)], sale.amounts(NOW)[1]) for key, sale in sales.items()
    }
    for key, found in ours.earnings.items():
        paid_at = sales[key].paid
        assert (found.settlement is Settlement.PAID) == bool(paid_at and paid_at <= NOW)
        assert found.earned_at == sales[key].occurred
        assert found.program == str(sales[key].programme.id)
    titles = {record.external_id for record in ours.records.values() if isinstance(record, Program)}
    assert titles == {found.program for found in ours.earnings.values()}
    assert any("<offset>250<" in line.body for line in sandbox.requests)


def test_a_later_read_ends_where_reading_everything_anew_ends(sandbox: Sandbox) -> None:
    read = read_twice(sandbox, book, "conversions", SINCE, 35, anew_since=sandbox.history.start)
    assert {key: read.anew[key] for key in read.later} == read.later
    assert {(Status.PENDING, Status.APPROVED), (Status.APPROVED, Status.DECLINED)} <= read.moves
    assert read.changed("settlement")
    assert read.changed("net")


def test_a_session_serves_several_syncs_and_is_begun_anew_when_it_has_ended(sandbox: Sandbox, world: World) -> None:
    connect(world, sandbox, "tradetracker", at=NOW - timedelta(days=30), since=SINCE)
    assert world.sync("tradetracker").outcome == "ok"
    before = world.earnings()
    world.now = sandbox.now = world.now + timedelta(minutes=5)
    assert world.sync("tradetracker").outcome == "ok"
    logins = [line for line in sandbox.requests if "<t:authenticate>" in line.body]
    assert len(logins) == 1
    world.now = sandbox.now = world.now + timedelta(minutes=30)  # ours would last an hour, theirs twenty minutes
    assert world.sync("tradetracker").outcome == "ok"
    refused = [line for line in sandbox.requests if line.status == 500]
    assert len(refused) == 1
    world.now = sandbox.now = NOW
    assert world.sync("tradetracker").outcome == "ok"
    after = world.earnings()
    moves = {(row.status, after[key].status) for key, row in before.items()}
    assert (Status.APPROVED, Status.REVERSED) in moves
    statuses = {status for (status,) in world.ask("SELECT status FROM payout")}
    assert "paid" in statuses


def test_payments_are_read_until_they_are_paid(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    due = min(at for sale in sandbox.history.sales if (at := sale.paid) and at > NOW)
    sandbox.now = due - timedelta(days=1)
    ours.read("payments", now=sandbox.now, since=SINCE)
    before = {key: record for key, record in ours.records.items() if isinstance(record, Payout)}
    assert {record.status for record in before.values()} == {PayoutStatus.PENDING, PayoutStatus.PAID}
    assert {record.currency for record in before.values()} == {"EUR", "GBP"}
    sandbox.now = due + timedelta(days=1)
    ours.read("payments", now=sandbox.now, since=SINCE)
    paid = [
        record
        for key, record in ours.records.items()
        if isinstance(record, Payout) and key in before and record != before[key]
    ]
    assert paid
    assert all(record.status is PayoutStatus.PAID and record.arrives_at for record in paid)


def test_payments_of_the_account_can_be_left_to_another_connection(sandbox: Sandbox) -> None:
    with pytest.raises(NotFound) as error:
        book(sandbox, payments="no").read("payments", now=NOW, since=SINCE)
    resource = connector.resource("payments")
    assert resource.absent
    assert resource.absent(error.value)


@pytest.mark.parametrize("name", ["customer_id", "passphrase"])
def test_wrong_keys_are_refused_once_and_never_stand_in_a_message(sandbox: Sandbox, name: str) -> None:
    with pytest.raises(AuthRejected, match="no access token") as refused:
        book(sandbox, **{name: "0815<&wrong"}).read("conversions", now=NOW, since=SINCE)
    assert "0815" not in str(refused.value)
    assert len(sandbox.requests) == 1


def test_another_site_cannot_be_read(sandbox: Sandbox) -> None:
    with pytest.raises(UnexpectedData, match="Unknown affiliate site"):
        book(sandbox, affiliate_site_id="1").read("conversions", now=NOW, since=NOW)


def test_the_sandbox_keeps_the_rules(sandbox: Sandbox, http: requests.Session) -> None:
    keys, url = sandbox.credentials("tradetracker"), f"{sandbox.url('tradetracker')}/soap/affiliate"

    def ask(operation: str, **values: str) -> tuple[int, str]:
        answer = http.post(url, data=call("urn:tt", operation, values), timeout=10)
        return answer.status_code, answer.text

    assert ask("getPayments")[0] == 500
    assert "Not yet authenticated" in ask("getPayments")[1]
    assert ask("authenticate", customerID=keys["customer_id"], passphrase=keys["passphrase"], demo="false")[0] == 200
    site = keys["affiliate_site_id"]
    assert ask("getConversionTransactions", affiliateSiteID=site)[1].count("<item>") == 100
    assert ask("getConversionTransactions", affiliateSiteID=site, limit="251")[0] == 500
    assert "not present" in ask("getSecrets")[1]


def test_trouble_at_tradetracker_is_named_by_what_is_to_be_done(sandbox: Sandbox) -> None:
    def read() -> None:
        book(sandbox).read("conversions", now=NOW, since=NOW - timedelta(days=3))

    check_troubles(sandbox, "tradetracker", read, TROUBLES | {"error_body": Unavailable}, skip=1)
