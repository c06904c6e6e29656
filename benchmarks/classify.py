"""How well the ledger tells recurring, one-off and instalment income apart, and how fast it decides a first load.

Labelled shops are written through the ledger as a sync writes them, and their verdicts are read back from the earnings.
Run: `.venv/bin/python benchmarks/classify.py [--seeds 401,402] [--groups 2000]`. Development used the seeds 1 to 6.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import process_time
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta
from sqlalchemy import Connection, Engine, func, insert, select, update

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.payments import AS_OF, FIRST_DAY
from benchmarks.recurrence import CLASSES, Judge, confusion, f1_scores, median_gap, median_gap_and_parts
from benchmarks.shops import Shop, Sold, shops
from tracker import ledger
from tracker.classify import classify
from tracker.connect.auth import bearer
from tracker.connect.connector import Connector
from tracker.ledger import Book
from tracker.rates import Rates
from tracker.records import Earning, Kind, Recurrence, Status
from tracker.recurrence.charges import Charge, Hints
from tracker.store.database import migrate, open_engine, reading
from tracker.store.tables import Stream
from tracker.store.writes import connection_t, earning_t

Pair = tuple[Recurrence, Recurrence]
_stream_t = Stream.__table__  # type: ignore[attr-defined]
_SCHEME = bearer("token")
_CONNECTOR = Connector(title="Shop", kind="shop", docs="https://shop.example", auth=_SCHEME, resources=())
_PAGE = 500


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def opened(conn: Connection, slug: str) -> Book:
    """A new connection with nothing in it."""
    begun = at(FIRST_DAY)
    stream = insert(_stream_t).values(slug=slug, title=slug, position=0, created_at=begun).returning(_stream_t.c.id)
    stream_id = conn.execute(stream).scalar_one()
    values = {"slug": slug, "provider": "shop", "title": slug, "role": "cash", "options": {}, "stream_id": stream_id}
    made = insert(connection_t).values(values | {"created_at": begun}).returning(connection_t.c.id)
    return Book(
        connection_id=conn.execute(made).scalar_one(), connector=_CONNECTOR, options={}, stream_id=stream_id, run_id=1,
        now=begun, zone=ZoneInfo("UTC"), currency="EUR", rates=Rates(), name=lambda text: text,
    )  # fmt: skip


def earning(sold: Sold) -> Earning:
    """What a connector would make of it. The label stays outside."""
    refund = sold.takes_back is not None
    return Earning(
        external_id=str(sold.number),
        kind=Kind.REFUND if refund else Kind.SALE if sold.payer else Kind.COMMISSION,
        status=Status.APPROVED,
        net=Decimal(sold.net_cents) / 100,
        gross=None if sold.gross_cents is None else Decimal(sold.gross_cents) / 100,
        currency="EUR",
        earned_at=at(sold.day),
        program=sold.program,
        product=sold.product,
        payer=sold.payer,
        order_ref=sold.order_ref,
        origin_ref=str(sold.takes_back) if refund else None,
    )


def sync(conn: Connection, book: Book, sold: Sequence[Sold], day: date) -> None:
    """Write rows page by page and classify them, as a sync on a day does."""
    book.now = at(day)
    for start in range(0, len(sold), _PAGE):
        page = [(str(each.number), earning(each)) for each in sold[start : start + _PAGE]]
        ledger.write_records(conn, book, "sales", page)
    classify(conn, book, ())
    conn.execute(update(connection_t).where(connection_t.c.id == book.connection_id).values(as_of=book.now))


def verdicts(conn: Connection, book: Book) -> dict[int, Recurrence]:
    query = select(earning_t.c.external_id, earning_t.c.recurrence).where(
        earning_t.c.connection_id == book.connection_id
    )
    return {int(row.external_id): Recurrence(row.recurrence) for row in conn.execute(query)}


def loaded(engine: Engine, name: str, shop: Shop) -> dict[int, Recurrence]:
    """The verdicts after one sync of all three years."""
    with engine.begin() as conn:
        book = opened(conn, name)
        sync(conn, book, shop.sold, AS_OF)
        return verdicts(conn, book)


def followed(engine: Engine, name: str, shop: Shop) -> dict[int, Recurrence]:
    """The verdicts after a sync every two weeks, each with the rows that are new."""
    with engine.begin() as conn:
        book = opened(conn, name)
        day = FIRST_DAY
        while day < AS_OF:
            until = min(day + timedelta(days=14), AS_OF)
            sync(
                conn,
                book,
                [each for each in shop.sold if (day if day > FIRST_DAY else date.min) < each.day <= until],
                until,
            )
            day = until
        return verdicts(conn, book)


def baseline(shop: Shop, judge: Judge) -> dict[int, Recurrence]:
    """A simple rule on the same groups. Refunds share the verdict of their group."""
    found: dict[int, Recurrence] = {}
    for group in shop.groups:
        sold = [shop.sold[number] for number in group.numbers]
        charges = [Charge(each.day, (each.gross_cents or each.net_cents) * 10_000, "EUR") for each in sold]
        found.update(zip(group.numbers, judge(charges, Hints()), strict=True))
    return found


def pairs(shop: Shop, found: dict[int, Recurrence], *, young: bool = False) -> dict[str, list[Pair]]:
    """(truth, verdict) by scenario; subscriptions seen once or twice only if `young`."""
    by_scenario: dict[str, list[Pair]] = {}
    for group in shop.groups:
        if young or not group.young:
            told = [(shop.sold[number].label, found[number]) for number in group.numbers]
            by_scenario.setdefault("seen once or twice" if group.young else group.scenario, []).extend(told)
    return by_scenario


def macro_f1(found: Iterable[dict[str, list[Pair]]]) -> float:
    return sum(_scores(found).values()) / len(CLASSES)


def _scores(found: Iterable[dict[str, list[Pair]]]) -> dict[Recurrence, float]:
    return f1_scores(pair for scenarios in found for told in scenarios.values() for pair in told)


def show(title: str, found: Sequence[dict[str, list[Pair]]]) -> None:
    scores = _scores(found)
    cells = "".join(f"{scores[label]:>{width}.3f}" for label, width in zip(CLASSES, (10, 10, 12), strict=True))
    print(f"{title:46}{cells}{macro_f1(found):>10.3f}")


def regular(payers: int, named: bool) -> list[Sold]:
    """Ten monthly payments of each payer; without names, 20 programs with 400 amounts each."""
    sold: list[Sold] = []
    for number in range(payers):
        begun = FIRST_DAY + timedelta(days=number % 700)
        cents = 900 + number % 7 * 500 if named else 900 + number // 20 % 400
        for month in range(10):
            day = begun + relativedelta(months=month) + timedelta(days=number % 3 == month % 7)
            product, payer = (f"P{number % 100}", f"{number:06d}") if named else (None, None)
            program = None if named else f"program {number % 20}"
            sold.append(Sold(len(sold), day, cents, None, Recurrence.RECURRING, product, payer, program))
    return sold


def seconds(engine: Engine, sold: Sequence[Sold], name: str) -> tuple[float, float]:
    """To classify a first load, and then one more earning."""
    took = []
    with engine.begin() as conn:
        book = opened(conn, name)
    for day, rows in ((AS_OF, sold), (AS_OF + timedelta(hours=24), [replace(sold[-1], number=len(sold), day=AS_OF)])):
        with engine.begin() as conn:
            book.now = at(day)
            for begin in range(0, len(rows), _PAGE):
                page = [(str(each.number), earning(each)) for each in rows[begin : begin + _PAGE]]
                ledger.write_records(conn, book, "sales", page)
            begun = process_time()
            classify(conn, book, ())
            took.append(process_time() - begun)
            conn.execute(update(connection_t).where(connection_t.c.id == book.connection_id).values(as_of=book.now))
    return took[0], took[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="401,402,403,404,405", help="held-out seeds, separated by commas")
    parser.add_argument("--groups", type=int, default=2000, help="groups per seed")
    parser.add_argument("--database", help="the address of an empty database; by default a temporary SQLite file")
    parser.add_argument("--no-speed", action="store_true", help="leave the timing out")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(options.database or f"sqlite:///{folder}/bench.db")
        migrate(engine)
        score(engine, seeds, options.groups)
        if not options.no_speed:
            for named in (True, False):
                sold = regular(10_000, named)
                first, one_more = seconds(engine, sold, f"load {named}")
                print(
                    f"{len(sold)} earnings {'with' if named else 'without'} payers: first load classified in "
                    f"{first:.1f} s, one more earning in {one_more:.2f} s"
                )
        engine.dispose()


def score(engine: Engine, seeds: Sequence[int], groups: int) -> None:
    of_seed = {seed: list(shops(seed, groups)) for seed in seeds}
    everything = [(f"{seed}-{number}", shop) for seed in seeds for number, shop in enumerate(of_seed[seed])]
    count = sum(len(shop.sold) for _, shop in everything)
    print(f"{count} earnings in {sum(len(shop.groups) for _, shop in everything)} groups, {len(everything)} shops\n")
    labels = Counter(each.label for _, shop in everything for each in shop.sold)
    print(", ".join(f"{labels[label] / count:.0%} {label}" for label in CLASSES), "\n")
    print(f"{'':46}{'recurring':>10}{'one-off':>10}{'instalment':>12}{'macro F1':>10}")
    show("median gap", [pairs(shop, baseline(shop, median_gap)) for _, shop in everything])
    show("median gap, equal parts", [pairs(shop, baseline(shop, median_gap_and_parts)) for _, shop in everything])
    found = [(name, shop, loaded(engine, name, shop)) for name, shop in everything]
    show("the ledger", [pairs(shop, told) for _, shop, told in found])
    for seed in seeds:
        show(f"  seed {seed}", [pairs(shop, told) for name, shop, told in found if name.startswith(f"{seed}-")])
    show("with subscriptions seen once or twice", [pairs(shop, told, young=True) for _, shop, told in found])
    first = [(f"f{name}", shop) for name, shop in everything if name.startswith(f"{seeds[0]}-")]
    show(
        f"seed {seeds[0]}, synced every two weeks", [pairs(shop, followed(engine, name, shop)) for name, shop in first]
    )
    lone = [(f"a{number}", shop) for number, shop in enumerate(shops(seeds[0], groups, alone=True))]
    show(
        f"seed {seeds[0]}, one payer for each product", [pairs(shop, loaded(engine, name, shop)) for name, shop in lone]
    )
    merged: dict[str, list[Pair]] = {}
    for _, shop, told in found:
        for scenario, some in pairs(shop, told, young=True).items():
            merged.setdefault(scenario, []).extend(some)
    print("\nConfusion by scenario, truth>verdict (R recurring, O one-off, I instalment)")
    confusion(merged)
    with reading(engine) as conn:
        rows = conn.execute(select(earning_t.c.recurrence_by, func.count()).group_by(earning_t.c.recurrence_by))
        print("\nDecided by:", ", ".join(f"{by} {number}" for by, number in rows))


if __name__ == "__main__":
    main()
