"""A statement: a file whose tables a profile knows, with what the whole file says, as rows ready for the ledger."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cached_property
from hashlib import blake2b
from typing import Any

import msgspec

from tracker.connect.rows import encode
from tracker.errors import DataError, MoneyError, UsageError
from tracker.money import currency_code, parse_localised
from tracker.statements.headers import Match
from tracker.statements.profiles.cells import NOTHING
from tracker.statements.profiles.dates import Orders, period_in
from tracker.statements.profiles.profile import Profile
from tracker.statements.reading import Cell, Opened, Row

#: What stands in front of sums, in the languages of the profiles.
TOTALS = frozenset(
    "total totals summary sum subtotal grand-total gesamt gesamtsumme summe zwischensumme totale totali "
    "total-general suma totaal totalt razem".replace("-", "\u00a0").split(" ")
) | {"grand total", "total general"}
#: Currencies that a sign alone names.
_SIGNS = {
    "€": "EUR", "£": "GBP", "₹": "INR", "₩": "KRW", "₺": "TRY", "₽": "RUB", "₪": "ILS", "zł": "PLN", "US$": "USD",
    "CA$": "CAD", "C$": "CAD", "A$": "AUD", "AU$": "AUD", "NZ$": "NZD", "R$": "BRL", "MX$": "MXN",
}  # fmt: skip


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the user says about a file because the file does not."""

    decimal: str | None = None
    dates: str | None = None
    currency: str | None = None
    month: str | None = None


class Line(msgspec.Struct, frozen=True):
    """One row for the ledger: where it stands, its id, its JSON, and what is wrong with it before any field is read."""

    place: str
    key: str
    kept: bytes
    fault: DataError | None = None


class Statement(msgspec.Struct, kw_only=True, dict=True):
    """A recognised file. `facts` are what each row carries: see `tracker.statements.profiles.cells`."""

    opened: Opened
    profile: Profile
    matches: list[Match]
    facts: list[dict[str, str]]
    skipped: int = 0  # totals and repeated headers of the last walk

    @property
    def name(self) -> str:
        return self.opened.path.name

    def lines(self) -> Iterator[Line]:
        """All rows of all tables, in order, without sums, repeated headers and second copies of a row with an id."""
        self.skipped = 0
        with Seen() as seen:
            for match, facts in zip(self.matches, self.facts, strict=True):
                for row in match.table.rows():
                    if row.line <= match.line:
                        continue
                    if self._is_aside(match, row):
                        self.skipped += 1
                    elif line := self._line(match, facts, row, seen):
                        yield line

    def _is_aside(self, match: Match, row: Row) -> bool:
        """Whether a row is a sum or the header once more."""
        if row.cells == match.cells:
            return True
        first = next((str(cell) for cell in row.cells if cell != ""), "")
        if first.casefold().rstrip(": ") not in TOTALS:
            return False
        dated = [position for position, name in enumerate(match.columns) if name in self._day_columns]
        return all(
            position >= len(row.cells) or row.cells[position] in NOTHING or row.cells[position] == first
            for position in dated
        )

    @cached_property
    def _day_columns(self) -> frozenset[str]:
        return frozenset(columns[0] for columns in self.profile.date_columns)

    @cached_property
    def _people(self) -> frozenset[str]:
        return frozenset(self.profile.drop)

    def _line(self, match: Match, facts: dict[str, str], row: Row, seen: "Seen") -> Line | None:
        sheet = f" ({match.table.name})" if match.table.name else ""
        place = f"line {row.line} of {self.name}{sheet}".replace(":", " ")
        cells = row.cells
        while len(cells) > len(match.columns) and cells[-1] == "":
            cells = cells[:-1]
        if self.opened.form == "CSV" and len(cells) != len(match.columns) and not match.header.ragged:
            fault = f"the row has {len(cells)} cells, the header {len(match.columns)}."
            # Which of them are about people is not known, so only their number is kept.
            return _broken(place, cells, {**facts, "$cells": len(cells)}, fault, "Was the file cut off or edited?")
        named = zip(match.columns, cells, strict=False)
        values = {name: cell for name, cell in named if name is not None and cell not in NOTHING}
        if not values:
            return None
        key, mark, counted = self._identity({**values, **facts})
        held: dict[str, Any] = {name: cell for name, cell in values.items() if name not in self._people}
        held |= facts
        if key is None:
            return _broken(place, cells, held, f"no id: {' and '.join(self.profile.id)} are empty")
        count, same = seen.count(key, mark)
        if counted and count > 1:
            key = f"{key}:{count}"
        elif count > 1 and same:
            return None
        twice = None if counted or count == 1 else DataError("the id came twice in one file, with different content")
        held["$id"] = key
        return Line(place, key, encode(held), twice)

    # --- ids ---

    def _identity(self, row: dict[str, Any]) -> tuple[str | None, bytes, bool]:
        """The id of a row, a mark of its content, and whether equal ids are different rows that are counted."""
        if self.profile.id:
            parts = [self._plain(row, column) for column in self.profile.id]
            content = blake2b(encode(row), digest_size=16).digest()
            return ("|".join(parts) if any(parts) else None), content, False
        parts = [self._plain(row, column) for column in ("$form", "$currency", "$period", *self.profile.fingerprint)]
        content = blake2b("\0".join(parts).encode(), digest_size=16).digest()
        return content.hex(), content, True

    def _plain(self, row: dict[str, Any], column: str) -> str:
        """What a cell says, however another export or a spreadsheet writes it."""
        value = row.get(column)
        if value is None:
            return ""
        reading = self.profile.reading
        try:
            if column in self.profile.money_columns:
                return f"{(reading.amount(row, column) or Decimal(0)).normalize():f}"
            if column in self._day_columns and (found := reading.time(row, (column,))):
                return f"{found:%Y-%m-%d %H:%M:%S}".removesuffix(" 12:00:00")
        except DataError:
            pass
        return str(value)


