"""Rakuten in the sandbox keeps Rakuten's rules, and its connector reads it over HTTP."""

from base64 import b64encode
from datetime import timedelta
from decimal import Decimal
from urllib.parse import urlencode

import pytest
import requests

from connectors.rakuten import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW
from tracker.demo.rakuten import Rakuten, identifier
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected, NotFound, RateLimited, UnexpectedData
from tracker.records import Earning, Payout, PayoutStatus, Program


def book(sandbox: Sandbox, **credentials: str) -> Book:
    return Book(connector, sandbox.url("rakuten"), sandbox.credentials("rakuten") | credentials)


def sums(earnings: dict[str, Earning]) -> dict[str | None, Decimal]:
    found: dict[str | None, Decimal] = {}
    for earning in earnings.values():
        found[earning.origin_ref] = found.get(earning.origin_ref, Decimal(0)) + earning.net
    return found


def test_a_first_read_finds_the_transactions_of_a_month_and_no_event(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("transactions", now=NOW, since=sandbox.history.start)
    start = NOW - timedelta(days=29)
    actions = {identifier(action): action for action in sandbox.history.actions if start <= action.posted <= NOW}
    assert {key: found.net for key, found in ours.earnings.items()} == {
        key: action.commission for key, action in actions.items()
    }
    assert all(
        ours.earnings[key].earned_at == action.occurred.replace(microsecond=0) for key, action in actions.items()
    )
    assert any(found.net < 0 for found in ours.earnings.values())


def test_later_reads_follow_the_corrections_of_old_sales(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    sandbox.now = NOW - timedelta(days=50)
    ours.read("transactions", now=sandbox.now, since=sandbox.history.start)
    before = sums(ours.earnings)
    for days in (25, 0):
        sandbox.now = NOW - timedelta(days=days)
        ours.read("transactions", now=sandbox.now, since=sandbox.history.start)
    later = sums(ours.earnings)
    known = {identifier(action) for action in sandbox.history.actions}
    assert ours.earnings.keys() <= known
    assert any(before[key] > 0 and later[key] == 0 for key in before)  # taken back as a whole
    first = min(action.posted for action in sandbox.history.actions if identifier(action) in ours.earnings)
    assert len(ours.earnings) == sum(first <= action.posted <= NOW for action in sandbox.history.actions)


def test_partners_give_the_advertiser_ids_a_title(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("partnerships", now=NOW, since=NOW)
    titles = {record.external_id: record.title for record in ours.records.values() if isinstance(record, Program)}
    assert titles == {str(action.programme.id): action.programme.name for action in sandbox.history.actions}


def test_payments_are_read_from_the_report(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    sandbox.now = NOW - timedelta(days=40)
    ours.read("payments", now=sandbox.now, since=sandbox.history.start)
    before = len(ours.records)
    sandbox.now = NOW
    ours.read("payments", now=NOW, since=sandbox.history.start)
    payouts = [record for record in ours.records.values() if isinstance(record, Payout)]
    assert before < len(payouts) >= 20
    assert {payout.status for payout in payouts} == {PayoutStatus.PAID}
    played = Rakuten(sandbox.history, sandbox.credentials("rakuten"))
    assert [payout.amount for payout in payouts] == [amount for _, amount in played.payments(NOW)]


def test_without_a_security_token_the_payments_are_absent(sandbox: Sandbox) -> None:
    with pytest.raises(NotFound) as caught:
        book(sandbox, security_token="").read("payments", now=NOW, since=NOW - timedelta(days=9))
    absent = connector.resource("payments").absent
    assert absent is not None
    assert absent(caught.value)
    assert sandbox.requests == []


def test_wrong_keys_are_refused_and_never_stand_in_a_message(sandbox: Sandbox) -> None:
    for name in ("client_secret", "sid"):
        with pytest.raises(AuthRejected, match="no access token") as caught:
            book(sandbox, **{name: "wrong-0815"}).read("transactions", now=NOW, since=NOW - timedelta(days=9))
        assert "wrong-0815" not in str(caught.value)
    with pytest.raises(UnexpectedData, match="no column payment_id"):
        book(sandbox, security_token="wrong-0815").read("payments", now=NOW, since=NOW - timedelta(days=9))


def token(sandbox: Sandbox, http: requests.Session) -> str:
    keys = sandbox.credentials("rakuten")
    pair = b64encode(f"{keys['client_id']}:{keys['client_secret']}".encode()).decode()
    headers = {"Authorization": f"Bearer {pair}"}
    answer = http.post(f"{sandbox.url('rakuten')}/token", data={"scope": keys["sid"]}, headers=headers, timeout=10)
    return str(answer.json()["access_token"])


def ask(sandbox: Sandbox, http: requests.Session, path: str, token: str, **params: str) -> requests.Response:
    url = sandbox.url("rakuten") + path
    return http.get(url, params=params, headers={"Authorization": f"Bearer {token}"}, timeout=10)


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/events/1.0/transactions", {"process_date_start": "2026-05-16 11:59:59"}),
        ("/events/1.0/transactions", {"process_date_start": "2026-06-01"}),
        ("/events/1.0/transactions", {"page": "0"}),
        ("/advancedreports/1.0", {"reportid": "1", "bdate": "20250101", "edate": "20260601"}),
        ("/advancedreports/1.0", {"reportid": "4", "bdate": "20260101", "edate": "20260601"}),
    ],
)
def test_a_broken_rule_is_a_bad_request(
    sandbox: Sandbox, http: requests.Session, path: str, params: dict[str, str]
) -> None:
    security = {"token": sandbox.credentials("rakuten")["security_token"]} if "reportid" in params else {}
    address = f"{path}?{urlencode(params | security)}"
    assert ask(sandbox, http, address, token(sandbox, http)).status_code == 400


def test_a_hundred_transactions_come_unasked(sandbox: Sandbox, http: requests.Session) -> None:
    held = token(sandbox, http)
    assert len(ask(sandbox, http, "/events/1.0/transactions", held).json()) <= 100
    assert len(ask(sandbox, http, "/events/1.0/transactions", held, limit="3", page="2").json()) == 3


def test_a_token_lives_for_an_hour(sandbox: Sandbox, http: requests.Session) -> None:
    held = token(sandbox, http)
    sandbox.now = NOW + timedelta(minutes=59)
    assert ask(sandbox, http, "/v1/partnerships", held).status_code == 200
    sandbox.now = NOW + timedelta(minutes=61)
    assert ask(sandbox, http, "/v1/partnerships", held).status_code == 401


def test_trouble_at_rakuten_is_named_by_what_is_to_be_done(sandbox: Sandbox) -> None:
    sandbox.fail("rakuten", "rate_limited", path="transactions")
    with pytest.raises(RateLimited) as caught:
        book(sandbox).read("transactions", now=NOW, since=NOW - timedelta(days=9))
    assert caught.value.retry_after_s == 60
    sandbox.fail("rakuten", "error_body", path="advancedreports")
    with pytest.raises(RateLimited, match="limit of reports"):
        book(sandbox).read("payments", now=NOW, since=NOW - timedelta(days=9))
