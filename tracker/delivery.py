"""Who gets which letter when, and each of them once: the table `delivery`.

A letter to one recipient about one month is one row, whoever makes it (a unique key). Who sends it holds its lease and
writes `handed_over_at` before the mail server gets any of the text, and `sent_at` when the server has taken it. So:

    neither          not sent: a crash, a refusal for now or wrong settings are tried again, later and later
    both             sent: never again by itself
    handed over only in doubt: a crash or a broken line came between. Nobody knows whether it was sent, so it is told,
                     and a person decides

A row that is not to be tried again has no `next_try_at`. Times of a clock that was wrong do not bind: what lies further
ahead than it can be meant is taken for now.
"""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from enum import StrEnum
from typing import Any

import msgspec
import structlog
from sqlalchemy import ColumnElement, Connection, exists, func, or_, select, update

from tracker import mail, schedule
from tracker.connections import Deps
from tracker.errors import ConfigError, TrackerError, UsageError
from tracker.months import following, label, month_of, parse, start_of
from tracker.settings import Settings
from tracker.store import tables, writes
from tracker.store.database import database_errors, reading
from tracker.store.writes import connection_t, earning_t, run_t

log = structlog.get_logger()

d_t = tables.Delivery.__table__  # type: ignore[attr-defined]
d, c, e, r = d_t.c, connection_t.c, earning_t.c, run_t.c

LETTER = "letter"
#: The row that says since when somebody gets letters: there is none about a month that was over by then.
SINCE = "since"
#: Longer than the longest talk with a mail server.
LEASE = timedelta(minutes=30)
#: Between two tries: doubled each time, up to the most; after so long, and so many tries, it is given up.
RETRY_FIRST, RETRY_MAX = timedelta(minutes=5), timedelta(hours=6)
GIVE_UP_AFTER, TRIES_MIN = timedelta(days=5), 10
#: How long a connection that was not read lately may hold a letter, and what is lately.
HOLD, LATELY = timedelta(days=1), timedelta(days=1)
#: A letter that nobody tried to send for so long after its time says that it comes late.
LATE = timedelta(days=1)
#: Letters about older months than these are not sent by themselves after a long pause.
MISSED_MAX = 3
#: How long trouble with a letter is told.
TOLD = timedelta(days=62)


