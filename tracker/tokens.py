"""Keys to the API: made, listed, revoked and recognised.

A token is a random text that is shown once. The ledger keeps its digest only, so a copy of the database lets nobody
in. It may never do more than the user to whom it belongs: a viewer's tokens only read, and go when the user goes.
"""

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, delete, func, insert, or_, select, update

from tracker.accounts import OWNER, user_t
from tracker.errors import ConfigError, UsageError
from tracker.store import tables
from tracker.store.database import database_errors, reading

token_t = tables.ApiToken.__table__  # type: ignore[attr-defined]

#: What programs that look for leaked secrets can know a token by.
PREFIX = "itk_"
NAME_MAX, TOKENS_MAX = 64, 100


class Scope(StrEnum):
    READ = "read"
    WRITE = "write"  # reads as well


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of a token. `last_used_at` is the hour in which it was used last; None: never."""

    id: int
    name: str
    scope: Scope
    user: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Whoever sent a good token. `scope` is what it may do by now: a write token of a viewer only reads."""

    id: int
    name: str
    scope: Scope
    user: str
    expires_at: datetime | None

    @property
    def may_write(self) -> bool:
        return self.scope is Scope.WRITE


def make(
    engine: Engine, user_id: int, name: str, scope: str, now: datetime, *, expires_at: datetime | None = None
) -> str:
    """Make a token of a user and answer its text, which cannot be had again.

    Raises UsageError for a name that is none or taken, an unknown scope, a time that is over, a user who is gone or may
    not write, and too many tokens.
    """
    name = " ".join(name.split())
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise UsageError(f"a token's name has 1 to {NAME_MAX} letters.")
    if scope not in list(Scope):
        raise UsageError(f"a token cannot be for {scope[:20]!r}.", hint=f"Choose one of {', '.join(Scope)}.")
    if expires_at is not None and expires_at <= now:
        raise UsageError("the token would have ended already.", hint="Choose a later day.")
    text = PREFIX + secrets.token_urlsafe(32)
    values = {"user_id": user_id, "name": name, "scope": scope, "created_at": now, "expires_at": expires_at}
    with database_errors(engine), engine.begin() as conn:
        role = conn.execute(select(user_t.c.role).where(user_t.c.id == user_id)).scalar()
        if role is None or (role != OWNER and scope != Scope.READ):
            raise UsageError("only an owner can have a token that writes." if role else "there is no such user.")
        if conn.execute(select(token_t.c.id).where(token_t.c.name == name)).first():
            raise UsageError(f"there is a token {name!r} already.", hint="Choose another name, or revoke it first.")
        if conn.execute(select(func.count()).select_from(token_t)).scalar_one() >= TOKENS_MAX:
            raise UsageError(f"there are {TOKENS_MAX} tokens already.", hint="Revoke some first.")
        conn.execute(insert(token_t).values(**values, token_digest=_digest(text)))
    return text


def make_for_owner(engine: Engine, name: str, scope: str, now: datetime, *, expires_at: datetime | None = None) -> str:
    """The same for the first owner, for whoever has the machine. Raises UsageError where there is no user yet."""
    query = select(user_t.c.id).where(user_t.c.role == OWNER).order_by(user_t.c.id).limit(1)
    with database_errors(engine), reading(engine) as conn:
        owner = conn.execute(query).scalar()
    if owner is None:
        raise UsageError("there is no owner yet.", hint="Set a password first: tracker password")
    return make(engine, owner, name, scope, now, expires_at=expires_at)


def every(engine: Engine, user_id: int | None = None) -> list[Token]:
    """All tokens, or those of one user, by name; those that have ended as well."""
    columns = (token_t.c[name] for name in ("id", "name", "scope", "created_at", "expires_at", "last_used_at"))
    query = select(*columns, user_t.c.name.label("user")).join(user_t, user_t.c.id == token_t.c.user_id)
    if user_id is not None:
        query = query.where(token_t.c.user_id == user_id)
    with database_errors(engine), reading(engine) as conn:
        rows = conn.execute(query.order_by(func.lower(token_t.c.name), token_t.c.id)).all()
    return [Token(**{**row._mapping, "scope": Scope(row.scope)}) for row in rows]


def revoke(engine: Engine, token_id: int, *, user_id: int | None = None) -> str:
    """End a token at once; with `user_id` only one of that user's. Answers its name. Raises UsageError."""
    mine: list[Any] = [token_t.c.id == token_id]
    if user_id is not None:
        mine.append(token_t.c.user_id == user_id)
    with database_errors(engine), engine.begin() as conn:
        name = conn.execute(delete(token_t).where(*mine).returning(token_t.c.name)).scalar()
    if name is None:
        raise UsageError("there is no such token any more.")
    return str(name)


def good(engine: Engine, user_id: int, now: datetime) -> list[Token]:
    """Those of a user that have not ended."""
    return [one for one in every(engine, user_id) if one.expires_at is None or one.expires_at > now]


def revoke_all(engine: Engine, user_id: int) -> int:
    """End all tokens of a user at once. Answers how many there were."""
    with database_errors(engine), engine.begin() as conn:
        return conn.execute(delete(token_t).where(token_t.c.user_id == user_id)).rowcount


def recognise(engine: Engine, text: str, now: datetime) -> Bearer | None:
    """Who sends this text; None, after the same work, for a token that has ended, was revoked or is invented.

    What the database compares is a digest, of which a sender can choose no part: how long it takes tells nothing.
    """
    columns = (token_t.c[name] for name in ("id", "name", "scope", "expires_at", "last_used_at"))
    query = (
        select(*columns, user_t.c.name.label("user"), user_t.c.role)
        .join(user_t, user_t.c.id == token_t.c.user_id)
        .where(
            token_t.c.token_digest == _digest(text),
            or_(token_t.c.expires_at.is_(None), token_t.c.expires_at > now),
        )
    )
    with database_errors(engine), reading(engine) as conn:
        row = conn.execute(query).first()
    if row is None:
        return None
    hour = now.replace(minute=0, second=0, microsecond=0)
    if row.last_used_at is None or row.last_used_at < hour:  # rarely, because a write may have to wait for others
        with suppress(ConfigError), database_errors(engine), engine.begin() as conn:  # nor is it worth a refusal
            conn.execute(update(token_t).where(token_t.c.id == row.id).values(last_used_at=hour))
    scope = Scope(row.scope) if row.role == OWNER else Scope.READ
    return Bearer(id=row.id, name=row.name, scope=scope, user=row.user, expires_at=row.expires_at)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
