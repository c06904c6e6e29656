"""Judge each charge of a group: recurring, one-off or a part of a price paid in instalments, and why.

A group is what one payer paid for one product through one connection; where a network names no payer, all charges of
one program. Pure: no database, no clock. A group can be judged again whenever it gets new charges.
"""

from collections.abc import Sequence
from datetime import date
from math import exp

from tracker.records import Recurrence
from tracker.recurrence.chains import BELIEVED, Chain, Timeline, find_chains
from tracker.recurrence.charges import Charge, Hints, Verdict
from tracker.recurrence.crowd import CROWD, RENEWALS, in_bursts, judge_crowd
from tracker.recurrence.facts import CENTS
from tracker.recurrence.parts import Series, counted_part, parts_log_odds
from tracker.recurrence.proration import belongs_to
from tracker.recurrence.rhythm import RHYTHMS, Rhythm, silence

_NO_HINTS = Hints()
_SHARED_ORDER = 2.0  # evidence, in log units, that payments under one order reference are one contract
_PLAN_GOES_ON = 2.0  # evidence against parts: the payer has another series, or paid the same price beside it
_MOST_OF_ONE_PAYER = 1000  # more is no single buyer, whatever the provider says
_SURE_OF_UNNAMED = 4.0  # evidence asked of equal charges whose payers have no names
_MOST = 0.5  # of equal charges of unnamed payers must renew, or none is believed to
_LATE_PAIR = 10  # days: two purchases seven weeks apart are no plan of two parts
_LOOSE = 0.8  # evidence asked of parts whose days show no rhythm
_PART_RHYTHMS = [rhythm for rhythm in RHYTHMS if rhythm.name in ("monthly", "every 4 weeks", "every 2 weeks")]
#: Days of silence after which a group is to be judged again, by the interval found; None: without one.
SILENCES: tuple[tuple[str | None, int], ...] = (
    *((str(rhythm.interval), silence(rhythm)) for rhythm in RHYTHMS),
    *((None, silence(rhythm)) for rhythm in _PART_RHYTHMS),
)


def infer(charges: Sequence[Charge], hints: Hints = _NO_HINTS) -> list[Verdict]:
    """One verdict per charge, in the order given; the order itself does not matter.

    Recurring needs at least three charges at a regular distance between a week and a year. A negative charge shares
    the verdict of the charge it takes back. Currencies are judged apart.
    """
    verdicts: dict[int, Verdict] = {}
    by_currency: dict[str, list[int]] = {}
    for number in sorted(range(len(charges)), key=lambda number: _order(charges[number])):
        by_currency.setdefault(charges[number].currency, []).append(number)
    for numbers in by_currency.values():
        paid = [number for number in numbers if charges[number].micros >= 0]
        verdicts.update(zip(paid, _judge([charges[number] for number in paid], hints), strict=True))
        _judge_taken_back(charges, numbers, verdicts)
    return [verdicts[number] for number in range(len(charges))]


def _order(charge: Charge) -> tuple[date, bool, int, str, str]:
    return charge.day, charge.micros < 0, charge.micros, charge.order_ref or "", charge.product or ""


def _judge_taken_back(charges: Sequence[Charge], numbers: list[int], verdicts: dict[int, Verdict]) -> None:
    """Matched by size to the latest earlier charge, else to the latest earlier one of any size."""
    by_amount: dict[int, int] = {}
    latest: int | None = None
    for number in numbers:
        charge = charges[number]
        if charge.micros >= 0:
            latest = by_amount[charge.micros] = number
            continue
        origin = by_amount.get(-charge.micros, latest)
        if origin is None:
            verdicts[number] = Verdict(Recurrence.ONE_OFF, None, 0.5, "takes back a charge that is not in view")
        else:
            verdict, day = verdicts[origin], charges[origin].day
            reason = f"takes back the charge of {day}: {verdict.reason}"
            verdicts[number] = Verdict(verdict.recurrence, verdict.interval, verdict.confidence, reason)


