"""The overview: a period, held against earlier ones, what is on its way, and what changed since somebody last looked.

Figures are those of `tracker income`. Only what part of the running month earlier months are cut to is decided here:
the same days, to the same time of day.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine, update

from tracker import reports
from tracker.figures.comparison import Months, StreamIncome, by_stream, one
from tracker.figures.income import IncomeRow, Slice, Unconverted, summed, tabulate
from tracker.money import convert_micros, from_micros, to_micros
from tracker.months import day_of, following, month_of, span, start_of
from tracker.periods import Asked, Period, period
from tracker.rates import load_rates
from tracker.settings import Settings
from tracker.store import reads, reads_letter, reads_news, reads_overview
from tracker.store.database import reading
from tracker.store.reads import Basis, By
from tracker.store.reads_news import Became, Since
from tracker.store.reads_overview import user_t
from tracker.summary import Known, Quarantined, Sum, TroubledConnection, attention, sum_of

#: Months of the history where the period itself has fewer: a year and the same month of the year before.
HISTORY = 13
#: A period longer than this is held against no other.
COMPARED_MAX = 12
#: The way of an earning to the bank.
STAGES = ("pending", "unpaid", "scheduled", "paid")
#: How many of what is new are told one by one.
TOLD = 5
#: How exactly it is known when somebody last looked.
SEEN = timedelta(minutes=5)
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Look:
    """How somebody looks at the ledger. `currency` None is that of the settings; `since` None tells no news.

    `newest` is the largest id of an earning at `since`.
    """

    asked: Asked = field(default_factory=Asked)
    basis: Basis = Basis.EARNED
    currency: str | None = None
    since: datetime | None = None
    newest: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A month of the history."""

    month: int
    known: bool  # the ledger reaches back to it
    recurring: Decimal
    other: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What changed since `since`: sums and the largest earnings (rows of id, title, program, net, …) of each kind."""

    since: datetime
    newest: int
    sums: Mapping[Became, Sum]  # only those that there are
    largest: Mapping[Became, Sequence[Any]]
    payouts: Sequence[Any]  # rows of slug, title, currency, payouts, amount

    @property
    def nothing(self) -> bool:
        return not self.sums and not self.payouts

    def of(self, what: Became) -> Since:
        return Since(what, self.since, self.newest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Amounts are in `currency`, times aware. `streams` and `total` cover the period, up to `now` while it runs.

    In them `last_month` is the period before, of as many months, and `last_year` the same months a year earlier; both
    are cut to the same days while the period runs.
    """

    period: Period
    basis: Basis
    now: datetime
    zone: ZoneInfo
    running: int  # the month that runs
    own: str  # the ledger's currency
    currency: str
    streams: tuple[StreamIncome, ...]
    slugs: Mapping[str, str]  # of streams by title
    total: StreamIncome
    waiting: Decimal  # earned in the period, not approved yet, in no total
    waits: Mapping[str | None, Decimal]  # the same by stream
    unconverted: tuple[Unconverted, ...]
    history: tuple[Bar, ...]
    pipeline: Mapping[str, Sum]  # STAGES
    news: News | None
    troubled: tuple[TroubledConnection, ...]
    quarantine: tuple[Quarantined, ...]
    as_of: Mapping[str, datetime | None]
    synced: frozenset[str]  # connections that are read by themselves
    currencies: Sequence[str]  # that one may look in
    empty: bool  # the ledger has no earning at all

    @property
    def oldest(self) -> tuple[str, datetime | None] | None:
        """The connection that was read longest ago; one that was never read to the end comes first."""
        return longest_ago(self.as_of, self.synced)

    def before(self, shift: int) -> tuple[int, int, datetime | None]:
        """The months from which to which lie so many before, and how far they count where the period still runs."""
        first, last = (following(month, -shift) for month in (self.period.first, self.period.last))
        return first, last, same_moment(last, self.now, self.zone) if self.period.runs else None


def overview(engine: Engine, settings: Settings, now: datetime, look: Look | None = None) -> Overview:
    """The overview as of `now`. Raises UsageError for months that have not begun, or too many."""
    look = look or Look()
    reports.bring_up_to_date(engine)
    with reading(engine) as conn:
        return _Made(conn, settings, now, look).overview()


