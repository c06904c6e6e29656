"""What is wrong with an installation, and what to do next. Nothing here changes anything, nor asks a provider."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Engine, except_, false, func, select, text, tuple_
from sqlalchemy.exc import DBAPIError

from tracker import doubles, mail
from tracker.connect import catalog
from tracker.delivery import troubles
from tracker.errors import TrackerError
from tracker.keyring import sealed_elsewhere
from tracker.settings import Settings
from tracker.settle import processors_of
from tracker.store import rollup
from tracker.store.database import alembic_config, explained, open_engine, reading
from tracker.store.writes import connection_t, dirty_month_t, quarantine_t
from tracker.store.writes import earning_t as e
from tracker.stored import over_stored
from tracker.vault import Vault

State = Literal["ok", "note", "problem"]
#: Lines of one finding.
LINES = 20
FREE_MIN = 200_000_000  # bytes
STALE_AFTER = 3  # intervals


class Finding(msgspec.Struct, kw_only=True):
    """One check. A note is worth knowing and needs nobody; `next` says what to do about a problem."""

    check: str
    state: State = "ok"
    message: str = ""
    next: str = ""
    lines: list[str] = []


def examine(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Every check, the ground first; what stands on ground that is missing is not tried."""
    yield from _folder(settings)
    yield _keys(settings)
    yield _own_files()
    try:
        engine = open_engine(settings.database_url)
    except TrackerError as error:
        yield Finding(check="database", state="problem", message=error.message, next=error.hint)
        return
    try:
        yield from _inside(engine, settings, now)
    except DBAPIError as error:
        told = explained(error, engine)
        yield Finding(check="database", state="problem", message=told.message, next=told.hint)
    finally:
        engine.dispose()


def _inside(engine: Engine, settings: Settings, now: datetime) -> Iterator[Finding]:
    found = list(_database(engine))
    yield from found
    if any(finding.state == "problem" for finding in found):
        return
    try:
        if settings.keys is not None or settings.key_file.exists():  # opening the vault would make a new key
            settings = over_stored(engine, settings, Vault.open(settings))
    except TrackerError as error:
        yield Finding(check="settings", state="problem", message=error.message, next=error.hint)
    for check in _CHECKS:
        with reading(engine) as conn:
            yield from check(conn, settings, now)


# --- the ground ---


