"""Adtraction in the sandbox keeps Adtraction's rules, and its connector reads it over HTTP."""

from datetime import timedelta
from typing import Any

import pytest
import requests

from connectors.adtraction import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, check_troubles, read_twice
from tracker.connect.pace import NoPace
from tracker.connect.rows import decode
from tracker.demo.adtraction import status_at
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected, NotFound, RateLimited, UnexpectedData, UsageError
from tracker.records import Payout, Program, Settlement, Status

SINCE = NOW - timedelta(days=170)
STATUSES = {1: Status.APPROVED, 2: Status.PENDING, 4: Status.PENDING, 5: Status.DECLINED}


def book(sandbox: Sandbox, key: str = "", **options: str) -> Book:
    keys = {"token": key} if key else sandbox.credentials("adtraction")
    options = {"role": "partner", "currency": "EUR", "paid_status": "1"} | options
    ours = Book(connector, sandbox.url("adtraction"), keys, **options)
    ours.pace = NoPace()
    return ours


def test_a_first_read_finds_every_commission_with_its_status(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("transactions", now=NOW, since=SINCE)
    mine = [sale for sale in sandbox.history.sales if SINCE <= sale.occurred <= NOW]
    found = {(one.earned_at, one.net): one for one in ours.earnings.values()}
    for sale in mine:
        one = found[sale.occurred.replace(microsecond=0), sale.amounts(NOW)[1]]
        assert one.status is STATUSES[status_at(sale, NOW)]
        assert (one.settlement is Settlement.PAID) == bool(sale.paid and sale.paid <= NOW)
    assert {one.currency for one in ours.earnings.values()} == {"EUR", "GBP"}
    assert {f"{one.provider_status}"[0] for one in ours.earnings.values()} == {"1", "2", "4", "5"}
    assert all(one.net for one in ours.earnings.values())  # clicks are none
    titles = {record.external_id for record in ours.records.values() if isinstance(record, Program)}
    assert titles == {str(sale.programme.id) for sale in mine}


def test_no_two_rows_share_an_id_so_that_a_second_read_changes_nothing(
    sandbox: Sandbox, http: requests.Session
) -> None:
    asked = {"fromDate": "2025-01-01T00:00:00+0000", "toDate": "2026-06-15T00:00:00+0000", "transactionStatus": 0}
    headers = {"X-Token": sandbox.credentials("adtraction")["token"]}
    url = f"{sandbox.url('adtraction')}/v2/partner/transactions/"
    rows = decode(http.post(url, json=asked, headers=headers, timeout=10).content)
    ids = [connector.resource("transactions").row_id.read(row) for row in rows]
    assert len({one for one in ids if one.startswith("click ")}) > 50
    assert len(set(ids)) == len(rows)


def test_nothing_is_called_paid_before_the_user_says_what_paid_looks_like(sandbox: Sandbox) -> None:
    ours = book(sandbox, paid_status="")
    ours.read("transactions", now=NOW, since=SINCE)
    assert {one.settlement for one in ours.earnings.values()} == {Settlement.UNPAID}
    assert any(one.provider_status == "1, payment 1" for one in ours.earnings.values())


def test_a_later_read_ends_where_reading_everything_anew_ends(unhurried: Sandbox) -> None:
    read = read_twice(unhurried, book, "transactions", SINCE, 75)
    assert read.common == read.anew
    assert {(Status.PENDING, Status.APPROVED), (Status.PENDING, Status.DECLINED)} <= read.moves
    assert (Status.APPROVED, Status.DECLINED) in read.moves
    assert read.changed("settlement")
    assert read.changed("net")


def test_payments_are_payouts_in_the_currency_of_the_account(sandbox: Sandbox) -> None:
    for currency in ("EUR", "GBP", "SEK"):
        ours = book(sandbox, currency=currency)
        ours.read("payments", now=NOW, since=SINCE)
        paid = [sale for sale in sandbox.history.sales if sale.paid and sale.paid <= NOW]
        owed = sum(sale.amounts(NOW)[1] for sale in paid if sale.programme.currency == currency)
        payouts = [record for record in ours.records.values() if isinstance(record, Payout)]
        assert sum(payout.amount for payout in payouts) == owed
        assert bool(payouts) == (currency != "SEK")


def test_a_wrong_token_is_refused_and_never_stands_in_a_message(sandbox: Sandbox) -> None:
    with pytest.raises(AuthRejected, match="Invalid token") as caught:
        book(sandbox, key="wrong-0815").read("payments", now=NOW, since=SINCE)
    assert "wrong-0815" not in str(caught.value)


def test_a_refusal_that_repeats_the_token_is_told_without_it(sandbox: Sandbox) -> None:
    token = sandbox.credentials("adtraction")["token"]
    sandbox.fail("adtraction", "body", body=f'{{"status": 401, "message": "{token} is unknown"}}'.encode())
    with pytest.raises(AuthRejected, match=r"\*\*\* is unknown"):
        book(sandbox).read("transactions", now=NOW, since=SINCE)


def test_a_channel_that_is_no_number_is_named(sandbox: Sandbox) -> None:
    with pytest.raises(UsageError, match="channel"):
        book(sandbox, channel_id="my blog").read("transactions", now=NOW, since=SINCE)


def test_payments_of_the_account_can_be_left_to_another_connection(sandbox: Sandbox) -> None:
    ours = book(sandbox, payments="no")
    ours.read("transactions", now=NOW, since=NOW - timedelta(days=20))
    assert ours.earnings
    with pytest.raises(NotFound) as error:
        ours.read("payments", now=NOW, since=SINCE)
    absent = connector.resource("payments").absent
    assert absent
    assert absent(error.value)
    assert not any("payments" in request.path for request in sandbox.requests)


@pytest.mark.parametrize(
    "change",
    [
        {"fromDate": "2026-05-01"},
        {"toDate": "2026-06-01T00:00:00"},
        {"toDate": "2026-06-01T00:00:00+00:00"},
        {"transactionStatus": 9},
        {"transactionStatus": None},
    ],
)
def test_a_broken_rule_is_a_bad_request(sandbox: Sandbox, http: requests.Session, change: dict[str, Any]) -> None:
    asked = {"fromDate": "2026-05-01T00:00:00+0200", "toDate": "2026-06-01T00:00:00+0200", "transactionStatus": 0}
    url, headers = f"{sandbox.url('adtraction')}/v2/partner/transactions/", sandbox.credentials("adtraction")
    headers = {"X-Token": headers["token"]}
    assert http.post(url, json=asked, headers=headers, timeout=10).status_code == 200
    answer = http.post(url, json=asked | change, headers=headers, timeout=10)
    assert (answer.status_code, answer.json()["status"]) == (400, 400)


def test_the_thirty_first_call_within_a_minute_is_throttled(sandbox: Sandbox, http: requests.Session) -> None:
    headers = {"X-Token": sandbox.credentials("adtraction")["token"]}
    url = f"{sandbox.url('adtraction')}/v2/partner/payments/SEK/"
    seen = [http.get(url, headers=headers, timeout=10).status_code for _ in range(31)]
    assert seen == [200] * 30 + [429]


@pytest.mark.parametrize("resource", ["transactions", "payments"])
def test_trouble_at_adtraction_is_named_by_what_is_to_be_done(sandbox: Sandbox, resource: str) -> None:
    told = {"rate_limited": RateLimited, "error_body": UnexpectedData}
    check_troubles(sandbox, "adtraction", lambda: book(sandbox).read(resource, now=NOW, since=SINCE), told)
