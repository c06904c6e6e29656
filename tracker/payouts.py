"""Payouts for pages and programs: a page of them, what is inside each, what is owed and not paid, lines of the bank.

A payout is money on its way to the user's bank. It is never income; it settles earnings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine

from tracker import reports
from tracker.connect import catalog
from tracker.errors import UsageError
from tracker.ledger import earning_resources
from tracker.records import PayoutStatus
from tracker.settings import Settings
from tracker.store import reads_payouts as reads
from tracker.store.database import reading

SHOWN, SHOWN_MAX = 50, 200
#: Years that a day may lie in; those at the ends of the calendar cannot be moved by a time zone.
YEARS = range(1970, 3000)
#: Banks book a payment some days after, or before, the day that the provider names.
BANK_DAYS, BANK_LINES = timedelta(days=5), 5


class Told(StrEnum):
    """What is known about the inside of a payout."""

    ITEMS = "items"  # by the provider's list, read whole
    EARNINGS = "earnings"  # by the earnings that it was put together from
    UNREAD = "unread"  # there is a list, and it was not read yet
    UNTOLD = "untold"  # the provider does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which payouts; days are of the user's zone, both included. None: any."""

    connection: str | None = None
    status: str | None = None
    currency: str | None = None
    first: date | None = None
    last: date | None = None

    @classmethod
    def read(cls, given: Mapping[str, str]) -> "Wanted":
        """From the parameters of an address: connection, status, currency, from, to. Raises UsageError."""
        words = {name: given.get(name, "").strip()[:60] or None for name in ("connection", "status", "currency")}
        if not all(word is None or word.isprintable() for word in words.values()):
            raise UsageError("that is not a text to look for.")
        if words["status"] is not None and words["status"] not in list(PayoutStatus):
            raise UsageError(f"no payout is {words['status']!r}.", hint=f"Choose one of {', '.join(PayoutStatus)}.")
        first, last = (_day(name, given.get(name, "").strip()) for name in ("from", "to"))
        if first and last and first > last:
            raise UsageError("from is after to.", hint="Swap them.")
        return cls(**words, first=first, last=last)

    def params(self) -> dict[str, str]:
        """The parameters that say the same."""
        told = {"connection": self.connection, "status": self.status, "currency": self.currency}
        days = {name: day and day.isoformat() for name, day in (("from", self.first), ("to", self.last))}
        return {name: word for name, word in (told | days).items() if word}


