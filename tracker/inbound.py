"""What providers send by themselves: postbacks and webhooks, at a secret address for each connection.

They are kept first, without personal fields, and make the connection's next sync due; that reads the truth from the
provider. Only where a resource comes in no other way (`WebhookOnly`) does a sync take the rows from here. Web process
and worker meet in the database alone, so nothing is lost while one of them is down.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec
from sqlalchemy import Connection, Engine, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tracker import ledger, schedule
from tracker.connect import catalog
from tracker.connect.connector import Connector, Resource
from tracker.connect.fields import lookup
from tracker.connect.plans import WebhookOnly
from tracker.connect.rows import decode, digest, encode, scrub
from tracker.connections import Deps, check_synced, find, secret_t
from tracker.errors import DataError, UnexpectedData, UsageError
from tracker.ledger import Book, Taken
from tracker.store import tables, writes
from tracker.store.database import database_errors, reading
from tracker.store.writes import connection_t

address_t = tables.InboundAddress.__table__  # type: ignore[attr-defined]
inbound_t = tables.Inbound.__table__  # type: ignore[attr-defined]

#: The longest body and query, and the most that may wait for a connection's next sync.
BODY_MAX, QUERY_MAX, FIELDS_MAX, WAITING_MAX = 256 * 1024, 16 * 1024, 500, 10_000
#: How long what a sync has seen stays, to recognise a repetition by.
REMEMBERED = timedelta(days=30)
BATCH = 200
_NOT_READ = "Expected a form or JSON."
#: Of a form in parts: what stands between them, and what a part says of itself.
_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s";,]{1,70}))', re.IGNORECASE)
_DISPOSITION = re.compile(rb"^content-disposition:[ \t]*form-data(;.*)$", re.IGNORECASE | re.MULTILINE)
_PART_NAME = re.compile(rb';\s*name=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_PART_FILE = re.compile(rb";\s*filename\*?=", re.IGNORECASE)
_HEAD_MAX = 2_000


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came. `query` and `body` are not decoded yet: signatures are made over the bytes."""

    method: Literal["GET", "POST"]
    headers: Mapping[str, str]
    query: str = ""
    body: bytes = b""


class Full(Exception):
    """More waits for the next sync than is kept; the provider should send it again later."""


# --- addresses ---


def new_address(deps: Deps, slug: str, *, replace: bool = False) -> str:
    """Make the address of a connection and answer its token, which nobody can look up later.

    Raises UsageError when there is one already (unless it is to be replaced) or the connection is fed by files.
    """
    row = find(deps.engine, slug)
    check_synced(row)
    token, now = secrets.token_urlsafe(32), deps.now()
    with deps.engine.begin() as conn:
        made_at = conn.execute(select(address_t.c.made_at).where(address_t.c.connection_id == row.id)).scalar()
        if made_at and not replace:
            since = f"{made_at.astimezone(deps.settings.zone):%Y-%m-%d}"
            raise UsageError(
                f"{slug} has had an address since {since}; it is shown only once.",
                hint=f"Make another in its place: tracker connection inbound {slug} --new",
            )
        conn.execute(delete(address_t).where(address_t.c.connection_id == row.id))
        values = {"connection_id": row.id, "token_digest": _token_digest(token), "made_at": now}
        conn.execute(address_t.insert().values(values))
    return token


def end_address(deps: Deps, slug: str) -> bool:
    """Take the address away. Answers whether there was one."""
    row = find(deps.engine, slug)
    with deps.engine.begin() as conn:
        return bool(conn.execute(delete(address_t).where(address_t.c.connection_id == row.id)).rowcount)


def keep_secret(deps: Deps, slug: str, secret: str) -> None:
    """Store what the provider signs with. Raises UsageError for a provider that does not sign."""
    row = find(deps.engine, slug)
    if catalog.find(row.provider).webhook is None:
        raise UsageError(f"{row.provider} signs nothing, so it needs no secret.", hint="Leave --secret out.")
    if not secret.strip():
        raise UsageError("the secret is empty.", hint="Copy the one that the provider shows beside the address.")
    sealed = deps.vault.seal(slug, {"webhook": secret.strip()})
    with deps.engine.begin() as conn:
        conn.execute(update(secret_t).where(secret_t.c.connection_id == row.id).values(webhook=sealed))


def needs_secret(connector: Connector) -> bool:
    """Whether nothing is taken unsigned: the provider signs, and there is no other way to check what it says."""
    return connector.webhook is not None and bool(_only_here(connector))


