"""How long the search over many earnings takes: `python -m benchmarks.search [--earnings 1000000]`.

Eight networks with thirty programs each and four shops over three years, read one connection after the other, as a
first load leaves them. Every figure is the median of some runs, totals of what is found included.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from benchmarks import lists
from tests.rows import Ledger
from tracker import search
from tracker.search import Filter
from tracker.store import rollup, writes
from tracker.store.reads import program_t

PART = 5_000
KEY = ("connection_id", "resource", "external_id")
RUNS, RUNS_S = 30, 2.0  # at most so many, for at most so long
NETWORKS, SHOPS, PROGRAMS, STREAMS, DAYS = 8, 4, 30, 6, 3 * 365
START = datetime(2023, 7, 1, tzinfo=UTC)
TARGET_MS = 50
#: The first page of these is to come within the target, and so is that of the others.
USUAL = {
    "everything": {},
    "a month": {"month": "2026-05"},
    "a month long ago": {"month": "2023-09"},
    "a stream": {"stream": "s3"},
    "a connection": {"connection": "c2"},
    "a status that is rare": {"status": "reversed"},
    "a program": {"program": "p2-17"},
    "a program, by its title": {"program": "Program 17 of c3"},
    "a program that ended long ago": {"program": "p5-29"},
    "what is counted of a month, by its payment": {"month": "2026-03", "basis": "paid", "counted": "yes"},
    "a stream and a status in a year": {"stream": "s2", "status": "declined", "from": "2025-01-01", "to": "2025-12-31"},
}
#: These are worked out from the earnings themselves: first in the newest ones, then as far back as a step goes.
OTHER = {
    "nine days": {"from": "2026-05-03", "to": "2026-05-11"},
    "an id": {"q": "c3-40000"},
    "an order": {"q": "order-3-40000"},
    "a part of an order": {"q": "*order-3-4000*"},
    "a word in many texts": {"q": "guide"},
    "a word in no text": {"q": "nowhere"},
    "a product": {"product": "Guide 7"},
    "a sub id": {"sub_id": "page-123"},
    "at least 190": {"min": "190"},
}


def fill(ledger: Ledger, count: int) -> None:
    """So many earnings, those of a connection in order of time."""
    chance = random.Random(5)  # noqa: S311 - made-up earnings
    streams = [ledger.stream(f"Stream {number}") for number in range(STREAMS)]
    owners = NETWORKS + SHOPS
    for owner in range(owners):
        shared = ledger.row(f"c{owner}", "1.00", "2026-06-01", stream=f"Stream {owner % STREAMS}")
        shared |= {"product": None, "program": None, "sub_id": None, "order_ref": None, "settlement": "unpaid"}
        size = count // owners
        rows = [_row(shared, owner, number, size, streams, chance) for number in range(size)]
        with ledger.engine.begin() as conn:
            for begin in range(0, size, PART):
                writes.upsert(conn, writes.earning_t, rows[begin : begin + PART], KEY)
    programs = [
        {"connection_id": owner + 1, "external_id": f"p{owner}-{n}", "title": f"Program {n} of c{owner}"}
        for owner in range(NETWORKS)
        for n in range(PROGRAMS)
    ]
    with ledger.engine.begin() as conn:
        conn.execute(insert(program_t).values(recurring=False), programs)
        rollup.rebuild(conn)


def _row(
    like: dict[str, Any], owner: int, number: int, size: int, streams: list[int], chance: random.Random
) -> dict[str, Any]:
    at = START + timedelta(days=DAYS) * number / size + timedelta(minutes=chance.randrange(600))
    net = Decimal(chance.randrange(100, 20_000)) / 100
    month = at.year * 100 + at.month
    paid_at = at + timedelta(days=60)
    old = paid_at < START + timedelta(days=DAYS)
    status = chance.choices(["approved", "declined", "reversed"], [90, 8, 2])[0] if old else "pending"
    paid = old and status == "approved"
    row = {
        **like, "external_id": f"c{owner}-{number}", "earned_at": at, "net": net, "reporting_net": net,
        "earned_month": month, "approved_month": month if status in ("approved", "reversed") else None,
        "paid_at": paid_at if paid else None, "settlement": "paid" if paid else "unpaid",
        "paid_month": paid_at.year * 100 + paid_at.month if paid else None, "status": status,
        "currency": ("EUR", "USD", "GBP")[owner % 3], "order_ref": f"order-{owner}-{number}",
    }  # fmt: skip
    if owner < NETWORKS:
        program = number % (PROGRAMS if number < size // 10 else PROGRAMS - 1)  # the last one ended early
        row |= {"program": f"p{owner}-{program}", "sub_id": f"page-{chance.randrange(300)}", "kind": "commission"}
    else:
        row |= {"product": f"Guide {chance.randrange(30)}", "recurrence": chance.choice(["one_off", "recurring"])}
        row["stream_id"] = streams[number % 3]
    return row


def median_ms(call: Callable[[], Any]) -> tuple[float, Any]:
    took: list[float] = []
    found = None
    while len(took) < RUNS and sum(took) < RUNS_S:
        begun = time.perf_counter()
        found = call()
        took.append(time.perf_counter() - begun)
    return statistics.median(took) * 1000, found


def measure(ledger: Ledger) -> None:
    """Print what every search takes, and a page deep inside."""
    for title, searches in (("usual", USUAL), ("other", OTHER)):
        print(f"  {title}, target {TARGET_MS} ms for the first page")
        for name, given in searches.items():
            _first_and_next(ledger, name, Filter.parse(given))
    deep = _deep(ledger, Filter(), 200)
    took, found = median_ms(lambda: search.search(ledger.engine, ledger.settings, Filter(), after=deep))
    assert len(found.rows) == search.SIZE
    print(f"  {'everything, 200 pages on':48}{took:9.1f} ms")
    begun = time.perf_counter()
    count = sum(1 for _ in search.every(ledger.engine, ledger.settings, Filter.parse({"connection": "c1"})))
    print(f"  {f'all {count:,} of a connection':48}{(time.perf_counter() - begun) * 1000:9.1f} ms")


def _first_and_next(ledger: Ledger, name: str, wanted: Filter) -> None:
    took, found = median_ms(lambda: search.search(ledger.engine, ledger.settings, wanted))
    again = ""
    if found.next:
        following, _ = median_ms(lambda: search.search(ledger.engine, ledger.settings, wanted, after=found.next))
        again = f", the next {following:5.1f} ms"
    count = "?" if found.totals is None else f"{found.totals.earnings:,}"
    back = f", back to {found.searched_to}" if found.searched_to else ""
    print(f"    {name:46}{took:9.1f} ms{again}   {len(found.rows)} of {count}{back}")


def _deep(ledger: Ledger, wanted: Filter, pages: int) -> str:
    place: str | None = None
    for _ in range(pages):
        place = search.search(ledger.engine, ledger.settings, wanted, after=place, totals=False).next
        assert place
    assert place
    return place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--earnings", type=int, default=1_000_000)
    parser.add_argument("--database", help="the address of an empty database; by default a temporary SQLite file")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="tracker-bench-") as folder,
        Ledger(options.database or f"sqlite:///{folder}/tracker.db", Path(folder), time_zone="UTC") as ledger,
    ):
        begun = time.perf_counter()
        fill(ledger, options.earnings)
        print(f"{options.earnings:,} earnings, filled in {time.perf_counter() - begun:.0f} s")
        measure(ledger)
        lists.add(ledger, NETWORKS, SHOPS, START, DAYS)
        print("  lists")
        lists.measure(ledger, START + timedelta(days=DAYS - 15), median_ms)


if __name__ == "__main__":
    main()
