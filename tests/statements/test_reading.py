"""Files as they come: encodings, delimiters, packed, broken, hostile."""

import gzip
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from tests.statements.conftest import Write
from tracker.errors import UsageError
from tracker.statements import reading, workbook
from tracker.statements.reading import DELIMITERS, Cell, open_file

TABLE = [
    ["Datum", "Währung", "Text"],
    ["1.3.2026", "EUR", "Käse – 5 €"],
    ["2.3.2026", "EUR", "zwei\nZeilen; und, mehr\t|"],
]


def written(table: list[list[str]], delimiter: str = ",") -> str:
    quoted = [['"' + cell.replace('"', '""') + '"' for cell in row] for row in table]
    return "\r\n".join(delimiter.join(row) for row in quoted) + "\r\n"


def rows(path: Path, delimiter: str = ",", encoding: str | None = None) -> list[list[Cell]]:
    opened = open_file(path, encoding)
    table = next(table for table in opened.tables if getattr(table, "delimiter", delimiter) == delimiter)
    return [row.cells for row in table.rows()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "utf-32"])
@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_every_encoding_and_delimiter_reads_the_same(tmp_path: Path, encoding: str, delimiter: str) -> None:
    file = tmp_path / "statement.csv"
    file.write_bytes(written(TABLE, delimiter).encode(encoding))
    assert rows(file, delimiter) == TABLE


def test_one_letter_at_the_far_end_tells_the_encoding(tmp_path: Path) -> None:
    file = tmp_path / "statement.csv"
    file.write_bytes(b"Date,Text\n" + b"2026-03-01,plain\n" * 20_000 + "2026-03-02,Käse\n".encode("cp1252"))
    assert open_file(file).encoding == "cp1252"
    assert rows(file)[-1] == ["2026-03-02", "Käse"]


def test_what_no_common_encoding_reads_is_looked_at_closely_or_named(tmp_path: Path) -> None:
    file = tmp_path / "statement.csv"
    text = "Дата,Сума,Опис\n" + "2026-03-01,5.00,Оплата за послуги перекладу\n" * 30
    file.write_bytes(text.encode("cp866"))
    assert rows(file, encoding="cp866")[1] == ["2026-03-01", "5.00", "Оплата за послуги перекладу"]
    with pytest.raises(UsageError, match="'klingon' is none"):
        open_file(file, "klingon")


def test_a_file_that_is_not_what_it_is_said_to_be_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "statement.csv"
    file.write_bytes(b"Date,Text\n2026-03-01,plain\n2026-03-02,K\xe4se\n")
    with pytest.raises(UsageError, match=r"is not utf-8 from line \d+ on.*--encoding"):
        rows(file, encoding="utf-8")


def test_invisible_characters_are_no_part_of_a_cell(write: Write) -> None:
    assert rows(write("a.csv", "\u200bDate,\ufeffText \n2026-03-01,a\0b\u200b\n")) == [
        ["Date", "Text"],
        ["2026-03-01", "ab"],
    ]


def test_lines_are_counted_as_an_editor_counts(write: Write) -> None:
    opened = open_file(write("a.csv", 'Title\n\nDate,Text\n1,"two\nlines"\n2,x\n'))
    assert [row.line for row in opened.tables[0].rows()] == [1, 3, 4, 6]


def test_packed_files_are_read_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(written(TABLE).encode()))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/a.csv", written(TABLE).encode("utf-16"))
        archive.writestr("__MACOSX/._a.csv", b"\0")
    assert rows(tmp_path / "a.csv.gz") == rows(tmp_path / "a.zip") == TABLE


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \r\n\r\n", "is empty"),
        (b"%PDF-1.7 ...", "is a PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "old Excel file"),
        (bytes(range(256)) * 40, "it is no text"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "a web page"),
        (b'  {"error": "expired"}', "is JSON"),
        (b"PK\x03\x04 but no archive", "is damaged"),
        (gzip.compress(b"Date,Text\n" * 900, mtime=0)[:40], "is damaged"),
        (b'Date,Text\n1,"never closed\n' + b"2,lost\n" * 300, "a cell has 301 lines"),
        (b"a" + b",b" * 2_000, "2,001 cells"),
    ],
)
def test_what_is_no_statement_is_named(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "statement.csv"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=told):
        rows(file)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        open_file(tmp_path)
    with pytest.raises(UsageError, match=r"cannot read .*No such file"):
        open_file(tmp_path / "missing.csv")