def connection_at(engine: Engine, token: str) -> Any:
    """The connection whose address has this token, with its sealed secret, or None.

    What is looked up is a digest: how long that takes says nothing about any token.
    """
    query = (
        select(connection_t, secret_t.c.webhook)
        .join(address_t, address_t.c.connection_id == connection_t.c.id)
        .join(secret_t, secret_t.c.connection_id == connection_t.c.id)
        .where(address_t.c.token_digest == _token_digest(token))
    )
    with database_errors(engine), reading(engine) as conn:
        return conn.execute(query).first()


def _token_digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


# --- receiving ---


def receive(deps: Deps, row: Any, sent: Sent) -> bool:
    """Keep what came for a connection (from `connection_at`) and make its next sync due. Answers whether it is new.

    Raises AuthRejected for a wrong signature, DataError for what is neither form nor JSON, and Full.
    """
    connector, now = catalog.find(row.provider), deps.now()
    signed = _verified(deps, row, connector, sent, now)
    document = _document(sent)
    _scrub_all(document, connector, lambda text: deps.vault.pseudonym("payer", text))
    content = encode(document)
    mark = digest(sent.method.encode() + b"\0" + content)
    with database_errors(deps.engine), deps.engine.begin() as conn:
        known = (inbound_t.c.connection_id == row.id) & (inbound_t.c.digest == mark)
        again = conn.execute(update(inbound_t).where(known).values(last_at=now, times=inbound_t.c.times + 1)).rowcount
        if not again:
            _check_room(conn, row.id)
            adding = (postgresql if conn.dialect.name == "postgresql" else sqlite).insert(inbound_t)
            values = {
                "connection_id": row.id, "digest": mark, "method": sent.method, "signed": signed, "content": content,
                "first_at": now, "last_at": now, "times": 1,
            }  # fmt: skip
            conn.execute(adding.values(values).on_conflict_do_nothing())
        schedule.ask(conn, row, now, deps.settings.zone)
    return not again


def _verified(deps: Deps, row: Any, connector: Connector, sent: Sent, now: datetime) -> bool:
    if connector.webhook is None or not (row.webhook or needs_secret(connector)):
        return False
    secret = deps.vault.unseal(row.slug, row.webhook)["webhook"] if row.webhook else ""
    connector.webhook.verify(sent.headers, sent.body, secret, now)
    return True


def _check_room(conn: Connection, connection_id: int) -> None:
    waiting = select(inbound_t.c.id).where(inbound_t.c.connection_id == connection_id, inbound_t.c.taken_at.is_(None))
    if (
        conn.execute(select(func.count()).select_from(waiting.limit(WAITING_MAX).subquery())).scalar_one()
        >= WAITING_MAX
    ):
        raise Full


def _document(sent: Sent) -> Any:
    """What a request says, as JSON has it: the body or, where there is none, the query."""
    if len(sent.query) > QUERY_MAX or len(sent.body) > BODY_MAX:
        raise DataError("it is too long.", hint=_NOT_READ)
    if sent.method == "GET" or not sent.body.strip():
        return _form(sent.query)
    told = next((value for name, value in sent.headers.items() if name.lower() == "content-type"), "")
    kind = told.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _gathered(_parts(told, sent.body))
    if kind == "application/x-www-form-urlencoded":
        try:
            return _form(sent.body.decode())
        except UnicodeDecodeError:
            raise DataError("the form is not UTF-8.", hint=_NOT_READ) from None
    try:
        found = decode(sent.body)
    except UnexpectedData:
        raise DataError("the body cannot be read.", hint=_NOT_READ) from None
    return found if isinstance(found, dict | list) else {"value": found}


