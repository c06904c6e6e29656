"""A ledger to import into, and files to import."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.statements.told import understood
from tests.world import World
from tracker.statements.importing import Report, find_connection, import_statement, make_connection
from tracker.statements.profiles import shelf

Write = Callable[[str, str], Path]


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        world.later(days=180)  # every invented statement lies in the past then
        yield world


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file and answers its path."""

    def put(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_bytes(text.encode())
        return file

    return put


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """The folder of the user's own profiles."""
    shelf.look_in(tmp_path / "statements")
    yield tmp_path / "statements"
    shelf.look_in(tmp_path / "nowhere")


def take(world: World, path: Path, slug: str | None = None, **asked: Any) -> Report:
    """Import a file as `tracker import --yes` does."""
    statement = understood(path, **asked)
    row = find_connection(world.deps, statement.profile, slug)
    row = row or make_connection(world.deps, statement.profile, slug)
    return import_statement(world.deps, row, statement, lambda report: None)
