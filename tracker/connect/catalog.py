"""Finds connectors by slug: the only place that names the package `connectors`.

A third-party package adds a provider with an entry point in the group `tracker.connectors` whose name is the slug, the
user with a TOML file in the data folder. The profiles of statements that are imported from files are connectors as
well, though none that can be synced.
"""

import pkgutil
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points

from tracker.connect.connector import Connector
from tracker.connect.declared import folder
from tracker.errors import ConfigError, UsageError


def slugs() -> tuple[str, ...]:
    """All providers that can be connected, in order; the user's own as far as they can be read."""
    return tuple(sorted({*_installed(), *(file.stem for file in folder.files() if not _fault(file.stem))}))


def faults() -> Iterator[str]:
    """What is wrong with the user's own files, providers and profiles of statements, in words."""
    from tracker.statements.profiles import shelf

    yield from filter(None, (_fault(file.stem) for file in folder.files()))
    for slug in sorted(shelf.own_slugs()):
        try:
            shelf.find(slug)
        except ConfigError as error:
            yield str(error)


def forget() -> None:
    """Look again at what is installed."""
    _installed.cache_clear()
    _found.cache_clear()


@lru_cache(maxsize=1)
def _installed() -> frozenset[str]:
    """What comes with the tracker and with other packages. Imports no connector."""
    import connectors

    own = {module.name.replace("_", "-") for module in pkgutil.iter_modules(connectors.__path__)}
    return frozenset(own | {entry.name for entry in entry_points(group="tracker.connectors")})


def knows(slug: str) -> bool:
    """Whether there is a provider, or a profile of statements, with this slug that can be used."""
    if slug in _installed():
        return True
    try:
        find(slug)
    except (ConfigError, UsageError):
        return False
    return True


def find(slug: str) -> Connector:
    """The connector of a provider. Raises UsageError for an unknown slug, naming those that are near.

    Raises ConfigError for a file of the user's own that cannot be used.
    """
    from tracker.statements.profiles import shelf

    if slug in _installed():
        return _found(slug)
    if slug in shelf.slugs():
        return shelf.find(slug).connector
    if file := folder.file_of(slug):
        return folder.read(file)
    from difflib import get_close_matches

    near = get_close_matches(slug, slugs(), n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`tracker connector list` shows all."
    raise UsageError(f"no provider is called {slug[:40]!r}.", hint=hint)


def _fault(slug: str) -> str:
    """Why a file of the user's own cannot be used, if so. What comes with the tracker is never replaced by it."""
    from tracker.statements.profiles import shelf

    file = f"{folder.NAME}/{slug}.toml"
    if slug in _installed() or slug in shelf.slugs():
        return f"{file}: there is a provider {slug} already. Give the file another name."
    if not folder.is_slug(slug):
        return f"{file}: the name is not a slug. Use lower-case letters, digits and hyphens, at most 40."
    try:
        find(slug)
    except ConfigError as error:
        return str(error)
    return ""


@lru_cache(maxsize=256)
def _found(slug: str) -> Connector:
    third_party = next((entry for entry in entry_points(group="tracker.connectors") if entry.name == slug), None)
    found = third_party.load() if third_party else import_module(f"connectors.{slug.replace('-', '_')}").connector
    if not isinstance(found, Connector):
        raise UsageError(
            f"the provider {slug!r} is not a Connector.", hint="Its file must end in `connector = Connector(...)`."
        )
    return found
