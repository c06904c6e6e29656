"""Rewardful in the sandbox keeps Rewardful's rules, and its connector reads what is owed over HTTP."""

from datetime import timedelta
from typing import Any

import pytest
import requests

from connectors.rewardful import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, check_troubles, read_twice
from tracker.connect.pace import NoPace
from tracker.demo.rewardful import state_at
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected
from tracker.records import NOT_INCOME, Earning, Program, Settlement, Status

SINCE = NOW - timedelta(days=170)
STATES = {"pending": Status.PENDING, "due": Status.APPROVED, "paid": Status.APPROVED, "voided": Status.DECLINED}


def book(sandbox: Sandbox, **credentials: str) -> Book:
    ours = Book(connector, sandbox.url("rewardful"), sandbox.credentials("rewardful") | credentials)
    ours.pace = NoPace()
    return ours


def test_a_first_read_finds_all_that_is_owed_and_nothing_that_is_income(unhurried: Sandbox) -> None:
    sandbox, ours = unhurried, book(unhurried)
    ours.read("commissions", now=NOW, since=SINCE)
    sales = [sale for sale in sandbox.history.sales if sale.occurred <= NOW]
    assert len(ours.earnings) == len(sales) > 100  # more than a page
    for found, sale in zip(reversed(ours.earnings.values()), sales, strict=True):
        state = state_at(sale, NOW)
        assert (found.provider_status, found.status) == (state, STATES[state])
        assert (found.settlement is Settlement.PAID) == (state == "paid") == (found.paid_at is not None)
        assert found.net in (-sale.commission, -(sale.amended_commission or 0))
        assert found.order_ref == f"ch_{sale.id}"
    assert {found.kind for found in ours.earnings.values()} <= NOT_INCOME
    assert {type(record) for record in ours.records.values()} == {
        Earning,
        Program,
    }  # what is paid to others is no payout
    assert set(STATES) == {found.provider_status for found in ours.earnings.values()}
    assert {found.currency for found in ours.earnings.values()} == {"EUR", "GBP"}


def test_a_later_read_ends_where_reading_everything_anew_ends(unhurried: Sandbox) -> None:
    read = read_twice(unhurried, book, "commissions", SINCE, 75)
    assert read.later == read.anew
    moves = {(old.provider_status, read.later[key].provider_status) for key, old in read.before.items()}
    assert {("pending", "due"), ("pending", "voided"), ("due", "paid"), ("due", "voided")} <= moves
    assert read.changed("net")


def test_what_is_still_open_is_asked_for_by_its_id(unhurried: Sandbox) -> None:
    sandbox, ours = unhurried, book(unhurried)
    for _ in range(2):
        ours.read("commissions", now=NOW, since=SINCE)
    paths = [request.path.removeprefix("/v1/commissions/") for request in sandbox.requests]
    asked = [path for path in paths if path in ours.earnings]
    open_ones = {key for key, found in ours.earnings.items() if found.provider_status in ("pending", "due")}
    assert len(set(asked)) == len(asked) == 60  # each run the next thirty
    assert set(asked) < open_ones


def test_a_wrong_secret_is_refused_and_never_stands_in_a_message(sandbox: Sandbox) -> None:
    with pytest.raises(AuthRejected, match="Invalid API Secret") as caught:
        book(sandbox, api_secret="wrong-0815").read("commissions", now=NOW, since=SINCE)
    assert "wrong-0815" not in str(caught.value)


def ask(sandbox: Sandbox, http: requests.Session, path: str = "", **params: Any) -> requests.Response:
    url = f"{sandbox.url('rewardful')}/v1/commissions{path}"
    return http.get(url, params=params, auth=(sandbox.credentials("rewardful")["api_secret"], ""), timeout=10)


def test_a_page_holds_a_hundred_rows_at_most(sandbox: Sandbox, http: requests.Session) -> None:
    assert len(ask(sandbox, http).json()["data"]) == 25
    assert len(ask(sandbox, http, limit=500).json()["data"]) == 100
    assert ask(sandbox, http, page=999).json()["data"] == []


def test_objects_are_told_only_when_they_are_expanded(sandbox: Sandbox, http: requests.Session) -> None:
    assert not {"sale", "campaign"} & ask(sandbox, http, limit=1).json()["data"][0].keys()
    both = ask(sandbox, http, "?expand[]=campaign", limit=1, **{"expand[]": "sale"})
    assert {"sale", "campaign"} <= both.json()["data"][0].keys()


def test_broken_rules_are_refused(sandbox: Sandbox, http: requests.Session) -> None:
    assert ask(sandbox, http, page=0).status_code == 422
    assert ask(sandbox, http, state="open").status_code == 422
    assert ask(sandbox, http, "/nobody").json() == {"error": "Commission not found: nobody"}


def test_the_forty_sixth_call_within_thirty_seconds_is_throttled(sandbox: Sandbox, http: requests.Session) -> None:
    seen = [ask(sandbox, http, limit=1).status_code for _ in range(46)]
    assert seen == [200] * 45 + [429]


def test_trouble_at_rewardful_is_named_by_what_is_to_be_done(sandbox: Sandbox) -> None:
    check_troubles(sandbox, "rewardful", lambda: book(sandbox).read("commissions", now=NOW, since=SINCE))
