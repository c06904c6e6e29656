"""Admitad in the sandbox keeps Admitad's rules, and its connector reads it over HTTP."""

from datetime import timedelta

import pytest
import requests

from connectors.admitad import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, check_troubles, connect, read_twice
from tests.world import World
from tracker.connect.pace import NoPace
from tracker.demo.admitad import payment_of, status_of
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected
from tracker.records import Payout, PayoutStatus, Program, Settlement, Status

SINCE = NOW - timedelta(days=200)
WORDS = {
    "pending": Status.PENDING,
    "approved": Status.APPROVED,
    "approved_but_stalled": Status.APPROVED,
    "declined": Status.DECLINED,
}


def book(sandbox: Sandbox, **credentials: str) -> Book:
    keys = sandbox.credentials("admitad") | credentials
    found = Book(connector, sandbox.url("admitad"), keys, time_zone="Europe/Moscow")
    found.pace = NoPace()
    return found


def test_a_first_read_finds_every_action_with_both_of_its_states(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("actions", now=NOW, since=sandbox.history.start)
    sales = {str(sale.id): sale for sale in sandbox.history.sales if sale.occurred <= NOW}
    assert {key: found.status for key, found in ours.earnings.items()} == {
        key: WORDS[status_of(sale, NOW)] for key, sale in sales.items()
    }
    assert {found.provider_status for found in ours.earnings.values()} == WORDS.keys()
    for key, found in ours.earnings.items():
        paid_at = sales[key].paid
        assert (found.settlement is Settlement.PAID) == bool(paid_at and paid_at <= NOW)
        assert found.earned_at == sales[key].occurred
    titles = {record.external_id for record in ours.records.values() if isinstance(record, Program)}
    assert titles == {found.program for found in ours.earnings.values()}


def test_a_later_read_ends_where_reading_everything_anew_ends(sandbox: Sandbox) -> None:
    read = read_twice(sandbox, book, "actions", SINCE, 35, anew_since=sandbox.history.start)
    recent = {key: found for key, found in read.later.items() if found.earned_at > NOW - timedelta(days=183)}
    assert {key: read.anew[key] for key in recent} == recent  # what is older is paid by a statement
    assert all(found.status is read.anew[key].status for key, found in read.later.items())
    assert {(Status.PENDING, Status.APPROVED), (Status.APPROVED, Status.DECLINED)} <= read.moves
    assert read.changed("settlement")
    assert read.changed("net")


def test_a_payment_settles_the_actions_inside_it(sandbox: Sandbox, world: World) -> None:
    paid = min(at for sale in sandbox.history.sales if (at := sale.paid) and at > NOW)
    connect(world, sandbox, "admitad", at=paid - timedelta(hours=1), since=SINCE)
    assert world.sync("admitad").outcome == "ok"
    before = world.earnings()
    pending = world.ask("SELECT external_id FROM payout WHERE status = 'pending'")
    world.now = sandbox.now = paid + timedelta(hours=1)
    assert world.sync("admitad").outcome == "ok"
    after = world.earnings()
    sales = {str(sale.id): sale for sale in sandbox.history.sales}
    newly = {key for key in before if before[key].settlement != after[key].settlement}
    assert newly
    assert {(before[key].settlement, after[key].settlement) for key in newly} == {("unpaid", "paid")}
    assert {after[key].payout_ref for key in newly} <= {payout for (payout,) in pending}
    assert all(after[key].payout_ref == str(payment_of(sales[key])) for key in newly)
    inside = world.ask("SELECT count(*) FROM payout_item")
    assert inside[0][0] > len(newly)


def test_payments_keep_their_own_currency(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("payments", now=NOW, since=SINCE)
    payouts = [record for record in ours.records.values() if isinstance(record, Payout)]
    assert {payout.currency for payout in payouts} == {"EUR", "GBP"}
    assert all(payout.itemised == (payout.status is PayoutStatus.PAID) for payout in payouts)


@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_wrong_keys_are_refused_once_and_never_stand_in_a_message(sandbox: Sandbox, name: str) -> None:
    with pytest.raises(AuthRejected, match="no access token") as refused:
        book(sandbox, **{name: "wrong-0815"}).read("actions", now=NOW, since=SINCE)
    assert "wrong-0815" not in str(refused.value)
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    ("token", "status", "path"),
    [
        ("{late}-statistics", 401, "statistics/actions/"),
        ("{valid}-payments", 403, "statistics/actions/"),
        ("{valid}-statistics", 403, "payments/"),
        ("{valid}-statistics", 400, "statistics/actions/?limit=501"),
        ("{valid}-statistics", 400, "statistics/actions/?date_start=2026-05-01"),
        ("{valid}-statistics", 200, "statistics/actions/?limit=500&date_start=01.05.2026"),
    ],
)
def test_the_sandbox_keeps_the_rules(
    sandbox: Sandbox, http: requests.Session, token: str, status: int, path: str
) -> None:
    moment = int(NOW.timestamp())
    headers = {"Authorization": f"Bearer {token.format(late=moment, valid=moment + 60)}"}
    answer = http.get(f"{sandbox.url('admitad')}/{path}", headers=headers, timeout=10)
    assert answer.status_code == status
    assert ("error_description" in answer.json()) == (status != 200)


def test_a_page_holds_twenty_rows_unasked(sandbox: Sandbox, http: requests.Session) -> None:
    headers = {"Authorization": f"Bearer {int(NOW.timestamp()) + 60}-statistics"}
    answer = http.get(f"{sandbox.url('admitad')}/statistics/actions/", headers=headers, timeout=10).json()
    assert (len(answer["results"]), answer["_meta"]["limit"]) == (20, 20)
    assert answer["_meta"]["count"] > 1_000


def test_trouble_at_admitad_is_named_by_what_is_to_be_done(sandbox: Sandbox) -> None:
    def read() -> None:
        book(sandbox).read("actions", now=NOW, since=NOW - timedelta(days=3))

    check_troubles(sandbox, "admitad", read, path="statistics")