def _day(name: str, text: str) -> date | None:
    if not text:
        return None
    try:
        if (day := date.fromisoformat(text)).year in YEARS and day.isoformat() == text:
            return day
    except ValueError:
        pass
    raise UsageError(f"{name}: {text[:20]!r} is not a day.", hint="Write it as 2026-06-15.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutRow:
    """A payout. `difference` is its amount less `net`, the sum inside: what that does not explain; None if unknown."""

    id: int
    connection: str
    title: str
    resource: str
    external_id: str
    status: str
    provider_status: str | None
    amount: Decimal
    currency: str
    fee: Decimal | None
    created_at: datetime
    arrives_at: datetime | None
    estimated: bool  # put together from earnings, because the provider does not list payouts
    told: Told
    earnings: int | None
    net: Decimal | None
    difference: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutPage:
    """`newer` and `older` are places to go on from; None where the list ends."""

    rows: Sequence[PayoutRow]
    newer: str | None
    older: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InsideRow:
    """Something inside a payout. `earning_id` is None where the ledger does not have it."""

    earning_id: int | None
    external_id: str
    amount: Decimal
    currency: str
    earned_at: datetime | None
    kind: str | None
    status: str | None
    program: str | None
    product: str | None
    earning_net: Decimal | None  # what the earning says, in `earning_currency`
    earning_currency: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InsidePage:
    rows: Sequence[InsideRow]
    newer: str | None
    older: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BankLine:
    """A line of an imported statement that may be the payout: the same amount, booked within BANK_DAYS of it."""

    account: str
    booked_on: date
    amount: Decimal
    currency: str
    text: str
    counterparty: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutDetail:
    """A payout and what may explain its difference.

    Of the items inside, `missing` are not in the ledger (`missing_net`: their sum), and of `other` the earning says
    another amount (`other_net`: items less earnings, None where the currencies differ). `bank` is None while no
    statement of a bank was imported.
    """

    row: PayoutRow
    missing: int
    missing_net: Decimal | None
    other: int
    other_net: Decimal | None
    fee_explains: bool  # the difference is the fee of the payout, to the cent
    bank: Sequence[BankLine] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSum:
    """Approved earnings of a connection that are not known to be paid. `told`: it tells of payments at all."""

    connection: str
    title: str
    currency: str
    unpaid: Decimal | None
    unpaid_earnings: int
    scheduled: Decimal | None
    scheduled_earnings: int
    oldest: int  # the month in which the oldest of it was earned
    told: bool


@dataclass(frozen=True, slots=True)
class Choices:
    """What the list can be narrowed to."""

    connections: Sequence[tuple[str, str]]  # slug and title
    currencies: Sequence[str]


def page(
    engine: Engine, settings: Settings, wanted: Wanted | None = None, *, place: str | None = None, limit: int = SHOWN
) -> PayoutPage:
    """Payouts, the newest first. Raises UsageError for a place that is none."""
    wanted = wanted or Wanted()
    start, end = reports.moments(settings, wanted.first, wanted.last)
    with reading(engine) as conn:
        found = reads.page(
            conn,
            connection=wanted.connection,
            status=wanted.status,
            currency=wanted.currency,
            start=start,
            end=end,
            place=place,
            limit=max(1, min(limit, SHOWN_MAX)),
        )
        return PayoutPage(rows=_told(conn, found.rows), newer=found.newer, older=found.older)


def _told(conn: Any, rows: Sequence[Any]) -> list[PayoutRow]:
    listed = reads.listed(conn, [row for row in rows if row.itemised])
    named = reads.named(conn, [row for row in rows if row.estimated])
    return [_row(row, listed, named) for row in rows]


_Sums = Mapping[tuple[int, str], reads.Inside]


def _row(row: Any, listed: _Sums, named: _Sums) -> PayoutRow:
    found = (listed if row.itemised else named).get((row.connection_id, row.external_id))
    if row.itemised:
        told = Told.UNREAD if row.itemised_at is None else Told.ITEMS
    else:
        told = Told.EARNINGS if row.estimated else Told.UNTOLD
    known = told in (Told.ITEMS, Told.EARNINGS)
    earnings = (found.rows if found else 0) if known else None
    one_money = found is None or found.currency == row.currency
    net = (found.net if found else Decimal(0)) if known and one_money else None
    same = (
        "id", "resource", "external_id", "status", "provider_status", "amount", "currency", "fee", "created_at",
        "arrives_at", "estimated",
    )  # fmt: skip
    return PayoutRow(
        **{name: getattr(row, name) for name in same},
        connection=row.slug,
        title=row.connection_title,
        told=told,
        earnings=earnings,
        net=net,
        difference=None if net is None else row.amount - net,
    )


def one(engine: Engine, settings: Settings, payout_id: int) -> PayoutDetail | None:
    """A payout by its id; None if there is none."""
    with reading(engine) as conn:
        found = reads.one(conn, payout_id)
        if found is None:
            return None
        row = _told(conn, [found])[0]
        unlike = reads.unlike(conn, found, _resources(found)) if row.told is Told.ITEMS else None
        day = (row.arrives_at or row.created_at).astimezone(settings.zone).date()
        return PayoutDetail(
            row=row,
            missing=int(unlike.missing or 0) if unlike else 0,
            missing_net=unlike.missing_net if unlike else None,
            other=int(unlike.other or 0) if unlike else 0,
            other_net=unlike.other_net if unlike else None,
            fee_explains=bool(row.difference and row.fee and abs(row.difference) == abs(row.fee)),
            bank=_bank(conn, row, day) if reads.any_bank_line(conn) else None,
        )


def _bank(conn: Any, row: PayoutRow, day: date) -> list[BankLine]:
    if row.status in (PayoutStatus.FAILED, PayoutStatus.CANCELED):
        return []
    lines = reads.bank_lines(conn, row.amount, row.currency, day - BANK_DAYS, day + BANK_DAYS, BANK_LINES)
    same = ("account", "booked_on", "amount", "currency", "text", "counterparty")
    return [BankLine(**{name: getattr(line, name) for name in same}) for line in lines]


def _resources(payout: Any) -> list[str]:
    return earning_resources(catalog.find(payout.provider)) if catalog.knows(payout.provider) else []


def inside(engine: Engine, payout_id: int, *, place: str | None = None, limit: int = SHOWN) -> InsidePage:
    """What is inside a payout, the newest first; nothing for a payout that is unknown or of which nothing is told."""
    size = max(1, min(limit, SHOWN_MAX))
    with reading(engine) as conn:
        payout = reads.one(conn, payout_id)
        if payout is None or not (payout.itemised or payout.estimated):
            return InsidePage(rows=[], newer=None, older=None)
        if payout.itemised:
            found = reads.items(conn, payout, _resources(payout), place, size)
        else:
            found = reads.earnings(conn, payout, place, size)
    names = InsideRow.__slots__
    rows = [InsideRow(**{name: getattr(row, name) for name in names}) for row in found.rows]
    return InsidePage(rows=rows, newer=found.newer, older=found.older)


def open_sums(engine: Engine) -> list[OpenSum]:
    """What is approved and not known to be paid, by connection and currency."""
    reports.bring_up_to_date(engine)
    with reading(engine) as conn:
        rows = reads.owed(conn)
    return [
        OpenSum(
            connection=row.slug,
            title=row.title,
            currency=row.currency,
            unpaid=row.unpaid,
            unpaid_earnings=int(row.unpaid_earnings),
            scheduled=row.scheduled,
            scheduled_earnings=int(row.scheduled_earnings),
            oldest=int(row.oldest),
            told=bool(row.told),
        )
        for row in rows
    ]


def choices(engine: Engine) -> Choices:
    with reading(engine) as conn:
        connections, currencies = reads.choices(conn)
    return Choices([(row.slug, row.title) for row in connections], currencies)
