"""Exports for spreadsheets and programs: nothing is run, rounded or lost."""

import csv
import io
import json
import re
from datetime import datetime
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exports.conftest import MADE, NASTY, Exported
from tests.rows import Ledger
from tracker.errors import UsageError
from tracker.exports import csv_file, formats, xlsx
from tracker.exports.about import FORMULAS, About
from tracker.exports.formats import Form
from tracker.filters import Filter
from tracker.search import COLUMNS, every


def lines(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))


def sheets(data: bytes) -> Any:
    return openpyxl.load_workbook(io.BytesIO(data))


def about(ledger: Ledger) -> About:
    zone = ledger.settings.zone
    return About(wanted=Filter(), made_at=MADE, zone=zone, currency="EUR", as_of={"awin": None}, payouts=None)


def test_csv_holds_every_earning_and_runs_nothing(ledger: Ledger, exported: Exported) -> None:
    found = lines(exported(Form.CSV))
    assert list(found[0]) == list(COLUMNS)
    assert len(found) == len(NASTY) + 7
    products = {row["product"] for row in found}
    assert {f"'{text}".replace("\t=", "\t'=") for text in NASTY[:-1]} | {NASTY[-1]} <= products
    assert not [text for row in found for text in row.values() if text.startswith(("=", "@", "+", "\t"))]


def test_csv_keeps_the_sign_of_amounts(exported: Exported) -> None:
    assert [row["net"] for row in lines(exported(Form.CSV, kind="refund"))] == ["-3.50"]
    stripe = lines(exported(Form.CSV, connection="stripe", status="approved"))
    assert [row["net"] for row in stripe] == ["1234.567891", "0.00", "500.00", "5000.00"]
    assert stripe[0]["earned_at"] == "2026-05-31T23:30:00Z"


@pytest.mark.parametrize("text", ["x;=1+1;y", "x; =1+1", 'x;"=1+1"', "x\t@SUM(1)", "x\n+1", "x\r\n=1"])
def test_a_spreadsheet_that_splits_at_other_signs_runs_nothing_either(text: str) -> None:
    row = dict.fromkeys(COLUMNS) | {"product": text, "currency": "EUR"}
    body = "".join(csv_file.write([row], about=None))  # type: ignore[arg-type] # CSV says nothing about itself
    formula = re.compile(r'[;\t\r\n][\s"]*[=+@-]')
    assert formula.search(text)
    assert not formula.search(body)


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_a_text_that_begins_like_a_formula_is_quoted(ledger: Ledger, sign: str) -> None:
    row = next(every(ledger.engine, ledger.settings, Filter())) | {"product": f"{sign}1+1"}
    body = "".join(csv_file.write([row], about(ledger)))
    assert next(csv.DictReader(io.StringIO(body, newline="")))["product"].startswith(f"'{sign}")
    cell = sheets(b"".join(xlsx.write([row], about(ledger))))["Earnings"].cell(2, COLUMNS.index("product") + 1)
    assert (cell.data_type, cell.quotePrefix) == ("s", True)


@given(st.text(max_size=20))
def test_no_text_is_left_that_begins_a_formula(text: str) -> None:
    row = dict.fromkeys(COLUMNS) | {"product": text, "net": Decimal("-1.5"), "currency": "EUR"}
    body = "".join(csv_file.write([row], about=None))  # type: ignore[arg-type] # CSV says nothing about itself
    told = next(csv.DictReader(io.StringIO(body, newline="")))
    assert not told["product"].startswith(FORMULAS)
    assert told["product"].replace("'", "") == text.replace("'", "")
    assert told["net"] == "-1.50"


def test_json_is_one_document_with_exact_amounts(ledger: Ledger, exported: Exported) -> None:
    found = json.loads(exported(Form.JSON, month="2026-06"))
    assert found["filter"] == {"month": "2026-06"}
    assert found["time_zone"] == "Europe/Berlin"
    assert set(found["as_of"]) == {"awin", "stripe"}
    # 23:30 UTC of the last of May is June in Berlin.
    assert [row["net"] for row in found["earnings"]] == ["1234.567891", "0.00", "500.00", "5000.00"]
    assert [row["counted"] for row in found["earnings"]] == [True, True, True, "not_income"]
    assert json.loads(exported(Form.JSON, month="2020-01"))["earnings"] == []


