"""The command `tracker` itself: fast to start, and every command it names can be had."""

import subprocess
import sys

import pytest

from tracker.cli.main import COMMANDS, load


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
