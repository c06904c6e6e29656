"""Dates and times as statements print them: "31.03.2026", "Sep 3, 2026", "3 septembre 2026 10:01 PDT".

In what order day, month and year stand is never guessed from one value: a profile says it, or the whole file does.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tracker.errors import DataError

#: Orders of day, month and year in a date of numbers alone.
ORDERS = ("YMD", "MDY", "DMY")
#: Languages whose months are known, by their CLDR locale.
_LANGUAGES = ("en", "de", "fr", "es", "it", "nl", "pt", "nb", "sv", "da", "pl")
#: Hours ahead of UTC of the abbreviations that payment providers print. Those that name several zones are left out.
_ZONES = {
    "UTC": 0, "GMT": 0, "WET": 0, "BST": 1, "WEST": 1, "CET": 1, "CEST": 2, "MEZ": 1, "MESZ": 2, "EET": 2, "EEST": 3,
    "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8,
    "HST": -10, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13, "JST": 9,
}  # fmt: skip
#: A day without a time of day counts at noon UTC, so that it is the same day in nearly every reader's zone.
_NOON = time(12)

_NUMBERS = re.compile(r"(\d{4}|\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{1,2})(?!\d)", re.ASCII)
_MONTH_ONLY = re.compile(r"(\d{4})-(\d{2})", re.ASCII)
_DAY_FIRST = re.compile(r"(\d{1,2})\.?(?:\s+de)?[\s-]+([^\W\d_]+)\.?,?(?:\s+de)?[\s-]+(\d{4}|\d{2})(?!\d)")
_MONTH_FIRST = re.compile(r"([^\W\d_]+)\.?\s+(\d{1,2}),?\s+(\d{4})(?!\d)")
_CLOCK = re.compile(
    r"[T,\s]*(?:at\s+)?(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d{1,9})?)?\s*([AaPp]\.?[Mm]\.?)?\s*(.*)", re.ASCII
)
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})?", re.ASCII)
_ISO = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def moment(text: str, order: str, zone: tzinfo) -> datetime:
    """An aware UTC time, read in `zone` where it names none. A day alone is its noon, a month alone its last day.

    Raises DataError.
    """
    day, rest = day_in(text, order)
    if not rest:
        return datetime.combine(day, _NOON, UTC)
    found = _CLOCK.fullmatch(rest)
    if not found:
        raise DataError(f"not a time: {text[:40]!r}")
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if found[4]:
        if not 1 <= hour <= 12:
            raise DataError(f"not a time: {text[:40]!r}")
        hour = hour % 12 + (12 if found[4][0] in "Pp" else 0)
    try:
        clock = time(hour, minute, second)
    except ValueError:
        raise DataError(f"not a time: {text[:40]!r}") from None
    if found[5]:
        return _utc(day, clock, zone_named(found[5]))
    if clock == time():  # how spreadsheets write a day alone
        return datetime.combine(day, _NOON, UTC)
    return _utc(day, clock, zone)


def _utc(day: date, clock: time, zone: tzinfo) -> datetime:
    return datetime.combine(day, clock, zone).astimezone(UTC)


def day_in(text: str, order: str) -> tuple[date, str]:
    """The day at the start of a text, and what follows it. Raises DataError."""
    if len(text) > 60:
        raise DataError(f"not a date: {text[:40]!r}")
    numbers = _NUMBERS.match(text)
    if numbers:
        return _day_of(numbers, order, text), text[numbers.end() :].strip()
    if whole := _MONTH_ONLY.fullmatch(text):
        return _month_end(int(whole[1]), int(whole[2]), text), ""
    for pattern, places in ((_DAY_FIRST, (3, 2, 1)), (_MONTH_FIRST, (3, 1, 2))):
        if found := pattern.match(text):
            year, word, day = (found[place] for place in places)
            month = months().get(word.casefold())
            if month:
                return _checked(_full(year), month, int(day), text), text[found.end() :].strip()
    raise DataError(f"not a date: {text[:40]!r}")


def _day_of(found: re.Match[str], order: str, text: str) -> date:
    first, second, third = found[1], found[3], found[4]
    if len(first) == 4:  # a year in front is never anything else
        return _checked(int(first), int(second), int(third), text)
    if order == "YMD" and len(third) == 2 and found[2] != ".":  # 26-03-31; nobody writes it with dots
        return _checked(_full(first), int(second), int(third), text)
    if order == "YMD":
        raise DataError(f"not a date with the year in front: {text[:40]!r}")
    day, month = (first, second) if order == "DMY" else (second, first)
    return _checked(_full(third), int(month), int(day), text)


def _full(year: str) -> int:
    return 2000 + int(year) if len(year) == 2 else int(year)


def _checked(year: int, month: int, day: int, text: str) -> date:
    try:
        found = date(year, month, day)
    except ValueError:
        raise DataError(f"no such day: {text[:40]!r}") from None
    if not 1995 <= year < 2100:
        raise DataError(f"date out of range: {text[:40]!r}", hint="Expected a year from 1995 to 2099.")
    return found


def _month_end(year: int, month: int, text: str) -> date:
    first = _checked(year, month, 1, text)
    return (first.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


@lru_cache(maxsize=256)
def zone_named(text: str) -> tzinfo:
    """A zone by its abbreviation, its offset or its name in the time zone database. Raises DataError."""
    word = text.strip().strip("()")
    if word in ("", "Z"):
        return UTC
    if word.upper() in _ZONES:
        return timezone(timedelta(hours=_ZONES[word.upper()]))
    if found := _OFFSET.fullmatch(word.upper()):
        ahead = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
        if ahead < timedelta(hours=15):
            return timezone(-ahead if found[1] == "-" else ahead)
    try:
        if "/" in word:
            return ZoneInfo(word)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    raise DataError(f"unknown time zone {text[:20]!r}")


@lru_cache(maxsize=1)
def months() -> dict[str, int]:
    """Names and abbreviations of months, without case, by what CLDR says of each language."""
    from babel.dates import get_month_names

    found: dict[str, int] = {"sept": 9}
    for language in _LANGUAGES:
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for number, name in get_month_names(width, context, language).items():
                    found.setdefault(name.casefold().rstrip("."), number)
    return found


def period_in(texts: Iterable[str]) -> str | None:
    """The month ("2026-03") that titles above a table name, if they name just one."""
    found: set[str] = set()
    for text in texts:
        for year, month in re.findall(r"(?<!\d)(20\d\d)-(0[1-9]|1[0-2])(?!\d)", text):
            found.add(f"{year}-{month}")
        for word, year in re.findall(r"([^\W\d_]+)\.?\s+(20\d\d)\b", text):
            if month := months().get(word.casefold()):
                found.add(f"{year}-{month:02d}")
    return found.pop() if len(found) == 1 else None


class Orders:
    """Which orders of day, month and year all dates of a file keep to."""

    def __init__(self, possible: Iterable[str]) -> None:
        self.left = list(possible)
        self.example = ""

    def see(self, text: str) -> None:
        if len(self.left) < 2 or _ISO.match(text):
            return
        keeps = [order for order in self.left if _reads(text, order)]
        if not keeps:  # no date in any order: its row goes to quarantine, and it says nothing about the others
            return
        if len({_reads(text, order) for order in keeps}) > 1:
            self.example = text
        self.left = keeps

    @property
    def decided(self) -> str | None:
        """The order; None when the file can be read in more than one way."""
        return self.left[0] if len(self.left) == 1 or not self.example else None


def _reads(text: str, order: str) -> date | None:
    try:
        return day_in(text, order)[0]
    except DataError:
        return None
