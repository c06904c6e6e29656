"""The sheets of an XLSX workbook, row by row and within limits. Formulas are never followed: what they gave is read."""

import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from tracker.errors import UsageError
from tracker.statements.reading import CELL_LINES_MAX, COLUMNS_MAX, ROWS_MAX, Cell, Row

#: Bytes of a workbook once unpacked, of its shared texts (which are held in memory), and how often smaller it may be.
UNPACKED_MAX, TEXTS_MAX, RATIO_MAX = 1_000_000_000, 100_000_000, 300
PARTS_MAX, SHEETS_MAX = 2_000, 100
#: Sheets claim a size, and some claim all there is: rows that hold nothing are not followed for ever.
EMPTY_MAX = 10_000
#: What zipfile and openpyxl raise for a file that is none of theirs.
DAMAGE = (
    ValueError, KeyError, TypeError, AttributeError, SyntaxError, RuntimeError, EOFError, OSError, zlib.error,
    zipfile.BadZipFile,
)  # fmt: skip
_DOCTYPE = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)


class Sheet(msgspec.Struct, frozen=True):
    path: Path
    name: str

    def rows(self) -> Iterator[Row]:
        with _Book(self.path) as book:
            sheet = book[self.name]
            sheet.reset_dimensions()  # what the file says of its size is often wrong
            empty = 0
            try:
                for line, values in enumerate(sheet.iter_rows(values_only=True), start=1):
                    if line > ROWS_MAX or len(values) > COLUMNS_MAX:
                        raise UsageError(f"{self.path.name}: the sheet {self.name} is larger than a statement is.")
                    cells = [_cell(value) for value in values]
                    if any(cell != "" for cell in cells):
                        empty = 0
                        yield Row(line, cells)
                    elif (empty := empty + 1) > EMPTY_MAX:
                        return
            except DAMAGE as error:
                raise _damaged(self.path, error) from None


def sheets(path: Path) -> list[Sheet]:
    """The sheets of a workbook. Raises UsageError for one that is damaged or would fill the memory."""
    _check(path)
    with _Book(path) as book:
        names = [sheet.title for sheet in book.worksheets]
    if len(names) > SHEETS_MAX:
        raise UsageError(f"{path.name} has {len(names)} sheets, more than a statement has.")
    return [Sheet(path, name) for name in names]


def _check(path: Path) -> None:
    """What a workbook unpacks into, before anything is unpacked. zipfile reads no more of a part than it claims."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            unpacked = sum(part.file_size for part in parts)
            texts = sum(part.file_size for part in parts if part.filename.endswith(("sharedStrings.xml", "styles.xml")))
            packed = max(path.stat().st_size, 1)
            if len(parts) > PARTS_MAX or unpacked > UNPACKED_MAX or texts > TEXTS_MAX or (
                unpacked > 10_000_000 and unpacked / packed > RATIO_MAX
            ):  # fmt: skip
                raise UsageError(
                    f"{path.name} would unpack into {unpacked / 1e6:,.0f} MB, which no statement needs.",
                    hint="Save the sheet as CSV and import that.",
                )
            for part in parts:
                if part.filename.endswith((".xml", ".rels")):
                    with archive.open(part) as file:
                        if _DOCTYPE.search(file.read(4_096)):
                            raise UsageError(f"{path.name} has declarations that no workbook has; it is not read.")
    except DAMAGE as error:
        raise _damaged(path, error) from None


class _Book:
    """A workbook opened for reading only; what it says about styles it does not know is nobody's concern."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Any:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._file = self._path.open("rb")
                self._book = load_workbook(self._file, read_only=True, data_only=True, keep_links=False)
        except (InvalidFileException, *DAMAGE) as error:
            self._file.close()
            raise _damaged(self._path, error) from None
        return self._book

    def __exit__(self, *error: object) -> None:
        self._book.close()
        self._file.close()


def _damaged(path: Path, error: Exception) -> UsageError:
    return UsageError(
        f"{path.name} is damaged or no workbook ({type(error).__name__}).",
        hint="Download it again, or save it as CSV.",
    )


def _cell(value: object) -> Cell:
    """Text, a whole number or an exact decimal. Workbooks hold binary numbers of which 15 digits are meant."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return Decimal(format(value, ".15g"))
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    found = str(value).strip()
    if found.count("\n") > CELL_LINES_MAX:
        raise ValueError("a cell of too many lines")
    return found
