"""What a subscription is worth a month and when it counts: worked examples that the billing tools publish."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.figures.histories import (
    ACTIVE,
    AT_CANCELLATION,
    AUGUST,
    CANCELED,
    JANUARY,
    JULY,
    JUNE,
    SIMPLE,
    TRIALING,
    balance,
    cents,
    contract,
    day,
    ended,
    moved,
    period,
    state,
    these,
    worth,
)
from tracker.errors import DataError
from tracker.figures.contracts import DEFAULT, PRESETS, Delinquent, Discounts, Policy, State
from tracker.figures.mrr import lifetime_value, rounded
from tracker.records import Interval, Subscription, SubscriptionStatus

# One price, one month.


@pytest.mark.parametrize(
    ("price", "every", "monthly"),
    [
        ("8", "month", "8"),
        ("120", "year", "10"),
        ("2", "day", "60"),
        ("5", "3 days", "50"),
        ("3", "week", "12"),
        ("6", "2 weeks", "12"),
        ("9", "4 weeks", "9"),
        ("20", "2 months", "10"),
        ("30", "3 months", "10"),
        ("60", "6 months", "10"),
    ],
)
def test_the_simple_rule_gives_the_table_of_revenuecat(price: str, every: str, monthly: str) -> None:
    assert worth(state(price, every), policy=SIMPLE) == Decimal(monthly)


@pytest.mark.parametrize(
    ("price", "every", "monthly"),
    [
        ("12", "week", "52"),
        ("12", "day", "365"),
        ("12", "2 weeks", "26"),
        ("12", "4 weeks", "13"),
        ("12", "365 days", "1"),
        ("24", "2 years", "1"),
        ("1200", "year", "100"),
        ("3", "week", "13"),
    ],
)
def test_the_calendar_rule_is_the_default_and_knows_52_weeks_and_365_days(price: str, every: str, monthly: str) -> None:
    assert worth(state(price, every)) == Decimal(monthly)


@pytest.mark.parametrize(
    ("price", "every", "discount", "monthly"),
    [
        ("50.00", "year", "0", "4.16"),
        ("50.00", "year", "15.00", "2.91"),
        ("3.00", "week", "0", "12.00"),
        ("1.00", "day", "0", "30.00"),
    ],
)
def test_the_ghost_preset_floors_to_minor_units(price: str, every: str, discount: str, monthly: str) -> None:
    assert worth(state(price, every, discount_forever=Decimal(discount)), policy=PRESETS["ghost"]) == Decimal(monthly)


def test_flooring_knows_currencies_without_a_minor_unit() -> None:
    yen = contract("s", state("5000", "year", currency="JPY"))
    assert balance([yen], policy=PRESETS["ghost"]).by_currency == {"JPY": 416}
    assert balance([yen], policy=PRESETS["chartmogul"]).by_currency == {"JPY": 417}


def test_a_third_of_a_cent_is_not_lost_before_the_sum() -> None:
    total = balance([contract(str(n), state("100", "year")) for n in range(12)]).total
    assert total == Decimal("99.999999999996")  # twelve times 8.333333333333
    assert rounded(total, "EUR") == 100
    by_line = balance([contract(str(n), state("100", "year")) for n in range(12)], policy=PRESETS["chartmogul"])
    assert by_line.total == Decimal("99.96")


@pytest.mark.parametrize("bad", [Interval("fortnight"), Interval("month", 0)])
def test_an_interval_that_is_none_is_refused_by_name(bad: Interval) -> None:
    with pytest.raises(DataError, match="interval"):
        worth(replace(state("10"), interval=bad))


# What counts.


def test_the_stripe_glossary_sums_to_12500_and_83_33_a_customer() -> None:
    monthly = [contract(f"m{n}", state("100")) for n in range(100)]
    yearly = [contract(f"y{n}", state("600", "year")) for n in range(50)]
    mrr = balance(monthly + yearly)
    assert these(mrr.total, mrr.customers, mrr.contracts) == (12500, 150, 150)
    assert mrr.arr == 150000
    assert cents(mrr.arpa) == Decimal("83.33")
    assert cents(lifetime_value(mrr.arpa, Decimal("0.05"))) == Decimal("1666.67")


def test_tax_inside_a_price_is_no_revenue() -> None:
    assert worth(state("11.90", tax_rate=Decimal("0.19"))) == 10
    assert worth(state("12000", "year", tax_rate=Decimal("0.2")), policy=PRESETS["chartmogul"]) == Decimal("833.33")


def test_usage_on_top_of_a_plan_is_not_counted_but_mentioned() -> None:
    usage_heavy = contract("heavy", state("49", metered=True))
    gone = contract("gone", state("9", metered=True, ended_at=day(2026, 5, 1)))
    mrr = balance([usage_heavy, gone, contract("plain", state("1"))])
    assert these(mrr.total, mrr.metered) == (50, 1)


@pytest.mark.parametrize(
    ("status", "counting"),
    [
        (SubscriptionStatus.ACTIVE, set(Delinquent)),
        (SubscriptionStatus.PAST_DUE, {Delinquent.PAST_DUE, Delinquent.UNPAID}),
        (SubscriptionStatus.UNPAID, {Delinquent.UNPAID}),
        (SubscriptionStatus.INCOMPLETE, set()),
        (SubscriptionStatus.TRIALING, set()),
        (SubscriptionStatus.PAUSED, set()),
        (SubscriptionStatus.CANCELED, set()),
        (SubscriptionStatus.EXPIRED, set()),
    ],
)
def test_the_status_decides_together_with_the_patience_for_late_payers(
    status: SubscriptionStatus, counting: set[Delinquent]
) -> None:
    assert {d for d in Delinquent if worth(state("10", status=status), policy=Policy(delinquent=d))} == counting


def test_a_late_payer_counts_by_default_until_the_claim_is_given_up() -> None:
    late = replace(state("10"), since=JUNE, status=SubscriptionStatus.PAST_DUE)
    given_up = replace(late, since=JULY, status=SubscriptionStatus.UNPAID)
    history = contract("s", state("10"), late, given_up)
    assert moved(period([history])) == {}
    assert moved(period([history], JULY, AUGUST)) == {"churn": Decimal("10.00")}


def test_a_half_price_first_month_separates_four_policies() -> None:
    first = state("20", since=JUNE, discount_limited=Decimal("10"), discount_ends_at=JULY)
    forever = state("20", since=JUNE, discount_forever=Decimal("5"))
    one, later = [contract("s", first)], day(2026, 7, 2)
    paddle = Policy(discounts=Discounts.NONE)
    at_first = {
        name: balance(one, day(2026, 6, 15), policy).total for name, policy in {**PRESETS, "paddle": paddle}.items()
    }
    assert at_first == {"default": 20, "stripe": 20, "ghost": 20, "paddle": 20, "chartmogul": 10, "profitwell": 10}
    for name in ("chartmogul", "profitwell"):
        assert balance(one, later, PRESETS[name]).total == 20
        assert moved(period(one, JULY, AUGUST, PRESETS[name])) == {"expansion": Decimal("10.00")}
    assert [worth(forever, policy=policy) for policy in (DEFAULT, PRESETS["profitwell"], paddle)] == [15, 15, 20]


def test_a_discount_that_had_run_out_before_or_outlives_the_contract_changes_nothing() -> None:
    stale = state("20", discount_limited=Decimal("10"), discount_ends_at=day(2025, 12, 1))
    assert worth(stale, policy=PRESETS["chartmogul"]) == 20
    outlived = state("20", discount_limited=Decimal("10"), discount_ends_at=AUGUST, ended_at=day(2026, 6, 9))
    month = period([contract("s", outlived)], policy=PRESETS["chartmogul"])
    assert these(moved(month), month.end) == ({"churn": 10}, 0)


def test_a_discount_larger_than_the_price_leaves_nothing_to_count() -> None:
    mrr = balance([contract("s", state("10", discount_forever=Decimal("12"))), contract("free", state("0"))])
    assert these(mrr.total, mrr.customers, mrr.contracts, mrr.arpa) == (0, 0, 0, None)


def test_a_trial_is_new_at_its_first_payment_however_late_the_sync_saw_it() -> None:
    trial = state("15", since=day(2026, 5, 20), status=TRIALING, trial_end_at=day(2026, 6, 30))
    paid = replace(trial, since=day(2026, 7, 2), status=ACTIVE)
    assert worth(trial, at=day(2026, 7, 1)) == 0
    assert moved(period([contract("s", trial, paid)])) == {"new": Decimal("15.00")}


def test_a_subscription_first_seen_today_counts_from_its_start_but_not_in_its_trial() -> None:
    seen = state("15", since=day(2026, 1, 1), trial_end_at=day(2026, 1, 15))
    assert worth(seen, at=day(2026, 1, 14)) == 0
    assert worth(seen, at=day(2026, 1, 15)) == 15


def test_an_upgrade_is_dated_when_it_was_seen_and_not_at_the_end_of_a_trial_long_ago() -> None:
    before, after = (
        state(amount, since=since, trial_end_at=day(2026, 1, 15))
        for amount, since in (("10", JANUARY), ("20", day(2026, 6, 9)))
    )
    assert moved(period([contract("s", before, after)])) == {"expansion": 10}


def test_a_trial_granted_to_someone_who_paid_interrupts_the_count() -> None:
    paying = state("15")
    granted = replace(paying, since=JUNE, trial_end_at=day(2026, 6, 20))
    assert [balance([contract("s", paying, granted)], at).total for at in (day(2026, 5, 31), JUNE, JULY)] == [15, 0, 15]


def test_a_subscription_first_seen_after_its_end_still_counts_while_it_ran() -> None:
    seen = state("15", status=CANCELED, cancel_requested_at=day(2026, 3, 1), ended_at=day(2026, 4, 1))
    for policy, last in ((DEFAULT, day(2026, 4, 1)), (AT_CANCELLATION, day(2026, 3, 1))):
        assert worth(seen, last - timedelta(seconds=1), policy) == 15
        assert worth(seen, last, policy) == 0


def test_an_end_that_the_sync_saw_late_is_dated_when_it_happened() -> None:
    running = state("15")
    seen_later = replace(running, since=day(2026, 7, 3), status=CANCELED, ended_at=day(2026, 6, 30))
    history = [contract("s", running, seen_later)]
    assert moved(period(history)) == {"churn": Decimal("15.00")}
    assert moved(period(history, JULY, AUGUST)) == {}


@pytest.mark.parametrize(
    ("policy", "churned_in"),
    [(DEFAULT, JULY), (AT_CANCELLATION, JUNE), (PRESETS["stripe"], JUNE), (PRESETS["ghost"], JUNE)],
)
@pytest.mark.parametrize("requested", [day(2026, 6, 10), None])
def test_a_cancellation_at_period_end_churns_when_the_policy_says(
    policy: Policy, churned_in: datetime, requested: datetime | None
) -> None:
    running = state("12")
    leaving = replace(
        running,
        since=day(2026, 6, 10),
        cancel_at_period_end=True,
        cancel_requested_at=requested,
        current_period_end=day(2026, 7, 20),
    )
    for history in ([running, leaving], [running, leaving, ended(leaving, day(2026, 7, 20))]):
        months = {
            since: period([contract("s", *history)], since, until, policy)
            for since, until in ((JUNE, JULY), (JULY, AUGUST))
        }
        assert {since for since, month in months.items() if month.churn == 12} == {churned_in}
        assert sum(month.churn for month in months.values()) == 12


def test_a_cancellation_taken_back_before_the_end_is_no_churn_even_when_seen_late() -> None:
    leaving = state("12", cancel_at_period_end=True, current_period_end=day(2026, 6, 20))
    back = state("12", since=day(2026, 6, 25))
    assert moved(period([contract("s", leaving, back)])) == {}


def test_a_cancellation_that_came_true_is_dated_at_the_end_of_the_paid_period() -> None:
    leaving = state("12", cancel_at_period_end=True, current_period_end=day(2026, 6, 20))
    over = replace(state("12"), since=day(2026, 6, 25), status=CANCELED)
    history = [contract("s", leaving, over)]
    assert [balance(history, day(2026, 6, number)).total for number in (19, 20, 24, 26)] == [12, 0, 0, 0]


def test_one_that_is_cancelled_without_a_known_end_stops_when_it_was_seen() -> None:
    seen = replace(state("12"), since=day(2026, 6, 5), status=CANCELED)
    month = period([contract("s", state("12"), seen)])
    assert these(month.start, month.churn, month.end) == (12, 12, 0)


def test_pausing_is_churn_and_resuming_a_return() -> None:
    paused = replace(state("12"), since=JUNE, status=SubscriptionStatus.PAUSED)
    history = [contract("s", state("12"), paused, state("12", since=JULY))]
    assert moved(period(history)) == {"churn": 12}
    assert moved(period(history, JULY, AUGUST)) == {"reactivation": 12}


# Records.


def test_a_record_becomes_a_state_from_its_start_or_from_when_it_was_seen() -> None:
    record = Subscription(
        external_id="sub_1",
        status=ACTIVE,
        currency="EUR",
        amount=Decimal("120"),
        interval=Interval("year"),
        started_at=day(2025, 3, 1),
        payer="p",
        discount_forever=Decimal("12"),
        discount_limited=Decimal("6"),
        discount_ends_at=day(2026, 3, 1),
        metered=True,
        trial_end_at=day(2025, 3, 15),
        current_period_end=day(2027, 3, 1),
        cancel_requested_at=day(2026, 5, 1),
        cancel_at_period_end=True,
        ended_at=day(2026, 12, 1),
    )
    seen = State.of(record)
    assert seen.since == day(2025, 3, 1)
    assert State.of(record, JUNE) == replace(seen, since=JUNE)
    for name in set(State.__dataclass_fields__) - {"since", "tax_rate"}:
        assert getattr(seen, name) == getattr(record, name), name
    assert worth(seen) == 9
