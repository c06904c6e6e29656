"""Payouts page by page, what is inside them, and what is owed."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from tests.rows import NOON, Ledger
from tracker import payouts
from tracker.errors import UsageError
from tracker.payouts import PayoutRow, Told, Wanted


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(database_url, tmp_path) as ledger:
        yield ledger


def pay(ledger: Ledger, slug: str, name: str, amount: str, **more: Any) -> None:
    row = {
        "connection_id": ledger.connection(slug), "resource": "payouts", "external_id": name, "status": "paid",
        "amount": Decimal(amount), "currency": "EUR", "created_at": NOON, "itemised": False, "estimated": False,
    }  # fmt: skip
    ledger.insert("payout", [row | more])


def item(ledger: Ledger, slug: str, payout: str, earning: str, amount: str, currency: str = "EUR") -> None:
    row = {
        "connection_id": ledger.connection(slug), "resource": "items", "external_id": f"{payout}-{earning}",
        "payout_ref": payout, "earning_ref": earning, "amount": Decimal(amount), "currency": currency,
    }  # fmt: skip
    ledger.insert("payout_item", [row])


def listed(ledger: Ledger, **wanted: Any) -> list[PayoutRow]:
    return list(payouts.page(ledger.engine, ledger.settings, Wanted(**wanted)).rows)


def read(ledger: Ledger, limit: int) -> Iterator[list[str]]:
    """Every page from the newest on."""
    place = None
    while True:
        page = payouts.page(ledger.engine, ledger.settings, place=place, limit=limit)
        yield [row.external_id for row in page.rows]
        if page.older is None:
            return
        place = page.older


def test_payouts_are_read_page_by_page_there_and_back(ledger: Ledger) -> None:
    for number in range(7):
        pay(ledger, "stripe", f"p{number}", "10", created_at=NOON - timedelta(days=number // 2))
    assert list(read(ledger, 3)) == [["p1", "p0", "p3"], ["p2", "p5", "p4"], ["p6"]]
    first = payouts.page(ledger.engine, ledger.settings, limit=3)
    assert first.newer is None
    second = payouts.page(ledger.engine, ledger.settings, place=first.older, limit=3)
    back = payouts.page(ledger.engine, ledger.settings, place=second.newer, limit=3)
    assert [row.external_id for row in back.rows] == ["p1", "p0", "p3"]
    assert (back.newer, back.older) == (None, first.older)


@pytest.mark.parametrize("place", ["x", "-", "+1_2_3", "-2026_1", "-20260615T120000.000000_-1", "-99999999T0_1"])
def test_a_place_that_is_none_is_refused(ledger: Ledger, place: str) -> None:
    pay(ledger, "stripe", "p", "10")
    with pytest.raises(UsageError, match="no such place"):
        payouts.page(ledger.engine, ledger.settings, place=place)


def test_payouts_are_found_by_connection_status_currency_and_day(ledger: Ledger) -> None:
    pay(ledger, "stripe", "a", "10")
    pay(ledger, "stripe", "b", "10", status="failed", currency="USD")
    pay(ledger, "awin", "c", "10", created_at=datetime(2026, 6, 16, 22, 30, tzinfo=UTC))  # the 17th in Berlin
    assert {row.external_id for row in listed(ledger, connection="stripe")} == {"a", "b"}
    assert [row.external_id for row in listed(ledger, status="failed")] == ["b"]
    assert [row.external_id for row in listed(ledger, currency="USD")] == ["b"]
    assert [row.external_id for row in listed(ledger, first=date(2026, 6, 17))] == ["c"]
    assert {row.external_id for row in listed(ledger, last=date(2026, 6, 16))} == {"a", "b"}
    assert listed(ledger, connection="nobody") == []
    found = payouts.choices(ledger.engine)
    assert (found.connections, found.currencies) == ([("awin", "Awin"), ("stripe", "Stripe")], ["EUR", "USD"])


def test_what_is_inside_explains_a_payout_or_not(ledger: Ledger) -> None:
    pay(ledger, "stripe", "whole", "30", itemised=True, itemised_at=NOON)
    pay(ledger, "stripe", "short", "30", itemised=True, itemised_at=NOON)
    pay(ledger, "stripe", "unread", "30", itemised=True)
    pay(ledger, "stripe", "mixed", "30", itemised=True, itemised_at=NOON)
    pay(ledger, "stripe", "empty", "30", itemised=True, itemised_at=NOON)
    pay(ledger, "cj", "bare", "30")
    pay(ledger, "awin", "551:EUR", "12", estimated=True)
    for payout, amounts in {"whole": ["10", "20"], "short": ["10", "18.5"], "unread": ["10"]}.items():
        for number, amount in enumerate(amounts):
            item(ledger, "stripe", payout, f"{payout}{number}", amount)
    item(ledger, "stripe", "mixed", "m1", "10")
    item(ledger, "stripe", "mixed", "m2", "10", "USD")
    for status in ("approved", "reversed", "declined"):
        ledger.earning("awin", "6", "2026-06-01", payout_ref="551", status=status, settlement="paid")
    ledger.earning("awin", "99", "2026-06-01", payout_ref="551", currency="USD")
    ledger.earning("cj", "7", "2026-06-01", payout_ref="551")
    found = {row.external_id: (row.told, row.earnings, row.net, row.difference) for row in listed(ledger)}
    assert found == {
        "whole": (Told.ITEMS, 2, Decimal(30), Decimal(0)),
        "short": (Told.ITEMS, 2, Decimal("28.5"), Decimal("1.5")),
        "unread": (Told.UNREAD, None, None, None),
        "mixed": (Told.ITEMS, 2, None, None),
        "empty": (Told.ITEMS, 0, Decimal(0), Decimal(30)),
        "bare": (Told.UNTOLD, None, None, None),
        "551:EUR": (Told.EARNINGS, 2, Decimal(12), Decimal(0)),
    }


def opened(ledger: Ledger, name: str) -> payouts.PayoutDetail:
    found = payouts.one(ledger.engine, ledger.settings, _id(ledger, name))
    assert found is not None
    return found


def _id(ledger: Ledger, name: str) -> int:
    return next(row.id for row in listed(ledger) if row.external_id == name)


def test_a_list_of_payouts_reads_no_earning_and_no_item(database_url: str, ledger: Ledger) -> None:
    """A payout may hold many thousands: all that the list tells of them is in an index."""
    pay(ledger, "stripe", "p", "10", itemised=True, itemised_at=NOON)
    pay(ledger, "awin", "551:EUR", "12", estimated=True)
    asked: list[tuple[str, Any]] = []
    event.listen(ledger.engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2:4]))
    listed(ledger)
    sums = [one for one in asked if "sum(" in one[0]]
    assert len(sums) == 2
    with ledger.engine.connect() as conn:
        if conn.dialect.name == "postgresql":
            conn.exec_driver_sql("SET LOCAL enable_seqscan = off")  # which the planner prefers for tables so small
        plans = [conn.exec_driver_sql(f"EXPLAIN {_PLAN[conn.dialect.name]} {query}", values) for query, values in sums]
        told = [" ".join(str(row) for row in plan) for plan in plans]
    for plan, index in zip(told, ("ix_payout_item_payout_ref", "ix_earning_payout_ref"), strict=True):
        assert index in plan


_PLAN = {"sqlite": "QUERY PLAN", "postgresql": ""}


def test_a_payout_opens_to_its_earnings_and_names_what_is_missing(ledger: Ledger) -> None:
    pay(ledger, "stripe", "po", "30", itemised=True, itemised_at=NOON, fee=Decimal("2"))
    ledger.connection("stripe")
    ledger.earning("stripe", "10", "2026-06-01", external_id="ch1", resource="balance_transactions", product="Book")
    ledger.earning("stripe", "19", "2026-06-02", external_id="ch2", resource="balance_transactions")
    for earning, amount in (("ch1", "10"), ("ch2", "20"), ("adj", "2")):
        item(ledger, "stripe", "po", earning, amount)
    found = opened(ledger, "po")
    assert (found.row.difference, found.fee_explains) == (Decimal(-2), True)
    assert (found.missing, found.missing_net, found.other, found.other_net) == (1, Decimal(2), 1, Decimal(1))
    first = payouts.inside(ledger.engine, found.row.id, limit=2)
    rest = payouts.inside(ledger.engine, found.row.id, place=first.older, limit=2)
    told = [(row.earning_id is None, row.amount, row.earning_net, row.product) for row in (*first.rows, *rest.rows)]
    assert told == [
        (True, Decimal(2), None, None),
        (False, Decimal(20), Decimal(19), None),
        (False, Decimal(10), Decimal(10), "Book"),
    ]
    assert payouts.one(ledger.engine, ledger.settings, 999) is None
    assert payouts.inside(ledger.engine, 999).rows == []


def test_a_gathered_payout_opens_to_the_earnings_that_name_it(ledger: Ledger) -> None:
    pay(ledger, "awin", "551:EUR", "12", estimated=True)
    pay(ledger, "cj", "bare", "12")
    for number in range(3):
        ledger.earning("awin", "4", f"2026-06-0{number + 1}", payout_ref="551")
    ledger.earning("awin", "4", "2026-06-01", payout_ref="552")
    found = payouts.inside(ledger.engine, _id(ledger, "551:EUR"), limit=2)
    assert [row.earned_at.day for row in found.rows if row.earned_at] == [3, 2]
    assert found.older
    assert payouts.inside(ledger.engine, _id(ledger, "bare")).rows == []


def test_a_bank_line_of_the_same_amount_within_five_days_is_named(ledger: Ledger) -> None:
    pay(ledger, "stripe", "po", "30")
    pay(ledger, "stripe", "back", "30", status="failed")
    assert opened(ledger, "po").bank is None
    lines = [("a", "30", 20, "EUR"), ("b", "30", 21, "EUR"), ("c", "30.01", 15, "EUR"), ("d", "30", 15, "USD")]
    shared = {"connection_id": ledger.connection("bank"), "resource": "lines", "account": "DE1", "text": "STRIPE"}
    ledger.insert("bank_line", [
        {**shared, "external_id": name, "fingerprint": name, "booked_on": date(2026, 6, day), "amount": Decimal(amount),
         "currency": currency, "counterparty": None, "reference": None, "bank_type": None}
        for name, amount, day, currency in lines
    ])  # fmt: skip
    found = opened(ledger, "po").bank
    assert found is not None
    assert [(line.booked_on.day, line.amount) for line in found] == [(20, Decimal(30))]
    assert opened(ledger, "back").bank == []


def test_what_is_owed_is_approved_and_not_paid(ledger: Ledger) -> None:
    ledger.earning("awin", "10", "2026-03-01")
    ledger.earning("awin", "5", "2026-05-01", settlement="scheduled")
    ledger.earning("awin", "100", "2026-05-01", settlement="paid")
    ledger.earning("awin", "100", "2026-05-01", status="pending")
    ledger.earning("awin", "100", "2026-05-01", kind="payout")
    ledger.earning("awin", "100", "2026-05-01", paired=True)
    ledger.earning("cj", "7", "2026-05-01", currency="USD")
    awin, cj = payouts.open_sums(ledger.engine)
    assert (awin.unpaid, awin.unpaid_earnings, awin.scheduled, awin.scheduled_earnings) == (
        Decimal(10),
        1,
        Decimal(5),
        1,
    )
    assert (awin.oldest, awin.told) == (202603, True)
    assert (cj.unpaid, cj.currency, cj.scheduled, cj.told) == (Decimal(7), "USD", None, False)
    pay(ledger, "cj", "po", "1")
    assert payouts.open_sums(ledger.engine)[1].told


def test_an_address_says_which_payouts_and_is_read_back() -> None:
    wanted = Wanted(connection="stripe", status="paid", currency="EUR", first=date(2026, 5, 1), last=date(2026, 5, 31))
    assert Wanted.read(wanted.params()) == wanted
    assert Wanted.read({"connection": " stripe ", "to": ""}) == Wanted(connection="stripe")
    for name in ("connection", "currency"):
        with pytest.raises(UsageError, match="not a text to look for"):
            Wanted.read({name: "a\x1b[2J"})
