"""eBay Partner Network in the sandbox keeps eBay's rules, and its connector reads it over HTTP."""

from datetime import timedelta

import pytest
import requests

from connectors.ebay_partner_network import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, TROUBLES, check_troubles, read_twice
from tracker.demo.ebay import CURRENCY, LAG, mine, state_at
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected, RightMissing, Unavailable
from tracker.records import Program, Settlement, Status

SLUG = "ebay-partner-network"
SINCE = NOW - timedelta(days=170)
WORDS = {"Pending": Status.PENDING, "Approved": Status.APPROVED, "Reversed": Status.DECLINED}


def book(sandbox: Sandbox, **credentials: str) -> Book:
    return Book(connector, sandbox.url(SLUG), sandbox.credentials(SLUG) | credentials, currency=CURRENCY)


def read(ours: Book, sandbox: Sandbox) -> None:
    ours.read("transactions", now=sandbox.now, since=SINCE)


def test_a_first_read_finds_every_transaction_in_its_last_state(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    read(ours, sandbox)
    seen = NOW - LAG
    sales = {str(sale.id): sale for sale in mine(sandbox.history) if SINCE <= sale.occurred <= seen}
    assert len(sales) > 100
    for key, sale in sales.items():
        found = ours.earnings[key]
        amended = bool(sale.amended and sale.amended <= seen)
        amount = sale.amended_commission if amended else sale.commission
        assert (found.status, found.net, found.earned_at) == (WORDS[state_at(sale, seen)], amount, sale.occurred)
    assert {found.settlement for found in ours.earnings.values()} == {Settlement.UNPAID}
    titles = {record.external_id for record in ours.records.values() if isinstance(record, Program)}
    assert {found.program for found in ours.earnings.values()} == titles


def test_a_later_read_ends_where_reading_everything_anew_ends(sandbox: Sandbox) -> None:
    # Changes show in the report after a day and a half.
    seen = read_twice(sandbox, book, "transactions", SINCE, 95, 94, 60, 59)
    assert seen.later == seen.anew
    assert {(Status.PENDING, Status.APPROVED), (Status.APPROVED, Status.DECLINED)} <= seen.moves
    assert seen.changed("net")


def test_what_has_no_money_becomes_nothing(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    read(ours, sandbox)
    assert not [key for key in ours.earnings if key.startswith("c")]


def test_a_wrong_token_and_anothers_account_are_told_apart(sandbox: Sandbox, http: requests.Session) -> None:
    with pytest.raises(AuthRejected, match="Authentication failed") as wrong:
        read(book(sandbox, auth_token="wrong-token-0815"), sandbox)
    assert not isinstance(wrong.value, RightMissing)
    assert "wrong-token-0815" not in str(wrong.value)
    assert ask(sandbox, http, sid="IRother").status_code == 403


def ask(
    sandbox: Sandbox,
    http: requests.Session,
    report: str = "ebay_partner_transaction_detail",
    sid: str = "",
    **params: str,
) -> requests.Response:
    keys = sandbox.credentials(SLUG)
    address = f"{sandbox.url(SLUG)}/Mediapartners/{sid or keys['account_sid']}/Reports/{report}.json"
    span = {"START_DATE": "2026-05-01", "END_DATE": "2026-05-30"}
    auth = (keys["account_sid"], keys["auth_token"])
    return http.get(address, params=span | params, auth=auth, timeout=10)


@pytest.mark.parametrize(
    "params",
    [{"STATUS": "Paid"}, {"date_type": "posting_date"}, {"CHECKOUT_SITE": "XX"}, {"START_DATE": "05/01/2026"}],
)
def test_a_broken_rule_is_a_bad_request(sandbox: Sandbox, http: requests.Session, params: dict[str, str]) -> None:
    answer = ask(sandbox, http, **params)
    assert (answer.status_code, answer.json()["Status"]) == (400, "ERROR")


def test_a_transaction_comes_again_with_each_change(sandbox: Sandbox, http: requests.Session) -> None:
    rows = ask(sandbox, http, date_type="update_date").json()["Records"]
    ids = [row["EpnTransactionId"] for row in rows]
    assert len(ids) > len(set(ids))
    assert {row["Status"] for row in ask(sandbox, http, STATUS="Pending").json()["Records"][:-1]} == {"Pending"}
    assert ask(sandbox, http, report="ebay_partner_none").status_code == 404


def test_trouble_at_ebay_is_named_by_what_is_to_be_done(sandbox: Sandbox) -> None:
    check_troubles(sandbox, SLUG, lambda: read(book(sandbox), sandbox), TROUBLES | {"error_body": Unavailable})
