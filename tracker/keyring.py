"""Changing the key that seals credentials, without a pause.

A new key comes first, everything is sealed again with it, and only then do the old keys go.
"""

from collections.abc import Iterator
from itertools import chain

from sqlalchemy import Connection, select, update

from tracker import stored
from tracker.connections import Deps, secret_t
from tracker.errors import ConfigError
from tracker.store.database import reading
from tracker.store.writes import connection_t
from tracker.vault import Vault

_STEP = 500


def rotate(deps: Deps) -> int:
    """Put a new key first and seal everything with it. Answers how many sealed texts there are. Raises ConfigError."""
    deps.vault.rotate()
    return reseal(deps)


def reseal(deps: Deps) -> int:
    """Seal every credential and token again with the newest key. A token that a sync renews meanwhile is left to it."""
    count = 0
    for connection_id, column, sealed in _sealed(deps):
        this = (secret_t.c.connection_id == connection_id) & (secret_t.c[column] == sealed)
        new = deps.vault.reseal(sealed)
        with deps.engine.begin() as conn:
            count += conn.execute(update(secret_t).where(this).values({column: new})).rowcount
    return count + stored.reseal(deps.engine, deps.vault)


def retire(deps: Deps) -> int:
    """Drop all keys but the newest and answer how many. Raises ConfigError while anything still needs an old one."""
    credentials = (text for _, _, text in _sealed(deps))
    return deps.vault.retire(chain(credentials, stored.sealed(deps.engine)))


def _sealed(deps: Deps) -> Iterator[tuple[int, str, str]]:
    """Owner, column and text of everything that is sealed."""
    last = 0
    query = select(secret_t).order_by(secret_t.c.connection_id).limit(_STEP)
    while True:
        with reading(deps.engine) as conn:
            rows = conn.execute(query.where(secret_t.c.connection_id > last)).all()
        for row in rows:
            for column in ("credentials", "tokens", "webhook"):
                if getattr(row, column) is not None:
                    yield row.connection_id, column, getattr(row, column)
        if len(rows) < _STEP:
            return
        last = rows[-1].connection_id


def sealed_elsewhere(conn: Connection, vault: Vault) -> list[str]:
    """Connections whose credentials this installation's keys do not open."""
    mine = secret_t.c.connection_id == connection_t.c.id
    lost = []
    for row in conn.execute(select(connection_t.c.slug, secret_t.c.credentials).join(secret_t, mine)):
        try:
            vault.unseal(row.slug, row.credentials)
        except ConfigError:
            lost.append(row.slug)
    return sorted(lost)
