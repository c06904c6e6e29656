"""What the tracker understood of a statement, before anything is written."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tracker.connect.normalise import normalise, prepare
from tracker.errors import DataError
from tracker.records import NOT_INCOME, BankLine, Earning, Payout, Program, Status
from tracker.statements.statement import Statement

#: Rows that are shown, and faults.
ROWS, FAULTS = 3, 5
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One record for a person: its place, what it is, its amount."""

    place: str
    what: str
    at: str
    amount: Decimal | None
    currency: str


class Preview(msgspec.Struct, kw_only=True):
    """`sums` are by what is summed (income, left out of income, payouts, bank lines) and currency."""

    file: str
    profile: str
    title: str
    encoding: str
    delimiter: str
    sheets: list[str]
    decimal: str
    dates: str
    currency: str
    left_out: list[str]
    rows: int = 0
    records: int = 0
    skipped: int = 0
    faults: int = 0
    first_faults: list[str] = []
    first: datetime | None = None
    last: datetime | None = None
    sums: dict[str, dict[str, Decimal]] = {}
    shown: list[Shown] = []


def outline(statement: Statement) -> Preview:
    """What the header tells, without reading the rows."""
    profile, opened, match = statement.profile, statement.opened, statement.matches[0]
    facts = statement.facts[0]
    return Preview(
        file=statement.name,
        profile=profile.slug,
        title=profile.title,
        encoding=opened.encoding,
        delimiter=_DELIMITERS[match.table.delimiter] if opened.form == "CSV" else "",
        sheets=[one.table.name for one in statement.matches] if opened.form == "XLSX" else [],
        decimal=facts.get("$decimal") or profile.decimal,
        dates=facts.get("$dates") or profile.dates[0],
        currency=facts.get("$currency", ""),
        left_out=sorted({name for one in statement.matches for name in one.left_out}),
    )


def preview(statement: Statement, options: Mapping[str, str], now: datetime) -> Preview:
    """Read the whole file as an import would, and sum it up."""
    found = outline(statement)
    resource = statement.profile.resource
    for line in statement.lines():
        found.rows += 1
        fault = line.fault
        made: list[Any] = []
        if fault is None:
            prepared = prepare(resource, line.kept, lambda text: text, lambda row: row)
            try:
                made = normalise(resource, prepared.row, options, now)
            except DataError as error:
                fault = error
        if fault is not None:
            found.faults += 1
            if len(found.first_faults) < FAULTS:
                found.first_faults.append(f"{line.place}: {fault}")
        for record in made:
            _add(found, line.place, record)
    found.skipped = statement.skipped
    return found


def _add(found: Preview, place: str, record: Any) -> None:
    if isinstance(record, Program):
        return
    found.records += 1
    what, at, amount = _told(record)
    if at is not None:
        found.first, found.last = min(found.first or at, at), max(found.last or at, at)
    sums = found.sums.setdefault(what, {})
    sums[record.currency] = sums.get(record.currency, Decimal(0)) + amount
    if len(found.shown) < ROWS:
        word = str(getattr(record, "kind", None) or getattr(record, "text", "") or what)[:40]
        day = str(at.date() if at else getattr(record, "booked_on", ""))
        found.shown.append(Shown(place=place, what=word, at=day, amount=amount, currency=record.currency))


def _told(record: Any) -> tuple[str, datetime | None, Decimal]:
    if isinstance(record, Earning):
        counts = record.kind not in NOT_INCOME and record.status in (Status.APPROVED, Status.PENDING)
        return "income" if counts else "not income", record.earned_at, record.net
    if isinstance(record, Payout):
        return "payouts", record.created_at, record.amount
    if isinstance(record, BankLine):
        return "bank lines", datetime.fromisoformat(f"{record.booked_on}T12:00:00+00:00"), record.amount
    return "subscriptions", None, record.amount
