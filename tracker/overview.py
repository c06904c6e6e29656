"""The overview: this month so far, held against the same days of earlier months, and what is on its way.

Figures are those of `tracker income` on the basis earned; only how many days of a month they cover is decided here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine

from tracker import reports
from tracker.figures.comparison import Months, StreamIncome, by_stream, one
from tracker.figures.income import IncomeRow, Slice, Tabulated, Unconverted, summed, tabulate
from tracker.months import following, month_of, span, start_of
from tracker.settings import Settings
from tracker.store import reads, reads_letter, reads_overview
from tracker.store.database import reading
from tracker.summary import Known, Quarantined, Sum, TroubledConnection, attention, reached, sum_of

#: Months of the history, the running one included: a year and the same month of the year before.
HISTORY = 13
#: The way of an earning to the bank.
STAGES = ("pending", "approved", "paid")
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A month of the history. `recurring_part` and `other_part` are whole hundredths of the longest bar."""

    month: int
    known: bool  # the ledger reaches back to it
    recurring: Decimal
    other: Decimal
    total: Decimal
    recurring_part: int
    other_part: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Amounts are in `currency`, times aware. `streams` and `total` cover the first of the month to `until`."""

    month: int
    until: datetime
    currency: str
    locale: str
    time_zone: str
    days: int  # the day of the month
    streams: tuple[StreamIncome, ...]
    total: StreamIncome
    waiting: Decimal  # earned in the month, not approved yet, in no total
    unconverted: tuple[Unconverted, ...]
    history: tuple[Bar, ...]
    pipeline: Mapping[str, Sum]  # pending, approved, paid
    troubled: tuple[TroubledConnection, ...]
    quarantine: tuple[Quarantined, ...]
    as_of: Mapping[str, datetime | None]
    empty: bool  # the ledger has no earning at all
    over: bool = False

    @property
    def oldest(self) -> tuple[str, datetime | None] | None:
        """The connection that was read longest ago; one that was never read to the end comes first."""
        return min(self.as_of.items(), key=lambda one: (one[1] is not None, one[1] or self.until), default=None)


def overview(engine: Engine, settings: Settings, now: datetime) -> Overview:
    """The overview as of `now`."""
    zone = settings.zone
    month = month_of(now, zone)
    past, running = (
        reports.income(engine, settings, first=first, last=month) for first in (following(month, 1 - HISTORY), month)
    )
    with reading(engine) as conn:
        parts = [
            _between(conn, start_of(each, zone), same_moment(each, now, zone), each, settings.currency)
            for each in (following(month, -1), following(month, -12))
        ]
        firsts = reads_letter.first_months(conn)
        stages = reads_overview.pipeline(conn, month)
        troubled, quarantine = attention(conn, now)
        as_of = reads.freshness(conn)
    begins = min(firsts.values(), default=None)
    known: Known = {stream: reached(first, month) for stream, first in firsts.items()}
    months = Months(running.rows, *(part.rows for part in parts))
    return Overview(
        month=month,
        until=now,
        currency=settings.currency,
        locale=settings.locale,
        time_zone=settings.time_zone,
        days=now.astimezone(zone).day,
        streams=tuple(by_stream(months, known)),
        total=one(months, reached(begins, month)),
        waiting=summed(running.rows).pending,
        unconverted=tuple(found for found in running.unconverted if found.earnings),
        history=tuple(_bars(past.rows, span(past.first, past.last), begins)),
        pipeline={stage: sum_of(row for row in stages if row.stage == stage) for stage in STAGES},
        troubled=troubled,
        quarantine=quarantine,
        as_of=as_of,
        empty=past.empty,
    )


def same_moment(month: int, now: datetime, zone: ZoneInfo) -> datetime:
    """The day and time of day of `now` in another month, or that month's end where it has no such day."""
    there, end = now.astimezone(zone), start_of(following(month), zone)
    last_day = (end.astimezone(zone) - timedelta(days=1)).day
    if there.day > last_day:
        return end
    return there.replace(year=month // 100, month=month % 100, fold=0)


def _between(conn: Connection, start: datetime, end: datetime, month: int, currency: str) -> Tabulated:
    def slices() -> Iterable[Slice]:
        for row in reads_overview.income_between(conn, start, end):
            amount = row.reporting_net if row.currency is None else None
            own = row.currency or currency
            yield Slice(month, row.label, row.verdict, row.recurrence, int(row.earnings), amount, own, row.net)

    return tabulate(slices())


def _bars(rows: Iterable[IncomeRow], months: list[int], begins: int | None) -> Iterable[Bar]:
    """What more was taken back than earned has no length."""
    sums = {month: summed(row for row in rows if row.month == month) for month in months}
    pairs = {month: (one.recurring, one.total - one.recurring) for month, one in sums.items()}
    longest = max(sum(map(_length, pair), _ZERO) for pair in pairs.values())
    for month, pair in pairs.items():
        recurring_part, other_part = (int(_length(one) * 100 / longest) if longest else 0 for one in pair)
        yield Bar(
            month=month,
            known=begins is not None and begins <= month,
            recurring=pair[0],
            other=pair[1],
            total=sums[month].total,
            recurring_part=recurring_part,
            other_part=other_part,
        )


def _length(amount: Decimal) -> Decimal:
    return max(amount, _ZERO)
