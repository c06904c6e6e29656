"""Tradedoubler's connector from end to end against the sandbox, which keeps Tradedoubler's rules."""

from datetime import UTC, datetime, timedelta

import pytest
import requests

from connectors.tradedoubler import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, connect, read_twice
from tests.world import World
from tracker.demo.server import Sandbox
from tracker.demo.tradedoubler import in_currency, status_at, stored_at
from tracker.errors import AuthRejected, RightMissing, Unavailable, UnexpectedData
from tracker.records import Kind, Payout, Program, Settlement, Status

SINCE = datetime(2026, 1, 27, tzinfo=UTC)  # the first day of a window, so that no older sale comes with it
PAY_DAY = datetime(2026, 6, 15, 9, tzinfo=UTC)  # of the sandbox
WORDS = {"P": Status.PENDING, "A": Status.APPROVED, "D": Status.DECLINED}


@pytest.fixture
def sandbox(unhurried: Sandbox) -> Sandbox:
    """The limit of sixty calls a minute has a test of its own."""
    return unhurried


def book(sandbox: Sandbox, currency: str = "EUR", **credentials: str) -> Book:
    keys = sandbox.credentials("tradedoubler") | credentials
    return Book(connector, sandbox.url("tradedoubler"), keys, currency=currency, time_zone="Europe/Stockholm")


def member(sandbox: Sandbox) -> str:
    return sandbox.credentials("tradedoubler")["username"].replace("owner", "member")


