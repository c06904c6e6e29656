"""Settings that users change on pages: kept in the ledger, beneath the environment and the settings file.

Each is a row of `setting` named "set <field>", as text like a variable's; the mail server's password is sealed. The row
"settings revision" changes with every change, so that a process finds out by one look whether it knows them all: at its
start, with each tick of the clock, and with each sync.
"""

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, and_, case, delete, select, update

from tracker.connections import Deps
from tracker.errors import ConfigError, UsageError
from tracker.settings import Settings
from tracker.store import tables, writes
from tracker.store.database import database_errors, reading
from tracker.store.writes import connection_t
from tracker.vault import Vault

log = structlog.get_logger()
setting_t = tables.Setting.__table__  # type: ignore[attr-defined]

#: What a page may change. Where things are, who may come in and what a sync may take stay with the machine's owner.
FIELDS = (
    "currency", "time_zone", "locale", "backfill_months", "smtp_host", "smtp_security", "smtp_port", "smtp_user",
    "smtp_password", "letter_from", "letter_to", "letter_day", "letter_hour",
)  # fmt: skip
#: A changed one of these changes what every earning is worth, or the months it lies in: `tracker.revalue` follows.
DECISIVE = frozenset({"currency", "time_zone"})
SEALED = "smtp_password"  # no connection can be called that, so nobody takes it for one's credentials
_REVISION = "settings revision"
#: A sync that lost its right to write notices with its next page, and may then begin anew.
_NOTICE = timedelta(minutes=2)


def _name(field: str) -> str:
    return f"set {field}"


# --- reading ---


def over_stored(engine: Engine, settings: Settings, vault: Vault) -> Settings:
    """What the machine says over what pages stored. Raises BadSettings."""
    with reading(engine) as conn:
        return _over(conn, settings, vault)


def take_up(deps: Deps, conn: Connection) -> None:
    """Go on with what pages stored since this process last looked, mostly nothing. Raises BadSettings."""
    known = conn.execute(select(setting_t.c.value).where(setting_t.c.name == _REVISION)).scalar() or ""
    if known != deps.settings.revision:
        deps.settings = _over(conn, deps.settings, deps.vault)


def _over(conn: Connection, settings: Settings, vault: Vault) -> Settings:
    rows = _rows(conn)
    revision = rows.pop(_REVISION, "")
    return settings.over(_opened(rows, vault), revision)


def _rows(conn: Connection) -> dict[str, str]:
    """What is stored, by field, and the revision."""
    names = {_REVISION: _REVISION, **{_name(field): field for field in FIELDS}}
    query = select(setting_t.c.name, setting_t.c.value).where(setting_t.c.name.in_(names))
    return {names[row.name]: row.value for row in conn.execute(query)}


def _opened(rows: Mapping[str, str], vault: Vault) -> dict[str, str]:
    """The values themselves. Without its key a password counts as missing, which is told where mail is looked at."""
    values = dict(rows)
    if SEALED in values:
        try:
            values[SEALED] = vault.unseal(SEALED, values[SEALED])["value"]
        except ConfigError as error:
            log.warning("the stored mail password cannot be opened", why=error.message)
            del values[SEALED]
    return values


def stored_fields(engine: Engine) -> frozenset[str]:
    """The fields that have a stored value."""
    with reading(engine) as conn:
        return frozenset(_rows(conn)) - {_REVISION}


# --- changing ---


def change(deps: Deps, given: Mapping[str, str | None]) -> frozenset[str]:
    """Store what a page was given; nothing, or an empty text, takes a field back to its default.

    Answers the fields whose value is another one now. After one of `DECISIVE` call `revalue`: until it is done, figures
    are mixed. Raises BadSettings, and stores nothing, for a value that will not do, and UsageError for a field that
    environment or file decide.
    """
    before = deps.settings
    for field in given:
        if field not in FIELDS:
            raise UsageError(f"{field[:60]!r} is no setting of the pages.")
        if field in before.places:
            raise UsageError(f"{field} is decided by {before.places[field]}.", hint="Change it there.")
    with database_errors(deps.engine), deps.engine.begin() as conn:
        values = _opened({field: text for field, text in _rows(conn).items() if field != _REVISION}, deps.vault)
        for field, text in given.items():
            values.pop(field, None)
            if text:
                values[field] = text
        revision = secrets.token_hex(8)
        new = before.over(values, revision)
        if any(getattr(new, field) != getattr(before, field) for field in DECISIVE):
            _stop_writers(conn, deps.now())
        emptied = [_name(field) for field in given if field not in values]
        conn.execute(delete(setting_t).where(setting_t.c.name.in_(emptied)))
        texts = {field: _text(field, values[field], deps.vault) for field in given if field in values}
        rows = {_REVISION: revision, **{_name(field): text for field, text in texts.items()}}
        writes.upsert(conn, setting_t, [{"name": name, "value": text} for name, text in rows.items()], ("name",))
    deps.settings = new
    return frozenset(field for field in given if getattr(new, field) != getattr(before, field))


def _text(field: str, value: str, vault: Vault) -> str:
    return vault.seal(SEALED, {"value": value}) if field == SEALED else value


def _stop_writers(conn: Connection, now: datetime) -> None:
    """Take away the lease of every connection: who writes its earnings holds it, and whoever takes it next looks here.

    So no earning is written with the settings of before once these are stored. A sync that runs ends with its page, and
    begins again when it has had the time to.
    """
    c = connection_t.c
    conn.execute(select(c.id).order_by(c.id).with_for_update()).all()
    again = case((and_(c.leased_until >= now, c.next_sync_at <= now), now + _NOTICE), else_=c.next_sync_at)
    conn.execute(update(connection_t).values(leased_until=None, leased_by=None, next_sync_at=again))


# --- keys ---


def sealed(engine: Engine) -> list[str]:
    """The sealed texts among what is stored."""
    with reading(engine) as conn:
        return [text for field, text in _rows(conn).items() if field == SEALED]


def reseal(engine: Engine, vault: Vault) -> int:
    """Seal them again with the newest key. Answers how many there are."""
    count = 0
    for text in sealed(engine):
        same = and_(setting_t.c.name == _name(SEALED), setting_t.c.value == text)
        new: dict[str, Any] = {"value": vault.reseal(text)}
        with engine.begin() as conn:
            count += conn.execute(update(setting_t).where(same).values(new)).rowcount
    return count
