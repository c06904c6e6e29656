"""Income streams of the user, the rules that assign earnings, marks of programs, overrides of single earnings.

Every change takes effect on old earnings at once: one update of the set that moves, and the months of the roll-up that
it touched.
"""

import re
from collections.abc import Mapping
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
    true,
    type_coerce,
    update,
)

from tracker.books import book_of, claimed
from tracker.classify import assign_streams
from tracker.connections import Deps, find, stream_t
from tracker.errors import UsageError
from tracker.finish import finish
from tracker.ledger import program_t
from tracker.records import NOT_INCOME, Kind, Recurrence, Status
from tracker.store import rollup, tables, writes
from tracker.store.columns import Micros
from tracker.store.database import reading
from tracker.store.writes import connection_t
from tracker.store.writes import earning_t as e

rule_t = tables.StreamRule.__table__  # type: ignore[attr-defined]
m = tables.MonthlyIncome.__table__  # type: ignore[attr-defined]

#: Patterns of a rule.
PARTS = ("program", "product", "sub_id", "kind")
NAME_MAX, PATTERN_MAX, RULES_MAX, PROGRAMS_SHOWN = 80, 200, 1_000, 500


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


# --- streams ---


def slug_of(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "stream"


def find_stream(conn: Connection, name: str) -> Any:
    """The stream of that slug or title. Raises UsageError, naming those there are."""
    wanted = or_(stream_t.c.slug == slug_of(name), func.lower(stream_t.c.title) == name.lower())
    found = conn.execute(select(stream_t).where(wanted).order_by(stream_t.c.slug != slug_of(name)).limit(1)).first()
    if found is None:
        titles = conn.execute(select(stream_t.c.title).order_by(stream_t.c.title).limit(20)).scalars()
        known = ", ".join(titles)
        hint = f"There are: {known}." if known else "Make one with `tracker stream add NAME`."
        raise UsageError(f"no stream is called {name[:60]!r}.", hint=hint)
    return found


def every_stream(engine: Engine) -> list[dict[str, Any]]:
    """All streams with their connections, number of rules and what they hold."""
    with engine.begin() as conn:
        sums = _held(conn)
        rules = dict(_pairs(conn, select(rule_t.c.stream_id, func.count()).group_by(rule_t.c.stream_id)))
        own: dict[int, list[str]] = {}
        for stream_id, slug in _pairs(conn, select(connection_t.c.stream_id, connection_t.c.slug).order_by("slug")):
            own.setdefault(stream_id, []).append(slug)
        return [
            {
                "slug": row.slug,
                "title": row.title,
                "business_model": row.business_model,
                "delivery": row.delivery,
                "connections": own.get(row.id, []),
                "rules": rules.get(row.id, 0),
                "earnings": sum(count for (stream, _), (count, _) in sums.items() if stream == row.id),
                "net": {currency: net for (stream, currency), (_, net) in sorted(sums.items()) if stream == row.id},
            }
            for row in conn.execute(select(stream_t).order_by(stream_t.c.position, stream_t.c.title))
        ]


def _pairs(conn: Connection, query: Any) -> list[tuple[Any, Any]]:
    return [(row[0], row[1]) for row in conn.execute(query)]


def _held(conn: Connection) -> dict[tuple[int, str], tuple[int, Decimal]]:
    """Earnings and net of each stream and currency, by the roll-up brought up to date."""
    rollup.work_off(conn)
    counts = and_(
        m.c.status.in_((Status.APPROVED, Status.PENDING)), m.c.kind.not_in(NOT_INCOME), ~m.c.paired, ~m.c.estimated
    )
    net = func.sum(case((counts, m.c.net), else_=type_coerce(0, BigInteger)), type_=Micros)
    query = select(m.c.stream_id, m.c.currency, func.sum(m.c.earnings), net)
    rows = conn.execute(query.group_by(m.c.stream_id, m.c.currency))
    return {(row[0], row[1]): (int(row[2]), row[3]) for row in rows}


def add_stream(deps: Deps, name: str, business_model: str | None = None, delivery: str | None = None) -> str:
    """Make a stream and answer its slug. Raises UsageError for an empty, long or taken name."""
    title = _titled(name)
    with deps.engine.begin() as conn:
        _refuse_taken(conn, title)
        last = conn.execute(select(func.coalesce(func.max(stream_t.c.position), 0))).scalar_one()
        values = {"slug": slug_of(title), "title": title, "business_model": business_model, "delivery": delivery}
        conn.execute(insert(stream_t).values(**values, position=last + 1, created_at=deps.now()))
    return slug_of(title)


def _titled(name: str) -> str:
    title = " ".join(name.split())
    if not title or len(title) > NAME_MAX or not title.isprintable():
        raise UsageError(f"not a name for a stream: {name[:40]!r}", hint=f"Use 1 to {NAME_MAX} characters.")
    return title


def _refuse_taken(conn: Connection, title: str, but: int | None = None) -> None:
    taken = conn.execute(select(stream_t.c.id, stream_t.c.title).where(stream_t.c.slug == slug_of(title))).first()
    if taken is not None and taken.id != but:
        raise UsageError(f"there is a stream {taken.title!r} already.", hint="Choose another name.")


def rename_stream(deps: Deps, name: str, to: str) -> str:
    title = _titled(to)
    with deps.engine.begin() as conn:
        stream = find_stream(conn, name)
        _refuse_taken(conn, title, but=stream.id)
        conn.execute(update(stream_t).where(stream_t.c.id == stream.id).values(title=title, slug=slug_of(title)))
    return slug_of(title)


def remove_stream(deps: Deps, name: str, into: str | None = None) -> int:
    """Remove a stream; what it has goes to `into`. Answers how many earnings that were.

    Raises UsageError when it has earnings or connections and `into` is missing.
    """
    with deps.engine.begin() as conn:
        stream = find_stream(conn, name)
        used = e.c.stream_id == stream.id
        overridden = e.c.override_stream_id == stream.id
        own = connection_t.c.stream_id == stream.id
        if into is None:
            busy = conn.execute(select(e.c.id).where(or_(used, overridden)).limit(1)).first()
            if busy or conn.execute(select(connection_t.c.id).where(own).limit(1)).first():
                raise UsageError(
                    f"{stream.title} has earnings or connections.",
                    hint=f"Say where they go: tracker stream remove {stream.slug} --into OTHER",
                )
        moved = 0
        if into is not None:
            other = find_stream(conn, into)
            if other.id == stream.id:
                raise UsageError("a stream cannot go into itself.", hint="Name another one with --into.")
            conn.execute(update(connection_t).where(own).values(stream_id=other.id))
            conn.execute(update(rule_t).where(rule_t.c.stream_id == stream.id).values(stream_id=other.id))
            writes.mark_dirty_where(conn, used)
            conn.execute(update(e).where(overridden).values(override_stream_id=other.id))
            moved = conn.execute(update(e).where(used).values(stream_id=other.id)).rowcount
            rollup.work_off(conn)
        conn.execute(delete(stream_t).where(stream_t.c.id == stream.id))
    return moved


# --- rules ---


def every_rule(engine: Engine) -> list[dict[str, Any]]:
    """All rules in the order in which they are tried."""
    query = (
        select(rule_t, stream_t.c.title.label("stream"), connection_t.c.slug.label("connection"))
        .join(stream_t, stream_t.c.id == rule_t.c.stream_id)
        .outerjoin(connection_t, connection_t.c.id == rule_t.c.connection_id)
        .order_by(rule_t.c.position, rule_t.c.id)
    )
    names = ("id", "position", "stream", "connection", *PARTS)
    with reading(engine) as conn:
        return [{name: getattr(row, name) for name in names} for row in conn.execute(query)]


def add_rule(
    deps: Deps,
    stream: str,
    parts: Mapping[str, str | None],
    *,
    connection: str | None = None,
    position: int | None = None,
    dry_run: bool = False,
) -> tuple[int, Moved]:
    """Add a rule at a position, by default as the last. Answers its id and what moved by it.

    With `dry_run` nothing is kept. Raises UsageError for a rule that fits everything, a pattern that is empty or long,
    or an unknown kind, stream or connection.
    """
    given = {name: pattern.strip() for name, pattern in parts.items() if pattern is not None}
    _check(given, connection)
    connection_id = find(deps.engine, connection).id if connection else None
    with deps.engine.connect() as conn:
        transaction = conn.begin()
        stream_id = find_stream(conn, stream).id
        order = _order(conn)
        if len(order) >= RULES_MAX:
            raise UsageError(f"there are {RULES_MAX} rules already.", hint="Remove some first.")
        values = {"stream_id": stream_id, "connection_id": connection_id, "position": len(order) + 1, **given}
        rule_id = int(conn.execute(insert(rule_t).values(values)).inserted_primary_key[0])  # type: ignore[index]
        at = len(order) if position is None else max(0, min(position - 1, len(order)))
        order.insert(at, rule_id)
        moved = _apply(conn, order)
        if dry_run:
            transaction.rollback()
        else:
            transaction.commit()
    return rule_id, moved


def _check(given: Mapping[str, str], connection: str | None) -> None:
    for name, pattern in given.items():
        if not pattern or len(pattern) > PATTERN_MAX:
            raise UsageError(f"--{name.replace('_', '-')}: a pattern has 1 to {PATTERN_MAX} characters.")
    kind = given.get("kind")
    if kind and "*" not in kind and kind.lower() not in list(Kind):
        raise UsageError(f"--kind: {kind[:40]!r} is not a kind.", hint=f"Known: {', '.join(Kind)}.")
    if connection is None and all(set(pattern) <= {"*"} for pattern in given.values()):
        raise UsageError(
            "a rule without a condition would take every earning.",
            hint="Give at least one of --connection, --program, --product, --sub-id, --kind.",
        )


def remove_rule(deps: Deps, rule_id: int) -> Moved:
    with deps.engine.begin() as conn:
        order = _order(conn)
        _refuse_unknown(order, rule_id)
        conn.execute(delete(rule_t).where(rule_t.c.id == rule_id))
        return _apply(conn, [other for other in order if other != rule_id])


def move_rule(deps: Deps, rule_id: int, position: int) -> Moved:
    """Put a rule at a position, 1 is tried first."""
    with deps.engine.begin() as conn:
        order = _order(conn)
        _refuse_unknown(order, rule_id)
        order.remove(rule_id)
        order.insert(max(0, min(position - 1, len(order))), rule_id)
        return _apply(conn, order)


def _order(conn: Connection) -> list[int]:
    return list(conn.execute(select(rule_t.c.id).order_by(rule_t.c.position, rule_t.c.id)).scalars())


def _refuse_unknown(order: list[int], rule_id: int) -> None:
    if rule_id not in order:
        raise UsageError(f"there is no rule {rule_id}.", hint="`tracker rule list` shows all with their ids.")


def _apply(conn: Connection, order: list[int]) -> Moved:
    """Number the rules anew, assign every earning by them, and say what moved."""
    for position, rule_id in enumerate(order, 1):
        conn.execute(update(rule_t).where(rule_t.c.id == rule_id).values(position=position))
    before = _held(conn)
    count = assign_streams(conn, true())
    after = _held(conn)
    titles = dict(_pairs(conn, select(stream_t.c.id, stream_t.c.title)))
    changes = []
    for key in sorted({*before, *after}):
        (old_count, old_net), (new_count, new_net) = (sums.get(key, (0, Decimal(0))) for sums in (before, after))
        if (old_count, old_net) != (new_count, new_net):
            changes.append(Held(titles[key[0]], key[1], new_count - old_count, new_net - old_net))
    return Moved(earnings=count, streams=changes)


# --- programs and single earnings ---


def every_program(engine: Engine, slug: str | None = None, *, marked: bool = False) -> tuple[list[dict[str, Any]], int]:
    """Programs with what they brought, the busiest first, and how many there are in all."""
    p = program_t.c
    conditions = [p.connection_id == find(engine, slug).id] if slug else []
    conditions += [p.recurring] if marked else []
    sums = (
        select(m.c.connection_id, m.c.program, func.sum(m.c.earnings).label("earnings"))
        .group_by(m.c.connection_id, m.c.program)
        .subquery()
    )
    count = func.coalesce(sums.c.earnings, 0)
    query = (
        select(connection_t.c.slug.label("connection"), p.external_id, p.title, p.recurring, count.label("earnings"))
        .join(connection_t, connection_t.c.id == p.connection_id)
        .outerjoin(sums, (sums.c.connection_id == p.connection_id) & (sums.c.program == p.external_id))
        .where(*conditions)
        .order_by(count.desc(), p.title)
        .limit(PROGRAMS_SHOWN)
    )
    with reading(engine) as conn:
        total = conn.execute(select(func.count()).select_from(program_t).where(*conditions)).scalar_one()
        rows = conn.execute(query).all()
    return [{**row._mapping, "program": row.external_id, "earnings": int(row.earnings)} for row in rows], total


def mark_program(deps: Deps, slug: str, program: str, recurring: bool) -> int:
    """Say whether a program's commissions come again and again. Answers how many earnings were decided anew.

    `program` is its id at the provider or its title. Raises UsageError for an unknown one.
    """
    now, p = deps.now(), program_t.c
    with claimed(deps, find(deps.engine, slug).id, now) as (conn, row):
        mine = p.connection_id == row.id
        named = or_(p.external_id == program, func.lower(p.title) == program.lower())
        found = conn.execute(select(p.external_id, p.title).where(mine, named).limit(2)).all()
        if len(found) != 1:
            what = "no program" if not found else "more than one program"
            raise UsageError(
                f"{what} of {slug} is called {program[:60]!r}.", hint=f"tracker program list --connection {slug}"
            )
        key = found[0].external_id
        conn.execute(update(program_t).where(mine, p.external_id == key).values(recurring=recurring))
        scope = (e.c.connection_id == row.id) & (e.c.program == key)
        count = conn.execute(update(e).where(scope).values(fresh=True)).rowcount
        finish(conn, book_of(deps, conn, row, now))
    return count


def find_earning(engine: Engine, name: str) -> Any:
    """An earning by its id or by connection/external_id. Raises UsageError."""
    slug, slash, external_id = name.partition("/")
    if name.isdecimal() and len(name) <= 18:
        condition = e.c.id == int(name)
    elif slash and external_id:
        condition = (e.c.connection_id == find(engine, slug).id) & (e.c.external_id == external_id)
    else:
        raise UsageError(
            f"not an earning: {name[:60]!r}", hint="Write connection/external_id, as in `tracker earnings`."
        )
    with reading(engine) as conn:
        found = conn.execute(select(e).where(condition).limit(2)).all()
    if not found:
        raise UsageError(f"there is no earning {name[:60]!r}.", hint="`tracker earnings` lists them.")
    if len(found) > 1:
        ids = ", ".join(f"{row.id} ({row.resource})" for row in found)
        raise UsageError(f"more than one earning is called {name[:60]!r}.", hint=f"Use one of the ids {ids}.")
    return found[0]


def override(
    deps: Deps, name: str, *, recurrence: str | None = None, stream: str | None = None, clear: bool = False
) -> Any:
    """Decide an earning's recurrence or stream by hand, or take such decisions back. Answers the earning as it is then.

    What is not named stays as it was. Raises UsageError.
    """
    if clear == bool(recurrence or stream):
        raise UsageError("say what is to change.", hint="Give --recurrence or --stream, or --clear alone.")
    if recurrence is not None and recurrence not in list(Recurrence):
        raise UsageError(f"--recurrence: {recurrence[:20]!r}.", hint=f"Choose one of {', '.join(Recurrence)}.")
    earning = find_earning(deps.engine, name)
    now = deps.now()
    with claimed(deps, earning.connection_id, now) as (conn, row):
        values: dict[str, Any] = {"fresh": True}
        if clear:
            values |= {"override_recurrence": None, "override_stream_id": None}
        if recurrence:
            values["override_recurrence"] = recurrence
        if stream:
            values["override_stream_id"] = find_stream(conn, stream).id
        conn.execute(update(e).where(e.c.id == earning.id).values(values))
        finish(conn, book_of(deps, conn, row, now))
        query = select(e, stream_t.c.title.label("stream")).join(stream_t, stream_t.c.id == e.c.stream_id)
        return conn.execute(query.where(e.c.id == earning.id)).one()
