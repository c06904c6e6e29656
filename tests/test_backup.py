"""A backup is one file for both databases; a damaged one never touches a ledger."""

import stat
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from tests.pretend import START, contract, earning
from tests.services import fresh_database
from tests.world import World
from tracker.backup import FILES_SIZE_MAX, MANIFEST, backup, restore
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


PROVIDER, SAMPLE, PROFILE = (
    "connectors.d/green-links.toml",
    "connectors.d/green-links/sales.json",
    "statements/club.toml",
)


def own_files(world: World) -> dict[str, bytes]:
    """Every file of the user in the data folder."""
    found = (file for name in ("connectors.d", "statements") for file in (world.folder / name).rglob("*"))
    return {file.relative_to(world.folder).as_posix(): file.read_bytes() for file in found if file.is_file()}


def put(world: World) -> dict[str, bytes]:
    kept = {PROVIDER: b"title = 'Green links'", SAMPLE: b"{}", PROFILE: b"title = 'Club'"}
    for name, content in {**kept, "statements/notes.txt": b"-", "connectors.d/.green.toml": b"-"}.items():
        (world.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (world.folder / name).write_bytes(content)
    return kept


def test_the_users_own_providers_and_profiles_go_along_and_come_back(
    worlds: Callable[[str], World], tmp_path: Path
) -> None:
    first, second, third = worlds("sqlite"), worlds("postgresql"), worlds("sqlite")
    kept = put(first)
    made = backup(first.engine, tmp_path / "b", first.now, data_dir=first.folder)
    assert made.files.keys() == kept.keys()
    assert restore(second.engine, tmp_path / "b", data_dir=second.folder) == made
    assert own_files(second) == kept
    (third.folder / "statements").mkdir()
    (third.folder / "statements" / "other.toml").write_bytes(b"mine")
    restore(third.engine, tmp_path / "b", data_dir=third.folder)
    assert own_files(third) == {**kept, "statements/other.toml": b"mine"}


def test_a_file_of_the_user_that_differs_is_replaced_only_by_force(
    worlds: Callable[[str], World], tmp_path: Path
) -> None:
    first, second = worlds("sqlite"), worlds("sqlite")
    kept = put(first)
    backup(first.engine, tmp_path / "b", first.now, data_dir=first.folder)
    put(second)
    (second.folder / PROFILE).write_bytes(b"newer")
    before = own_files(second)
    with pytest.raises(UsageError, match=r"club\.toml is there and another one"):
        restore(second.engine, tmp_path / "b", data_dir=second.folder)
    assert own_files(second) == before
    restore(second.engine, tmp_path / "b", data_dir=second.folder, force=True)
    assert own_files(second) == before | kept


def test_when_a_file_cannot_be_put_back_the_ledger_is_not_touched(
    worlds: Callable[[str], World], tmp_path: Path
) -> None:
    first, second = worlds("sqlite"), worlds("sqlite")
    put(first)
    fill(second)
    backup(first.engine, tmp_path / "b", first.now, data_dir=first.folder)
    before = everything(second)
    (second.folder / "statements").write_bytes(b"a file where the folder should be")
    with pytest.raises(ConfigError, match="the ledger was not touched"):
        restore(second.engine, tmp_path / "b", data_dir=second.folder, force=True)
    assert everything(second) == before


@pytest.mark.parametrize("name", ["../evil.toml", "connectors.d/../evil.toml", "statements/.x.toml", "tracker.key"])
def test_a_backup_writes_nothing_beside_the_folders_of_the_users_files(
    worlds: Callable[[str], World], tmp_path: Path, name: str
) -> None:
    first, second = worlds("sqlite"), worlds("sqlite")
    put(first)
    backup(first.engine, tmp_path / "b", first.now, data_dir=first.folder)
    with zipfile.ZipFile(tmp_path / "b") as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    members[f"files/{name}"] = members.pop(f"files/{PROFILE}")
    members[MANIFEST] = members[MANIFEST].replace(PROFILE.encode(), name.encode())
    with zipfile.ZipFile(tmp_path / "b", "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    with pytest.raises(TrackerError, match="a file in it has an impossible name"):
        restore(second.engine, tmp_path / "b", data_dir=second.folder)
    assert not (tmp_path / "evil.toml").exists()
    assert own_files(second) == {}


def test_a_backup_of_a_version_that_kept_no_files_is_restored(worlds: Callable[[str], World], tmp_path: Path) -> None:
    first, second = worlds("sqlite"), worlds("sqlite")
    fill(first)
    backup(first.engine, tmp_path / "b", first.now)
    with zipfile.ZipFile(tmp_path / "b") as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    manifest = msgspec.json.decode(members[MANIFEST])
    del manifest["files"]
    with zipfile.ZipFile(tmp_path / "b", "w") as archive:
        for member, content in {**members, MANIFEST: msgspec.json.encode(manifest)}.items():
            archive.writestr(member, content)
    restore(second.engine, tmp_path / "b", data_dir=second.folder)
    assert everything(second) == everything(first)


def test_what_is_far_too_much_for_files_of_the_user_is_no_part_of_a_backup(
    worlds: Callable[[str], World], tmp_path: Path
) -> None:
    world = worlds("sqlite")
    put(world)
    with (world.folder / SAMPLE).open("wb") as file:
        file.truncate(FILES_SIZE_MAX + 1)
    with pytest.raises(UsageError, match="Move what is no provider"):
        backup(world.engine, tmp_path / "b", world.now, data_dir=world.folder)
    assert not (tmp_path / "b").exists()


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
        elif how == "file lost":
            del members[f"files/{PROVIDER}"]
        elif how == "file changed":
            members[f"files/{PROVIDER}"] += b"x"
        elif how == "newer":
            members[MANIFEST] = members[MANIFEST].replace(b'"revision": "0', b'"revision": "9')
        elif how == "no manifest":
            del members[MANIFEST]
        with zipfile.ZipFile(path, "w") as archive:
            for name, member in members.items():
                archive.writestr(name, member)


@pytest.mark.parametrize(
    "how", ["cut", "text", "flipped", "row lost", "file lost", "file changed", "newer", "no manifest"]
)
def test_a_damaged_backup_leaves_the_ledger_alone(worlds: Callable[[str], World], tmp_path: Path, how: str) -> None:
    world = worlds("sqlite")
    fill(world)
    put(world)
    before = everything(world)
    backup(world.engine, tmp_path / "b", world.now, data_dir=world.folder)
    damaged(tmp_path / "b", how)
    with pytest.raises(TrackerError, match="newer version" if how == "newer" else "damaged or no backup"):
        restore(world.engine, tmp_path / "b", force=True)
    assert everything(world) == before


def test_a_missing_backup_is_said_so(worlds: Callable[[str], World], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        restore(worlds("sqlite").engine, tmp_path / "none")
