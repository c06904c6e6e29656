"""The grouped queries against a plain loop over the same earnings, on both databases."""

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from tests.rows import Ledger, moment
from tracker.money import from_micros
from tracker.months import day_of
from tracker.records import CORRECTIONS, NOT_INCOME, Kind, Recurrence, Settlement, Status
from tracker.store import reads, rollup, terms, writes
from tracker.store.database import reading
from tracker.store.reads import Basis, By

ZONES = ["Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Asia/Kathmandu", "Africa/Casablanca", "UTC"]


@pytest.fixture(scope="module")
def crowd() -> list[dict[str, Any]]:
    """What several hundred earnings are like, at all hours around the ends of months and clock changes."""
    chance = random.Random(11)
    days = ["2026-03-28", "2026-03-29", "2026-03-31", "2026-04-01", "2026-04-30", "2026-05-15", "2025-10-26"]
    return [
        {
            "slug": chance.choice(["awin", "shop"]),
            "net": f"{chance.randint(-5000, 20000) / 100:.2f}",
            "day": chance.choice(days),
            "time": f"{chance.randint(0, 23):02d}:{chance.randint(0, 59):02d}",
            "stream": chance.choice(["Blog", "Course"]),
            "kind": chance.choice([Kind.SALE, Kind.COMMISSION, Kind.SALE, Kind.REFUND, Kind.FEE, Kind.PAYOUT]).value,
            "status": chance.choice([*Status, Status.APPROVED]).value,
            "settlement": chance.choice(list(Settlement)).value,
            "currency": chance.choice(["EUR", "USD", "JPY", "KES"]),
            "recurrence": chance.choice(list(Recurrence)).value,
            "estimated": chance.random() < 0.1,
            "paired": chance.random() < 0.1,
            "program": chance.choice([None, "1", "2"]),
            "product": chance.choice([None, "Book"]),
            "country": chance.choice([None, "DE", "NO"]),
            "validated_at": chance.choice([None, moment("2026-05-02", "01:00")]),
            "paid_at": chance.choice([None, moment("2026-05-31", "22:30")]),
        }
        for _ in range(400)
    ]  # fmt: skip


@pytest.fixture
def ledger(database_url: str, tmp_path: Path, crowd: list[dict[str, Any]]) -> Iterator[Ledger]:
    with Ledger(database_url, tmp_path) as ledger:
        ledger.written += [ledger.row(**values) for values in crowd]
        ledger.insert("program", [{"connection_id": 1, "external_id": "1", "title": "One", "recurring": False}])
        with ledger.engine.begin() as conn:
            conn.execute(insert(writes.earning_t), ledger.written)
            rollup.rebuild(conn)
        yield ledger


def word_of(row: dict[str, Any]) -> str:
    if row["kind"] in NOT_INCOME:
        return "not_income"
    if row["paired"]:
        return "paired"
    if row["status"] in ("declined", "reversed"):
        return str(row["status"])
    return "estimated" if row["estimated"] else "pending" if row["status"] == "pending" else "counted"


def label_of(ledger: Ledger, row: dict[str, Any], by: By) -> Any:
    if by is By.STREAM:
        return next(title for title, number in ledger._streams.items() if number == row["stream_id"])
    if by is By.CONNECTION:
        return next(slug for slug, number in ledger._connections.items() if number == row["connection_id"])
    if by is By.PROGRAM and row["connection_id"] == 1 and row["program"] == "1":
        return "One"
    return row[by]


def counted_by_hand(ledger: Ledger, by: By, basis: Basis, zone: ZoneInfo | None = None) -> dict[Any, list[Any]]:
    sums: dict[Any, list[Any]] = defaultdict(lambda: [0, Decimal(0), Decimal(0)])
    for row in ledger.written:
        word = word_of(row)
        month = row[f"{basis}_month"] if word == "counted" else row["earned_month"]
        undone = row["kind"] in CORRECTIONS and word in ("declined", "reversed")
        if word in ("not_income", "paired") or undone or month is None or not 202603 <= month <= 202605:
            continue
        recurrence = row["recurrence"] if word == "counted" else None
        lost = row["reporting_net"] is None
        money = row["currency"] if zone or lost else None
        day = str(day_of(row["earned_at"], zone)) if zone else None
        sum_ = sums[month, label_of(ledger, row, by), word, recurrence, money, day]
        sum_[0] += 1
        sum_[1] += row["net"]
        sum_[2] += row["reporting_net"] or 0
    return sums


@pytest.mark.parametrize("basis", Basis)
@pytest.mark.parametrize("by", By)
def test_grouped_income_is_what_a_loop_over_every_earning_gives(ledger: Ledger, by: By, basis: Basis) -> None:
    expected = {key: tuple(value) for key, value in counted_by_hand(ledger, by, basis).items()}
    with reading(ledger.engine) as conn:
        rows = reads.income(conn, by, basis, 202603, 202605)
    found = {
        (row.month, row.label, row.verdict, row.recurrence, row.currency, None): (
            row.earnings, row.net, row.reporting_net or 0,
        )
        for row in rows
    }  # fmt: skip
    assert found == expected
    assert len(found) > 20


@pytest.mark.parametrize("zone", ZONES)
def test_income_by_day_is_cut_in_the_users_zone(ledger: Ledger, zone: str) -> None:
    expected = counted_by_hand(ledger, By.PROGRAM, Basis.APPROVED, ZoneInfo(zone))
    with reading(ledger.engine) as conn:
        rows = reads.income_by_day(conn, By.PROGRAM, Basis.APPROVED, 202603, 202605, ZoneInfo(zone))
    found = {
        (row.month, row.label, row.verdict, row.recurrence, row.currency, str(row.day)): (
            row.earnings, from_micros(int(row.micros)),
        )
        for row in rows
    }  # fmt: skip
    assert found == {key: (value[0], value[1]) for key, value in expected.items()}


MOMENTS = st.integers(0, 46 * 366 * 86_400).map(lambda s: datetime(1990, 1, 1, tzinfo=UTC) + timedelta(seconds=s))


@given(st.sampled_from(ZONES), MOMENTS, st.timedeltas(timedelta(0), timedelta(days=900)), st.floats(0, 1))
def test_an_offset_holds_until_the_moment_it_is_told_with(
    zone: str, low: datetime, span: timedelta, share: float
) -> None:
    there = ZoneInfo(zone)
    moment = low + span * share
    told = list(terms.offsets(there, low, low + span))
    offset = next((offset for until, offset in told if moment < until), told[-1][1])
    assert offset == moment.astimezone(there).utcoffset()
