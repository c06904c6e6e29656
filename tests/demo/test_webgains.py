"""Webgains in the sandbox keeps Webgains' rules, and its connector reads it over HTTP."""

from datetime import timedelta

import pytest
import requests

from connectors.webgains import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, check_troubles, read_twice
from tracker.demo.chance import unix
from tracker.demo.server import Sandbox
from tracker.demo.webgains import code_at
from tracker.errors import AuthRejected, NotFound, RightMissing
from tracker.records import Program, Settlement, Status

SINCE = NOW - timedelta(days=170)


def book(sandbox: Sandbox, **credentials: str) -> Book:
    return Book(connector, sandbox.url("webgains"), sandbox.credentials("webgains") | credentials)


def read(ours: Book, sandbox: Sandbox) -> None:
    ours.read("transactions", now=sandbox.now, since=SINCE)


def test_a_first_read_finds_every_transaction_with_its_status(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("transactions", now=NOW, since=sandbox.history.start)
    sales = {str(sale.id): sale for sale in sandbox.history.sales if sale.occurred <= NOW and not sale.bonus}
    assert ours.earnings.keys() == sales.keys()
    codes = {code_at(sale, NOW) for sale in sales.values()}
    assert codes == {10, 20, 30, 40, 50, 60, 70}
    for key, sale in sales.items():
        found, code = ours.earnings[key], code_at(sale, NOW)
        words = Status.DECLINED if code == 70 else Status.APPROVED if code <= 40 else Status.PENDING
        assert (found.status, found.provider_status) == (words, str(code))
        assert (found.settlement is Settlement.PAID) == (code == 10)
        amended = sale.amended and sale.amended <= NOW
        assert found.net == (sale.amended_commission if amended else sale.commission)
        assert (found.currency, found.earned_at) == (sale.programme.currency, sale.occurred)
    titles = {record.external_id for record in ours.records.values() if isinstance(record, Program)}
    assert {found.program for found in ours.earnings.values()} == titles


def test_a_later_read_ends_where_reading_everything_anew_ends(sandbox: Sandbox) -> None:
    seen = read_twice(sandbox, book, "transactions", SINCE, 95)
    assert seen.common == seen.anew
    assert {(Status.PENDING, Status.APPROVED), (Status.APPROVED, Status.DECLINED)} <= seen.moves
    assert seen.changed("settlement")
    assert seen.changed("net")


def test_years_of_history_break_no_rule_and_a_daily_read_is_one_window(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("transactions", now=NOW, since=NOW - timedelta(days=1100))
    ours.read("transactions", now=NOW, since=NOW - timedelta(days=1100))
    assert {line.status for line in sandbox.requests} == {200}
    again = [line for line in sandbox.requests if f"={unix(NOW - timedelta(days=360))}" in line.query]
    assert again == sandbox.requests[-len(again) :]


def test_keys_are_refused_by_what_is_wrong_with_them(sandbox: Sandbox) -> None:
    with pytest.raises(AuthRejected, match="Unauthenticated") as wrong:
        read(book(sandbox, token="wrong-0815"), sandbox)
    assert "wrong-0815" not in str(wrong.value)
    with pytest.raises(RightMissing, match="publisher account"):
        read(book(sandbox, token=sandbox.credentials("webgains")["token"] + "-merchant"), sandbox)
    with pytest.raises(NotFound, match="Check the address and the ids"):
        read(book(sandbox, publisher_id="1749800"), sandbox)


def ask(sandbox: Sandbox, http: requests.Session, **params: str) -> requests.Response:
    keys = sandbox.credentials("webgains")
    url = f"{sandbox.url('webgains')}/publishers/{keys['publisher_id']}/reports/transactions"
    span = {"filters[start_date]": str(unix(SINCE)), "filters[end_date]": str(unix(NOW))}
    return http.get(url, params=span | params, headers={"Authorization": f"Bearer {keys['token']}"}, timeout=10)


def test_pages_hold_25_rows_unasked_and_say_how_many_there_are(sandbox: Sandbox, http: requests.Session) -> None:
    first = ask(sandbox, http).json()
    last = ask(sandbox, http, page=str(first["pagination"]["last_page"])).json()
    assert (len(first["data"]), first["pagination"]["current_page"]) == (25, 1)
    assert 1 <= len(last["data"]) <= 25
    assert first["data"][0]["date"] > last["data"][-1]["date"]


@pytest.mark.parametrize(
    "params",
    [
        {"filters[start_date]": str(unix(NOW - timedelta(days=367)))},
        {"filters[start_date]": "2026-05-01"},
        {"size": "251"},
        {"page": "0"},
        {"sort": "id"},
    ],
)
def test_a_broken_rule_is_refused(sandbox: Sandbox, http: requests.Session, params: dict[str, str]) -> None:
    assert ask(sandbox, http, **params).status_code == 422


def test_trouble_at_webgains_is_named_by_what_is_to_be_done(sandbox: Sandbox) -> None:
    check_troubles(sandbox, "webgains", lambda: read(book(sandbox), sandbox))
