"""Find regular series in a list of charges: a likelihood that knows the calendar, against charges at random distances.

A series is followed from each promising start, payment by payment. It is then scored as a whole: how much better its
delays, gaps and amounts are explained by the rhythm than by purchases that come at the same average rate by chance.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from datetime import date
from math import log

from tracker.recurrence.rhythm import EARLY, NEVER, STARTING_RHYTHMS, Rhythm, delay, due_in

#: A series this much more likely (in log units) than chance is believed.
BELIEVED = 1.8
_MISSED = log(0.05)
_MOVED = log(0.01)  # the billing day itself moves: after a late payment, a pause, an upgrade
_METERED = -3.5  # once, for a series whose amounts say nothing, such as usage-based billing
_WORTH_TAKING = -8.5  # a worse candidate counts as a missed payment
_FOLLOWED_MISS = -2.6
_MOST_ROUNDS = 8
_STEPS_PER_CHARGE = 60


class Timeline:
    """Charges of one currency in order of day, as parallel lists."""

    def __init__(self, charges: Sequence[tuple[date, int]]) -> None:
        self.days = [day.toordinal() for day, _ in charges]
        self.amounts = [amount for _, amount in charges]
        self.day_of_month = [day.day for day, _ in charges]
        self.month = [day.year * 12 + day.month - 1 for day, _ in charges]
        self.lead_month = [
            month if day.day <= 24 else _lead_month(day) for month, (day, _) in zip(self.month, charges, strict=True)
        ]


def _lead_month(day: date) -> int:
    later = date.fromordinal(min(day.toordinal() + EARLY, date.max.toordinal()))
    return later.year * 12 + later.month - 1


class Chain:
    """A series of charges at one rhythm. `hits` are places in the timeline, `score` is in log units above chance."""

    __slots__ = ("hits", "missed", "rhythm", "score")

    def __init__(self, rhythm: Rhythm, hits: list[int], missed: int) -> None:
        self.rhythm = rhythm
        self.hits = hits
        self.missed = missed
        self.score = NEVER


class _Budget:
    """Stops the search in a crowded group: charges looked at, in all."""

    def __init__(self, charges: int) -> None:
        self.left = _STEPS_PER_CHARGE * charges + 500


def find_chains(line: Timeline, free: list[int], *, one_payer: bool, bonus: float = 0.0) -> list[Chain]:
    """Believed series among the charges at the places `free` (ascending), no charge in two of them.

    With one payer amounts may change inside a series; else only charges of one amount should be passed.
    `bonus` is evidence from elsewhere that the charges belong together.
    """
    found: list[Chain] = []
    budget = _Budget(len(free))
    for _ in range(_MOST_ROUNDS):
        if len(free) < 3 or budget.left <= 0:
            break
        taken: set[int] = set()
        for chain in sorted(_candidates(line, free, one_payer, budget), key=lambda chain: -chain.score):
            if chain.score + bonus < BELIEVED:
                break
            if taken.isdisjoint(chain.hits):
                taken.update(chain.hits)
                found.append(chain)
        if not taken:
            break
        free = [place for place in free if place not in taken]
    return found


def _candidates(line: Timeline, free: list[int], one_payer: bool, budget: _Budget) -> list[Chain]:
    """Scored series of three or more from every promising start. Starts inside a followed series are not repeated."""
    days, amounts = line.days, line.amounts
    following = _next_of_same_amount(amounts, free)
    chains: list[Chain] = []
    followed: set[tuple[str, int]] = set()
    for at in range(len(free) - 2):
        if budget.left <= 0:
            break
        start = free[at]
        tried: set[str] = set()
        seconds = [*range(at + 1, min(at + 4, len(free)))]
        if following[at] > at + 3:
            seconds.append(following[at])
        for second in seconds:
            gap = days[free[second]] - days[start]
            if gap >= len(STARTING_RHYTHMS):
                break
            for rhythm in STARTING_RHYTHMS[gap]:
                if rhythm.name in tried or (rhythm.name, start) in followed:
                    continue
                tried.add(rhythm.name)
                chain = _follow(line, free, at, rhythm, following, budget)
                if len(chain.hits) < 3:
                    continue
                followed.update((rhythm.name, hit) for hit in chain.hits)
                chain.score = _score(line, free, chain, one_payer)
                chains.append(chain)
            if at == 0 and any(len(chain.hits) == len(free) and chain.score > len(free) for chain in chains):
                return chains  # one clean series holds everything
    return chains


def _next_of_same_amount(amounts: list[int], free: list[int]) -> list[int]:
    """For each place of `free`, the next index into `free` with the same amount, or -1."""
    upcoming: dict[int, int] = {}
    result = [-1] * len(free)
    for at in range(len(free) - 1, -1, -1):
        amount = amounts[free[at]]
        result[at] = upcoming.get(amount, -1)
        upcoming[amount] = at
    return result


def _follow(line: Timeline, free: list[int], at: int, rhythm: Rhythm, following: list[int], budget: _Budget) -> Chain:
    """Walk due day by due day from one charge, taking the likeliest charge near each."""
    days = line.days
    hits = [free[at]]
    anchor, last, steps, missed, missed_in_row = free[at], at, 0, 0, 0
    pointer, end = at + 1, days[free[-1]]
    while pointer < len(free):
        steps += 1
        worth_taking = _WORTH_TAKING - _FOLLOWED_MISS * missed_in_row
        due = _due(line, anchor, rhythm, steps)
        moved = _due(line, free[last], rhythm, missed_in_row + 1) if free[last] != anchor else due
        first, final = min(due, moved) - rhythm.early, max(due, moved) + rhythm.late
        if first > end:
            break
        while pointer < len(free) and days[free[pointer]] < first:
            pointer += 1
        best, best_likelihood, best_moved = -1, worth_taking, False
        candidate = pointer
        while candidate < len(free) and days[free[candidate]] <= final:
            day = days[free[candidate]]
            kept_log, moved_log = _late(rhythm, due, day), _late(rhythm, moved, day) + _MOVED
            likelihood = max(kept_log, moved_log) + _amount_log(line, free, last, candidate, rhythm, following)
            if likelihood > best_likelihood:
                best, best_likelihood, best_moved = candidate, likelihood, moved_log > kept_log
            candidate += 1
        budget.left -= candidate - pointer + 1
        if best < 0:
            missed_in_row += 1
            if missed_in_row > rhythm.missable:
                break
            continue
        missed += missed_in_row
        missed_in_row = 0
        hits.append(free[best])
        last, pointer = best, best + 1
        if best_moved:
            anchor, steps = free[best], 0
    return Chain(rhythm, hits, missed)


def _due(line: Timeline, anchor: int, rhythm: Rhythm, steps: int) -> int:
    if rhythm.months:
        return due_in(line.month[anchor] + steps * rhythm.months, line.day_of_month[anchor])
    return line.days[anchor] + steps * rhythm.days


def _late(rhythm: Rhythm, due: int, day: int) -> float:
    if -rhythm.early <= day - due <= rhythm.late:
        return rhythm.late_log[(due + 6) % 7][day - due + rhythm.early]
    return 2 * NEVER


def _amount_log(
    line: Timeline, free: list[int], last: int, candidate: int, rhythm: Rhythm, following: list[int]
) -> float:
    """How well a candidate's amount continues a series, while it is followed."""
    before, after = line.amounts[free[last]], line.amounts[free[candidate]]
    if before == after:
        return 0.0
    same = following[last]
    if same >= 0 and line.days[free[same]] <= line.days[free[candidate]] + 2 * rhythm.days:
        return -6.0  # the old amount goes on: this is another purchase
    low, high = min(before, after), max(before, after)
    if high - low <= high // 25:
        return -1.0
    return -3.0 if high <= 2 * low else -4.5 if high <= 6 * low else -8.0


