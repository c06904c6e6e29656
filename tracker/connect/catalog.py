"""Finds connectors by slug: the only place that names the package `connectors`.

A third-party package adds a provider with an entry point in the group `tracker.connectors` whose name is the slug.
"""

import pkgutil
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points

from tracker.connect.connector import Connector
from tracker.errors import UsageError


@lru_cache(maxsize=1)
def slugs() -> tuple[str, ...]:
    """All known providers, in order. Imports no connector."""
    import connectors

    own = {module.name.replace("_", "-") for module in pkgutil.iter_modules(connectors.__path__)}
    return tuple(sorted(own | {entry.name for entry in entry_points(group="tracker.connectors")}))


@lru_cache(maxsize=256)
def find(slug: str) -> Connector:
    """The connector of a provider. Raises UsageError for an unknown slug, naming those that are near."""
    if slug not in slugs():
        from difflib import get_close_matches

        near = get_close_matches(slug, slugs(), n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else "`tracker connector list` shows all."
        raise UsageError(f"no provider is called {slug[:40]!r}.", hint=hint)
    third_party = next((entry for entry in entry_points(group="tracker.connectors") if entry.name == slug), None)
    found = third_party.load() if third_party else import_module(f"connectors.{slug.replace('-', '_')}").connector
    if not isinstance(found, Connector):
        raise UsageError(
            f"the provider {slug!r} is not a Connector.", hint="Its file must end in `connector = Connector(...)`."
        )
    return found
