"""The tables of who may do what: users, the browsers in which they are logged in, API tokens, and what was done."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from tracker.store.columns import RowId, maybe_time, maybe_word, owned_by, row_id, time, word


class User(SQLModel, table=True):
    """Somebody who may log in. `password` is an Argon2 hash."""

    __tablename__ = "user"
    __table_args__ = (UniqueConstraint("name"),)
    id: int | None = row_id()
    name: str = word(64)
    password: str
    role: str = word()
    language: str | None = maybe_word(5)  # of the pages; None: what the browser asks for
    seen_at: datetime | None = maybe_time()  # when the overview was last looked at
    seen_earning: int | None = Field(default=None, sa_type=RowId)  # the newest earning there was then
    created_at: datetime = time()


class Session(SQLModel, table=True):
    """A browser in which a user is logged in, by the digest of what its cookie says. To end it, the row is deleted."""

    __tablename__ = "session"
    token_digest: str = Field(primary_key=True, max_length=64)
    user_id: int = owned_by("user", index=True)
    created_at: datetime = time()
    expires_at: datetime = time(index=True)


class ApiToken(SQLModel, table=True):
    """A key to `/api/v1`, by the digest of its text. `last_used_at` is known to the hour."""

    __tablename__ = "api_token"
    __table_args__ = (UniqueConstraint("token_digest"),)
    id: int | None = row_id()
    user_id: int = owned_by("user", index=True)
    name: str = word(64)
    token_digest: str = word(64)
    scope: str = word()  # read or write
    created_at: datetime = time()
    expires_at: datetime | None = maybe_time()
    last_used_at: datetime | None = maybe_time()


class AuditEvent(SQLModel, table=True):
    """Something a person, or a program with a token, did: a login, or a change of credentials, settings or data.

    `actor` is a name, so that the trail outlives its user; `subject` says to what. Neither holds a secret.
    """

    __tablename__ = "audit_event"
    id: int | None = row_id()
    at: datetime = time(index=True)
    actor: str = word(80)
    action: str = word(40)
    subject: str = word(200)
    sender: str | None = maybe_word(64)  # the address that it came from; None: the command line
