"""A backup is one file for both databases; a damaged one never touches a ledger."""

import stat
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.pretend import START, contract, earning
from tests.services import fresh_database
from tests.world import World
from tracker.backup import MANIFEST, backup, restore
from tracker.errors import ConfigError, TrackerError, UsageError


@pytest.fixture
def worlds(tmp_path: Path, postgres_server: str) -> Iterator[Callable[[str], World]]:
    """New ledgers on either database."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        count = 0

        def make(kind: str) -> World:
            nonlocal count
            count += 1
            url = f"sqlite:///{tmp_path}/{count}.db"
            if kind == "postgresql":
                url = stack.enter_context(fresh_database(postgres_server))
            return stack.enter_context(World(url, tmp_path / f"data{count}"))

        yield make


def fill(world: World) -> None:
    world.add("network")
    world.add("bank")
    for number in range(5):
        world.provider.put("/commissions", earning(f"c{number}", START - timedelta(days=number), product="Ünïcode 😀"))
    world.provider.put("/commissions", earning("c9", status="strange"))
    world.provider.put("/movements", earning("m1", kind="sale", status="approved", net="0.000001", payouts=["po"]))
    world.provider.put("/payouts", earning("po", status="paid"))
    world.provider.put("/contracts", contract("s1"))
    world.sync("network")
    world.sync("bank")


def everything(world: World) -> object:
    return world.dump(), world.ask("select id, connection_id, external_id, net from earning order by id")


def test_a_ledger_moves_from_sqlite_to_postgresql_and_back(worlds: Callable[[str], World], tmp_path: Path) -> None:
    first, second, third = worlds("sqlite"), worlds("postgresql"), worlds("sqlite")
    fill(first)
    one = backup(first.engine, tmp_path / "one", first.now)
    restore(second.engine, tmp_path / "one")
    assert everything(second) == everything(first)
    two = backup(second.engine, tmp_path / "two", first.now)
    restore(third.engine, tmp_path / "two")
    assert everything(third) == everything(first)
    assert one == two
    assert one.rows > 30
    for world in (second, third):
        with world.engine.begin() as conn:  # ids go on where they were
            conn.execute(
                text("insert into stream (slug, title, position, created_at) values ('x', 'x', 9, '2026-01-01')")
            )


def test_a_backup_is_private_and_replaces_no_file_by_itself(worlds: Callable[[str], World], tmp_path: Path) -> None:
    world = worlds("sqlite")
    to = tmp_path / "b"
    backup(world.engine, to, world.now)
    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="exists"):
        backup(world.engine, to, world.now)
    backup(world.engine, to, world.now, force=True)
    with pytest.raises(ConfigError, match="cannot be written"):
        backup(world.engine, tmp_path / "nowhere" / "b", world.now)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_is_of_one_moment(worlds: Callable[[str], World], tmp_path: Path, kind: str) -> None:
    from sqlalchemy import event

    world = worlds(kind)
    fill(world)
    before = everything(world)
    written = False

    def meanwhile(conn: object, cursor: object, statement: str, *rest: object) -> None:
        nonlocal written
        if "FROM raw_row" in statement and not written:
            written = True
            with world.engine.begin() as other:
                other.execute(text("update earning set net = 7"))

    event.listen(world.engine, "before_cursor_execute", meanwhile)
    backup(world.engine, tmp_path / "b", world.now)
    event.remove(world.engine, "before_cursor_execute", meanwhile)
    assert written
    assert everything(world) != before
    restore(world.engine, tmp_path / "b", force=True)
    assert everything(world) == before


def test_a_ledger_that_is_in_use_is_replaced_only_by_force(worlds: Callable[[str], World], tmp_path: Path) -> None:
    world, other = worlds("sqlite"), worlds("sqlite")
    fill(world)
    backup(world.engine, tmp_path / "b", world.now)
    other.add("shop")
    with pytest.raises(UsageError, match="not empty"):
        restore(other.engine, tmp_path / "b")
    restore(other.engine, tmp_path / "b", force=True)
    assert everything(other) == everything(world)


def damaged(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif how == "text":
        path.write_text("<html>")
    elif how == "flipped":
        middle = content.index(b"earning_change") - 200
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    else:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        if how == "row lost":
            members["stream"] = b""
        elif how == "newer":
            members[MANIFEST] = members[MANIFEST].replace(b'"revision": "0', b'"revision": "9')
        elif how == "no manifest":
            del members[MANIFEST]
        with zipfile.ZipFile(path, "w") as archive:
            for name, member in members.items():
                archive.writestr(name, member)


@pytest.mark.parametrize("how", ["cut", "text", "flipped", "row lost", "newer", "no manifest"])
def test_a_damaged_backup_leaves_the_ledger_alone(worlds: Callable[[str], World], tmp_path: Path, how: str) -> None:
    world = worlds("sqlite")
    fill(world)
    before = everything(world)
    backup(world.engine, tmp_path / "b", world.now)
    damaged(tmp_path / "b", how)
    with pytest.raises(TrackerError, match="newer version" if how == "newer" else "damaged or no backup"):
        restore(world.engine, tmp_path / "b", force=True)
    assert everything(world) == before


def test_a_missing_backup_is_said_so(worlds: Callable[[str], World], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        restore(worlds("sqlite").engine, tmp_path / "none")
