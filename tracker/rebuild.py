"""Making the derived rows again from the rows that were kept, after a connector's mapping was corrected.

Every version of a row is played again in the order in which it came, with the time at which it came: so what only
history knows (approved before it was taken back, the day a payment was first seen) comes out as a sync would have found
it with the corrected mapping. Nothing is asked of the provider. What the user decided stays.

One connection is one transaction: a report sees the old figures or the new ones, and a rebuild that is interrupted
changes nothing. Memory holds one batch of rows at a time; what was there before is kept in a temporary table.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    String,
    Table,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from tracker import ledger, quarantine
from tracker.books import book_of, claimed
from tracker.connect.connector import Resource
from tracker.connect.normalise import normalise, row_key
from tracker.connect.rows import decode
from tracker.connections import Deps
from tracker.errors import DataError, UnexpectedData
from tracker.finish import finish
from tracker.ledger import WATCHED, Book, bank_line_t, invoice_t, payout_item_t, payout_t, subscription_t
from tracker.records import (
    BankLine,
    Earning,
    Invoice,
    Payout,
    PayoutItem,
    Program,
    Record,
    Status,
    Subscription,
    SubscriptionStatus,
)
from tracker.store import writes
from tracker.store.columns import UtcDateTime
from tracker.store.writes import earning_change_t, raw_batch_t, raw_row_t
from tracker.store.writes import earning_t as e
from tracker.store.writes import quarantine_t as q

KEY = ("connection_id", "resource", "external_id")
#: Earnings whose history is written in one step.
STEP = 1_000
#: Records of which only the newest version counts.
_PLAIN: dict[type[Any], Table] = {
    Subscription: subscription_t,
    Payout: payout_t,
    PayoutItem: payout_item_t,
    Invoice: invoice_t,
    BankLine: bank_line_t,
}


class Rebuilt(msgspec.Struct, kw_only=True):
    """What a rebuild changed, counted in earnings unless said otherwise. `columns` says in what they differ."""

    slug: str
    rows: int = 0  # kept rows that were read
    made: int = 0
    changed: int = 0
    withdrawn: int = 0
    columns: dict[str, int] = {}
    others: dict[str, int] = {}  # changed records of other kinds
    held: int = 0  # rows that are not understood any more, new in quarantine
    released: int = 0  # rows that left the quarantine

    @property
    def nothing(self) -> bool:
        return not (self.made or self.changed or self.withdrawn or self.others or self.held or self.released)


def rebuild(deps: Deps, connection_id: int) -> Rebuilt:
    """Make everything again that is derived from the kept rows of a connection.

    Raises UsageError while a sync holds the connection, and UnexpectedData, changing nothing, when kept rows cannot be
    found again by their id.
    """
    now = deps.now()
    with claimed(deps, connection_id, now, scratch=True) as (conn, row):
        result = Rebuilt(slug=row.slug)
        _Rebuild(conn, book_of(deps, conn, row, now), deps, result).run()
    return result


class _Rebuild:
    """The steps of one rebuild, inside one transaction."""

    def __init__(self, conn: Connection, book: Book, deps: Deps, result: Rebuilt) -> None:
        self.conn, self.book, self.deps, self.result = conn, book, deps, result
        self.mine = e.c.connection_id == book.connection_id
        scratch = MetaData()
        temporary: dict[str, Any] = {"prefixes": ["TEMPORARY"]}
        self.before = Table(
            "earning_before", scratch, *(Column(c.name, c.type, primary_key=c.name == "id") for c in e.c), **temporary
        )
        #: What older versions of a row said of an earning.
        self.past = Table(
            "earning_past", scratch,
            Column("resource", String, primary_key=True), Column("external_id", String, primary_key=True),
            Column("status", String), Column("said_status", String), Column("settlement", String),
            Column("validated_at", UtcDateTime), Column("paid_at", UtcDateTime), Column("payout_ref", String),
            Column("provider_status", String),
            **temporary,
        )  # fmt: skip
        self.scratch = scratch

    def run(self) -> None:
        conn, book = self.conn, self.book
        self.scratch.create_all(conn)
        conn.execute(insert(self.before).from_select([c.name for c in e.c], select(e).where(self.mine)))
        writes.mark_dirty_where(conn, self.mine)
        conn.execute(update(e).where(self.mine).values(fresh=False))  # from here on: made again
        counts = self._count_plain()
        for resource in book.connector.resources:
            _Replay(self, resource).run()
        self._withdraw()
        self._drop_resources()
        conn.execute(update(e).where(self.mine).values(fresh=True))
        self._decide()
        self._drop_empty_payouts()
        self._compare(counts)
        self._note_changes()
        self.scratch.drop_all(conn)
        self._retry_quarantine()

    def _decide(self) -> None:
        """The steps after the pages."""
        writes.mark_dirty_where(self.conn, self.mine)
        finish(self.conn, self.book, anew=self._lost_references())

    def _lost_references(self) -> bool:
        """Whether a row lost the reference that its twin elsewhere was paired by: then everything is paired anew."""
        b = self.before.c
        lost = [
            and_(b[name].is_not(None), b[name].is_distinct_from(e.c[name])) for name in ("gateway_ref", "payment_ref")
        ]
        query = select(e.c.id).join(self.before, b.id == e.c.id).where(self.mine, or_(*lost)).limit(1)
        return self.conn.execute(query).first() is not None

    # --- what is not made any more ---

    def _withdraw(self) -> None:
        """Earnings that no row makes any more are declined or, once approved, reversed."""
        reversed_ = case(
            (e.c.status.in_((Status.APPROVED, Status.REVERSED)), literal(Status.REVERSED.value)),
            else_=literal(Status.DECLINED.value),
        )
        gone = and_(self.mine, ~e.c.fresh, e.c.provider_status.is_distinct_from("withdrawn"))
        done = self.conn.execute(
            update(e).where(gone).values(status=reversed_, said_status=reversed_, provider_status="withdrawn")
        )
        self.result.withdrawn = done.rowcount

    def _drop_resources(self) -> None:
        """Plain records of resources that the connector no longer has."""
        names = [resource.name for resource in self.book.connector.resources]
        for table, ended in ((payout_item_t, False), (invoice_t, False), (subscription_t, True)):
            old = and_(table.c.connection_id == self.book.connection_id, table.c.resource.not_in(names))
            self.conn.execute(_ended(self.book.now).where(old) if ended else delete(table).where(old))
        # "earnings" is where payouts stand that were put together from earnings
        old = and_(
            payout_t.c.connection_id == self.book.connection_id, payout_t.c.resource.not_in([*names, "earnings"])
        )
        self.conn.execute(delete(payout_t).where(old))

    def _drop_empty_payouts(self) -> None:
        """Payouts that were put together from earnings which name another one now."""
        if self.book.connector.payouts != "from_earnings":
            return
        inside = exists().where(
            self.mine,
            e.c.status.in_((Status.APPROVED, Status.REVERSED)),
            e.c.payout_ref.is_not(None),
            payout_t.c.external_id == e.c.payout_ref + ":" + e.c.currency,
        )
        gathered = and_(payout_t.c.connection_id == self.book.connection_id, payout_t.c.resource == "earnings")
        done = self.conn.execute(delete(payout_t).where(gathered, ~inside)).rowcount
        if done:
            self._also("payouts", done)

    def _retry_quarantine(self) -> None:
        mine = q.c.connection_id == self.book.connection_id
        tried = quarantine.retry_rows(self.conn, self.book, self.result.slug, mine, explicit=False)
        self.result.released += tried.understood
        if tried.understood:
            finish(self.conn, self.book)

    def _also(self, what: str, count: int) -> None:
        self.result.others[what] = self.result.others.get(what, 0) + count

    # --- what changed ---

    def _count_plain(self) -> dict[str, int]:
        return {
            table.name: self.conn.execute(
                select(func.count()).where(table.c.connection_id == self.book.connection_id)
            ).scalar_one()
            for table in (payout_item_t, invoice_t)
        }

    def _compare(self, counts: Mapping[str, int]) -> None:
        """Count what differs, column by column."""
        b, result = self.before, self.result
        names = [c.name for c in e.c if c.name not in ("id", "fresh")]
        differs = [b.c[name].is_distinct_from(e.c[name]) for name in names]
        sums = [func.coalesce(func.sum(case((test, 1), else_=0)), 0) for test in (or_(*differs), *differs)]
        row = self.conn.execute(select(*sums).select_from(e.join(b, b.c.id == e.c.id)).where(self.mine)).one()
        result.columns = {name: int(count) for name, count in zip(names, row[1:], strict=True) if count}
        result.changed = int(row[0]) - result.withdrawn
        query = select(func.count()).select_from(e.outerjoin(b, b.c.id == e.c.id)).where(self.mine, b.c.id.is_(None))
        result.made = self.conn.execute(query).scalar_one()
        for name, count in self._count_plain().items():
            if count != counts[name]:
                self._also(f"{name}s", abs(count - counts[name]))

    def _note_changes(self) -> None:
        """One entry of history for what is different in the end, none for the steps between."""
        b = self.before
        differs = or_(*(b.c[name].is_distinct_from(e.c[name]) for name in WATCHED))
        olds, news = ([t.c[name].label(f"{word}_{name}") for name in WATCHED] for word, t in (("old", b), ("new", e)))
        query = select(e.c.id, *olds, *news).join(b, b.c.id == e.c.id).where(self.mine, differs).order_by(e.c.id)
        last = 0
        while rows := self.conn.execute(query.where(e.c.id > last).limit(STEP)).all():
            last = rows[-1].id
            changes = [
                {"earning_id": row.id, "run_id": None, "changed_at": self.book.now, "what": name,
                 "old": ledger.said(getattr(row, f"old_{name}")), "new": ledger.said(getattr(row, f"new_{name}"))}
                for row in rows
                for name in WATCHED
                if getattr(row, f"old_{name}") != getattr(row, f"new_{name}")
            ]  # fmt: skip
            self.conn.execute(insert(earning_change_t), changes)


def _ended(now: datetime) -> Any:
    values = {"status": SubscriptionStatus.EXPIRED, "ended_at": now, "provider_status": "withdrawn"}
    return update(subscription_t).where(subscription_t.c.ended_at.is_(None)).values(values)


class _Replay:
    """Plays the kept rows of one resource again."""

    def __init__(self, whole: _Rebuild, resource: Resource) -> None:
        self.whole, self.resource = whole, resource
        self.conn, self.book, self.result = whole.conn, whole.book, whole.result
        self.gone: set[str] = set()  # ids of plain records that their row no longer makes …
        self.moved: set[str] = set()  # … and those that another row makes instead
        self.met = 0

    def run(self) -> None:
        r, b = raw_row_t.c, raw_batch_t.c
        mine = (b.connection_id == self.book.connection_id, b.resource == self.resource.name)
        batches = list(self.conn.execute(select(b.id).where(*mine).order_by(b.id)).scalars())
        for batch_id in batches:
            batch = self.conn.execute(select(b.fetched_at, b.rows).where(b.id == batch_id)).one()
            self._play(batch_id, batch.fetched_at, writes.unpack_batch(bytes(batch.rows)))
        kept = select(func.count()).where(r.connection_id == self.book.connection_id, r.resource == self.resource.name)
        missing = self.conn.execute(kept).scalar_one() - self.met
        if missing:
            raise UnexpectedData(
                f"{self.result.slug}: {missing} kept rows of {self.resource.name} cannot be found again by their id, "
                "so nothing was changed.",
                hint="If the connector reads the id in another way now, read them anew: remove the connection and add "
                "it again.",
            )
        self._drop_gone()

    def _play(self, batch_id: int, came_at: datetime, raws: Sequence[msgspec.Raw]) -> None:
        rows: list[tuple[str, int, Any, bytes]] = []
        for position, raw in enumerate(raws):
            try:
                row = decode(raw)
                rows.append((row_key(self.resource, row), position, row, bytes(raw)))
            except (DataError, UnexpectedData):
                continue  # found missing in the end, unless an older version
        kept = self._kept([key for key, *_ in rows])
        book = msgspec.structs.replace(self.book, now=came_at)
        newest = [row for row in rows if kept.get(row[0], (0, 0, None))[:2] == (batch_id, row[1])]
        places = {position for _, position, *_ in newest}
        older = [row for row in rows if row[0] in kept and row[1] not in places]  # no kept row: withdrawn by a sync
        self._remember(book, older)
        self._make(book, newest, kept)

    def _kept(self, keys: Sequence[str]) -> dict[str, tuple[int, int, list[str] | None]]:
        r = raw_row_t.c
        query = select(r.key, r.batch_id, r.position, r.made).where(
            r.connection_id == self.book.connection_id, r.resource == self.resource.name
        )
        return {
            row.key: (row.batch_id, row.position, row.made)
            for part in writes.chunks(keys)
            for row in self.conn.execute(query.where(r.key.in_(part)))
        }

    # --- older versions ---

    def _remember(self, book: Book, rows: Sequence[tuple[str, int, Any, bytes]]) -> None:
        """Keep what an older version said of its earnings; one that cannot be understood says nothing."""
        found: dict[str, tuple[str, Earning]] = {}
        for key, _, row, _ in rows:
            try:
                records = normalise(self.resource, row, book.options, book.now)
            except DataError:
                continue
            found |= {record.external_id: (key, record) for record in records if isinstance(record, Earning)}
        columns = [column.name for column in self.whole.past.c]
        said = [{name: row[name] for name in columns} for row in self._earnings(book, found)]
        writes.upsert(self.conn, self.whole.past, said, ("resource", "external_id"))

    def _earnings(self, book: Book, found: Mapping[str, tuple[str, Earning]]) -> list[dict[str, Any]]:
        """Earnings as they are written, in the light of what older versions said."""
        past = self.whole.past
        query = select(past).where(past.c.resource == self.resource.name)
        before = {
            row.external_id: row
            for part in writes.chunks(list(found))
            for row in self.conn.execute(query.where(past.c.external_id.in_(part)))
        }
        return [
            ledger.earning_row(book, self.resource.name, key, record, before.get(record.external_id))
            for key, record in found.values()
        ]

    # --- the newest version ---

    def _make(
        self,
        book: Book,
        rows: Sequence[tuple[str, int, Any, bytes]],
        kept: Mapping[str, tuple[int, int, list[str] | None]],
    ) -> None:
        self.met += len(rows)
        self.result.rows += len(rows)
        good: list[tuple[str, Record]] = []
        understood: list[tuple[str, bytes]] = []
        faults: list[tuple[str, bytes, DataError]] = []
        made_of: dict[str, list[str] | None] = {}
        for key, _, row, raw in rows:
            try:
                records = normalise(self.resource, row, book.options, book.now)
            except DataError as error:
                faults.append((key, raw, error))
                continue
            understood.append((key, raw))
            good += [(key, record) for record in records]
            made_of[key] = ledger.made_ids(key, records)
        self._hold(faults, kept)
        self.result.released += quarantine.let_go(self.conn, self.book, self.resource.name, understood)
        self._remember_made({key: made for key, made in made_of.items() if made != kept[key][2]}, kept)
        by_type: dict[type[Any], dict[str, tuple[str, Any]]] = {}
        for key, record in good:
            by_type.setdefault(type(record), {})[record.external_id] = (key, record)
        for kind, found in by_type.items():
            if kind is Earning:
                writes.upsert(self.conn, e, self._earnings(book, found), KEY, ledger.DECIDED_HERE)
            elif kind is Program:
                ledger.write_records(self.conn, book, self.resource.name, list(found.values()))
            else:
                self._write_plain(kind, found)

    def _hold(self, faults: Sequence[tuple[str, bytes, DataError]], kept: Mapping[str, Any]) -> None:
        """A row that is not understood any more goes to quarantine; what was made of it stays as it was."""
        if not faults:
            return
        self.result.held += quarantine.hold(self.conn, self.book, self.resource, faults)
        ids = [external_id for key, *_ in faults for external_id in (kept[key][2] or [key])]
        for part in writes.chunks(ids):
            same = and_(self.whole.mine, e.c.resource == self.resource.name, e.c.external_id.in_(part))
            self.conn.execute(update(e).where(same).values(fresh=True))

    def _remember_made(self, made: Mapping[str, list[str] | None], kept: Mapping[str, Any]) -> None:
        r = raw_row_t.c
        for key, new in made.items():
            old_ids, new_ids = set(kept[key][2] or [key]), set(new or [key])
            self.gone |= old_ids - new_ids
            self.moved |= new_ids - old_ids
            mine = and_(r.connection_id == self.book.connection_id, r.resource == self.resource.name, r.key == key)
            self.conn.execute(update(raw_row_t).where(mine).values(made=new))

    def _write_plain(self, kind: type[Any], found: Mapping[str, tuple[str, Any]]) -> None:
        """Records whose newest version is all there is. A correction is no movement and leaves no history."""
        table = _PLAIN[kind]
        before = writes.existing(self.conn, table, self.book.connection_id, self.resource.name, list(found))
        keyed = kind in (Subscription, Payout)
        rows = [
            ledger.owned_row(self.book, self.resource.name, key if keyed else None, record)
            for key, record in found.values()
        ]
        changed = [row for row in rows if row["external_id"] not in before or _differs(before[row["external_id"]], row)]
        if kind is BankLine:
            ledger.write_bank_lines(self.conn, changed)
        else:
            writes.upsert(self.conn, table, changed, KEY)
        if changed:
            self.whole._also(f"{table.name}s", len(changed))

    def _drop_gone(self) -> None:
        for part in writes.chunks(sorted(self.gone - self.moved)):
            for table in (payout_t, payout_item_t, invoice_t, bank_line_t, subscription_t):
                old = and_(
                    table.c.connection_id == self.book.connection_id,
                    table.c.resource == self.resource.name,
                    table.c.external_id.in_(part),
                )
                statement = _ended(self.book.now) if table is subscription_t else delete(table)
                done = self.conn.execute(statement.where(old)).rowcount
                if done and table in (payout_t, bank_line_t, subscription_t):
                    self.whole._also(f"{table.name}s", done)


def _differs(old: Any, new: Mapping[str, Any]) -> bool:
    return any(getattr(old, name) != value for name, value in new.items())
