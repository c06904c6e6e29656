"""What a letter says in the language of its reader: sentences from a catalogue, and amounts, shares, counts, days and
months as the locale writes them.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol
from zoneinfo import ZoneInfo

from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, format_percent

from tracker.catalogues import catalogue
from tracker.figures.comparison import Change
from tracker.figures.income import Unconverted
from tracker.figures.mrr import rounded
from tracker.summary import Sum

NOTHING = "–"
_CODE_BEFORE = re.compile(r"(?<=[A-Z]{3})(?=\d)")  # English locales put a code right before the digits
#: Below a twentieth of a per cent, and from ten thousand on, a share tells nothing that the amount does not.
_TINY, _HUGE = Decimal("0.0005"), Decimal(100)


class Month(Protocol):
    """What is told of: the summary of a month, or a page about one."""

    @property
    def month(self) -> int: ...
    @property
    def over(self) -> bool: ...
    @property
    def currency(self) -> str: ...
    @property
    def locale(self) -> str: ...
    @property
    def time_zone(self) -> str: ...


class Written:
    """The words and values of one summary. Unknown is "no data", nothing is "–"."""

    def __init__(self, summary: Month) -> None:
        self.currency, self._locale, self._zone = summary.currency, summary.locale, ZoneInfo(summary.time_zone)
        self.language = summary.locale.partition("_")[0]
        self._told = catalogue("letters", self.language)
        self._day = "d " if self.language == "en" else "d.\u00a0"  # "3 June", "3. Juni", "3. juni"
        self._month = summary.month
        #: "June 2026", and "June 2026 so far" while it runs.
        self.month = self.month_named(summary.month)
        self.this_month = self.month if summary.over else self._("%(month)s so far", month=self.month)

    # --- sentences ---

    def _(self, text: str, **values: str) -> str:
        said = str(self._told.get(text, text))
        return said % values if values else said

    def n(self, one: str, several: str, count: int, **values: str) -> str:
        """The form for a number; `%(count)s` is written as the locale does."""
        forms = self._told.get((one, several), (one, several))
        return (forms[0] if count == 1 else forms[-1]) % {"count": self.count(count), **values}

    def listed(self, words: Iterable[str], most: int = 10) -> str:
        """ "a, b and c"; of many, the first and the number of the others."""
        every = list(words)
        if len(every) > most:
            every = [*every[: most - 1], self.n("%(count)s more", "%(count)s more", len(every) - most + 1)]
        if len(every) < 2:
            return "".join(every)
        return self._("%(first)s and %(last)s", first=", ".join(every[:-1]), last=every[-1])

    # --- amounts ---

    def money(self, value: Decimal, currency: str | None = None) -> str:
        """With its currency: "€1,234.50", "KES 500.00"."""
        told = format_currency(value, currency or self.currency, locale=self._locale)
        return _CODE_BEFORE.sub("\u00a0", told)

    def amount(self, value: Decimal) -> str:
        """For a column whose currency is said above it."""
        if not self.rounded(value):
            return NOTHING
        return str(format_currency(value, self.currency, "#,##0.00", locale=self._locale))

    def rounded(self, value: Decimal) -> Decimal:
        return rounded(value, self.currency)

    def change(self, change: Change) -> tuple[str, str]:
        """By how much, and what share of the amount before that is."""
        if change.amount is None:
            return self._("no data"), ""
        if not self.rounded(change.amount):
            return self._("the same"), ""
        amount, share = self.amount(change.amount), ""
        if change.share is not None and _TINY <= abs(change.share) < _HUGE:
            share = str(format_percent(change.share, "#,##0.0\u00a0%", locale=self._locale))
        sign = "+" if change.amount > 0 else ""
        return sign + amount, share and sign + share

    def share(self, share: Decimal) -> str:
        return str(format_percent(share, "#,##0\u00a0%", locale=self._locale))

    def sums(self, found: Sum) -> Iterator[tuple[int, str]]:
        """Numbers of earnings with their amounts: together where a rate is known, else in each currency."""
        if found.earnings:
            yield found.earnings, self.money(found.amount)
        for one in found.unconverted:
            yield one.earnings, self.money(one.net, one.currency)

    def unconverted(self, sums: Iterable[Unconverted]) -> str:
        """ "KES 500.00 (1 earning) and ARS 20.00 (2 earnings)"."""
        return self.listed(
            self.n(
                "%(amount)s (%(count)s earning)",
                "%(amount)s (%(count)s earnings)",
                one.earnings,
                amount=self.money(one.net, one.currency),
            )
            for one in sums
        )

    def count(self, count: int) -> str:
        return str(format_decimal(count, locale=self._locale))

    # --- time ---

    def month_named(self, month: int) -> str:
        return self._date(date(month // 100, month % 100, 1), "MMMM y")

    def month_beside(self, month: int) -> str:
        """Only "May" in the year of the letter's own month."""
        same_year = month // 100 == self._month // 100
        return self._date(date(month // 100, month % 100, 1), "MMMM" if same_year else "MMMM y")

    def short_month(self, month: int) -> str:
        return self._date(date(month // 100, month % 100, 1), "MMM y")

    def day(self, moment: datetime) -> str:
        return self._date(self._there(moment).date(), f"{self._day}MMMM y")

    def short_day(self, moment: datetime) -> str:
        """Only "3 May" in the year of the letter's own month."""
        day = self._there(moment).date()
        return self._date(day, f"{self._day}MMM" if day.year == self._month // 100 else f"{self._day}MMM y")

    def minute(self, moment: datetime) -> str:
        there = self._there(moment)
        return self._("%(day)s %(time)s", day=self._date(there.date(), f"{self._day}MMM y"), time=f"{there:%H:%M}")

    def _there(self, moment: datetime) -> datetime:
        return moment.astimezone(self._zone)

    def _date(self, day: date, pattern: str) -> str:
        return str(format_date(day, pattern, locale=self._locale))
