"""Connections: adding, showing, changing, pausing and removing them; opening a client for one."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
import requests
from sqlalchemy import Engine, delete, func, insert, select, update

from tracker import schedule
from tracker.connect import catalog
from tracker.connect.connector import Connector
from tracker.connect.fetch import Client, Limits, base_url, post_form
from tracker.connect.pace import Pace
from tracker.connect.session import http_session
from tracker.errors import UsageError
from tracker.records import Role
from tracker.settings import Settings
from tracker.settle import pair, processors_of
from tracker.store import rollup, tables
from tracker.store.database import reading
from tracker.store.writes import connection_t, dirty_month_t, earning_t, run_t, state_t
from tracker.vault import Vault

secret_t = tables.ConnectionSecret.__table__  # type: ignore[attr-defined]
stream_t = tables.Stream.__table__  # type: ignore[attr-defined]

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
#: Names of pages beside those of connections.
RESERVED = frozenset({"add"})


class Deps(msgspec.Struct, kw_only=True):
    """What talking to providers and writing the ledger needs; made once for a process and passed on."""

    engine: Engine
    settings: Settings
    vault: Vault
    pace: Pace
    now: Callable[[], datetime]
    http: Callable[[], requests.Session] = http_session
    sleep: Callable[[float], None] | None = None


def find(engine: Engine, slug: str) -> Any:
    """The row of a connection. Raises UsageError, naming those there are."""
    with reading(engine) as conn:
        row = conn.execute(select(connection_t).where(connection_t.c.slug == slug)).first()
        if row is None:
            slugs = list(conn.execute(select(connection_t.c.slug).order_by(connection_t.c.slug)).scalars())
            hint = f"There are: {', '.join(slugs)}." if slugs else "Add one with `tracker connection add`."
            raise UsageError(f"no connection is called {slug[:40]!r}.", hint=hint)
    return row


def by_id(engine: Engine, connection_id: int) -> Any:
    with reading(engine) as conn:
        row = conn.execute(select(connection_t).where(connection_t.c.id == connection_id)).first()
    if row is None:
        raise UsageError(f"there is no connection {connection_id} any more.")
    return row


def every(engine: Engine) -> list[Any]:
    with reading(engine) as conn:
        return list(conn.execute(select(connection_t).order_by(connection_t.c.slug)).all())


def story(engine: Engine, connection_id: int) -> dict[str, Any]:
    """How far each resource of a connection is, and its newest runs."""
    with reading(engine) as conn:
        places = conn.execute(
            select(state_t).where(state_t.c.connection_id == connection_id).order_by(state_t.c.resource)
        )
        newest = select(run_t).where(run_t.c.connection_id == connection_id).order_by(run_t.c.id.desc()).limit(5)
        return {
            "resources": [
                {"resource": row.resource, "state": row.state, "unfinished": row.resume is not None} for row in places
            ],
            "runs": [
                {name: value for name, value in row._mapping.items() if name not in ("id", "connection_id")}
                for row in conn.execute(newest)
            ],
        }


def add(
    deps: Deps,
    provider: str,
    slug: str,
    *,
    credentials: Mapping[str, str],
    options: Mapping[str, str],
    title: str | None = None,
    role: str | None = None,
    stream: str | None = None,
    since: datetime | None = None,
    interval_s: int = 3600,
    quiet: str | None = None,
    tokens: Mapping[str, str] | None = None,
    due_at: datetime | None = None,
) -> Any:
    """Store a connection; it is due at once or at `due_at`; fed by files it has no next time.

    Raises UsageError for what its connector does not know or lacks. `interval_s` and `quiet` are what `tracker.hours`
    reads from a user's words; `tokens` are those that a trial was handed.
    """
    connector = catalog.find(provider)
    credentials, options = check(connector, credentials, options)
    now = deps.now()
    with deps.engine.begin() as conn:
        check_slug(conn, slug)
        stream_id = find_or_make_stream(conn, stream or title or _titled(slug, connector), now)
        values = {
            "slug": slug,
            "provider": provider,
            "title": title or connector.title,
            "role": Role(role) if role else connector.role,
            "options": dict(options),
            "stream_id": stream_id,
            "created_at": now,
            "since": since,
            "next_sync_at": None if connector.imported else due_at or now,
            "interval_s": interval_s,
            "quiet": quiet or None,
        }
        connection_id = conn.execute(insert(connection_t).values(values)).inserted_primary_key[0]  # type: ignore[index]
        sealed = {"credentials": deps.vault.seal(slug, credentials)}
        if tokens:
            sealed["tokens"] = deps.vault.seal(slug, tokens)
        conn.execute(insert(secret_t).values(connection_id=connection_id, updated_at=now, **sealed))
    return find(deps.engine, slug)


def _titled(slug: str, connector: Connector) -> str:
    return connector.title if slug == connector.title.lower() else slug.replace("-", " ").capitalize()


def check_slug(conn: Any, slug: str) -> None:
    """Raises UsageError for a slug that is none or that is taken."""
    if not SLUG.fullmatch(slug) or slug in RESERVED:
        raise UsageError(f"not a slug: {slug[:40]!r}.", hint="Use lower-case letters, digits and hyphens, at most 40.")
    if conn.execute(select(connection_t.c.id).where(connection_t.c.slug == slug)).first():
        raise UsageError(f"there is a connection {slug!r} already.", hint="Choose another --slug or remove it first.")


def check(
    connector: Connector, credentials: Mapping[str, str], options: Mapping[str, str], *, asked_for: bool = True
) -> tuple[dict[str, str], dict[str, str]]:
    """The given values, stripped. Raises UsageError for one that is unknown, missing or not among the choices.

    Without `asked_for` credentials may still be missing: they are asked for when the rest is known to be right.
    """
    credentials, options = check_known(connector, credentials, options)
    for given, needed, flag in (
        (credentials, connector.credentials, "--credential"),
        (options, connector.options, "--option"),
    ):
        lacking = [name for name, wanted in needed.items() if wanted.required and not given.get(name)]
        if lacking and (asked_for or flag == "--option"):
            listed = any(one.fills in lacking for one in connector.discover)
            told = "discover` lists what your key can see." if listed else "show` says where to find it."
            raise UsageError(
                f"{connector.title} needs {', '.join(lacking)}.",
                hint=f"Give {' '.join(f'{flag} {name}=…' for name in lacking)}; `tracker connector {told}",
            )
    if not connector.imported:
        base_url(connector, options)
    return credentials, options


def check_known(
    connector: Connector, credentials: Mapping[str, str], options: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The given values, stripped. Raises UsageError for one that is unknown or not among the choices."""
    credentials = {name: value.strip() for name, value in credentials.items()}
    options = {name: value.strip() for name, value in options.items()}
    for given, known, what in (
        (credentials, connector.credentials, "credential"),
        (options, {"base_url": None, **connector.options}, "option"),
    ):
        for name in given:
            if name not in known:
                raise UsageError(
                    f"{connector.title} has no {what} {name!r}.", hint=f"Known: {', '.join(known) or 'none'}."
                )
    for name, value in options.items():
        option = connector.options.get(name)
        if option and option.choices and value not in option.choices:
            raise UsageError(f"{name} cannot be {value[:40]!r}.", hint=f"Choose one of {', '.join(option.choices)}.")
    return credentials, options


