"""The tables of what providers send by themselves: the addresses they send it to, and what came there."""

from datetime import datetime

from sqlalchemy import LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from tracker.store.columns import index_where, maybe_time, owned_by, row_id, time, word


class InboundAddress(SQLModel, table=True):
    """The secret address of a connection. Only a digest of its token is kept, so the database gives none away."""

    __tablename__ = "inbound_address"
    __table_args__ = (UniqueConstraint("token_digest"),)
    connection_id: int = owned_by("connection", key=True)
    token_digest: str = word(64)
    made_at: datetime = time()


class Inbound(SQLModel, table=True):
    """One postback or webhook: JSON without personal fields. The same content again only counts up `times`.

    `taken_at`: when a sync saw it. From then on it is here to recognise repetitions by.
    """

    __tablename__ = "inbound"
    __table_args__ = (
        UniqueConstraint("connection_id", "digest"),
        index_where("ix_inbound_waiting", "taken_at IS NULL", "connection_id", "id"),
    )
    id: int | None = row_id()
    connection_id: int = owned_by("connection")
    digest: bytes = Field(sa_type=LargeBinary)
    method: str = word(4)
    signed: bool
    content: bytes = Field(sa_type=LargeBinary)
    first_at: datetime = time()
    last_at: datetime = time()
    times: int = 1
    taken_at: datetime | None = maybe_time()