def test_a_workbook_has_numbers_times_and_texts_that_stay_texts(exported: Exported) -> None:
    book = sheets(exported(Form.XLSX))
    sheet = book["Earnings"]
    header = [cell.value for cell in sheet[1]]
    assert header == list(COLUMNS)
    rows = [dict(zip(header, row, strict=True)) for row in sheet.iter_rows(min_row=2)]
    assert len(rows) == len(NASTY) + 7
    for row in rows:
        text = row["product"].value
        if text and text.startswith(FORMULAS):
            assert row["product"].data_type == "s"
            assert row["product"].quotePrefix
    refund = next(row for row in rows if row["kind"].value == "refund")
    assert (refund["net"].value, refund["net"].data_type) == (-3.5, "n")
    exact = next(row for row in rows if row["gross"].value == 1240)
    assert exact["net"].value == 1234.567891
    assert exact["net"].number_format == "#,##0.000000"
    assert exact["earned_at"].value == datetime(2026, 6, 1, 1, 30)  # noqa: DTZ001 - a sheet knows no zones
    told = {row[0].value: row[1].value for row in book["About"].iter_rows()}
    assert told["Filter"] == "everything"
    assert told["Time zone of all times"] == "Europe/Berlin"


def test_what_is_unknown_is_an_empty_cell_and_yen_have_no_decimals(exported: Exported) -> None:
    sheet = sheets(exported(Form.XLSX, currency="JPY"))["Earnings"]
    row = dict(zip((cell.value for cell in sheet[1]), sheet[2], strict=True))
    assert (row["net"].value, row["net"].number_format) == (500, "#,##0")
    assert [row[name].value for name in ("gross", "program", "paid_at")] == [None] * 3


def test_a_workbook_of_nothing_still_names_its_columns(exported: Exported) -> None:
    book = sheets(exported(Form.XLSX, month="2020-01"))
    assert book.sheetnames == ["Earnings", "About"]
    assert [[cell.value for cell in row] for row in book["Earnings"].iter_rows()] == [list(COLUMNS)]


def test_an_amount_that_a_sheet_would_round_is_text(ledger: Ledger) -> None:
    row = next(every(ledger.engine, ledger.settings, Filter())) | {"net": Decimal("8999999999999.123456")}
    book = sheets(b"".join(xlsx.write([row], about(ledger))))
    assert book["Earnings"].cell(2, COLUMNS.index("net") + 1).value == "8999999999999.123456"


def test_more_rows_than_a_sheet_holds_go_on_in_another(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "SHEET_MAX", 5)
    rows = list(every(ledger.engine, ledger.settings, Filter()))
    book = sheets(b"".join(xlsx.write(rows, about(ledger))))
    assert book.sheetnames == ["Earnings", "Earnings 2", "Earnings 3", "Earnings 4", "About"]
    ids = [sheet.cell(at, 1).value for sheet in book.worksheets[:4] for at in range(2, sheet.max_row + 1)]
    assert ids == [row["id"] for row in rows]


def test_an_export_comes_in_pieces(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "PIECE", 1_000)
    pieces = list(formats.export(ledger.engine, ledger.settings, Filter(), Form.CSV, MADE))
    assert len(pieces) > 2
    assert len(lines(b"".join(pieces))) == len(NASTY) + 7


@pytest.mark.parametrize("form", Form)
def test_every_format_says_before_it_begins_what_cannot_be_asked_for(ledger: Ledger, form: Form) -> None:
    with pytest.raises(UsageError, match="no stream is called"):
        formats.export(ledger.engine, ledger.settings, Filter(stream="nothing"), form, MADE)
    empty = b"".join(formats.export(ledger.engine, ledger.settings, Filter(month=202001), form, MADE))
    assert empty
