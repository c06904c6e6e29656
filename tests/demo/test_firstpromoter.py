"""FirstPromoter in the sandbox keeps FirstPromoter's rules, and its connector reads it over HTTP."""

from datetime import timedelta
from typing import Any

import pytest
import requests

from connectors.firstpromoter import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, check_troubles, read_twice
from tracker.demo.firstpromoter import PROGRAMME, status_at
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected, RightMissing
from tracker.records import Invoice, Kind, Payout, PayoutItem, PayoutStatus, Settlement, Status

SINCE = NOW - timedelta(days=170)


def book(sandbox: Sandbox, **credentials: str) -> Book:
    keys = sandbox.credentials("firstpromoter") | credentials
    return Book(connector, sandbox.url("firstpromoter"), keys, currency="EUR", amounts="cents")


def read(ours: Book, sandbox: Sandbox) -> None:
    for resource in connector.resources:
        if resource.name == "payout_items":  # the state of one resource is not another's
            ours.state = {}
        ours.read(resource.name, now=sandbox.now, since=SINCE)
        ours.state = {}


def test_a_first_read_finds_every_commission_with_its_status(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    read(ours, sandbox)
    words = {"denied": Status.DECLINED, "approved": Status.APPROVED, "pending": Status.PENDING}
    mine = [sale for sale in sandbox.history.sales if sale.programme.id == PROGRAMME]
    sales = {str(sale.id): sale for sale in mine if SINCE <= sale.occurred <= NOW}
    assert len(sales) > 100  # more than a page
    for key, sale in sales.items():
        found = ours.earnings[key]
        assert (found.status, found.net, found.currency) == (words[status_at(sale, NOW)], sale.commission, "EUR")
        assert (found.settlement is Settlement.PAID) == bool(sale.paid and sale.paid <= NOW)
    refunds = [found for found in ours.earnings.values() if found.net < 0]
    assert refunds
    assert {found.kind for found in refunds} == {Kind.REFUND}


def test_what_follows_a_customers_first_commission_is_recurring(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    read(ours, sandbox)
    renewals = {record.payment_ref for record in ours.records.values() if isinstance(record, Invoice)}
    told = {str(sale.id): sale.renewal for sale in sandbox.history.sales}
    mine = {key for key in ours.earnings if told.get(key)}
    assert mine
    assert {key for key in renewals if key in told} >= mine
    assert all(told[key] for key in renewals if key in told)


def test_payouts_are_read_with_the_commissions_inside(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    read(ours, sandbox)
    payouts = {record.external_id: record for record in ours.records.values() if isinstance(record, Payout)}
    assert PayoutStatus.PAID in {payout.status for payout in payouts.values()}
    items = [record for record in ours.records.values() if isinstance(record, PayoutItem)]
    for key, payout in payouts.items():
        assert sum(item.amount for item in items if item.payout_ref == key) == payout.amount
    paid = {item.earning_ref for item in items if payouts[item.payout_ref].status is PayoutStatus.PAID}
    assert {key for key, found in ours.earnings.items() if found.settlement is Settlement.PAID} <= paid


def test_a_later_read_ends_where_reading_everything_anew_ends(sandbox: Sandbox) -> None:
    read = read_twice(sandbox, book, "commissions", SINCE, 95)
    assert read.common == read.anew
    assert {(Status.PENDING, Status.APPROVED), (Status.PENDING, Status.DECLINED)} <= read.moves
    assert any(found.net < 0 and key not in read.before for key, found in read.later.items())
    assert read.changed("settlement")


def test_wrong_keys_are_refused_and_never_stand_in_a_message(sandbox: Sandbox) -> None:
    with pytest.raises(AuthRejected, match="Unauthorized") as caught:
        book(sandbox, token="wrong-0815").read("commissions", now=NOW, since=SINCE)
    assert "wrong-0815" not in str(caught.value)
    with pytest.raises(RightMissing, match="company's key is refused"):
        book(sandbox, account_id="acc_other").read("payouts", now=NOW, since=SINCE)


def ask(sandbox: Sandbox, http: requests.Session, path: str = "commissions", **params: Any) -> requests.Response:
    keys = sandbox.credentials("firstpromoter")
    headers = {"Authorization": f"Bearer {keys['token']}", "ACCOUNT-ID": keys["account_id"]}
    url = f"{sandbox.url('firstpromoter')}/api/v2/affiliate/{path}"
    return http.get(url, params=params, headers=headers, timeout=10)


def test_a_page_holds_twenty_rows_and_a_hundred_at_most(sandbox: Sandbox, http: requests.Session) -> None:
    assert len(ask(sandbox, http).json()) == 20
    assert len(ask(sandbox, http, per_page=500).json()) == 100
    assert ask(sandbox, http, page=999).json() == []


@pytest.mark.parametrize(
    "params",
    [
        {"page": "0"},
        {"filters[status]": "paid"},
        {"filters[paid]": "true"},
        {"filters[created_at][from]": "yesterday"},
    ],
)
def test_a_broken_rule_is_refused(sandbox: Sandbox, http: requests.Session, params: dict[str, str]) -> None:
    answer = ask(sandbox, http, **params)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_the_four_hundred_and_first_call_within_a_minute_is_throttled(sandbox: Sandbox, http: requests.Session) -> None:
    seen = [ask(sandbox, http, per_page=1).status_code for _ in range(401)]
    assert seen == [200] * 400 + [429]


def test_trouble_at_firstpromoter_is_named_by_what_is_to_be_done(sandbox: Sandbox) -> None:
    check_troubles(sandbox, "firstpromoter", lambda: book(sandbox).read("commissions", now=NOW, since=SINCE))
