"""Tell a price paid in parts from a subscription that was cancelled after as many payments.

The dates alone cannot: three equal monthly charges are both. What can are facts that providers and the ledger have:
a text such as "2/3", the full price that others paid at once, where other payers of the product stopped, an order
that all payments share, and cents that only a divided price has.
"""

import re
from collections import Counter
from collections.abc import Sequence
from math import log
from typing import NamedTuple

from tracker.recurrence.charges import Hints

#: Numbers of parts that shops offer, with log odds against a subscription that ended after as many charges.
USUAL_PARTS = {2: -0.4, 3: -0.3, 4: -0.7, 5: -1.5, 6: -0.6, 8: -2.0, 10: -1.0, 12: -0.7}
_UNUSUAL = -4.0
_RUNNING = -2.0
_STOPPED = -3.0  # parts that were never paid
_MOST_PARTS = 60

_WORDS = (
    r"parts?|payments?|instal+ments?|raten?|teil(?:zahlung)?|zahlung"
    r"|avdrag|del(?:betaling)?|paiement|versement|pago|cuota"
)
_COUNTED = re.compile(
    rf"(?:\b(?:{_WORDS})\s*(?:no\.?|nr\.?|#)?\s*(\d{{1,2}})\s*(?:/|of|von|av|de|sur)\s*(\d{{1,2}})\b)"
    r"|(?:[(\[]\s*(\d{1,2})\s*(?:/|of|von|av|de|sur)\s*(\d{1,2})\s*[)\]]\s*$)"
    rf"|(?:\b(\d{{1,2}})\s*(?:/|of|von|av|de|sur)\s*(\d{{1,2}})\s+(?:{_WORDS})\b)",
    re.IGNORECASE,
)
#: Endings of prices that shops ask for, in cents.
_CHARM = frozenset({0, 50, 90, 95, 99})


def counted_part(product: str | None) -> tuple[int, int] | None:
    """(part, parts) when a product text counts parts: "Course (2/3)", "Rate 2 von 3", "payment 2 of 3"; else None."""
    match = _COUNTED.search(product[-200:]) if product else None
    if not match:
        return None
    part, parts = (int(group) for group in match.groups() if group is not None)
    return (part, parts) if 1 <= part <= parts and 2 <= parts <= _MOST_PARTS else None


def without_count(product: str | None) -> str | None:
    """The product that a text with counted parts is about: "Course" for "Course (2/3)"."""
    match = _COUNTED.search(product) if product and counted_part(product) else None
    return product if not product or not match else f"{product[: match.start()]}{product[match.end() :]}".strip()


class Series(NamedTuple):
    """A regular series, as far as the question needs it. Amounts in millionths, in order of day."""

    amounts: Sequence[int]
    missed: int
    days_apart: int
    ended: bool
    order_shared: bool | None  # None where the provider gives no reference


def parts_log_odds(series: Series, hints: Hints) -> tuple[float, int]:
    """Log odds that the series is a price paid in parts, and the likeliest number of parts."""
    paid = len(series.amounts)
    if not _equal_but_for_cents(series.amounts) or paid > _MOST_PARTS:
        return -20.0, paid
    totals = {paid} if series.ended else set()
    if hints.endings:
        totals.add(Counter(hints.endings).most_common(1)[0][0])
    part = series.amounts[-1]
    totals.update(parts for parts in USUAL_PARTS if any(_near(parts * part, full) for full in hints.full_prices))
    best = (-20.0, paid)
    for parts in totals:
        if parts >= paid:
            best = max(best, (_log_odds(series, parts, hints), parts))
    return best


def _log_odds(series: Series, parts: int, hints: Hints) -> float:
    paid, part = len(series.amounts), series.amounts[-1]
    total = sum(series.amounts) + (parts - paid) * part
    odds = USUAL_PARTS.get(parts, _UNUSUAL)
    if not series.ended:
        odds += _RUNNING
    elif paid < parts:
        odds += _STOPPED
    odds += _cents_log(series.amounts, total) + _endings_log(parts, hints.endings)
    odds += max((_price_log(total, part, parts, full) for full in hints.full_prices), default=0.0)
    if series.order_shared is not None:
        odds += 0.8 if series.order_shared else -1.0
    odds -= 1.0 * series.missed
    if series.days_apart > 60:
        odds -= 2.5
    return odds


def _equal_but_for_cents(amounts: Sequence[int]) -> bool:
    """All equal, or all but the first or the last, which may carry the rounding."""
    slack = len(amounts) * 10_000
    body = amounts[1:-1] if len(amounts) > 3 else amounts[1:]
    low, high = min(amounts), max(amounts)
    return high - low <= slack and min(body) == max(body) if len(amounts) != 3 else high - low <= slack


def _cents_log(amounts: Sequence[int], total: int) -> float:
    """Cents that a subscription price has no reason for: uneven parts, or odd parts of a total that shops ask for."""
    if min(amounts) != max(amounts):
        return 4.5
    if _asked(amounts[-1], 0):
        return -0.4
    by_chance = min(len(_CHARM) * len(amounts) / 100, 0.7)
    return 0.7 + (log(0.7 / by_chance) if _asked(total, len(amounts) - 1) else log(0.3 / (1 - by_chance)))


def _asked(amount: int, slack_cents: int) -> bool:
    """Whether a shop would ask for the amount, give or take the cents that rounding parts up leaves."""
    cents = amount // 10_000
    return amount % 10_000 == 0 and any((cents + shift) % 100 in _CHARM for shift in range(-slack_cents, 1))


def _near(total: int, full: int) -> bool:
    """Parts cost as much as the full price, or somewhat more; a little less where fees are taken off each part."""
    return full > 0 and 97 * full <= 100 * total <= 120 * full


def _price_log(total: int, part: int, parts: int, full: int) -> float:
    if not _near(total, full) or part == full:
        return 0.0
    if parts in (10, 12):
        return 1.5  # a year may cost as much as ten or twelve months
    return 4.0 if abs(total - full) <= parts * 350_000 else 2.2  # cents of rounding, or a fixed fee on each part


def _endings_log(parts: int, endings: Sequence[int]) -> float:
    """Other payers who stopped at the same count speak for parts; those who went on speak against."""
    odds = 0.0
    for count in endings:
        if count > parts:
            odds -= 4.0
        else:
            odds += log((0.85 if count == parts else 0.15 / (parts - 1)) * max(count, 1) / 0.35)
    return min(max(odds, -8.0), 8.0)