class Outcome(StrEnum):
    SENT = "sent"
    ALREADY = "already sent"
    LATER = "not sent yet"
    IN_DOUBT = "in doubt"
    GIVEN_UP = "given up"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one letter; `message` says so and what to do next."""

    month: str  # 2026-06
    recipient: str
    outcome: Outcome
    message: str


# --- by itself ---


def send_due(deps: Deps) -> list[Told]:
    """Send the letters whose time has come. Cheap when there is none, and nothing at all where no mail is set up."""
    if mail.lacking(deps.settings):
        return []
    with database_errors(deps.engine):
        now = deps.now()
        told = [_logged(one) for one in _close_broken_off(deps, now)]
        _make_rows(deps, now)
        with reading(deps.engine) as conn:
            ready = [row for row in _waiting(conn, deps.settings, now) if not _held(conn, deps.settings, row, now)]
        for row in ready:
            if done := _deliver(deps, row, late=_is_late(row, deps.settings)):
                told.append(_logged(done))
        return told


def _logged(told: Told) -> Told:
    tell = {Outcome.SENT: log.info, Outcome.LATER: log.warning}.get(told.outcome, log.error)
    tell(f"letter {told.outcome}", month=told.month, to=told.recipient, message=told.message)
    return told


def due_at(month: int, settings: Settings) -> datetime:
    """When the letter about a month is to be sent. An hour that a clock change skips is the one after it."""
    year, number = divmod(following(month), 100)
    return datetime(year, number, settings.letter_day, settings.letter_hour, tzinfo=settings.zone).astimezone(UTC)


def _is_late(row: Any, settings: Settings) -> bool:
    """Whether the tracker did not run when it was due. A letter that only waited does not say that it is late."""
    late: bool = row.created_at >= due_at(parse(row.period), settings) + LATE
    return late


def _make_rows(deps: Deps, now: datetime) -> None:
    """A row for each letter that is due: about the newest months, but not from before somebody began to get letters."""
    s = deps.settings
    newest = following(month_of(now, s.zone), -1)
    months = [month for by in range(MISSED_MAX + 1) if due_at(month := following(newest, -by), s) <= now][:MISSED_MAX]
    with reading(deps.engine) as conn:
        known = conn.execute(
            select(d.kind, d.period, d.recipient, d.created_at).where(
                or_(d.kind == SINCE, d.period.in_([label(month) for month in months]))
            )
        ).all()
        began = {row.recipient: row.created_at for row in known if row.kind == SINCE}
        there = {(row.period, row.recipient) for row in known}
        first = conn.execute(select(func.min(c.created_at))).scalar() or now  # nobody can have income before
        rows = [
            _letter_row(deps, month, recipient, now)
            for recipient in s.letter_to
            for month in months
            if (label(month), recipient) not in there
            and max(first, began.get(recipient, now)) < start_of(following(month), s.zone)
            and _has_income(conn, month)
        ]
        rows += [_row(SINCE, "", recipient, "", now) for recipient in s.letter_to if recipient not in began]
    if rows:
        _insert(deps, rows)
    if any(row.created_at > now for row in known):
        with deps.engine.begin() as conn:  # the clock was ahead: nobody shall wait until it is as late again
            conn.execute(update(d_t).where(d.created_at > now).values(created_at=now))


def _has_income(conn: Connection, month: int) -> bool:
    """Whether anything was earned in a month or the one before: nobody wants letters about nothing."""
    some = exists().where(e.connection_id == c.id, e.earned_month.in_([month, following(month, -1)]))
    return conn.execute(select(c.id).where(some).limit(1)).first() is not None


def _letter_row(deps: Deps, month: int, recipient: str, now: datetime) -> dict[str, Any]:
    """Its Message-ID is always the same on this installation, so that mail programs know a second copy for one."""
    domain = (deps.settings.letter_from or "").rpartition("@")[2]
    name = deps.vault.pseudonym("letter", f"{label(month)} {recipient}")
    return _row(LETTER, label(month), recipient, f"<letter-{label(month)}-{name[2:]}@{domain}>", now)


def _row(kind: str, period: str, recipient: str, message_id: str, now: datetime) -> dict[str, Any]:
    key = {"kind": kind, "period": period, "recipient": recipient}
    return {**key, "message_id": message_id, "created_at": now, "next_try_at": now, "tries": 0}


def _insert(deps: Deps, rows: list[dict[str, Any]]) -> None:
    with deps.engine.begin() as conn:
        writes.upsert(conn, d_t, rows, ("kind", "period", "recipient"), kept=rows[0])


def _free(now: datetime) -> ColumnElement[bool]:
    return or_(d.leased_until.is_(None), d.leased_until < now, d.leased_until > now + LEASE)


def _waiting(conn: Connection, settings: Settings, now: datetime) -> list[Any]:
    """The letters to be tried now, the oldest month first."""
    query = select(d_t).where(
        d.kind == LETTER,
        d.recipient.in_(settings.letter_to),
        d.sent_at.is_(None),
        d.handed_over_at.is_(None),
        or_(d.next_try_at <= now, d.next_try_at > now + RETRY_MAX),
        _free(now),
    )
    return list(conn.execute(query.order_by(d.period, d.id)))


def _held(conn: Connection, settings: Settings, row: Any, now: datetime) -> bool:
    """Whether a connection is still to be read for this letter. None holds it for more than a day."""
    if now >= row.created_at + HOLD:
        return False
    end = start_of(following(parse(row.period)), settings.zone)
    return any(
        one.as_of is None or one.as_of < max(end, row.created_at - max(LATELY, timedelta(seconds=one.interval_s)))
        for one in conn.execute(select(c.as_of, c.interval_s).where(c.paused_at.is_(None), c.next_sync_at.is_not(None)))
    )


# --- by hand ---


def send_now(deps: Deps, month: int, *, again: bool = False) -> list[Told]:
    """Send the letter about a month to everybody who has not got it; with `again` also to those who have, or may have.

    Raises ConfigError where no mail is set up and UsageError for a month that is not over.
    """
    s, now = deps.settings, deps.now()
    if lacking := mail.lacking(s):
        raise ConfigError(
            f"no mail is set up: {', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not set.",
            hint="docs/letter.md tells what to set; nothing was sent.",
        )
    end = start_of(following(month), s.zone)
    if now < end:
        day = end.astimezone(s.zone)
        raise UsageError(f"{label(month)} is not over.", hint=f"Its letter can be sent from {day:%Y-%m-%d} on.")
    with database_errors(deps.engine):
        _close_broken_off(deps, now)
        _insert(deps, [_letter_row(deps, month, recipient, now) for recipient in s.letter_to])
        query = select(d_t).where(d.kind == LETTER, d.period == label(month), d.recipient.in_(s.letter_to))
        with reading(deps.engine) as conn:
            rows = conn.execute(query.order_by(d.id)).all()
        return [
            _told(row, s) if _was_handed_over(row, now) and not again else _deliver(deps, row) or _busy(row)
            for row in rows
        ]


def _was_handed_over(row: Any, now: datetime) -> bool:
    return row.handed_over_at is not None and (row.leased_until is None or not now <= row.leased_until <= now + LEASE)


def _busy(row: Any) -> Told:
    message = f"The letter about {row.period} to {row.recipient} is being sent by another process; look again later."
    return Told(month=row.period, recipient=row.recipient, outcome=Outcome.LATER, message=message)


# --- one letter ---


class _TakenOver(Exception):
    """Our lease ran out and somebody else has the letter."""


def _deliver(deps: Deps, row: Any, *, late: bool = False) -> Told | None:
    """Try to send one letter. None when somebody else is at it, or was since the row was read."""
    now = deps.now()
    lease = f"{schedule.holder()}:{os.urandom(4).hex()}"
    own = {"leased_until": now + LEASE, "leased_by": lease, "tries": row.tries + 1}
    as_read = (d.tries == row.tries, d.handed_over_at.is_not_distinct_from(row.handed_over_at))
    if not _change(deps, (d.id == row.id, *as_read, _free(now)), own):
        return None
    mine, free = (d.id == row.id, d.leased_by == lease), {"leased_until": None, "leased_by": None}

    def before_text() -> None:
        if not _change(deps, mine, {"handed_over_at": deps.now()}):
            raise _TakenOver

    def taken() -> None:
        # The letter's own time: what is lost later is for the next one, though this took a while to be handed over.
        _change(deps, (d.id == row.id,), {**free, "sent_at": now, "next_try_at": None, "error": None})

    try:
        mail.send(_written(deps, row, now, late), deps.settings, before_text=before_text, taken=taken)
    except _TakenOver:
        return None
    except TrackerError as error:
        _change(deps, mine, {**free, **_after(error, row, now)})
        outcome = _told(_read(deps, row.id), deps.settings)
        if outcome.outcome is Outcome.ALREADY:
            message = f"The letter about {row.period} was not sent to {row.recipient} again: {error}"
            return msgspec.structs.replace(outcome, outcome=Outcome.GIVEN_UP, message=message)
        return outcome
    message = f"The letter about {row.period} was sent to {row.recipient}."
    return Told(month=row.period, recipient=row.recipient, outcome=Outcome.SENT, message=message)


def _written(deps: Deps, row: Any, now: datetime, late: bool) -> EmailMessage:
    from tracker import letter  # once a month: what it takes to make one loads slowly
    from tracker.summary import summarise

    with reading(deps.engine) as conn:
        since = _since(conn, row)
    summary = summarise(deps.engine, deps.settings, parse(row.period), now, since=since)
    return mail.compose(
        letter.write(summary, late=late),
        sender=deps.settings.letter_from or "",
        recipient=row.recipient,
        message_id=row.message_id,
        date=now.astimezone(deps.settings.zone),
    )


def _since(conn: Connection, row: Any) -> datetime | None:
    """The time of the letter before; or the start of a sync that ran just then, which that letter saw half of."""
    earlier = select(func.max(d.sent_at)).where(d.kind == LETTER, d.recipient == row.recipient, d.period < row.period)
    sent: datetime | None = conn.execute(earlier).scalar()
    if sent is None:
        return None
    running = select(func.min(r.started_at)).where(
        r.started_at.between(sent - timedelta(days=1), sent), or_(r.finished_at.is_(None), r.finished_at > sent)
    )
    return conn.execute(running).scalar() or sent


def _after(error: TrackerError, row: Any, now: datetime) -> dict[str, Any]:
    """What a failed try leaves behind."""
    if isinstance(error, mail.InDoubt):
        return {"next_try_at": None, "error": str(error)}
    tries = row.tries + 1
    for_good = isinstance(error, mail.Refused) or (tries >= TRIES_MIN and now - row.created_at > GIVE_UP_AFTER)
    later = now + min(RETRY_FIRST * 2 ** min(row.tries, 10), RETRY_MAX)
    once_more = row.handed_over_at is not None  # a person sent it again on purpose, and only a person repeats that
    return {
        "handed_over_at": row.handed_over_at,
        "next_try_at": None if for_good or once_more else later,
        "error": str(error),
    }


def _close_broken_off(deps: Deps, now: datetime) -> list[Told]:
    """Letters whose sender died, or lost the database, after it handed them over: from here on they are in doubt."""
    why = "the tracker was stopped before the mail server answered."
    broken_off = (d.handed_over_at.is_not(None), d.sent_at.is_(None), d.next_try_at.is_not(None), _free(now))
    with reading(deps.engine) as conn:
        rows = conn.execute(select(d_t).where(*broken_off)).all()
    return [
        _told(_read(deps, row.id), deps.settings)
        for row in rows
        if _change(deps, (d.id == row.id, *broken_off), {"next_try_at": None, "leased_by": None, "error": why})
    ]


def _change(deps: Deps, where: tuple[ColumnElement[bool], ...], values: Mapping[str, Any]) -> bool:
    with deps.engine.begin() as conn:
        return conn.execute(update(d_t).where(*where).values(values)).rowcount == 1


def _read(deps: Deps, row_id: int) -> Any:
    with reading(deps.engine) as conn:
        return conn.execute(select(d_t).where(d.id == row_id)).one()


# --- what is told ---


def troubles(conn: Connection, settings: Settings, now: datetime) -> list[Told]:
    """The letters of the last two months that were not sent, or may not have been, with what to do."""
    query = select(d_t).where(
        d.kind == LETTER,
        d.sent_at.is_(None),
        d.created_at > now - TOLD,
        or_(d.error.is_not(None), d.handed_over_at.is_not(None) & _free(now)),
    )
    return [_told(row, settings) for row in conn.execute(query.order_by(d.period, d.id))]


def _told(row: Any, settings: Settings) -> Told:
    what = f"The letter about {row.period}"
    send = f"tracker letter {row.period} --send"

    def at(moment: datetime) -> str:
        return f"{moment.astimezone(settings.zone):%Y-%m-%d %H:%M}"

    if row.sent_at:
        outcome = Outcome.ALREADY
        message = f"{what} was sent to {row.recipient} at {at(row.sent_at)}. To send it again: {send} --again"
    elif row.handed_over_at:
        outcome = Outcome.IN_DOUBT
        message = (
            f"{what} may or may not have reached {row.recipient}: it was handed over at {at(row.handed_over_at)}, but "
            f"{row.error or 'no answer came.'} It is not sent again by itself. Look into the mailbox; if it is not "
            f"there: {send} --again"
        )
    elif row.next_try_at:
        outcome = Outcome.LATER
        message = f"{what} to {row.recipient} was not sent: {row.error} It is tried again at {at(row.next_try_at)}."
    else:
        outcome = Outcome.GIVEN_UP
        message = f"{what} was not sent to {row.recipient} and is not tried again: {row.error} To try it: {send}"
    return Told(month=row.period, recipient=row.recipient, outcome=outcome, message=message)
