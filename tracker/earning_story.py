"""One earning with all that is known about it: where it came from, what became of it, and why it is what it is."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, and_, case, func, select

from tracker.classify import fits, rules_of
from tracker.connect import catalog
from tracker.ledger import invoice_t
from tracker.months import day_of
from tracker.rates import load_rates
from tracker.search import row_of
from tracker.settings import Settings
from tracker.store import reads_search, writes
from tracker.store.database import reading
from tracker.store.reads import item_t, payout_t, program_t, stream_t, subscription_t
from tracker.store.writes import earning_t as e

#: Earnings shown beside it, changes of its history, and bytes of the row as it came.
BESIDE_MAX, CHANGES_MAX, RAW_MAX = 20, 200, 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was noted when it changed; `old` and `new` are words, or amounts where `what` is "net"."""

    changed_at: datetime
    what: str
    old: str | Decimal | None
    new: str | Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """The row as the provider sent it, without the personal fields that its connector drops. `text` is JSON."""

    fetched_at: datetime
    text: str
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """How it became `value` in the reporting currency: `rate` units for one of its own, known on `day`."""

    currency: str
    value: Decimal
    rate: Decimal | None
    day: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InStream:
    """Why it is in its stream: "override", "rule", or "connection" whose own stream it is.

    `rule` has the parts of the rule that fits, `position` as it is tried, and its `id`; also where an override wins.
    `rule_slug` is that of the stream that the rule fills.
    """

    title: str
    slug: str
    by: str
    rule: Any
    rule_slug: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """`row` has the columns of a search, `more` those that only the ledger has. What is None is not known.

    `pairs` tell the same money from another connection; `related` are earlier or later rows that correct one another.
    """

    row: dict[str, Any]
    more: Any
    provider: str
    changes: list[Change]
    raw: Raw | None
    payout: Any
    pairs: list[dict[str, Any]]
    related: list[dict[str, Any]]
    subscription: Any
    invoice: Any
    converted: Converted | None
    in_stream: InStream


def one(engine: Engine, settings: Settings, earning_id: int) -> Story | None:
    """All about an earning; None if there is none of that id."""
    with reading(engine) as conn:
        found = reads_search.told(conn, [earning_id]).get(earning_id)
        if found is None:
            return None
        provider = catalog.find(found.provider).title if catalog.knows(found.provider) else found.provider
        return Story(
            row=row_of(found, settings.currency),
            more=found,
            provider=provider,
            changes=_changes(conn, earning_id),
            raw=_raw(conn, found),
            payout=_payout(conn, found),
            pairs=_rows(conn, settings, _pairs(conn, found)),
            related=_rows(conn, settings, _related(conn, found)),
            subscription=_subscription(conn, found),
            invoice=_invoice(conn, found),
            converted=_converted(conn, settings, found),
            in_stream=_in_stream(conn, found),
        )


def _changes(conn: Connection, earning_id: int) -> list[Change]:
    """The newest first."""
    c = writes.earning_change_t.c
    query = select(c.changed_at, c.what, c.old, c.new).where(c.earning_id == earning_id)
    rows = conn.execute(query.order_by(c.changed_at.desc(), c.id.desc()).limit(CHANGES_MAX))
    return [
        Change(changed_at=row.changed_at, what=row.what, old=_said(row.what, row.old), new=_said(row.what, row.new))
        for row in rows
    ]


def _said(what: str, text: str | None) -> str | Decimal | None:
    return Decimal(text) if what == "net" and text is not None else text


def _raw(conn: Connection, row: Any) -> Raw | None:
    r, b = writes.raw_row_t.c, writes.raw_batch_t.c
    mine = and_(r.connection_id == row.connection_id, r.resource == row.resource)
    query = select(r.position, b.rows, b.fetched_at).join(writes.raw_batch_t, b.id == r.batch_id)
    kept = conn.execute(query.where(mine, r.key == (row.raw_key or row.external_id))).first()
    if kept is None:
        return None
    text = msgspec.json.format(bytes(writes.unpack_batch(kept.rows)[kept.position]), indent=2)
    return Raw(
        fetched_at=kept.fetched_at, text=text[:RAW_MAX].decode(errors="ignore"), whole=len(text) <= RAW_MAX
    )  # fmt: skip


