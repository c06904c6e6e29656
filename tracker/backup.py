"""Backup and restore: one archive for SQLite and PostgreSQL alike, so that a ledger also moves from one to the other.

The archive is a zip file: for each table a member of length-prefixed MessagePack rows (amounts as integer millionths,
times in UTC), the user's own providers and statement profiles under `files/`, and last `manifest.json` with the
revision of the schema, the columns, the number of rows and a SHA-256 of each member. Both ways hold one row set at a
time in memory. Sealed credentials are inside; the key file never is.
"""

import hashlib
import os
import secrets
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime
from pathlib import Path, PurePosixPath
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
#: The user's own files in the data folder: providers with their samples, and profiles of statements.
OWN_FILES = ("connectors.d/*.toml", "connectors.d/*/*.json", "connectors.d/*/*.expected", "statements/*.toml")
FILES_MAX, FILES_SIZE_MAX = 5_000, 50_000_000
_FILES = "files/"
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
    """`files` by their path in the data folder, with their SHA-256; older backups have none."""

    format: str
    revision: str
    made_at: datetime
    tables: dict[str, Part]
    files: dict[str, str] = {}

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.tables.values())


# --- backup ---


def backup(engine: Engine, to: Path, now: datetime, *, data_dir: Path | None = None, force: bool = False) -> Manifest:
    """Write everything in the ledger to a new file of mode 0600, as it is at one moment, also while syncs run.

    With it go the user's own files in the data folder. Raises UsageError when the file exists (unless `force`) or one
    of the user's is too large, and ConfigError when it cannot be written; then nothing is left of it.
    """
    own = _own_files(data_dir)
    to = to.absolute()
    if not force and os.path.lexists(to):
        raise UsageError(f"{to} exists.", hint="Choose another name, or replace it with --force.")
    draft = to.with_name(f".{to.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                manifest = _write(engine, file, now, own)
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


def _own_files(data_dir: Path | None) -> dict[str, bytes]:
    """The user's own files by their path in the data folder. Raises UsageError where there is more than is kept."""
    if data_dir is None:
        return {}
    files = {file.relative_to(data_dir).as_posix(): file for one in OWN_FILES for file in data_dir.glob(one)}
    files = {name: file for name, file in sorted(files.items()) if _is_own(name) and file.is_file()}
    if len(files) > FILES_MAX or sum(file.stat().st_size for file in files.values()) > FILES_SIZE_MAX:
        raise UsageError(
            f"connectors.d and statements hold more than {FILES_MAX:,} files or {FILES_SIZE_MAX // 1_000_000} MB.",
            hint="Move what is no provider, sample or profile to another folder.",
        )
    try:
        return {name: file.read_bytes() for name, file in files.items()}
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror}.", hint="Check its rights.") from None


def _is_own(name: str) -> bool:
    """Whether a path is one that the user's own files have, and leads nowhere else."""
    odd = any(part.startswith(".") or not part.isprintable() or set(part) & set("\\:") for part in name.split("/"))
    return not odd and any(
        name.count("/") == pattern.count("/") and PurePosixPath(name).match(pattern) for pattern in OWN_FILES
    )


def _write(engine: Engine, file: IO[bytes], now: datetime, own: dict[str, bytes]) -> Manifest:
    parts: dict[str, Part] = {}
    with _one_moment(engine) as conn, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        revision = _revision(conn)
        for table in tables.metadata.sorted_tables:
            with archive.open(table.name, "w", force_zip64=True) as member:
                parts[table.name] = _write_table(conn, table, member)
        for name, content in own.items():
            archive.writestr(_FILES + name, content)
        files = {name: hashlib.sha256(content).hexdigest() for name, content in own.items()}
        manifest = Manifest(format=FORMAT, revision=revision, made_at=now, tables=parts, files=files)
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


def restore(engine: Engine, source: Path, *, data_dir: Path | None = None, force: bool = False) -> Manifest:
    """Put an archive into an empty ledger, or with `force` in place of what is there.

    The user's own files go into the data folder; others that are there stay. The whole archive is checked before
    anything is touched, and all is one transaction. Raises UsageError when the ledger is not empty, ConfigError when a
    file cannot be written, and TrackerError for an archive that is missing, damaged, none, or of a newer version.
    """
    with open_archive(source) as (archive, manifest):
        before = _revisions_to(manifest.revision)
        own = _kept_files(archive, manifest)
        for name, part in manifest.tables.items():
            for _ in read_rows(archive, name, part):
                pass
        with engine.begin() as conn:
            if not force and _in_use(conn):
                raise UsageError(
                    "the ledger is not empty.", hint="Give another TRACKER_DATA_DIR, or replace all of it with --force."
                )
            if data_dir and not force:
                _check_free(data_dir, own)
            _drop_all(conn)
            _upgrade(conn, manifest.revision)
            for name, part in manifest.tables.items():
                _load(conn, archive, name, part)
            if before:
                _upgrade(conn, "head")
            if data_dir:
                _put_back(data_dir, own)
    return manifest


def _kept_files(archive: zipfile.ZipFile, manifest: Manifest) -> dict[str, bytes]:
    members = {name: _FILES + name for name in manifest.files}
    if not set(archive.namelist()).issuperset(members.values()):
        raise _damaged("a file of yours is missing in it")
    if sum(archive.getinfo(member).file_size for member in members.values()) > FILES_SIZE_MAX:
        raise _damaged("your files in it are too large")
    found = {name: archive.read(member) for name, member in members.items()}
    if any(hashlib.sha256(content).hexdigest() != manifest.files[name] for name, content in found.items()):
        raise _damaged("a file of yours has another checksum")
    return found


def _check_free(data_dir: Path, own: dict[str, bytes]) -> None:
    for name, content in own.items():
        file = data_dir / name
        if os.path.lexists(file) and not (file.is_file() and file.read_bytes() == content):
            raise UsageError(f"{file} is there and another one.", hint="Move it away, or replace it with --force.")


def _put_back(data_dir: Path, own: dict[str, bytes]) -> None:
    for name, content in own.items():
        file = data_dir / name
        draft = file.with_name(f".{file.name}.{secrets.token_hex(6)}")
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.write_bytes(content)
            os.replace(draft, file)
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            raise ConfigError(
                f"{file} cannot be written: {error.strerror}; the ledger was not touched.", hint="Check the folder."
            ) from error


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
    if len(manifest.files) > FILES_MAX or not all(map(_is_own, manifest.files)):
        raise _damaged("a file in it has an impossible name")
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