def _form(text: str) -> dict[str, Any]:
    """Names with their values, those that come several times as a list, and JSON inside a value decoded."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError:
        raise DataError("the form cannot be read.", hint=_NOT_READ) from None
    return _gathered(pairs)


def _parts(kind: str, body: bytes) -> Iterator[tuple[str, str]]:
    """The fields of a form in parts (RFC 7578). Files that come with it are no fields, and are not kept.

    Not by the parser for mail in the standard library, which a few hundred kilobytes of quotation marks keep busy for
    minutes.
    """
    found = _BOUNDARY.search(kind)
    boundary = (found[1] or found[2]) if found else ""
    _, *parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode(), FIELDS_MAX + 2)
    if not boundary or len(parts) < 2 or not parts.pop().startswith(b"--"):
        raise DataError("the form has no end, or too many parts.", hint=_NOT_READ)
    for part in parts:
        head, _, value = part.partition(b"\r\n\r\n")
        told = _DISPOSITION.search(head) if len(head) <= _HEAD_MAX else None
        name = _PART_NAME.search(told[1]) if told else None
        if told is None or name is None:
            raise DataError("a part of the form has no name.", hint=_NOT_READ)
        if not _PART_FILE.search(told[1]):
            try:
                yield (name[1] or name[2] or b"").decode(), value.decode()
            except UnicodeDecodeError:
                raise DataError("the form is not UTF-8.", hint=_NOT_READ) from None


def _gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        inner = _inner(value)
        if name in found:
            found[name] = [*(found[name] if isinstance(found[name], list) else [found[name]]), inner]
        else:
            found[name] = inner
    return found


def _inner(value: str) -> Any:
    if value[:1] in ("{", "["):
        try:
            return decode(value.encode())
        except UnexpectedData:
            return value
    return value


def _scrub_all(document: Any, connector: Connector, name: Callable[[str], str]) -> None:
    """Take out the personal fields of any resource, wherever in the document its row stands."""
    drop = {tuple(path.split(".")) for resource in connector.resources for path in resource.drop}
    pseudonyms = {tuple(path.split(".")) for resource in connector.resources for path in resource.pseudonymise}
    once, waiting = _once(name), [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            scrub(value, drop, pseudonyms, once)
        waiting += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _once(name: Callable[[str], str]) -> Callable[[str], str]:
    """A stand-in that another path leads to as well stays what it is."""
    made: set[str] = set()

    def stand_in(text: str) -> str:
        found = text if text in made else name(text)
        made.add(found)
        return found

    return stand_in


# --- taking ---


def take(engine: Engine, book: Book, keep_lease: Callable[[Connection], None]) -> Iterator[Taken]:
    """Mark what waits as seen by this run and pass on what comes in no other way, some at a time in one transaction."""
    resources, after = _only_here(book.connector), 0
    mine = inbound_t.c.connection_id == book.connection_id
    for _ in range(WAITING_MAX // BATCH + 1):
        waiting = select(inbound_t.c.id, inbound_t.c.content).where(
            mine, inbound_t.c.taken_at.is_(None), inbound_t.c.id > after
        )
        with reading(engine) as conn:
            rows = conn.execute(waiting.order_by(inbound_t.c.id).limit(BATCH)).all()
            found = _rows_of(resources, [row.content for row in rows])
            sifted = [(resource, _sift(conn, book, resource, raws)) for resource, raws in found if raws]
        if not rows:
            return
        with engine.begin() as conn:
            keep_lease(conn)
            taken = [ledger.write(conn, book, resource, one) for resource, one in sifted]
            seen = update(inbound_t).where(inbound_t.c.id == bindparam("seen")).values(taken_at=book.now)
            conn.execute(seen, [{"seen": row.id} for row in rows])
            old = book.now - REMEMBERED
            conn.execute(delete(inbound_t).where(mine, inbound_t.c.taken_at < old, inbound_t.c.last_at < old))
        yield from taken
        after = rows[-1].id


def _only_here(connector: Connector) -> list[Resource]:
    return [resource for resource in connector.resources if isinstance(resource.plan, WebhookOnly)]


def _rows_of(resources: Sequence[Resource], contents: Iterable[bytes]) -> list[tuple[Resource, list[bytes]]]:
    """The rows for each resource. What none of them finds a row in goes to the first, which says what is wrong."""
    found: list[tuple[Resource, list[bytes]]] = [(resource, []) for resource in resources]
    for content in contents:
        document = decode(content)
        taken = False
        for resource, raws in found:
            place = lookup(document, tuple(resource.rows.split("."))) if resource.rows else document
            rows = place if isinstance(place, list) else [place] if isinstance(place, dict) else []
            raws += [encode(row) for row in rows]
            taken = taken or bool(rows)
        if found and not taken:
            found[0][1].append(content)
    return found


def _sift(conn: Connection, book: Book, resource: Resource, raws: Sequence[bytes]) -> ledger.Sifted:
    """The newest of several versions of a row counts. People are out of these rows already."""
    clean = msgspec.structs.replace(resource, drop=(), pseudonymise=(), details=None)
    newest: dict[object, tuple[str, bytes]] = {}
    for number, (key, raw) in enumerate(zip(ledger.keys_of(clean, raws), raws, strict=True)):
        newest.pop(key or number, None)
        newest[key or number] = (key, raw)
    keys = [key for key, _ in newest.values()]
    known = writes.known_rows(conn, book.connection_id, resource.name, [key for key in keys if key])
    return ledger.sift(book, clean, keys, [raw for _, raw in newest.values()], known, lambda row: row)
