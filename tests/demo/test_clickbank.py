"""ClickBank in the sandbox keeps ClickBank's rules, and its connector reads it over HTTP."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import requests

from connectors.clickbank import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, check_troubles, connect, read_twice
from tests.world import World
from tracker.demo.clickbank import receipts, refunded_at
from tracker.demo.facts import NetworkSale, Programme
from tracker.demo.server import Sandbox
from tracker.errors import RateLimited
from tracker.records import Kind, Program, Recurrence, Status

SINCE = NOW - timedelta(days=120)
LIST = "/rest/1.3/orders2/list"


@pytest.fixture
def sandbox(unhurried: Sandbox) -> Sandbox:
    """The limit of ten calls a second has a test of its own."""
    return unhurried


def book(sandbox: Sandbox, **credentials: str) -> Book:
    keys = sandbox.credentials("clickbank") | credentials
    return Book(connector, sandbox.url("clickbank"), keys, role="AFFILIATE", currency="USD")


def sold(sandbox: Sandbox) -> dict[str, NetworkSale]:
    """The sales by receipt."""
    sales = [sale for sale in sandbox.history.sales if not sale.bonus]
    found = receipts(sales)
    return {found[sale.id][0]: sale for sale in sales}


def receipt(found: Any) -> str:
    return str(found.external_id).partition(":")[0]


def tells_little(programme: Programme) -> bool:
    """Whether its plan always has one payment to come."""
    return programme.renewal == "month"


def test_a_first_read_finds_sales_rebills_and_refunds(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("orders", now=NOW, since=SINCE)
    sales = {key: sale for key, sale in sold(sandbox).items() if SINCE <= sale.occurred <= NOW}
    paid = {receipt(found): found for found in ours.earnings.values() if found.kind is Kind.COMMISSION}
    assert sales.keys() <= paid.keys()
    assert len(sales) > 100  # more than a page
    for key, sale in sales.items():
        found = paid[key]
        assert (found.net, found.currency, found.status) == (sale.commission, "USD", Status.APPROVED)
        assert (found.sale_amount, found.sale_currency) == (sale.sale, sale.programme.currency)
        assert found.earned_at == sale.occurred.replace(microsecond=0)
    refunds = {found.origin_ref: found for found in ours.earnings.values() if found.kind is Kind.REFUND}
    back = {key for key, sale in sales.items() if (at := refunded_at(sale)) and at <= NOW}
    assert {paid[key].origin_ref for key in back} <= refunds.keys()
    assert all(refunds[paid[key].origin_ref].net == -paid[key].net for key in back)
    titles = {record.external_id for record in ours.records.values() if isinstance(record, Program)}
    assert {found.program for found in ours.earnings.values()} == titles


def test_rebills_belong_to_the_first_payment_of_their_subscription(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("orders", now=NOW, since=SINCE)
    sales = sold(sandbox)
    said = set()
    for found in ours.earnings.values():
        if found.kind is Kind.COMMISSION:
            programme = sales[receipt(found)].programme
            recurs = bool(programme.renewal) and not tells_little(programme)
            assert recurs <= (found.recurrence is Recurrence.RECURRING) <= bool(programme.renewal)
            assert (found.subscription_ref is not None) == (found.recurrence is not None)
            said.add((found.recurrence, tells_little(programme)))
    assert {(Recurrence.RECURRING, False), (None, True)} <= said
    assert Recurrence.INSTALMENT not in {word for word, _ in said}
    firsts = {key for key, sale in sales.items() if not sale.renewal}
    rebills = {found.order_ref for found in ours.earnings.values() if found.provider_status == "BILL"}
    assert rebills
    assert rebills <= firsts
    assert {found.subscription_ref for found in ours.earnings.values()} - {None} <= firsts


def test_a_plan_that_always_has_one_payment_to_come_is_told_by_its_history(sandbox: Sandbox, world: World) -> None:
    connect(world, sandbox, "clickbank", at=NOW, since=NOW - timedelta(days=400))
    assert world.sync("clickbank").outcome == "ok"
    sales = sold(sandbox)
    rows = [row for row in world.earnings().values() if row.kind == Kind.COMMISSION]
    endless = [row for row in rows if tells_little(sales[receipt(row)].programme)]
    thrice = {key for key, count in Counter(row.order_ref for row in endless).items() if count > 2}
    told = [row for row in endless if row.order_ref in thrice]
    assert sum(row.recurrence == Recurrence.RECURRING for row in told) > 0.95 * len(told) > 100
    assert not any(row.recurrence == Recurrence.INSTALMENT for row in rows)


def test_a_later_read_ends_where_reading_everything_anew_ends(sandbox: Sandbox) -> None:
    read = read_twice(sandbox, book, "orders", SINCE, 35)
    assert len(read.asked) <= 6
    assert read.later == read.anew
    taken_back = {found.origin_ref for key, found in read.later.items() if found.net < 0 and key not in read.before}
    assert any(found.origin_ref in taken_back for found in read.before.values())


def test_nothing_of_a_customer_is_kept(sandbox: Sandbox) -> None:
    row = {"receipt": "A", "email": "a@people.example", "firstName": "A", "zip": "1", "country": "US"}
    tidy = connector.resource("orders").tidy
    assert tidy is not None
    tidy(row)
    assert row == {"receipt": "A", "country": "US"}


def test_a_wrong_key_is_doubted_at_first_and_never_stands_in_a_message(sandbox: Sandbox) -> None:
    with pytest.raises(RateLimited, match="slow down") as caught:
        book(sandbox, api_key="API-WRONG0815").read("orders", now=NOW, since=SINCE)
    assert "WRONG0815" not in str(caught.value)


def ask(sandbox: Sandbox, http: requests.Session, page: str = "1", **params: str) -> requests.Response:
    headers = {"Authorization": sandbox.credentials("clickbank")["api_key"], "Page": page, "Accept": "application/json"}
    span = {"startDate": "2026-03-01", "endDate": "2026-06-15"}
    return http.get(sandbox.url("clickbank") + LIST, params=span | params, headers=headers, timeout=10)


def test_a_page_holds_a_hundred_rows_and_206_means_more(sandbox: Sandbox, http: requests.Session) -> None:
    first = ask(sandbox, http)
    assert (first.status_code, len(first.json()["orderData"])) == (206, 100)
    assert ask(sandbox, http, "99").content == b"null"


def test_a_list_of_one_is_the_one(sandbox: Sandbox, http: requests.Session) -> None:
    days = [f"2026-03-{day:02}" for day in range(1, 32)]
    answers = [ask(sandbox, http, startDate=day, endDate=day, type="RFND") for day in days]
    assert any(isinstance((answer.json() or {}).get("orderData"), dict) for answer in answers)


@pytest.mark.parametrize("params", [{"startDate": ""}, {"endDate": "2026-06-15T00:00:00Z"}])
def test_a_broken_rule_is_a_bad_request(sandbox: Sandbox, http: requests.Session, params: dict[str, str]) -> None:
    assert ask(sandbox, http, **params).status_code == 400


def test_an_unknown_type_finds_nothing(sandbox: Sandbox, http: requests.Session) -> None:
    assert ask(sandbox, http, type="INSF").content == b"null"


def test_the_eleventh_call_within_a_second_is_refused(http: requests.Session) -> None:
    with Sandbox(now=NOW, seed=7, monotonic=lambda: 0.0) as sandbox:
        seen = [ask(sandbox, http, startDate="2026-06-15").status_code for _ in range(11)]
    assert seen == [200] * 10 + [403]


def test_trouble_at_clickbank_is_named_by_what_is_to_be_done(sandbox: Sandbox) -> None:
    check_troubles(sandbox, "clickbank", lambda: book(sandbox).read("orders", now=NOW, since=SINCE))
