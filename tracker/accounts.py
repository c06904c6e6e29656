"""Who may see the pages: users with Argon2 passwords, and sessions that can be ended from here.

An owner may do everything; a viewer may look, and change their own profile. There is always an owner. A session is a
random token in a browser's cookie. The ledger keeps its digest only, so a copy of the database lets nobody in.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from functools import lru_cache
from threading import BoundedSemaphore
from typing import Any, NamedTuple

from pwdlib import PasswordHash
from sqlalchemy import Connection, Engine, and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from tracker.errors import UsageError
from tracker.settings import LANGUAGES
from tracker.store import tables
from tracker.store.database import database_errors, reading

user_t = tables.User.__table__  # type: ignore[attr-defined]
session_t = tables.Session.__table__  # type: ignore[attr-defined]

OWNER, VIEWER = "owner", "viewer"
ROLES = (OWNER, VIEWER)
#: NIST SP 800-63B asks for eight at least; the longest is what hashing may cost.
PASSWORD_MIN, PASSWORD_MAX, NAME_MAX = 10, 200, 64
USERS_MAX = 200
#: So much of a session's digest names it in a list; it opens nothing.
REF = 16
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


def add_owner(engine: Engine, name: str, password: str, now: datetime, language: str | None = None) -> int:
    """The first user. Raises UsageError for a name or password that will not do, and when there is a user already."""
    values = _new(name, password, OWNER, now, language)
    with database_errors(engine), engine.begin() as conn:
        if _any(conn):
            raise UsageError("there is an owner already.", hint="Log in, or set a new password: tracker password")
        return int(conn.execute(insert(user_t).values(values)).inserted_primary_key[0])  # type: ignore[index]


def add_user(engine: Engine, name: str, password: str, role: str, now: datetime) -> int:
    """Answers the id. Raises UsageError for a name that is taken and for what will not do."""
    values = _new(name, password, role, now, None)
    with database_errors(engine):
        if len(every_user(engine, now)) >= USERS_MAX:
            raise UsageError(f"there are {USERS_MAX} users already.", hint="Remove one first.")
        try:
            with engine.begin() as conn:
                return int(conn.execute(insert(user_t).values(values)).inserted_primary_key[0])  # type: ignore[index]
        except IntegrityError:
            raise _taken(values["name"]) from None


def _new(name: str, password: str, role: str, now: datetime, language: str | None) -> dict[str, Any]:
    checked = {"name": _name(name), "role": _role(role), "language": language if language in LANGUAGES else None}
    return {**checked, "password": _hashed(password), "created_at": now}


def _name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise UsageError(f"a name has 1 to {NAME_MAX} letters.")
    return name


def _taken(name: str) -> UsageError:
    return UsageError(f"there is a user called {name} already.", hint="Choose another name.")


def _role(role: str) -> str:
    if role not in ROLES:
        raise UsageError(f"no role is called {role[:40]!r}.", hint=f"There are: {', '.join(ROLES)}.")
    return role


def every_user(engine: Engine, now: datetime) -> list[Any]:
    """Rows with id, name, role, language, created_at, and in how many browsers each is logged in; by name."""
    open_ = and_(session_t.c.user_id == user_t.c.id, session_t.c.expires_at > now)
    browsers = select(func.count()).select_from(session_t).where(open_).scalar_subquery().label("browsers")
    columns = (user_t.c.id, user_t.c.name, user_t.c.role, user_t.c.language, user_t.c.created_at, browsers)
    with database_errors(engine), reading(engine) as conn:
        return list(conn.execute(select(*columns).order_by(user_t.c.name).limit(USERS_MAX)))


def find_user(engine: Engine, name: str) -> int:
    """The id of a user. Raises UsageError."""
    with database_errors(engine), reading(engine) as conn:
        found = conn.execute(select(user_t.c.id).where(user_t.c.name == name.strip())).scalar()
    if found is None:
        raise UsageError(f"no user is called {name[:NAME_MAX]!r}.", hint="See `tracker user list`.")
    return int(found)


def is_user(engine: Engine, name: str) -> bool:
    with database_errors(engine), reading(engine) as conn:
        return conn.execute(select(user_t.c.id).where(user_t.c.name == name.strip())).first() is not None


def set_role(engine: Engine, user_id: int, role: str) -> str:
    """Answers the user's name. Raises UsageError when nobody else would be an owner."""
    _role(role)
    with database_errors(engine), engine.begin() as conn:
        row = _locked(conn, user_id, last_owner=role == OWNER)
        conn.execute(update(user_t).where(user_t.c.id == user_id).values(role=role))
    return str(row.name)


def remove_user(engine: Engine, user_id: int) -> str:
    """With sessions and API tokens. Answers the name. Raises UsageError for the only owner."""
    with database_errors(engine), engine.begin() as conn:
        row = _locked(conn, user_id)
        conn.execute(delete(user_t).where(user_t.c.id == user_id))
    return str(row.name)