def test_a_first_read_finds_every_transaction_with_both_of_its_states(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("transactions", now=NOW, since=SINCE)
    sales = {
        str(30_000_000_000 + sale.id): sale
        for sale in sandbox.history.sales
        if sale.occurred >= SINCE and stored_at(sale) <= NOW and not sale.bonus
    }
    # The report's days are Stockholm's, so that its first one begins an hour before ours.
    found = {key: one for key, one in ours.earnings.items() if one.earned_at >= SINCE}
    assert {key: one.status for key, one in found.items()} == {
        key: WORDS[status_at(sale, NOW)] for key, sale in sales.items()
    }
    paid = {key for key, sale in sales.items() if sale.paid and sale.paid <= NOW}
    assert {key for key, one in found.items() if one.settlement is Settlement.PAID} == paid
    assert {key for key, one in found.items() if one.payout_ref} == paid
    assert all(one.earned_at == sales[key].occurred for key, one in found.items())
    assert {one.currency for one in found.values()} == {"EUR"}
    assert any("offset=100" in line.query for line in sandbox.requests)
    titles = {record.external_id for record in ours.records.values() if isinstance(record, Program)}
    assert {one.program for one in found.values()} <= titles


def test_amounts_are_those_of_the_reports_currency(sandbox: Sandbox) -> None:
    ours = book(sandbox, currency="SEK")
    ours.read("transactions", now=NOW, since=NOW)
    sale = next(one for one in sandbox.history.sales if str(30_000_000_000 + one.id) in ours.earnings)
    found = ours.earnings[str(30_000_000_000 + sale.id)]
    assert (found.currency, found.sale_currency) == ("SEK", "SEK")
    assert found.net == in_currency(sale.commission, sale.programme.currency, "SEK")


def test_a_later_read_finds_what_changed_and_what_was_stored_late(sandbox: Sandbox) -> None:
    read = read_twice(sandbox, book, "transactions", SINCE, 25)
    assert {key: (one.status, one.net) for key, one in read.later.items()} == {
        key: (one.status, one.net) for key, one in read.anew.items()
    }
    assert {(Status.PENDING, Status.APPROVED), (Status.APPROVED, Status.DECLINED)} <= read.moves
    late = read.later.keys() - read.before.keys()
    assert any(read.later[key].earned_at < NOW - timedelta(days=26) for key in late)


def test_a_payment_settles_what_is_inside_it(sandbox: Sandbox, world: World) -> None:
    connect(world, sandbox, "tradedoubler", at=PAY_DAY - timedelta(hours=1), since=SINCE, currency="EUR")
    assert world.sync("tradedoubler").outcome == "ok"
    before = world.earnings()
    world.now = sandbox.now = PAY_DAY + timedelta(hours=1)
    assert world.sync("tradedoubler").outcome == "ok"
    after = world.earnings()
    again = world.sync("tradedoubler")
    due = [str(30_000_000_000 + sale.id) for sale in sandbox.history.sales if sale.paid == PAY_DAY]
    due = [key for key in due if key in before]
    assert due
    assert {before[key].settlement for key in due} == {Settlement.UNPAID}
    assert {(after[key].settlement, after[key].paid_at) for key in due} == {(Settlement.PAID, PAY_DAY)}
    assert (again.new, again.changed) == (0, 0)


def test_a_member_reads_everything_but_payments_and_is_told(sandbox: Sandbox, world: World) -> None:
    keys = {"username": member(sandbox)}
    connect(world, sandbox, "tradedoubler", at=NOW, since=SINCE, keys=keys, currency="EUR")
    report = world.sync("tradedoubler")
    settled = {row.settlement for row in world.earnings().values()}
    assert (report.outcome, report.notes) == ("ok", ["payments: this account does not have it."])
    assert settled == {Settlement.PAID, Settlement.UNPAID}
    with pytest.raises(RightMissing, match="role Owner or Admin"):
        book(sandbox, username=member(sandbox)).read("payments", now=NOW, since=SINCE)


def test_bonuses_come_from_digital_wallets(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("digital-wallets", now=NOW, since=NOW - timedelta(days=700))
    bonuses = [sale for sale in sandbox.history.sales if sale.bonus and sale.occurred <= NOW]
    assert bonuses
    found = sorted(ours.earnings.values(), key=lambda one: one.earned_at)
    assert [(one.net, one.earned_at, one.kind) for one in found] == [
        (sale.commission, sale.occurred, Kind.BONUS) for sale in bonuses
    ]
    dear = book(sandbox, currency="SEK")
    dear.read("digital-wallets", now=NOW, since=NOW - timedelta(days=700))
    assert dear.earnings.keys() == ours.earnings.keys()  # the same wallets, whatever the currency of the report


def test_payments_keep_their_own_currency(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("payments", now=NOW, since=SINCE)
    payments = [record for record in ours.records.values() if isinstance(record, Payout)]
    assert {payment.currency for payment in payments} == {"EUR", "GBP"}
    assert all(payment.itemised and payment.arrives_at and payment.arrives_at <= NOW for payment in payments)


def test_the_password_is_sent_once_and_then_the_refresh_token(sandbox: Sandbox, world: World) -> None:
    connect(world, sandbox, "tradedoubler", at=NOW, since=NOW, currency="EUR")
    for hours in (0, 1, 1, 24 * 8):
        world.now = sandbox.now = world.now + timedelta(hours=hours)
        assert world.sync("tradedoubler").outcome == "ok"
    asked = [line.body.partition("&")[0] for line in sandbox.requests if line.path == "/uaa/oauth/token"]
    refreshed = "grant_type=refresh_token"
    assert asked == [
        "grant_type=password",
        refreshed,
        refreshed,
        refreshed,
        "grant_type=password",
    ]  # a week is too long


def test_wrong_credentials_and_an_expired_token_are_told_apart(sandbox: Sandbox) -> None:
    for wrong in ({"password": "wrong-password"}, {"client_secret": "wrong-secret"}):
        with pytest.raises(AuthRejected, match="gave no access token") as refused:
            book(sandbox, **wrong).read("transactions", now=NOW, since=NOW)
        assert "wrong" not in str(refused.value)
    late = book(sandbox)
    sandbox.now = NOW + timedelta(minutes=20)
    late.read("transactions", now=NOW, since=NOW)  # our clock is behind: the first token is new to us and to them
    assert late.earnings


def test_the_sixty_first_call_of_a_minute_is_refused_and_never_made_by_us(http: requests.Session) -> None:
    with Sandbox(now=NOW, monotonic=lambda: 0.0) as sandbox:
        address = sandbox.url("tradedoubler") + "/publisher/report/payments"
        answers = [http.get(address, timeout=10) for _ in range(61)]
        assert [answer.status_code for answer in answers] == [401] * 60 + [429]
        assert answers[-1].text == "API rate limit exceeded"
        with pytest.raises(Unavailable, match="429"):
            book(sandbox).read("transactions", now=NOW, since=NOW)
    assert (connector.rates[0].calls, connector.rates[0].seconds) == (60, 60)


@pytest.mark.parametrize(("trouble", "words"), [("repeated_cursor", "and did not"), ("error_body", "shape")])
def test_an_answer_that_leads_nowhere_is_refused(sandbox: Sandbox, trouble: str, words: str) -> None:
    ours = book(sandbox)
    sandbox.fail("tradedoubler", trouble, times=None, path="/publisher/")
    with pytest.raises(UnexpectedData, match=words):
        ours.read("transactions", now=NOW, since=SINCE)


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"fromDate": "20260501", "toDate": "20260531"}, 200),
        ({"fromDate": "20260501", "toDate": "20260601"}, 400),
        ({"fromDate": "2026-05-01", "toDate": "20260531"}, 400),
        ({"fromDate": "20260501"}, 400),
    ],
)
def test_a_window_has_31_whole_days_at_most(
    sandbox: Sandbox, http: requests.Session, params: dict[str, str], status: int
) -> None:
    token = f"Bearer member-until-{int(NOW.timestamp()) + 60}"
    address = sandbox.url("tradedoubler") + "/publisher/report/transactions"
    answer = http.get(address, params=params, headers={"Authorization": token}, timeout=10)
    assert answer.status_code == status
    if status == 400:
        assert answer.json()[0]["message"]
    else:
        assert (answer.json()["limit"], answer.json()["offset"], len(answer.json()["items"])) == (20, 0, 20)
