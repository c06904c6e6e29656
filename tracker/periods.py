"""The months that a page is about: one of the usual periods, or any months from one to another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tracker.errors import UsageError
from tracker.months import following, label, read_month, span

#: Months that one page shows at most.
MONTHS_MAX = 240

#: From the running month and the first of the ledger: the first and last month of each usual period.
PRESETS: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "this-month": lambda running, begins: (running, running),
    "last-month": lambda running, begins: (following(running, -1), following(running, -1)),
    "3-months": lambda running, begins: (following(running, -2), running),
    "12-months": lambda running, begins: (following(running, -11), running),
    "this-year": lambda running, begins: (running // 100 * 100 + 1, running),
    "last-year": lambda running, begins: (running // 100 * 100 - 99, running // 100 * 100 - 88),
    "all": lambda running, begins: (max(min(begins, running), following(running, 1 - MONTHS_MAX)), running),
}
USUAL = "this-month"


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asked for: a preset, or else the first and last month, of which one may be left open."""

    preset: str = USUAL
    first: int | None = None
    last: int | None = None

    @classmethod
    def read(cls, given: Mapping[str, str]) -> "Asked":
        """From the parameters `period`, or `from` and `to` ("2026-01"). Raises UsageError."""
        texts = ((name, given.get(name, "").strip()) for name in ("from", "to"))
        first, last = (read_month(text, name) if text else None for name, text in texts)
        if first or last:
            if first and last and first > last:
                raise UsageError("from is after to.", hint="Swap them.")
            return cls("", first, last)
        preset = given.get("period", "").strip() or USUAL
        if preset not in PRESETS:
            raise UsageError(f"no period is called {preset[:40]!r}.", hint=f"Choose one of {', '.join(PRESETS)}.")
        return cls(preset)

    def params(self) -> dict[str, str]:
        """The parameters that say the same; none for the usual period."""
        if self.preset:
            return {} if self.preset == USUAL else {"period": self.preset}
        return {name: label(month) for name, month in (("from", self.first), ("to", self.last)) if month}


@dataclass(frozen=True, slots=True)
class Period:
    """Months from `first` to `last`, both included; `runs` while the last of them is not over."""

    first: int
    last: int
    runs: bool

    @property
    def months(self) -> list[int]:
        return span(self.first, self.last)


def period(asked: Asked, running: int, begins: int | None) -> Period:
    """The months themselves; what has not begun is left out. `begins` is the first month of the ledger.

    Raises UsageError for months of which none has begun, and for too many.
    """
    if asked.preset:
        first, last = PRESETS[asked.preset](running, begins or running)
    else:
        last = min(asked.last or running, running)
        first = asked.first or min(begins or last, last)
    if first > running:
        raise UsageError(f"{label(first)} has not begun.", hint=f"Choose months up to {label(running)}.")
    if len(span(first, last)) > MONTHS_MAX:
        raise UsageError(f"these are more than {MONTHS_MAX} months.", hint="Choose fewer.")
    return Period(first, last, last == running)
