"""Recurring payments among equal charges of unnamed payers: when to look for them, and how in a crowd.

Sales have a rhythm of their own: the newsletter on Thursdays, the advertiser who books on the 1st. Customers who renew
do so on days of their own, a month or more apart. Hence no verdict where equal charges come in bursts.

In a crowd of hundreds no series can be followed. If many of the payers are subscribers, charges find an equal partner
exactly one interval later more often than a few days beside it. The share of partners on the wrong day (a placebo) is
what chance alone would give. Linear in charges.
"""

from collections import Counter
from collections.abc import Sequence
from math import sqrt

from tracker.recurrence.chains import Timeline
from tracker.recurrence.rhythm import RHYTHMS, SATURDAY, SUNDAY, Rhythm, due_in

#: From this many equal charges on, charges are judged as a crowd.
CROWD = 150
#: Seen when about six in ten charges renew: payments that come a day late or end find no partner.
_LEAST_EXCESS = 0.22
_LEAST_SIGMAS = 6.0


#: Rhythms of renewals. Shorter ones are those of marketing.
RENEWALS = tuple(rhythm for rhythm in RHYTHMS if rhythm.days >= 28)
_NEARBY_DAYS = 2


def in_bursts(days: Sequence[int]) -> bool:
    """Whether clearly more of the charges (ascending days) lie close together than independent ones would."""
    span = days[-1] - days[0] + 1
    first = pairs = 0
    for at, day in enumerate(days):
        while days[first] < day - _NEARBY_DAYS:
            first += 1
        pairs += at - first
    expected = len(days) ** 2 / 2 * (2 * _NEARBY_DAYS + 1) / span
    return pairs > 2 * expected + 2 * sqrt(expected) + 2


def judge_crowd(line: Timeline, free: list[int]) -> tuple[Rhythm, float, set[int]] | None:
    """The rhythm that links the crowd, the share of links beyond chance, and the places that are linked; or None."""
    best: tuple[Rhythm, float, set[int]] | None = None
    for rhythm in RENEWALS:
        due_later = [(place, _due(line, place, rhythm)) for place in free]
        with_future = [(place, due) for place, due in due_later if due + 3 <= line.days[free[-1]]]
        if len(with_future) < CROWD // 2:
            continue
        linked, links = _links(line, free, with_future, 0)
        observed = links / len(with_future)
        aside = 7 if rhythm.months or rhythm.days > 14 else 3
        chance = max(_links(line, free, with_future, shift)[1] for shift in (-aside, aside)) / len(with_future)
        if chance >= 1:
            continue
        excess = (observed - chance) / (1 - chance)
        sigmas = (observed - chance) / sqrt(max(chance * (1 - chance), 0.01) / len(with_future))
        if excess >= _LEAST_EXCESS and sigmas >= _LEAST_SIGMAS and (best is None or excess > best[1]):
            best = (rhythm, excess, linked)
    return best


def _due(line: Timeline, place: int, rhythm: Rhythm) -> int:
    if rhythm.months:
        return due_in(line.month[place] + rhythm.months, line.day_of_month[place])
    return line.days[place] + rhythm.days


def _links(line: Timeline, free: list[int], due_later: list[tuple[int, int]], shift: int) -> tuple[set[int], int]:
    """Pair each charge with one that comes when it is due again, or on the Monday after; each partner is used once."""
    waiting: dict[int, list[int]] = {}
    for place in free:
        waiting.setdefault(line.days[place], []).append(place)
    left = Counter({day: len(places) for day, places in waiting.items()})
    linked: set[int] = set()
    links = 0
    for place, due in due_later:
        day = due + shift
        weekday = (day + 6) % 7
        monday = day + 7 - weekday if weekday in (SATURDAY, SUNDAY) else day
        for partner_day in (day, monday):
            if left[partner_day] > 0:
                left[partner_day] -= 1
                linked.add(place)
                linked.add(waiting[partner_day][left[partner_day]])
                links += 1
                break
    return linked, links
