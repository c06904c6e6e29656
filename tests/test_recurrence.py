"""What the recurrence inference promises: single histories, properties, and its score on labelled histories."""

import random
from collections.abc import Sequence
from datetime import date, timedelta
from time import perf_counter

import pytest
from dateutil.relativedelta import relativedelta
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.histories import TOO_YOUNG, crowd, histories
from benchmarks.recurrence import macro_f1, median_gap, ours
from tracker.records import Interval, Recurrence
from tracker.recurrence.charges import Charge, Hints, Verdict
from tracker.recurrence.infer import infer
from tracker.recurrence.parts import counted_part

RECURRING, ONE_OFF, INSTALMENT = Recurrence.RECURRING, Recurrence.ONE_OFF, Recurrence.INSTALMENT
AS_OF = Hints(as_of=date(2026, 6, 30))
UNNAMED = Hints(as_of=date(2026, 6, 30), payer_known=False)


def paid(amount: float, *days: date | str, **more: str) -> list[Charge]:
    """Charges of an amount in euros."""
    return [
        Charge(date.fromisoformat(day) if isinstance(day, str) else day, round(amount * 100) * 10_000, "EUR", **more)
        for day in days
    ]


def every(first: date, count: int, *, months: int = 0, days: int = 0) -> list[date]:
    return [first + relativedelta(months=months * number, days=days * number) for number in range(count)]


def kinds(verdicts: Sequence[Verdict]) -> list[Recurrence]:
    return [verdict.recurrence for verdict in verdicts]


MONTHLY = paid(9.99, *every(date(2025, 3, 5), 9, months=1))


def test_a_monthly_payment_is_recurring_and_says_since_when() -> None:
    verdicts = infer(MONTHLY, AS_OF)
    assert kinds(verdicts) == [RECURRING] * 9
    assert verdicts[0].interval == Interval("month")
    assert verdicts[0].reason == "monthly since 2025-03, 9 charges"
    assert verdicts[0].confidence > 0.9


@pytest.mark.parametrize(
    ("days", "interval"),
    [
        (every(date(2025, 1, 6), 6, days=7), Interval("week")),
        (every(date(2025, 1, 6), 6, days=14), Interval("week", 2)),
        (every(date(2025, 1, 6), 8, days=28), Interval("week", 4)),
        (every(date(2025, 1, 6), 8, months=1), Interval("month")),
        (every(date(2025, 1, 6), 5, months=2), Interval("month", 2)),
        (every(date(2025, 1, 6), 5, months=3), Interval("month", 3)),
        (every(date(2024, 1, 6), 5, months=6), Interval("month", 6)),
        (every(date(2023, 7, 6), 3, months=12), Interval("year")),
    ],
)
def test_each_interval_from_a_week_to_a_year_is_recognised(days: list[date], interval: Interval) -> None:
    verdicts = infer(paid(20, *days), AS_OF)
    assert kinds(verdicts) == [RECURRING] * len(days)
    assert {verdict.interval for verdict in verdicts} == {interval}


def test_the_last_day_of_each_month_is_one_billing_day() -> None:
    days = every(date(2025, 1, 31), 12, months=1)
    verdicts = infer(paid(10, *days), AS_OF)
    assert kinds(verdicts) == [RECURRING] * 12
    assert verdicts[0].interval == Interval("month")


def test_payments_due_on_weekends_may_come_on_monday() -> None:
    days = [
        day + timedelta(days=max(0, 7 - day.weekday()) % 7 if day.weekday() > 4 else 0)
        for day in every(date(2025, 1, 4), 9, months=1)
    ]
    assert kinds(infer(paid(10, *days), AS_OF)) == [RECURRING] * 9


def test_a_failed_payment_that_came_late_keeps_the_series() -> None:
    days = every(date(2025, 1, 10), 9, months=1)
    days[4] += timedelta(days=14)
    assert kinds(infer(paid(10, *days), AS_OF)) == [RECURRING] * 9


def test_a_missed_month_keeps_the_series_and_is_named() -> None:
    days = every(date(2025, 3, 5), 10, months=1)
    del days[4]
    verdicts = infer(paid(10, *days), AS_OF)
    assert kinds(verdicts) == [RECURRING] * 9
    assert verdicts[0].reason == "monthly since 2025-03, 9 charges, one missed"


def test_a_price_rise_keeps_the_series() -> None:
    days = every(date(2025, 3, 5), 12, months=1)
    verdicts = infer(paid(9, *days[:6]) + paid(11, *days[6:]), AS_OF)
    assert kinds(verdicts) == [RECURRING] * 12
    assert verdicts[0].reason == "monthly since 2025-03, 12 charges, price changed"


