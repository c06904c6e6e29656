"""`tracker demo`: from nothing to an income table, again without a change, and what moves when time does."""

import os
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.world import World

ROOT = Path(__file__).parents[2]
SETTINGS = {"TRACKER_BACKFILL_MONTHS": "1", "TRACKER_TIME_ZONE": "Europe/Berlin"}  # a short past, for speed


def started(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """`tracker demo` as a process in `folder`, with the program at the place that its text will name."""
    program = folder / "bin" / "tracker"
    if not program.exists():
        program.parent.mkdir()
        program.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
            "from tracker.cli.main import run\nrun()\n"
        )
        program.chmod(0o755)
    environ = {**os.environ, **SETTINGS, "TRACKER_DATA_DIR": "own folder"}
    return subprocess.Popen(
        ["/bin/sh", "-c", 'exec bin/tracker demo "$@"', "sh", *words], cwd=folder, env=environ, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def outcome(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    said, error = process.communicate(timeout=90)
    assert "Traceback" not in said + error
    return process.returncode, said, error


def test_the_demo_tells_an_income_its_hints_work_and_only_time_changes_it(tmp_path: Path) -> None:
    code, first, error = outcome(started(tmp_path))
    assert (code, error) == (0, "")
    for provider in ("awin", "cj", "stripe", "woocommerce", "ghost"):
        assert re.search(rf"^{provider}: ok, [\d,]+ rows: [1-9][\d,]* new", first, re.M)
    assert "Income of the last three months, recurring against one-off" in first
    assert re.search(r"^  recurring +[1-9]", first, re.M)

    hints = [line for line in first.partition("What next")[2].splitlines() if line.startswith("  ")]
    assert shlex.split(hints[0])[1] == f"TRACKER_DATA_DIR={tmp_path / 'own folder'}"
    script = "\n".join(["set -e", *hints[:2], hints[3].replace("--later 10", "--later 0"), hints[3]])
    done = subprocess.run(
        ["/bin/sh", "-c", script], cwd=tmp_path, env={**os.environ, **SETTINGS}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    asked, again, later = done.stdout.split("Sandbox:")
    assert "one-off" in asked
    assert "Nothing changed since the last time: every row was known." in again
    assert table(again) == table(first)
    assert re.search(r"[1-9]\d* changed", later)
    assert table(later) != table(first)

    clock = ask(tmp_path, "select value from setting where name = 'demo_clock'")
    code, _, error = outcome(started(tmp_path, "--later", "400"))
    assert (code, error.startswith("tracker: The sandbox has no history at ")) == (64, True)
    assert ask(tmp_path, "select value from setting where name = 'demo_clock'") == clock


def ask(folder: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "own folder" / "tracker.db")) as database:
        return database.execute(query).fetchall()


def table(said: str) -> str:
    return said.partition("Income of the last three months")[2].partition("All 24 months")[0]


def test_two_demos_at_once_leave_a_ledger_that_the_next_one_finds_whole(tmp_path: Path) -> None:
    both = [started(tmp_path), started(tmp_path)]
    assert {outcome(one)[0] for one in both} <= {0, 2, 64}
    code, said, error = outcome(started(tmp_path))
    assert (code, error, said.count(": ok, ")) == (0, "", 5)
    assert ask(tmp_path, "pragma integrity_check") == [("ok",)]
    assert ask(tmp_path, "select count(*) from connection where leased_by is not null") == [(0,)]
    assert ask(tmp_path, "select count(*) from sync_run where finished_at is null") == [(0,)]
    assert ask(tmp_path, "select count(*), count(distinct slug) from connection") == [(5, 5)]


def test_the_demo_stays_out_of_a_ledger_with_own_connections(command: Command, world: World) -> None:
    words = ("connection", "add", "pretend-network", "--slug", "mine", "--option", "base_url=https://network.example")
    assert command(*words, "--credential", "key=abcd")[0] == 0
    code, said, error = command("demo")
    assert (code, said, error.count("\n")) == (64, "", 1)
    assert error.startswith(
        "tracker: this ledger has connections of your own (mine). Give the demo a folder of its own"
    )


@pytest.mark.parametrize("days", ["-1", "many", "401"])
def test_a_number_of_days_that_is_none_is_refused(command: Command, days: str) -> None:
    code, _, error = command("demo", "--later", days)
    assert (code, error.count("\n"), "--later" in error) == (64, 1, True)


def test_a_network_can_be_played_as_well_and_stays(command: Command, tmp_path: Path) -> None:
    code, said, _ = command("demo", "--also", "skimlinks", "--also", "ebay-partner-network")
    assert (code, "skimlinks: ok, " in said, "ebay-partner-network: ok, " in said) == (0, True, True)
    code, said, _ = command("demo")
    assert (code, "skimlinks: ok, nothing new in" in said) == (0, True)
    code, _, error = command("demo", "--also", "pear")
    assert (code, error.startswith("tracker: the sandbox does not play pear. It plays impact, ")) == (64, True)