def _folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data_dir
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        what = "cannot be written to" if folder.exists() else "is not there yet"
        hint = "Run `tracker connection list` once, or set TRACKER_DATA_DIR to a folder you may write to."
        yield Finding(check="data folder", state="problem", message=f"{folder} {what}.", next=hint)
        return
    yield Finding(check="data folder", message=f"{folder} can be written to.")
    free = shutil.disk_usage(folder).free
    database = folder / "tracker.db"
    needed = max(FREE_MIN, database.stat().st_size // 2 if database.exists() else 0)
    told = f"{free / 1e9:.1f} GB free."
    if free < needed:
        hint = f"Free some space: {needed / 1e9:.1f} GB would be comfortable."
        yield Finding(check="disk space", state="problem", message=told, next=hint)
    else:
        yield Finding(check="disk space", message=told)


def _keys(settings: Settings) -> Finding:
    if settings.keys is None and not settings.key_file.exists():
        hint = "Restore it from your copy; without one, a new key is made and every credential must be entered again."
        return Finding(check="key file", state="problem", message=f"{settings.key_file} is missing.", next=hint)
    try:
        Vault.open(settings)
    except TrackerError as error:
        return Finding(check="key file", state="problem", message=error.message, next=error.hint)
    if settings.keys is not None:
        return Finding(check="key file", message="The keys come from TRACKER_KEYS.")
    mode = stat.S_IMODE(settings.key_file.stat().st_mode)
    return Finding(
        check="key file", message=f"{settings.key_file}, mode {mode:04o}. Keep a copy apart from the backups."
    )


def _own_files() -> Finding:
    """The user's own providers and statement profiles, as far as the caller told the catalogue where they are."""
    if faults := list(catalog.faults()):
        message = f"{len(faults)} of your own providers and profiles cannot be used."
        hint = "Correct each file where it says; docs/custom-providers.md and docs/statements.md explain every word."
        return Finding(check="own files", state="problem", message=message, next=hint, lines=faults[:LINES])
    return Finding(check="own files", message="All providers and profiles of your own can be used.")


def _database(engine: Engine) -> Iterator[Finding]:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    if engine.dialect.name == "sqlite" and not Path(engine.url.database or "").exists():
        hint = "It is made by the first command, such as `tracker connection add`."
        yield Finding(check="database", state="problem", message="there is no database yet.", next=hint)
        return
    with reading(engine) as conn:
        faults = list(_integrity(conn))
        if faults:
            hint = "Make a copy of the file, then restore a backup: tracker restore FILE --force"
            message = "The database is damaged."
            yield Finding(check="database", state="problem", message=message, next=hint, lines=faults[:LINES])
            return
        yield Finding(check="database", message=f"{engine.dialect.name} is sound.")
        current = MigrationContext.configure(conn).get_current_revision()
    scripts = ScriptDirectory.from_config(alembic_config())
    head = scripts.get_current_head()
    if current == head:
        yield Finding(check="schema", message=f"is at the newest version ({head}).")
    elif current is None or current in {script.revision for script in scripts.walk_revisions()}:
        hint = "Any other command brings it up to date; make a backup first."
        yield Finding(check="schema", state="problem", message=f"is at {current}, newest is {head}.", next=hint)
    else:
        message = f"was made by a newer version of the tracker ({current})."
        yield Finding(check="schema", state="problem", message=message, next="Update the tracker.")


def _integrity(conn: Connection) -> Iterator[str]:
    if conn.dialect.name == "sqlite":
        for row in conn.execute(text(f"PRAGMA quick_check({LINES})")):
            if row[0] != "ok":
                yield str(row[0])
        broken = conn.execute(text("PRAGMA foreign_key_check")).fetchmany(LINES)
        yield from (f"a row of {row[0]} names a missing row of {row[2]}" for row in broken)
    else:
        query = (
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid LIMIT 20"
        )
        yield from (f"the index {row[0]} is not valid" for row in conn.execute(text(query)))


# --- connections ---


def _connections(conn: Connection, settings: Settings, now: datetime) -> Iterator[Finding]:
    failing, paused, stale, fine = [], [], [], 0
    for row in conn.execute(select(connection_t).order_by(connection_t.c.slug)):
        age_limit = timedelta(seconds=row.interval_s * STALE_AFTER)
        if row.next_sync_at is None and row.paused_at is None:  # fed by files
            continue
        if row.paused_at is not None:
            paused.append(f"{row.slug}: {row.paused_reason}")
        elif row.last_error is not None:
            failing.append(f"{row.slug}: {row.last_error}")
        elif (row.as_of or row.created_at) < now - age_limit:
            stale.append(
                f"{row.slug}: {f'as of {row.as_of:%Y-%m-%d %H:%M} UTC' if row.as_of else 'never read to the end'}"
            )
        else:
            fine += 1
    for lines, message, hint in (
        (failing, "connections fail.", "Try one out: tracker connection test SLUG"),
        (paused, "connections are paused.", "Put right what it says, then: tracker connection resume SLUG"),
        (stale, "connections have not been read for long.", "Bring them up to date: tracker sync"),
    ):
        if lines:
            message = f"{len(lines)} {message}"
            yield Finding(check="connections", state="problem", message=message, next=hint, lines=lines[:LINES])
    if not (failing or paused or stale):
        yield Finding(check="connections", message=f"{fine} are up to date.")


def _secrets(conn: Connection, settings: Settings, now: datetime) -> Iterator[Finding]:
    if settings.keys is None and not settings.key_file.exists():
        return  # said already; opening the vault would make a new key
    try:
        lost = sealed_elsewhere(conn, Vault.open(settings))
    except TrackerError:
        return  # said already
    if lost:
        message = f"The keys do not open the credentials of {len(lost)} connections."
        hint = "Put the key file in place that they were sealed with, or: tracker connection credentials SLUG"
        yield Finding(check="credentials", state="problem", message=message, next=hint, lines=lost[:LINES])
    else:
        yield Finding(check="credentials", message="All can be opened.")


def _quarantine(conn: Connection, settings: Settings, now: datetime) -> Iterator[Finding]:
    q = quarantine_t.c
    query = (
        select(connection_t.c.slug, q.resource, func.count(), func.max(q.error))
        .join(connection_t, connection_t.c.id == q.connection_id)
        .group_by(connection_t.c.slug, q.resource)
        .order_by(func.count().desc())
    )
    rows = conn.execute(query).all()
    if not rows:
        yield Finding(check="quarantine", message="is empty.")
        return
    lines = [f"{row[0]} {row[1]}: {row[2]} rows, such as: {row[3][:120]}" for row in rows[:LINES]]
    message = f"{sum(row[2] for row in rows)} rows are not understood and in no total."
    hint = "See them with `tracker quarantine list`; after an update of the tracker: tracker quarantine retry"
    yield Finding(check="quarantine", state="problem", message=message, next=hint, lines=lines)


# --- letters ---


def _letters(conn: Connection, settings: Settings, now: datetime) -> Iterator[Finding]:
    lacking = mail.lacking(settings)
    if found := troubles(conn, settings, now):
        message = f"{len(found)} were not sent, or may not have been."
        hint = "Do what each line says; docs/letter.md says more."
        lines = [one.message for one in found[:LINES]]
        yield Finding(check="letters", state="problem", message=message, next=hint, lines=lines)
    elif lacking and (settings.smtp_host or settings.letter_to):
        message = f"Mail is set up but for {', '.join(lacking)}, so no letter is sent."
        yield Finding(check="letters", state="problem", message=message, next="Set what is missing: docs/letter.md")
    elif lacking:
        yield Finding(check="letters", message="No mail is set up, so none is sent; docs/letter.md tells how.")
    else:
        day = f"from day {settings.letter_day} at {settings.letter_hour:02d}:00"
        yield Finding(check="letters", message=f"Sent each month {day} to {', '.join(settings.letter_to)}.")


# --- figures ---


def _currencies(conn: Connection, settings: Settings, now: datetime) -> Iterator[Finding]:
    query = (
        select(e.c.currency, func.count(), func.min(e.c.earned_at), func.max(e.c.earned_at))
        .where(e.c.reporting_net.is_(None))
        .group_by(e.c.currency)
        .order_by(e.c.currency)
    )
    lines = [f"{row[0]}: {row[1]} earnings, {row[2]:%Y-%m-%d} to {row[3]:%Y-%m-%d}" for row in conn.execute(query)]
    if lines:
        message = f"Earnings in {len(lines)} currencies have no rate and are in no total."
        hint = "tracker rates update; for a currency that the bank does not quote: tracker rates set CURRENCY DAY RATE"
        yield Finding(check="rates", state="problem", message=message, next=hint, lines=lines[:LINES])
    else:
        yield Finding(check="rates", message="Every earning is converted.")


def _clock(conn: Connection, settings: Settings, now: datetime) -> Iterator[Finding]:
    newest = conn.execute(select(func.max(e.c.earned_at))).scalar()
    synced = conn.execute(select(func.max(connection_t.c.as_of))).scalar()
    ahead = [time for time in (newest, synced) if time is not None and time > now + timedelta(hours=1)]
    if ahead:
        message = (
            f"The ledger knows of {max(ahead):%Y-%m-%d %H:%M} UTC, but this machine says {now:%Y-%m-%d %H:%M} UTC."
        )
        yield Finding(check="clock", state="problem", message=message, next="Set the clock of this machine.")
    else:
        yield Finding(check="clock", message=f"{now:%Y-%m-%d %H:%M} UTC.")


def _rollup(conn: Connection, settings: Settings, now: datetime) -> Iterator[Finding]:
    """The sums by month and by day against the earnings, leaving out months that wait to be summed anyway."""
    m, g = rollup.m, rollup.GROUP
    waiting = select(dirty_month_t.c.connection_id, dirty_month_t.c.month)
    sums = (func.count(), func.sum(e.c.net), func.sum(e.c.reporting_net))
    converted = e.c.reporting_net.is_not(None)
    fresh = (
        select(*(e.c[name] for name in g), converted, *sums)
        .where(tuple_(e.c.connection_id, e.c.earned_month).not_in(waiting))
        .group_by(*(e.c[name] for name in g), converted)
    )
    kept = select(*(m.c[name] for name in (*g, "converted", "earnings", "net", "reporting_net"))).where(
        tuple_(m.c.connection_id, m.c.earned_month).not_in(waiting)
    )
    yield _agreed(conn, "monthly sums", fresh, kept)
    if (zone := rollup.zone_of_days(conn)) is None:  # all days wait to be summed
        return
    settled = tuple_(e.c.connection_id, e.c.earned_month).not_in(waiting)
    by_day = rollup.summed_by_day(conn, zone, settled)
    days = select(*(rollup.d.c[name] for name in rollup.DAYS))
    days = days.where(tuple_(rollup.d.c.connection_id, rollup.d.c.earned_month).not_in(waiting))
    yield _agreed(conn, "daily sums", days.where(false()) if by_day is None else by_day, days)


def _agreed(conn: Connection, check: str, fresh: Any, kept: Any) -> Finding:
    differ = 0
    for one, other in ((fresh, kept), (kept, fresh)):
        differ += conn.execute(select(func.count()).select_from(except_(one, other).subquery())).scalar_one()
    if differ:
        hint = "Sum up again: tracker rebuild"
        return Finding(check=check, state="problem", message=f"{differ} differ from the earnings.", next=hint)
    return Finding(check=check, message="are those of the earnings.")


def _pairing(conn: Connection, settings: Settings, now: datetime) -> Iterator[Finding]:
    """Sales that were paid through a gateway which no connected payment provider knows of, and suspected doubles."""
    sellers, processors = doubles.sellers(conn), processors_of(conn)
    if not sellers or not processors:
        yield Finding(check="payments", message="No shop stands beside a payment provider.")
        return
    if unpaired := doubles.unpaired(conn, sellers, processors):
        message = f"{unpaired} sales name a payment that no connected provider reports. They count by the shop's word."
        hint = "Connect the payment provider that they were paid through, or sync it."
        yield Finding(check="payments", state="note", message=message, next=hint)
    else:
        yield Finding(check="payments", message="Every sale that names a payment has found it.")
    suspects, found = doubles.suspected(conn, sellers, processors)
    if found:
        message = f"{len(found)} sales look like payments that are counted as well: the same amount within a day."
        hint = (
            "They share no reference, so both count. If they are the same money, give the shop's connection the role "
            "enrichment; if not, nothing is to be done."
        )
        yield Finding(check="doubles", state="problem", message=message, next=hint, lines=found[:LINES])
    else:
        cut = f" among the newest {doubles.SUSPECTS}" if suspects == doubles.SUSPECTS else ""
        yield Finding(check="doubles", message=f"None suspected{cut}.")


def _statements(conn: Connection, settings: Settings, now: datetime) -> Iterator[Finding]:
    """Statements of a provider that is read as well."""
    found = list(doubles.read_and_imported(conn))
    if not found:
        yield Finding(check="statements", message="No month is both imported and read.")
    told: tuple[tuple[State, str, str], ...] = (
        (
            "problem",
            "were imported and are read as well, so they count twice.",
            "Keep one: tracker connection remove SLUG. To have the statements without counting them, import them anew "
            "after: tracker connection add PROFILE --slug SLUG --role enrichment. To count the time before the other "
            "begins, import only files of that time.",
        ),
        (
            "note",
            "were imported and are read as well, though with other amounts.",
            "If both are of one account, remove one of them: tracker connection remove SLUG. If not, nothing is to be "
            "done.",
        ),
    )
    for state, message, hint in told:
        lines = [one.told for one in found if one.same == (state == "problem")]
        if lines:
            message = f"Months of {len(lines)} connections {message}"
            yield Finding(check="statements", state=state, message=message, next=hint, lines=lines[:LINES])


_CHECKS: tuple[Callable[[Connection, Settings, datetime], Iterator[Finding]], ...] = (
    _connections, _secrets, _quarantine, _letters, _currencies, _clock, _rollup, _pairing, _statements,
)  # fmt: skip
