"""The rules that assign earnings to streams: add, change, move, remove, and what would move by it.

The first rule that fits an earning wins. A change takes effect on old earnings at once. Only those can move that fit
the rule as it was or as it will be, so no more than these are looked at, and `plan` tells by reading alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    and_,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    type_coerce,
    update,
)

from tracker.classify import assign_streams, fits, rules_of, stream_by
from tracker.connections import Deps, stream_t
from tracker.errors import UsageError
from tracker.ledger import program_t
from tracker.records import NOT_INCOME, Kind, Status
from tracker.store import rollup, tables
from tracker.store.columns import Micros
from tracker.store.database import reading
from tracker.store.writes import connection_t
from tracker.store.writes import earning_t as e
from tracker.streams import find_stream

rule_t = tables.StreamRule.__table__  # type: ignore[attr-defined]

#: Patterns of a rule.
PARTS = ("program", "product", "sub_id", "kind")
PATTERN_MAX, RULES_MAX, ROWS_SHOWN = 200, 1_000, 20


class Held(msgspec.Struct, frozen=True):
    """Earnings of a stream in one currency; `net` in major units, of those that are approved or pending and count."""

    stream: str
    currency: str
    earnings: int
    net: Decimal


class Moved(msgspec.Struct, kw_only=True):
    """How many earnings went to another stream, and by what each stream grew or shrank."""

    earnings: int
    streams: list[Held] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule as it is, or as it is to be. `stream` and `connection` are slugs; an empty part fits everything."""

    stream: str
    connection: str | None = None
    program: str | None = None
    product: str | None = None
    sub_id: str | None = None
    kind: str | None = None
    position: int | None = None  # 1 is tried first; None: where it stands, or last


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Earnings that go from one stream to another, as `Held`. Streams by title."""

    source: str
    target: str
    currency: str
    earnings: int
    net: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """An earning that moves."""

    id: int
    earned_at: datetime
    net: Decimal
    currency: str
    program: str | None
    product: str | None
    sub_id: str | None
    kind: str
    source: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a change of the rules moves: all of it in sums, and the newest earnings one by one."""

    earnings: int
    shifts: Sequence[Shift]
    rows: Sequence[Moving]


@dataclass(frozen=True, slots=True)
class _Parts:
    """A rule with what it refers to looked up, as a row of the table."""

    id: int | None
    stream_id: int
    connection_id: int | None
    program: str | None
    product: str | None
    sub_id: str | None
    kind: str | None


@dataclass(frozen=True, slots=True)
class _Change:
    """The rules after a change, and those that it takes away, adds or moves."""

    rules: Sequence[Any]
    touched: Sequence[Any]

    @property
    def scope(self) -> Any:
        return or_(*(fits(rule) for rule in self.touched))


def every_rule(engine: Engine) -> list[dict[str, Any]]:
    """All rules in the order in which they are tried; `stream` is a title, `stream_slug` its slug."""
    query = (
        select(
            rule_t,
            stream_t.c.title.label("stream"),
            stream_t.c.slug.label("stream_slug"),
            connection_t.c.slug.label("connection"),
        )
        .join(stream_t, stream_t.c.id == rule_t.c.stream_id)
        .outerjoin(connection_t, connection_t.c.id == rule_t.c.connection_id)
        .order_by(rule_t.c.position, rule_t.c.id)
    )
    names = ("id", "stream", "stream_slug", "connection", *PARTS)
    with reading(engine) as conn:
        rows = conn.execute(query).all()
    return [{"position": place, **{name: getattr(row, name) for name in names}} for place, row in enumerate(rows, 1)]


def rule_by_id(engine: Engine, rule_id: int) -> Rule | None:
    """A rule as it is; None if there is none."""
    row = next((one for one in every_rule(engine) if one["id"] == rule_id), None)
    if row is None:
        return None
    return Rule(stream=row["stream_slug"], **{name: row[name] for name in ("connection", "position", *PARTS)})


# --- what would move ---


