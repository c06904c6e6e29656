"""Which profile a table belongs to, and what a whole file says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from tests.statements.conftest import Write
from tests.statements.told import told, understood
from tracker.connect.rows import decode
from tracker.errors import ConfigError, UsageError
from tracker.statements.profiles import shelf
from tracker.statements.profiles.profile import parse

FILES = Path(__file__).parent / "files"
BANK = "Date,Description,Amount,Currency\n"


def test_an_unknown_table_names_the_nearest_profile_and_what_it_lacks(write: Write) -> None:
    with pytest.raises(UsageError) as caught:
        understood(write("a.csv", "Type,Date,Purchase ID,Item Name,Sale Price ($)\nSale,2026-01-01,1,x,5\n"))
    assert "Its columns: Type, Date, Purchase ID, Item Name, Sale Price ($)." in str(caught.value)
    assert "gumroad-payouts, which also needs: Gumroad Fees ($), Net Total ($)." in str(caught.value)
    assert "--map" in str(caught.value)


@pytest.mark.parametrize("text", ["just some words\nand more words\n", "1,2,3\n4,5,6\n", "one\ntwo\n"])
def test_what_has_no_header_is_no_statement(write: Write, text: str) -> None:
    with pytest.raises(UsageError, match="is not a statement: no row looks like a header"):
        understood(write("a.csv", text))


@pytest.mark.parametrize(
    ("header", "told_"),
    [
        (
            "Category,Name,ASIN,Date,Qty,Price($),Link Type,Tag,Indirect Sales,Device Type Group",
            "orders have no earnings",
        ),
        ("Tracking ID,Clicks,Items Ordered,Items Shipped,Revenue($),Ad Fees($)", "sums of what the earnings report"),
        ("Date,Title,Author Name,eBook ASIN,Marketplace,KENP", "pages read are no money"),
        (
            "Order Number,Order Charged Date,Financial Status,Product Title,Currency of Sale,Charged Amount",
            "before Google's fee",
        ),
    ],
)
def test_a_table_that_would_count_money_wrongly_is_refused_with_the_reason(
    write: Write, header: str, told_: str
) -> None:
    with pytest.raises(UsageError, match=told_):
        understood(write("a.csv", header + "\n" + "x," * header.count(",") + "x\n"))


def test_a_header_stands_below_titles_and_again_in_the_middle(write: Write) -> None:
    text = f"My bank\nAccount,0001\n\n{BANK}2026-03-25,one,5.00,EUR\n{BANK}2026-03-26,two,6.00,EUR\n"
    statement = understood(write("a.csv", text))
    assert [decode(line.kept)["Text"] for line in statement.lines()] == ["one", "two"]
    assert statement.skipped == 1


def test_a_product_called_total_is_no_sum(write: Write) -> None:
    text = "Description,Date,Amount,Currency\nTotal,2026-03-25,5.00,EUR\nTotal,,5.00,\n"
    statement = understood(write("a.csv", text))
    assert [decode(line.kept)["Text"] for line in statement.lines()] == ["Total"]
    assert statement.skipped == 1


def test_dates_that_can_be_two_days_are_asked_about(write: Write) -> None:
    file = write("a.csv", BANK + "03/04/2026,one,5.00,EUR\n05/04/2026,two,5.00,EUR\n")
    with pytest.raises(UsageError, match=r"'0[35]/04/2026' in a.csv can be two days.*--dates DMY or --dates MDY"):
        understood(file)
    assert "2026-04-03" in told(understood(file, dates="DMY"))
    assert "2026-03-04" in told(understood(file, dates="MDY"))


def test_one_date_far_below_tells_the_order_of_all(write: Write) -> None:
    file = write("a.csv", BANK + "03/04/2026,one,5.00,EUR\n" * 500 + "04/25/2026,two,5.00,EUR\n")
    assert "2026-03-04" in told(understood(file))


def test_amounts_that_can_be_two_are_asked_about(write: Write) -> None:
    file = write("a.csv", BANK + '2026-03-04,one,"1.234",EUR\n2026-03-05,two,"5",EUR\n')
    with pytest.raises(UsageError, match=r"'1\.234' in a.csv can mean two amounts.*--decimal"):
        understood(file)
    assert '"amount":"1.234"' in told(understood(file, decimal="."))
    assert '"amount":"1234"' in told(understood(file, decimal=","))
    sure = write("b.csv", BANK + '2026-03-04,one,"1.234",EUR\n2026-03-05,two,"5,50",EUR\n')
    assert '"amount":"1234"' in told(understood(sure))


def test_a_dollar_sign_alone_is_no_currency() -> None:
    with pytest.raises(UsageError, match=r"the \$ in its header may be several currencies.*--currency USD"):
        understood(FILES / "amazon-us.csv")
    assert '"currency":"CAD"' in told(understood(FILES / "amazon-us.csv", currency="CAD"))


def test_rows_without_a_date_need_a_month(write: Write) -> None:
    text = "Content,Video title,Views,Estimated revenue (USD)\nTotal,,5,1.00\nabc,Hike,5,1.00\n"
    with pytest.raises(UsageError, match=r"have no date.*--month 2026-03"):
        understood(write("Table data.csv", text))
    assert "2026-02-28T12:00:00Z" in told(understood(write("Table data.csv", text), month="2026-02"))


def test_a_row_that_is_cut_off_is_not_believed(write: Write) -> None:
    found = told(understood(write("a.csv", BANK + "2026-03-25,one,1250.00,EUR\n2026-03-26,two,12")))
    assert "line 3: quarantine: row: the row has 3 cells, the header 4. Was the file cut off" in found


def test_the_second_of_two_rows_with_one_id_waits_and_a_copy_is_left_out(write: Write) -> None:
    header, first, *_ = (FILES / "wise.csv").read_text("utf-8").splitlines()
    other = first.replace("AWIN-77", "AWIN-78")
    found = told(understood(write("a.csv", "\n".join([header, first, first, other]))))
    assert found.count("BankLine") == 1
    assert "line 4: quarantine: the id came twice in one file, with different content" in found


# --- workbooks ---


def sheet(book: Workbook, name: str, *lines: list[Any]) -> None:
    made = book.create_sheet(name)
    for line in lines:
        made.append(line)


SALES = [
    "Royalty Date", "Title", "Author Name", "ASIN/ISBN", "Marketplace", "Royalty Type", "Transaction Type",
    "Units Sold", "Units Refunded", "Net Units Sold", "Avg. List Price without tax", "Avg. Offer Price without tax",
    "Royalty", "Currency",
]  # fmt: skip


@pytest.fixture
def kdp(tmp_path: Path) -> Callable[[bool], Path]:
    """A workbook of royalties, with or without the sheet that holds all formats."""

    def make(combined: bool) -> Path:
        book = Workbook()
        row = [
            "2026-03-04",
            "Trail",
            "Me",
            "B0ABCDEF01",
            "Amazon.de",
            "70%",
            "Standard",
            2,
            0,
            2,
            4.99,
            4.99,
            6.98,
            "EUR",
        ]
        paper = [
            "2026-03-05",
            "Trail",
            "Me",
            "9780000000001",
            "Amazon.com",
            "60%",
            "Standard",
            1,
            2,
            -1,
            9.99,
            9.99,
            -3.1,
            "USD",
        ]
        if combined:
            sheet(book, "Combined Sales", SALES, row, paper)
        sheet(book, "eBook Royalty", SALES, row)
        sheet(book, "Paperback Royalty", ["ISBN" if name == "ASIN/ISBN" else name for name in SALES], paper)
        sheet(
            book,
            "KENP Read",
            ["Date", "Title", "Author Name", "ASIN", "Marketplace", "KENP"],
            ["2026-03-04", "Trail", "Me", "B0", "Amazon.de", 900],
        )
        book.save(tmp_path / "kdp.xlsx")
        return tmp_path / "kdp.xlsx"

    return make


def test_a_workbook_s_sheets_are_read_together_but_not_beside_the_one_that_holds_all(
    kdp: Callable[[bool], Path],
) -> None:
    apart, whole = told(understood(kdp(False))), told(understood(kdp(True)))
    assert "XLSX eBook Royalty,Paperback Royalty" in apart
    assert "XLSX Combined Sales" in whole
    rows = [[line.partition(": ")[2] for line in text.splitlines() if "Earning" in line] for text in (apart, whole)]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 2
    assert '"kind":"royalty","status":"approved","net":"6.98","currency":"EUR"' in apart
    assert '"kind":"refund","status":"approved","net":"-3.1","currency":"USD"' in apart


def test_a_workbook_of_pages_read_alone_is_refused(tmp_path: Path) -> None:
    book = Workbook()
    sheet(
        book,
        "KENP Read",
        ["Date", "Title", "Author Name", "ASIN", "Marketplace", "KENP"],
        ["2026-03-04", "Trail", "Me", "B0", "Amazon.de", 900],
    )
    book.save(tmp_path / "kdp.xlsx")
    with pytest.raises(UsageError, match="pages read are no money"):
        understood(tmp_path / "kdp.xlsx")


# --- profiles ---

GOOD = (shelf._shipped() / "wise-statement.toml").read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("title =", "titel =", "titel"),
        ('kind = "bank"', 'kind = "bunk"', "bunk"),
        ('dates = ["DMY"]', 'dates = ["YDM"]', "dates: expected YMD, MDY, DMY"),
        ('id = ["TransferWise ID", "Currency", "Amount"]', "", "either id or fingerprint"),
        ('record = "bank_line"', 'record = "loot"', "loot"),
        ('booked_on = { day = "Date" }', "", "bank_line lacks booked_on"),
        ('booked_on = { day = "Date" }', 'booked_on = { dai = "Date" }', "bank_line.booked_on: expected one of text"),
        ('booked_on = { day = "Date" }', 'booked_on = { day = "Date", pattern = "x" }', "day knows no pattern"),
        ('drop = ["Payee Account Number"', 'drop = ["Payee No."', "has a dot in it"),
        ("[make.fields]", "[make.fields]\nwindfall = 1", "bank_line has no field windfall"),
        ('docs = "https', 'zone = "Middle/Earth"\ndocs = "https', "Middle/Earth"),
        ("[[header]]", "[[header", "is not TOML"),
    ],
)
def test_a_wrong_profile_is_refused_with_the_key(old: str, new: str, fault: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError, match="the profile mine ") as caught:
        parse("mine", GOOD.replace(old, new))
    assert fault in str(caught.value)