def test_an_archive_of_several_statements_is_not_guessed_at(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.csv", "a,b\n")
        archive.writestr("b.csv", "a,b\n")
    with pytest.raises(UsageError, match=r"holds 2 files\. Unpack it"):
        open_file(file)


def test_a_small_file_does_not_unpack_into_a_huge_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "bomb.csv.gz"
    file.write_bytes(gzip.compress(b"Date,Text\n" + b"2026-03-01,xxxxxxxx\n" * 200_000, mtime=0))
    monkeypatch.setattr(reading, "FILE_MAX", 1_000_000)
    with pytest.raises(UsageError, match="unpacks into more than"):
        rows(file)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_line_without_an_end_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr(reading, "LINE_MAX", 3_000_000)
    file = tmp_path / "statement.csv.gz"
    lines = ("Date,Text\n" + "2026-03-01,xxxxxxxx\n" * 300_000).encode(encoding)
    file.write_bytes(gzip.compress(lines, mtime=0))
    assert len(rows(file)) == 300_001
    file.write_bytes(gzip.compress(lines + ("x" * 4_000_000).encode(encoding), mtime=0))
    with pytest.raises(UsageError, match="has a line of more than 3 MB"):
        rows(file)


def test_a_file_larger_than_any_statement_is_not_begun(tmp_path: Path) -> None:
    file = tmp_path / "huge.csv"
    with file.open("wb") as out:
        out.write(b"Date,Text\n")
        out.truncate(reading.FILE_MAX + 1)  # sparse: it takes no room
    with pytest.raises(UsageError, match="GB, more than a statement has"):
        open_file(file)


# --- workbooks ---


@pytest.fixture
def book(tmp_path: Path) -> Callable[..., Path]:
    def make(**sheets: list[list[Any]]) -> Path:
        made = Workbook()
        made.remove(made.active)
        for name, lines in sheets.items():
            sheet = made.create_sheet(name.replace("_", " "))
            for line in lines:
                sheet.append(line)
        made.save(tmp_path / "book.xlsx")
        return tmp_path / "book.xlsx"

    return make


def test_a_workbook_s_numbers_are_what_was_typed(book: Callable[..., Path]) -> None:
    opened = open_file(
        book(
            One=[
                ["a", "b", "c", "d"],
                [0.1 + 0.2, 37.52, 5, "=1+1"],
                [None, None, None, None],
                [-1e-7, True, 1.5e3, " x "],
            ]
        )
    )
    (table,) = opened.tables
    found = [(row.line, row.cells) for row in table.rows()]
    assert found[1] == (2, [Decimal("0.3"), Decimal("37.52"), 5, ""])  # nobody has calculated the formula
    assert found[2] == (4, [Decimal("-1E-7"), "true", 1500, "x"])


def test_a_workbook_that_would_fill_the_memory_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 40_000_000)
    with pytest.raises(UsageError, match=r"would unpack into 40 MB.*as CSV"):
        open_file(file)


def test_a_workbook_with_declarations_of_its_own_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", '<!DOCTYPE x [<!ENTITY a "aaaa">]><workbook>&a;</workbook>')
    with pytest.raises(UsageError, match="declarations that no workbook has"):
        open_file(file)


@pytest.mark.parametrize("content", [b"<workbook/>", b"<workbook", b""])
def test_a_damaged_workbook_is_said(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "book.xlsx"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", content)
    with pytest.raises(UsageError, match="is damaged or no workbook"):
        open_file(file)


def test_a_workbook_cut_off_is_said(book: Callable[..., Path]) -> None:
    file = book(One=[["a", "b"]] + [[number, "x" * 40] for number in range(500)])
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        part = archive.getinfo("xl/worksheets/sheet1.xml")
    (names,) = struct.unpack_from("<H", content, part.header_offset + 26)
    start = part.header_offset + 30 + names
    content[start : start + part.compress_size] = b"\xff" * part.compress_size
    file.write_bytes(bytes(content))
    with pytest.raises(UsageError, match="is damaged or no workbook"):
        [list(table.rows()) for table in open_file(file).tables]


def test_a_sheet_that_claims_all_rows_is_read_to_its_last_filled_one(
    book: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbook, "EMPTY_MAX", 50)
    (table,) = open_file(book(One=[["a", "b"], *[["", ""]] * 60, ["lost", "x"]])).tables
    assert [row.line for row in table.rows()] == [1]


# --- anything ---

CELLS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=8
).map(lambda text: text.strip() or "x")


@given(
    table=st.lists(st.lists(CELLS, min_size=2, max_size=5), min_size=1, max_size=6),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    delimiter=st.sampled_from(DELIMITERS),
)
def test_whatever_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], encoding: str, delimiter: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.csv"
    table = [["name", "value"], *table]
    file.write_bytes(written(table, delimiter).encode(encoding))
    assert rows(file, delimiter) == table


@given(content=st.binary(max_size=400))
def test_no_file_stumbles(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.bin"
    file.write_bytes(content)
    with suppress(UsageError):  # which says what the file is instead
        for table in open_file(file).tables:
            list(table.rows())