def _broken(place: str, cells: Sequence[Cell], held: dict[str, Any], fault: str, hint: str = "") -> Line:
    """A row without an id; what stands for it there tells it from others that are broken."""
    mark = blake2b(encode(list(cells)), digest_size=16).hexdigest()
    return Line(place, f"broken:{mark}", encode(held), DataError(fault, field="row", hint=hint))


class Seen:
    """Which ids came in a file, and how often: on disk, so that a million rows need no more memory than ten."""

    def __enter__(self) -> "Seen":
        self._rows = sqlite3.connect("", isolation_level=None)  # an unnamed database is a temporary file
        self._rows.execute("PRAGMA cache_size = -4000")
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("BEGIN")
        self._rows.execute("CREATE TABLE seen (key BLOB PRIMARY KEY, mark BLOB, times INTEGER) WITHOUT ROWID")
        return self

    def __exit__(self, *error: object) -> None:
        self._rows.close()

    def count(self, key: str, mark: bytes) -> tuple[int, bool]:
        """The how manieth row with this id this is, and whether its content is that of the first."""
        short = blake2b(key.encode(), digest_size=12).digest()
        times, first = self._rows.execute(
            "INSERT INTO seen VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET times = times + 1 RETURNING times, mark",
            (short, mark),
        ).fetchone()
        return times, first == mark


# --- what the whole file says ---


def settle(opened: Opened, matches: list[Match], asked: Asked) -> Statement:
    """Find out how dates and amounts are written and in which currency, from the profile, the file or the user.

    Raises UsageError where the file can be read in two ways.
    """
    profile = matches[0].profile
    decimal, order = _written(opened, profile, matches, asked)
    facts = []
    for match in matches:
        found = {"$decimal": decimal, "$dates": order, "$form": match.header.form}
        if _reads(profile, "$currency"):
            found["$currency"] = _currency(opened, match, asked)
        if _reads(profile, "$period"):
            found["$period"] = _period(opened, match, asked)
        facts.append({name: value for name, value in found.items() if value})
    return Statement(opened=opened, profile=profile, matches=matches, facts=facts)


