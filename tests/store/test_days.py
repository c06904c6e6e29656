"""The roll-up by day is the sum of the earnings on the user's days, however it came about."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import select, text

from tests.pretend import START, earning
from tests.rows import Ledger
from tests.world import World
from tracker import reports
from tracker.connect.plans import iso_z
from tracker.months import day_of
from tracker.records import CORRECTIONS, NOT_INCOME
from tracker.reports import bring_up_to_date
from tracker.revalue import revalue
from tracker.store import reads, rollup, terms
from tracker.store.database import reading
from tracker.store.reads import Basis, By
from tracker.store.writes import earning_t as e
from tracker.store.writes import mark_dirty_where


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        revalue(world.engine, world.deps.settings)  # as every start does: the ledger notes its time zone
        for slug in ("network", "shop"):
            world.add(slug)
        yield world


Key = tuple[Any, ...]


def by_hand(world: World) -> dict[Key, list[Any]]:
    """Days cut by Python, sums by Python."""
    found: dict[Key, list[Any]] = {}
    with reading(world.engine) as conn:
        for row in conn.execute(select(e, terms.verdict(e).label("verdict"))):
            undone = row.kind in CORRECTIONS and row.status in ("declined", "reversed")
            if row.paired or row.kind in NOT_INCOME or undone:
                continue
            day = day_of(row.earned_at, world.deps.settings.zone)
            same = (row.connection_id, row.earned_month, row.stream_id, row.currency, row.recurrence)
            sums = found.setdefault((*same, day, row.verdict, row.reporting_net is not None), [0, Decimal(0), None])
            sums[0] += 1
            sums[1] += row.net
            sums[2] = None if row.reporting_net is None else (sums[2] or Decimal(0)) + row.reporting_net
    return found


def rolled_up(world: World) -> dict[Key, list[Any]]:
    d = rollup.d.c
    keys = (d.connection_id, d.earned_month, d.stream_id, d.currency, d.recurrence, d.day, d.verdict, d.converted)
    with reading(world.engine) as conn:
        rows = conn.execute(select(*keys, d.earnings, d.net, d.reporting_net)).all()
    assert max(Counter(tuple(row[:8]) for row in rows).values(), default=1) == 1  # no group stands there twice
    return {tuple(row[:8]): list(row[8:]) for row in rows}


def fill(world: World, chance: Random, rows: int) -> None:
    for _ in range(rows):
        path = chance.choice(["/commissions", "/orders"])
        at = START - timedelta(days=chance.randrange(50), hours=chance.randrange(24))
        row = earning(f"r{chance.randrange(40)}", at, net=str(chance.randrange(9)))
        row |= {
            "status": chance.choice(["pending", "approved", "declined"]),
            "kind": chance.choice(["sale", "sale", "refund"]),
            "currency": chance.choice(["EUR", "USD", "SYP"]),
            "updated": iso_z(world.now),
        }
        world.provider.put(path, row)


def test_after_every_sync_it_is_what_python_sums_up_by_hand(world: World) -> None:
    chance = Random(11)
    for _ in range(4):
        fill(world, chance, 25)
        for slug in ("network", "shop"):
            assert world.sync(slug).outcome == "ok"
        bring_up_to_date(world.engine)
        kept = rolled_up(world)
        assert kept == by_hand(world)
        assert len(kept) > 15
        with world.engine.begin() as conn:
            rollup.rebuild(conn)
        assert rolled_up(world) == kept
        world.later(hours=1)


def test_the_days_follow_the_time_zone(world: World) -> None:
    world.provider.put("/commissions", earning("late", datetime(2026, 6, 10, 22, 30, tzinfo=UTC)))
    world.sync("network")
    assert {key[5] for key in rolled_up(world)} == {date(2026, 6, 11)}  # half past midnight in Berlin
    world.deps.settings = world.deps.settings.model_copy(update={"time_zone": "America/New_York"})
    assert revalue(world.engine, world.deps.settings) == 0  # the month is the same
    with reading(world.engine) as conn:
        assert rollup.dirty(conn)
    bring_up_to_date(world.engine)
    assert {key[5] for key in rolled_up(world)} == {date(2026, 6, 10)}
    assert rolled_up(world) == by_hand(world)
    with reading(world.engine) as conn:
        assert not rollup.dirty(conn)


def test_a_ledger_from_before_there_were_days_gets_them_with_the_first_report(world: World) -> None:
    fill(world, Random(3), 20)
    world.sync("network")
    bring_up_to_date(world.engine)
    kept = rolled_up(world)
    with world.engine.begin() as conn:
        conn.exec_driver_sql("delete from daily_income")
        conn.exec_driver_sql("delete from setting where name = 'daily_income'")
    bring_up_to_date(world.engine)
    assert kept
    assert rolled_up(world) == kept


@pytest.mark.parametrize("by", [By.STREAM, By.CONNECTION, By.RECURRENCE])
def test_income_by_day_is_that_of_the_single_earnings(database_url: str, tmp_path: Path, by: By) -> None:
    with Ledger(database_url, tmp_path) as ledger:
        revalue(ledger.engine, ledger.settings)
        for number, status in enumerate(("approved", "pending", "declined", "approved", "reversed")):
            for day in ("2026-03-29", "2026-05-31", "2026-06-01"):
                ledger.earning("awin", f"{number}.10", day, time="22:30", status=status, currency="USD", program="a")
                ledger.earning(
                    "ghost", f"{number}.20", day, status=status, recurrence="recurring", estimated=number == 3
                )
        bring_up_to_date(ledger.engine)
        kept, single = _totals(ledger, by), _totals(ledger, By.PROGRAM)  # programs are in no roll-up by day
        assert kept == single
        assert len(kept) > 5
        told = reports.income(ledger.engine, ledger.settings, first=202606, last=202606, by=by, currency="USD")
        assert sum(row.earnings for row in told.rows) == 5


def _totals(ledger: Ledger, by: By) -> dict[Key, Key]:
    found: dict[Key, Key] = {}
    with reading(ledger.engine) as conn:
        for row in reads.income_by_day(conn, by, Basis.EARNED, 202603, 202606, ledger.settings.zone):
            key = (row.month, row.verdict, row.recurrence, row.currency, str(row.day))
            count, net = found.get(key, (0, 0))
            found[key] = (count + row.earnings, net + int(row.micros))
    return found


def test_two_syncs_never_wait_for_each_others_months(postgres_url: str, tmp_path: Path) -> None:
    with Ledger(postgres_url, tmp_path) as ledger:
        ledger.earning("a", "1.00", "2026-06-01")
        ledger.earning("b", "2.00", "2026-06-01")
        with ledger.engine.begin() as one, ledger.engine.begin() as other:
            for conn, owner in ((one, 1), (other, 2)):
                conn.execute(text("SET LOCAL lock_timeout = '5s'"))
                mark_dirty_where(conn, e.c.connection_id == owner)
            rollup.work_off(one, 1)
            rollup.work_off(other, 2)
        bring_up_to_date(ledger.engine)
        with reading(ledger.engine) as conn:
            assert rollup.zone_of_days(conn) is not None
            assert not rollup.dirty(conn)


def test_a_new_ledger_knows_the_zone_of_its_days_from_the_start(database_url: str, tmp_path: Path) -> None:
    with Ledger(database_url, tmp_path) as ledger:
        revalue(ledger.engine, ledger.settings)
        with reading(ledger.engine) as conn:
            assert rollup.zone_of_days(conn) == ledger.settings.zone
            assert not rollup.dirty(conn)