def _payout(conn: Connection, row: Any) -> Any:
    """The payout that settles it: the one it names, or, put together from earnings, the one of its currency."""
    p, i = payout_t.c, item_t.c
    mine = p.connection_id == row.connection_id
    names = [] if row.payout_ref is None else [row.payout_ref, f"{row.payout_ref}:{row.currency}"]
    if not names:
        inside = and_(i.connection_id == row.connection_id, i.earning_ref == row.external_id)
        names = list(conn.execute(select(i.payout_ref).where(inside).limit(BESIDE_MAX)).scalars())
    query = select(p.id, p.external_id, p.status, p.amount, p.currency, p.created_at, p.arrives_at)
    newest = query.where(mine, p.external_id.in_(names)).order_by(p.created_at.desc(), p.id.desc())
    return conn.execute(newest.limit(1)).first()


def _pairs(conn: Connection, row: Any) -> list[int]:
    refs = [ref for ref in (row.gateway_ref, row.payment_ref) if ref]
    found: set[int] = set()
    for column in (e.c.gateway_ref, e.c.payment_ref):  # two questions, so that each uses the index of its reference
        same = and_(column.in_(refs), e.c.connection_id != row.connection_id)
        found.update(conn.execute(select(e.c.id).where(same).limit(BESIDE_MAX)).scalars())
    return sorted(found)[:BESIDE_MAX]


def _related(conn: Connection, row: Any) -> list[int]:
    """What it corrects, what corrects it, and what else corrects the same."""
    mine = e.c.connection_id == row.connection_id
    refs = [ref for ref in (row.external_id, row.origin_ref) if ref]
    corrects = and_(mine, e.c.origin_ref.in_(refs))
    corrected = and_(mine, e.c.resource == row.resource, e.c.external_id.in_(refs))
    found: set[int] = set()
    for way in (corrects, corrected):
        found.update(conn.execute(select(e.c.id).where(way, e.c.id != row.id).limit(BESIDE_MAX)).scalars())
    return sorted(found)[:BESIDE_MAX]


def _rows(conn: Connection, settings: Settings, ids: list[int]) -> list[dict[str, Any]]:
    found = reads_search.told(conn, ids) if ids else {}
    return [row_of(found[number], settings.currency) for number in ids]


def _subscription(conn: Connection, row: Any) -> Any:
    s = subscription_t.c
    if row.subscription_ref is None:
        return None
    same = and_(s.connection_id == row.connection_id, s.external_id == row.subscription_ref)
    titled = and_(program_t.c.connection_id == s.connection_id, program_t.c.external_id == s.product)
    title = func.coalesce(program_t.c.title, s.product).label("title")
    told = select(subscription_t, title).select_from(subscription_t.outerjoin(program_t, titled))
    return conn.execute(told.where(same).limit(1)).first()


def _invoice(conn: Connection, row: Any) -> Any:
    i = invoice_t.c
    refs = [ref for ref in (row.payment_ref, row.gateway_ref, row.external_id) if ref]
    same = and_(i.connection_id == row.connection_id, i.payment_ref.in_(refs))
    return conn.execute(select(i.external_id, i.period_start, i.period_end).where(same).limit(1)).first()


def _converted(conn: Connection, settings: Settings, row: Any) -> Converted | None:
    if row.reporting_net is None or row.currency == settings.currency:
        return None
    found = load_rates(conn).rate(row.currency, settings.currency, day_of(row.earned_at, settings.zone))
    return Converted(
        currency=settings.currency, value=row.reporting_net, rate=found[0] if found else None, day=row.rate_day
    )  # fmt: skip


def _in_stream(conn: Connection, row: Any) -> InStream:
    rules = rules_of(conn)
    rule = None
    if rules:
        first = case(*((fits(one), one.id) for one in rules), else_=None)
        fitting = conn.execute(select(first).where(e.c.id == row.id)).scalar()
        rule = next((one for one in rules if one.id == fitting), None)
    by = "override" if row.override_stream_id is not None else "rule" if rule else "connection"
    slug = select(stream_t.c.slug).where(stream_t.c.id == rule.stream_id) if rule else None
    return InStream(
        title=row.stream, slug=row.stream_slug, by=by, rule=rule,
        rule_slug=None if slug is None else conn.execute(slug).scalar(),
    )  # fmt: skip
