"""What an export says about itself, and how its values are written for other programs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tracker.filters import Filter
from tracker.money import plain
from tracker.reports import PayoutLine

#: An earning by `tracker.search.COLUMNS`.
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """`payouts` are those that belong to the same question; None where it is about less than whole connections.

    `as_of` is when each connection was last read completely.
    """

    wanted: Filter
    made_at: datetime
    zone: ZoneInfo
    currency: str
    as_of: Mapping[str, datetime | None]
    payouts: list[PayoutLine] | None

    @property
    def asked(self) -> str:
        """ "month=2026-06, status=approved"."""
        return ", ".join(f"{name}={text}" for name, text in self.wanted.params().items()) or "everything"


def told(value: Any) -> Any:
    """Amounts as decimal text in major units, times in ISO 8601 and UTC, unknown as None."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value


#: With these a spreadsheet takes a text for a formula, or for a cell of its own (owasp.org, CSV Injection).
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def is_formula(value: Any) -> bool:
    """Whether a spreadsheet may run it. Amounts never are: they are no text, whatever their sign."""
    return isinstance(value, str) and value.startswith(FORMULAS)
