"""Searching earnings: pages of what fits a filter, and what all of it comes to, however many earnings there are.

A page is found by the place of the last row (no OFFSET), in the months of which the roll-up says that they hold
something. What only the earnings themselves can answer (a product, a sub id, a text, an amount) is looked for in about
SCAN earnings first; `searched_to` says how far that was, and the next page goes on from there, FURTHER times as far.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, select

from tracker.classify import reason
from tracker.errors import UsageError
from tracker.filters import Filter
from tracker.money import LARGEST, from_micros, to_micros
from tracker.months import following, month_of, start_of
from tracker.reports import EARNING_COLUMNS, bring_up_to_date, moments
from tracker.settings import Settings
from tracker.store import reads, reads_news, reads_search
from tracker.store.database import reading
from tracker.store.reads import Basis, stream_t
from tracker.store.reads_search import Asked, Sum
from tracker.store.reads_titles import Named, exactly, titled
from tracker.store.writes import connection_t

__all__ = [
    "COLUMNS",
    "FURTHER",
    "SCAN",
    "SIZE",
    "SIZE_MAX",
    "SORTED",
    "Filter",
    "Found",
    "Sort",
    "Sum",
    "Totals",
    "every",
    "row_of",
    "search",
]

#: Rows of a page, by default and at most; rows that are in memory at once when all are read.
SIZE, SIZE_MAX, CHUNK = 50, 500, 1_000
#: Earnings that a first page looks at, one by one, and those that are put in order by amount; a month is taken whole.
SCAN, SORTED = 60_000, 100_000
#: How many times as many where somebody asked to look further: few steps lead to the end, and the first one is quick.
FURTHER = 4
#: Connections times months that are worth looking up one by one.
CELLS_MAX = 5_000
_NEVER, _EVER = 100, 999_912
_TICK = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Sort(StrEnum):
    """By the time earned, or by amount: of `currency` where one is asked for, else in the reporting currency."""

    NEWEST = "newest"
    OLDEST = "oldest"
    LARGEST = "largest"
    SMALLEST = "smallest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """All that fits, on every page together: how many, and what they come to in each currency."""

    earnings: int
    sums: list[Sum]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page of earnings.

    `rows` have COLUMNS. `previous` and `next` are places for `before` and `after`. `totals` is None when it was not
    asked for, or when more earnings than for a first page would have to be looked at. `searched_to` (202606) is the
    last month that was looked at where there are more; by amount, only the earnings since then are in the order.
    `by_reference` says that `q` is the reference of just these earnings.
    """

    rows: list[dict[str, Any]]
    previous: str | None
    next: str | None
    totals: Totals | None
    searched_to: int | None
    by_reference: bool


#: The columns of a row: its number in this ledger, then as `tracker earnings` tells it, then what else is known.
COLUMNS = ("id", *EARNING_COLUMNS, "stream_slug", "country", "sale_currency", "rate_day")


def search(
    engine: Engine,
    settings: Settings,
    wanted: Filter,
    *,
    sort: Sort = Sort.NEWEST,
    after: str | None = None,
    before: str | None = None,
    size: int = SIZE,
    totals: bool = True,
    scan: int | None = None,
) -> Found:
    """A page of the earnings that fit: the first one, or that after or before a place. Raises UsageError.

    `scan` is how many earnings a first page looks at, one by one: SCAN, or SORTED by amount.
    """
    if after and before:
        raise UsageError("after and before cannot both be given.", hint="Leave one out.")
    if not 1 <= size <= SIZE_MAX:
        raise UsageError(f"a page has 1 to {SIZE_MAX} rows.")
    place = _Place.parse(after or before or "", sort)
    bring_up_to_date(engine)
    with reading(engine) as conn:
        asked = _asked(conn, settings, wanted)
        whole = _Search(conn, settings, asked, sort, scan or (SORTED if sort in _BY_AMOUNT else SCAN))
        part = whole.page(place, size, back=bool(before))
        rows = _rows(conn, part, settings.currency)
        return Found(
            rows=rows,
            previous=str(part.previous) if part.previous else None,
            next=str(part.next) if part.next else None,
            totals=whole.totals(part) if totals else None,
            searched_to=part.searched_to,
            by_reference=asked.ids is not None,
        )