class _Made:
    """One overview in the making."""

    def __init__(self, conn: Connection, settings: Settings, now: datetime, look: Look) -> None:
        self.conn, self.now, self.zone, self.look = conn, now, settings.zone, look
        self.running = month_of(now, self.zone)
        self.firsts = reads_letter.first_months(conn)
        self.begins = min(self.firsts.values(), default=None)
        self.period = period(look.asked, self.running, self.begins)
        self.money = _Money(conn, settings.currency, look.currency or settings.currency, day_of(now, self.zone))
        length = len(self.period.months)
        #: How many months before the period lie the two that it is held against; 0: there is none.
        self.shifts = (length, 12) if length <= COMPARED_MAX else (0, 0)
        first = following(self.period.last, 1 - HISTORY)
        self.shown = self.period.months if length > 2 else span(first, self.period.last)

    def overview(self) -> Overview:
        chosen, look, money = self.period, self.look, self.money
        first = min(self.shown[0], *(following(chosen.first, -shift) for shift in self.shifts))
        slices = self._months(first, chosen.last)
        within = tabulate(part for part in slices if part.month >= chosen.first)
        months = Months(within.rows, *(self._earlier(slices, shift) for shift in self.shifts))
        stages = reads_overview.pipeline(self.conn, self.running, money.apart)
        troubled, quarantine = attention(self.conn, self.now)
        known: Known = {stream: self._reached(begun) for stream, begun in self.firsts.items()}
        return Overview(
            period=chosen,
            basis=look.basis,
            now=self.now,
            zone=self.zone,
            running=self.running,
            own=money.own,
            currency=money.currency,
            streams=tuple(by_stream(months, known)),
            slugs=reads_overview.stream_slugs(self.conn),
            total=one(months, self._reached(self.begins)),
            waiting=summed(within.rows).pending,
            waits=_waits(within.rows),
            unconverted=tuple(found for found in within.unconverted if found.earnings),
            history=tuple(_bars(tabulate(slices).rows, self.shown, self.begins)),
            pipeline={stage: money.sum(row for row in stages if row.stage == stage) for stage in STAGES},
            news=self._news() if look.since else None,
            troubled=troubled,
            quarantine=quarantine,
            as_of=reads.freshness(self.conn),
            synced=reads.synced(self.conn),
            currencies=sorted({money.currency, money.own, *reads_overview.currencies(self.conn)}),
            empty=not slices and not reads.any_earning(self.conn),
        )

    def _months(self, first: int, last: int) -> list[Slice]:
        if self.money.apart:
            rows = reads.income_by_day(self.conn, By.STREAM, self.look.basis, first, last, self.zone)
        else:
            rows = reads.income(self.conn, By.STREAM, self.look.basis, first, last)
        return [part for part in self.money.slices(rows) if part.verdict != reads.COST]

    def _earlier(self, slices: Sequence[Slice], shift: int) -> list[IncomeRow]:
        """The months that lie so many before the period; the last of them as far as the running one has come."""
        if not shift:
            return []
        first, last = (following(month, -shift) for month in (self.period.first, self.period.last))
        if not self.period.runs:
            return tabulate(part for part in slices if first <= part.month <= last).rows
        end = same_moment(last, self.now, self.zone)
        part = reads_overview.until(self.conn, self.look.basis, end, self.zone, self.money.apart)
        whole = (part for part in slices if first <= part.month < last)
        return tabulate([*whole, *self.money.slices(part, last)]).rows

    def _reached(self, begun: int | None) -> tuple[bool, bool]:
        """Whether a stream that begins in that month reaches back to the two earlier periods."""
        reaches = [
            begun is not None and shift > 0 and begun <= following(self.period.first, -shift) for shift in self.shifts
        ]
        return reaches[0], reaches[1]

    def _news(self) -> News:
        since, newest = self.look.since or self.now, self.look.newest
        asked = [Since(what, since, newest) for what in Became]
        rows = {one: found for one in asked if (found := reads_news.sums(self.conn, one, self.money.apart))}
        return News(
            since=since,
            newest=newest,
            sums={one.what: self.money.sum(found) for one, found in rows.items()},
            largest={one.what: reads_news.largest(self.conn, one, TOLD) for one in rows},
            payouts=reads_letter.payouts_received(self.conn, since, self.now),
        )