def plan(engine: Engine, rule: Rule | None, rule_id: int | None = None) -> Plan:
    """What would move if the rule were added, or took the place of rule `rule_id`; without a rule, if that one went.

    Reads only. Raises UsageError as `save` and `remove` do.
    """
    with reading(engine) as conn:
        change = _changed(conn, rule, rule_id)
        shifts = _shifts(conn, change)
        rows = _rows(conn, change) if shifts else []
        return Plan(earnings=sum(shift.earnings for shift in shifts), shifts=shifts, rows=rows)


def _changed(conn: Connection, rule: Rule | None, rule_id: int | None) -> _Change:
    rules = list(rules_of(conn))
    old = next((one for one in rules if one.id == rule_id), None)
    if rule_id is not None and old is None:
        raise UsageError(f"there is no rule {rule_id}.", hint="`tracker rule list` shows all with their ids.")
    if old is None and len(rules) >= RULES_MAX:
        raise UsageError(f"there are {RULES_MAX} rules already.", hint="Remove some first.")
    at = len(rules) if old is None else rules.index(old)
    if old is not None:
        rules.remove(old)
    if rule is None:
        return _Change(rules, [old])
    new = _parts(conn, rule, rule_id)
    if rule.position is not None:
        at = rule.position - 1
    rules.insert(max(0, min(at, len(rules))), new)
    return _Change(rules, [new] if old is None else [old, new])


def _parts(conn: Connection, rule: Rule, rule_id: int | None) -> _Parts:
    given = {name: (getattr(rule, name) or "").strip() or None for name in PARTS}
    _check(given, rule.connection)
    owner = None
    if rule.connection is not None:
        owner = conn.execute(select(connection_t.c.id).where(connection_t.c.slug == rule.connection)).scalar()
        if owner is None:
            slugs = ", ".join(conn.execute(select(connection_t.c.slug).order_by(connection_t.c.slug)).scalars())
            raise UsageError(f"no connection is called {rule.connection[:40]!r}.", hint=f"There are: {slugs}.")
    return _Parts(rule_id, find_stream(conn, rule.stream).id, owner, **given)


def _check(given: Mapping[str, str | None], connection: str | None) -> None:
    patterns = {name: pattern for name, pattern in given.items() if pattern is not None}
    for name, pattern in patterns.items():
        if len(pattern) > PATTERN_MAX or not pattern.isprintable():
            raise UsageError(f"{name.replace('_', ' ')}: a pattern has 1 to {PATTERN_MAX} characters.")
    kind = patterns.get("kind")
    if kind and "*" not in kind and kind.lower() not in list(Kind):
        raise UsageError(f"kind: {kind[:40]!r} is not one.", hint=f"Known: {', '.join(Kind)}.")
    if connection is None and all(set(pattern) <= {"*"} for pattern in patterns.values()):
        raise UsageError(
            "a rule without a condition would take every earning.",
            hint="Give at least one of connection, program, product, sub id and kind.",
        )


def _moving(change: _Change, *columns: Any) -> Any:
    target = stream_by(change.rules)
    query = select(*columns, e.c.stream_id.label("source"), target.label("target")).where(change.scope)
    return query.subquery()


def _shifts(conn: Connection, change: _Change) -> list[Shift]:
    counts = and_(
        e.c.status.in_((Status.APPROVED, Status.PENDING)), e.c.kind.not_in(NOT_INCOME), ~e.c.paired, ~e.c.estimated
    )
    s = _moving(change, e.c.currency, case((counts, e.c.net), else_=type_coerce(0, BigInteger)).label("net")).c
    groups = (s.source, s.target, s.currency)
    query = select(*groups, func.count().label("earnings"), func.sum(s.net, type_=Micros).label("net"))
    titles = _titles(conn)
    return [
        Shift(
            source=titles[row.source], target=titles[row.target], currency=row.currency, earnings=row.earnings,
            net=row.net,
        )
        for row in conn.execute(query.where(s.source != s.target).group_by(*groups).order_by(*groups))
    ]  # fmt: skip


