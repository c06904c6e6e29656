"""From a page of raw rows to the ledger: keep what is new, normalise it, write it in sets, note what changed.

This is the way every row takes, whether a page, a webhook or a rebuild brought it. A page costs one lookup of digests;
rows that are as before cost nothing more.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NotRequired, TypedDict
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Table, and_, insert, select, update

from tracker import records
from tracker.connect.connector import Connector, Resource
from tracker.connect.fields import Row
from tracker.connect.normalise import Prepared, Pseudonym, normalise, prepare, row_key
from tracker.connect.rows import digest
from tracker.errors import DataError, MoneyError
from tracker.money import convert_micros, from_micros, to_micros
from tracker.months import day_of, month_of
from tracker.rates import Rates
from tracker.records import Recurrence, Settlement, Status
from tracker.store import tables, writes

#: What a change of an earning is: shown in its history and in the letter.
WATCHED = ("status", "settlement", "net", "currency")
#: The status of an earning that its appended corrections undo, before and after approval.
UNDONE = {Status.PENDING: Status.DECLINED, Status.APPROVED: Status.REVERSED}
#: Columns that a provider's row does not decide once the earning exists.
DECIDED_HERE = frozenset(
    {"recurrence", "recurrence_by", "recurrence_reason", "recurrence_interval", "stream_id", "paired"}
)
SUBSCRIPTION_WATCHED = (
    "status", "amount", "discount_forever", "discount_limited", "discount_ends_at", "interval", "currency",
    "trial_end_at", "current_period_end", "cancel_requested_at", "cancel_at_period_end", "ended_at",
)  # fmt: skip


class Book(msgspec.Struct, kw_only=True):
    """What writing rows of one connection needs to know. `newest` is the last earning that an earlier run finished."""

    connection_id: int
    connector: Connector
    options: Mapping[str, str]
    stream_id: int
    run_id: int
    now: datetime
    zone: ZoneInfo
    currency: str
    rates: Rates
    name: Pseudonym
    newest: int | None = None


class Taken(msgspec.Struct):
    """What a page brought, counted in rows."""

    rows: int = 0
    new: int = 0
    changed: int = 0
    quarantined: int = 0


class Sifted(msgspec.Struct):
    """A page before it is written: what is new or changed, what cannot be used, and the ids of all its rows."""

    keys: Sequence[str]
    known: Mapping[str, tuple[bytes, list[str] | None]]
    fresh: list[tuple[bytes, Prepared]]
    held: list[tuple[Prepared, DataError]]
    places: Mapping[str, str] = {}  # where a row stands in the file that brought it, by its id


def keys_of(resource: Resource, raws: Sequence[bytes | msgspec.Raw]) -> list[str]:
    """The id of every row, read without decoding the rest where the id is a plain path; "" for a row without one."""
    return [_key(resource, raw) for raw in raws]


def sift(
    book: Book,
    resource: Resource,
    keys: Sequence[str],
    raws: Sequence[bytes | msgspec.Raw],
    known: Mapping[str, tuple[bytes, list[str] | None]],
    detail: Callable[[Row], Row],
) -> Sifted:
    """Tell the new and changed rows of a page from those that are as before, by digest.

    `known` comes from `writes.known_rows`. `detail` may ask the provider for more about a row, which is why nothing is
    read or written here.
    """
    sifted = Sifted(keys, known, [], [])
    digests: dict[str, bytes] = {}
    for key, raw in zip(keys, raws, strict=True):
        mark = digest(raw)
        if not key:
            sifted.fresh.append((mark, prepare(resource, raw, book.name, detail)))
        elif key not in digests:
            digests[key] = mark
            if key not in known or known[key][0] != mark:
                sifted.fresh.append((mark, prepare(resource, raw, book.name, detail)))
        elif digests[key] != mark:
            twice = DataError("the id came twice in one answer, with different content", field="id")
            sifted.held.append((prepare(resource, raw, book.name, lambda row: row), twice))
    return sifted


def _key(resource: Resource, raw: bytes | msgspec.Raw) -> str:
    try:
        return row_key(resource, _id_only(resource.row_id.dotted, raw))
    except (DataError, msgspec.DecodeError, RecursionError, UnicodeDecodeError, ArithmeticError):
        return ""


def _id_only(dotted: str | None, raw: bytes | msgspec.Raw) -> Row:
    """As much of a row as its id needs."""
    found = _id_decoder(dotted).decode(raw)
    return found if isinstance(found, dict) else {}


@lru_cache(maxsize=256)
def _id_decoder(dotted: str | None) -> msgspec.json.Decoder[Any]:
    """Reads just the values at a dotted path into dicts; the whole row where the id is a function or in a list."""
    keys = dotted.split(".") if dotted else []
    if not keys or any(key.isdigit() for key in keys):
        return msgspec.json.Decoder(float_hook=Decimal)  # as the row is decoded later: an id may be made of an amount
    kind: Any = Any
    make: Any = TypedDict  # of names that are only known now
    for key in reversed(keys):
        kind = make("Id", {key: NotRequired[kind | None]})
    return msgspec.json.Decoder(kind, float_hook=Decimal)


def write(conn: Connection, book: Book, resource: Resource, sifted: Sifted) -> Taken:
    """Write what `sift` found, in sets. Repeating it changes nothing."""
    known, held = sifted.known, list(sifted.held)
    taken = Taken(rows=len(sifted.keys))
    good: list[tuple[bytes, Prepared, list[records.Record]]] = []
    for mark, prepared in sifted.fresh:
        try:
            if prepared.fault:
                raise prepared.fault
            good.append((mark, prepared, normalise(resource, prepared.row, book.options, book.now)))
        except DataError as error:
            held.append((prepared, error))
    still_held = {prepared.key for prepared, _ in held}
    writes.release(conn, book.connection_id, resource.name, [key for key in sifted.keys if key not in still_held])
    rows = [held_row(book, resource, one, error, sifted.places.get(one.key, "")) for one, error in held]
    writes.quarantine(conn, rows)
    taken.quarantined = len(held)
    if not good:
        return taken
    batch = writes.keep_batch(
        conn, book.connection_id, resource.name, book.run_id, book.now, [p.kept for _, p, _ in good]
    )
    writes.keep_rows(
        conn,
        [
            {"connection_id": book.connection_id, "resource": resource.name, "key": prepared.key, "digest": mark,
             "batch_id": batch, "position": position, "made": made_ids(prepared.key, made)}
            for position, (mark, prepared, made) in enumerate(good)
        ],
    )  # fmt: skip
    taken.changed = sum(prepared.key in known for _, prepared, _ in good)
    taken.new = len(good) - taken.changed
    gone = [
        external_id
        for _, prepared, made in good
        if prepared.key in known
        for external_id in set(known[prepared.key][1] or [prepared.key]) - {_id_of(record) for record in made}
    ]
    withdraw(conn, book, resource.name, gone)
    write_records(conn, book, resource.name, [(prepared.key, record) for _, prepared, made in good for record in made])
    return taken


def _id_of(record: records.Record) -> str:
    return record.external_id


def made_ids(key: str, made: Sequence[records.Record]) -> list[str] | None:
    ids = [_id_of(record) for record in made if not isinstance(record, records.Program)]
    return None if ids == [key] else ids


def held_row(book: Book, resource: Resource, prepared: Prepared, error: DataError, place: str = "") -> dict[str, Any]:
    return {
        "connection_id": book.connection_id,
        "resource": resource.name,
        "fingerprint": digest(prepared.key.encode() + b"\0" + prepared.kept).hex(),
        "row_key": prepared.key,
        "payload": prepared.kept,
        "error": f"{place}: {error}" if place else str(error),
        "first_seen_at": book.now,
        "last_seen_at": book.now,
        "tries": 1,
    }


# --- records ---


def write_records(conn: Connection, book: Book, resource: str, made: Sequence[tuple[str, records.Record]]) -> None:
    """Write records of every type, each type as one set; the last of several with the same id counts."""
    by_type: dict[type[Any], dict[str, tuple[str, Any]]] = {}
    for key, record in made:
        by_type.setdefault(type(record), {})[record.external_id] = (key, record)
    for kind, found in by_type.items():
        _WRITERS[kind](conn, book, resource, found)


def _write_earnings(
    conn: Connection, book: Book, resource: str, found: Mapping[str, tuple[str, records.Earning]]
) -> None:
    before = writes.existing(conn, writes.earning_t, book.connection_id, resource, list(found))
    rows = [earning_row(book, resource, key, record, before.get(record.external_id)) for key, record in found.values()]
    writes.upsert(conn, writes.earning_t, rows, ("connection_id", "resource", "external_id"), DECIDED_HERE)
    writes.mark_dirty(
        conn, book.connection_id, {row["earned_month"] for row in rows} | {old.earned_month for old in before.values()}
    )
    pairs = [(before[row["external_id"]], row) for row in rows if row["external_id"] in before]
    note_changes(conn, book, pairs)
    if book.connector.payouts == "from_earnings":
        left = {
            f"{old.payout_ref}:{old.currency}" for old, new in pairs if old.payout_ref not in (None, new["payout_ref"])
        }
        for part in writes.chunks(sorted(left)):  # such a payout is put together again
            here = and_(payout_t.c.connection_id == book.connection_id, payout_t.c.external_id.in_(part))
            conn.execute(update(payout_t).where(here).values(settled_as=None))


def earning_row(book: Book, resource: str, key: str, record: records.Earning, before: Any) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.structs.asdict(record)
    word, interval = row["recurrence"], row.pop("recurrence_interval")
    if before is not None:
        _carry_over(book, row, before)
    if row["status"] == Status.DECLINED and row["settlement"] == Settlement.PAID:
        row["status"] = Status.REVERSED  # only approved money is paid out
    row["said_status"] = row["status"]
    if before is not None and book.connector.corrections == "appended" and before.status != before.said_status:
        row["status"] = UNDONE.get(row["status"], row["status"])  # till `settle` has looked at its corrections anew
    row["connection_id"] = book.connection_id
    row["resource"] = resource
    row["raw_key"] = None if key == record.external_id else key
    row["said_recurrence"] = word
    row["said_interval"] = row["recurrence_interval"] = str(interval) if interval else None
    row["recurrence"] = word or Recurrence.ONE_OFF
    row["recurrence_by"] = "provider" if word else "default"
    row["recurrence_reason"] = None
    row["stream_id"] = book.stream_id
    row["paired"] = False
    row["fresh"] = True
    row["reporting_net"], row["rate_day"] = convert(book, record)
    row["earned_month"] = month_of(record.earned_at, book.zone)
    approved = row["status"] in (Status.APPROVED, Status.REVERSED)
    if approved and row["validated_at"] is not None:  # a planned day, of what was approved before it came
        row["validated_at"] = min(row["validated_at"], max(book.now, record.earned_at))
    validated = row["validated_at"] or record.earned_at
    row["approved_month"] = month_of(validated, book.zone) if approved else None
    paid = row["settlement"] == Settlement.PAID
    row["paid_month"] = month_of(row["paid_at"] or validated, book.zone) if paid else None
    return row


def _carry_over(book: Book, row: dict[str, Any], before: Any) -> None:
    """What the ledger knows of an earning's past and the provider's new row does not say."""
    known = before.said_status or before.status
    if row["status"] == Status.DECLINED and known in (Status.APPROVED, Status.REVERSED):
        row["status"] = Status.REVERSED
    returned = known == Status.REVERSED and before.provider_status == "withdrawn"  # nobody had refused it
    if row["status"] == Status.APPROVED and (known == Status.APPROVED or returned):
        row["validated_at"] = before.validated_at  # many providers only tell when a row last changed: when it was paid
    if row["settlement"] == Settlement.PAID and row["paid_at"] is None:
        row["paid_at"] = before.paid_at or (book.now if before.settlement != Settlement.PAID else None)
    if book.connector.payouts == "read" and row["payout_ref"] is None and before.payout_ref is not None:
        row["settlement"], row["paid_at"], row["payout_ref"] = before.settlement, before.paid_at, before.payout_ref


def convert(book: Book, record: records.Earning) -> tuple[Any, Any]:
    """Net in the reporting currency and the day of the rate, or two None when no rate is known."""
    if record.currency == book.currency:
        return record.net, None
    found = book.rates.rate(record.currency, book.currency, day_of(record.earned_at, book.zone))
    if found is None:
        return None, None
    try:
        return from_micros(convert_micros(to_micros(record.net), found[0])), found[1]
    except MoneyError:  # beyond what the ledger can hold: listed as not converted
        return None, None


def note_changes(conn: Connection, book: Book, pairs: Sequence[tuple[Any, Mapping[str, Any]]]) -> None:
    changes = [
        {
            "earning_id": old.id,
            "run_id": book.run_id,
            "changed_at": book.now,
            "what": what,
            "old": said(getattr(old, what)),
            "new": said(new[what]),
        }
        for old, new in pairs
        for what in WATCHED
        if what in new and getattr(old, what) != new[what]
    ]
    if changes:
        conn.execute(insert(writes.earning_change_t), changes)


def said(value: object) -> str | None:
    return None if value is None else str(value)


def withdraw(conn: Connection, book: Book, resource: str, ids: Sequence[str]) -> None:
    """Earnings that no row makes any more are declined or, once approved, reversed; subscriptions end."""
    if not ids:
        return
    for old in writes.existing(conn, writes.earning_t, book.connection_id, resource, list(ids)).values():
        status = Status.REVERSED if old.status in (Status.APPROVED, Status.REVERSED) else Status.DECLINED
        if old.provider_status != "withdrawn" or old.status != status:
            new = {"status": status, "said_status": status, "provider_status": "withdrawn", "fresh": True}
            conn.execute(update(writes.earning_t).where(writes.earning_t.c.id == old.id).values(new))
            writes.mark_dirty(conn, book.connection_id, [old.earned_month])
            note_changes(conn, book, [(old, new)])
    ended = {"status": records.SubscriptionStatus.EXPIRED, "ended_at": book.now, "provider_status": "withdrawn"}
    for old in writes.existing(conn, subscription_t, book.connection_id, resource, list(ids)).values():
        if old.ended_at is None:
            conn.execute(update(subscription_t).where(subscription_t.c.id == old.id).values(ended))
            _note_subscription(conn, book, old, {**old._mapping, **ended})


subscription_t: Table = tables.Subscription.__table__  # type: ignore[attr-defined]
subscription_change_t: Table = tables.SubscriptionChange.__table__  # type: ignore[attr-defined]
payout_t: Table = tables.Payout.__table__  # type: ignore[attr-defined]
payout_item_t: Table = tables.PayoutItem.__table__  # type: ignore[attr-defined]
program_t: Table = tables.Program.__table__  # type: ignore[attr-defined]
bank_line_t: Table = tables.BankLine.__table__  # type: ignore[attr-defined]
invoice_t: Table = tables.Invoice.__table__  # type: ignore[attr-defined]
_KEY = ("connection_id", "resource", "external_id")
#: A bank line is the same whichever connection's file it came in, and stays with the first.
BANK_KEY = ("account", "fingerprint")


def _write_subscriptions(conn: Connection, book: Book, resource: str, found: Mapping[str, tuple[str, Any]]) -> None:
    before = writes.existing(conn, subscription_t, book.connection_id, resource, list(found))
    rows = [owned_row(book, resource, key, record) for key, record in found.values()]
    writes.upsert(conn, subscription_t, rows, _KEY)
    for row in rows:
        if row["external_id"] in before:
            _note_subscription(conn, book, before[row["external_id"]], row)
    other_rhythm = [
        row["external_id"]
        for row in rows
        if row["external_id"] not in before or before[row["external_id"]].interval != row["interval"]
    ]
    writes.refresh_subscribed(conn, book.connection_id, other_rhythm)


def _note_subscription(conn: Connection, book: Book, old: Any, new: Mapping[str, Any]) -> None:
    changed = [name for name in SUBSCRIPTION_WATCHED if getattr(old, name) != new[name]]
    if changed:
        values = {
            "subscription_id": old.id,
            "run_id": book.run_id,
            "changed_at": book.now,
            "old": {name: msgspec.to_builtins(getattr(old, name)) for name in changed},
            "new": {name: msgspec.to_builtins(new[name]) for name in changed},
        }
        conn.execute(insert(subscription_change_t).values(values))


def _write_payouts(conn: Connection, book: Book, resource: str, found: Mapping[str, tuple[str, Any]]) -> None:
    """A payout that changed is itemised again."""
    rows = [{**owned_row(book, resource, key, record), "itemised_at": None} for key, record in found.values()]
    writes.upsert(conn, payout_t, rows, _KEY)


def _write_items(conn: Connection, book: Book, resource: str, found: Mapping[str, tuple[str, Any]]) -> None:
    rows = [owned_row(book, resource, None, record) for _, record in found.values()]
    writes.upsert(conn, payout_item_t, rows, _KEY)


def _write_programs(conn: Connection, book: Book, resource: str, found: Mapping[str, tuple[str, Any]]) -> None:
    rows = [
        {"connection_id": book.connection_id, **msgspec.structs.asdict(record), "recurring": False}
        for _, record in found.values()
    ]
    titles = select(program_t.c.external_id, program_t.c.title, program_t.c.currency)
    mine = titles.where(program_t.c.connection_id == book.connection_id)
    same = {
        row.external_id: (row.title, row.currency)
        for part in writes.chunks(list(found))
        for row in conn.execute(mine.where(program_t.c.external_id.in_(part)))
    }
    writes.upsert(
        conn,
        program_t,
        [row for row in rows if same.get(row["external_id"]) != (row["title"], row["currency"])],
        ("connection_id", "external_id"),
        {"recurring"},
    )


def _write_invoices(conn: Connection, book: Book, resource: str, found: Mapping[str, tuple[str, Any]]) -> None:
    rows = [owned_row(book, resource, None, record) for _, record in found.values()]
    writes.upsert(conn, invoice_t, rows, _KEY)
    writes.refresh_paid_by(
        conn, book.connection_id, earning_resources(book.connector), [row["payment_ref"] for row in rows]
    )


def write_bank_lines(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    writes.upsert(conn, bank_line_t, rows, BANK_KEY, {"connection_id", "resource", "external_id"})


def _write_bank_lines(conn: Connection, book: Book, resource: str, found: Mapping[str, tuple[str, Any]]) -> None:
    rows = {}
    for _, record in found.values():
        rows[record.account, record.fingerprint] = owned_row(book, resource, None, record)
    write_bank_lines(conn, list(rows.values()))


def earning_resources(connector: Connector) -> list[str]:
    """The resources of a connector that make earnings."""
    return [one.name for one in connector.resources if any(maker.record is records.Earning for maker in one.makes)]


def owned_row(book: Book, resource: str, key: str | None, record: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"connection_id": book.connection_id, "resource": resource, **msgspec.structs.asdict(record)}
    if "interval" in row:
        row["interval"] = str(row["interval"]) if row["interval"] else None
    if key is not None:
        row["raw_key"] = None if key == record.external_id else key
    return row


_WRITERS: dict[type[Any], Callable[[Connection, Book, str, Mapping[str, Any]], None]] = {
    records.Earning: _write_earnings,
    records.Subscription: _write_subscriptions,
    records.Payout: _write_payouts,
    records.PayoutItem: _write_items,
    records.Program: _write_programs,
    records.Invoice: _write_invoices,
    records.BankLine: _write_bank_lines,
}
