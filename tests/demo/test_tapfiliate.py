"""Tapfiliate in the sandbox keeps Tapfiliate's rules, and its connector reads what is owed over HTTP."""

from datetime import timedelta
from typing import Any

import pytest
import requests

from connectors.tapfiliate import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, check_troubles, read_twice
from tracker.connect.pace import NoPace
from tracker.demo.server import Sandbox
from tracker.demo.tapfiliate import approved_at
from tracker.errors import AuthRejected
from tracker.records import NOT_INCOME, Earning, Program, Settlement, Status

SINCE = NOW - timedelta(days=100)
STATUSES = {None: Status.PENDING, True: Status.APPROVED, False: Status.DECLINED}


def book(sandbox: Sandbox, **credentials: str) -> Book:
    ours = Book(connector, sandbox.url("tapfiliate"), sandbox.credentials("tapfiliate") | credentials)
    ours.pace = NoPace()
    return ours


def test_a_first_read_finds_all_that_is_owed_and_nothing_that_is_income(unhurried: Sandbox) -> None:
    ours = book(unhurried)
    ours.read("conversions", now=NOW, since=unhurried.history.start)
    sales = {str(sale.id): sale for sale in unhurried.history.sales if sale.occurred <= NOW}
    assert ours.earnings.keys() == sales.keys()
    for key, sale in sales.items():
        found = ours.earnings[key]
        assert found.status is STATUSES[approved_at(sale, NOW)]
        assert (found.settlement is Settlement.PAID) == bool(sale.paid and sale.paid <= NOW)
        assert found.net in (-sale.commission, -(sale.amended_commission or 0))
        assert found.earned_at == sale.occurred.replace(microsecond=0)  # a renewal has a day of its own
    assert {found.kind for found in ours.earnings.values()} <= NOT_INCOME
    assert {type(record) for record in ours.records.values()} == {
        Earning,
        Program,
    }  # what is paid to others is no payout
    assert {found.currency for found in ours.earnings.values()} == {"EUR", "GBP"}


def test_a_later_read_ends_where_reading_everything_anew_ends(unhurried: Sandbox) -> None:
    read = read_twice(unhurried, book, "conversions", unhurried.history.start, 75)
    assert read.later == read.anew
    assert {(Status.PENDING, Status.APPROVED), (Status.PENDING, Status.DECLINED)} <= read.moves
    assert (Status.APPROVED, Status.DECLINED) in read.moves
    assert read.changed("settlement")
    assert read.changed("net")


def test_a_first_read_finds_the_young_commissions_of_old_conversions(unhurried: Sandbox) -> None:
    ours = book(unhurried)
    ours.read("conversions", now=NOW, since=SINCE)
    young = {str(sale.id) for sale in unhurried.history.sales if SINCE <= sale.occurred <= NOW}
    assert young & {str(sale.id) for sale in unhurried.history.sales if sale.renewal}
    assert young <= ours.earnings.keys()


def test_a_renewal_of_an_old_customer_is_found(unhurried: Sandbox) -> None:
    ours = book(unhurried)
    unhurried.now = NOW - timedelta(days=2)
    ours.read("conversions", now=unhurried.now, since=unhurried.history.start)
    before = ours.earnings
    unhurried.now = NOW
    ours.read("conversions", now=NOW, since=unhurried.history.start)
    renewals = {str(sale.id) for sale in unhurried.history.sales if sale.renewal}
    assert (ours.earnings.keys() - before.keys()) & renewals


def test_a_wrong_key_is_refused_and_never_stands_in_a_message(sandbox: Sandbox) -> None:
    with pytest.raises(AuthRejected, match="Authentication Failed") as caught:
        book(sandbox, api_key="wrong-0815").read("conversions", now=NOW, since=SINCE)
    assert "wrong-0815" not in str(caught.value)


def ask(
    sandbox: Sandbox, http: requests.Session, key: str | None = None, path: str = "conversions", **params: Any
) -> requests.Response:
    headers = {"X-Api-Key": sandbox.credentials("tapfiliate")["api_key"] if key is None else key}
    return http.get(f"{sandbox.url('tapfiliate')}/1.6/{path}/", params=params, headers=headers, timeout=10)


def test_a_page_holds_25_rows_and_names_the_next(sandbox: Sandbox, http: requests.Session) -> None:
    first = ask(sandbox, http, date_from="2026-05-01")
    assert len(first.json()) == 25
    assert first.links["next"]["url"] == "/tapfiliate/1.6/conversions/?date_from=2026-05-01&page=2"
    assert "next" not in ask(sandbox, http, date_from="2026-06-15").links


def test_without_a_key_there_is_a_web_page(sandbox: Sandbox, http: requests.Session) -> None:
    for answer, status in ((ask(sandbox, http, key=""), 401), (ask(sandbox, http, path="programmes"), 404)):
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "text/html; charset=UTF-8")


@pytest.mark.parametrize("params", [{"date_from": "01.05.2026"}, {"date_to": "soon"}, {"page": "0"}])
def test_a_broken_rule_is_refused(sandbox: Sandbox, http: requests.Session, params: dict[str, str]) -> None:
    answer = ask(sandbox, http, **params)
    assert (answer.status_code, bool(answer.json()["message"])) == (422, True)


def test_too_many_calls_within_a_minute_are_throttled(sandbox: Sandbox, http: requests.Session) -> None:
    seen = [ask(sandbox, http, date_from="2026-06-15").status_code for _ in range(121)]
    assert seen == [200] * 120 + [429]


def test_trouble_at_tapfiliate_is_named_by_what_is_to_be_done(sandbox: Sandbox) -> None:
    check_troubles(sandbox, "tapfiliate", lambda: book(sandbox).read("conversions", now=NOW, since=SINCE))