def _reads(profile: Profile, fact: str) -> bool:
    return any(f'"{fact}"' in encode(made.fields).decode() for made in profile.make)


def _period(opened: Opened, match: Match, asked: Asked) -> str:
    """The month of a table whose rows have no date; "" where they have."""
    if asked.month:
        return asked.month
    if any(columns[0] in match.columns for columns in match.profile.date_columns):
        return ""
    found = period_in([*match.above, opened.path.stem])
    if not found:
        raise UsageError(f"the rows of {opened.path.name} have no date.", hint="Say their month: --month 2026-03")
    return found


def _currency(opened: Opened, match: Match, asked: Asked) -> str:
    """The currency of amounts that have none beside them."""
    said = asked.currency or (match.sign and (_SIGNS.get(match.sign) or match.sign)) or match.profile.currency
    said = said or _only_currency(match)
    try:
        return currency_code(said)
    except MoneyError:
        what = f"the {match.sign} in its header may be several currencies" if match.sign else "it does not say which"
        raise UsageError(
            f"the currency of {opened.path.name} is not known: {what}.", hint="Say it: --currency USD"
        ) from None


def _only_currency(match: Match) -> str:
    """The one that all rows which name a currency name."""
    named = match.profile.read_as("currency")
    places = [place for place, name in enumerate(match.columns) if name in named]
    found: set[str] = set()
    for row in match.table.rows() if places else ():
        if row.line > match.line and row.cells != match.cells:
            found.update(str(row.cells[place]) for place in places if place < len(row.cells))
        if len(found - NOTHING) > 1:
            break
    found -= NOTHING
    return found.pop() if len(found) == 1 else ""


def _written(opened: Opened, profile: Profile, matches: list[Match], asked: Asked) -> tuple[str, str]:
    """The decimal mark and the order of dates; "" where the profile's own holds."""
    first = matches[0].header
    decimal = asked.decimal or first.decimal
    possible = list((asked.dates,) if asked.dates else first.dates or profile.dates)
    marks, orders = _Marks(), Orders(possible)
    if (decimal or profile.decimal) and len(possible) == 1:
        return decimal, asked.dates or (possible[0] if first.dates else "")
    for match in matches:
        amounts = [place for place, name in enumerate(match.columns) if name in profile.money_columns]
        days = [
            place for place, name in enumerate(match.columns) if any(name == one[0] for one in profile.date_columns)
        ]
        for row in match.table.rows():
            if row.line > match.line and len(row.cells) >= len(match.columns):
                for place in amounts if not (decimal or profile.decimal) else ():
                    marks.see(row.cells[place])
                for place in days:
                    orders.see(str(row.cells[place]))
                if (decimal or profile.decimal or len(marks.left) == 1) and len(orders.left) == 1:
                    break
    if not (decimal or profile.decimal):
        decimal = marks.decided or ""
        if not decimal:
            raise UsageError(
                f"{marks.example!r} in {opened.path.name} can mean two amounts, and no other amount tells which.",
                hint="Name the decimal mark: --decimal . or --decimal ,",
            )
    order = orders.decided
    if order is None:
        raise UsageError(
            f"{orders.example!r} in {opened.path.name} can be two days, and no other date tells which.",
            hint=f"Say how its dates are written: {' or '.join(f'--dates {one}' for one in orders.left)}",
        )
    return decimal, order


class _Marks:
    """Which decimal mark all amounts of a file keep to."""

    def __init__(self) -> None:
        self.left = [".", ","]
        self.example = ""

    def see(self, cell: Cell) -> None:
        if not isinstance(cell, str) or not re.search(r"[.,]", cell) or len(self.left) == 1:
            return
        found = {mark: amount for mark in self.left if (amount := _amount(cell, mark)) is not None}
        if found:
            if len(set(found.values())) > 1:
                self.example = cell
            self.left = list(found)

    @property
    def decided(self) -> str | None:
        return self.left[0] if len(self.left) == 1 or not self.example else None


def _amount(text: str, mark: str) -> Decimal | None:
    try:
        return parse_localised(text, mark)
    except DataError:
        return None
