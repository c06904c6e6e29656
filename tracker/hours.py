"""Hours of the user's day: quiet hours, intervals, and the times of jobs that recur, also where clocks change.

A moment is quiet when the clock on the wall shows a quiet time, so nothing is guessed in the nights in which an hour is
skipped or repeated. A daily time that such a night skips comes as much later as was skipped; one that it repeats comes
the first time.
"""

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache

from tracker.errors import UsageError

INTERVAL_MIN_S, INTERVAL_MAX_S = 5 * 60, 30 * 86_400
#: What quiet hours leave of a day at least.
LOUD_MIN = timedelta(hours=1)
_UNITS = {"d": 86_400, "h": 3600, "m": 60}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: When a job runs: at a time of day in the user's zone, or every so often since 1970-01-01 00:00 UTC.
When = time | timedelta


def read_interval(text: str) -> int:
    """Seconds from "30m", "6h" or "1d". UsageError."""
    found = re.fullmatch(r"\s*(\d{1,6})\s*([mhd])\s*", text, re.ASCII)
    if not found:
        raise UsageError(f"not an interval: {text[:40]!r}.", hint="Write minutes, hours or days: 30m, 6h, 1d.")
    seconds = int(found[1]) * _UNITS[found[2]]
    if not INTERVAL_MIN_S <= seconds <= INTERVAL_MAX_S:
        raise UsageError(f"{text.strip()} is not possible.", hint="Choose from 5m to 30d.")
    return seconds


def interval_text(seconds: float) -> str:
    """As `read_interval` takes it."""
    unit = next((unit for unit, size in _UNITS.items() if seconds % size == 0), None)
    return f"{seconds // _UNITS[unit]:.0f}{unit}" if unit else f"{seconds:.0f}s"


def read_quiet(text: str) -> str:
    """Quiet hours as they are stored, "22:00-06:00". UsageError."""
    hint = "Write them as 22:00-06:00, in your time zone; they may cross midnight."
    found = re.fullmatch(r"\s*(\d\d?):(\d\d)\s*[-–]\s*(\d\d?):(\d\d)\s*", text, re.ASCII)
    try:
        if not found:
            raise ValueError
        start, end = time(int(found[1]), int(found[2])), time(int(found[3]) % 24, int(found[4]))
        if int(found[3]) > 24 or (int(found[3]) == 24 and end != time(0)):
            raise ValueError
    except ValueError:
        raise UsageError(f"not quiet hours: {text[:40]!r}.", hint=hint) from None
    loud = (datetime.combine(_EPOCH, start) - datetime.combine(_EPOCH, end)) % timedelta(days=1)
    if loud < LOUD_MIN:
        raise UsageError(f"quiet from {start:%H:%M} to {end:%H:%M} leaves less than an hour a day.", hint=hint)
    return f"{start:%H:%M}-{end:%H:%M}"


@lru_cache(maxsize=256)
def _ends(quiet: str) -> tuple[time, time]:
    start, _, end = quiet.partition("-")
    return time.fromisoformat(start), time.fromisoformat(end)


def is_quiet(moment: datetime, quiet: str | None, zone: tzinfo) -> bool:
    if quiet is None:
        return False
    (start, end), wall = _ends(quiet), moment.astimezone(zone).time()
    return start <= wall < end if start < end else wall >= start or wall < end


def loud(moment: datetime, quiet: str | None, zone: tzinfo) -> datetime:
    """The moment itself, or the end of the quiet hours that it lies in."""
    for _ in range(5):  # a clock change can make the end of quiet hours lie in quiet hours, but not day after day
        if quiet is None or not is_quiet(moment, quiet, zone):
            break
        wall, end = moment.astimezone(zone), _ends(quiet)[1]
        day = wall.date() + timedelta(days=wall.time() >= end)
        ends = (datetime.combine(day, end, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1))
        moment = min(one for one in ends if one > moment)
    return moment


def newest(when: When, now: datetime, zone: tzinfo) -> datetime:
    """The time of a job that came last."""
    if isinstance(when, timedelta):
        return now - (now - _EPOCH) % when
    return max(one for one in _days(when, now, zone) if one <= now)


def coming(when: When, now: datetime, zone: tzinfo) -> datetime:
    """The time of a job that comes next."""
    if isinstance(when, timedelta):
        return newest(when, now, zone) + when
    return min(one for one in _days(when, now, zone) if one > now)


def _days(at: time, now: datetime, zone: tzinfo) -> list[datetime]:
    """A daily time, once for each local date around now."""
    today = now.astimezone(zone).date()
    return [datetime.combine(today + timedelta(days=day), at, zone).astimezone(UTC) for day in range(-2, 3)]
