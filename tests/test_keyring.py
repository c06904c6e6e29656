"""Keys change without a pause, and old ones go only when nothing needs them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.pretend import KEY
from tests.world import World
from tracker import keyring
from tracker.connections import secret_t
from tracker.errors import ConfigError


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        world.add("network")
        world.add("bank")
        with world.engine.begin() as conn:
            sealed = world.deps.vault.seal("bank", {"refresh_token": "t-1"})
            conn.execute(update(secret_t).where(secret_t.c.connection_id == 2).values(tokens=sealed))
        yield world


def opened(world: World) -> list[dict[str, str]]:
    rows = world.ask("select c.slug, s.credentials, s.tokens from connection_secret s join connection c on c.id = "
                     "s.connection_id order by c.id")  # fmt: skip
    texts = [(slug, text) for slug, *sealed in rows for text in sealed if text]
    return [world.deps.vault.unseal(slug, text) for slug, text in texts]


def test_everything_sealed_moves_to_the_new_key_and_the_old_one_can_go(world: World) -> None:
    assert keyring.rotate(world.deps) == 3
    assert keyring.retire(world.deps) == 1
    assert opened(world) == [{"key": KEY}, {"key": KEY}, {"refresh_token": "t-1"}]
    assert world.sync("network").outcome == "ok"


def test_an_old_key_that_is_needed_stays(world: World) -> None:
    world.deps.vault.rotate()
    with pytest.raises(ConfigError, match="3 sealed credentials still need an old key"):
        keyring.retire(world.deps)
    assert len(opened(world)) == 3
    assert keyring.reseal(world.deps) == 3
    assert keyring.retire(world.deps) == 1


def test_credentials_that_the_keys_do_not_open_are_named(world: World) -> None:
    with world.engine.begin() as conn:
        assert keyring.sealed_elsewhere(conn, world.deps.vault) == []
        conn.execute(update(secret_t).where(secret_t.c.connection_id == 1).values(credentials="gAAAA"))
        assert keyring.sealed_elsewhere(conn, world.deps.vault) == ["network"]
