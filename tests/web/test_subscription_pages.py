"""The pages about subscriptions: MRR and its movements as `tracker mrr` tells them, cohorts, and the list."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.rows import Ledger, moment
from tests.web.conftest import Browser, words
from tests.world import World


@pytest.fixture
def ledger(world: World, database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Two customers came in May, of whom one left and one pays more; one came in June."""
    with Ledger(database_url, tmp_path) as ledger:
        ledger.subscription("stripe", "yearly", "120", "2026-04-02", interval="year", product="Letters")
        grown = ledger.subscription("stripe", "grown", "30", "2026-05-03", product="Course <1>")
        ledger.changed(grown, "2026-06-02", {"amount": "20"}, {"amount": "30"})
        over = {"status": "canceled", "ended_at": moment("2026-06-10")}
        ledger.subscription("stripe", "left", "5", "2026-05-10", **over)
        ledger.subscription("stripe", "new", "8", "2026-06-03", current_period_end=moment("2026-07-03"))
        yield ledger


def test_the_month_so_far_and_how_it_moved(inside: httpx.Client, ledger: Ledger) -> None:
    page = inside.get("/subscriptions")
    assert page.status_code == 200
    told = words(page)
    assert "Recurring revenue now €48.00 a month A year at this rate (ARR) €576.00 Customers 3" in told
    assert (
        "Start 35.00 New 8.00 Expansion 10.00 Reactivation – Contraction – Churn -5.00 Exchange rates – End 48.00"
        in told
    )
    assert "New customers 1 Came back 0 Left 1 Pay more 1 Pay less 0" in told
    assert "Customers who left 33.3 %" in told
    assert "Net revenue retention 114.3 %" in told
    assert "Jun 2026 3 customers 48.00 May 2026 3 customers 35.00 Apr 2026 1 customer 10.00" in told
    assert page.text.count("<h1") == 1
    assert "style=" not in page.text


def test_a_page_that_is_remembered_forgets_as_soon_as_something_is_written(
    inside: httpx.Client, ledger: Ledger
) -> None:
    for _ in range(2):
        assert "€48.00 a month" in words(inside.get("/subscriptions"))
    ledger.subscription("stripe", "another", "2", "2026-06-04")
    assert "€50.00 a month" in words(inside.get("/subscriptions"))
    assert "€35.00 a month" in words(inside.get("/subscriptions?month=2026-05"))


def test_cohorts_tell_who_stayed_and_what_they_pay(inside: httpx.Client, ledger: Ledger) -> None:
    told = words(inside.get("/subscriptions"))
    assert "Jun 2026 1 100 % 100 % May 2026 2 100 % 100 % 50 % 120 % Apr 2026 1 100 % 100 %" in told


def test_another_month_and_policy_can_be_chosen(inside: httpx.Client, ledger: Ledger) -> None:
    page = inside.get("/subscriptions?month=2026-05&policy=ghost&months=24")
    assert "Recurring revenue at the end of May 2026 €35.00" in words(page)
    assert "/subscriptions?month=2026-04&amp;months=24&amp;policy=ghost" in page.text
    for query in ("month=2026-07", "month=June", "month=0000-01", "month=9999-12", "policy=guess"):
        assert inside.get(f"/subscriptions?{query}").status_code == 400


def test_the_list_is_searched_and_leads_to_payments(inside: httpx.Client, ledger: Ledger) -> None:
    page = inside.get("/subscriptions/list")
    assert "new active €8.00 monthly Jun 3, 2026 Jul 3, 2026 new Stripe" in words(page)
    assert "left cancelled €5.00 monthly May 10, 2026 ended Jun 10, 2026 left Stripe" in words(page)
    assert 'href="/earnings?q=grown"' in page.text
    assert "Course &lt;1&gt;" in page.text
    narrowed = inside.get("/subscriptions/list?q=lett&status=active&interval=year")
    assert re.findall(r'href="/earnings\?q=(\w+)"', narrowed.text) == ["yearly"]
    assert "No subscription fits" in inside.get("/subscriptions/list?q=nobody").text
    for query in ("status=fine", "place=-1", "q=%00"):
        assert inside.get(f"/subscriptions/list?{query}").status_code == 400


def test_a_ledger_without_subscriptions_says_so(inside: httpx.Client, viewer: httpx.Client) -> None:
    assert "No running subscriptions" in inside.get("/subscriptions").text
    assert "No subscriptions yet" in viewer.get("/subscriptions/list").text


def test_subscriptions_are_for_users(browser: Browser) -> None:
    for path in ("/subscriptions", "/subscriptions/list"):
        assert browser().get(path).headers["location"] == "/login"
