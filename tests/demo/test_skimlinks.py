"""Skimlinks in the sandbox keeps Skimlinks' rules, and its connector reads it over HTTP."""

from datetime import timedelta

import pytest
import requests

from connectors.skimlinks import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, check_troubles, read_twice
from tracker.demo.server import Sandbox
from tracker.demo.skimlinks import cancelled_in_place
from tracker.errors import AuthRejected
from tracker.records import Kind, Program, Settlement, Status

SINCE = NOW - timedelta(days=120)


def book(sandbox: Sandbox, **credentials: str) -> Book:
    return Book(connector, sandbox.url("skimlinks"), sandbox.credentials("skimlinks") | credentials)


def token(sandbox: Sandbox, http: requests.Session) -> str:
    keys = sandbox.credentials("skimlinks")
    asked = {name: keys[name] for name in ("client_id", "client_secret")} | {"grant_type": "client_credentials"}
    answer = http.post(f"{sandbox.url('skimlinks')}/access_token", json=asked, timeout=10)
    return str(answer.json()["access_token"])


def test_a_first_read_finds_every_commission_with_its_status(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("commissions", now=NOW, since=sandbox.history.start)
    sales = {str(sale.id): sale for sale in sandbox.history.sales if sale.occurred <= NOW}
    assert sales.keys() <= ours.earnings.keys()
    for key, sale in sales.items():
        found = ours.earnings[key]
        refused = sale.outcome != "approved" and sale.validated <= NOW
        back = sale.reversed and sale.reversed <= NOW and cancelled_in_place(sale)
        assert (found.status is Status.DECLINED) == bool(refused or back)
        paid = bool(sale.paid and sale.paid <= NOW)
        assert (found.settlement is Settlement.PAID) == paid == bool(found.payout_ref)
    returns = [found for key, found in ours.earnings.items() if key not in sales]
    assert returns
    assert all(found.kind is Kind.REFUND and found.net < 0 for found in returns)
    assert {found.currency for found in ours.earnings.values()} == {"EUR", "GBP"}
    titles = {record.external_id for record in ours.records.values() if isinstance(record, Program)}
    assert titles == {str(sale.programme.id) for sale in sales.values()}


def test_a_later_read_ends_where_reading_everything_anew_ends(sandbox: Sandbox) -> None:
    read = read_twice(sandbox, book, "commissions", sandbox.history.start, 35)
    assert len(read.asked) == 2  # a token and a page
    assert read.later == read.anew
    assert {(Status.PENDING, Status.APPROVED), (Status.PENDING, Status.DECLINED)} <= read.moves
    assert (Status.APPROVED, Status.DECLINED) in read.moves
    assert read.changed("settlement")
    assert read.changed("net")


def test_a_token_serves_until_it_expires_and_is_then_renewed(sandbox: Sandbox, http: requests.Session) -> None:
    url = f"{sandbox.url('skimlinks')}/publisher/99001/commission-report"
    old = token(sandbox, http)
    assert http.get(url, params={"access_token": old}, timeout=10).status_code == 200
    sandbox.now = NOW + timedelta(days=8)
    assert http.get(url, params={"access_token": old}, timeout=10).status_code == 401
    ours = book(sandbox)
    ours.read("commissions", now=sandbox.now, since=SINCE)
    assert ours.earnings


@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_wrong_keys_are_refused_once_and_never_stand_in_a_message(sandbox: Sandbox, name: str) -> None:
    with pytest.raises(AuthRejected, match="no access token") as caught:
        book(sandbox, **{name: "wrong-0815"}).read("commissions", now=NOW, since=SINCE)
    assert "wrong-0815" not in str(caught.value)
    assert [request.path for request in sandbox.requests] == ["/access_token"]


def test_another_publisher_cannot_be_read(sandbox: Sandbox) -> None:
    with pytest.raises(AuthRejected):
        book(sandbox, publisher_id="1").read("commissions", now=NOW, since=SINCE)


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "5001"},
        {"limit": "0"},
        {"sort_by": "amount"},
        {"updated_since": "yesterday"},
        {"end_date": "2026-06-16T00:00:00"},
    ],
)
def test_a_broken_rule_is_a_bad_request(sandbox: Sandbox, http: requests.Session, params: dict[str, str]) -> None:
    url = f"{sandbox.url('skimlinks')}/publisher/99001/commission-report"
    answer = http.get(url, params={"access_token": token(sandbox, http)} | params, timeout=10)
    assert (answer.status_code, bool(answer.json()["message"])) == (400, True)


def test_the_forty_first_call_within_a_minute_is_throttled(sandbox: Sandbox, http: requests.Session) -> None:
    url = f"{sandbox.url('skimlinks')}/publisher/99001/commission-report"
    params = {"access_token": token(sandbox, http), "limit": "1"}
    seen = [http.get(url, params=params, timeout=10).status_code for _ in range(41)]
    assert seen == [200] * 40 + [429]


def test_trouble_at_skimlinks_is_named_by_what_is_to_be_done(sandbox: Sandbox) -> None:
    def read() -> None:
        book(sandbox).read("commissions", now=NOW, since=NOW - timedelta(days=3))

    check_troubles(sandbox, "skimlinks", read, path="commission-report")
