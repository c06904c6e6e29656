"""What the other payers of a product tell about one payer's charges: prices paid at once, and where others stopped.

Built from one line per payer and amount, as a database groups them; asked with the payer's own lines, which are taken
out again. Amounts that differ by cents of rounding count as one.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

#: How far parts of one price may differ by rounding, in millionths.
CENTS = 120_000
_PRICES_MAX = 6
_ENDINGS_MAX = 40
_SURELY_A_PLAN = 12  # more charges than prices have parts
_GRACE_DAYS = 26  # after the day the next charge was due


class Paid(NamedTuple):
    """How often and when one payer paid an amount, in millionths, for the product."""

    micros: int
    charges: int
    first: date
    last: date


class Facts:
    """Of one product in one currency."""

    def __init__(self, as_of: date) -> None:
        self._as_of = as_of
        self._single: Counter[int] = Counter()
        self._endings: defaultdict[int, Counter[int]] = defaultdict(Counter)

    def add(self, paid: Sequence[Paid]) -> None:
        """One payer's lines."""
        if len(paid) == 1 and paid[0].charges == 1:
            self._single[paid[0].micros] += 1
        else:
            for micros, count in self._series(paid):
                self._endings[micros][count] += 1

    def full_prices(self, paid: Sequence[Paid]) -> tuple[int, ...]:
        """The amounts that others paid once and never again; the most frequent ones of many.

        What several others paid in all, at another amount, is as good: the same price in another number of parts.
        """
        own = {line.micros for line in paid}
        bought_once = len(paid) == 1 and paid[0].charges == 1
        prices = Counter({micros: count - (bought_once and micros in own) for micros, count in self._single.items()})
        for micros, endings in self._endings.items():
            if micros not in own:
                prices.update({micros * parts: n for parts, n in endings.items() if n > 1 and parts <= _SURELY_A_PLAN})
        return tuple(sorted(micros for micros, count in prices.most_common(_PRICES_MAX) if count > 0))

    def endings(self, paid: Sequence[Paid]) -> tuple[int, ...]:
        """After how many charges others stopped who paid the same amount; at most so many that all weigh in equally."""
        own = self._series(paid)
        found: Counter[int] = Counter()
        for micros, _ in own:
            found.update(self._endings.get(micros, ()))
        found.subtract(count for _, count in own)
        total = sum(count for count in found.values() if count > 0)
        shrink = max(1.0, total / _ENDINGS_MAX)
        return tuple(charges for charges, count in sorted(found.items()) for _ in range(round(count / shrink)))

    def _series(self, paid: Sequence[Paid]) -> list[tuple[int, int]]:
        """Amount and number of charges of each series that has ended, or is too long for parts of a price."""
        last = max(line.last for line in paid)
        found = []
        for line in _merged(paid):
            if line.charges > 1:
                apart = (line.last - line.first).days // (line.charges - 1)
                if line.charges > _SURELY_A_PLAN or (self._as_of - last).days > apart + _GRACE_DAYS:
                    found.append((line.micros, line.charges))
        return found


def _merged(paid: Iterable[Paid]) -> list[Paid]:
    """Amounts within cents of each other as one, under the most frequent amount."""
    merged: list[Paid] = []
    for line in sorted(paid):
        before = merged[-1] if merged else None
        if before is None or line.micros - before.micros > CENTS:
            merged.append(line)
        else:
            micros = max(before, line, key=lambda each: each.charges).micros
            first, last = min(before.first, line.first), max(before.last, line.last)
            merged[-1] = Paid(micros, before.charges + line.charges, first, last)
    return merged
