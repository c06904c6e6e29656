"""One connection, start to finish: what a run writes, what a second one leaves alone, what bad input does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pretend import KEY, World, earning


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        yield world


def test_x(world: World) -> None:
    world.add("network")
    for n in range(10):
        world.provider.put("/commissions", earning(f"c{n}"))
    print(world.sync("network"))
    print(world.sync("network"))
    assert len(world.earnings()) == 10
