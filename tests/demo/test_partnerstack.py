"""PartnerStack in the sandbox keeps PartnerStack's rules, and its connector reads it over HTTP."""

from datetime import timedelta

import pytest
import requests

from connectors.partnerstack import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, check_troubles, read_twice
from tracker.demo.partnerstack import key_of, states_at
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected, RightMissing
from tracker.records import Kind, Payout, PayoutItem, Program, Settlement, Status

SINCE = NOW - timedelta(days=170)


def book(sandbox: Sandbox, **credentials: str) -> Book:
    return Book(connector, sandbox.url("partnerstack"), sandbox.credentials("partnerstack") | credentials)


def read(ours: Book, sandbox: Sandbox) -> None:
    ours.read("rewards", now=sandbox.now, since=SINCE)


def test_a_first_read_finds_every_reward_with_both_of_its_states(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    read(ours, sandbox)
    sales = {key_of(sale): sale for sale in sandbox.history.sales if SINCE <= sale.occurred <= NOW}
    assert len(sales) > 250  # more than a page
    words = {"pending": Status.PENDING, "approved": Status.APPROVED, "declined": Status.DECLINED}
    assert ours.earnings.keys() == sales.keys()
    for key, sale in sales.items():
        found, (said, payment) = ours.earnings[key], states_at(sale, NOW)
        assert found.status is (Status.DECLINED if payment == "paid_and_refunded" else words[said])
        assert (found.settlement is Settlement.PAID) == (payment in ("withdrawn", "paid_and_refunded"))
        assert (found.net, found.currency) == (sale.commission, sale.programme.currency)
        assert (found.kind is Kind.BONUS, found.earned_at) == (sale.bonus, sale.occurred)
    titles = {record.external_id for record in ours.records.values() if isinstance(record, Program)}
    assert {found.program for found in ours.earnings.values()} == titles


def test_nothing_kept_says_who_bought(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    read(ours, sandbox)
    assert "Reader" not in str(ours.records)
    assert "people.example" not in str(ours.records)


def test_a_later_read_ends_where_reading_everything_anew_ends(sandbox: Sandbox) -> None:
    seen = read_twice(sandbox, book, "rewards", SINCE, 95)
    assert seen.common == seen.anew
    assert {(Status.PENDING, Status.APPROVED), (Status.APPROVED, Status.DECLINED)} <= seen.moves
    assert seen.changed("settlement")


def test_payouts_hold_the_rewards_that_name_them(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("rewards", now=NOW, since=sandbox.history.start)
    ours.state = {}
    ours.read("payouts", now=NOW, since=sandbox.history.start)
    payouts = {record.external_id: record for record in ours.records.values() if isinstance(record, Payout)}
    items = [record for record in ours.records.values() if isinstance(record, PayoutItem)]
    assert payouts
    assert {item.payout_ref for item in items} == payouts.keys()
    for key, payout in payouts.items():
        assert sum(item.amount for item in items if item.payout_ref == key) == payout.amount
    paid = {key for key, found in ours.earnings.items() if found.settlement is Settlement.PAID}
    assert {item.earning_ref for item in items} == paid


def test_a_wrong_key_and_a_companys_key_are_told_apart(sandbox: Sandbox) -> None:
    with pytest.raises(AuthRejected, match="Invalid API key") as wrong:
        read(book(sandbox, api_key="wrong-0815"), sandbox)
    assert not isinstance(wrong.value, RightMissing)
    assert "wrong-0815" not in str(wrong.value)
    with pytest.raises(RightMissing, match="a company's keys are refused"):
        read(book(sandbox, api_key=sandbox.credentials("partnerstack")["api_key"] + "-company"), sandbox)


def ask(sandbox: Sandbox, http: requests.Session, path: str = "rewards", **params: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {sandbox.credentials('partnerstack')['api_key']}"}
    return http.get(f"{sandbox.url('partnerstack')}/api/v2/{path}", params=params, headers=headers, timeout=10)


def test_a_page_holds_ten_rows_unasked_and_tells_whether_more_follow(sandbox: Sandbox, http: requests.Session) -> None:
    first = ask(sandbox, http).json()["data"]
    second = ask(sandbox, http, starting_after=first["items"][-1]["key"]).json()["data"]
    assert (len(first["items"]), first["has_more"]) == (10, True)
    days = [row["created_at"] for row in first["items"] + second["items"]]
    assert days == sorted(days, reverse=True)
    assert not {row["key"] for row in first["items"]} & {row["key"] for row in second["items"]}


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "251"},
        {"limit": "0"},
        {"min_created": "2026-06-01"},
        {"order_by": "name"},
        {"starting_after": "rwrd_none"},
        {"starting_after": "a", "ending_before": "b"},
    ],
)
def test_a_broken_rule_is_a_bad_request(sandbox: Sandbox, http: requests.Session, params: dict[str, str]) -> None:
    answer = ask(sandbox, http, **params)
    assert (answer.status_code, answer.json()["status"]) == (400, 400)


def test_trouble_at_partnerstack_is_named_by_what_is_to_be_done(sandbox: Sandbox) -> None:
    check_troubles(sandbox, "partnerstack", lambda: read(book(sandbox), sandbox))
