"""`tracker demo`: from nothing to an income table, again without a change, and what moves when time does."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.world import World

ROOT = Path(__file__).parents[2]
SETTINGS = {"TRACKER_BACKFILL_MONTHS": "1", "TRACKER_TIME_ZONE": "Europe/Berlin"}  # a short past, for speed


def started(folder: Path, *words: str, **more: str) -> "subprocess.Popen[str]":
    """`tracker demo` as a process in `folder`, with the program at the place that its text will name."""
    program = folder / "bin" / "tracker"
    if not program.exists():
        program.parent.mkdir()
        program.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
            "from tracker.cli.main import run\nrun()\n"
        )
        program.chmod(0o755)
    environ = {**os.environ, **SETTINGS, "TRACKER_DATA_DIR": "own folder", **more}
    return subprocess.Popen(
        ["bin/tracker", "demo", *words], cwd=folder, env=environ, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, executable=program,
    )  # fmt: skip


def outcome(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    said, error = process.communicate(timeout=90)
    assert "Traceback" not in said + error
    return process.returncode, said, error


def test_the_demo_tells_an_income_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    code, said, error = outcome(started(tmp_path))
    assert (code, error) == (0, "")
    for provider in ("awin", "cj", "stripe", "woocommerce", "ghost"):
        assert re.search(rf"^{provider}: ok, [\d,]+ rows: [1-9][\d,]* new", said, re.M)
    assert "Income of the last three months, recurring against one-off" in said
    assert re.search(r"^  recurring +[1-9]", said, re.M)
    again = outcome(started(tmp_path))[1]
    assert "Nothing changed since the last time: every row was known." in again
    assert table(again) == table(said)
    later = outcome(started(tmp_path, "--later", "10"))[1]
    assert re.search(r"[1-9]\d* changed", later)
    assert table(later) != table(said)
    code, said, error = outcome(started(tmp_path, "--later", "400"))
    assert (code, error.startswith("tracker: The sandbox has no history at ")) == (64, True)
    commands = [line for line in later.partition("What next")[2].splitlines() if line.startswith("  ")]
    assert len(commands) == 7
    jump = commands[3].replace("--later 10", "--later 0")  # that a jump too far was refused is forgotten
    script = "\n".join(["set -e", *commands[:2], jump])
    environ = {**os.environ, **SETTINGS}
    done = subprocess.run(
        ["/bin/sh", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "one-off" in done.stdout.partition("Sandbox:")[0]
    assert "Nothing changed since the last time" in done.stdout
    assert shlex.split(commands[0])[1] == f"TRACKER_DATA_DIR={tmp_path / 'own folder'}"


def table(said: str) -> str:
    return said.partition("Income of the last three months")[2].partition("All 24 months")[0]


def test_two_demos_at_once_leave_a_ledger_that_the_next_one_finds_whole(tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    both, alone = [started(tmp_path), started(tmp_path)], started(fresh)
    assert {outcome(one)[0] for one in both} <= {0, 2, 64}
    code, said, error = outcome(started(tmp_path))
    assert (code, error) == (0, "")
    assert table(outcome(alone)[1]) == table(said)


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