def test_amounts_converted_from_another_currency_keep_the_series() -> None:
    rates = [10.02, 9.95, 10.11, 10.2, 10.05, 9.9, 9.97]
    charges = [paid(rate, day)[0] for rate, day in zip(rates, every(date(2025, 3, 5), 7, months=1), strict=True)]
    assert kinds(infer(charges, AS_OF)) == [RECURRING] * 7


def test_a_pause_of_half_a_year_splits_nothing_off() -> None:
    days = [*every(date(2024, 3, 5), 6, months=1), *every(date(2025, 3, 19), 2, months=1)]
    assert kinds(infer(paid(10, *days), AS_OF)) == [RECURRING] * 8


def test_the_difference_charged_at_an_upgrade_belongs_to_the_subscription() -> None:
    days = every(date(2025, 1, 1), 10, months=1)
    # Upgrade from 10 to 30 on 16 April: half of the month at the difference of 20.
    charges = paid(10, *days[:4]) + paid(10, "2025-04-16") + paid(30, *days[4:])
    assert kinds(infer(charges, AS_OF)) == [RECURRING] * 11


def test_a_first_month_in_part_belongs_to_the_subscription() -> None:
    charges = paid(15, "2025-01-17") + paid(30, *every(date(2025, 2, 1), 6, months=1))
    assert kinds(infer(charges, AS_OF)) == [RECURRING] * 7


def test_two_subscriptions_of_one_payer_are_both_found() -> None:
    charges = paid(10, *every(date(2025, 1, 3), 8, months=1)) + paid(25, *every(date(2025, 1, 19), 8, months=1))
    assert kinds(infer(charges, AS_OF)) == [RECURRING] * 16


def test_purchases_beside_a_subscription_stay_one_off() -> None:
    verdicts = infer(MONTHLY + paid(149, "2025-04-11") + paid(37, "2025-09-30"), AS_OF)
    assert kinds(verdicts) == [RECURRING] * 9 + [ONE_OFF] * 2
    assert verdicts[-1].reason == "not one of the monthly charges"


def test_a_buyer_who_comes_back_irregularly_is_no_subscriber() -> None:
    charges = paid(29, "2025-01-04", "2025-01-30", "2025-04-22", "2025-05-03", "2025-09-14", "2025-10-29")
    assert kinds(infer(charges, AS_OF)) == [ONE_OFF] * 6


def test_a_buyer_who_comes_back_when_the_coffee_is_gone_is_no_subscriber() -> None:
    day, days = date(2025, 1, 8), []
    for gap in (0, 24, 37, 29, 41, 22, 35, 26):
        day += timedelta(days=gap)
        days.append(day)
    assert kinds(infer(paid(19, *days), AS_OF)) == [ONE_OFF] * 8


def test_a_single_charge_and_no_charge_are_judged_too() -> None:
    assert infer([]) == []
    assert kinds(infer(paid(10, "2025-01-01"))) == [ONE_OFF]


def test_a_refund_shares_the_verdict_of_what_it_takes_back() -> None:
    charges = MONTHLY + paid(49, "2025-05-20") + paid(-9.99, "2025-06-08") + paid(-49, "2025-06-09")
    verdicts = infer(charges, AS_OF)
    assert kinds(verdicts[-2:]) == [RECURRING, ONE_OFF]
    assert verdicts[-2].reason.startswith("takes back the charge of 2025-06-05: monthly since 2025-03")


def test_currencies_are_judged_apart() -> None:
    days = every(date(2025, 1, 5), 3, months=1)
    charges = [Charge(day, 10_000_000, currency) for day, currency in zip(days, ("EUR", "USD", "EUR"), strict=True)]
    assert kinds(infer(charges, AS_OF)) == [ONE_OFF] * 3


# Parts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Course (2/3)", (2, 3)),
        ("Rate 2 von 3", (2, 3)),
        ("payment 10 of 12", (10, 12)),
        ("Instalment 1/4", (1, 4)),
        ("2 of 6 payments", (2, 6)),
        ("24/7 support", None),
        ("Support (24/7)", None),
        ("Half marathon 1/2 plan", None),
        ("Course", None),
        ("", None),
        (None, None),
    ],
)
def test_a_product_text_that_counts_parts_is_read(text: str | None, expected: tuple[int, int] | None) -> None:
    assert counted_part(text) == expected


