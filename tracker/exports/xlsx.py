"""Earnings as an XLSX workbook: amounts as numbers, times in the user's zone, texts that stay texts.

Memory holds one row; the sheets are put together on disk (xlsxwriter.readthedocs.io, "Constant Memory Mode").
"""

import tempfile
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from xlsxwriter import Workbook

from tracker.exports.about import About, Row, is_formula, told
from tracker.money import decimals
from tracker.search import COLUMNS

#: Rows of a sheet, the first of which names the columns; characters of a cell; digits that a number of a sheet keeps.
SHEET_MAX, TEXT_MAX, DIGITS_MAX = 1_048_576, 32_767, 15
_PIECE = 1 << 16
_WIDE = {"external_id": 24, "program": 24, "product": 24, "recurrence_reason": 32, "stream": 20}


def write(rows: Iterable[Row], about: About) -> Iterator[bytes]:
    with tempfile.TemporaryDirectory(prefix="tracker-export-") as folder:
        path = Path(folder) / "earnings.xlsx"
        _build(path, folder, rows, about)
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece


def _build(path: Path, folder: str, rows: Iterable[Row], about: About) -> None:
    options = {"constant_memory": True, "tmpdir": folder, "strings_to_formulas": False, "strings_to_urls": False}
    with Workbook(str(path), options) as book:
        book.set_properties({"title": "Earnings", "created": about.made_at.replace(tzinfo=None)})
        cells = _Cells(book, about)
        sheet = None
        at = SHEET_MAX
        for row in rows:
            if at >= SHEET_MAX:
                sheet, at = cells.sheet(), 1
            for column, name in enumerate(COLUMNS):
                cells.write(sheet, at, column, row[name], row["currency"])
            at += 1
        if sheet is None:
            cells.sheet()
        cells.about()


class _Cells:
    """Writes cells by the type of their value."""

    def __init__(self, book: Any, about: About) -> None:
        self._book, self._about = book, about
        self._head = book.add_format({"bold": True})
        self._moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._day = book.add_format({"num_format": "yyyy-mm-dd"})
        self._quoted = book.add_format({"quote_prefix": True})  # stays text, also when somebody edits it
        self._amounts: dict[int, Any] = {}

    def sheet(self) -> Any:
        number = len(self._book.worksheets())
        sheet = self._book.add_worksheet("Earnings" if not number else f"Earnings {number + 1}")
        sheet.freeze_panes(1, 0)
        for column, name in enumerate(COLUMNS):
            sheet.set_column(column, column, _WIDE.get(name, 20 if name.endswith("_at") else 13))
            sheet.write_string(0, column, name, self._head)
        return sheet

    def write(self, sheet: Any, at: int, column: int, value: Any, currency: str) -> None:
        if value is None:
            return
        if isinstance(value, bool):
            sheet.write_boolean(at, column, value)
        elif isinstance(value, int):
            sheet.write_number(at, column, value)
        elif isinstance(value, Decimal):
            if len(value.normalize().as_tuple().digits) <= DIGITS_MAX:
                sheet.write_number(at, column, value, self._amount(value, currency))
            else:  # a sheet would round it
                sheet.write_string(at, column, told(value))
        elif isinstance(value, datetime):
            there = value.astimezone(self._about.zone).replace(tzinfo=None)
            sheet.write_datetime(at, column, there, self._moment)
        elif isinstance(value, date):
            sheet.write_datetime(at, column, value, self._day)
        else:
            self.text(sheet, at, column, str(value))

    def text(self, sheet: Any, at: int, column: int, text: str) -> None:
        sheet.write_string(at, column, text[:TEXT_MAX], self._quoted if is_formula(text) else None)

    def _amount(self, value: Decimal, currency: str) -> Any:
        """As many decimals as its currency has, or as the value itself."""
        exponent = value.normalize().as_tuple().exponent
        places = max(decimals(currency), -exponent if isinstance(exponent, int) else 0)
        if places not in self._amounts:
            self._amounts[places] = self._book.add_format(
                {"num_format": "#,##0" + ("." + "0" * places if places else "")}
            )
        return self._amounts[places]

    def about(self) -> None:
        """A sheet that says what the others hold."""
        sheet, about = self._book.add_worksheet("About"), self._about
        sheet.set_column(0, 0, 24)
        sheet.set_column(1, 1, 60)
        made = about.made_at.astimezone(about.zone)
        facts = [
            ("Made", f"{made:%Y-%m-%d %H:%M}"),
            ("Filter", about.asked),
            ("Time zone of all times", about.zone.key),
            ("Reporting currency", about.currency),
            *(
                (f"As of: {slug}", f"{moment.astimezone(about.zone):%Y-%m-%d %H:%M}" if moment else "never read whole")
                for slug, moment in about.as_of.items()
            ),
        ]
        for at, (name, text) in enumerate(facts[: SHEET_MAX - 1]):
            sheet.write_string(at, 0, name, self._head)
            self.text(sheet, at, 1, text)
