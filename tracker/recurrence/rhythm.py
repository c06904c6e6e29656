"""Billing rhythms: when a charge falls due by the calendar, and how likely it is to come some days early or late.

Days are proleptic ordinals (`date.toordinal`), months are counted as `year * 12 + month - 1`.
"""

from datetime import date
from functools import lru_cache
from math import log
from typing import NamedTuple

from tracker.records import Interval

#: The log likelihood of a delay that no rhythm explains.
NEVER = -9.0
#: Monthly and longer rhythms accept a charge this many days before it is due, so charges can share one look-up.
EARLY = 4
SATURDAY, SUNDAY = 5, 6


class Rhythm(NamedTuple):
    """A billing interval with its tolerance. `late_log[weekday of the due day][delay + early]` is a log likelihood."""

    name: str
    interval: Interval
    months: int  # 0 for rhythms counted in days
    days: int  # the length, or its mean
    early: int
    late: int
    missable: int  # how many payments in a row may be missing
    late_log: tuple[tuple[float, ...], ...]
    prior: float  # log weight against the monthly rhythm


def _late_log(early: int, late: int, weekends: bool) -> tuple[tuple[float, ...], ...]:
    """Likelihood of each delay by weekday of the due day: mostly on the day; banks move weekends to Monday."""
    share = {-4: 0.003, -3: 0.008, -2: 0.012, -1: 0.03, 0: 0.66, 1: 0.07, 2: 0.045, 3: 0.04}
    for day in range(4, late + 1):
        share[day] = 0.012 if day < 8 else 0.006 if day < 15 else 0.003
    tables = []
    for weekday in range(7):
        table = {delay: share[delay] for delay in range(-early, late + 1)}
        if weekends and weekday in (SATURDAY, SUNDAY):
            table[0] = 0.5
            table[7 - weekday] = 0.22
        total = sum(table.values())
        tables.append(tuple(log(table[delay] / total) for delay in range(-early, late + 1)))
    return tuple(tables)


_LONG = _late_log(EARLY, 21, weekends=True)

MONTHLY = Rhythm("monthly", Interval("month"), 1, 30, EARLY, 21, 3, _LONG, 0.0)
RHYTHMS = (
    MONTHLY,
    Rhythm("yearly", Interval("year"), 12, 365, EARLY, 21, 1, _LONG, -0.5),
    Rhythm("quarterly", Interval("month", 3), 3, 91, EARLY, 21, 1, _LONG, -1.0),
    Rhythm("half-yearly", Interval("month", 6), 6, 182, EARLY, 21, 1, _LONG, -1.0),
    Rhythm("every 2 months", Interval("month", 2), 2, 61, EARLY, 21, 2, _LONG, -1.5),
    Rhythm("every 4 weeks", Interval("week", 4), 0, 28, 3, 14, 3, _late_log(3, 14, weekends=True), -1.0),
    Rhythm("every 2 weeks", Interval("week", 2), 0, 14, 2, 6, 3, _late_log(2, 6, weekends=True), -1.0),
    Rhythm("weekly", Interval("week"), 0, 7, 1, 3, 4, _late_log(1, 3, weekends=False), -1.0),
)


def silence(rhythm: Rhythm) -> int:
    """Days after a charge until the next one is so late that the series counts as ended."""
    return rhythm.days + rhythm.late + 5


@lru_cache(maxsize=4096)
def month_span(month: int) -> tuple[int, int]:
    """First day and length of a month, as ordinals. A month after the end of the calendar lies far in the future."""
    if month >= 9999 * 12 + 11:
        return 10**7 + month * 31, 31
    first = date(month // 12, month % 12 + 1, 1).toordinal()
    following = date((month + 1) // 12, (month + 1) % 12 + 1, 1).toordinal()
    return first, following - first


def due_in(month: int, day_of_month: int) -> int:
    """The due day in a month; the 31st falls on the last day of a shorter month."""
    first, length = month_span(month)
    return first + (day_of_month if day_of_month < length else length) - 1


def delay(rhythm: Rhythm, day: int, lead_month: int, phase: int) -> int:
    """Days after the nearest due day that `rhythm` with `phase` allows; negative when early.

    `lead_month` is the month of `day + EARLY`. The phase is a day of the month, or a remainder by the rhythm's length.
    """
    if not rhythm.months:
        return (day + rhythm.early - phase) % rhythm.days - rhythm.early
    due = due_in(lead_month, phase)
    if due > day + EARLY:
        due = due_in(lead_month - 1, phase)
    return day - due


def _starting_rhythms() -> tuple[tuple[Rhythm, ...], ...]:
    """For each distance of two charges in days, the rhythms whose first two charges may lie so far apart."""
    table: list[list[Rhythm]] = [[] for _ in range(400)]
    for rhythm in RHYTHMS:
        shortest = rhythm.days - (3 if rhythm.months else 1)
        longest = rhythm.days + (rhythm.late if rhythm.months else min(rhythm.late, 5))
        for gap in range(shortest, min(longest, 399) + 1):
            table[gap].append(rhythm)
    return tuple(tuple(row) for row in table)


STARTING_RHYTHMS = _starting_rhythms()