def every(engine: Engine, settings: Settings, wanted: Filter, *, sort: Sort = Sort.OLDEST) -> Iterator[dict[str, Any]]:
    """All earnings that fit, in order of time, however many; CHUNK of them are in memory at once. Raises UsageError.

    No transaction is open between two of them, so whoever reads them may take its time.
    """
    if sort not in (Sort.OLDEST, Sort.NEWEST):
        raise UsageError("all earnings come in order of time only.", hint="Leave the sorting out.")
    bring_up_to_date(engine)
    with reading(engine) as conn:
        asked = _asked(conn, settings, wanted)
        whole = _Search(conn, settings, asked, sort, SCAN)
    return _every(engine, settings, whole)


def _every(engine: Engine, settings: Settings, whole: "_Search") -> Iterator[dict[str, Any]]:
    place: _Place | None = None
    while True:
        with reading(engine) as conn:
            whole.conn = conn
            part = whole.page(place, CHUNK)
            rows = _rows(conn, part, settings.currency)
        yield from rows
        if part.next is None:
            return
        place = part.next


def _rows(conn: Connection, part: "_Part", currency: str) -> list[dict[str, Any]]:
    ids = [one for _, one in part.rows]
    found = reads_search.told(conn, ids)
    return [row_of(found[one], currency) for one in ids if one in found]  # else removed just now


def row_of(row: Any, currency: str) -> dict[str, Any]:
    """An earning of `reads_search.told` by COLUMNS."""
    known = dict(zip(reads_search.TOLD, row, strict=True))
    known["connection"] = row.slug
    known["program"] = row.title or row.program
    known["product"] = row.product_title or row.product
    known["reporting_currency"] = currency
    known["recurrence_reason"] = reason(row.recurrence_by, row.recurrence_reason)
    known["counted"] = True if row.verdict == reads.COUNTED else row.verdict
    return {name: known[name] for name in COLUMNS}


def _asked(conn: Connection, settings: Settings, wanted: Filter) -> Asked:
    """The filter with its names looked up and its days cut in the user's zone. Raises UsageError for unknown names."""
    zone, basis = settings.zone, wanted.basis
    start, end = moments(settings, wanted.first, wanted.last)
    if wanted.until:
        end = min(end or wanted.until, wanted.until)
    within = months = None
    if basis is Basis.EARNED:
        if wanted.month:
            opens, closes = start_of(wanted.month, zone), start_of(following(wanted.month), zone)
            start, end = max(start or opens, opens), min(end or closes, closes)
    else:
        low = max(month_of(start, zone) if start else _NEVER, wanted.month or _NEVER)
        high = min(month_of(end - _TICK, zone) if end else _EVER, wanted.month or _EVER)
        months = (low, high) if (low, high) != (_NEVER, _EVER) else None
        whole = all(moment is None or moment == start_of(month_of(moment, zone), zone) for moment in (start, end))
        within = None if whole else (start, end)
        start = end = None
    same = ("status", "settlement", "recurrence", "kind", "currency", "counted", "sub_id", "least", "most")
    connection_id = _id_of(conn, connection_t, wanted.connection, "connection")
    text = f"*{wanted.q.strip('*')}*" if wanted.q else None
    # A text without an asterisk may be a reference as a whole.
    ids = reads_search.referred(conn, wanted.q) if wanted.q and "*" not in wanted.q else []
    among = reads_news.few(conn, wanted.since) if wanted.since else None
    return Asked(
        start=start, end=end, basis=basis, months=months, within=within,
        connection_id=connection_id, stream_id=_id_of(conn, stream_t, wanted.stream, "stream"),
        program=_named(conn, wanted.program, connection_id, by_id=True),
        product=_named(conn, wanted.product, connection_id, by_id=False),
        text=titled(conn, text, connection_id) if text and not ids else None,
        ids=tuple(ids) if ids else None, among=among, since=wanted.since if among is None else None,
        **{name: getattr(wanted, name) for name in same},
    )  # fmt: skip


def _named(conn: Connection, name: str | None, connection_id: int | None, *, by_id: bool) -> Named | None:
    """After `=` it is a program's id, or the name that a product is shown with, and no pattern."""
    if name is None:
        return None
    if not name.startswith("="):
        return titled(conn, name, connection_id)
    exact = name.removeprefix("=")
    return Named(exact, (), exact=True) if by_id or not exact else exactly(conn, exact, connection_id)


