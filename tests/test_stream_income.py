"""Streams as their pages show them: income as in the reports, and what each is made of."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.rows import NOON, Ledger
from tracker import reports, stream_income
from tracker.months import span
from tracker.store.reads import By


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(database_url, tmp_path) as ledger:
        yield ledger


def fill(ledger: Ledger) -> None:
    awin = ledger.connection("awin")
    rows = [{"connection_id": awin, "external_id": "p1", "title": "Hosting", "recurring": True}]
    rows.append({"connection_id": awin, "external_id": "b1", "title": "The Guide", "recurring": False})
    ledger.insert("program", rows)
    ledger.earning("awin", "10", "2026-06-03", program="p1", recurrence="recurring")
    ledger.earning("awin", "20", "2025-07-01", program="p1", product="b1")
    ledger.earning("awin", "5", "2026-02-01", product="Course")
    ledger.earning("awin", "99", "2026-02-01", status="pending")
    ledger.earning("awin", "99", "2026-02-01", kind="payout")
    ledger.earning("awin", "99", "2025-06-30", program="p1")
    ledger.earning("awin", "7", "2026-02-01", currency="KES", program="p1")
    ledger.earning("shop", "65", "2026-05-01", product="Mug")
    ledger.earning("shop", "4", "2026-05-01", stream="Awin", product="Course")


def test_streams_stand_as_the_income_report_says(ledger: Ledger) -> None:
    fill(ledger)
    found = stream_income.every(ledger.engine, ledger.settings, NOON)
    assert [(one.title, one.standing.total, one.connections) for one in found.streams] == [
        ("Awin", Decimal(39), ["awin"]), ("Shop", Decimal(65), ["shop"]),
    ]  # fmt: skip
    assert (found.first, found.last, found.total) == (202507, 202606, Decimal(104))
    assert [(one.currency, one.net, one.earnings) for one in found.unconverted] == [("KES", Decimal(7), 1)]
    report = reports.income(ledger.engine, ledger.settings, first=202507, last=202606, by=By.STREAM)
    by_month = {(row.month, row.group): (row.recurring, row.total) for row in report.rows}
    for one in found.streams:
        assert [line.month for line in one.standing.months] == span(202507, 202606)
        for line in one.standing.months:
            expected = by_month.get((line.month, one.title), (0, 0))
            assert (line.recurring, line.total) == expected


def test_a_stream_opens_to_its_programs_and_products(ledger: Ledger) -> None:
    fill(ledger)
    found = stream_income.one(ledger.engine, ledger.settings, NOON, "s1")
    assert found is not None
    sources = [
        (one.connection, one.program, one.program_title, one.marked, one.earnings, one.amount) for one in found.sources
    ]
    assert sources == [
        ("awin", "p1", "Hosting", True, 3, Decimal(30)),
        ("awin", None, None, None, 1, Decimal(5)),
        ("shop", None, None, None, 1, Decimal(4)),
    ]
    assert [one.net for one in found.sources[0].unconverted] == [Decimal(7)]
    assert (found.waiting, found.waiting_earnings) == (Decimal(99), 1)
    assert found.products is not None
    assert [(one.product, one.amount, one.earnings) for one in found.products] == [
        ("The Guide", Decimal(20), 1), (None, Decimal(10), 2), ("Course", Decimal(9), 2),
    ]  # fmt: skip
    longer = stream_income.one(ledger.engine, ledger.settings, NOON, "s1", months=13)
    assert longer is not None
    assert longer.stream.standing.total == 138
    assert stream_income.one(ledger.engine, ledger.settings, NOON, "nobody") is None


def test_products_of_a_very_large_stream_are_read_when_asked_for(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(ledger)
    monkeypatch.setattr(stream_income, "PRODUCTS_READ", 5)
    asked = [
        stream_income.one(ledger.engine, ledger.settings, NOON, "s1", with_products=wanted) for wanted in (False, True)
    ]
    assert [one is not None and one.products is not None for one in asked] == [False, True]


def test_an_empty_ledger_has_no_streams(ledger: Ledger) -> None:
    found = stream_income.every(ledger.engine, ledger.settings, NOON)
    assert not found.streams
    assert not found.unconverted
    assert found.total == 0
