"""The one place where times are cut into months and days: in the user's time zone."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from tracker.errors import UsageError

#: Years that somebody may ask for.
YEARS = range(1970, 3000)


def month_of(time: datetime, zone: ZoneInfo) -> int:
    """202606 for a moment in June 2026 as the user's calendar sees it."""
    if time.tzinfo is UTC and 2 <= time.day <= 27:  # no zone is more than a day away from UTC
        return time.year * 100 + time.month
    there = time.astimezone(zone)
    return there.year * 100 + there.month


def day_of(time: datetime, zone: ZoneInfo) -> date:
    return time.astimezone(zone).date()


def start_of(month: int, zone: ZoneInfo) -> datetime:
    """The first moment of a month, in UTC."""
    return datetime(month // 100, month % 100, 1, tzinfo=zone).astimezone(UTC)


def last_day(month: int) -> date:
    after = following(month)
    return date(after // 100, after % 100, 1) - timedelta(days=1)


def following(month: int, by: int = 1) -> int:
    """The month `by` months later (earlier when negative)."""
    count = month // 100 * 12 + month % 100 - 1 + by
    return count // 12 * 100 + count % 12 + 1


def span(first: int, last: int) -> list[int]:
    """All months from first to last, both included."""
    count = (last // 100 - first // 100) * 12 + last % 100 - first % 100
    return [following(first, by) for by in range(count + 1)]


def label(month: int) -> str:
    return f"{month // 100:04d}-{month % 100:02d}"


def parse(text: str) -> int:
    """The inverse of `label`: "2026-06". Raises ValueError."""
    year, _, number = text.partition("-")
    if len(year) != 4 or len(number) != 2 or not re.fullmatch("[0-9]{6}", year + number) or not 1 <= int(number) <= 12:
        raise ValueError(f"not a month: {text!r}")
    return int(year) * 100 + int(number)


def read_month(text: str, name: str) -> int:
    """What somebody typed as `name`, as `parse` reads it. Raises UsageError."""
    try:
        found = parse(text)
    except ValueError:
        found = 0
    if found // 100 not in YEARS:
        raise UsageError(f"{name}: not a month: {text[:40]!r}.", hint="Write it as 2026-06.")
    return found