def _id_of(conn: Connection, table: Any, slug: str | None, noun: str) -> int | None:
    if slug is None:
        return None
    found = conn.execute(select(table.c.id).where(table.c.slug == slug)).scalar()
    if found is None:
        known = conn.execute(select(table.c.slug).order_by(table.c.slug).limit(20)).scalars()
        raise UsageError(f"no {noun} is called {slug[:60]!r}.", hint=f"There are: {', '.join(known) or 'none'}.")
    return int(found)


# --- pages ---


@dataclass(frozen=True, slots=True)
class _Place:
    """Beside which row a page begins: its key in the order (a moment or an amount) and its id."""

    key: datetime | Decimal
    id: int

    @classmethod
    def parse(cls, text: str, sort: Sort) -> "_Place | None":
        if not text:
            return None
        found = re.fullmatch(r"([ta])(-?\d{1,19})\.(-?\d{1,18})", text, re.ASCII)
        by_amount = sort in _BY_AMOUNT
        low, high = (-_AMOUNT_MAX, _AMOUNT_MAX) if by_amount else (0, _MOMENT_MAX)
        if not found or (found[1] == "a") != by_amount or not low <= int(found[2]) <= high:
            raise UsageError("this place is not of this search.", hint="Begin with its first page.")
        number = int(found[2])
        key = from_micros(number) if by_amount else _EPOCH + timedelta(microseconds=number)
        return cls(key, int(found[3]))

    def __str__(self) -> str:
        if isinstance(self.key, Decimal):
            return f"a{to_micros(self.key)}.{self.id}"
        return f"t{(self.key - _EPOCH) // timedelta(microseconds=1)}.{self.id}"


