"""From a file, and what a person says about it, to a statement."""

from pathlib import Path

from tracker.errors import UsageError
from tracker.money import currency_code
from tracker.months import parse
from tracker.statements.headers import Match, recognise
from tracker.statements.profiles import shelf
from tracker.statements.profiles.dates import ORDERS
from tracker.statements.reading import Opened, open_file
from tracker.statements.statement import Asked, Statement, settle


def asked_for(*, decimal: str = "", dates: str = "", currency: str = "", month: str = "") -> Asked:
    """What a person says about a file; empty: the file tells it itself. Raises UsageError."""
    if decimal not in ("", ".", ","):
        raise UsageError(f"{decimal[:10]!r} is no decimal mark.", hint="Give . or ,")
    if dates and dates.upper() not in ORDERS:
        raise UsageError(f"{dates[:10]!r} is no order of dates.", hint=f"Choose one of {', '.join(ORDERS)}.")
    if month:
        try:
            parse(month)
        except ValueError:
            raise UsageError(f"{month[:10]!r} is no month.", hint="Write it as 2026-03.") from None
    return Asked(
        decimal=decimal or None,
        dates=dates.upper() or None,
        currency=currency_code(currency) if currency else None,
        month=month or None,
    )


def understand(path: Path, profile: str, asked: Asked) -> Statement:
    """The statement in a file, by the profile of that name or by the one that fits. Raises UsageError."""
    opened = open_file(path)
    return settle(opened, fitting(opened, profile), asked)


def fitting(opened: Opened, profile: str) -> list[Match]:
    """Where the tables of a file begin, and what their columns are. Raises UsageError for what no profile knows."""
    return recognise(opened, [shelf.find(profile)] if profile else shelf.every(), shelf.own_slugs())
