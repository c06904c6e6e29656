"""How well the recurrence inference does on labelled histories, beside a simple rule, and how fast it is.

Run: `.venv/bin/python benchmarks/recurrence.py [--seeds 301,302] [--groups 2000]`. Development used the seeds 1 to 3.
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.histories import TOO_YOUNG, History, crowd, histories, without_facts, without_ledger
from benchmarks.payments import AS_OF
from tracker.records import Recurrence
from tracker.recurrence.charges import Charge, Hints
from tracker.recurrence.infer import infer

CLASSES = (Recurrence.RECURRING, Recurrence.ONE_OFF, Recurrence.INSTALMENT)
_PERIODS = ((7, 1), (14, 2), (28, 2), (30.4, 3), (61, 5), (91, 7), (182, 10), (365, 15))

Judge = Callable[[Sequence[Charge], Hints], list[Recurrence]]


def ours(charges: Sequence[Charge], hints: Hints) -> list[Recurrence]:
    return [verdict.recurrence for verdict in infer(charges, hints)]


def median_gap(charges: Sequence[Charge], hints: Hints) -> list[Recurrence]:
    """The usual rule: three charges whose median distance is near a known period are a subscription."""
    days = sorted(charge.day.toordinal() for charge in charges if charge.micros > 0)
    gaps = [later - earlier for earlier, later in pairwise(days)]
    regular = len(gaps) >= 2 and any(abs(median(gaps) - period) <= slack for period, slack in _PERIODS)
    return [Recurrence.RECURRING if regular else Recurrence.ONE_OFF] * len(charges)


def median_gap_and_parts(charges: Sequence[Charge], hints: Hints) -> list[Recurrence]:
    """The same, with equal charges that ended after a usual number of parts called instalments."""
    plain = median_gap(charges, hints)
    amounts = {charge.micros for charge in charges}
    quiet = (AS_OF - max(charge.day for charge in charges)).days > 60
    if plain[0] is Recurrence.RECURRING and len(amounts) == 1 and quiet and len(charges) in (3, 4, 6, 10, 12):
        return [Recurrence.INSTALMENT] * len(charges)
    return plain


def f1_scores(pairs: Iterable[tuple[Recurrence, Recurrence]]) -> dict[Recurrence, float]:
    """F1 per class from (truth, verdict) pairs, one pair per charge."""
    counts = Counter(pairs)
    scores = {}
    for label in CLASSES:
        hit = counts[label, label]
        wrong = sum(n for (truth, verdict), n in counts.items() if (truth == label) != (verdict == label))
        scores[label] = 2 * hit / (2 * hit + wrong) if hit else 0.0
    return scores


def judged(judge: Judge, groups: Iterable[History]) -> dict[str, list[tuple[Recurrence, Recurrence]]]:
    """(truth, verdict) per charge, by scenario."""
    pairs: dict[str, list[tuple[Recurrence, Recurrence]]] = defaultdict(list)
    for group in groups:
        pairs[group.scenario].extend(zip(group.labels, judge(group.charges, group.hints), strict=True))
    return pairs


def macro_f1(judge: Judge, groups: Iterable[History]) -> float:
    pairs = [pair for rows in judged(judge, groups).values() for pair in rows]
    return sum(f1_scores(pairs).values()) / len(CLASSES)


def print_scores(title: str, judge: Judge, groups: Iterable[History]) -> None:
    scores = f1_scores(pair for found in judged(judge, groups).values() for pair in found)
    cells = "".join(f"{scores[label]:>{width}.3f}" for label, width in zip(CLASSES, (10, 10, 12), strict=True))
    print(f"{title:46}{cells}{sum(scores.values()) / len(CLASSES):>10.3f}")


def confusion(by_scenario: Mapping[str, Sequence[tuple[Recurrence, Recurrence]]]) -> None:
    """Print what was taken for what."""
    letters = {label: label.value[0].upper() for label in CLASSES}
    for scenario, found in sorted(by_scenario.items()):
        counts = Counter(found)
        right = sum(n for (truth, verdict), n in counts.items() if truth == verdict)
        wrong = ", ".join(
            f"{letters[truth]}>{letters[verdict]} {n}"
            for (truth, verdict), n in counts.most_common()
            if truth != verdict
        )
        print(f"  {scenario:28}{len(found):>7} charges {right / len(found):>7.1%} right  {wrong}")


def seconds(groups: Iterable[History]) -> float:
    begun = perf_counter()
    for group in groups:
        infer(group.charges, group.hints)
    return perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="301,302,303,304,305", help="held-out seeds, separated by commas")
    parser.add_argument("--groups", type=int, default=2000, help="histories per seed")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    everything = [group for seed in seeds for group in histories(seed, options.groups)]
    groups = [group for group in everything if group.scenario != TOO_YOUNG]
    total = sum(len(group.charges) for group in everything)
    print(f"{total} charges in {len(everything)} groups, seeds {options.seeds}\n")

    print(f"{'':46}{'recurring':>10}{'one-off':>10}{'instalment':>12}{'macro F1':>10}")
    print_scores("median gap", median_gap, groups)
    print_scores("median gap, equal parts", median_gap_and_parts, groups)
    print_scores("inference", ours, groups)
    for number, seed in enumerate(seeds):
        of_seed = everything[number * options.groups : (number + 1) * options.groups]
        print_scores(f"  seed {seed}", ours, [group for group in of_seed if group.scenario != TOO_YOUNG])
    print_scores("with subscriptions seen once or twice", ours, everything)
    half = [group for pair in zip(groups[::2], without_ledger(groups)[1::2], strict=False) for group in pair]
    print_scores("what the ledger knows, for every second group", ours, half)
    print_scores("without what the ledger knows", ours, without_ledger(groups))
    print_scores("days and amounts only", ours, without_facts(groups))

    print("\nConfusion by scenario, truth>verdict (R recurring, O one-off, I instalment)")
    confusion(judged(ours, everything))

    took = seconds(everything)
    print(f"\n{total / took:,.0f} charges/s on one core ({total / len(everything):.1f} per group)")
    for customers, sales in ((850, 500), (60, 9000)):
        mixed = crowd(seeds[0], customers, sales)
        found = Counter(judged(ours, [mixed])["crowd"])
        right = sum(n for (truth, verdict), n in found.items() if truth == verdict) / len(mixed.charges)
        recurring = mixed.labels.count(Recurrence.RECURRING) / len(mixed.charges)
        print(
            f"one program, {len(mixed.charges)} equal charges without payers, {recurring:.0%} recurring: "
            f"{right:.1%} right in {seconds([mixed]):.2f} s"
        )


if __name__ == "__main__":
    main()
