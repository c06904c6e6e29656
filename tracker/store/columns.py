"""Column types that behave the same on SQLite and PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, DateTime, Index, Integer, String, text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

from tracker.money import from_micros, to_micros

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Micros(TypeDecorator[Decimal]):
    """An exact amount in major units, stored as integer millionths. Sums of the column stay exact."""

    impl = BigInteger
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], int | None]:
        return lambda value: None if value is None else to_micros(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else from_micros(int(value))  # PostgreSQL's sum() of BIGINT is NUMERIC


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"naive time: {value!r}")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time, stored in UTC. A naive time is a mistake and is refused."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(DateTime(timezone=dialect.name != "sqlite"))

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any]:
        """On SQLite the very text that SQLAlchemy writes for a time, only sooner: 2026-06-15 10:00:00.000000."""
        if dialect.name == "sqlite":
            return lambda value: None if value is None else _utc(value).isoformat(" ", "microseconds")[:26]
        return lambda value: None if value is None else _utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# --- how the tables declare their columns ---

#: A row id: SQLite only counts up by itself in a column of type INTEGER.
RowId = BigInteger().with_variant(Integer(), "sqlite")


def row_id() -> Any:
    return Field(default=None, primary_key=True, sa_type=RowId)


def owned_by(table: str, *, index: bool = False, key: bool = False) -> Any:
    """A reference that goes when its owner goes."""
    return Field(foreign_key=f"{table}.id", ondelete="CASCADE", index=index, primary_key=key, sa_type=RowId)


def time(*, index: bool = False) -> Any:
    return Field(sa_type=UtcDateTime, index=index)


def maybe_time(*, index: bool = False) -> Any:
    return Field(default=None, sa_type=UtcDateTime, index=index)


def word(length: int = 16) -> Any:
    return Field(sa_type=String(length))


def maybe_word(length: int = 16) -> Any:
    return Field(default=None, sa_type=String(length))


def money() -> Any:
    return Field(sa_type=Micros)


def maybe_money() -> Any:
    return Field(default=None, sa_type=Micros)


def index_where(name: str, condition: str, *columns: str, sqlite: str | None = None) -> Index:
    """An index over the rows that fit a condition, which must read as SQLAlchemy writes it in queries."""
    return Index(name, *columns, sqlite_where=text(sqlite or condition), postgresql_where=text(condition))
