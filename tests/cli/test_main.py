"""The command `tracker` itself: fast to start, and every command it names can be had."""

import errno
import io
import os
import subprocess
import sys

import pytest

from tests.cli.conftest import Command, Process
from tracker.cli.main import COMMANDS, load, run


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_is_named_can_be_loaded(name: str) -> None:
    command = load(name)
    assert command.name == name
    assert command.help


def test_asking_for_the_version_opens_nothing_and_loads_no_database() -> None:
    heavy = "{'sqlalchemy', 'requests', 'babel', 'pydantic'}"
    code = f"import sys, tracker.cli.main; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_help_fits_eighty_columns_and_names_every_command(command: Command) -> None:
    code, said, _ = command("--help")
    assert code == 0
    for name, text in COMMANDS.items():
        assert f"  {name:11} {text}\n" in said
    assert max(map(len, said.splitlines())) <= 80


def test_no_command_at_all_is_wrong_usage_and_shows_the_help(command: Command) -> None:
    code, said, error = command()
    assert (code, said) == (64, "")
    assert error.startswith("Usage: tracker [OPTIONS] COMMAND")


def test_a_command_that_does_not_exist_is_one_line(command: Command) -> None:
    code, _, error = command("snyc")
    assert (code, error.count("\n")) == (64, 1)
    assert "No such command 'snyc'" in error


def test_an_output_that_cannot_be_written_is_one_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sys, "stdout", Full())
    code, _, error = command("connector", "list", "--json")
    assert (code, error) == (2, "tracker: No space left on device.\n")


def test_a_reader_that_has_seen_enough_ends_it_quietly(process: Process) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    for words in (("connector", "list"), ("connector", "list", "--json")):
        listing = process(*words, stdout=writing)
        _, error = listing.communicate(timeout=30)
        assert (words, listing.returncode, error) == (words, 0, "")
    os.close(writing)


def test_a_bug_is_one_line_that_quotes_nothing_until_it_is_asked_to(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise KeyError("a-secret")

    monkeypatch.setattr("tracker.connections.every", broken)
    code, _, error = command("connection", "list")
    assert (code, error.count("\n"), "a-secret" in error) == (2, 1, False)
    assert error.startswith("tracker: a fault of the tracker itself (KeyError in tests")
    monkeypatch.setenv("TRACKER_LOG_LEVEL", "DEBUG")
    monkeypatch.setattr("sys.argv", ["tracker", "connection", "list"])
    with pytest.raises(KeyError):
        run()
