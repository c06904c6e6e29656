"""What a key can see: publisher accounts, sites and programmes, so that a user need not know ids.

It works before there is a connection, and before the id is known that the provider's other addresses need.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from tracker import connections
from tracker.connect import catalog
from tracker.connect.connector import UNREADABLE, Connector, Discover, Resource
from tracker.connect.fetch import Client
from tracker.connect.plans import Full, Leg
from tracker.connect.replay import MemoryTokens
from tracker.connect.rows import decode
from tracker.connections import Deps
from tracker.errors import DataError, NotFound, RightMissing, UnexpectedData, UsageError

#: Of each list; who works with more programmes than these looks them up on the provider's site.
SHOWN_MAX = 1_000


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a key can see. `fills` names the credential or option that the id is for, or nothing."""

    what: str
    id: str
    title: str
    fills: str


class Seen(msgspec.Struct, kw_only=True):
    """What there is, in the provider's order, and in words what could not be listed."""

    found: list[Found] = []
    notes: list[str] = []

    def choices(self, name: str) -> list[Found]:
        """What may be given for a credential or option."""
        return [one for one in self.found if one.fills == name]


def before(deps: Deps, provider: str, credentials: Mapping[str, str], options: Mapping[str, str]) -> Seen:
    """What these credentials can see; those that a list can fill may be missing. Nothing is stored.

    Raises UsageError for a provider that cannot tell and for other credentials that are missing, else as a sync does.
    """
    connector = catalog.find(provider)
    check_can_tell(connector)
    credentials, options = connections.check_known(connector, credentials, options)
    fillable = {one.fills for one in connector.discover}
    lacking = [
        name
        for name, wanted in connector.credentials.items()
        if wanted.required and name not in fillable and not credentials.get(name)
    ]
    if lacking:
        raise UsageError(
            f"{connector.title} needs {', '.join(lacking)}.",
            hint=f"Give {' '.join(f'--credential {name}=…' for name in lacking)}; "
            "`tracker connector show` says where to find it.",
        )
    given = {name: value for name, value in credentials.items() if value}
    http = deps.http()
    more: dict[str, Any] = {} if deps.sleep is None else {"sleep": deps.sleep}
    client = Client(
        connector,
        slug=provider,
        credentials=given,
        options=options,
        tokens=MemoryTokens(deps.now(), http),
        http=http,
        pace=deps.pace,
        limits=msgspec.structs.replace(connections.limits_of(deps.settings), tries=2),  # somebody waits for the answer
        **more,
    )
    return _see(client, given)


def connected(deps: Deps, slug: str) -> Seen:
    """What the key of a connection can see. Raises what a sync raises."""
    row = connections.find(deps.engine, slug)
    check_can_tell(catalog.find(row.provider))
    client = connections.open_client(deps, row, tries=2)
    return _see(client, client.credentials_shown())


def check_can_tell(connector: Connector) -> None:
    """Raises UsageError for a provider that lists nothing."""
    if not connector.discover:
        raise UsageError(
            f"{connector.title} cannot list what a key sees.", hint="`tracker connector show` says where to find ids."
        )


def _see(client: Client, credentials: dict[str, str]) -> Seen:
    """Every list in turn. An id that is missing is taken from an earlier list, if there is but one in it."""
    seen = Seen()
    for one in client.connector.discover:
        names = set(re.findall(r"{(\w+)}", f"{one.path} {' '.join(one.params.values())}"))
        missing = sorted(names - credentials.keys() - client.options.keys())
        for name in missing:
            if len(choices := seen.choices(name)) == 1:
                credentials[name] = choices[0].id
        if missing := [name for name in missing if name not in credentials]:
            seen.notes.append(f"{one.what}: give {' and '.join(missing)} to list them.")
            continue
        try:
            seen.found += _listed(client, one)
        except (RightMissing, NotFound, UnexpectedData) as error:
            seen.notes.append(f"{one.what}: {error}")
    return seen


def _listed(client: Client, one: Discover) -> list[Found]:
    resource = Resource(
        name=one.what,
        path=one.path,
        rows=one.rows,
        params=one.params,
        paging=one.paging,
        method=one.method,
        body=one.body,
        content_type=one.content_type,
        convert=one.convert,
        plan=Full(),
        row_id=one.id,
        makes=(),
    )
    found: list[Found] = []
    for _, page, _ in client.pages(resource, Leg(key="all")):
        for raw in page.rows:
            row = decode(raw)
            try:
                title = one.title.read(row) if one.title else None
                found.append(Found(what=one.what, id=one.id.read(row), title=title or "", fills=one.fills))
            except (DataError, *UNREADABLE) as error:
                raise UnexpectedData(f"a row is not as documented ({error}).") from None
            if len(found) >= SHOWN_MAX:
                return found
    return found
