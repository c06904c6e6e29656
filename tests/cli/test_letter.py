"""`tracker letter`: the same month as text, HTML, mail and figures, and the demo's outbox."""

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from email import message_from_bytes, policy
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.letter_story import lose, payout
from tests.rows import Ledger
from tracker.cli import ground
from tracker.cli.demo import write_letter
from tracker.cli.main import run
from tracker.months import following, label, month_of, start_of

Tracker = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Income in this month, the two before it and a year earlier; the commands have the real clock."""
    with Ledger(f"sqlite:///{tmp_path / 'tracker.db'}", tmp_path) as ledger:
        for month, net in ((0, "7.00"), (-1, "120.00"), (-2, "100.00"), (-13, "80.00")):
            ledger.earning("shop", net, day(month), recurrence="recurring")
        ledger.earning("awin", "30.00", day(-1), stream="Blog")
        ledger.subscription("shop", "sub_1", "10.00", day(-3))
        payout(ledger, "shop", "p1", "90.00", day(-1))
        yield ledger


@pytest.fixture
def tracker(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Tracker:
    """Runs the command line against the ledger: exit code, output, errors."""
    monkeypatch.setenv("TRACKER_DATA_DIR", str(ledger.settings.data_dir))
    monkeypatch.setenv("TRACKER_TIME_ZONE", ledger.settings.time_zone)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tracker", *words])
        with pytest.raises(SystemExit) as ended:
            run()
        told = capsysbinary.readouterr()
        return int(ended.value.code or 0), told.out.decode(), told.err.decode()

    return call


def month(by: int) -> str:
    """The month so many after this one, such as "2026-06"."""
    return label(following(month_of(datetime.now(UTC), ZoneInfo("Europe/Berlin")), by))


def day(by: int) -> str:
    return f"{month(by)}-01"


def test_the_newest_full_month_is_told_as_text(tracker: Tracker) -> None:
    code, text, error = tracker("letter")
    assert (code, error) == (0, "")
    assert tracker("letter", month(-1)) == (code, text, error)
    assert "You earned €150.00 in" in text
    assert "€50.00 more than in" in " ".join(text.split())


def test_a_month_that_runs_is_told_so_far(tracker: Tracker) -> None:
    code, text, _ = tracker("letter", month(0))
    assert (code, " so far\n" in text, "You have earned €7.00 in" in text) == (0, True, True)


def test_the_figures_of_the_letter_are_those_of_the_income_report(tracker: Tracker) -> None:
    code, said, error = tracker("letter", "--format", "json")
    told = json.loads(said)
    assert (code, error, told["month"], told["over"], told["currency"]) == (0, "", month(-1), True, "EUR")
    rows = json.loads(tracker("income", "--from", month(-1), "--to", month(-1), "--json")[1])["rows"]
    assert [{"group": line["stream"], "total": line["total"]["amount"]} for line in told["streams"]] == [
        {"group": row["group"], "total": row["total"]} for row in sorted(rows, key=lambda row: -Decimal(row["total"]))
    ]
    total = told["total"]["total"]
    assert total["last_month"] == {"before": "100.00", "amount": "50.00", "share": "0.50"}
    assert total["last_year"] == {"before": "80.00", "amount": "70.00", "share": "0.875"}
    assert told["streams"][1]["total"]["last_year"] == {"before": None, "amount": None, "share": None}
    assert (told["last_year"]["month"], told["last_year"]["missing"]) == (month(-13), ["Blog"])
    assert told["mrr"] == json.loads(tracker("mrr", "--month", month(-1), "--json")[1])
    assert [(one["title"], one["amount"], one["currency"]) for one in told["received"]] == [("Shop", "90.00", "EUR")]


def test_the_mail_and_the_page_carry_the_same_letter(tracker: Tracker) -> None:
    text = tracker("letter", "--format", "text")[1]
    html = tracker("letter", "--format", "html")[1]
    mail = message_from_bytes(tracker("letter", "--format", "eml")[1].encode(), policy=policy.default)
    plain, rich = mail.iter_parts()
    assert plain.get_content().splitlines() == text.splitlines()
    assert rich.get_content().splitlines() == html.splitlines()
    assert html.startswith("<!DOCTYPE html>")
    assert mail["Subject"] == text.splitlines()[0]
    assert mail["To"] == "nobody@example.invalid"


def test_losses_are_told_since_the_letter_before(ledger: Ledger, tracker: Tracker) -> None:
    zone = ledger.settings.zone
    for net, when in (("5.00", -3), ("6.00", -1)):
        lost = start_of(int(month(when).replace("-", "")), zone)
        lose(ledger, "awin", net, day(-4), "declined", lost, stream="Blog")
    alone = json.loads(tracker("letter", "--format", "json")[1])["losses"]
    assert (alone["declined"]["amount"], alone["since_letter"]) == ("6.00", False)
    sent = start_of(int(month(-3).replace("-", "")), zone)
    row = {"kind": "letter", "period": month(-2), "recipient": "me@example.com", "message_id": "<x@y>", "tries": 1}
    ledger.insert("delivery", [{**row, "created_at": sent, "sent_at": sent}])
    since = json.loads(tracker("letter", "--format", "json")[1])["losses"]
    assert (since["declined"]["amount"], since["since_letter"]) == ("11.00", True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("2026-13",), "MONTH: not a month: '2026-13'. Write it as 2026-06."),
        (("2900-01",), "2900-01 has not begun. Choose a month up to"),
        (("--format", "pdf"), "--format: 'pdf' is none of text, html, json, eml."),
    ],
)
def test_a_wrong_question_gets_one_line(tracker: Tracker, words: tuple[str, ...], told: str) -> None:
    code, said, error = tracker("letter", *words)
    assert (code, said, error.count("\n")) == (64, "", 1)
    assert told in error


def test_the_demo_puts_the_letter_into_its_outbox_and_says_where(
    tracker: Tracker, ledger: Ledger, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    page = tracker("letter", "--format", "html")[1]
    with ground.opened:
        write_letter(ground.open_ledger())
    said = capsysbinary.readouterr().out.decode()
    paths = [Path(line.strip()) for line in said.splitlines() if line.startswith("  ")]
    assert [path.name for path in paths] == [f"letter-{month(-1)}.{kind}" for kind in ("html", "txt", "eml")]
    assert {path.parent for path in paths} == {ledger.settings.data_dir / "outbox"}
    assert paths[0].read_text("utf-8") == page
    assert message_from_bytes(paths[2].read_bytes(), policy=policy.default)["Subject"].startswith("Your income in")
