"""The commands that report: what people see, what scripts read, and what is said when something is wrong."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.rows import Ledger, moment
from tracker import reports
from tracker.cli import asked
from tracker.cli.columns import Line, Written, laid_out
from tracker.cli.income import table
from tracker.cli.main import run
from tracker.cli.mrr import table as mrr_table
from tracker.errors import UsageError
from tracker.store.reads import Basis

GOLDEN = Path(__file__).parents[1] / "golden"
Tracker = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'tracker.db'}", tmp_path) as ledger:
        yield ledger


@pytest.fixture
def tracker(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tracker:
    """Runs the command line against the ledger: exit code, output, errors."""
    monkeypatch.setenv("TRACKER_DATA_DIR", str(ledger.settings.data_dir))
    monkeypatch.setenv("TRACKER_TIME_ZONE", ledger.settings.time_zone)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tracker", *words])
        with pytest.raises(SystemExit) as ended:
            run()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return call


@pytest.fixture
def year(ledger: Ledger) -> Ledger:
    """A few earnings of every kind in two months."""
    ledger.connection("awin")
    ledger.insert("program", [{"connection_id": 1, "external_id": "77", "title": "Mountain Gear", "recurring": False}])
    later = {"validated_at": moment("2026-05-20"), "settlement": "paid", "paid_at": moment("2026-06-05")}
    ledger.earning("awin", "1234.50", "2026-05-03", stream="Gear reviews", program="77", **later)
    ledger.earning("awin", "80.25", "2026-06-04", stream="Gear reviews", program="77", status="pending")
    ledger.earning("awin", "12.00", "2026-05-04", stream="Gear reviews", status="declined")
    ledger.earning("awin", "9.00", "2026-05-04", stream="Gear reviews", status="reversed")
    ledger.earning("shop", "40.00", "2026-05-09", stream="=Course", product="=SUM(A1)", recurrence="instalment")
    ledger.earning("shop", "-5.00", "2026-06-09", stream="=Course", kind="refund", country="NO")
    ledger.earning("shop", "25.00", "2026-06-09", stream="=Course", recurrence="recurring", recurrence_interval="month")
    ledger.earning("shop", "3.00", "2026-06-09", stream="=Course", estimated=True)
    ledger.earning("shop", "500.00", "2026-06-10", stream="=Course", currency="KES")
    ledger.earning("shop", "99.00", "2026-06-10", stream="=Course", paired=True)
    ledger.earning("shop", "700.00", "2026-06-10", stream="=Course", kind="payout")
    return ledger


def same_as_golden(name: str, text: str, accept: bool) -> None:
    file = GOLDEN / name
    if accept:
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text("utf-8")


# --- what people see ---


@pytest.mark.parametrize(("locale", "width"), [("en", 120), ("de", 60), ("nb", 40)])
def test_the_income_table_reads_well_in_every_language_and_width(
    year: Ledger, locale: str, width: int, accept: bool
) -> None:
    settings = year.settings.model_copy(update={"locale": locale})
    report = reports.income(year.engine, settings, first=202605, last=202606)
    lines = [line.cells[0] for line in table(report, settings, width)]
    same_as_golden(f"income-{locale}-{width}.txt", "\n".join(lines) + "\n", accept)
    footer = lines.index("", next(at for at, line in reversed(list(enumerate(lines))) if line.startswith("all months")))
    assert all(len(line) <= width for line in lines[:footer])


def test_the_mrr_table_explains_the_month(ledger: Ledger, accept: bool) -> None:
    ledger.subscription("stripe", "sub_1", "30.00", "2026-01-05")
    end = moment("2026-06-03")
    ledger.subscription("stripe", "sub_2", "12.00", "2026-01-05", status="canceled", ended_at=end)
    ledger.subscription("stripe", "sub_3", "120.00", "2026-06-02", interval="year")
    report = reports.recurring(ledger.engine, ledger.settings, moment("2026-06-15"))
    lines = [line.cells[0] for line in mrr_table(report, ledger.settings, None)]
    same_as_golden("mrr.txt", "\n".join(lines) + "\n", accept)


def test_columns_that_do_not_fit_follow_below_beside_the_first(ledger: Ledger) -> None:
    lines = laid_out(["what", "one", "two"], [Line(["a long name here", "1", "22"])], width=24)
    assert [line.cells[0] for line in lines] == ["what          one  two", "a long name…    1   22"]
    assert all(len(line.cells[0]) <= 24 for line in lines)
    narrow = [line.cells[0] for line in laid_out(["w", "one", "two"], [Line(["a", "1", "2"])], width=5)]
    assert narrow == ["w  one", "a    1", "", "w  two", "a    2"]


def test_amounts_are_written_as_the_locale_does() -> None:
    amount = Decimal("-1234.5")
    assert [Written(locale).amount(amount, "EUR") for locale in ("en", "de")] == ["-1,234.50", "-1.234,50"]
    assert Written("en").amount(Decimal("1234.5"), "JPY") == "1,234"
    assert (Written("en").amount(None, "EUR"), Written("en").amount(Decimal(0), "EUR")) == ("?", "–")


@pytest.mark.parametrize("command", ["income", "earnings", "payouts", "mrr"])
def test_an_empty_ledger_says_what_to_do_next(tracker: Tracker, command: str) -> None:
    code, out, _ = tracker(command)
    assert code == 0
    assert "tracker sync" in out


def test_a_long_list_of_earnings_is_cut_with_a_hint(ledger: Ledger, tracker: Tracker) -> None:
    for _ in range(51):
        ledger.earning("shop", "1.00", "2026-06-01")
    _, out, _ = tracker("earnings")
    assert out.count("2026-06-01") == 50
    assert "--json" in out


# --- what scripts read ---


def test_income_for_scripts_has_exactly_these_names_and_values(year: Ledger, tracker: Tracker) -> None:
    code, out, _ = tracker("income", "--from", "2026-05", "--to", "2026-06", "--json")
    told = json.loads(out)
    assert code == 0
    assert list(told) == ["currency", "basis", "time_zone", "from", "to", "as_of", "rows", "costs", "unconverted"]
    assert {name: told[name] for name in list(told)[:5]} == {
        "currency": "EUR", "basis": "earned", "time_zone": "Europe/Berlin", "from": "2026-05", "to": "2026-06",
    }  # fmt: skip
    assert told["as_of"] == {"awin": "2026-06-15T12:00:00Z", "shop": "2026-06-15T12:00:00Z"}
    assert told["unconverted"] == [{"currency": "KES", "net": "500.00", "earnings": 1}]
    nothing = dict.fromkeys(("instalment", "variable", "declined", "reversed"), "0.00")
    assert told["rows"][2] == {
        "month": "2026-06", "group": "=Course", "recurring": "25.00", "one_off": "-5.00", "total": "20.00",
        "pending": "0.00", "estimated": "3.00", "earnings": 2, **nothing,
    }  # fmt: skip
    assert list(told["rows"][0]) == [
        "month", "group", "recurring", "one_off", "instalment", "variable", "total", "pending", "declined", "reversed",
        "estimated", "earnings",
    ]  # fmt: skip


def test_costs_are_told_below_the_total_and_in_no_row(year: Ledger, tracker: Tracker) -> None:
    words = ("income", "--from", "2026-05", "--to", "2026-06")
    rows = json.loads(tracker(*words, "--json")[1])["rows"]
    csv_before = tracker(*words, "--csv")[1]
    year.earning("shop", "-9.50", "2026-05-04", kind="cost")
    year.earning("shop", "-1.00", "2026-06-04", kind="cost", settlement="paid")
    year.earning("shop", "-500", "2026-06-04", kind="cost", currency="KES")
    told = json.loads(tracker(*words, "--json")[1])
    assert told["rows"] == rows
    assert told["costs"] == [
        {"month": "2026-05", "currency": "EUR", "amount": "-9.50", "earnings": 1},
        {"month": "2026-06", "currency": "EUR", "amount": "-1.00", "earnings": 1},
        {"month": "2026-06", "currency": "KES", "amount": "-500.00", "earnings": 1},
    ]
    line = "Costs, in none of these figures: 10.50 EUR and 500.00 KES (3 commissions) for the affiliates of your own"
    assert line in tracker(*words)[1]
    _, out, said = tracker(*words, "--csv")
    assert (out, line in said) == (csv_before, True)
    year.earning("shop", "-7.00", "2024-01-04", kind="cost")
    assert "7.00 EUR (1 commission)" in tracker("income", "--from", "2024-01", "--to", "2024-01")[1]


def test_the_basis_and_the_groups_are_chosen_by_word(year: Ledger, tracker: Tracker) -> None:
    words = ("--from", "2026-06", "--to", "2026-06", "--basis", "paid", "--by", "program", "--json")
    told = json.loads(tracker("income", *words)[1])
    assert told["basis"] == "paid"
    assert [(row["group"], row["total"]) for row in told["rows"]] == [("Mountain Gear", "1234.50"), (None, "0.00")]


def test_earnings_for_scripts_are_one_object_a_line(year: Ledger, tracker: Tracker) -> None:
    _, out, _ = tracker("earnings", "--from", "2026-06-09", "--to", "2026-06", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["counted"] for row in rows] == [True, True, "estimated", True, "paired", "not_income"]
    assert list(rows[0]) == [
        "connection", "resource", "external_id", "kind", "status", "settlement", "net", "gross", "fee", "tax",
        "sale_amount", "currency", "reporting_net", "reporting_currency", "earned_at", "validated_at", "paid_at",
        "program", "product", "sub_id", "order_ref", "gateway_ref", "origin_ref", "subscription_ref", "payout_ref",
        "recurrence", "recurrence_reason", "recurrence_interval", "estimated", "counted", "stream", "provider_status",
    ]  # fmt: skip
    assert (rows[0]["net"], rows[0]["gross"], rows[0]["earned_at"]) == ("-5.00", None, "2026-06-09T12:00:00Z")
    assert (rows[3]["currency"], rows[3]["reporting_net"], rows[3]["reporting_currency"]) == ("KES", None, "EUR")


def test_a_spreadsheet_runs_no_formula_of_a_provider(year: Ledger, tracker: Tracker) -> None:
    _, out, err = tracker("earnings", "--connection", "shop", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (rows[0]["product"], rows[0]["stream"]) == ("'=SUM(A1)", "'=Course")
    assert (rows[1]["net"], rows[1]["gross"], rows[1]["estimated"]) == ("-5.00", "", "false")
    _, out, err = tracker("income", "--from", "2026-05", "--to", "2026-06", "--csv")
    assert next(csv.DictReader(io.StringIO(out)))["group"] == "'=Course"
    assert "KES" in err


def test_mrr_for_scripts_names_its_policy_and_says_null_for_unknown(ledger: Ledger, tracker: Tracker) -> None:
    ledger.subscription("stripe", "sub_1", "100.00", "2026-05-05", interval="year")
    _, out, _ = tracker("mrr", "--month", "2026-05", "--policy", "ghost", "--json")
    told = json.loads(out)
    assert (told["mrr"], told["arr"], told["customers"]) == ("8.33", "99.96", 1)
    assert (told["movements"]["new"], told["customers_moved"]["new"]) == ("8.33", 1)
    assert told["rates"]["gross_churn"] is None
    assert told["policy"]["name"] == "ghost"
    assert told["policy"]["rounding"] == "floor"
    assert told["until"] == "2026-05-31T22:00:00Z"


def test_payouts_for_scripts_are_a_list(ledger: Ledger, tracker: Tracker) -> None:
    row = {
        "connection_id": ledger.connection("stripe"), "resource": "payouts", "external_id": "po_1", "status": "paid",
        "amount": Decimal("90"), "currency": "EUR", "created_at": moment("2026-06-01"), "itemised": False,
        "estimated": False,
    }  # fmt: skip
    ledger.insert("payout", [row])
    (told,) = json.loads(tracker("payouts", "--from", "2026-06", "--to", "2026-06", "--json")[1])
    assert (told["external_id"], told["amount"], told["earnings"], told["difference"]) == ("po_1", "90.00", None, None)
    assert "po_1" not in tracker("payouts")[1]
    assert "90.00" in tracker("payouts")[1]


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["income", "--from", "2026-13"], "--from: not a month: '2026-13'. Write it as 2026-06."),
        (["income", "--from", "0000-01"], "--from: not a month"),
        (["income", "--from", "2026-06", "--to", "2026-05"], "--from is after --to."),
        (["income", "--by", "colour"], "--by: 'colour' is none of stream, connection, program"),
        (["income", "--basis", "sold"], "--basis: 'sold' is none of earned, approved, paid"),
        (["income", "--currency", "EURO"], "--currency: unknown currency 'EURO'"),
        (["income", "--json", "--csv"], "--json and --csv cannot both be had."),
        (["earnings", "--from", "2026-06-31"], "--from: not a day"),
        (["earnings", "--from", "0001-01-01"], "--from: not a day"),
        (["earnings", "--from", "2026-06-02", "--to", "2026-06-01"], "--from is after --to."),
        (["earnings", "--connection", "nobody"], "no connection is called 'nobody'"),
        (["mrr", "--month", "June"], "--month: not a month: 'June'."),
        (["mrr", "--month", "2999-01"], "2999-01 has not begun."),
        (["mrr", "--policy", "mine"], "no policy is called 'mine'"),
    ],
)
def test_a_wrong_question_is_answered_in_one_line(tracker: Tracker, words: list[str], said: str) -> None:
    code, out, err = tracker(*words)
    assert (code, out) == (64, "")
    assert err.startswith(f"tracker: {said}")
    assert err.count("\n") == 1


def test_without_a_span_the_last_twelve_months_are_told() -> None:
    assert asked.months(None, None, 202606) == (202507, 202606)
    assert asked.months("2026-02", None, 202606) == (202602, 202606)
    assert asked.months(None, "2025-12", 202606) == (202501, 202512)
    assert asked.months("2027-02", None, 202606) == (202702, 202702)


def test_a_month_stands_for_its_first_or_last_day() -> None:
    first, last = asked.days("2024-02", "2024-02")
    assert (str(first), str(last)) == ("2024-02-01", "2024-02-29")
    assert asked.days(None, None) == (None, None)


def test_a_choice_is_given_back_as_what_it_means() -> None:
    assert asked.choice("paid", Basis, "--basis") is Basis.PAID
    with pytest.raises(UsageError):
        asked.choice("PAID", Basis, "--basis")