def _locked(conn: Connection, user_id: int, *, last_owner: bool = False) -> Any:
    """A user's row, with every owner's locked. Raises UsageError where the user is gone or, unless allowed, the last
    owner."""
    owners = select(user_t.c.id).where(user_t.c.role == OWNER).order_by(user_t.c.id).with_for_update()
    found = list(conn.execute(owners).scalars())
    row = conn.execute(select(user_t).where(user_t.c.id == user_id)).first()
    if row is None:
        raise UsageError("there is no such user any more.")
    if found == [user_id] and not last_owner:
        raise UsageError(f"{row.name} is the only owner.", hint="Make somebody else an owner first.")
    return row


def rename(engine: Engine, user_id: int, name: str) -> str:
    """Answers the name as it is kept. Raises UsageError for one that is taken or will not do."""
    name = _name(name)
    with database_errors(engine):
        try:
            with engine.begin() as conn:
                conn.execute(update(user_t).where(user_t.c.id == user_id).values(name=name))
        except IntegrityError:
            raise _taken(name) from None
    return name


def set_language(engine: Engine, user_id: int, language: str | None) -> None:
    """The language of the pages for a user; None: what the browser asks for. Raises UsageError."""
    if language is not None and language not in LANGUAGES:
        raise UsageError(f"the pages do not come in {language[:20]!r}.", hint=f"Choose of {', '.join(LANGUAGES)}.")
    with database_errors(engine), engine.begin() as conn:
        conn.execute(update(user_t).where(user_t.c.id == user_id).values(language=language))


# --- passwords ---


def set_password(engine: Engine, password: str, now: datetime) -> str:
    """Give the owner, who is made where there is none, another password and end all sessions. Answers the name."""
    hashed = _hashed(password)
    with database_errors(engine), engine.begin() as conn:
        row = conn.execute(select(user_t).where(user_t.c.role == OWNER).order_by(user_t.c.id)).first()
        if row is None:
            values = {"name": OWNER, "password": hashed, "role": OWNER, "created_at": now}
            conn.execute(insert(user_t).values(values))
            return OWNER
        _replace(conn, row.id, hashed)
        return str(row.name)


def reset_password(engine: Engine, user_id: int, password: str) -> str:
    """Give a user another password and end all of their sessions. Answers the name. Raises UsageError."""
    hashed = _hashed(password)
    with database_errors(engine), engine.begin() as conn:
        name = conn.execute(select(user_t.c.name).where(user_t.c.id == user_id)).scalar()
        if name is None:
            raise UsageError("there is no such user any more.")
        _replace(conn, user_id, hashed)
    return str(name)


def change_password(engine: Engine, user_id: int, old: str, new: str, token: str) -> None:
    """A user's own change: the old password is asked for, and every session but that of `token` ends.

    Raises UsageError when the old one is wrong or the new one will not do.
    """
    with database_errors(engine), reading(engine) as conn:
        name = conn.execute(select(user_t.c.name).where(user_t.c.id == user_id)).scalar()
    if recognise(engine, str(name), old) != user_id:
        raise UsageError("the old password is wrong.")
    hashed = _hashed(new)
    with database_errors(engine), engine.begin() as conn:
        _replace(conn, user_id, hashed, token)


def _replace(conn: Connection, user_id: int, hashed: str, keep: str = "") -> None:
    conn.execute(update(user_t).where(user_t.c.id == user_id).values(password=hashed))
    others = and_(session_t.c.user_id == user_id, session_t.c.token_digest != _digest(keep))
    conn.execute(delete(session_t).where(others))


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


def sessions_of(engine: Engine, user_id: int, now: datetime) -> list[Any]:
    """The browsers in which a user is logged in, newest first: rows with token_digest, created_at and expires_at."""
    mine = and_(session_t.c.user_id == user_id, session_t.c.expires_at > now)
    with database_errors(engine), reading(engine) as conn:
        return list(conn.execute(select(session_t).where(mine).order_by(session_t.c.created_at.desc()).limit(100)))


def ref_of(token: str) -> str:
    """The short name of a session, by its token."""
    return _digest(token)[:REF]


def end_session(engine: Engine, user_id: int, ref: str) -> bool:
    """End one of a user's sessions, by the start of its digest. Answers whether there was one."""
    if len(ref) != REF or not ref.isalnum():
        return False
    mine = and_(session_t.c.user_id == user_id, session_t.c.token_digest.startswith(ref))
    with database_errors(engine), engine.begin() as conn:
        return conn.execute(delete(session_t).where(mine)).rowcount > 0


def end_other_sessions(engine: Engine, user_id: int, token: str) -> int:
    """End all of a user's sessions but that of `token`. Answers how many."""
    others = and_(session_t.c.user_id == user_id, session_t.c.token_digest != _digest(token))
    with database_errors(engine), engine.begin() as conn:
        return conn.execute(delete(session_t).where(others)).rowcount


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
