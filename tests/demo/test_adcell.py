"""Adcell in the sandbox keeps Adcell's rules, and its connector reads it over HTTP."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests

from connectors.adcell import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, TROUBLES, check_troubles, read_twice
from tracker.demo.adcell import CURRENCY, mine, state_at
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected, Unavailable
from tracker.records import Program, Status

SINCE = NOW - timedelta(days=170)
TODAY = NOW.astimezone(ZoneInfo("Europe/Berlin")).replace(hour=0, minute=0)  # its sales come tomorrow
WORDS = {"open": Status.PENDING, "accepted": Status.APPROVED, "cancelled": Status.DECLINED}


def book(sandbox: Sandbox, **credentials: str) -> Book:
    return Book(connector, sandbox.url("adcell"), sandbox.credentials("adcell") | credentials)


def read(ours: Book, sandbox: Sandbox) -> None:
    ours.read("commissions", now=sandbox.now, since=SINCE)


def test_a_first_read_finds_every_commission_with_its_status(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("commissions", now=NOW, since=sandbox.history.start)
    sales = {str(sale.id): sale for sale in mine(sandbox.history) if sale.occurred < TODAY}
    assert len(sales) > 1_000
    assert ours.earnings.keys() == sales.keys()
    for key, sale in sales.items():
        found, amended = ours.earnings[key], sale.amended and sale.amended <= NOW
        assert (found.status, found.provider_status) == (WORDS[state_at(sale, NOW)], state_at(sale, NOW))
        assert found.net == (sale.amended_commission if amended else sale.commission)
        assert (found.currency, found.earned_at) == (CURRENCY, sale.occurred)
    titles = {record.external_id for record in ours.records.values() if isinstance(record, Program)}
    assert {found.program for found in ours.earnings.values()} == titles
    assert [line.path for line in sandbox.requests].count("/api/v2/user/getToken") == 1


def test_a_later_read_ends_where_reading_everything_anew_ends(sandbox: Sandbox) -> None:
    seen = read_twice(sandbox, book, "commissions", SINCE, 95)
    assert seen.common == seen.anew
    assert {(Status.PENDING, Status.APPROVED), (Status.APPROVED, Status.DECLINED)} <= seen.moves
    assert seen.changed("net")


def test_a_wrong_password_gives_no_token_and_stands_in_no_message(sandbox: Sandbox) -> None:
    with pytest.raises(AuthRejected, match="Adcell gave no token") as wrong:
        read(book(sandbox, api_password="wrong-0815"), sandbox)
    assert "wrong-0815" not in str(wrong.value)


def ask(sandbox: Sandbox, http: requests.Session, call: str, **params: str) -> dict[str, Any]:
    answer = http.get(f"{sandbox.url('adcell')}/api/v2/{call}", params=params, timeout=10)
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def token(sandbox: Sandbox, http: requests.Session) -> str:
    keys = sandbox.credentials("adcell")
    handed = ask(sandbox, http, "user/getToken", userName=keys["user_name"], password=keys["api_password"])
    return str(handed["data"]["token"])


def test_a_token_lives_for_fifteen_minutes(sandbox: Sandbox, http: requests.Session) -> None:
    call, span = "affiliate/statistic/byCommission", {"startDate": "2026-05-01", "endDate": "2026-05-02"}
    held = token(sandbox, http)
    sandbox.now = NOW + timedelta(minutes=14)
    assert ask(sandbox, http, call, token=held, **span)["status"] == 200
    sandbox.now = NOW + timedelta(minutes=15)
    assert ask(sandbox, http, call, token=held, **span)["status"] == 401


def test_a_page_holds_25_rows_unasked_and_an_empty_one_ends_the_list(sandbox: Sandbox, http: requests.Session) -> None:
    span = {"token": token(sandbox, http), "startDate": "2026-04-01", "endDate": "2026-06-01"}
    call = "affiliate/statistic/byCommission"
    first = ask(sandbox, http, call, **span)["data"]
    assert len(first["items"]) == 25
    assert len(ask(sandbox, http, call, rows="1000", **span)["data"]["items"]) == first["total"]["numberItems"] > 25
    assert ask(sandbox, http, call, page="99", **span)["data"]["items"] == []


@pytest.mark.parametrize("params", [{"rows": "1001"}, {"page": "0"}, {"startDate": "01.05.2026"}])
def test_a_broken_rule_is_an_error_inside_a_200(
    sandbox: Sandbox, http: requests.Session, params: dict[str, str]
) -> None:
    given = {"token": token(sandbox, http), "startDate": "2026-04-01", "endDate": "2026-06-01"} | params
    assert ask(sandbox, http, "affiliate/statistic/byCommission", **given)["status"] == 400


def test_trouble_at_adcell_is_named_by_what_is_to_be_done(sandbox: Sandbox) -> None:
    told = TROUBLES | {"error_body": Unavailable}
    path = "/api/v2/affiliate/statistic/byCommission"
    check_troubles(sandbox, "adcell", lambda: read(book(sandbox), sandbox), told, path=path)
    sandbox.fail("adcell", "error_body", times=None, path="/api/v2/user/getToken")
    with pytest.raises(Unavailable, match="no token at the moment"):
        read(book(sandbox), sandbox)
