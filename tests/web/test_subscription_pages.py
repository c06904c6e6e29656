"""The pages about subscriptions: MRR and its movements as `tracker mrr` tells them, cohorts, and the list."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.rows import Ledger, moment
from tests.web.conftest import Browser, words
from tests.world import World
from tracker.web.pages import subscriptions as pages


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
        "Start 3 customers 35.00 New 1 customer 8.00 Expansion 1 customer 10.00 Reactivation – Contraction –"
        " Churn 1 customer -5.00 Exchange rates – End 3 customers 48.00"
    ) in told
    assert "Read up to Jun 15, 2026" in told
    assert "Customers who left 33.3%" in told
    assert "Net revenue retention 114.3%" in told
    assert "Jun 2026 3 customers 48.00 May 2026 3 customers 35.00 Apr 2026 1 customer 10.00" in told
    assert page.text.count("<h1") == 1
    assert "style=" not in page.text


def test_every_movement_opens_to_its_customers_and_they_to_their_subscriptions(
    inside: httpx.Client, ledger: Ledger
) -> None:
    links = re.findall(r'href="(/subscriptions/customers\?[^"]+)"', inside.get("/subscriptions").text)
    parts = {re.findall(r"part=(\w+)", link)[0]: words(inside.get(link.replace("&amp;", "&"))) for link in links}
    assert set(parts) == {"start", "new", "expansion", "churn", "end"}
    assert "Expansion in June 2026 €10.00 a month 1 customer" in parts["expansion"]
    assert "Start Expansion End grown 20.00 10.00 30.00" in parts["expansion"]
    assert "Churn in June 2026 -€5.00 a month 1 customer" in parts["churn"]
    assert "left 5.00 -5.00 –" in parts["churn"]
    assert "Who paid at the end of June 2026 €48.00 a month 3 customers" in parts["end"]
    assert "Start End grown 20.00 30.00 yearly 10.00 10.00 new – 8.00" in parts["end"]
    page = inside.get("/subscriptions/customers?month=2026-05&part=new&policy=ghost")
    assert 'href="/subscriptions/list?q=grown"' in page.text
    assert "Nobody" in inside.get("/subscriptions/customers?part=fx").text
    for query in ("part=all", "page=0", "month=June", "policy=guess"):
        assert inside.get(f"/subscriptions/customers?{query}").status_code == 400


def test_many_customers_are_read_page_by_page(
    inside: httpx.Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "CUSTOMERS", 2)
    first, second = (inside.get(f"/subscriptions/customers?page={number}") for number in (1, 2))
    assert "yearly 10.00 10.00 Further →" in words(first)
    assert "End new – 8.00 ← Back" in words(second)


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
    assert "Jun 2026 1 100% 100% May 2026 2 100% 100% 50% 120% Apr 2026 1 100% 100%" in told


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
    for path in ("/subscriptions", "/subscriptions/customers", "/subscriptions/list"):
        assert browser().get(path).headers["location"] == "/login"


def test_two_years_are_told_where_they_are_asked_for_and_those_who_left_as_well(
    inside: httpx.Client, world: World, database_url: str, tmp_path: Path
) -> None:
    with Ledger(database_url, tmp_path) as ledger:
        over = {"status": "canceled", "ended_at": moment("2026-05-10")}
        ledger.subscription("stripe", "left", "5", "2024-09-10", **over)
        charts = [inside.get(f"/subscriptions{query}").text for query in ("", "?months=24")]
    assert ["No running subscriptions" in page for page in charts] == [False, False]
    rows = [len(re.findall(r'<th scope="row">[^<]*(?:<a[^>]*>)?\s*(?:Sep|Oct) 2024', page)) for page in charts]
    assert rows[0] == 0
    assert rows[1] >= 2
