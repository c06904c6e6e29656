"""The upkeep commands as a script uses them: exit codes, JSON, one line of error."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rows import Ledger

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `tracker …` on a ledger with three earnings; answers exit code, output and errors."""
    with Ledger(f"sqlite:///{tmp_path}/tracker.db", tmp_path) as ledger:
        ledger.connection("awin", provider="awin")
        for number in range(3):
            ledger.earning("awin", "10.00", "2026-06-03", program="p1", external_id=f"e{number}")

    def call(*arguments: str) -> tuple[int, str, str]:
        environ = {**os.environ, "TRACKER_DATA_DIR": str(tmp_path), "TRACKER_TIME_ZONE": "Europe/Berlin"}
        done = subprocess.run(
            [sys.executable, "-c", "from tracker.cli.main import run; run()", *arguments],
            env=environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return call


def test_a_rule_a_backup_and_a_restore_from_the_command_line(run: Run, tmp_path: Path) -> None:
    assert run("stream", "add", "Reviews")[0] == 0
    code, said, _ = run("rule", "add", "--stream", "Reviews", "--program", "p*", "--dry-run", "--json")
    assert (code, json.loads(said)["earnings"], json.loads(said)["rule"]) == (0, 3, None)
    assert json.loads(said)["streams"][1] == {"stream": "Reviews", "currency": "EUR", "earnings": 3, "net": "30.00"}
    code, said, _ = run("backup", str(tmp_path / "b"))
    assert (code, "keep a copy of" in said) == (0, True)
    code, _, error = run("restore", str(tmp_path / "b"))
    assert (code, error.count("\n")) == (64, 1)
    assert error.startswith("tracker: the ledger is not empty.")
    assert run("restore", str(tmp_path / "b"), "--force")[0] == 0


def test_the_quarantine_keys_and_rates_answer_scripts(run: Run) -> None:
    assert run("quarantine", "list", "--json")[:2] == (0, "[]\n")
    assert run("quarantine", "show", "9")[0] == 64
    assert run("quarantine", "retry")[0] == 0
    assert run("key", "rotate")[0] == run("key", "retire")[0] == 0
    code, said, _ = run("rates", "show", "usd", "EUR", "2024-01-02", "--json")
    assert (code, json.loads(said)["set_on"]) == (0, "2024-01-02")
    assert run("rates", "show", "EURO", "USD", "2024-01-02")[0] == 64
    assert run("rates", "set", "NGN", "2026-06-01", "nonsense")[0] == 64


def test_the_doctor_says_with_its_exit_code_that_something_needs_you(run: Run) -> None:
    code, said, _ = run("doctor", "--json")
    found = {finding["check"]: finding["state"] for finding in json.loads(said)["findings"]}
    assert (code, found["connections"], found["database"]) == (1, "problem", "ok")
