"""Reading a statement's file: what it is, how it is encoded, its tables row by row. Nothing here knows profiles.

A file is read in a stream, however large, and again from the start where that is needed. Compressed files are read as
they are; every size has a limit.
"""

import codecs
import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Protocol, cast

import msgspec

from tracker.errors import UsageError

#: Bytes of a file, once unpacked.
FILE_MAX = 2_000_000_000
ROWS_MAX = 20_000_000
#: Bytes without a line break, which are in memory at once.
LINE_MAX = 8_000_000
COLUMNS_MAX = 1_000
#: Line breaks inside one cell: more of them, and somewhere a quote was not closed.
CELL_LINES_MAX = 100
DELIMITERS = (",", ";", "\t", "|")
_HEAD, _CHUNK, _SAMPLE = 65_536, 1 << 20, 262_144
#: Invisible characters around a cell that are no part of it; NUL, zero-width ones, byte order marks.
_GONE = dict.fromkeys(map(ord, "\0\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"))
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_NO_TABLE = {
    b"%PDF": "a PDF", b"\xd0\xcf\x11\xe0": "an old Excel file (XLS)", b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture", b"SQLite format 3": "a database", b"{\\rtf": "a text document",
}  # fmt: skip
_EXPORT = "Download the statement as CSV or XLSX."

#: Text, or a number as a workbook holds it.
Cell = str | int | Decimal


class Row(msgspec.Struct, frozen=True):
    """One row; `line` is where it begins, counted from 1 as an editor or a spreadsheet does."""

    line: int
    cells: list[Cell]


class Table(Protocol):
    """Rows under each other. `name` is that of a workbook's sheet."""

    @property
    def name(self) -> str: ...

    def rows(self) -> Iterator[Row]: ...


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A file that may be a statement. `tables` are the ways to read it: the sheets of a workbook, or the delimiters."""

    path: Path
    form: str  # "CSV" or "XLSX"
    encoding: str  # "" for a workbook
    tables: list[Any]


def open_file(path: Path, encoding: str | None = None) -> Opened:
    """Find out what a file is. Raises UsageError for what is no statement, naming what it is instead."""
    try:
        size, head = path.stat().st_size, _head(path)
    except IsADirectoryError:
        raise UsageError(f"{path.name} is a folder.", hint="Name one file.") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}.") from None
    if size == 0 or not head.strip():
        raise UsageError(f"{path.name} is empty.", hint="Download it again.")
    if size > FILE_MAX:
        raise UsageError(f"{path.name} has {size / 1e9:.1f} GB, more than a statement has.", hint="Import it in parts.")
    for start, what in _NO_TABLE.items():
        if head.startswith(start):
            raise UsageError(f"{path.name} is {what}, not a table.", hint=_EXPORT)
    stream = _stream_of(path, head)
    if stream is None:
        from tracker.statements.workbook import sheets

        return Opened(path=path, form="XLSX", encoding="", tables=sheets(path))
    found = _encoding(path.name, stream, encoding)
    tables = [Text(path.name, stream, found, delimiter) for delimiter in DELIMITERS]
    return Opened(path=path, form="CSV", encoding=found, tables=tables)


# --- bytes ---

Stream = Callable[[], Any]


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _stream_of(path: Path, head: bytes) -> Stream | None:
    """How to read the bytes of a text from its start; None for a workbook."""
    if head.startswith(b"\x1f\x8b"):
        return lambda: gzip.open(path, "rb")
    if not head.startswith(b"PK\x03\x04"):
        return lambda: path.open("rb")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
            if "xl/workbook.xml" in names:
                return None
            inside = [name for name in names if not name.startswith("__MACOSX/")]
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        raise UsageError(f"{path.name} is damaged: it cannot be unpacked.", hint="Download it again.") from None
    if len(inside) != 1:
        raise UsageError(
            f"{path.name} holds {len(inside)} files.", hint="Unpack it and import the statements one after the other."
        )
    if inside[0].lower().endswith((".zip", ".gz", ".xlsx")):
        raise UsageError(f"{path.name} holds a packed file itself.", hint="Unpack it and import what is inside.")
    return lambda: _Member(path, inside[0])


class _Member(io.RawIOBase):
    """The only file in an archive. Closing it closes the archive."""

    def __init__(self, path: Path, name: str) -> None:
        self._archive = zipfile.ZipFile(path)
        try:
            self._file = self._archive.open(name)
        except (RuntimeError, NotImplementedError):  # RuntimeError: it wants a password
            self._archive.close()
            raise UsageError(f"{path.name} is locked with a password.", hint="Unpack it first.") from None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self._file.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        self._file.close()
        self._archive.close()
        super().close()


class _Limited(io.RawIOBase):
    """Ends with an error where more bytes come than a statement or line has: a small one may unpack into that."""

    def __init__(self, name: str, file: Any) -> None:
        self._name, self._file, self._left, self._line = name, file, FILE_MAX, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            found = self._file.read(len(buffer))
        except (EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:  # OSError: gzip's word for damage
            raise UsageError(f"{self._name} is damaged: {error}.", hint="Download it again.") from None
        self._left -= len(found)
        if self._left < 0:
            raise UsageError(
                f"{self._name} unpacks into more than {FILE_MAX / 1e9:.0f} GB.", hint="Import it in parts."
            )
        broken = max(found.rfind(b"\n"), found.rfind(b"\r"))
        self._line = len(found) - 1 - broken + (self._line if broken < 0 else 0)
        if self._line > LINE_MAX:
            raise UsageError(f"{self._name} has a line of more than {LINE_MAX / 1e6:.0f} MB: no statement has.")
        buffer[: len(found)] = found
        return len(found)

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def _bytes(name: str, stream: Stream) -> Iterator[Any]:
    with io.BufferedReader(_Limited(name, stream()), _CHUNK) as file:
        yield file


# --- encodings ---


def _encoding(name: str, stream: Stream, said: str | None) -> str:
    with _bytes(name, stream) as file:
        head = file.read(_SAMPLE)
    found = next((word for bom, word in _BOMS if head.startswith(bom)), None) or _wide(head)
    if not head.decode(found or "latin-1", "replace").strip("\ufeff \t\r\n"):
        raise UsageError(f"{name} is empty.", hint="Download it again.")
    if found is None and _is_binary(head):
        raise UsageError(f"{name} is not a statement: it is no text.", hint=_EXPORT)
    _refuse_other_text(name, head.decode(found or "latin-1", "replace"))
    if said:
        try:
            return codecs.lookup(said).name
        except LookupError:
            raise UsageError(f"--encoding: {said[:20]!r} is none.", hint="Such as utf-8, utf-16, cp1252.") from None
    if found:
        return found
    for word in ("utf-8", "cp1252"):
        if _decodes(name, stream, word):
            return word
    from charset_normalizer import from_bytes

    best = from_bytes(head).best()
    if best is None or not _decodes(name, stream, best.encoding):
        raise UsageError(f"{name} has an unknown encoding.", hint="Name it: --encoding cp1250")
    return best.encoding


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of mostly Latin text is zero."""
    part = head[: len(head) // 2 * 2]
    if b"\0" not in part[:2_000]:
        return None
    even, odd = part[::2].count(0) / (len(part) / 2), part[1::2].count(0) / (len(part) / 2)  # not money: shares
    return "utf-16-le" if odd > 0.6 and even < 0.05 else "utf-16-be" if even > 0.6 and odd < 0.05 else None


def _is_binary(head: bytes) -> bool:
    control = sum(head.count(code) for code in range(32) if code not in (9, 10, 12, 13))
    return control > max(4, len(head) // 200)


def _refuse_other_text(name: str, head: str) -> None:
    start = head.lstrip("\ufeff \t\r\n")[:200].lower()
    if start.startswith(("<!doctype", "<html", "<?xml", "<head")):
        raise UsageError(f"{name} is a web page or XML, not a table.", hint=f"You may have been logged out. {_EXPORT}")
    if start.startswith(("{", "[{")):
        raise UsageError(f"{name} is JSON, not a table.", hint=_EXPORT)


def _decodes(name: str, stream: Stream, encoding: str) -> bool:
    """Whether the whole file can be read so: the one letter that cannot may stand in its last line."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with _bytes(name, stream) as file:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True


# --- rows of a text ---


class Text(msgspec.Struct, frozen=True):
    """A text as a table with one of the delimiters."""

    file: str
    stream: Stream
    encoding: str
    delimiter: str
    name: str = ""

    def rows(self) -> Iterator[Row]:
        """Raises UsageError where the text breaks off being one."""
        start = 1
        with _bytes(self.file, self.stream) as file, _text(file, self.encoding) as text:
            reader = csv.reader(text, delimiter=self.delimiter)
            try:
                for cells in reader:
                    if cells:
                        yield Row(start, _cleaned(self.file, start, cells))
                    start = reader.line_num + 1
                    if start > ROWS_MAX:
                        raise UsageError(f"{self.file} has more than {ROWS_MAX:,} lines.", hint="Import it in parts.")
            except csv.Error as error:
                raise UsageError(
                    f"line {start} of {self.file} cannot be read: {error}.", hint="Is there a quote that is not closed?"
                ) from None
            except UnicodeError:
                raise UsageError(
                    f"{self.file} is not {self.encoding} from line {start} on.", hint="Name another: --encoding cp1252"
                ) from None


@contextmanager
def _text(file: Any, encoding: str) -> Iterator[IO[str]]:
    text = io.TextIOWrapper(file, encoding, newline="")
    try:
        yield cast("IO[str]", text)
    finally:
        text.detach()


def _cleaned(file: str, line: int, cells: list[str]) -> list[Cell]:
    if len(cells) > COLUMNS_MAX:
        raise UsageError(f"line {line} of {file} has {len(cells):,} cells, more than a statement has.")
    found: list[Cell] = []
    for cell in cells:
        if not cell.isascii() or "\0" in cell:
            cell = cell.translate(_GONE)
        if len(cell) > CELL_LINES_MAX and (breaks := cell.count("\n")) > CELL_LINES_MAX:
            raise UsageError(
                f"line {line} of {file}: a cell has {breaks:,} lines.",
                hint="A quote is not closed there; mend the file.",
            )
        found.append(cell.strip())
    return found