def _score(line: Timeline, free: list[int], chain: Chain, one_payer: bool) -> float:
    """Log likelihood of the series against charges that come by chance at the rate seen during its time."""
    first, last = line.days[chain.hits[0]], line.days[chain.hits[-1]]
    inside = free[bisect_left(free, chain.hits[0]) : bisect_right(free, chain.hits[-1])]
    rate = log((len(inside) - 1) / (last - first))
    rhythm = chain.rhythm
    tolerance = rhythm.early + rhythm.late + 1
    score = rhythm.prior - log(rhythm.days) + _punctuality(line, chain) - rate * len(chain.hits)
    score += chain.missed * min(0.0, _MISSED + tolerance * (len(inside) - 1) / (last - first))
    if one_payer:
        score += _amounts_score(line, inside, chain)
    return score


def _punctuality(line: Timeline, chain: Chain) -> float:
    """Log likelihood of all delays under the best billing day, which may move for a price (a Viterbi path)."""
    rhythm, hits = chain.rhythm, chain.hits
    if rhythm.months:
        candidates = {day for day, _ in Counter(line.day_of_month[hit] for hit in hits).most_common(6)}
        if len(candidates) > 1 and len(hits) <= 5:  # a Monday's charge may have been due on the weekend
            mondays = {line.day_of_month[hit] for hit in hits if line.days[hit] % 7 == 1}
            candidates |= {day - shift for day in mondays for shift in (1, 2) if day > shift}
    else:
        candidates = {line.days[hit] % rhythm.days for hit in hits[:12]}
    states = sorted(candidates)
    path = [0.0] * len(states)
    best = 0.0
    for hit in hits:
        day, lead_month = line.days[hit], line.lead_month[hit]
        for number, phase in enumerate(states):
            late = delay(rhythm, day, lead_month, phase)
            here = rhythm.late_log[(day - late + 6) % 7][late + rhythm.early] if late <= rhythm.late else NEVER
            stay, move = path[number], best + _MOVED
            path[number] = (stay if stay > move else move) + here
        best = max(path)
    return best


def _amounts_score(line: Timeline, inside: list[int], chain: Chain) -> float:
    """How much more the amounts speak for a plan than for purchases of this payer in the same time."""
    amounts = line.amounts
    counts = Counter(amounts[place] for place in inside)
    n = len(inside)
    same = (sum(count * (count - 1) for count in counts.values()) + 1) / (n * (n - 1) + 2)
    same = min(max(same, 0.05), 0.95)
    score = 0.0
    for before, after in zip(chain.hits, chain.hits[1:], strict=False):
        low, high = sorted((amounts[before], amounts[after]))
        if low == high:
            score += log(0.88 / same)
        elif high - low <= high // 25:
            score += log(0.06 / 0.15 / (1 - same))
        elif high <= 2 * low:
            score += log(0.04 / 0.5 / (1 - same))
        else:
            score += log(0.01 / 0.3 / (1 - same))
    return max(score, _METERED)
