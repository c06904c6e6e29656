"""FlexOffers in the sandbox keeps FlexOffers' rules, and its connector reads it over HTTP."""

from datetime import timedelta
from typing import Any

import pytest
import requests

from connectors.flexoffers import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, check_troubles, read_twice
from tracker.connect.pace import NoPace
from tracker.demo.flexoffers import word_at
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected
from tracker.records import Kind, Program, Settlement, Status

STATUSES = {
    "Pending": Status.PENDING,
    "Approved": Status.APPROVED,
    "Bonus": Status.APPROVED,
    "Canceled": Status.DECLINED,
    "Non-Commissionable": Status.DECLINED,
}


def book(sandbox: Sandbox, **credentials: str) -> Book:
    ours = Book(connector, sandbox.url("flexoffers"), sandbox.credentials("flexoffers") | credentials)
    ours.pace = NoPace()
    return ours


def test_a_first_read_finds_every_commission_with_its_status(unhurried: Sandbox) -> None:
    ours = book(unhurried)
    ours.read("sales", now=NOW, since=unhurried.history.start)
    sales = {f"F7-{sale.id}": sale for sale in unhurried.history.sales if sale.occurred <= NOW}
    assert ours.earnings.keys() == sales.keys()
    for key, sale in sales.items():
        found, word = ours.earnings[key], word_at(sale, NOW)
        assert (found.provider_status, found.status) == (word, STATUSES[word])
        assert (found.kind is Kind.BONUS) == sale.bonus
        assert found.earned_at == sale.occurred.replace(microsecond=0)  # through summer and winter
        assert found.sub_id == (sale.sub_id or sale.second_sub_id)
    assert set(STATUSES) == {found.provider_status for found in ours.earnings.values()}
    assert {found.currency for found in ours.earnings.values()} == {"EUR", "GBP"}
    assert {found.settlement for found in ours.earnings.values()} == {Settlement.UNPAID}  # nothing tells
    titles = {record.external_id for record in ours.records.values() if isinstance(record, Program)}
    assert titles == {str(sale.programme.id) for sale in sales.values()}


def test_a_later_read_ends_where_reading_everything_anew_ends(unhurried: Sandbox) -> None:
    read = read_twice(unhurried, book, "sales", NOW - timedelta(days=170), 75)
    assert len({request.query for request in read.asked if "page=1&" in request.query}) == 15  # of 30 days
    assert read.common == read.anew
    moves = {(old.provider_status, read.later[key].provider_status) for key, old in read.before.items()}
    assert {("Pending", "Approved"), ("Pending", "Canceled"), ("Approved", "Canceled")} <= moves
    assert read.changed("net")


def test_a_wrong_key_is_refused_and_never_stands_in_a_message(sandbox: Sandbox) -> None:
    with pytest.raises(AuthRejected, match="not valid") as caught:
        book(sandbox, api_key="wrong-0815").read("sales", now=NOW, since=NOW - timedelta(days=3))
    assert "wrong-0815" not in str(caught.value)


def ask(sandbox: Sandbox, http: requests.Session, method: str = "GET", **change: Any) -> requests.Response:
    params = {"startDate": "2026-05-01T00:00:00-04:00", "endDate": "2026-06-01T00:00:00-04:00"}
    params |= {"reportType": "sales", "status": "all", "page": "1", "pageSize": "500"} | change
    headers = {"apiKey": sandbox.credentials("flexoffers")["api_key"]}
    return http.request(method, f"{sandbox.url('flexoffers')}/allsales", params=params, headers=headers, timeout=10)


def test_pages_and_statuses_are_as_asked_for(sandbox: Sandbox, http: requests.Session) -> None:
    whole = ask(sandbox, http).json()
    assert whole["totalCount"] == len(whole["results"]) > 50
    assert len(ask(sandbox, http, pageSize=7, page=2).json()["results"]) == 7
    words = {row["orderStatus"] for row in ask(sandbox, http, status="canceled").json()["results"]}
    assert words == {"Canceled"}


def test_where_nothing_is_found_the_answer_is_empty(sandbox: Sandbox, http: requests.Session) -> None:
    answer = ask(sandbox, http, page=99)
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize(
    "change",
    [
        {"pageSize": "501"},
        {"pageSize": "0"},
        {"page": "0"},
        {"status": "paid"},
        {"reportType": "clicks"},
        {"startDate": "yesterday"},
        {"endDate": "2026-06-01T00:00:00"},
    ],
)
def test_a_broken_rule_is_a_bad_request(sandbox: Sandbox, http: requests.Session, change: dict[str, str]) -> None:
    answer = ask(sandbox, http, **change)
    assert (answer.status_code, bool(answer.json()["message"])) == (400, True)
    assert ask(sandbox, http, "POST").status_code == 405


def test_too_many_calls_within_a_minute_are_throttled(sandbox: Sandbox, http: requests.Session) -> None:
    assert [ask(sandbox, http, pageSize=1).status_code for _ in range(61)] == [200] * 60 + [429]


def test_trouble_at_flexoffers_is_named_by_what_is_to_be_done(sandbox: Sandbox) -> None:
    check_troubles(sandbox, "flexoffers", lambda: book(sandbox).read("sales", now=NOW, since=NOW - timedelta(days=20)))
