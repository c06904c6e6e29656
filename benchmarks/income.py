"""How long the income report takes over many earnings: `python -m benchmarks.income [--earnings 1000000]`.

The measure is a table that holds the report's rows ready to be read: 36 months of every stream. The report itself looks
whether a month must be summed again, sums the roll-up, and tells how fresh every connection is. Every figure is the
best of some runs, and all groupings must come to the same total.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Engine, Integer, MetaData, String, Table, func, insert, literal, select

from tests.rows import Ledger
from tracker import reports
from tracker.figures.income import AMOUNTS, IncomeRow, summed
from tracker.store import rollup, writes
from tracker.store.columns import Micros
from tracker.store.database import reading
from tracker.store.reads import By

FIRST, YEAR, LAST = 202307, 202507, 202606
PART = 5_000
RUNS, RUNS_S = 30, 2.0  # at most so many, for at most so long
TABLE_TIMES, GROWTH_TIMES = 10.0, 1.5
#: What the report comes to, by month and stream, as somebody would keep it who never has to answer another question.
READY = Table(
    "ready", MetaData(), Column("month", Integer), Column("group", String), Column("earnings", Integer),
    *(Column(name, Micros) for name in AMOUNTS),
)  # fmt: skip


def fill(ledger: Ledger, count: int) -> None:
    """Earnings over three years of twelve connections with four programs and one currency each, a stream for each."""
    chance = random.Random(3)  # noqa: S311 - made-up earnings
    start = datetime(2023, 7, 1, tzinfo=UTC)
    one = [ledger.row(f"c{number}", "1.00", "2026-06-01", stream=f"Stream {number}") for number in range(12)]
    for begin in range(0, count, PART):
        rows = [_row(chance.choice(one), number, start, chance) for number in range(begin, min(begin + PART, count))]
        with ledger.engine.begin() as conn:
            conn.execute(insert(writes.earning_t), rows)


def _row(like: dict[str, Any], number: int, start: datetime, chance: random.Random) -> dict[str, Any]:
    at = start + timedelta(minutes=chance.randrange(3 * 365 * 24 * 60))
    net = Decimal(chance.randrange(100, 20_000)) / 100
    month = at.year * 100 + at.month
    changed = {"external_id": f"b{number}", "earned_at": at, "net": net, "reporting_net": net, "earned_month": month}
    return {
        **like, **changed, "approved_month": month, "program": str(chance.randrange(4)),
        "product": f"Product {chance.randrange(30)}", "country": chance.choice(["DE", "NO", "US"]),
        "currency": ("EUR", "USD", "GBP", "NOK", "CHF")[like["connection_id"] % 5],
        "status": chance.choice(["approved"] * 8 + ["pending", "declined"]),
        "recurrence": chance.choice(["one_off", "recurring"]),
    }  # fmt: skip


def multiply(conn: Connection) -> None:
    """Nine more earnings like each, at the same moment."""
    e = writes.earning_t
    columns = [column for column in e.c if column.name not in ("id", "external_id")]
    for copy in range(1, 10):
        again = select(e.c.external_id + literal(f"-{copy}"), *columns).where(e.c.external_id.not_like("%-%"))
        conn.execute(insert(e).from_select(["external_id", *(column.name for column in columns)], again))


def best(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the fastest of some runs, and what it answers: others use this machine too."""
    took: list[float] = []
    found = None
    while len(took) < RUNS and sum(took) < RUNS_S:
        begun = time.perf_counter()
        found = call()
        took.append(time.perf_counter() - begun)
    return min(took), found


def ready_table(engine: Engine, rows: list[IncomeRow]) -> float:
    """Seconds to read the very rows of the report from a table that holds them."""
    READY.drop(engine, checkfirst=True)
    READY.create(engine)
    with engine.begin() as conn:
        conn.execute(insert(READY), [asdict(row) for row in rows])

    def read() -> list[IncomeRow]:
        with reading(engine) as conn:
            return [IncomeRow(**row._mapping) for row in conn.execute(select(READY))]

    seconds, found = best(read)
    assert found == rows
    print(f"  {f'read a ready table of {len(rows):,} rows':45}{seconds * 1000:9.2f} ms")
    return seconds


def measure(ledger: Ledger, count: int) -> float:
    """Print the figures for a ledger with so many earnings. Answers the seconds of the report by stream."""
    with ledger.engine.begin() as conn:
        begun = time.perf_counter()
        rollup.rebuild(conn)
        size = conn.execute(select(func.count()).select_from(rollup.m)).scalar_one()
        print(f"{count:,} earnings, a roll-up of {size:,} rows (made in {time.perf_counter() - begun:.1f} s)")

    def income(by: By, first: int = FIRST) -> list[IncomeRow]:
        return reports.income(ledger.engine, ledger.settings, first=first, last=LAST, by=by).rows

    ready = ready_table(ledger.engine, income(By.STREAM))
    totals, took = {}, {}
    for by in By:
        took[by], rows = best(partial(income, by))
        totals[by] = summed(rows).total
        note = f"{took[by] / ready:6.1f} × the table (target {TABLE_TIMES:g} ×)" if by is By.STREAM else ""
        print(f"  {f'36 months by {by}':45}{took[by] * 1000:9.2f} ms {note}")
    assert len(set(totals.values())) == 1, totals
    year, _ = best(partial(income, By.STREAM, YEAR))
    print(f"  {'12 months by stream':45}{year * 1000:9.2f} ms")
    return took[By.STREAM]


def lists(ledger: Ledger, count: int) -> None:
    """What has to look at the earnings themselves."""
    for some in (50, 10_000):
        seconds, found = best(partial(_first, ledger, some))
        assert len(found) == min(some, count)
        print(f"  {f'the first {some:,} earnings':45}{seconds * 1000:9.2f} ms")
    begun = time.perf_counter()
    reports.income(ledger.engine, ledger.settings, first=YEAR, last=LAST, currency="SEK")
    print(f"  {'12 months in a currency of another day':45}{(time.perf_counter() - begun) * 1000:9.2f} ms")


def _first(ledger: Ledger, limit: int) -> list[dict[str, Any]]:
    return list(reports.earnings(ledger.engine, ledger.settings, limit=limit))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--earnings", type=int, default=1_000_000, help="a tenth of them is measured first")
    parser.add_argument("--database", help="the address of an empty database; by default a temporary SQLite file")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="tracker-bench-") as folder,
        Ledger(options.database or f"sqlite:///{folder}/tracker.db", Path(folder), time_zone="UTC") as ledger,
    ):
        fill(ledger, options.earnings // 10)
        few = measure(ledger, options.earnings // 10)
        with ledger.engine.begin() as conn:
            multiply(conn)
        many = measure(ledger, options.earnings // 10 * 10)
        print(f"  ten times the earnings: {many / few:.2f} × the time (target {GROWTH_TIMES:g} ×)")
        lists(ledger, options.earnings)


if __name__ == "__main__":
    main()
