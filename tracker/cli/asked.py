"""What one asks a report for: months, days, currencies, choices. Whatever is none raises UsageError."""

from collections.abc import Iterable
from datetime import date
from typing import Annotated, TypeVar

import typer

from tracker.cli.ground import parse_day
from tracker.errors import MoneyError, UsageError
from tracker.money import currency_code
from tracker.months import YEARS, following, last_day, read_month

From = Annotated[str | None, typer.Option("--from", metavar="MONTH", help="First month, such as 2026-01.")]
To = Annotated[str | None, typer.Option("--to", metavar="MONTH", help="Last month, included.")]
FromDay = Annotated[str | None, typer.Option("--from", metavar="DAY", help="First day, or a month: 2026-01.")]
ToDay = Annotated[str | None, typer.Option("--to", metavar="DAY", help="Last day or month, included.")]
Slug = Annotated[str | None, typer.Option("--connection", metavar="SLUG", help="Only this connection.")]
Currency = Annotated[str | None, typer.Option(metavar="CODE", help="Another currency than that of the settings.")]
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]
Csv = Annotated[bool, typer.Option("--csv", help="For spreadsheets.")]

_Word = TypeVar("_Word", bound=str)


def months(first: str | None, last: str | None, current: int, count: int = 12) -> tuple[int, int]:
    """The months asked for; the last `count` ones, the current one included, where nothing is said."""
    end = read_month(last, "--to") if last else None
    begin = read_month(first, "--from") if first else following(end or current, 1 - count)
    end = end or max(begin, current)
    if begin > end:
        raise UsageError("--from is after --to.", hint="Swap them.")
    return begin, end


def days(first: str | None, last: str | None) -> tuple[date | None, date | None]:
    """The days asked for; a month stands for its first or last day. None where nothing is said."""
    begin = _day(first, "--from") if first else None
    end = _day(last, "--to", end=True) if last else None
    if begin and end and begin > end:
        raise UsageError("--from is after --to.", hint="Swap them.")
    return begin, end


def _day(text: str, name: str, *, end: bool = False) -> date:
    if len(text) == len("2026-06"):
        number = read_month(text, name)
        return last_day(number) if end else date(number // 100, number % 100, 1)
    found = parse_day(text, name)
    if found.year not in YEARS:
        raise UsageError(f"{name}: not a day: {text[:40]!r}.", hint="Write it as 2026-06-30.")
    return found


def choice(text: str, choices: Iterable[_Word], name: str) -> _Word:
    known = list(choices)
    for one in known:
        if one == text:
            return one
    raise UsageError(f"{name}: {text[:40]!r} is none of {', '.join(known)}.")


def code(text: str | None) -> str | None:
    """A currency code, or None where none is given."""
    try:
        return currency_code(text) if text else None
    except MoneyError as error:
        raise UsageError(f"--currency: {error}") from None


def one_form(as_json: bool, as_csv: bool) -> None:
    if as_json and as_csv:
        raise UsageError("--json and --csv cannot both be had.", hint="Leave one out.")
