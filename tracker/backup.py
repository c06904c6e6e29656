"""Backup and restore: one archive for SQLite and PostgreSQL alike, so that a ledger also moves from one to the other.

The archive is a zip file: for each table a member of length-prefixed MessagePack rows (amounts as integer millionths,
times in UTC), and last `manifest.json` with the revision of the schema, the columns, the number of rows and a SHA-256
of each member. Both ways hold one row set at a time in memory. Sealed credentials are inside; the key file never is.
"""

import hashlib
import os
import secrets
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    Engine,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    insert,
    inspect,
    select,
    type_coerce,
)

from tracker.errors import ConfigError, TrackerError, UsageError
from tracker.store import tables
from tracker.store.columns import Micros, UtcDateTime
from tracker.store.database import alembic_config

FORMAT = "income-tracker backup 1"
MANIFEST = "manifest.json"
#: Rows read or written at once, and of tables whose rows may be a page each.
ROWS, BULKY_ROWS = 1_000, 16
_BULKY = frozenset({"raw_batch", "quarantine"})
_LENGTH = struct.Struct(">I")
#: A row holds at most one compressed page, and pages have a limit of 1 GB.
_ROW_MAX = 1_100_000_000
_MANIFEST_MAX = 10_000_000
_NOT_EMPTY = ("connection", "stream", "earning")
_encoder = msgspec.msgpack.Encoder()
_TYPES: dict[str, Any] = {
    "int": BigInteger, "bool": Boolean, "text": Text, "bytes": LargeBinary, "time": UtcDateTime, "day": Date,
    "json": JSON(none_as_null=True),
}  # fmt: skip


class Part(msgspec.Struct, kw_only=True):
    """One table in the archive; `columns` by name with their kind."""

    columns: dict[str, str]
    rows: int
    sha256: str


class Manifest(msgspec.Struct, kw_only=True):
    format: str
    revision: str
    made_at: datetime
    tables: dict[str, Part]

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.tables.values())


# --- backup ---


def backup(engine: Engine, to: Path, now: datetime, *, force: bool = False) -> Manifest:
    """Write everything in the ledger to a new file of mode 0600, as it is at one moment, also while syncs run.

    Raises UsageError when the file exists (unless `force`) and ConfigError when it cannot be written; then nothing is
    left of it.
    """
    to = to.absolute()
    if not force and os.path.lexists(to):
        raise UsageError(f"{to} exists.", hint="Choose another name, or replace it with --force.")
    draft = to.with_name(f".{to.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                manifest = _write(engine, file, now)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, to)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(
            f"the backup {to} cannot be written: {error.strerror}.", hint="Check the folder and its free space."
        ) from error
    return manifest


def _write(engine: Engine, file: IO[bytes], now: datetime) -> Manifest:
    parts: dict[str, Part] = {}
    with _one_moment(engine) as conn, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        revision = _revision(conn)
        for table in tables.metadata.sorted_tables:
            with archive.open(table.name, "w", force_zip64=True) as member:
                parts[table.name] = _write_table(conn, table, member)
        manifest = Manifest(format=FORMAT, revision=revision, made_at=now, tables=parts)
        archive.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


@contextmanager
def _one_moment(engine: Engine) -> Iterator[Connection]:
    """One read transaction that sees no later commit: on SQLite every one is so, on PostgreSQL it must be asked for."""
    options: dict[str, Any] = {"read_only": True}
    if engine.dialect.name == "postgresql":
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with engine.connect().execution_options(**options) as conn:
        yield conn


def _write_table(conn: Connection, table: Table, member: IO[bytes]) -> Part:
    columns = {column.name: _kind(column) for column in table.c}
    amounts = [type_coerce(c, BigInteger).label(c.name) if isinstance(c.type, Micros) else c for c in table.c]
    size = BULKY_ROWS if table.name in _BULKY else ROWS
    query = select(*amounts).order_by(*table.primary_key.columns).execution_options(yield_per=size)
    digest, count = hashlib.sha256(), 0
    for rows in conn.execute(query).partitions():
        for row in rows:
            encoded = _encoder.encode(tuple(row))
            piece = _LENGTH.pack(len(encoded)) + encoded
            digest.update(piece)
            member.write(piece)
        count += len(rows)
    return Part(columns=columns, rows=count, sha256=digest.hexdigest())


def _kind(column: Column[Any]) -> str:
    kinds = (
        (Micros, "int"), (UtcDateTime, "time"), (BigInteger, "int"), (Boolean, "bool"), (LargeBinary, "bytes"),
        (JSON, "json"), (Date, "day"),
    )  # fmt: skip
    found = next((kind for of, kind in kinds if isinstance(column.type, of)), None)
    return found or ("int" if column.type.python_type is int else "text")


def _revision(conn: Connection) -> str:
    from alembic.runtime.migration import MigrationContext

    return MigrationContext.configure(conn).get_current_revision() or ""


# --- restore ---


