"""Opening the ledger: engine, SQLite settings, migrations."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from tracker.errors import ConfigError

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 15_000


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///…` or `postgresql+psycopg://…`. Connects to nothing yet."""
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        parsed.get_dialect()
    except ArgumentError:
        raise ConfigError(
            "TRACKER_DATABASE_URL is not a database address.", hint="Example: sqlite:////data/tracker.db"
        ) from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigError(f"{parsed.get_backend_name()} is not supported.", hint="Use sqlite:///… or postgresql://…")
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed)
        event.listen(engine, "connect", _tune_sqlite)
        event.listen(engine, "begin", _begin_immediately)
        return engine
    try:
        return create_engine(parsed, pool_pre_ping=True, pool_size=5, max_overflow=10)
    except ModuleNotFoundError:
        raise ConfigError(
            "the driver for PostgreSQL is not installed.", hint="Install the extra: income-tracker[postgres]"
        ) from None


def _tune_sqlite(connection: sqlite3.Connection, record: Any) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says so, below
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
        "cache_size = -8000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediately(connection: Connection) -> None:
    """Take the write lock at the start: a transaction that reads first and writes later could not wait for it."""
    options = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN" if options.get("read_only") else "BEGIN IMMEDIATE")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for queries only: on SQLite it takes no write lock."""
    with engine.connect().execution_options(read_only=True) as connection:
        yield connection


def migrate(engine: Engine) -> None:
    """Bring the database to the newest version. Safe to call at every start, also by several processes at once."""
    with database_errors(engine):
        found, newest = version(engine), newest_version()
        if found == newest:
            return
        if found is not None and found > newest:
            raise ConfigError(
                f"the database was made by a newer tracker (version {found}; this one knows {newest}).",
                hint="Update the tracker, or restore a backup made before.",
            )
        from alembic import command  # takes half a second, and mostly there is nothing to do

        config = alembic_config()
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(7263041)"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def version(engine: Engine) -> str | None:
    """The version of the database; None before the first migration."""
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def newest_version() -> str:
    """Migrations are numbered in order, by the start of their file's name."""
    return max(file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def alembic_config() -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def database_errors(engine: Engine) -> Iterator[None]:
    """Say in one line what is wrong with the database, without its address or password."""
    try:
        yield
    except DBAPIError as error:
        raise explained(error, engine) from error


def explained(error: DBAPIError, engine: Engine) -> ConfigError:
    """What is wrong with the database and what to do, in one line."""
    what = str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
    url = engine.url
    where = url.database if url.get_backend_name() == "sqlite" else url.host or url.database
    lower = what.lower()
    if "locked" in lower:
        hint = "Another process is writing; try again. If it stays locked, look for a hanging tracker process."
    elif "readonly" in lower or "unable to open" in lower or "permission" in lower:
        hint = "Check that the folder exists and that you may write to it (TRACKER_DATA_DIR)."
    elif "full" in lower:
        hint = "Free some space; what was written before is safe and the next sync goes on from there."
    elif "malformed" in lower or "not a database" in lower:
        hint = "The file is damaged or no database: restore a backup with `tracker restore`."
    elif isinstance(error, OperationalError):
        hint = "Check that the database runs and that TRACKER_DATABASE_URL is right."
    else:
        hint = ""
    return ConfigError(f"the database {where} answered: {what}.", hint=hint)
