"""Backups in the data folder: made, listed, checked, and put in place of the ledger only when the tracker starts."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pretend import earning
from tests.world import World
from tracker import accounts, audit, backups
from tracker.errors import TrackerError, UsageError


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        world.provider.put("/commissions", earning("c1", net="10.00"))
        world.add("network")
        world.sync("network")
        yield world


def names(world: World) -> list[str]:
    return [one.name for one in backups.every(world.deps.settings)]


def test_a_backup_is_made_for_this_user_alone_listed_and_removed(world: World) -> None:
    assert names(world) == []
    made = backups.make(world.deps)
    assert made.name == f"tracker-{world.now:%Y-%m-%d-%H%M%S}.backup"
    path = backups.path_of(world.deps.settings, made.name)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert (made.size, names(world)) == (path.stat().st_size, [made.name])
    backups.remove(world.deps.settings, made.name)
    assert names(world) == []


@pytest.mark.parametrize(
    "name", ["../tracker.key", "/etc/passwd", "", ".", "..", "nothing.backup", "a\0b", "linked.backup"]
)
def test_nothing_but_a_file_of_the_folder_is_reached(world: World, name: str) -> None:
    backups.make(world.deps)
    os.symlink(world.folder / "tracker.key", backups.folder_of(world.deps.settings) / "linked.backup")
    assert len(names(world)) == 1
    for reach in (backups.path_of, backups.remove, backups.plan):
        with pytest.raises(UsageError, match="there is no backup"):
            reach(world.deps.settings, name)
    assert (world.folder / "tracker.key").exists()


def test_a_planned_restore_waits_for_the_next_start_and_keeps_what_was_there(world: World) -> None:
    kept = backups.make(world.deps)
    world.later(days=1)
    world.provider.put("/commissions", earning("c2", world.now, net="5.00"))
    world.sync("network")
    assert backups.restore_planned(world.deps) is None
    assert backups.plan(world.deps.settings, kept.name).rows > 0
    assert len(world.earnings()) == 2  # nothing is touched yet
    with pytest.raises(UsageError, match=r"is to be restored at the next start\. Take that back first"):
        backups.remove(world.deps.settings, kept.name)
    told = backups.restore_planned(world.deps)
    assert told
    assert told.startswith("Restored ")
    assert set(world.earnings()) == {"c1"}
    assert backups.planned(world.deps.settings) is None
    (event,) = audit.trail(world.engine, 1)
    assert (event.actor, event.action, event.subject) == ("tracker serve", "ledger restored", kept.name)
    before = next(name for name in names(world) if name.startswith("before-restore-"))
    world.later(minutes=1)
    backups.plan(world.deps.settings, before)
    backups.restore_planned(world.deps)
    assert set(world.earnings()) == {"c1", "c2"}


def test_a_plan_is_taken_back(world: World) -> None:
    backups.plan(world.deps.settings, backups.make(world.deps).name)
    backups.take_back(world.deps.settings)
    backups.take_back(world.deps.settings)
    assert backups.restore_planned(world.deps) is None


def test_a_planned_backup_that_was_lost_leaves_the_ledger_as_it_is(world: World) -> None:
    kept = backups.make(world.deps)
    backups.plan(world.deps.settings, kept.name)
    backups.path_of(world.deps.settings, kept.name).unlink()
    told = backups.restore_planned(world.deps)
    assert told
    assert "was not restored, and the ledger is as it was: there is no backup" in told
    assert set(world.earnings()) == {"c1"}
    assert backups.restore_planned(world.deps) is None


def test_an_upload_is_kept_only_when_it_is_whole(world: World) -> None:
    content = backups.path_of(world.deps.settings, backups.make(world.deps).name).read_bytes()
    world.later(seconds=5)
    kept = backups.take_in(world.deps, io.BytesIO(content))
    assert kept.name == f"uploaded-{world.now:%Y-%m-%d-%H%M%S}.backup"
    before = names(world)
    spoilt = bytearray(content)
    spoilt[len(spoilt) // 2] ^= 0xFF
    for wrong in (b"", b"PK", b"no backup at all", content[:-200], bytes(spoilt)):
        with pytest.raises(TrackerError, match="damaged or no backup"):
            backups.take_in(world.deps, io.BytesIO(wrong))
    assert names(world) == before
    assert not [one for one in os.listdir(backups.folder_of(world.deps.settings)) if one.startswith(".")]


def test_the_trail_is_read_backwards_page_by_page(world: World) -> None:
    accounts.add_owner(world.engine, "Eva", "a long password", world.now)
    for number in range(7):
        audit.record(world.engine, world.now, actor="Eva", action=f"step {number}", sender="203.0.113.5")
    newest = audit.trail(world.engine, 3)
    assert [row.action for row in newest] == ["step 6", "step 5", "step 4"]
    older = audit.trail(world.engine, 3, before=newest[-1].id)
    assert [row.action for row in older] == ["step 3", "step 2", "step 1"]
    assert [row.action for row in audit.trail(world.engine, 3, after=older[0].id)] == ["step 6", "step 5", "step 4"]
    assert audit.trail(world.engine, 3, before=1) == []