def restore(engine: Engine, source: Path, *, force: bool = False) -> Manifest:
    """Put an archive into an empty ledger, or with `force` in place of what is there.

    The whole archive is checked before anything is touched, and all is one transaction. Raises UsageError when the
    ledger is not empty and TrackerError for a file that is missing, damaged, no backup, or of a newer version.
    """
    with open_archive(source) as (archive, manifest):
        before = _revisions_to(manifest.revision)
        for name, part in manifest.tables.items():
            for _ in read_rows(archive, name, part):
                pass
        with engine.begin() as conn:
            if not force and _in_use(conn):
                raise UsageError(
                    "the ledger is not empty.", hint="Give another TRACKER_DATA_DIR, or replace all of it with --force."
                )
            _drop_all(conn)
            _upgrade(conn, manifest.revision)
            for name, part in manifest.tables.items():
                _load(conn, archive, name, part)
            if before:
                _upgrade(conn, "head")
    return manifest


@contextmanager
def open_archive(source: Path) -> Iterator[tuple[zipfile.ZipFile, Manifest]]:
    """An archive with its manifest. Raises TrackerError when it is none or is damaged."""
    try:
        with zipfile.ZipFile(source) as archive:
            yield archive, _manifest(archive)
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror or error}.", hint="Check the path.") from error
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, ValueError, msgspec.MsgspecError, zlib.error) as error:
        raise _damaged(str(error)[:100]) from error


def _damaged(what: str) -> TrackerError:
    return TrackerError(
        f"this file is damaged or no backup ({what}); the ledger was not touched.", hint="Use another copy of it."
    )


def _manifest(archive: zipfile.ZipFile) -> Manifest:
    if MANIFEST not in archive.namelist():
        raise _damaged("it has no manifest")
    if archive.getinfo(MANIFEST).file_size > _MANIFEST_MAX:
        raise _damaged("its manifest is too large")
    found = msgspec.json.decode(archive.read(MANIFEST))
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise _damaged("it has another format")
    manifest = msgspec.convert(found, Manifest)
    for name, part in manifest.tables.items():
        if not name.isidentifier() or not all(column.isidentifier() for column in part.columns):
            raise _damaged("a table has an impossible name")
        if set(part.columns.values()) - set(_TYPES):
            raise _damaged(f"{name} has columns of an unknown kind")
    return manifest


def _revisions_to(revision: str) -> bool:
    """Whether there are newer revisions than the archive's. Raises TrackerError when we do not know it ourselves."""
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    scripts = ScriptDirectory.from_config(alembic_config())
    try:
        scripts.get_revision(revision)
    except CommandError:
        raise TrackerError(
            f"the backup was made by a newer version (schema {revision[:20]}).", hint="Update the tracker first."
        ) from None
    return scripts.get_current_head() != revision


def read_rows(archive: zipfile.ZipFile, name: str, part: Part) -> Iterator[list[Any]]:
    """The rows of a table, one by one, checked against count and checksum at the end. Raises TrackerError."""
    digest, count = hashlib.sha256(), 0
    if name not in archive.namelist():
        raise _damaged(f"the table {name} is missing")
    with archive.open(name) as member:
        while head := member.read(_LENGTH.size):
            (length,) = _LENGTH.unpack(head) if len(head) == _LENGTH.size else (_ROW_MAX + 1,)
            encoded = member.read(length) if length <= _ROW_MAX else b""
            if len(encoded) != length:
                raise _damaged(f"the table {name} is cut short")
            digest.update(head)
            digest.update(encoded)
            row = msgspec.msgpack.decode(encoded)
            if not isinstance(row, list) or len(row) != len(part.columns):
                raise _damaged(f"a row of {name} has the wrong length")
            count += 1
            yield row
    if count != part.rows or digest.hexdigest() != part.sha256:
        raise _damaged(f"the checksum of {name} is another one")


def _in_use(conn: Connection) -> bool:
    there = set(inspect(conn).get_table_names())
    return any(
        conn.execute(select(tables.metadata.tables[name]).limit(1)).first() is not None
        for name in _NOT_EMPTY
        if name in there
    )


def _drop_all(conn: Connection) -> None:
    """Every table of ours, whatever its version. On PostgreSQL this waits until nobody reads them."""
    there = MetaData()
    there.reflect(conn, only=lambda name, _: name == "alembic_version" or name in tables.metadata.tables)
    there.drop_all(conn)


def _upgrade(conn: Connection, revision: str) -> None:
    from alembic import command

    config = alembic_config()
    config.attributes["connection"] = conn
    command.upgrade(config, revision)


def _load(conn: Connection, archive: zipfile.ZipFile, name: str, part: Part) -> None:
    table = Table(name, MetaData(), *(Column(column, _TYPES[kind]) for column, kind in part.columns.items()))
    days = [at for at, kind in enumerate(part.columns.values()) if kind == "day"]
    size = BULKY_ROWS if name in _BULKY else ROWS
    waiting: list[dict[str, Any]] = []
    for row in read_rows(archive, name, part):
        for at in days:
            row[at] = row[at] and date.fromisoformat(row[at])
        waiting.append(dict(zip(part.columns, row, strict=True)))
        if len(waiting) == size:
            conn.execute(insert(table), waiting)
            waiting = []
    if waiting:
        conn.execute(insert(table), waiting)
    if conn.dialect.name == "postgresql" and "id" in part.columns:
        sequence = conn.execute(select(func.pg_get_serial_sequence(name, "id"))).scalar()
        newest = conn.execute(select(func.max(table.c.id))).scalar()
        if sequence and newest:
            conn.execute(select(func.setval(sequence, newest)))