_BY_AMOUNT = (Sort.LARGEST, Sort.SMALLEST)
#: Of keys in a place, in millionths: the largest amount that the ledger holds, and a moment in the year 3237.
_AMOUNT_MAX, _MOMENT_MAX = to_micros(LARGEST), 40_000_000_000_000_000
#: The id in a place before all rows of its moment.
_BEFORE_ALL = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A page by the keys and ids of its rows."""

    rows: list[tuple[Any, int]]
    previous: _Place | None
    next: _Place | None
    searched_to: int | None

    @property
    def alone(self) -> bool:
        """Whether there are no other rows."""
        return self.previous is None and self.next is None and self.searched_to is None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """The months to look into for a page; all connections, or these. `goes_on`: there are months beyond."""

    months: list[int]
    owners: set[int] | None
    goes_on: bool


class _Search:
    """One search: where the earnings that fit may be, and pages of them."""

    def __init__(self, conn: Connection, settings: Settings, asked: Asked, sort: Sort, scan: int) -> None:
        self.conn, self._zone, self._asked, self._sort, self._scan = conn, settings.zone, asked, sort, scan
        first = month_of(asked.start, self._zone) if asked.start else None
        last = month_of(asked.end - _TICK, self._zone) if asked.end else None
        #: Months of which only some days are asked for: the roll-up does not know how many fit.
        self._edges = {
            month_of(moment, self._zone)
            for moment in (asked.start, asked.end)
            if moment and moment != start_of(month_of(moment, self._zone), self._zone)
        }
        self._hits: dict[int, int] = {}
        self._owners: dict[int, set[int]] = {}
        for cell in reads_search.cells(conn, asked, first, last):
            self._hits[cell.month] = self._hits.get(cell.month, 0) + cell.earnings
            self._owners.setdefault(cell.month, set()).add(cell.connection_id)

    def page(self, place: _Place | None, size: int, *, back: bool = False) -> _Part:
        descending = (self._sort in (Sort.NEWEST, Sort.LARGEST)) != back
        window = self._window(place, size, descending)
        rows: list[tuple[Any, int]] = []
        if window.months:
            rows = reads_search.page(
                self.conn, self._asked, owners=window.owners, months=window.months, bounds=self._bounds(window),
                by_amount=self._by_amount, descending=descending, after=(place.key, place.id) if place else None,
                limit=size + 1,
            )  # fmt: skip
        more, rows = len(rows) > size, rows[:size]
        far = _Place(*rows[-1]) if more else self._beyond(window, descending)
        near = (_Place(*rows[0]) if rows else place) if place else None
        partly = window.goes_on and not self._rolled_up and (self._by_amount or not more)
        return _Part(
            rows=rows[::-1] if back else rows,
            previous=far if back else near,
            next=near if back else far,
            searched_to=window.months[-1] if partly else None,
        )

    @property
    def _by_amount(self) -> bool:
        return self._sort in _BY_AMOUNT

    @property
    def _rolled_up(self) -> bool:
        """Whether the roll-up tells which months hold enough; an order by amount needs all rows whatever it tells."""
        return self._asked.rolled_up and not self._by_amount

    @property
    def _most(self) -> int:
        """Earnings to look at in one go; all, where an index leads to those that fit."""
        return sum(self._hits.values()) if self._asked.led else self._scan

    def _window(self, place: _Place | None, size: int, descending: bool) -> _Window:
        """The months that hold the rest of a page for sure, or as many as are looked at in one go."""
        backwards = descending or self._by_amount
        months = sorted(self._hits, reverse=backwards)
        cut = None
        if place and isinstance(place.key, datetime):
            whole = descending and place.id == _BEFORE_ALL
            cut = month_of(place.key - _TICK if whole else place.key, self._zone)
            months = [month for month in months if (month <= cut if backwards else month >= cut)]
        # By amount every page is of the same months.
        most = self._most * FURTHER if place and not self._by_amount else self._most
        taken: list[int] = []
        sure = looked_at = 0
        for month in months:
            enough = sure > size if self._rolled_up else looked_at + self._hits[month] > most
            if taken and enough:
                break
            taken.append(month)
            looked_at += self._hits[month]
            sure += 0 if month == cut or month in self._edges else self._hits[month]
        goes_on = len(taken) < len(months)
        return _Window(months=taken, owners=self._worth_gathering(taken, looked_at, size), goes_on=goes_on)

    def _worth_gathering(self, months: list[int], hits: int, size: int) -> set[int] | None:
        """The connections whose earnings are read and sorted, where that is less than going through all in order."""
        owners = set().union(*(self._owners[month] for month in months))
        if self._asked.led or not months or len(owners) * len(months) > CELLS_MAX:
            return None
        volumes = reads_search.volumes(self.conn, months)
        gone_through = sum(volumes.values())
        if self._rolled_up:  # and until there are enough
            gone_through = gone_through * (size + 1) // max(hits, size + 1)
        gathered = sum(volumes.get(owner, 0) for owner in owners)
        return owners if gathered + gathered // 2 < gone_through else None

    def _bounds(self, window: _Window) -> tuple[datetime, datetime]:
        first, last = min(window.months), max(window.months)
        return start_of(first, self._zone), start_of(following(last), self._zone)

    def _beyond(self, window: _Window, descending: bool) -> _Place | None:
        """Where the months begin that were not looked at yet."""
        if not window.goes_on or self._by_amount:
            return None
        return _Place(self._bounds(window)[0 if descending else 1], _BEFORE_ALL)

    def totals(self, part: _Part) -> Totals | None:
        """From the roll-up; months that it cannot answer for are read, unless there is too much in them.

        Where a page holds all there is, its rows are added up.
        """
        unsure = self._edges if self._asked.rolled_up else self._hits.keys()
        months = [month for month in self._hits if month in unsure]
        if months and part.alone:
            found = reads_search.sums_of(self.conn, [one for _, one in part.rows])
        elif sum(self._hits[month] for month in months) > self._most:
            return None
        else:
            found = self._added(months, [month for month in self._hits if month not in unsure])
        sums = reads_search.together(found)
        return Totals(earnings=sum(one.earnings for one in sums), sums=sums)

    def _added(self, unsure: list[int], sure: list[int]) -> list[Sum]:
        found = reads_search.sums_of_months(self.conn, self._asked, sure) if sure else []
        if unsure:
            named = set().union(*(self._owners[month] for month in unsure))
            owners = None if self._asked.led else named
            found += reads_search.sums(self.conn, self._asked, owners, unsure)
        return found