def _rows(conn: Connection, change: _Change) -> list[Moving]:
    products = program_t.alias("products")
    names = ("id", "earned_at", "net", "currency", "sub_id", "kind", "connection_id", "program", "product")
    s = _moving(change, *(e.c[name] for name in names)).c
    found = select(s).where(s.source != s.target).order_by(s.earned_at.desc(), s.id.desc()).limit(ROWS_SHOWN)
    f = found.subquery()
    origin: Any = f
    for title, name in ((program_t, f.c.program), (products, f.c.product)):
        same = and_(title.c.connection_id == f.c.connection_id, title.c.external_id == name)
        origin = origin.outerjoin(title, same)
    query = (
        select(f, program_t.c.title.label("program_title"), products.c.title.label("product_title"))
        .select_from(origin)
        .order_by(f.c.earned_at.desc(), f.c.id.desc())
    )
    titles = _titles(conn)
    return [
        Moving(
            id=row.id, earned_at=row.earned_at, net=row.net, currency=row.currency,
            program=row.program_title or row.program, product=row.product_title or row.product, sub_id=row.sub_id,
            kind=row.kind, source=titles[row.source], target=titles[row.target],
        )
        for row in conn.execute(query)
    ]  # fmt: skip


def _titles(conn: Connection) -> dict[int, str]:
    return {row.id: row.title for row in conn.execute(select(stream_t.c.id, stream_t.c.title))}


# --- changes ---


def save(deps: Deps, rule: Rule, rule_id: int | None = None) -> tuple[int, Moved]:
    """Add a rule, or put it in the place of rule `rule_id`. Answers its id and what moved by it.

    Raises UsageError for a rule that fits everything, a long pattern, or an unknown kind, stream, connection or rule.
    """
    with deps.engine.begin() as conn:
        change = _changed(conn, rule, rule_id)
        moved = moved_by(_shifts(conn, change))
        new = next(one for one in change.rules if isinstance(one, _Parts))
        values = {name: getattr(new, name) for name in ("stream_id", "connection_id", *PARTS)}
        if rule_id is None:
            number = conn.execute(insert(rule_t).values(**values, position=0)).inserted_primary_key[0]  # type: ignore[index]
            rule_id = int(number)
        else:
            conn.execute(update(rule_t).where(rule_t.c.id == rule_id).values(values))
        _settle(conn, change, rule_id)
    return rule_id, moved


def remove(deps: Deps, rule_id: int) -> Moved:
    """Remove a rule. Its earnings go where the other rules or their connection put them."""
    with deps.engine.begin() as conn:
        change = _changed(conn, None, rule_id)
        moved = moved_by(_shifts(conn, change))
        conn.execute(delete(rule_t).where(rule_t.c.id == rule_id))
        _settle(conn, change, rule_id)
    return moved


def move(deps: Deps, rule_id: int, position: int) -> Moved:
    """Put a rule at a position, 1 is tried first."""
    known = rule_by_id(deps.engine, rule_id)
    if known is None:
        raise UsageError(f"there is no rule {rule_id}.", hint="`tracker rule list` shows all with their ids.")
    return save(deps, replace(known, position=position), rule_id)[1]


def _settle(conn: Connection, change: _Change, rule_id: int) -> None:
    """Number the rules anew and give the earnings that they fit to their streams."""
    for position, one in enumerate(change.rules, 1):
        number = one.id or rule_id
        conn.execute(update(rule_t).where(rule_t.c.id == number).values(position=position))
    assign_streams(conn, change.scope)
    rollup.work_off(conn)


def moved_by(shifts: Sequence[Shift]) -> Moved:
    """By how much each stream grows or shrinks."""
    sums: dict[tuple[str, str], tuple[int, Decimal]] = {}
    for shift in shifts:
        for stream, sign in ((shift.source, -1), (shift.target, 1)):
            earnings, net = sums.get((stream, shift.currency), (0, Decimal(0)))
            sums[stream, shift.currency] = earnings + sign * shift.earnings, net + sign * shift.net
    changes = [Held(stream, currency, *both) for (stream, currency), both in sums.items() if any(both)]
    return Moved(earnings=sum(shift.earnings for shift in shifts), streams=changes)