class _Money:
    """Amounts in one currency: as the ledger holds them where it is its `own`, or else `apart`, to be converted."""

    def __init__(self, conn: Connection, own: str, currency: str, today: date) -> None:
        self.own, self.currency, self.apart, self._today = own, currency, currency != own, today
        self._rates = load_rates(conn) if self.apart else None
        self._known: dict[tuple[str, date | str], Decimal | None] = {}

    def slices(self, rows: Iterable[Any], month: int = 0) -> list[Slice]:
        """Of rows with a month, or all of one; those that are apart have the day whose rate they are worth."""
        if self.apart:
            return self._converted(rows, month)
        found = []
        for row in rows:
            amount = row.reporting_net if row.currency is None else None
            which = (month or row.month, row.label, row.verdict, row.recurrence)
            found.append(Slice(*which, int(row.earnings), amount, row.currency or self.own, row.net))
        return found

    def _converted(self, rows: Iterable[Any], month: int) -> list[Slice]:
        """One slice for all days: two years are tens of thousands of rows, so they are added up as integers."""
        found: dict[tuple[Any, ...], list[int]] = {}
        for row in rows:
            micros, rate = int(row.micros), self._rate(row.currency, row.day)
            which = (month or row.month, row.label, row.verdict, row.recurrence, row.currency, rate is None)
            sums = found.get(which)
            if sums is None:
                sums = found[which] = [0, 0, 0]
            sums[0] += int(row.earnings)
            sums[1] += 0 if rate is None else convert_micros(micros, rate)
            sums[2] += micros
        return [
            Slice(at, label, word, recurrence, count, None if unknown else from_micros(worth), own, from_micros(net))
            for (at, label, word, recurrence, own, unknown), (count, worth, net) in found.items()
        ]

    def sum(self, rows: Iterable[Any]) -> Sum:
        """Of rows of earnings, net and currency; those that are apart are worth the rate of today."""
        if not self.apart:
            return sum_of(rows)
        found = Sum(0, _ZERO)
        for row in rows:
            worth = self._worth(row.net, row.currency, self._today)
            if worth is None:
                left_out = Unconverted(row.currency, row.net, int(row.earnings))
                found = replace(found, unconverted=(*found.unconverted, left_out))
            else:
                found = replace(found, earnings=found.earnings + int(row.earnings), amount=found.amount + worth)
        return found

    def _worth(self, net: Decimal, of: str, day: date) -> Decimal | None:
        rate = self._rate(of, day)
        return None if rate is None else from_micros(convert_micros(to_micros(net), rate))

    def _rate(self, of: str, day: date | str) -> Decimal | None:
        if (of, day) not in self._known:
            when = day if isinstance(day, date) else date.fromisoformat(day)
            found = self._rates.rate(of, self.currency, when) if self._rates else None
            self._known[of, day] = found[0] if found else None
        return self._known[of, day]


def longest_ago(as_of: Mapping[str, datetime | None], synced: Collection[str]) -> tuple[str, datetime | None] | None:
    """The connection that was read longest ago; one that was never read to the end comes first.

    What is fed by files is as new as its newest file, which says nothing about the others.
    """
    read = {slug: at for slug, at in as_of.items() if slug in synced} or as_of
    never = datetime.min.replace(tzinfo=UTC)
    return min(read.items(), key=lambda one: one[1] or never, default=None)


def same_moment(month: int, now: datetime, zone: ZoneInfo) -> datetime:
    """The day and time of day of `now` in another month, or that month's end where it has no such day."""
    there, end = now.astimezone(zone), start_of(following(month), zone)
    last_day = (end.astimezone(zone) - timedelta(days=1)).day
    if there.day > last_day:
        return end
    return there.replace(year=month // 100, month=month % 100, fold=0)


def _waits(rows: Iterable[IncomeRow]) -> dict[str | None, Decimal]:
    found: dict[str | None, Decimal] = {}
    for row in rows:
        found[row.group] = found.get(row.group, _ZERO) + row.pending
    return found


def _bars(rows: Iterable[IncomeRow], months: Sequence[int], begins: int | None) -> Iterable[Bar]:
    by_month: dict[int, list[IncomeRow]] = {}
    for row in rows:
        by_month.setdefault(row.month, []).append(row)
    for month in months:
        sums = summed(by_month.get(month, ()))
        known = begins is not None and begins <= month
        yield Bar(month=month, known=known, recurring=sums.recurring, other=sums.total - sums.recurring)


# --- since somebody last looked ---


def looked(engine: Engine, user_id: int, now: datetime) -> tuple[datetime | None, int]:
    """When a user last looked and the newest earning there was then; notes that it is now. None for the first time."""
    with reading(engine) as conn:
        at, newest = reads_overview.seen(conn, user_id)
        if at is not None and now - SEEN < at <= now:
            return at, newest or 0
        known = reads_overview.newest_earning(conn)
    with engine.begin() as conn:
        conn.execute(update(user_t).where(user_t.c.id == user_id).values(seen_at=now, seen_earning=known))
    return at, newest or 0