def _judge(charges: list[Charge], hints: Hints) -> list[Verdict]:
    """Verdicts of positive charges of one currency in order of day."""
    if len(charges) < 3 and not hints.full_prices and not hints.endings:
        if not charges:
            return []
        if len(charges) == 1:
            return [_counted(charges[0]) or Verdict(Recurrence.ONE_OFF, None, 0.7, "a single charge")]
    group = _Group(charges, hints)
    group.take_counted_parts()
    if hints.payer_known and len(charges) <= _MOST_OF_ONE_PAYER:
        group.take_orders()
        group.take_series()
        group.take_loose_parts()
        group.take_what_belongs()
    else:
        group.take_equal_amounts()
    return group.finish()


def _counted(charge: Charge) -> Verdict | None:
    counted = counted_part(charge.product)
    if counted is None:
        return None
    part, parts = counted
    return Verdict(Recurrence.INSTALMENT, None, 0.98, f"part {part} of {parts}, says the product text")


class _Group:
    """The charges of one currency while verdicts are found for them, the surest first."""

    def __init__(self, charges: list[Charge], hints: Hints) -> None:
        self.charges = charges
        self.hints = hints
        self.line = Timeline([(charge.day, charge.micros) for charge in charges])
        self.verdicts: list[Verdict | None] = [None] * len(charges)
        self.chains: list[Chain] = []

    def _free(self) -> list[int]:
        return [place for place, verdict in enumerate(self.verdicts) if verdict is None]

    def take_counted_parts(self) -> None:
        for place, charge in enumerate(self.charges):
            if charge.product is not None:
                self.verdicts[place] = _counted(charge)

    def take_orders(self) -> None:
        """Payments that share an order reference are one contract: look for its rhythm first."""
        orders: dict[str, list[int]] = {}
        for place in self._free():
            reference = self.charges[place].order_ref
            if reference:
                orders.setdefault(reference, []).append(place)
        for places in orders.values():
            if len(places) > 2:
                self._take(find_chains(self.line, places, one_payer=True, bonus=_SHARED_ORDER))

    def take_series(self) -> None:
        self._take(find_chains(self.line, self._free(), one_payer=True))

    def take_loose_parts(self) -> None:
        """Equal charges too few or too late to show a rhythm can still be parts of a price, if the facts say so."""
        if not (self.hints.full_prices or self.hints.endings or any(charge.order_ref for charge in self.charges)):
            return
        free = sorted(self._free(), key=lambda place: self.line.amounts[place])
        while free:
            low = self.line.amounts[free[0]]
            equal = [place for place in free if self.line.amounts[place] - low <= CENTS]
            free = free[len(equal) :]
            if 2 <= len(equal) <= 12:
                self._take_if_parts(sorted(equal))

    def take_what_belongs(self) -> None:
        for place in self._free():
            for chain in self.chains:
                if belongs_to(self.line, place, chain):
                    self.verdicts[place] = self.verdicts[chain.hits[0]]
                    break

    def take_equal_amounts(self) -> None:
        """Unnamed payers: only charges of one amount can be told to be one series, and only if most of them are."""
        amounts: dict[int, list[int]] = {}
        for place in self._free():
            amounts.setdefault(self.line.amounts[place], []).append(place)
        for places in amounts.values():
            if len(places) < 3 or in_bursts([self.line.days[place] for place in places]):
                continue
            if len(places) >= CROWD:
                self._take_crowd(places)
                continue
            chains = [
                chain
                for chain in find_chains(self.line, places, one_payer=False)
                if chain.rhythm in RENEWALS and chain.score > _SURE_OF_UNNAMED
            ]
            on_one_day = len(chains) > 1 and len({self.line.day_of_month[chain.hits[0]] for chain in chains}) == 1
            if not on_one_day and sum(len(chain.hits) for chain in chains) >= _MOST * len(places):
                for chain in chains:
                    self._take_recurring(chain)

    def _take(self, chains: list[Chain]) -> None:
        for chain in chains:
            odds, parts = parts_log_odds(self._series(chain.rhythm, chain.hits, chain.missed), self.hints)
            if len(chains) > 1 or self.line.amounts.count(self.line.amounts[chain.hits[-1]]) > len(chain.hits):
                odds -= _PLAN_GOES_ON
            if odds > 0:
                self._take_parts(chain.hits, chain.rhythm, odds, parts)
            else:
                self._take_recurring(chain)
            self.chains.append(chain)

    def _take_recurring(self, chain: Chain) -> None:
        since = self.charges[chain.hits[0]].day
        missed = f", {'one' if chain.missed == 1 else chain.missed} missed" if chain.missed else ""
        prices = len({self.line.amounts[hit] for hit in chain.hits})
        changed = ", amounts vary" if prices > 4 else ", price changed" if prices > 1 else ""
        reason = f"{chain.rhythm.name} since {since:%Y-%m}, {len(chain.hits)} charges{missed}{changed}"
        verdict = Verdict(Recurrence.RECURRING, chain.rhythm.interval, _probability(chain.score - BELIEVED), reason)
        for hit in chain.hits:
            self.verdicts[hit] = verdict

    def _take_parts(self, hits: list[int], rhythm: Rhythm, odds: float, parts: int) -> None:
        paid, last = len(hits), self.charges[hits[-1]].day
        equal = "equal parts" if len({self.line.amounts[hit] for hit in hits}) == 1 else "parts"
        if paid == parts:
            reason = f"{parts} {equal}, ended {last:%Y-%m}"
        else:
            reason = f"{paid} of {parts} {equal} so far, the last {last:%Y-%m}"
        verdict = Verdict(Recurrence.INSTALMENT, rhythm.interval, _probability(odds), reason)
        for hit in hits:
            self.verdicts[hit] = verdict

    def _take_if_parts(self, places: list[int]) -> None:
        days = [self.line.days[place] for place in places]
        for rhythm in _PART_RHYTHMS:
            delays = [day - days[0] - number * rhythm.days for number, day in enumerate(days)]
            late = rhythm.late if len(days) > 2 else min(rhythm.late, _LATE_PAIR)
            if -2 * rhythm.early <= min(delays) and max(delays) <= late:
                odds, parts = parts_log_odds(self._series(rhythm, places, 0), self.hints)
                if odds > _LOOSE:
                    self._take_parts(places, rhythm, odds - _LOOSE, parts)
                return

    def _take_crowd(self, places: list[int]) -> None:
        crowd = judge_crowd(self.line, places)
        if crowd is None:
            return
        rhythm, excess, linked = crowd
        since = self.charges[places[0]].day
        reason = f"{rhythm.name} since {since:%Y-%m}, among {len(linked)} equal charges of many payers"
        verdict = Verdict(Recurrence.RECURRING, rhythm.interval, round(excess, 2), reason)
        for place in linked:
            self.verdicts[place] = verdict

    def _series(self, rhythm: Rhythm, hits: list[int], missed: int) -> Series:
        last = self.line.days[hits[-1]]
        as_of = self.hints.as_of
        ended = as_of is not None and as_of.toordinal() >= last + silence(rhythm)
        references = {self.charges[hit].order_ref for hit in hits}
        shared = None if None in references else len(references) == 1
        return Series([self.line.amounts[hit] for hit in hits], missed, rhythm.days, ended, shared)

    def finish(self) -> list[Verdict]:
        """Everything without a verdict is one-off."""
        n = len(self.charges)
        if n == 1:
            reason = "a single charge"
        elif self.chains:
            reason = f"not one of the {self.chains[0].rhythm.name} charges"
        elif n == 2:
            reason = "2 charges; a rhythm shows from the third on"
        else:
            reason = f"{n} charges at irregular distances"
        one_off = Verdict(Recurrence.ONE_OFF, None, 0.7, reason)
        return [verdict or one_off for verdict in self.verdicts]


def _probability(log_odds: float) -> float:
    return round(min(0.99, 1 / (1 + exp(-log_odds)) if log_odds > -30 else 0.0), 2)
