"""What one may ask for of earnings: the same parameters for pages, exports, API and command line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from tracker.errors import MoneyError, UsageError
from tracker.money import currency_code, exact, plain
from tracker.months import label, parse
from tracker.records import Kind, Recurrence, Settlement, Status
from tracker.store.reads import Basis
from tracker.store.reads_news import Became, Since
from tracker.store.terms import REASONS

TEXT_MAX = 200
#: Every recurrence but the recurring one.
OTHER = "other"
YEARS = range(1970, 3000)
_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What is asked for; what is None may be anything. The names are those of the parameters of pages and API.

    `first` and `last` are days in the user's zone, both included. Month and days go by the basis as reports do: what
    counts by its own date, everything else by the day earned. `program`, `product` and `sub_id` are ids or titles;
    `*` stands for any text. After `=` stands exactly the id of a program, or the name that a product is shown with;
    `=` alone is what has none. `least` and `most` are in `currency`, or in the reporting currency where none is given.
    `until` is a moment before which it was, also by the basis; `since` is what became of it since somebody looked.
    `recurrence` may be OTHER, `counted` one of REASONS.
    `q` is a provider's reference as a whole, or else a part of an id, order, sub id, or program's or product's title.
    """

    first: date | None = None
    last: date | None = None
    until: datetime | None = None
    since: Since | None = None
    month: int | None = None
    basis: Basis = Basis.EARNED
    stream: str | None = None
    connection: str | None = None
    program: str | None = None
    product: str | None = None
    status: Status | None = None
    settlement: Settlement | None = None
    recurrence: Recurrence | str | None = None
    kind: Kind | None = None
    currency: str | None = None
    sub_id: str | None = None
    least: Decimal | None = None
    most: Decimal | None = None
    q: str | None = None
    counted: bool | str | None = None

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> "Filter":
        """From parameters (PARAMETERS; others are left alone). An empty one asks for nothing. Raises UsageError."""
        values: dict[str, Any] = {}
        for name, field in PARAMETERS.items():
            text = str(given.get(name) or "").strip()
            if text:
                values[field] = _READERS.get(name, _text)(text, name)
        found = cls(**values)
        if found.first and found.last and found.first > found.last:
            raise UsageError("from is after to.", hint="Swap them.")
        if found.least is not None and found.most is not None and found.least > found.most:
            raise UsageError("min is more than max.", hint="Swap them.")
        return found

    def params(self) -> dict[str, str]:
        """The parameters that `parse` makes the same filter of."""
        told = {name: _written(getattr(self, field)) for name, field in PARAMETERS.items()}
        told["month"] = label(self.month) if self.month else ""
        told["basis"] = "" if self.basis is Basis.EARNED else self.basis.value
        return {name: text for name, text in told.items() if text}

    def but(self, **changes: Any) -> "Filter":
        return replace(self, **changes)

    @property
    def empty(self) -> bool:
        return not self.params()


#: Parameters, and the field of the filter that each fills.
PARAMETERS = {
    {"first": "from", "last": "to", "least": "min", "most": "max"}.get(field.name, field.name): field.name
    for field in fields(Filter)
}


def _written(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return plain(value) or "" if isinstance(value, Decimal) else str(value)


# --- reading parameters ---


def _text(text: str, name: str) -> str:
    if len(text) > TEXT_MAX or not text.isprintable():
        raise UsageError(f"{name}: not a text to look for.", hint=f"Use up to {TEXT_MAX} characters.")
    return text


def _day(text: str, name: str) -> date:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        try:
            found = date.fromisoformat(text)
        except ValueError:
            pass
        else:
            if found.year in YEARS:
                return found
    raise UsageError(f"{name}: not a day: {text[:40]!r}.", hint="Write it as 2026-06-30.")


def _moment(text: str, name: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        if found.tzinfo is not None and found.year in YEARS:
            return found
    raise UsageError(f"{name}: not a moment: {text[:40]!r}.", hint="Write it as 2026-06-30T12:00:00Z.")


def _since(text: str, name: str) -> Since:
    parts = re.fullmatch(r"(\w+),([^,]+),(\d{1,18})", text, re.ASCII)
    if not parts:
        hint = "Write it as approved,2026-06-30T12:00:00Z,4711: what, since when, the newest earning by then."
        raise UsageError(f"{name}: not what became of earnings: {text[:40]!r}.", hint=hint)
    return Since(one_of(parts[1], Became, name), _moment(parts[2], name), int(parts[3]))


def _month(text: str, name: str) -> int:
    try:
        found = parse(text)
    except ValueError:
        found = 0
    if found // 100 not in YEARS:
        raise UsageError(f"{name}: not a month: {text[:40]!r}.", hint="Write it as 2026-06.")
    return found


def _amount(text: str, name: str) -> Decimal:
    try:
        return exact(text)
    except MoneyError:
        raise UsageError(f"{name}: not an amount: {text[:40]!r}.", hint="Write it as 1234.50.") from None


def _currency(text: str, name: str) -> str:
    try:
        return currency_code(text)
    except MoneyError as error:
        raise UsageError(f"{name}: {error}") from None


def _yes(text: str, name: str) -> bool | str:
    """Whether, or why not."""
    if text in REASONS:
        return text
    if text not in ("yes", "no"):
        hint = f"Or write why it is in no total: {', '.join(REASONS)}."
        raise UsageError(f"{name}: {text[:40]!r} is neither yes nor no.", hint=hint)
    return text == "yes"


def _recurrence(text: str, name: str) -> Recurrence | str:
    return OTHER if text == OTHER else one_of(text, Recurrence, name)


def one_of(text: str, words: type[_Word], name: str) -> _Word:
    """Raises UsageError for a word that is none of them."""
    try:
        return words(text)
    except ValueError:
        raise UsageError(f"{name}: {text[:40]!r} is none of {', '.join(words)}.") from None


_READERS: dict[str, Any] = {
    "from": _day, "to": _day, "until": _moment, "since": _since, "month": _month, "currency": _currency,
    "min": _amount, "max": _amount, "recurrence": _recurrence, "counted": _yes,
    **{
        name: (lambda text, name, words=words: one_of(text, words, name))
        for name, words in {
            "basis": Basis, "status": Status, "settlement": Settlement, "kind": Kind,
        }.items()
    },
}  # fmt: skip
