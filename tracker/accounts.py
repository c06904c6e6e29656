"""Who may see the pages: users with Argon2 passwords, and sessions that can be ended from here.

A session is a random token in a browser's cookie. The ledger keeps its digest only, so a copy of the database lets
nobody in.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from functools import lru_cache
from threading import BoundedSemaphore
from typing import Any, NamedTuple

from pwdlib import PasswordHash
from sqlalchemy import Connection, Engine, delete, insert, select, update

from tracker.errors import UsageError
from tracker.store import tables
from tracker.store.database import database_errors, reading

user_t = tables.User.__table__  # type: ignore[attr-defined]
session_t = tables.Session.__table__  # type: ignore[attr-defined]

OWNER = "owner"
#: NIST SP 800-63B asks for eight at least; the longest is what hashing may cost.
PASSWORD_MIN, PASSWORD_MAX, NAME_MAX = 10, 200, 64
SESSION = timedelta(days=30)
#: A password takes 64 MB and a core for a third of a second: so many at once.
_hashing = BoundedSemaphore(2)


class Visitor(NamedTuple):
    """Somebody who is logged in."""

    id: int
    name: str
    role: str
    language: str | None


# --- users ---


def any_user(engine: Engine) -> bool:
    with database_errors(engine), reading(engine) as conn:
        return _any(conn)


def _any(conn: Connection) -> bool:
    return conn.execute(select(user_t.c.id).limit(1)).first() is not None


def add_owner(engine: Engine, name: str, password: str, now: datetime) -> int:
    """The first user. Raises UsageError for a name or password that will not do, and when there is a user already."""
    name = name.strip()
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise UsageError(f"a name has 1 to {NAME_MAX} letters.")
    hashed = _hashed(password)
    with database_errors(engine), engine.begin() as conn:
        if _any(conn):
            raise UsageError("there is an owner already.", hint="Log in, or set a new password: tracker password")
        values = {"name": name, "password": hashed, "role": OWNER, "created_at": now}
        return int(conn.execute(insert(user_t).values(values)).inserted_primary_key[0])  # type: ignore[index]


def set_password(engine: Engine, password: str, now: datetime) -> str:
    """Give the owner, who is made where there is none, another password and end all sessions. Answers the name."""
    hashed = _hashed(password)
    with database_errors(engine), engine.begin() as conn:
        row = conn.execute(select(user_t).where(user_t.c.role == OWNER).order_by(user_t.c.id)).first()
        if row is None:
            values = {"name": OWNER, "password": hashed, "role": OWNER, "created_at": now}
            conn.execute(insert(user_t).values(values))
            return OWNER
        conn.execute(update(user_t).where(user_t.c.id == row.id).values(password=hashed))
        conn.execute(delete(session_t).where(session_t.c.user_id == row.id))
        return str(row.name)


def _hashed(password: str) -> str:
    if len(password) < PASSWORD_MIN:
        raise UsageError(f"the password is too short: at least {PASSWORD_MIN} characters.")
    if len(password) > PASSWORD_MAX:
        raise UsageError(f"the password is too long: at most {PASSWORD_MAX} characters.")
    with _hashing:
        return _hasher().hash(password)


@lru_cache
def _hasher() -> PasswordHash:
    return PasswordHash.recommended()


@lru_cache
def _nobody() -> str:
    """What a password is held against when there is no such user, so that the answer takes as long."""
    return _hasher().hash(secrets.token_urlsafe())


def recognise(engine: Engine, name: str, password: str) -> int | None:
    """The id of the user with that name and password; None, after the same work, for anybody else."""
    with database_errors(engine), reading(engine) as conn:
        row = conn.execute(select(user_t.c.id, user_t.c.password).where(user_t.c.name == name.strip())).first()
    with _hashing:
        right = _hasher().verify(password[:PASSWORD_MAX], row.password if row else _nobody())
    return int(row.id) if row and right and len(password) <= PASSWORD_MAX else None


# --- sessions ---


def open_session(engine: Engine, user_id: int, now: datetime) -> str:
    """Log a user in. Answers the token for the cookie, good for `SESSION`."""
    token = secrets.token_urlsafe(32)
    values: dict[str, Any] = {"token_digest": _digest(token), "user_id": user_id, "created_at": now}
    with database_errors(engine), engine.begin() as conn:
        conn.execute(delete(session_t).where(session_t.c.expires_at <= now))
        conn.execute(insert(session_t).values({**values, "expires_at": now + SESSION}))
    return token


def visitor(engine: Engine, token: str, now: datetime) -> Visitor | None:
    """Whose session it is; None for one that is over, ended or invented."""
    query = (
        select(user_t.c.id, user_t.c.name, user_t.c.role, user_t.c.language)
        .join(session_t, session_t.c.user_id == user_t.c.id)
        .where(session_t.c.token_digest == _digest(token), session_t.c.expires_at > now)
    )
    with database_errors(engine), reading(engine) as conn:
        row = conn.execute(query).first()
    return Visitor(*row) if row else None


def close_session(engine: Engine, token: str) -> None:
    with database_errors(engine), engine.begin() as conn:
        conn.execute(delete(session_t).where(session_t.c.token_digest == _digest(token)))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
