"""Labelled payment histories from a seed: the material on which the recurrence inference is judged.

Each history is one group as the ledger forms it, with a label per charge and the facts a ledger would have. The mix is
described in docs/recurrence.md. It holds on purpose what makes the question hard: subscriptions cancelled after as many
payments as instalments have, buyers who come back at nearly regular distances, facts that mislead.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from benchmarks.payments import AS_OF, ONE_OFF, RECURRING, Draft, Plan, first_day, subscribe
from benchmarks.scenarios import SCENARIOS
from tracker.records import Recurrence
from tracker.recurrence.charges import Charge, Hints

#: Subscriptions with one or two payments in view get this name: the product's own rule asks for three.
TOO_YOUNG = "seen once or twice"


@dataclass
class History:
    """One group: charges with their labels, in order of day, and what the ledger knows about the group."""

    scenario: str
    charges: list[Charge]
    labels: list[Recurrence]
    hints: Hints


def histories(seed: int, count: int) -> Iterator[History]:
    """`count` histories, the same for the same seed. A history that falls outside the three years is drawn again."""
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    names = list(SCENARIOS)
    weights = [weight for _, weight in SCENARIOS.values()]
    made = 0
    while made < count:
        name = rng.choices(names, weights)[0]
        draft = Draft(rng, rng, refs=rng.choices(["none", "payment", "contract"], [50, 30, 20])[0])
        SCENARIOS[name][0](draft)
        if draft.rows:
            made += 1
            yield _finished(name, draft)


def _finished(name: str, draft: Draft) -> History:
    """Take fees off in a quarter of the groups, refund a charge now and then, and sort."""
    rng = draft.rng
    percent, fixed = rng.choices([(0.0, 0), (0.029, 30), (0.10, 0)], [75, 15, 10])[0]

    def micros(cents: int) -> int:
        return max(1, cents - round(cents * percent) - fixed) * 10_000

    rows = [(Charge(day, micros(cents), "EUR", product, ref), label) for day, cents, label, ref, product in draft.rows]
    if name == "refunds between" or rng.random() < 0.03:
        for charge, label in rng.sample(rows, min(len(rows), rng.randint(1, 2))):
            back = charge.day + timedelta(days=rng.randint(1, 25))
            if back <= AS_OF:
                part = charge.micros if rng.random() < 0.8 else charge.micros * rng.randint(2, 8) // 10
                rows.append((replace(charge, day=back, micros=-part), label))
    rows.sort(key=lambda row: row[0].day)
    payments = sum(label is RECURRING and charge.micros > 0 for charge, label in rows)
    if 0 < payments < 3:
        name = TOO_YOUNG
    hints = Hints(
        as_of=AS_OF,
        payer_known=draft.payer_known,
        full_prices=tuple(micros(cents) for cents in draft.full_prices),
        endings=tuple(draft.endings),
    )
    return History(name, [charge for charge, _ in rows], [label for _, label in rows], hints)


def without_ledger(groups: list[History]) -> list[History]:
    """The same charges when the ledger knows nothing else of the product."""
    return [_with(group, group.charges, Hints(as_of=AS_OF, payer_known=group.hints.payer_known)) for group in groups]


def without_facts(groups: list[History]) -> list[History]:
    """The same days and amounts when the provider gives neither part numbers nor references, either."""
    return [
        _with(group, [replace(charge, product=None, order_ref=None) for charge in group.charges], group.hints)
        for group in without_ledger(groups)
    ]


def _with(group: History, charges: list[Charge], hints: Hints) -> History:
    return History(group.scenario, charges, group.labels, hints)


def crowd(seed: int, customers: int, sales: int) -> History:
    """One program with a single price and no payers: referred customers who renew monthly, and one-off sales."""
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    draft = Draft(rng, rng, payer_known=False)
    for _ in range(customers):
        subscribe(draft, Plan(months=1, churn=0.05), first_day(rng), lambda number: 900)
    for _ in range(sales):
        draft.add(first_day(rng), 900, ONE_OFF)
    return _finished("crowd", draft)
