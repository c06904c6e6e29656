"""Sample data: an invented creator's connections in a ledger that has none of its own, to look around; gone at once.

They are read once, from a sandbox that whoever serves the pages passes in, and then closed: nothing is ever due, so
nothing fails when the sandbox is gone. What was made stands in the setting `sample`, so that just that is removed.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta
from typing import Any

import msgspec
import structlog
from sqlalchemy import Connection, Engine, delete, insert, select, union, update
from sqlalchemy.exc import IntegrityError

from tracker import connections, tending
from tracker.connect import catalog
from tracker.connections import Deps, stream_t
from tracker.errors import TrackerError, UsageError
from tracker.store import tables
from tracker.store.database import reading
from tracker.store.writes import connection_t, earning_t
from tracker.sync import Progress, sync

log = structlog.get_logger()
setting_t = tables.Setting.__table__  # type: ignore[attr-defined]
rule_t = tables.StreamRule.__table__  # type: ignore[attr-defined]

#: The invented creator's streams: which earnings belong to which, in this order.
STREAMS = {
    "awin": "Gear reviews",
    "cj": "Gear reviews",
    "stripe": "Other",
    "woocommerce": "Shop",
    "ghost": "Newsletter",
}
RULES = (
    ("Newsletter", "Trail Letters*"),
    ("Trail map app", "Wegmarke*"),
    ("Member area", "Member area*"),
    ("Course", "*course*"),
    ("Shop", "*e-book*"),
    ("Shop", "*template*"),
)
_NAME = "sample"
READ = "sample data, read once."
#: Nobody but `fill` reads the sample, and that is done long before.
_NEVER = timedelta(days=30)


class Source(msgspec.Struct, frozen=True):
    """Where a provider is played, and what opens it."""

    url: str
    credentials: Mapping[str, str]


class _Made(msgspec.Struct):
    """Ids of what the sample brought into the ledger."""

    connections: list[int] = []
    streams: list[int] = []
    rules: list[int] = []


class _Gone(BaseException):
    """The sample was removed while it was being read."""


def present(engine: Engine) -> bool:
    """Whether the ledger shows sample data."""
    with reading(engine) as conn:
        return _made(conn) is not None


def slugs(engine: Engine) -> list[str]:
    """The connections of the sample."""
    with reading(engine) as conn:
        made = _made(conn)
        query = select(connection_t.c.slug).where(connection_t.c.id.in_(made.connections if made else []))
        return list(conn.execute(query.order_by(connection_t.c.slug)).scalars())


def options_for(provider: str, url: str) -> dict[str, str]:
    """The options of a connection to a provider that is played at an address."""
    currency = catalog.find(provider).options.get("currency")
    return {"base_url": url} | ({"currency": "EUR"} if currency and currency.required else {})


def add_rules(deps: Deps) -> list[int]:
    """The streams' rules. Answers their ids."""
    with deps.engine.begin() as conn:
        ids = []
        for position, (stream, pattern) in enumerate(RULES):
            stream_id = connections.find_or_make_stream(conn, stream, deps.now().astimezone(UTC))
            made = conn.execute(insert(rule_t).values(stream_id=stream_id, position=position, product=pattern))
            ids.append(int(made.inserted_primary_key[0]))  # type: ignore[index]
        return ids


def begin(deps: Deps, played: Mapping[str, Source]) -> None:
    """Connect the providers that are played. Raises UsageError in a ledger that has connections."""
    with deps.engine.begin() as conn:
        try:
            conn.execute(insert(setting_t).values(name=_NAME, value=_dump(_Made())))
        except IntegrityError:
            raise UsageError("the sample data is here already.", hint="Look at it, or remove it.") from None
        if conn.execute(select(connection_t.c.id).limit(1)).first():
            raise UsageError(
                "this ledger has connections of your own.",
                hint="Sample data does not mix with them: `tracker demo` shows it in a ledger beside yours.",
            )
        known = set(conn.execute(select(stream_t.c.id)).scalars())
    made = _Made()
    for provider, source in played.items():
        row = connections.add(
            deps,
            provider,
            provider,
            credentials=source.credentials,
            options=options_for(provider, source.url),
            stream=STREAMS.get(provider),
            due_at=deps.now() + _NEVER,
            interval_s=int(_NEVER.total_seconds()),
        )
        made.connections.append(row.id)
        _note(deps.engine, made, known)
    made.rules = add_rules(deps)
    _note(deps.engine, made, known)


def _note(engine: Engine, made: _Made, known: set[int]) -> None:
    """Write down what was made so far, so that also a sample that was cut short can be removed."""
    with engine.begin() as conn:
        made.streams = sorted(set(conn.execute(select(stream_t.c.id)).scalars()) - known)
        conn.execute(update(setting_t).where(setting_t.c.name == _NAME).values(value=_dump(made)))


def fill(deps: Deps) -> None:
    """Read the sample's connections, each once, and close them. It ends early when the sample is removed."""

    def go_on(step: Progress) -> None:
        if not present(deps.engine):
            raise _Gone

    try:
        for slug in slugs(deps.engine):
            sync(deps, connections.find(deps.engine, slug).id, progress=go_on)
    except (TrackerError, _Gone) as error:
        log.warning("sample data not read to the end", why=str(error))
    finally:
        settle(deps)


def settle(deps: Deps) -> None:
    """Close the sample's connections: the sandbox that they were read from is gone, or goes now."""
    for slug in slugs(deps.engine):
        try:
            tending.close(deps, slug, READ)
        except TrackerError as error:  # closed before, or removed meanwhile
            log.debug("sample connection left", connection=slug, why=str(error))


def remove(deps: Deps) -> int:
    """Remove the sample with all that came from it. Answers how many earnings went.

    A stream stays that something else belongs to by now. Raises UsageError when there is none.
    """
    with deps.engine.begin() as conn:
        made = _made(conn)
        if made is None:
            raise UsageError("there is no sample data here.")
        conn.execute(delete(setting_t).where(setting_t.c.name == _NAME))
        query = select(connection_t.c.slug).where(connection_t.c.id.in_(made.connections))
        rows: Sequence[str] = conn.execute(query).scalars().all()
    count = sum(connections.remove(deps, slug) for slug in rows)
    with deps.engine.begin() as conn:
        conn.execute(delete(rule_t).where(rule_t.c.id.in_(made.rules)))
        used = union(select(connection_t.c.stream_id), select(earning_t.c.stream_id), select(rule_t.c.stream_id))
        conn.execute(delete(stream_t).where(stream_t.c.id.in_(made.streams), stream_t.c.id.not_in(used)))
    return count


def _made(conn: Connection) -> _Made | None:
    said: Any = conn.execute(select(setting_t.c.value).where(setting_t.c.name == _NAME)).scalar()
    return None if said is None else msgspec.json.decode(said, type=_Made)


def _dump(made: _Made) -> str:
    return msgspec.json.encode(made).decode()
