"""Where profiles are: those that come with the tracker, and the user's own in the data folder."""

import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from tracker.errors import ConfigError, UsageError
from tracker.statements.profiles.profile import Profile, parse

#: A profile is a page or two; a larger file is something else.
FILE_MAX = 200_000
_SOURCES = Path(__file__).parents[3] / "config" / "statements"
#: Where a wheel puts what stands in config/: see pyproject.toml.
_INSTALLED = Path("share", "income-tracker", "statements")
#: The data folder of this process, as the ledger was opened.
_own: list[Path] = []


def look_in(folder: Path) -> None:
    """Find the user's own profiles in this folder, too, and in no other."""
    if _own != [folder]:
        _own[:] = [folder]
        find.cache_clear()


def slugs() -> tuple[str, ...]:
    """All profiles there are, in order."""
    return tuple(sorted({file.stem for folder in _folders() for file in folder.glob("*.toml")}))


def every() -> list[Profile]:
    """All profiles that can be used. Raises ConfigError for one that cannot."""
    return [find(slug) for slug in slugs()]


@lru_cache(maxsize=256)
def find(slug: str) -> Profile:
    """A profile by its slug; the user's own first. Raises UsageError where there is none, ConfigError for a bad one."""
    file = next((folder / f"{slug}.toml" for folder in _folders() if slug in _names(folder)), None)
    if file is None:
        raise UsageError(f"no profile is called {slug[:40]!r}.", hint=f"There are: {', '.join(slugs())}.")
    return parse(slug, _text(file))


def own_slugs() -> set[str]:
    """The user's own profiles."""
    return {slug for folder in _own for slug in _names(folder)}


def forget() -> None:
    """Read profiles again that were read before."""
    find.cache_clear()


def own_folder() -> Path:
    """Where the user's own profiles are kept. Raises ConfigError before the ledger is opened."""
    if not _own:
        raise ConfigError("there is no data folder yet.")
    return _own[0]


def _folders() -> Iterator[Path]:
    for folder in (*_own, _shipped()):
        if folder.is_dir():
            yield folder


@lru_cache(maxsize=1)
def _shipped() -> Path:
    """In a checkout beside the sources, else where the package was installed to."""
    if _SOURCES.is_dir():
        return _SOURCES
    from importlib.metadata import PackageNotFoundError, files

    try:
        for file in files("income-tracker") or ():
            if file.parts[-4:-1] == _INSTALLED.parts:
                return Path(str(file.locate())).parent.resolve()
    except PackageNotFoundError:
        pass
    return Path(sysconfig.get_path("data")) / _INSTALLED


def _names(folder: Path) -> set[str]:
    return {file.stem for file in folder.glob("*.toml")}


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > FILE_MAX:
            raise ConfigError(f"the profile {file} is too large to be one.")
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the profile {file} cannot be read: {error}.") from None