def test_a_counted_part_is_an_instalment_even_alone() -> None:
    verdicts = infer(paid(99, "2025-01-01", product="Course (1/3)"))
    assert kinds(verdicts) == [INSTALMENT]
    assert verdicts[0].reason == "part 1 of 3, says the product text"


THREE = every(date(2025, 1, 15), 3, months=1)


def test_equal_parts_of_a_known_price_are_instalments() -> None:
    verdicts = infer(paid(99, *THREE), Hints(as_of=date(2026, 6, 30), full_prices=(297_000_000,)))
    assert kinds(verdicts) == [INSTALMENT] * 3
    assert verdicts[0].reason == "3 equal parts, ended 2025-03"


def test_two_parts_of_a_known_price_are_instalments() -> None:
    hints = Hints(as_of=date(2026, 6, 30), full_prices=(198_000_000,))
    assert kinds(infer(paid(99, *THREE[:2]), hints)) == [INSTALMENT] * 2
    assert kinds(infer(paid(99, *THREE[:2]), AS_OF)) == [ONE_OFF] * 2


def test_a_first_part_that_carries_the_cents_tells_a_divided_price() -> None:
    assert kinds(infer(paid(33.34, THREE[0]) + paid(33.33, *THREE[1:]), AS_OF)) == [INSTALMENT] * 3


def test_a_product_whose_payers_all_stop_after_three_is_sold_in_parts() -> None:
    hints = Hints(as_of=date(2026, 6, 30), endings=(3, 3, 3, 2, 3))
    assert kinds(infer(paid(29, *THREE), hints)) == [INSTALMENT] * 3


def test_a_plan_that_others_keep_for_long_is_no_instalment() -> None:
    hints = Hints(as_of=date(2026, 6, 30), endings=(5, 14, 9, 3, 22))
    assert kinds(infer(paid(29, *THREE), hints)) == [RECURRING] * 3


def test_three_equal_payments_without_any_fact_are_a_cancelled_subscription() -> None:
    assert kinds(infer(paid(29, *THREE), AS_OF)) == [RECURRING] * 3


def test_a_running_subscription_does_not_turn_into_instalments_at_three_payments() -> None:
    assert kinds(infer(paid(29, *THREE), Hints(as_of=date(2025, 3, 20)))) == [RECURRING] * 3


def test_late_parts_under_one_order_are_instalments_when_they_add_up() -> None:
    charges = paid(199, "2025-01-15", "2025-03-05", "2025-03-17", order_ref="A1")
    hints = Hints(as_of=date(2026, 6, 30), full_prices=(597_000_000,))
    assert kinds(infer(charges, hints)) == [INSTALMENT] * 3


# Unnamed payers


def test_a_recurring_commission_is_found_among_other_commissions_of_a_program() -> None:
    rng = random.Random(5)
    others = [
        Charge(date(2025, 1, 1) + timedelta(days=rng.randrange(300)), rng.randrange(10**6, 10**8), "EUR")
        for _ in range(40)
    ]
    verdicts = infer(others + paid(6, *every(date(2025, 1, 12), 9, months=1)), UNNAMED)
    assert kinds(verdicts) == [ONE_OFF] * 40 + [RECURRING] * 9


def test_equal_commissions_at_random_days_stay_one_off() -> None:
    rng = random.Random(6)
    days = [date(2025, 1, 1) + timedelta(days=rng.randrange(500)) for _ in range(60)]
    assert kinds(infer(paid(15, *days), UNNAMED)) == [ONE_OFF] * 60


def test_a_crowd_of_subscribers_is_told_from_a_crowd_of_buyers() -> None:
    subscribers, buyers = crowd(11, 200, 100), crowd(12, 0, 3000)
    found = kinds(infer(subscribers.charges, subscribers.hints))
    assert sum(a == b for a, b in zip(found, subscribers.labels, strict=True)) > 0.9 * len(found)
    assert set(kinds(infer(buyers.charges, buyers.hints))) == {ONE_OFF}


def test_ten_thousand_charges_in_one_group_take_no_longer_than_in_many() -> None:
    rng = random.Random(8)
    charges = [
        Charge(date(2023, 7, 1) + timedelta(days=rng.randrange(1000)), rng.randrange(100) * 10**6, "EUR")
        for _ in range(10_000)
    ]
    for hints in (UNNAMED, AS_OF):
        begun = perf_counter()
        infer(charges, hints)
        assert perf_counter() - begun < 10


# Properties

