"""Odd charges that belong to a subscription: partial periods, changes of plan in mid-term, payments after a pause."""

from bisect import bisect_left

from tracker.recurrence.chains import Chain, Timeline

#: How many intervals apart from its regular charges a plan may have been paid at the same price.
_COMES_BACK = 13
_FORGIVEN_DAYS = 1.6


def belongs_to(line: Timeline, place: int, chain: Chain) -> bool:
    """Whether a charge outside the rhythm is explained by the subscription: the same price, or a part of a period."""
    day, amount = line.days[place], line.amounts[place]
    length = chain.rhythm.days
    first, last = line.days[chain.hits[0]], line.days[chain.hits[-1]]
    if not first - _COMES_BACK * length <= day <= last + _COMES_BACK * length:
        return False
    if any(line.amounts[hit] == amount for hit in chain.hits):
        return True
    after = bisect_left(chain.hits, place)
    if after == len(chain.hits) or day > last:
        return False
    price = line.amounts[chain.hits[after]]
    remaining = (line.days[chain.hits[after]] - day) / length
    if after == 0:
        return 0 < remaining <= 1.2 and _close(amount, price * remaining, price, length)
    previous = chain.hits[after - 1]
    old = line.amounts[previous]
    if old == price:
        return False
    unused = max(0.0, 1 - (day - line.days[previous]) / length)
    return _close(amount, (price - old) * remaining, price, length) or _close(
        amount, price - old * unused, price, length
    )


def _close(amount: int, expected: float, price: int, length: int) -> bool:
    return expected > 0 and abs(amount - expected) <= price * _FORGIVEN_DAYS / length
