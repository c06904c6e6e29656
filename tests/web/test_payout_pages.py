"""The pages about payouts: what is owed, what was sent, and whether it adds up."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.rows import NOON, Ledger
from tests.web.conftest import Browser, words
from tests.world import World

SHARED = {"resource": "payouts", "status": "paid", "currency": "EUR", "itemised": False, "estimated": False}


@pytest.fixture
def ledger(world: World, database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """The rows behind the pages."""
    with Ledger(database_url, tmp_path) as ledger:
        yield ledger


def pay(ledger: Ledger, slug: str, name: str, amount: str, **more: Any) -> None:
    row = {"connection_id": ledger.connection(slug), "external_id": name, "amount": Decimal(amount)}
    ledger.insert("payout", [SHARED | row | {"created_at": NOON} | more])


def put_in(ledger: Ledger, payout: str, **amounts: str) -> None:
    shared = {
        "connection_id": ledger.connection("stripe"),
        "resource": "items",
        "payout_ref": payout,
        "currency": "EUR",
    }
    ledger.insert("payout_item", [
        {**shared, "external_id": f"{payout}-{ref}", "earning_ref": ref, "amount": Decimal(amount), "currency": "EUR"}
        for ref, amount in amounts.items()
    ])  # fmt: skip


def test_the_list_says_what_is_inside_and_what_is_not_explained(inside: httpx.Client, ledger: Ledger) -> None:
    pay(ledger, "stripe", "po_1", "30", itemised=True, itemised_at=NOON)
    put_in(ledger, "po_1", ch1="10", ch2="18.50")
    pay(ledger, "cj", "bare", "1234.5", status="failed", created_at=NOON - timedelta(days=1))
    page = inside.get("/payouts")
    assert page.status_code == 200
    told = words(page)
    assert "Jun 15, 2026 Stripe paid – €30.00 2 1.50" in told
    assert "Jun 14, 2026 Cj failed failed – €1,234.50 not told unknown" in told  # on phones it stands elsewhere
    assert page.text.count("<h1") == 1


def test_what_is_owed_stands_on_top_and_leads_to_its_earnings(inside: httpx.Client, ledger: Ledger) -> None:
    ledger.earning("awin", "12.50", "2026-03-03")
    ledger.earning("awin", "3", "2026-03-04", settlement="scheduled")
    page = inside.get("/payouts")
    assert "Awin €12.50 €3.00 2 Mar 2026" in words(page)
    assert "/earnings?connection=awin&amp;status=approved&amp;settlement=unpaid&amp;currency=EUR" in page.text
    ledger.earning("cj", "1", "2026-03-04")
    assert "Cj never tells what it pays" in words(inside.get("/payouts"))


def test_the_list_is_narrowed_and_read_page_by_page(inside: httpx.Client, ledger: Ledger) -> None:
    for number in range(55):
        pay(ledger, "stripe", f"s{number}", f"{number + 100}", created_at=NOON - timedelta(hours=number))
    pay(ledger, "awin", "a", "7", status="failed", currency="USD", created_at=NOON - timedelta(days=30))
    first = inside.get("/payouts")
    older = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert older
    second = inside.get(older[1].replace("&amp;", "&"))
    assert "€154.00" in second.text
    assert "€100.00" not in second.text
    assert 'rel="prev"' in second.text
    for query in ("connection=awin", "status=failed", "currency=USD", "to=2026-05-20"):
        page = inside.get(f"/payouts?{query}")
        assert "$7.00" in page.text
        assert "€100.00" not in page.text
    assert "No payout fits" in inside.get("/payouts?from=2026-06-16").text


@pytest.mark.parametrize(
    "query",
    [
        "status=gone",
        "from=today",
        "from=2026-06-02&to=2026-06-01",
        "place=x",
        "connection=%00",
        "from=0001-01-01",
        "to=9999-12-31",
        "from=2026-W01-1",
    ],
)
def test_a_question_that_makes_no_sense_is_answered_so(inside: httpx.Client, ledger: Ledger, query: str) -> None:
    assert inside.get(f"/payouts?{query}").status_code == 400


def test_a_payout_names_what_does_not_add_up(inside: httpx.Client, ledger: Ledger) -> None:
    pay(ledger, "stripe", "po_1", "28.50", itemised=True, itemised_at=NOON, fee=Decimal("1.50"))
    ledger.earning("stripe", "10", "2026-06-01", external_id="ch1", resource="balance_transactions", product="Guide")
    put_in(ledger, "po_1", ch1="10", gone="20")
    page = inside.get("/payouts/1")
    told = words(page)
    assert "Sum of the earnings inside €30.00 Amount of the payout €28.50 Unexplained -€1.50" in told
    assert "That is the fee of the payout." in told
    assert "1 row inside is not in the ledger: €20.00." in told
    assert "No bank statement has been imported" in told
    assert 'href="/earnings/1"' in page.text
    assert "Jun 1, 2026 Guide approved €10.00" in told


def test_a_bank_line_is_offered_not_claimed(inside: httpx.Client, ledger: Ledger) -> None:
    pay(ledger, "stripe", "po_1", "28.50")
    bank = {"connection_id": ledger.connection("bank"), "resource": "lines", "account": "DE1", "currency": "EUR"}
    more = {"counterparty": "Stripe <Payments>", "reference": None, "bank_type": None, "text": "Transfer"}
    line = {"external_id": "1", "fingerprint": "1", "booked_on": date(2026, 6, 17), "amount": Decimal("28.50")}
    ledger.insert("bank_line", [bank | more | line])
    told = words(inside.get("/payouts/1"))
    assert "A line of your bank may be this payout The same amount, booked within 5 days of it." in told
    assert "Jun 17, 2026 · €28.50 · Stripe <Payments>" in told
    assert "The provider does not say what is inside" in told


def test_payouts_are_for_users_and_unknown_ones_are_not_there(
    inside: httpx.Client, viewer: httpx.Client, browser: Browser, ledger: Ledger
) -> None:
    assert inside.get("/payouts/77").status_code == 404
    assert inside.get("/payouts/99999999999999999999").status_code == 400
    assert viewer.get("/payouts").status_code == 200
    for path in ("/payouts", "/payouts/1"):
        assert browser().get(path).headers["location"] == "/login"
    assert "No payouts yet" in viewer.get("/payouts").text


def test_what_is_owed_stands_on_the_whole_list_only(inside: httpx.Client, ledger: Ledger) -> None:
    ledger.earning("awin", "12.50", "2026-03-03")
    for number in range(51):
        pay(ledger, "awin", f"s{number}", "7", created_at=NOON - timedelta(hours=number))
    first = inside.get("/payouts")
    older = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert older
    others = [inside.get(path) for path in (older[1].replace("&amp;", "&"), "/payouts?connection=awin")]
    assert ["€12.50" in page.text for page in (first, *others)] == [True, False, False]


def test_the_inside_of_a_payout_is_read_page_by_page_to_its_end(inside: httpx.Client, ledger: Ledger) -> None:
    pay(ledger, "stripe", "po_1", "560", itemised=True, itemised_at=NOON)
    put_in(ledger, "po_1", **{f"ch{number:02}": "10" for number in range(56)})
    seen, address, pages = set[str](), "/payouts/1", 0
    while address:
        page = inside.get(address)
        seen |= set(re.findall(r"\bch\d\d\b", page.text))
        older = re.search(r'rel="next" href="([^"]+)"', page.text)
        assert ('rel="prev"' in page.text) == (pages > 0)
        address, pages = older[1].replace("&amp;", "&") if older else "", pages + 1
        assert pages < 5
    assert (len(seen), pages) == (56, 2)
