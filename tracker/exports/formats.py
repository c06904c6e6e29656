"""Exports of the earnings that fit a filter: a stream of bytes, whatever its length, in one of the formats."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from enum import StrEnum
from importlib import import_module

from sqlalchemy import Engine

from tracker import connections, reports
from tracker.exports.about import About, Row
from tracker.filters import Filter
from tracker.months import following
from tracker.reports import PayoutLine
from tracker.search import every
from tracker.settings import Settings
from tracker.store import reads
from tracker.store.database import reading

#: Bytes that are handed on at once.
PIECE = 1 << 16
Write = Callable[[Iterable[Row], About], Iterator[str | bytes]]


class Form(StrEnum):
    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"
    BEANCOUNT = "beancount"
    HLEDGER = "hledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Of files: the module that writes them, their media type and how their names end."""

    module: str
    media_type: str
    suffix: str
    title: str


KINDS = {
    Form.CSV: Kind(module="csv_file", media_type="text/csv; charset=utf-8", suffix="csv", title="CSV"),
    Form.XLSX: Kind(
        module="xlsx", media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", suffix="xlsx",
        title="Excel (XLSX)",
    ),
    Form.JSON: Kind(module="json_file", media_type="application/json", suffix="json", title="JSON"),
    Form.BEANCOUNT: Kind(
        module="beancount", media_type="text/plain; charset=utf-8", suffix="beancount", title="beancount"
    ),
    Form.HLEDGER: Kind(module="hledger", media_type="text/plain; charset=utf-8", suffix="journal", title="hledger"),
}  # fmt: skip
#: With any other part a filter asks for less than all that connections paid out.
_WHOLE = frozenset({"first", "last", "month", "connection", "currency", "counted", "basis"})


def export(engine: Engine, settings: Settings, wanted: Filter, form: Form, now: datetime) -> Iterator[bytes]:
    """The file, in pieces. Raises UsageError before the first one for what cannot be asked for."""
    rows = every(engine, settings, wanted)
    with reading(engine) as conn:
        as_of = reads.freshness(conn)
    journal = form in (Form.BEANCOUNT, Form.HLEDGER)
    about = About(
        wanted=wanted,
        made_at=now,
        zone=settings.zone,
        currency=settings.currency,
        as_of=as_of,
        payouts=_payouts(engine, settings, wanted) if journal else None,
    )
    write: Write = import_module(f"tracker.exports.{KINDS[form].module}").write
    return _pieces(write(rows, about))


def file_name(form: Form, settings: Settings, now: datetime) -> str:
    return f"earnings-{now.astimezone(settings.zone):%Y-%m-%d}.{KINDS[form].suffix}"


def _payouts(engine: Engine, settings: Settings, wanted: Filter) -> list[PayoutLine] | None:
    """The payouts of the connections, days and currency; None where the filter asks for less than whole connections."""
    given = {field.name for field in fields(wanted) if getattr(wanted, field.name) is not None}
    if not given <= _WHOLE or wanted.counted not in (None, True):
        return None
    first, last = wanted.first, wanted.last
    if wanted.month:
        opens, after = (date(month // 100, month % 100, 1) for month in (wanted.month, following(wanted.month)))
        closes = after - timedelta(days=1)
        first, last = max(first or opens, opens), min(last or closes, closes)
    connection_id = connections.find(engine, wanted.connection).id if wanted.connection else None
    found = reports.payouts(engine, settings, first=first, last=last, connection_id=connection_id)
    return [one for one in found if wanted.currency in (None, one.currency)]


def _pieces(parts: Iterable[str | bytes]) -> Iterator[bytes]:
    """Many small parts as few larger ones."""
    waiting: list[bytes] = []
    size = 0
    for part in parts:
        piece = part.encode() if isinstance(part, str) else part
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
