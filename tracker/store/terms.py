"""What reports and roll-ups must agree on: whether an earning is counted, and on which day of the user it lies."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Date, DateTime, Interval, case, cast, func, literal
from sqlalchemy.sql import ColumnElement

from tracker.records import NOT_INCOME, Status

COUNTED = "counted"
#: Why an earning is in no total.
REASONS = ("not_income", "paired", "declined", "reversed", "estimated", "pending")


def verdict(t: Any) -> ColumnElement[str]:
    """Whether an earning (or a row of the roll-up) is in the totals: `counted`, or the first reason why it is not."""
    return case(
        (t.c.kind.in_(NOT_INCOME), "not_income"),
        (t.c.paired, "paired"),
        (t.c.status == Status.DECLINED, "declined"),
        (t.c.status == Status.REVERSED, "reversed"),
        (t.c.estimated, "estimated"),
        (t.c.status == Status.PENDING, "pending"),
        else_=COUNTED,
    )


def local_day(column: Any, zone: ZoneInfo, low: datetime, high: datetime, dialect: str) -> ColumnElement[Any]:
    """The day in the zone, worked out alike on both databases: SQLite knows no time zones."""

    def shifted(offset: timedelta) -> ColumnElement[Any]:
        if dialect == "sqlite":
            # To the second: SQLite rounds to milliseconds, and so the last half of one into the next day.
            return func.date(func.substr(column, 1, 19), f"{offset.total_seconds():+.0f} seconds")
        there = cast(column, DateTime(timezone=True)) + literal(offset, Interval)
        return cast(func.timezone("UTC", there), Date)

    *before, (_, final) = offsets(zone, low, high)
    arms = [(column < until, shifted(offset)) for until, offset in before]
    return case(*arms, else_=shifted(final)) if arms else shifted(final)


def offsets(zone: ZoneInfo, low: datetime, high: datetime) -> Iterator[tuple[datetime, timedelta]]:
    """The zone's offsets from UTC between two moments, each with the moment (to the minute) until which it holds."""
    span = timedelta(days=1)
    marks = [low + span * count for count in range((high - low) // span + 2)]

    def offset(moment: datetime) -> timedelta:
        return moment.astimezone(zone).utcoffset() or timedelta()

    for before, after in pairwise(marks):
        if offset(before) != offset(after):
            start = before.astimezone(UTC).replace(second=0, microsecond=0)
            inside = range((after - start) // timedelta(minutes=1) + 2)
            until = next(m for count in inside if offset(m := start + timedelta(minutes=count)) != offset(before))
            yield until, offset(before)
    yield marks[-1], offset(marks[-1])
