"""Income streams of the user, marks of programs, overrides of single earnings. Rules are in `tracker.rules`.

Every change takes effect on old earnings at once: one update of the set that moves, and the months of the roll-up that
it touched.
"""

import re
from decimal import Decimal
from typing import Any

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

from tracker.books import book_of, claimed
from tracker.connections import Deps, find, stream_t
from tracker.errors import UsageError
from tracker.finish import finish
from tracker.ledger import program_t
from tracker.records import NOT_INCOME, Recurrence, Status
from tracker.store import rollup, tables, writes
from tracker.store.columns import Micros
from tracker.store.database import reading
from tracker.store.writes import connection_t
from tracker.store.writes import earning_t as e

rule_t = tables.StreamRule.__table__  # type: ignore[attr-defined]
m = tables.MonthlyIncome.__table__  # type: ignore[attr-defined]

NAME_MAX, MODEL_MAX, PROGRAMS_SHOWN = 80, 60, 500
#: Ways to earn, as a stream may name its own; any other short text will do as well.
BUSINESS_MODELS = (
    "affiliate", "recurring affiliate", "advertising", "sponsorship", "digital product", "online course", "membership",
    "freemium", "own SaaS", "physical shop", "physical subscription", "membership and delivery", "service or retainer",
    "consulting", "rental", "licence or royalty", "agency fee", "tips",
)  # fmt: skip
#: Hours sold to one client, or made once and sold to many.
DELIVERIES = ("one_to_one", "one_to_many")


# --- streams ---

#: As the user arranged them.
IN_ORDER = (stream_t.c.position, stream_t.c.title, stream_t.c.id)


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


def names(engine: Engine) -> list[tuple[str, str]]:
    """Slug and title of every stream, as the user arranged them."""
    with reading(engine) as conn:
        return [(row.slug, row.title) for row in conn.execute(select(stream_t).order_by(*IN_ORDER))]


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
            for row in conn.execute(select(stream_t).order_by(*IN_ORDER))
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
    told = _described(business_model, delivery)
    with deps.engine.begin() as conn:
        _refuse_taken(conn, title)
        last = conn.execute(select(func.coalesce(func.max(stream_t.c.position), 0))).scalar_one()
        values = {"slug": slug_of(title), "title": title, "position": last + 1, "created_at": deps.now()}
        conn.execute(insert(stream_t).values(**values, **told))
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


def _described(business_model: str | None, delivery: str | None) -> dict[str, str | None]:
    model = " ".join((business_model or "").split()) or None
    if model and (len(model) > MODEL_MAX or not model.isprintable()):
        raise UsageError(f"not a business model: {model[:40]!r}", hint=f"Use 1 to {MODEL_MAX} characters.")
    if delivery and delivery not in DELIVERIES:
        raise UsageError(f"not a way to deliver: {delivery[:20]!r}.", hint=f"Choose {' or '.join(DELIVERIES)}.")
    return {"business_model": model, "delivery": delivery or None}


def describe_stream(deps: Deps, name: str, business_model: str | None, delivery: str | None) -> None:
    """Say how a stream earns; None where that is left open. Raises UsageError."""
    told = _described(business_model, delivery)
    with deps.engine.begin() as conn:
        stream = find_stream(conn, name)
        conn.execute(update(stream_t).where(stream_t.c.id == stream.id).values(told))


def move_stream(deps: Deps, name: str, by: int) -> None:
    """Put a stream so many places further down the list (up when negative)."""
    with deps.engine.begin() as conn:
        stream = find_stream(conn, name)
        order = list(conn.execute(select(stream_t.c.id).order_by(*IN_ORDER)).scalars())
        at = order.index(stream.id)
        order.insert(max(0, min(at + by, len(order) - 1)), order.pop(at))
        for position, number in enumerate(order, 1):
            conn.execute(update(stream_t).where(stream_t.c.id == number).values(position=position))


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