CHARGES = st.lists(
    st.builds(
        Charge,
        day=st.dates(date(2023, 1, 1), date(2026, 6, 30)),
        micros=st.sampled_from([9_990_000, 10_000_000, 25_000_000, 99_000_000, -10_000_000]),
        currency=st.sampled_from(["EUR", "EUR", "EUR", "USD"]),
        product=st.sampled_from([None, None, "Course (1/3)"]),
        order_ref=st.sampled_from([None, None, "A", "B"]),
    ),
    max_size=14,
)
SERIES = st.builds(
    lambda first, count, step, late: [
        day + timedelta(days=shift)
        for day, shift in zip(every(first, count, months=step), late + [0] * count, strict=False)
    ],
    st.dates(date(2023, 1, 1), date(2024, 1, 31)),
    st.integers(1, 12),
    st.sampled_from([1, 3]),
    st.lists(st.integers(0, 5), max_size=12),
)
HINTS = st.builds(
    Hints,
    as_of=st.none() | st.just(date(2026, 6, 30)),
    payer_known=st.booleans(),
    full_prices=st.sampled_from([(), (297_000_000,), (99_900_000, 30_000_000)]),
    endings=st.sampled_from([(), (3, 3), (2, 9, 14)]),
)
GROUPS = CHARGES | st.builds(lambda days, others: paid(10, *days) + others, SERIES, CHARGES)


@given(GROUPS, HINTS, st.randoms(use_true_random=False))
def test_the_order_of_the_charges_does_not_matter(charges: list[Charge], hints: Hints, rng: random.Random) -> None:
    shuffled = charges.copy()
    rng.shuffle(shuffled)

    def told(group: list[Charge]) -> list[tuple[str, str]]:
        return sorted((repr(charge), repr(verdict)) for charge, verdict in zip(group, infer(group, hints), strict=True))

    assert told(charges) == told(shuffled)


@given(GROUPS, HINTS)
def test_the_same_charges_always_get_the_same_verdicts(charges: list[Charge], hints: Hints) -> None:
    first = infer(charges, hints)
    assert first == infer(charges, hints)
    assert len(first) == len(charges)
    assert all(0 <= verdict.confidence <= 1 and 0 < len(verdict.reason) < 200 for verdict in first)
    assert all((verdict.interval is not None) >= (verdict.recurrence is RECURRING) for verdict in first)


@given(GROUPS, HINTS)
def test_fewer_than_three_charges_are_never_recurring(charges: list[Charge], hints: Hints) -> None:
    assert RECURRING not in kinds(infer(charges[:2], hints))
    by_currency: dict[str, int] = {}
    for charge in charges:
        by_currency[charge.currency] = by_currency.get(charge.currency, 0) + (charge.micros >= 0)
    for charge, verdict in zip(charges, infer(charges, hints), strict=True):
        assert verdict.recurrence is not RECURRING or by_currency[charge.currency] >= 3


@settings(max_examples=300)
@given(GROUPS, HINTS, st.dates(date(2034, 1, 1), date(2039, 12, 31)))
def test_a_far_purchase_does_not_change_the_others(charges: list[Charge], hints: Hints, far: date) -> None:
    with_it = infer([*charges, Charge(far, 1_234_560_000, "EUR")], hints)
    assert with_it[-1].recurrence is ONE_OFF
    assert kinds(with_it[:-1]) == kinds(infer(charges, hints))


@given(GROUPS, HINTS, st.integers(-400, 400).map(lambda weeks: timedelta(days=7 * weeks)))
def test_days_at_the_edges_of_the_calendar_are_judged(charges: list[Charge], hints: Hints, shift: timedelta) -> None:
    edge = [Charge(date.max, 10_000_000, "EUR"), Charge(date.min, 10_000_000, "EUR")]
    moved = [Charge(charge.day + shift, charge.micros, charge.currency) for charge in charges]
    assert len(infer(moved + edge, hints)) == len(moved) + 2


# The score


def test_the_macro_f1_on_labelled_histories_stays_far_above_the_simple_rule() -> None:
    """Single groups with facts known for half of the products: less than the ledger knows."""
    groups = [group for seed in (201, 202) for group in histories(seed, 1500) if group.scenario != TOO_YOUNG]
    assert macro_f1(ours, groups) >= 0.93
    assert macro_f1(median_gap, groups) < 0.65


def test_the_same_seed_makes_the_same_histories() -> None:
    assert list(histories(3, 50)) == list(histories(3, 50))
    assert list(histories(3, 50)) != list(histories(4, 50))