def find_or_make_stream(conn: Any, name: str, now: datetime) -> int:
    """The stream of that title or slug, made if there is none."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "stream"
    found = conn.execute(select(stream_t.c.id).where(stream_t.c.slug == slug)).scalar()
    if found is None:
        found = conn.execute(
            insert(stream_t).values(slug=slug, title=name, position=0, created_at=now)
        ).inserted_primary_key[0]
    return int(found)


def edit(deps: Deps, slug: str, *, interval_s: int | None = None, quiet: str | None = None) -> None:
    """Agree on another interval or other quiet hours (an empty text: none); what is not given stays as it is."""
    row = find(deps.engine, slug)
    check_synced(row)
    agreed = {"interval_s": interval_s or row.interval_s, "quiet": row.quiet if quiet is None else quiet or None}
    with deps.engine.begin() as conn:
        conn.execute(update(connection_t).where(connection_t.c.id == row.id).values(agreed))
        schedule.agree(conn, row.id, deps.now(), deps.settings.zone)


def is_closed(row: Any) -> bool:
    """Whether a connection stays only because of its earnings: it has no credentials and is never due."""
    return row.next_sync_at is None and row.paused_at is None and row.paused_reason is not None


def check_synced(row: Any) -> None:
    """Raises UsageError for a connection that is closed or fed by files: it has no schedule and nobody to ask."""
    if is_closed(row):
        raise UsageError(
            f"{row.slug} is read no more: {row.paused_reason}",
            hint=f"Read it again with: tracker connection credentials {row.slug}",
        )
    if row.next_sync_at is None and row.paused_at is None:  # earlier versions took the time away with a pause
        raise UsageError(
            f"{row.slug} is fed by statements, so there is nothing to sync.",
            hint=f"Import a newer one: tracker import FILE --connection {row.slug}",
        )


def pause(deps: Deps, slug: str, reason: str = "you paused it.") -> None:
    row = find(deps.engine, slug)
    check_synced(row)
    with deps.engine.begin() as conn:
        conn.execute(
            update(connection_t).where(connection_t.c.id == row.id).values(paused_at=deps.now(), paused_reason=reason)
        )


def resume(deps: Deps, slug: str) -> None:
    """Let a paused connection sync again, at once."""
    row = find(deps.engine, slug)
    check_synced(row)
    go_on(deps, row)


def go_on(deps: Deps, row: Any) -> None:
    values = {"paused_at": None, "paused_reason": None, "failures": 0, "next_sync_at": deps.now(), "queued_until": None}
    with deps.engine.begin() as conn:
        conn.execute(update(connection_t).where(connection_t.c.id == row.id).values(values))


def why_paused(row: Any) -> str:
    """Why a connection is paused, and the command that gets it going again."""
    refused = row.paused_reason == row.last_error  # by the provider, whose words both then are
    verb = "credentials" if refused else "resume"
    return f"{row.slug} is paused: {row.paused_reason} Go on with: tracker connection {verb} {row.slug}"


def replace_options(deps: Deps, slug: str, options: Mapping[str, str]) -> None:
    """Give a connection other values for some of its options; an empty one takes it away. Raises UsageError."""
    row = find(deps.engine, slug)
    wanted = {**row.options, **{name: value.strip() for name, value in options.items()}}
    _, checked = check(catalog.find(row.provider), {}, wanted, asked_for=False)
    with deps.engine.begin() as conn:
        kept = {name: value for name, value in checked.items() if value}
        conn.execute(update(connection_t).where(connection_t.c.id == row.id).values(options=kept))


def replace_credentials(
    deps: Deps, slug: str, credentials: Mapping[str, str], tokens: Mapping[str, str] | None = None
) -> None:
    """Give a connection new credentials, with the tokens that a trial was handed, and let it sync again."""
    row = find(deps.engine, slug)
    if not is_closed(row):
        check_synced(row)
    checked, _ = check(catalog.find(row.provider), credentials, row.options)
    sealed = deps.vault.seal(slug, tokens) if tokens else None
    values = {"credentials": deps.vault.seal(slug, checked), "tokens": sealed, "updated_at": deps.now()}
    with deps.engine.begin() as conn:
        conn.execute(update(secret_t).where(secret_t.c.connection_id == row.id).values(values))
    go_on(deps, row)


def remove(deps: Deps, slug: str) -> int:
    """Remove a connection with everything that came from it. Answers how many earnings went. Its stream stays."""
    row = find(deps.engine, slug)
    with deps.engine.begin() as conn:
        count = conn.execute(select(func.count()).where(earning_t.c.connection_id == row.id)).scalar_one()
        conn.execute(delete(dirty_month_t).where(dirty_month_t.c.connection_id == row.id))
        conn.execute(delete(connection_t).where(connection_t.c.id == row.id))
        pair(conn, processors_of(conn))  # what it counted may now be another connection's to count
        rollup.rebuild(conn)
    return int(count)


# --- talking to the provider ---


class SealedTokens:
    """OAuth tokens of a connection, sealed in the database and durable before they are used."""

    def __init__(self, deps: Deps, row: Any, http: requests.Session) -> None:
        self._deps, self._row, self._http = deps, row, http
        with reading(deps.engine) as conn:
            sealed = conn.execute(select(secret_t.c.tokens).where(secret_t.c.connection_id == row.id)).scalar()
        self.stored: dict[str, str] = deps.vault.unseal(row.slug, sealed) if sealed else {}

    @property
    def now(self) -> datetime:
        return self._deps.now()

    def save(self, values: dict[str, str]) -> None:
        sealed = self._deps.vault.seal(self._row.slug, values)
        with self._deps.engine.begin() as conn:
            conn.execute(
                update(secret_t)
                .where(secret_t.c.connection_id == self._row.id)
                .values(tokens=sealed, updated_at=self.now)
            )
        self.stored = dict(values)

    def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Mapping[str, Any]:
        return post_form(self._http, limits_of(self._deps.settings), url, form, headers)


def limits_of(settings: Settings) -> Limits:
    return Limits(read_s=settings.timeout_s, body_bytes=settings.page_bytes_limit, pages=settings.pages_limit)


def open_client(deps: Deps, row: Any, tries: int = Limits().tries) -> Client:
    """A client with the connection's credentials. Raises ConfigError when they cannot be unsealed."""
    check_synced(row)
    with reading(deps.engine) as conn:
        sealed = conn.execute(select(secret_t.c.credentials).where(secret_t.c.connection_id == row.id)).scalar_one()
    http = deps.http()
    more = {} if deps.sleep is None else {"sleep": deps.sleep}
    return Client(
        catalog.find(row.provider),
        slug=row.provider,
        credentials=deps.vault.unseal(row.slug, sealed),
        options=row.options,
        tokens=SealedTokens(deps, row, http),
        http=http,
        pace=deps.pace,
        limits=msgspec.structs.replace(limits_of(deps.settings), tries=tries),
        **more,
    )
