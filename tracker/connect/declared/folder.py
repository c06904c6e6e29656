"""The user's own providers: `<slug>.toml` in the folder connectors.d of the data folder, with samples in `<slug>/`."""

import re
from functools import lru_cache
from pathlib import Path

from tracker.connect.connector import Connector
from tracker.connect.declared.connector import declare
from tracker.errors import ConfigError

#: Inside the data folder.
NAME = "connectors.d"
#: A provider is a few pages; a larger file is something else.
FILE_MAX = 200_000
FILES_MAX = 500
_SLUG = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
#: The folder of this process, once its settings are read.
_own: list[Path] = []


def look_in(data_dir: Path) -> None:
    """Find the user's own providers in this data folder, and in no other."""
    _own[:] = [data_dir / NAME]


def forget() -> None:
    _own.clear()


def files() -> list[Path]:
    """All files there, in order, whether they can be used or not."""
    return [file for folder in _own if folder.is_dir() for file in sorted(folder.glob("*.toml"))[:FILES_MAX]]


def is_slug(name: str) -> bool:
    return len(name) <= 40 and bool(_SLUG.fullmatch(name))


def file_of(slug: str) -> Path | None:
    """The file of a provider, if there is one."""
    file = next((folder / f"{slug}.toml" for folder in _own), None) if is_slug(slug) else None
    return file if file and file.is_file() else None


def read(file: Path) -> Connector:
    """The provider in a file, as it is now: one that was changed is read again. Raises ConfigError."""
    try:
        now = file.stat()
    except OSError as error:
        raise ConfigError(f"{_shown(file)} cannot be read: {error.strerror}.") from None
    return _read(file, now.st_mtime_ns, now.st_size)


@lru_cache(maxsize=FILES_MAX)
def _read(file: Path, changed_ns: int, size: int) -> Connector:
    if size > FILE_MAX:
        raise ConfigError(f"{_shown(file)} is larger than {FILE_MAX // 1000} kB; that is no provider.")
    try:
        with file.open("rb") as opened:
            text = opened.read(FILE_MAX + 1).decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{_shown(file)} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{_shown(file)} is not text.", hint="Save it as UTF-8.") from None
    return declare(_shown(file), text)


def _shown(file: Path) -> str:
    return f"{NAME}/{file.name}"
