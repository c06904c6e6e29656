"""Awin in the sandbox keeps Awin's rules."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import msgspec
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.demo.conftest import NOW, Get
from tracker.demo.server import Sandbox

TRANSACTIONS = "/publishers/{id}/transactions/"


def windows(days: int = 800) -> Iterator[tuple[str, str]]:
    end = NOW.replace(tzinfo=None)
    start = end - timedelta(days=days)
    while start < end:
        stop = min(start + timedelta(days=31), end)
        yield f"{start:%Y-%m-%dT%H:%M:%S}", f"{stop:%Y-%m-%dT%H:%M:%S}"
        start = stop


def history_of(awin: Get, **params: Any) -> dict[int, dict[str, Any]]:
    rows: dict[int, dict[str, Any]] = {}
    for start, end in windows():
        answer = awin(TRANSACTIONS, startDate=start, endDate=end, timezone="UTC", **params)
        assert answer.status_code == 200, answer.text
        rows |= {row["id"]: row for row in answer.json()}
    return rows


def june(awin: Get, **params: Any) -> requests.Response:
    return awin(TRANSACTIONS, **{"startDate": "2026-06-01T00:00:00", "endDate": "2026-06-15T00:00:00"} | params)


def test_a_missing_or_wrong_token_is_refused(sandbox: Sandbox, http: requests.Session) -> None:
    url = sandbox.url("awin") + "/accounts"
    nobody = http.get(url, timeout=10)
    assert nobody.status_code == 401
    assert nobody.json()["error"] == "unauthorized"
    assert http.get(url, headers={"Authorization": "Bearer nonsense"}, timeout=10).status_code == 401
    token = sandbox.credentials("awin")["token"]
    assert http.get(url, params={"accessToken": token}, timeout=10).status_code == 200
    assert token not in "".join(line.query for line in sandbox.requests)


def test_the_account_of_the_token_is_listed_and_another_is_forbidden(awin: Get, sandbox: Sandbox) -> None:
    account = awin("/accounts", type="publisher").json()["accounts"][0]
    assert str(account["accountId"]) == sandbox.credentials("awin")["publisher_id"]
    assert awin("/publishers/1/transactions/", startDate="x", endDate="y").status_code == 403


@pytest.mark.parametrize(
    "params",
    [
        {"endDate": "2026-06-15T00:00:01", "startDate": "2026-05-15T00:00:00"},
        {"startDate": ""},
        {"startDate": "2026-06-01T00:00:00Z"},
        {"startDate": "2026-06-20T00:00:00"},
        {"timezone": "Europe/Oslo"},
        {"dateType": "payment"},
        {"status": "paid"},
    ],
)
def test_a_broken_rule_is_a_bad_request(awin: Get, params: dict[str, str]) -> None:
    answer = june(awin, **params)
    assert answer.status_code == 400
    assert answer.json()["description"]


def test_a_window_may_be_31_days_long(awin: Get) -> None:
    assert june(awin, startDate="2026-05-15T00:00:00", endDate="2026-06-15T00:00:00").status_code == 200


def test_the_twenty_first_call_within_a_minute_is_throttled(http: requests.Session) -> None:
    clock = count(0, 2)
    with Sandbox(now=NOW, awin_calls_per_minute=20, monotonic=lambda: float(next(clock))) as sandbox:
        headers = {"Authorization": "Bearer " + sandbox.credentials("awin")["token"]}
        url = sandbox.url("awin") + "/accounts"
        seen = [http.get(url, headers=headers, timeout=10).status_code for _ in range(32)]
    assert seen[:20] == [200] * 20
    assert seen[20:30] == [429] * 10
    assert seen[30:] == [200] * 2  # the first calls are a minute old


def test_the_history_is_believable(awin: Get) -> None:
    rows = history_of(awin).values()
    assert 60 * 24 <= len(rows) <= 120 * 25
    assert {row["commissionStatus"] for row in rows} == {"pending", "approved", "declined", "deleted"}
    assert {row["commissionAmount"]["currency"] for row in rows} == {"EUR", "GBP"}
    assert any(row["clickRefs"] is None for row in rows)
    assert any(row["amended"] and row["oldSaleAmount"] for row in rows)
    assert any(row["type"] == "bonus" for row in rows)
    assert any(row["paidToPublisher"] and row["commissionStatus"] == "declined" for row in rows)
    assert all((row["paymentId"] > 0) == row["paidToPublisher"] for row in rows)
    assert all((row["validationDate"] is None) == (row["commissionStatus"] == "pending") for row in rows)


def test_one_programme_pays_months_later_than_the_others(awin: Get) -> None:
    old = [row for row in history_of(awin).values() if "2025-11" <= row["transactionDate"][:7] <= "2025-12"]
    approved = [row for row in old if row["commissionStatus"] == "approved"]
    late = [row["paidToPublisher"] for row in approved if row["advertiserId"] == 80012]
    assert not all(late)
    assert all(row["paidToPublisher"] for row in approved if row["advertiserId"] != 80012)


def test_amounts_are_exact_numbers_in_the_text(awin: Get) -> None:
    start, end = next(windows(31))
    answer = awin(TRANSACTIONS, startDate=start, endDate=end)
    rows = msgspec.json.decode(answer.content, type=list[dict[str, Any]])
    for row in rows:
        text = f'"amount":{Decimal(str(row["saleAmount"]["amount"])).quantize(Decimal("0.01"))}'
        assert text in answer.text


def test_every_programme_of_a_row_is_joined(awin: Get) -> None:
    names = {row["id"]: row["name"] for row in awin("/publishers/{id}/programmes/", relationship="joined").json()}
    assert {row["advertiserId"] for row in june(awin).json()} <= set(names)
    assert len(names) == 8


def test_rows_are_read_again_by_their_ids(awin: Get) -> None:
    rows = june(awin).json()
    again = awin("/publishers/{id}/transactions", ids=",".join(str(row["id"]) for row in rows[:100]), timezone="UTC")
    assert again.json() == rows[:100]
    assert awin(TRANSACTIONS, ids=",".join(map(str, range(101)))).status_code == 400


def test_a_zone_moves_the_written_times_and_not_the_rows(awin: Get) -> None:
    utc = june(awin, timezone="UTC").json()
    berlin = june(awin, timezone="Europe/Berlin", startDate="2026-06-01T02:00:00", endDate="2026-06-15T02:00:00").json()
    assert [row["id"] for row in utc] == [row["id"] for row in berlin]
    apart = datetime.fromisoformat(berlin[0]["transactionDate"]) - datetime.fromisoformat(utc[0]["transactionDate"])
    assert apart == timedelta(hours=2)


def test_a_validation_window_finds_the_old_rows_that_changed(awin: Get, sandbox: Sandbox) -> None:
    before = history_of(awin)
    sandbox.now = NOW + timedelta(days=30)
    after: dict[int, dict[str, Any]] = {}
    for axis in ("transaction", "validation", "amendment"):
        span = {"startDate": "2026-06-15T12:00:00", "endDate": "2026-07-15T12:00:00", "dateType": axis}
        after |= {row["id"]: row for row in awin(TRANSACTIONS, **span).json()}
    moves = {
        (before[number]["commissionStatus"], row["commissionStatus"])
        for number, row in after.items()
        if number in before
    }
    assert {("pending", "approved"), ("pending", "declined"), ("approved", "declined")} <= moves
    assert any(number not in before for number in after)
    known = set(after)
    for number, row in history_of(awin).items():
        if number in before and number not in known:
            assert row["commissionStatus"] == before[number]["commissionStatus"]
            assert row["commissionAmount"] == before[number]["commissionAmount"]


def test_the_paid_flag_changes_without_a_date_of_its_own(awin: Get, sandbox: Sandbox) -> None:
    waiting = [row["id"] for row in history_of(awin, status="approved").values() if not row["paidToPublisher"]]
    sandbox.now = NOW + timedelta(days=31)
    later = awin(TRANSACTIONS, ids=",".join(map(str, waiting[:100]))).json()
    assert any(row["paidToPublisher"] for row in later)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(min_value=1, max_value=14 * 24 * 3600 - 1))
def test_two_touching_windows_hold_what_one_holds(awin: Get, cut: int) -> None:
    middle = datetime(2026, 6, 1) + timedelta(seconds=cut)  # noqa: DTZ001 - Awin writes no offset
    text = f"{middle:%Y-%m-%dT%H:%M:%S}"
    whole = {row["id"] for row in june(awin).json()}
    parts = {row["id"] for span in ({"endDate": text}, {"startDate": text}) for row in june(awin, **span).json()}
    assert parts == whole
