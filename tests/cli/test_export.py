"""`tracker export`: the same earnings as on the page, into a file or the next program."""

import csv
import io
import json
from pathlib import Path

import openpyxl
import pytest

from tests.cli.conftest import Command
from tests.world import World
from tracker.cli.ground import USAGE


@pytest.fixture
def synced(connected: World, command: Command) -> World:
    assert command("sync", "network")[0] == 0
    return connected


def test_every_format_comes_out_of_the_command(synced: World, command: Command, tmp_path: Path) -> None:
    code, told, _ = command("export", "csv", "--status", "pending", "--search", "c3")
    assert code == 0
    assert [row["external_id"] for row in csv.DictReader(io.StringIO(told))] == ["c3"]
    assert len(json.loads(command("export", "json", "--connection", "network")[1])["earnings"]) == 7
    for journal in ("beancount", "hledger"):
        assert "Left out earnings: 7 pending." in command("export", journal)[1]
    code, told, said = command("export", "xlsx", str(tmp_path / "a.xlsx"))
    assert (code, told) == (0, "")
    assert "Written: " in said
    assert openpyxl.load_workbook(tmp_path / "a.xlsx")["Earnings"].max_row == 8


def test_a_file_that_is_there_is_left_alone(synced: World, command: Command, tmp_path: Path) -> None:
    kept = tmp_path / "kept.csv"
    kept.write_text("mine")
    code, _, said = command("export", "csv", str(kept))
    assert code == USAGE
    assert "kept.csv is there already" in said
    assert kept.read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("pdf",), "FORMAT: 'pdf' is none of csv, xlsx, json, beancount, hledger"),
        (("csv", "--month", "June"), "month: not a month: 'June'"),
        (("csv", "--stream", "nothing"), "no stream is called 'nothing'"),
        (("csv", "--from", "2026-02-01", "--to", "2026-01-01"), "from is after to"),
    ],
)
def test_what_cannot_be_exported_is_said_and_writes_nothing(
    synced: World, command: Command, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    form, *rest = words
    code, _, said = command("export", form, str(tmp_path / "out"), *rest)
    assert code == USAGE
    assert told in said
    assert not (tmp_path / "out").exists()
