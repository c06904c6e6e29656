"""Changed settings and rates: every earning's value and months follow, and nothing is done when nothing changed."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from tests.figures.histories import these
from tests.rows import NOON, Ledger
from tracker import revalue as revaluing
from tracker.reports import income
from tracker.revalue import revalue


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(database_url, tmp_path) as ledger:
        yield ledger


def changed(ledger: Ledger, **more: Any) -> int:
    """Open the ledger with other settings."""
    ledger.settings = ledger.settings.model_copy(update=more)
    return revalue(ledger.engine, ledger.settings)


def total(ledger: Ledger) -> Decimal:
    rows = income(ledger.engine, ledger.settings, first=202501, last=202612).rows
    return sum((row.total for row in rows), Decimal(0))


def test_a_ledger_that_fits_its_settings_costs_one_query(ledger: Ledger) -> None:
    ledger.earning("awin", "10.00", "2026-06-03", currency="USD")
    assert revalue(ledger.engine, ledger.settings) == 0
    seen: list[str] = []
    event.listen(ledger.engine, "before_cursor_execute", lambda conn, cursor, statement, *rest: seen.append(statement))
    assert revalue(ledger.engine, ledger.settings) == 0
    assert len([statement for statement in seen if statement.startswith("SELECT")]) == 1
    assert not [statement for statement in seen if statement.startswith(("INSERT", "UPDATE"))]


def test_another_reporting_currency_values_every_earning_anew(ledger: Ledger) -> None:
    ledger.earning("awin", "10.00", "2026-06-03")
    ledger.earning("awin", "20.00", "2026-06-03", currency="USD")
    assert changed(ledger) == 0
    assert changed(ledger, currency="USD") == 2
    ((first, *_), (second, *_)) = ledger.months()
    assert second == 20
    assert Decimal(10) < first < Decimal(13)
    assert total(ledger) == first + second
    assert changed(ledger, currency="EUR") == 2
    assert ledger.months()[0][0] == 10


def test_another_time_zone_cuts_the_months_anew(ledger: Ledger) -> None:
    ledger.earning("shop", "5.00", "2026-05-31", time="23:30", settlement="paid")
    assert changed(ledger) == 0
    assert ledger.months() == [(5, 202606, 202606, 202606)]
    assert changed(ledger, time_zone="America/New_York") == 1
    assert ledger.months() == [(5, 202605, 202605, 202605)]
    report = income(ledger.engine, ledger.settings, first=202605, last=202605)
    assert [these(row.month, row.total) for row in report.rows] == [(202605, 5)]


def test_a_rate_that_becomes_known_ends_the_wait_of_its_earnings(ledger: Ledger) -> None:
    ledger.earning("shop", "1300.00", "2026-06-03", currency="KES")
    ledger.earning("shop", "7.00", "2026-06-03", currency="BTN")
    assert changed(ledger) == 0
    assert total(ledger) == 0
    ledger.rate("KES", "2026-06-01", "130")
    assert changed(ledger) == 1
    assert total(ledger) == 10
    (lost,) = income(ledger.engine, ledger.settings, first=202606, last=202606).unconverted
    assert these(lost.currency, lost.net, lost.earnings) == ("BTN", 7, 1)


def test_a_newer_rate_replaces_the_one_that_was_carried_forward(ledger: Ledger) -> None:
    ledger.rate("KES", "2026-06-01", "130")
    ledger.earning("shop", "1300.00", "2026-06-03", currency="KES")
    ledger.earning("shop", "1300.00", "2026-06-01", currency="KES")
    assert changed(ledger) == 2
    ledger.rate("KES", "2026-06-03", "100", NOON + timedelta(days=1))
    assert changed(ledger) == 1
    assert [value for value, *_ in ledger.months()] == [13, 10]
    assert total(ledger) == 23


def test_a_large_ledger_is_worked_through_step_by_step(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revaluing, "STEP", 3)
    for number in range(10):
        ledger.earning("shop", f"{number + 1}00.00", "2026-06-03", currency="KES")
    changed(ledger)
    ledger.rate("KES", "2026-06-03", "100")
    assert changed(ledger) == 10
    assert total(ledger) == 55
