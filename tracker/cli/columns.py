"""Tables for people and for spreadsheets: amounts in the user's locale, right-aligned; CSV without live formulas."""

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple

from rich.cells import cell_len, set_cell_size

from tracker.cli.ground import jsonable, out
from tracker.exports.about import is_formula

_GAP = "  "


class Line(NamedTuple):
    """A row of a table; `style` is rich's word for how it looks on a terminal."""

    cells: Sequence[str]
    style: str = ""


def laid_out(header: Sequence[str], lines: Sequence[Line], *, left: int = 1, width: int | None = None) -> list[Line]:
    """Lines of one cell each. The first `left` columns are aligned left, the others right.

    Where the width does not suffice, the columns that do not fit follow below in a table of their own, beside the first
    column again.
    """
    every = [Line(header, "dim"), *lines]
    widths = [max(cell_len(line.cells[column]) for line in every) for column in range(len(header))]
    if width is not None:
        widths[0] = min(widths[0], max(width // 2, 12))
    told: list[Line] = []
    for columns in _blocks(widths, width):
        told += [Line([""])] if told else []
        for line in every:
            cells = [_fitted(line.cells[column], widths[column], column < left) for column in columns]
            told.append(Line([_GAP.join(cells).rstrip()], line.style))
    return told


def _blocks(widths: Sequence[int], width: int | None) -> list[list[int]]:
    blocks, used = [[0]], widths[0]
    for column in range(1, len(widths)):
        needed = widths[column] + len(_GAP)
        if width is not None and used + needed > width and len(blocks[-1]) > 1:
            blocks.append([0])
            used = widths[0]
        blocks[-1].append(column)
        used += needed
    return blocks


def _fitted(text: str, width: int, left: bool) -> str:
    if cell_len(text) > width:
        text = set_cell_size(text, width - 1).rstrip() + "…"
    space = " " * (width - cell_len(text))
    return text + space if left else space + text


def show(lines: Iterable[Line]) -> None:
    """Print lines as they are; they are not broken, however narrow the terminal is."""
    for line in lines:
        out.print(line.cells[0], style=line.style or None, markup=False, soft_wrap=True)


def terminal_width() -> int | None:
    """None when the output goes into a file or another program, where nothing needs to fit."""
    return out.width if out.is_terminal else None


class Written:
    """Amounts, counts and days as the user's locale writes them. Unknown is "?", nothing is "–"."""

    def __init__(self, locale: str, zone: tzinfo = UTC) -> None:
        self._locale, self._zone = locale, zone

    def amount(self, value: Decimal | None, currency: str) -> str:
        from babel.numbers import format_currency

        if value is None:
            return "?"
        return format_currency(value, currency, "#,##0.00", locale=self._locale) if value else "–"

    def money(self, value: Decimal | None, currency: str) -> str:
        return f"{self.amount(value, currency)} {currency}" if value else f"0 {currency}"

    def share(self, value: Decimal | None) -> str:
        from babel.numbers import format_percent

        return "?" if value is None else format_percent(value, "#,##0.0 %", locale=self._locale)

    def month(self, month: int) -> str:
        from babel.dates import format_skeleton

        return format_skeleton("yMMM", date(month // 100, month % 100, 1), locale=self._locale)

    def day(self, moment: datetime | None) -> str:
        return f"{moment.astimezone(self._zone):%Y-%m-%d}" if moment else "?"

    def minute(self, moment: datetime | None) -> str:
        return f"{moment.astimezone(self._zone):%Y-%m-%d %H:%M}" if moment else "never"


def several(count: int, word: str) -> str:
    """ "1 earning", "2,000 earnings"."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def freshness(as_of: Mapping[str, datetime | None], written: Written) -> str:
    """One line: when each connection was last read completely."""
    if not as_of:
        return "As of: there is no connection."
    return "As of: " + ", ".join(f"{slug} {written.minute(time)}" for slug, time in as_of.items())


def write_csv(header: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([_cell(row[name]) for name in header])


def _cell(value: Any) -> str:
    """Text that a spreadsheet would run as a formula gets an apostrophe in front; amounts keep their sign."""
    if isinstance(value, str):
        return f"'{value}" if is_formula(value) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    shown = jsonable(value)
    return "" if shown is None else str(shown)
