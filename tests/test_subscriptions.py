"""The page about subscriptions: one reading for MRR, its months and cohorts; and the list."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.rows import NOON, Ledger, moment
from tracker import reports, subscriptions
from tracker.errors import UsageError
from tracker.subscriptions import SubscriptionRow, Wanted

CENT = Decimal("0.01")


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(database_url, tmp_path) as ledger:
        yield ledger


def listed(ledger: Ledger, **wanted: Any) -> list[SubscriptionRow]:
    return list(subscriptions.page(ledger.engine, Wanted(**wanted)).rows)


def names(ledger: Ledger, **wanted: Any) -> list[str]:
    return [row.external_id for row in listed(ledger, **wanted)]


def test_the_months_end_as_tracker_mrr_ends_them(ledger: Ledger) -> None:
    ledger.subscription("stripe", "a", "10", "2026-02-03")
    ledger.subscription("stripe", "yearly", "120", "2026-03-31", interval="year")
    grown = ledger.subscription("stripe", "b", "30", "2026-03-10")
    ledger.changed(grown, "2026-05-02", {"amount": "20"}, {"amount": "30"})
    over = {"status": "canceled", "ended_at": moment("2026-05-20")}
    ledger.subscription("stripe", "c", "5", "2026-02-10", **over)
    ledger.subscription("stripe", "dollars", "10", "2026-04-01", currency="USD")
    for day in ("2026-04-30", "2026-05-29", "2026-06-15"):
        ledger.rate("USD", day, "1.25")
    book = subscriptions.book(ledger.engine, ledger.settings, NOON, months=6)
    assert [end.month for end in book.history] == [202602, 202603, 202604, 202605, 202606]
    for end in book.history:
        then = reports.recurring(ledger.engine, ledger.settings, NOON, month=end.month).balance
        assert (end.total.quantize(CENT), end.customers) == (then.total.quantize(CENT), then.customers)
    assert [end.total for end in book.history] == [15, 45, 53, 58, 58]
    assert book.recurring == reports.recurring(ledger.engine, ledger.settings, NOON)
    cohorts = {row.month: row for row in book.cohorts}
    assert (cohorts[202602].customers, cohorts[202602].mrr) == (2, Decimal(15))
    assert [kept.customers for kept in cohorts[202602].kept] == [2, 2, 2, 1, 1]
    assert [kept.mrr for kept in cohorts[202603].kept] == [30, 30, 40, 40]
    assert [kept.revenue and kept.revenue.quantize(CENT) for kept in cohorts[202603].kept] == [
        1, 1, Decimal("1.33"), Decimal("1.33"),
    ]  # fmt: skip


def test_an_earlier_month_is_the_last_of_its_history(ledger: Ledger) -> None:
    ledger.subscription("stripe", "a", "10", "2026-02-03")
    book = subscriptions.book(ledger.engine, ledger.settings, NOON, month=202603, months=2)
    assert [(end.month, end.total) for end in book.history] == [(202602, Decimal(10)), (202603, Decimal(10))]
    early = subscriptions.book(ledger.engine, ledger.settings, NOON, month=202601, months=2)
    assert [end.month for end in early.history] == [202512, 202601]
    with pytest.raises(UsageError, match="has not begun"):
        subscriptions.book(ledger.engine, ledger.settings, NOON, month=202607)
    ledger.subscription("stripe", "old", "10", "2020-02-03")
    assert len(subscriptions.book(ledger.engine, ledger.settings, NOON, months=999).history) == 24


def test_a_currency_without_a_rate_is_named_and_in_no_amount(ledger: Ledger) -> None:
    ledger.subscription("stripe", "a", "10", "2026-06-03", currency="KES")
    book = subscriptions.book(ledger.engine, ledger.settings, NOON)
    assert book.unconverted == ["KES"]
    assert (book.history[-1].total, book.history[-1].customers) == (Decimal(0), 1)


def test_the_list_begins_with_the_newest_and_is_narrowed(ledger: Ledger) -> None:
    stripe = ledger.connection("stripe")
    ledger.insert("program", [{"connection_id": stripe, "external_id": "p1", "title": "Guide", "recurring": False}])
    ledger.subscription("stripe", "a", "10", "2026-02-03", product="p1", payer="cus_Anna")
    ledger.subscription("stripe", "b", "10", "2026-03-03", interval="year", product="Letters")
    ledger.subscription("stripe", "c", "10", "2026-04-03", status="canceled", ended_at=moment("2026-05-01"))
    ledger.subscription("woo", "d", "10", "2026-01-03")
    assert names(ledger) == ["c", "b", "a", "d"]
    assert names(ledger, status="canceled") == ["c"]
    assert names(ledger, connection="woo") == ["d"]
    assert names(ledger, interval="year") == ["b"]
    assert names(ledger, product="Guide") == ["a"]
    assert (names(ledger, text="ANNA"), names(ledger, text="etter"), names(ledger, text="%")) == (["a"], ["b"], [])
    found = subscriptions.choices(ledger.engine)
    assert found.connections == [("stripe", "Stripe"), ("woo", "Woo")]
    assert (list(found.products), list(found.intervals)) == (["Guide", "Letters"], ["month", "year"])


def test_pages_of_the_list_meet_without_a_gap(ledger: Ledger) -> None:
    for number in range(5):
        ledger.subscription("stripe", f"s{number}", "10", f"2026-02-0{number // 2 + 1}")
    first = subscriptions.page(ledger.engine, limit=2)
    second = subscriptions.page(ledger.engine, place=first.older, limit=2)
    third = subscriptions.page(ledger.engine, place=second.older, limit=2)
    assert [[row.external_id for row in page.rows] for page in (first, second, third)] == [
        ["s4", "s3"], ["s2", "s1"], ["s0"],
    ]  # fmt: skip
    assert (first.newer, third.older) == (None, None)
    back = subscriptions.page(ledger.engine, place=third.newer, limit=2)
    assert back.rows == second.rows


def test_a_subscription_that_two_connections_tell_is_listed_once(ledger: Ledger) -> None:
    ledger.connection("ghost", "enrichment")
    ledger.subscription("ghost", "sub_1", "10", "2026-02-03")
    ledger.subscription("ghost", "sub_2", "10", "2026-02-04")
    ledger.subscription("stripe", "sub_1", "10", "2026-02-03")
    assert [(row.connection, row.counted) for row in listed(ledger)] == [("ghost", True), ("stripe", True)]
    with_doubles = [(row.connection, row.counted) for row in listed(ledger, doubles=True)]
    assert with_doubles == [("ghost", True), ("stripe", True), ("ghost", False)]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, (None, None)),
        ({"current_period_end": moment("2026-07-03")}, (moment("2026-07-03"), None)),
        ({"current_period_end": moment("2026-07-03"), "cancel_at_period_end": True}, (None, moment("2026-07-03"))),
        ({"status": "trialing", "trial_end_at": moment("2026-06-20")}, (moment("2026-06-20"), None)),
        ({"status": "canceled", "current_period_end": moment("2026-07-03")}, (None, None)),
        ({"status": "canceled", "ended_at": moment("2026-06-01")}, (None, moment("2026-06-01"))),
        ({"status": "paused", "current_period_end": moment("2026-07-03")}, (None, None)),
    ],
)
def test_what_lies_ahead_of_a_subscription(
    ledger: Ledger, more: dict[str, Any], expected: tuple[datetime | None, datetime | None]
) -> None:
    ledger.subscription("stripe", "a", "10", "2026-02-03", **more)
    (row,) = listed(ledger)
    assert (row.next_at, row.ends_at) == expected
    assert row.started_at == datetime(2026, 2, 3, 12, tzinfo=UTC)


def test_an_address_says_which_subscriptions_and_is_read_back() -> None:
    wanted = Wanted(status="active", connection="shop", product="Atlas", interval="1 month", text="sub_1", doubles=True)
    assert Wanted.read(wanted.params()) == wanted
    assert Wanted.read({"q": " x ", "doubles": "no"}) == Wanted(text="x")
    for name in ("connection", "product", "interval", "q"):
        with pytest.raises(UsageError, match="not a text to look for"):
            Wanted.read({name: "a\x1b[2J"})
