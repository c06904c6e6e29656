"""The tables of who may see the pages: users, and the browsers in which they are logged in."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from tracker.store.columns import owned_by, row_id, time, word


class User(SQLModel, table=True):
    """Somebody who may log in. `password` is an Argon2 hash."""

    __tablename__ = "user"
    __table_args__ = (UniqueConstraint("name"),)
    id: int | None = row_id()
    name: str = word(64)
    password: str
    role: str = word()
    created_at: datetime = time()


class Session(SQLModel, table=True):
    """A browser in which a user is logged in, by the digest of what its cookie says. To end it, the row is deleted."""

    __tablename__ = "session"
    token_digest: str = Field(primary_key=True, max_length=64)
    user_id: int = owned_by("user", index=True)
    created_at: datetime = time()
    expires_at: datetime = time(index=True)
