"""The backups in the data folder, and the one that is put in place of the ledger when the tracker starts next.

A ledger is not replaced under a running process: syncs, pages and sessions all hold on to what is in it. So a backup is
checked whole and marked here, and `tracker serve` restores it before anything else runs, after a backup of what was
there.
"""

import os
import re
import secrets
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

from tracker import audit
from tracker.backup import Manifest, backup, open_archive, read_rows, restore
from tracker.connections import Deps
from tracker.errors import ConfigError, TrackerError, UsageError
from tracker.settings import Settings
from tracker.store.database import newest_version

FOLDER, PLAN = "backups", "restore-at-next-start"
#: Files that are listed, and backups made by pages that are kept at once.
LISTED_MAX, KEPT_MAX = 200, 50
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Kept(NamedTuple):
    """One file. `made_at` is when it was last written."""

    name: str
    size: int
    made_at: datetime


def folder_of(settings: Settings) -> Path:
    return settings.data_dir / FOLDER


def every(settings: Settings) -> list[Kept]:
    """What lies in the folder, newest first, also what the user put there."""
    found = []
    with suppress(FileNotFoundError), os.scandir(folder_of(settings)) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                found.append(Kept(entry.name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC)))
    return sorted(found, key=lambda one: (one.made_at, one.name), reverse=True)[:LISTED_MAX]


def path_of(settings: Settings, name: str) -> Path:
    """Raises UsageError for what is not in the list."""
    path = folder_of(settings) / name
    if not _NAME.fullmatch(name) or path.is_symlink() or not path.is_file():
        raise UsageError(f"there is no backup {name[:60]!r}.", hint="Look at the list again.")
    return path


def make(deps: Deps, kind: str = "tracker") -> Kept:
    """Write a backup of now into the folder. Raises UsageError when there are too many, ConfigError without space."""
    if len(every(deps.settings)) >= KEPT_MAX:
        raise UsageError(f"there are {KEPT_MAX} backups already.", hint="Remove some first.")
    name = f"{kind}-{deps.now():%Y-%m-%d-%H%M%S}.backup"
    backup(deps.engine, _made_folder(deps.settings) / name, deps.now(), data_dir=deps.settings.data_dir)
    return next(one for one in every(deps.settings) if one.name == name)


def _made_folder(settings: Settings) -> Path:
    folder = folder_of(settings)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}.", hint="Check the data folder.") from error
    return folder


def remove(settings: Settings, name: str) -> None:
    if planned(settings) == name:
        raise UsageError(f"{name} is to be restored at the next start.", hint="Take that back first.")
    path_of(settings, name).unlink(missing_ok=True)


def take_in(deps: Deps, upload: IO[bytes]) -> Kept:
    """Keep an uploaded backup. Raises TrackerError, and keeps nothing, for a file that is damaged or no backup."""
    name = f"uploaded-{deps.now():%Y-%m-%d-%H%M%S}.backup"
    draft = _made_folder(deps.settings) / f".{name}.{secrets.token_hex(6)}"
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(upload, file)
        check(draft)
        os.replace(draft, draft.with_name(name))
    except OSError as error:
        raise ConfigError(f"the backup cannot be kept: {error.strerror}.", hint="Free some space.") from error
    finally:
        draft.unlink(missing_ok=True)
    return next(one for one in every(deps.settings) if one.name == name)


def check(path: Path) -> Manifest:
    """Read a whole backup and hold it against its checksums. Raises TrackerError."""
    with open_archive(path) as (archive, manifest):
        if manifest.revision > newest_version():
            raise TrackerError(
                f"the backup was made by a newer version (schema {manifest.revision[:20]}).",
                hint="Update the tracker first.",
            )
        for name, part in manifest.tables.items():
            for _ in read_rows(archive, name, part):
                pass
    return manifest


# --- restoring ---


def plan(settings: Settings, name: str) -> Manifest:
    """Mark a backup, checked whole, to be restored when `tracker serve` starts next. Raises TrackerError."""
    manifest = check(path_of(settings, name))
    try:
        (settings.data_dir / PLAN).write_text(name, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the data folder cannot be written to: {error.strerror}.") from error
    return manifest


def planned(settings: Settings) -> str | None:
    """The name of the backup that is restored at the next start."""
    try:
        name = (settings.data_dir / PLAN).read_text(encoding="utf-8")[:200].strip()
    except (OSError, UnicodeDecodeError):
        return None
    return name if _NAME.fullmatch(name) else None


def take_back(settings: Settings) -> None:
    (settings.data_dir / PLAN).unlink(missing_ok=True)


def restore_planned(deps: Deps) -> str | None:
    """What became of a planned restore, in a sentence; None where none is planned. Call it before anything else runs.

    What was in the ledger is kept as a backup first. When anything fails, the ledger stays as it was.
    """
    name = planned(deps.settings)
    if name is None:
        return None
    try:
        before = make(deps, "before-restore")
        manifest = restore(deps.engine, path_of(deps.settings, name), data_dir=deps.settings.data_dir, force=True)
    except TrackerError as error:
        take_back(deps.settings)
        return f"{name} was not restored, and the ledger is as it was: {error}"
    take_back(deps.settings)
    audit.record(deps.engine, deps.now(), actor="tracker serve", action="ledger restored", subject=name)
    return (
        f"Restored {manifest.rows:,} rows of {name}, as of {manifest.made_at:%Y-%m-%d %H:%M} UTC. What was there "
        f"before is in {folder_of(deps.settings) / before.name}."
    )
