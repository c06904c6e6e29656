"""The tables of what providers sent: rows as they came, their digests, and those that nobody could understand."""

from datetime import datetime

from sqlalchemy import JSON, Index, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from tracker.store.columns import RowId, owned_by, row_id, time


class RawBatch(SQLModel, table=True):
    """The new or changed rows of one page as the provider sent them, minus personal fields: a compressed JSON list."""

    __tablename__ = "raw_batch"
    __table_args__ = (Index("ix_raw_batch_connection_id_resource", "connection_id", "resource"),)
    id: int | None = row_id()
    connection_id: int = owned_by("connection")
    resource: str
    run_id: int = Field(sa_type=RowId)
    fetched_at: datetime = time()
    rows: bytes = Field(sa_type=LargeBinary)


class RawRow(SQLModel, table=True):
    """The newest version of each row a provider sent: its digest, where it is kept, and what was made of it.

    `made` lists the external ids of its records when they are not just the row's own key.
    """

    __tablename__ = "raw_row"
    connection_id: int = owned_by("connection", key=True)
    resource: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    digest: bytes = Field(sa_type=LargeBinary)
    batch_id: int = Field(sa_type=RowId)
    position: int
    made: list[str] | None = Field(default=None, sa_type=JSON(none_as_null=True))


class PageDigest(SQLModel, table=True):
    """A page that came before: it is skipped whole while its bytes and the resource's revision are the same."""

    __tablename__ = "page_digest"
    connection_id: int = owned_by("connection", key=True)
    resource: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    digest: bytes = Field(sa_type=LargeBinary)
    revision: int


class Quarantine(SQLModel, table=True):
    """A row that could not be understood, kept until it can."""

    __tablename__ = "quarantine"
    __table_args__ = (UniqueConstraint("connection_id", "resource", "fingerprint"),)
    id: int | None = row_id()
    connection_id: int = owned_by("connection")
    resource: str
    fingerprint: str
    row_key: str
    payload: bytes = Field(sa_type=LargeBinary)
    error: str
    first_seen_at: datetime = time()
    last_seen_at: datetime = time()
    tries: int = 1
