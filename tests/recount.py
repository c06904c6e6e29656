"""Figures counted again by hand: a slow loop over all earnings from the definitions in docs/reports.md, and no SQL.

Only the rates, the calendar and the lists of kinds are the tracker's own. `filled` makes a ledger of all sorts of rows.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select

from tests.rows import Ledger
from tracker.money import convert_micros, from_micros, to_micros
from tracker.rates import Rates, load_rates
from tracker.records import CORRECTIONS, NOT_INCOME, Kind
from tracker.store import tables
from tracker.store.database import reading
from tracker.store.reads import program_t, stream_t
from tracker.store.writes import connection_t, earning_t

COLUMNS = ("recurring", "one_off", "instalment", "variable", "total", "pending", "declined", "reversed", "estimated")
payout_t = tables.Payout.__table__  # type: ignore[attr-defined]


@dataclass(slots=True)
class Line:
    """A month of a group."""

    amounts: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(COLUMNS, Decimal(0)))
    earnings: int = 0
    parts: int = 0  # each of which may be rounded


@dataclass
class Book:
    """Every earning with the names around it, in memory, and the settings that figures are told in."""

    rows: list[Any]
    zone: ZoneInfo
    own: str  # the currency of the settings
    rates: Rates

    @classmethod
    def of(cls, engine: Engine, zone: ZoneInfo, own: str) -> "Book":
        with reading(engine) as conn:
            slugs = {row.id: row.slug for row in conn.execute(select(connection_t))}
            streams = {row.id: (row.slug, row.title) for row in conn.execute(select(stream_t))}
            titles = {(row.connection_id, row.external_id): row.title for row in conn.execute(select(program_t))}
            rates, rows = load_rates(conn), []
            for row in conn.execute(select(earning_t).order_by(earning_t.c.id)):
                program, product = (titles.get((row.connection_id, name), name) for name in (row.program, row.product))
                stream_slug, stream = streams[row.stream_id]
                names = {"slug": slugs[row.connection_id], "stream": stream, "stream_slug": stream_slug}
                rows.append(_Row({**row._mapping, **names, "program_title": program, "product_title": product}))
        return cls(rows, zone, own, rates)

    def day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def month(self, at: datetime) -> int:
        there = at.astimezone(self.zone)
        return there.year * 100 + there.month

    def moment(self, row: Any, basis: str) -> datetime | None:
        """What puts an earning in a month: what counts by the basis, everything else by the day earned."""
        earned: datetime = row.earned_at
        if basis == "earned" or (verdict(row) != "counted" and row.kind != Kind.COST):
            return earned
        if basis == "approved":
            return row.validated_at or earned if row.status in ("approved", "reversed") else None
        return (row.paid_at or row.validated_at or earned) if row.settlement == "paid" else None

    def worth(self, row: Any, currency: str) -> Decimal | None:
        """In a currency at the rate of the day earned; None without a rate."""
        if row.currency == currency:
            net: Decimal = row.net
            return net
        found = self.rates.rate(row.currency, currency, self.day(row.earned_at))
        return from_micros(convert_micros(to_micros(row.net), found[0])) if found else None

    def income(
        self, first: int, last: int, by: str, basis: str = "earned", currency: str | None = None
    ) -> tuple[dict[tuple[int, str | None], Line], dict[str, tuple[int, Decimal]]]:
        """Lines by month and group, and by currency what has no rate: counted earnings and their net."""
        lines: dict[tuple[int, str | None], Line] = defaultdict(Line)
        lost: dict[str, tuple[int, Decimal]] = {}
        for row in self.rows:
            word, at = verdict(row), self.moment(row, basis)
            undone = row.kind in CORRECTIONS and row.status in ("declined", "reversed")
            if word in ("not_income", "paired") or undone or at is None or not first <= self.month(at) <= last:
                continue
            worth = self.worth(row, currency or self.own)
            if worth is None:
                count, net = lost.get(row.currency, (0, Decimal(0)))
                counts = word == "counted"
                lost[row.currency] = (count + 1, net + row.net) if counts else (count, net)
                continue
            line = lines[self.month(at), GROUPS[by](row)]
            for name in (row.recurrence, "total") if word == "counted" else (word,):
                line.amounts[name] += worth
            line.earnings += word == "counted"
            line.parts += 1
        return dict(lines), lost

    def counted(self, basis: str, fits: Callable[[Any], bool]) -> Iterator[Any]:
        return (row for row in self.rows if verdict(row) == "counted" and self.moment(row, basis) and fits(row))

    def total(self, rows: Iterable[Any], currency: str | None = None) -> Decimal:
        return sum((self.worth(row, currency or self.own) or Decimal(0) for row in rows), Decimal(0))


class _Row(dict[str, Any]):
    __getattr__ = dict[str, Any].__getitem__


GROUPS: dict[str, Callable[[Any], str | None]] = {
    "stream": lambda row: row.stream,
    "connection": lambda row: row.slug,
    "program": lambda row: row.program_title,
    "product": lambda row: row.product_title,
    "country": lambda row: row.country,
    "recurrence": lambda row: row.recurrence,
}


def verdict(row: Any) -> str:
    """The first that fits, as docs/reports.md lists them."""
    for word, fits in (
        ("not_income", row.kind in NOT_INCOME),
        ("paired", row.paired),
        ("declined", row.status == "declined"),
        ("reversed", row.status == "reversed"),
        ("estimated", row.estimated),
        ("pending", row.status == "pending"),
    ):
        if fits:
            return word
    return "counted"


# --- a ledger of all sorts ---

#: Around the ends of months and days in every zone, and the hours that clocks skip and repeat.
EDGES = [
    *(datetime(2026, month, 1, hour, tzinfo=UTC) for month in (1, 4, 5, 6) for hour in (0, 4, 5)),
    *(
        datetime(2026, month, day, hour, tzinfo=UTC)
        for month, day in ((2, 28), (4, 30), (5, 31))
        for hour in (10, 22, 23)
    ),
    *(datetime(2026, 3, day, hour, 30, tzinfo=UTC) for day in (8, 29) for hour in (0, 1, 6, 7, 22)),
    *(datetime(2025, month, day, hour, 30, tzinfo=UTC) for month, day in ((10, 26), (11, 2)) for hour in (0, 1, 5, 6)),
    *(datetime(2026, 6, day, 10, tzinfo=UTC) for day in (14, 15, 16, 28)),
    *(datetime(2026, 7, day, 12, tzinfo=UTC) for day in (1, 20)),
    *(datetime(2025, 6, day, 10, tzinfo=UTC) for day in (1, 15, 20)),
]
NEAR = [timedelta(), timedelta(microseconds=-1), timedelta(seconds=1), timedelta(hours=-3), timedelta(days=2)]
KINDS = ["sale", "commission", "subscription_payment", "refund", "chargeback", "fee", "adjustment"]
#: Titles that are another program's id, that differ in case alone, and that a filter could take for a pattern.
PROGRAMS = {"p1": "Hosting", "p2": "p1", "p*": "Star", "100%": "hosting", "a_b": "Under"}


def filled(ledger: Ledger, seed: int, count: int = 300) -> None:
    """Rows of all sorts on three connections, with rates for all currencies but SYP. Values are left to `revalue`."""
    chance = Random(seed)
    for slug in ("awin", "ghost", "stripe"):
        owner = ledger.connection(slug)
        titles = [{"connection_id": owner, "external_id": name, "title": title, "recurring": False}
                  for name, title in PROGRAMS.items() if (owner, name) != (2, "p1")]  # fmt: skip
        ledger.insert("program", titles)
    ledger.stream("Books")
    for at in range(14):
        day = f"{date(2025, 6, 1) + timedelta(days=30 * at)}"
        for code, rate in (("USD", f"1.{at + 5:02}3"), ("JPY", f"15{at % 10}.37")):
            ledger.rate(code, day, rate)
    ledger.insert("earning", [_sort(ledger, chance) for _ in range(count)])
    for number in range(count // 10):
        made = chance.choice(EDGES)
        ledger.insert("payout", [{
            "connection_id": number % 3 + 1, "resource": "payouts", "external_id": f"po{number}", "created_at": made,
            "status": chance.choice(["paid", "paid", "pending", "failed"]), "amount": Decimal(number),
            "currency": "EUR", "fee": None, "arrives_at": made + timedelta(days=2) if number % 4 else None,
            "itemised": False, "estimated": False, "itemised_at": None, "provider_status": None,
        }])  # fmt: skip


def _sort(ledger: Ledger, chance: Random) -> dict[str, Any]:
    def now_and_then(value: Any, one_of: int = 8) -> Any:
        return value if chance.randrange(one_of) == 0 else None

    at = chance.choice(EDGES) + chance.choice(NEAR)
    kind = chance.choice(KINDS) if chance.randrange(9) else chance.choice(sorted(NOT_INCOME))
    row: dict[str, Any] = ledger.row(
        chance.choice(["awin", "ghost", "stripe"]),
        f"{chance.randrange(-500, 9999)}.{chance.randrange(100):02}",
        "2026-06-01",
        kind=kind,
        status=chance.choice(["approved"] * 5 + ["pending", "declined", "reversed"]),
        settlement=chance.choice(["unpaid", "scheduled", "paid", "paid"]),
        currency=chance.choice(["EUR", "EUR", "USD", "JPY", "SYP"]),
        recurrence=chance.choice(["recurring", "one_off", "instalment", "variable"]),
        paired=not chance.randrange(12),
        estimated=not chance.randrange(12),
        program=chance.choice([*PROGRAMS, "bare", None]),
        product=chance.choice(["p1", "P1", "a_b", "book*", "book", None, None]),
        country=chance.choice(["DE", "US", None]),
        sub_id=now_and_then("blog_1", 3),
        stream=chance.choice([None, None, "Books"]),
        validated_at=now_and_then(chance.choice(EDGES) + chance.choice(NEAR), 2),
        paid_at=now_and_then(chance.choice(EDGES) + chance.choice(NEAR), 2),
    )
    return row | {"earned_at": at}
