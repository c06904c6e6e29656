"""How long reports take over many earnings: `python benchmarks/income.py [EARNINGS] [DATABASE_URL]`.

Prints seconds for each report, the roll-up against grouping the earnings themselves, and checks that both agree.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from tests.rows import Ledger
from tracker import reports
from tracker.figures.income import summed
from tracker.store import rollup, writes
from tracker.store.reads import By

FIRST, LAST = 202507, 202606
PART = 5_000


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


def timed(what: str, call: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    found = call()
    print(f"{what:45} {time.perf_counter() - began:8.3f} s")
    return found


def main(count: int, url: str | None) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger(url or f"sqlite:///{folder}/tracker.db", Path(folder), time_zone="UTC") as ledger,
    ):
        timed(f"write {count:,} earnings", lambda: fill(ledger, count))
        with ledger.engine.begin() as conn:
            timed("make the whole roll-up", lambda: rollup.rebuild(conn))
            ready = select(rollup.m.c.earned_month, rollup.m.c.stream_id, func.sum(rollup.m.c.reporting_net)).group_by(
                rollup.m.c.earned_month, rollup.m.c.stream_id
            )
            size = conn.execute(select(func.count()).select_from(rollup.m)).scalar_one()
            timed(f"just sum the roll-up, {size:,} rows", lambda: conn.execute(ready).all())

        def income(by: By, currency: str | None = None) -> Decimal:
            report = reports.income(ledger.engine, ledger.settings, first=FIRST, last=LAST, by=by, currency=currency)
            return summed(report.rows).total

        totals = {by: timed(f"income by {by}", partial(income, by)) for by in By}
        assert len(set(totals.values())) == 1, totals
        timed("income by stream in another currency", partial(income, By.STREAM, "SEK"))
        for some in (50, 10_000):
            found = timed(f"the first {some:,} earnings", partial(_first, ledger, some))
            assert len(found) == min(some, count)


def _first(ledger: Ledger, limit: int) -> list[dict[str, Any]]:
    return list(reports.earnings(ledger.engine, ledger.settings, limit=limit))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000, sys.argv[2] if len(sys.argv) > 2 else None)
