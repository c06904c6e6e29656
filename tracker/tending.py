"""What people do with a connection: ask for a sync, read some time again, close it and keep its earnings.

Nothing here talks to a provider: the ledger is changed so that the next sync does what was asked for, wherever it runs.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, delete, func, select, update

from tracker import schedule
from tracker.connect import catalog
from tracker.connect.plans import rewound
from tracker.connections import Deps, check_synced, find, secret_t, why_paused
from tracker.errors import ConfigError, UsageError
from tracker.store import tables
from tracker.store.database import reading
from tracker.store.writes import connection_t, earning_t, state_t

address_t = tables.InboundAddress.__table__  # type: ignore[attr-defined]
inbound_t = tables.Inbound.__table__  # type: ignore[attr-defined]

#: Why a connection that has no next time, and is not fed by files either, is read no more.
REMOVED = "removed; its earnings are kept."
TITLE_MAX = 80


def ask(deps: Deps, slug: str) -> None:
    """Make a connection due at once, because somebody wants it now: in quiet hours, and after trouble, too.

    One that is being read is left at that. Raises UsageError for one that is paused, closed or fed by files.
    """
    row = find(deps.engine, slug)
    check_synced(row)
    if row.paused_at:
        raise UsageError(why_paused(row))
    now = deps.now()
    with deps.engine.begin() as conn:
        schedule.hurry(conn, row.id, now)


def reread(deps: Deps, slug: str, start: date) -> None:
    """Let the next sync, at once, read again what came since a day in the user's zone, also one before the first read.

    What is known already only changes where the provider tells it otherwise, so nothing counts twice. Raises UsageError
    while it is being read.
    """
    row = find(deps.engine, slug)
    check_synced(row)
    connector, now = catalog.find(row.provider), deps.now()
    moment = datetime.combine(start, time(), deps.settings.zone).astimezone(UTC)
    if moment > now:
        raise UsageError(f"{start} has not come yet.", hint="Choose a day in the past.")
    plans = {one.name: one.plan for one in connector.resources}
    first = row.since or datetime.combine(deps.settings.backfill_from(now.date()), time(), UTC)
    with deps.engine.begin() as conn:
        _check_idle(conn, row, now)
        if moment < first:
            conn.execute(update(connection_t).where(connection_t.c.id == row.id).values(since=moment))
        for place in conn.execute(select(state_t).where(state_t.c.connection_id == row.id)).all():
            if place.resource in plans:
                values = {"state": rewound(plans[place.resource], place.state, moment), "resume": None}
                mine = (state_t.c.connection_id == row.id) & (state_t.c.resource == place.resource)
                conn.execute(update(state_t).where(mine).values(values))
        schedule.hurry(conn, row.id, now)


def _check_idle(conn: Connection, row: Any, now: datetime) -> None:
    """Raises UsageError while a connection is being read, because the run would undo what is changed under it."""
    schedule.free_dead(conn)
    free = schedule.is_free(now)
    if not conn.execute(update(connection_t).where(connection_t.c.id == row.id, free).values(leased_by=None)).rowcount:
        raise UsageError(f"{row.slug} is being read just now.", hint="Try again when that is done.")


def close(deps: Deps, slug: str, reason: str = REMOVED) -> int:
    """Read a connection no more, but keep what came from it: its credentials and its address go. Answers how many
    earnings stay. New credentials open it again. Raises UsageError while it is being read.
    """
    row = find(deps.engine, slug)
    check_synced(row)
    now = deps.now()
    never = {"next_sync_at": None, "paused_at": None, "paused_reason": reason, "queued_until": None}
    blank = {"credentials": deps.vault.seal(slug, {}), "tokens": None, "webhook": None, "updated_at": now}
    with deps.engine.begin() as conn:
        _check_idle(conn, row, now)
        quiet = {"failures": 0, "last_error": None, "leased_until": None}
        conn.execute(update(connection_t).where(connection_t.c.id == row.id).values({**never, **quiet}))
        conn.execute(update(secret_t).where(secret_t.c.connection_id == row.id).values(blank))
        for table in (address_t, inbound_t):
            conn.execute(delete(table).where(table.c.connection_id == row.id))
        kept = conn.execute(select(func.count()).where(earning_t.c.connection_id == row.id)).scalar_one()
    return int(kept)


def rename(deps: Deps, slug: str, title: str) -> None:
    """Call a connection otherwise in reports. Raises UsageError for a title that is none."""
    row, title = find(deps.engine, slug), title.strip()
    if not title or len(title) > TITLE_MAX or not title.isprintable():
        raise UsageError("not a title.", hint=f"Write up to {TITLE_MAX} characters in one line.")
    with deps.engine.begin() as conn:
        conn.execute(update(connection_t).where(connection_t.c.id == row.id).values(title=title))


def check_place(deps: Deps, slug: str, options: Mapping[str, str]) -> None:
    """Raises UsageError for options that would send the stored keys to another server than they were given for.

    Nobody can read them here, so nobody shall have them sent to an address of theirs either.
    """
    row = find(deps.engine, slug)
    connector = catalog.find(row.provider)
    before, after = (place.get("base_url") or connector.base_url for place in (row.options, {**row.options, **options}))
    if _server_of(after) != _server_of(before):
        raise UsageError(
            "the stored keys are for another address, and go nowhere else.",
            hint="Connect the new address anew, or where the tracker runs: "
            f"tracker connection edit {row.slug} --option base_url=…",
        )


def _server_of(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    try:
        return parts.scheme, parts.hostname, parts.port
    except ValueError:  # a port that is none: an address that is refused further on
        return parts.scheme, parts.hostname, None


def with_kept(deps: Deps, row: Any, given: Mapping[str, str]) -> dict[str, str]:
    """Credentials as typed in, and as they were where nothing was typed: of a login, the newest refresh token."""
    with reading(deps.engine) as conn:
        query = select(secret_t.c.credentials, secret_t.c.tokens).where(secret_t.c.connection_id == row.id)
        sealed = conn.execute(query).one()
    login = catalog.find(row.provider).auth.login
    try:
        kept = deps.vault.unseal(row.slug, sealed.credentials)
        tokens = deps.vault.unseal(row.slug, sealed.tokens) if login and sealed.tokens else {}
    except ConfigError:  # the key file was lost: then all of them are typed in anew
        kept, tokens = {}, {}
    if login and "refresh_token" in tokens:
        kept[login.fills] = tokens["refresh_token"]
    return kept | {name: value for name, value in given.items() if value.strip()}
