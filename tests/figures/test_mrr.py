"""MRR, its movements and rates: worked examples that the billing tools publish, then properties of random histories."""

import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.errors import DataError
from tracker.figures.mrr import (
    DEFAULT,
    PRESETS,
    Brief,
    Cancellation,
    Contract,
    Delinquent,
    Discounts,
    Flow,
    IntervalRule,
    Move,
    Movements,
    Mrr,
    Policy,
    Rounding,
    State,
    growth,
    lifetime_value,
    movements,
    mrr_at,
    rounded,
    summed_daily_churn,
)
from tracker.records import Interval, Subscription, SubscriptionStatus

ACTIVE, CANCELED, TRIALING = SubscriptionStatus.ACTIVE, SubscriptionStatus.CANCELED, SubscriptionStatus.TRIALING
SIMPLE = Policy(interval=IntervalRule.SIMPLE)
AT_CANCELLATION = Policy(cancellation=Cancellation.AT_CANCELLATION)


def day(year: int, month: int, number: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, number, hour, minute, tzinfo=UTC)


JANUARY, JUNE, JULY, AUGUST = (day(2026, month, 1) for month in (1, 6, 7, 8))


def no_rate(currency: str, on: date) -> Decimal | None:
    return None


def state(amount: str, every: str = "month", since: datetime = JANUARY, **more: object) -> State:
    known: dict[str, object] = {"status": ACTIVE, "currency": "EUR", **more}
    return State(since=since, amount=Decimal(amount), interval=Interval.parse(every), **known)  # type: ignore[arg-type]


def ended(was: State, at: datetime) -> State:
    return replace(was, since=at, status=CANCELED, ended_at=at)


def contract(name: str, *states: State, payer: str | None = "") -> Contract:
    return Contract(name, name if payer == "" else payer, states)


def balance(contracts: Iterable[Contract], at: datetime = JUNE, policy: Policy = DEFAULT) -> Mrr:
    return mrr_at(contracts, at, currency="EUR", rate=no_rate, policy=policy)


def worth(one: State, at: datetime = JUNE, policy: Policy = DEFAULT) -> Decimal:
    return balance([contract("s", one)], at, policy).total


def period(
    contracts: Iterable[Contract], since: datetime = JUNE, until: datetime = JULY, policy: Policy = DEFAULT
) -> Movements:
    return movements(contracts, since, until, currency="EUR", rate=no_rate, policy=policy)


def cents(amount: Decimal | None) -> Decimal | None:
    return None if amount is None else rounded(amount, "EUR")


def these(*figures: object) -> tuple[object, ...]:
    """Figures side by side; Decimals equal whole numbers, which the type checker would not have."""
    return figures


def moved(flow: Flow) -> dict[str, Decimal]:
    """The movements of a flow that are not zero, in cents."""
    names = ("new", "expansion", "contraction", "churn", "reactivation", "fx")
    return {name: rounded(getattr(flow, name), "EUR") for name in names if getattr(flow, name)}


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


# Movements.


def syncalytics() -> list[Contract]:
    """The worked customer of help.chartmogul.com: four yearly Gold, two monthly Silver, gone, back with three Gold."""
    gold = state("2000", "year", since=day(2025, 1, 10))
    silver = state("60", since=day(2025, 1, 14))
    leaving = replace(
        gold,
        since=day(2025, 9, 1),
        cancel_at_period_end=True,
        current_period_end=day(2026, 1, 10),
        cancel_requested_at=day(2025, 9, 1),
    )
    return [
        contract("gold", gold, leaving, ended(leaving, day(2026, 1, 10)), payer="syncalytics"),
        contract("silver", silver, ended(silver, day(2025, 1, 28)), payer="syncalytics"),
        contract("again", state("150", since=day(2026, 3, 5)), payer="syncalytics"),
    ]


@pytest.mark.parametrize(
    ("since", "until", "expected", "end"),
    [
        (day(2025, 1, 10), day(2025, 1, 11), {"new": "166.67"}, "166.67"),
        (day(2025, 1, 14), day(2025, 1, 15), {"expansion": "60.00"}, "226.67"),
        (day(2025, 1, 28), day(2025, 1, 29), {"contraction": "60.00"}, "166.67"),
        (day(2025, 9, 1), day(2025, 10, 1), {}, "166.67"),
        (day(2026, 1, 1), day(2026, 2, 1), {"churn": "166.67"}, "0.00"),
        (day(2026, 3, 1), day(2026, 4, 1), {"reactivation": "150.00"}, "150.00"),
    ],
)
def test_syncalytics_moves_as_chartmogul_describes(
    since: datetime, until: datetime, expected: dict[str, str], end: str
) -> None:
    month = period(syncalytics(), since, until)
    assert moved(month) == {name: Decimal(value) for name, value in expected.items()}
    assert cents(month.end) == Decimal(end)


def test_syncalytics_churns_in_september_when_cancellation_counts_at_once() -> None:
    month = period(syncalytics(), day(2025, 9, 1), day(2025, 10, 1), AT_CANCELLATION)
    assert moved(month) == {"churn": Decimal("166.67")}


def larger_case() -> list[Contract]:
    trial = state("15", since=day(2026, 5, 25), status=TRIALING, trial_end_at=day(2026, 6, 8))
    old = state("25", since=day(2025, 1, 1))
    return [
        contract("A", state("20"), state("50", since=day(2026, 6, 3))),
        contract("B", state("120", "year", since=day(2025, 6, 20), ended_at=day(2026, 6, 20), status=CANCELED)),
        contract("C", state("30"), state("10", since=day(2026, 6, 12))),
        contract("D", trial, replace(trial, since=day(2026, 6, 8), status=ACTIVE)),
        contract("E-old", old, ended(old, day(2025, 8, 1)), payer="E"),
        contract("E-new", state("25", since=day(2026, 6, 25)), payer="E"),
    ]


def test_a_whole_month_of_six_customers_adds_up() -> None:
    month = period(larger_case())
    assert these(month.start, month.end) == (60, 100)
    assert moved(month) == {"new": 15, "expansion": 30, "contraction": 20, "churn": 10, "reactivation": 25}
    assert {row.customer: set(row.moves) for row in month.customers} == {
        "A": {Move.EXPANSION},
        "B": {Move.CHURN},
        "C": {Move.CONTRACTION},
        "D": {Move.NEW},
        "E": {Move.REACTIVATION},
    }
    assert (month.customers_at_start, month.customers_at_end) == (3, 4)
    assert balance(larger_case(), JULY).arpa == 25


def test_the_rates_of_that_month() -> None:
    month = period(larger_case())
    percent = {
        "logo": month.logo_churn,
        "stripe": month.subscriber_churn,
        "gross": month.gross_churn,
        "net": month.net_churn,
        "nrr": month.net_retention(),
        "nrr without returns": month.net_retention(with_reactivation=False),
        "grr": month.gross_retention,
    }
    assert {name: cents(value * 100) for name, value in percent.items() if value is not None} == {
        "logo": Decimal("33.33"),
        "stripe": Decimal("25.00"),
        "gross": Decimal("50.00"),
        "net": Decimal("-41.67"),
        "nrr": Decimal("141.67"),
        "nrr without returns": Decimal("100.00"),
        "grr": Decimal("50.00"),
    }


def test_chartmogul_churn_example_is_20_percent_gross_and_10_net() -> None:
    month = period(
        [
            contract("leaves", state("10", ended_at=day(2026, 6, 9))),
            contract("shrinks", state("30"), state("20", since=day(2026, 6, 10))),
            contract("grows", state("60"), state("70", since=day(2026, 6, 11))),
        ]
    )
    assert month.start == 100
    assert (month.gross_churn, month.net_churn) == (Decimal("0.2"), Decimal("0.1"))
    assert (month.gross_retention, month.net_retention()) == (Decimal("0.8"), Decimal("0.9"))


def test_ten_of_a_hundred_leaving_while_thirty_join_is_10_percent_or_stripes_7_69() -> None:
    month = period(
        [contract(f"stays{n}", state("10")) for n in range(90)]
        + [contract(f"leaves{n}", state("10", ended_at=day(2026, 6, 15))) for n in range(10)]
        + [contract(f"joins{n}", state("10", since=day(2026, 6, 20))) for n in range(30)]
    )
    assert month.logo_churn == Decimal("0.1")
    assert month.subscriber_churn is not None
    assert round(month.subscriber_churn * 100, 2) == Decimal("7.69")


def test_daily_churn_rates_are_summed_over_the_period() -> None:
    contracts = [
        contract("stays", state("90")),
        contract("first", state("5", ended_at=day(2026, 6, 1, 12))),
        contract("third", state("5", ended_at=day(2026, 6, 3, 12))),
    ]
    days = [period(contracts, day(2026, 6, n), day(2026, 6, n + 1)) for n in (1, 2, 3)]
    assert summed_daily_churn(days[:1]) == Decimal("0.05")
    summed = summed_daily_churn(days)
    assert summed is not None
    assert round(summed, 6) == Decimal("0.102632")  # 5/100 + 0 + 5/95
    assert summed_daily_churn([period([])]) is None


def test_what_is_undefined_is_none_and_never_zero() -> None:
    nothing = period([])
    assert these(nothing.start, nothing.end, nothing.customers) == (0, 0, ())
    rates = [nothing.gross_churn, nothing.net_churn, nothing.logo_churn, nothing.subscriber_churn]
    assert [*rates, nothing.gross_retention, nothing.net_retention()] == [None] * 6
    assert lifetime_value(Decimal("83.33"), Decimal(0)) is None
    assert lifetime_value(None, Decimal("0.05")) is None
    assert lifetime_value(Decimal("83.33"), None) is None
    assert growth(Decimal(5), Decimal(0)) is None
    assert growth(Decimal(110), Decimal(100)) == Decimal("0.1")
    first_month = period([contract("s", state("10", since=day(2026, 6, 9)))])
    assert these(first_month.gross_churn, first_month.subscriber_churn) == (None, 0)


def test_one_of_two_subscriptions_cancelled_is_contraction_of_one_customer() -> None:
    two = [
        contract("a", state("10"), payer="p"),
        contract("b", state("5", ended_at=day(2026, 6, 9)), payer="p"),
    ]
    assert moved(period(two)) == {"contraction": 5}
    apart = [replace(one, payer=None) for one in two]
    assert moved(period(apart)) == {"churn": 5}


def test_a_subscription_without_a_payer_is_never_merged_with_a_payer_of_that_name() -> None:
    contracts = [contract("x", state("10"), payer=None), contract("y", state("5", since=day(2026, 6, 9)), payer="x")]
    assert moved(period(contracts)) == {"new": 5}
    assert balance(contracts, JULY).customers == 2


def test_a_plan_swapped_within_the_hour_is_an_upgrade() -> None:
    at = day(2026, 6, 9, 10)
    swap = [
        contract("old", state("10", ended_at=at), payer="p"),
        contract("new", state("25", since=at + timedelta(minutes=20)), payer="p"),
    ]
    assert moved(period(swap)) == {"expansion": 15}
    assert moved(period(swap, policy=Policy(merge_within=timedelta(0)))) == {"churn": 10, "reactivation": 25}


def test_two_subscriptions_bought_together_are_one_new_customer() -> None:
    at = day(2026, 6, 9, 10)
    both = [
        contract("a", state("10", since=at), payer="p"),
        contract("b", state("5", since=at + timedelta(minutes=60)), payer="p"),
        contract("c", state("1", since=at + timedelta(minutes=61)), payer="p"),
    ]
    assert moved(period(both)) == {"new": 15, "expansion": 1}


def test_a_customer_of_a_fortnight_is_counted_twice_or_dropped_by_policy() -> None:
    short = [contract("s", state("10", since=day(2026, 6, 5), ended_at=day(2026, 6, 19)))]
    month = period(short)
    assert moved(month) == {"new": 10, "churn": 10}
    assert these(month.logo_churn, month.subscriber_churn) == (None, 1)
    assert moved(period(short, policy=Policy(brief=Brief.DROP))) == {}
    assert PRESETS["profitwell"].brief is Brief.DROP
    longer = [contract("s", state("10", since=day(2026, 6, 5), ended_at=day(2026, 7, 5)))]
    assert moved(period(longer, policy=PRESETS["profitwell"])) == {"new": 10}


def test_coming_leaving_and_coming_back_in_one_month_are_three_movements() -> None:
    visits = [
        contract("a", state("10", since=day(2026, 6, 5), ended_at=day(2026, 6, 9)), payer="p"),
        contract("b", state("12", since=day(2026, 6, 20)), payer="p"),
    ]
    assert moved(period(visits)) == {"new": 10, "churn": 10, "reactivation": 12}


def test_a_movement_at_midnight_belongs_to_the_month_that_begins() -> None:
    joins = [contract("s", state("10", since=JULY))]
    assert moved(period(joins)) == {}
    assert moved(period(joins, JULY, AUGUST)) == {"new": 10}


def test_a_period_that_does_not_run_forwards_is_refused() -> None:
    with pytest.raises(ValueError, match="ends after"):
        period([], JULY, JULY)


# Currencies.


def dollars(table: dict[date, str]) -> Callable[[str, date], Decimal | None]:
    def rate(currency: str, on: date) -> Decimal | None:
        days = [known for known in table if known <= on]
        return Decimal(table[max(days)]) if currency == "EUR" and days else None

    return rate


EURO_FALLS = dollars({date(2026, 1, 1): "1.10", date(2026, 1, 31): "1.05"})


def test_a_falling_rate_is_fx_and_not_contraction() -> None:
    month = movements([contract("s", state("10"))], day(2026, 1, 1), day(2026, 2, 1), currency="USD", rate=EURO_FALLS)
    assert these(month.start, month.new, month.end, month.fx) == (0, 11, Decimal("10.50"), Decimal("-0.50"))
    assert these(month.expansion, month.contraction) == (0, 0)


def test_a_period_opens_at_the_rate_of_the_day_before_it() -> None:
    month = movements([contract("s", state("10"))], day(2026, 1, 31), day(2026, 2, 1), currency="USD", rate=EURO_FALLS)
    assert these(month.start, month.fx, month.end) == (11, Decimal("-0.5"), Decimal("10.5"))


def test_the_rate_of_a_day_is_that_of_the_users_day() -> None:
    """At 23:30 UTC on 30 January it is the 31st in Berlin already."""
    joins = [contract("s", state("10", since=day(2026, 1, 30, 23, 30)))]
    berlin = ZoneInfo("Europe/Berlin")
    for zone, new in ((berlin, "10.5"), (UTC, "11.0"), (timezone(timedelta(hours=-5)), "11.0")):
        since, until = datetime(2026, 1, 1, tzinfo=zone), datetime(2026, 2, 1, tzinfo=zone)
        month = movements(joins, since, until, currency="USD", rate=EURO_FALLS)
        assert (month.new, month.end) == (Decimal(new), Decimal("10.5"))


def test_a_customer_who_changes_currency_at_par_does_not_move() -> None:
    history = contract("s", state("10"), state("11", currency="USD", since=day(2026, 1, 15)))
    month = movements([history], day(2026, 1, 10), day(2026, 2, 1), currency="USD", rate=EURO_FALLS)
    assert these(month.start, month.end, moved(month)) == (11, 11, {})


def test_a_currency_without_a_rate_is_listed_and_left_out() -> None:
    contracts = [
        contract("euro", state("10")),
        contract("rouble", state("900", currency="RUB")),
        contract("both", state("5"), payer="p"),
        contract("both too", state("100", currency="RUB"), payer="p"),
    ]
    mrr = balance(contracts)
    assert these(mrr.total, mrr.unconverted, mrr.by_currency) == (15, ("RUB",), {"EUR": 15, "RUB": 1000})
    assert (mrr.customers, mrr.customers_unconverted, mrr.arpa) == (3, 1, Decimal("7.5"))
    month = period(contracts, day(2026, 1, 1), day(2026, 2, 1))
    assert these(month.new, month.end, month.unconverted, month.customers_at_end) == (15, 15, ("RUB",), 3)
    assert {row.customer: row.unconverted for row in month.customers} == {
        "euro": (),
        "p": ("RUB",),
        "rouble": ("RUB",),
    }


def test_a_rate_that_is_missing_on_one_day_does_not_look_like_churn() -> None:
    contracts = [contract("euro", state("10")), contract("dollar", state("7", currency="USD"))]
    since, until = day(2025, 12, 20), day(2026, 1, 20)
    early = [*contracts, contract("old", state("10", since=day(2025, 1, 1)))]
    month = movements(early, since, until, currency="USD", rate=EURO_FALLS)  # no rate before January
    assert these(month.start, month.new, month.end, month.unconverted) == (0, 7, 7, ("EUR",))


def test_a_rate_is_not_asked_for_where_nothing_is_to_be_converted() -> None:
    gone = contract("s", state("900", currency="RUB", ended_at=day(2026, 2, 1)))
    assert period([gone]).unconverted == ()
    assert balance([gone]).unconverted == ()


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


# Properties.

MOMENTS = st.integers(0, 4 * 200).map(lambda quarters: JANUARY + timedelta(hours=6 * quarters))
MAYBE = st.none() | MOMENTS
AMOUNTS = st.decimals(0, 100_000, places=2)
STATES = st.builds(
    State,
    since=MOMENTS,
    status=st.sampled_from(SubscriptionStatus) | st.just(ACTIVE),
    currency=st.sampled_from(["EUR", "USD", "JPY", "RUB"]),
    amount=AMOUNTS,
    interval=st.builds(Interval, st.sampled_from(["day", "week", "month", "year"]), st.integers(1, 13)),
    discount_forever=AMOUNTS,
    discount_limited=AMOUNTS,
    discount_ends_at=MAYBE,
    tax_rate=st.sampled_from([Decimal(0), Decimal("0.19")]),
    metered=st.booleans(),
    trial_end_at=MAYBE,
    current_period_end=MAYBE,
    cancel_requested_at=MAYBE,
    cancel_at_period_end=st.booleans(),
    ended_at=MAYBE,
)
CONTRACTS = st.lists(
    st.builds(
        Contract,
        subscription=st.uuids().map(str),
        payer=st.sampled_from([None, "p", "q", "r"]),
        states=st.lists(STATES, max_size=4, unique_by=lambda s: s.since).map(tuple),
    ),
    max_size=6,
)
POLICIES = st.builds(
    Policy,
    interval=st.sampled_from(IntervalRule),
    cancellation=st.sampled_from(Cancellation),
    discounts=st.sampled_from(Discounts),
    delinquent=st.sampled_from(Delinquent),
    rounding=st.sampled_from(Rounding),
    brief=st.sampled_from(Brief),
    merge_within=st.sampled_from([timedelta(0), timedelta(hours=1), timedelta(days=3)]),
)
EDGES = st.lists(MOMENTS, min_size=3, max_size=3, unique=True).map(sorted)


def wobbling(currency: str, on: date) -> Decimal | None:
    """Other on every day; the rouble has none on Sundays."""
    if currency == "RUB" and on.isoweekday() == 7:
        return None
    return Decimal(10**9 + on.toordinal() * 7919 % 10**8).scaleb(-9) * {"USD": 1, "RUB": 90}.get(currency, 150)


def explained(flow: Flow) -> Decimal:
    return flow.start + flow.new + flow.expansion + flow.reactivation - flow.contraction - flow.churn + flow.fx


@given(CONTRACTS, POLICIES, EDGES)
def test_every_balance_is_explained_by_its_movements_to_the_last_digit(
    contracts: list[Contract], policy: Policy, edges: list[datetime]
) -> None:
    month = movements(contracts, edges[0], edges[1], currency="EUR", rate=wobbling, policy=policy)
    assert explained(month) == month.end
    for row in month.customers:
        assert explained(row) == row.end
        assert min(row.new, row.expansion, row.contraction, row.churn, row.reactivation, row.end) >= 0
    for name in Flow.__dataclass_fields__:
        assert getattr(month, name) == sum(getattr(row, name) for row in month.customers)


@given(CONTRACTS, POLICIES, EDGES)
def test_a_period_ends_with_the_balance_and_the_next_one_starts_with_it(
    contracts: list[Contract], policy: Policy, edges: list[datetime]
) -> None:
    def rate(currency: str, on: date) -> Decimal | None:
        return None if currency == "RUB" else wobbling(currency, on)

    first, second = (
        movements(contracts, since, until, currency="EUR", rate=rate, policy=policy) for since, until in pairwise(edges)
    )
    at_the_edge = mrr_at(contracts, edges[1] - timedelta(microseconds=1), currency="EUR", rate=rate, policy=policy)
    assert first.end == second.start == at_the_edge.total
    assert first.customers_at_end == second.customers_at_start == at_the_edge.customers


@given(CONTRACTS, POLICIES, EDGES, st.randoms(use_true_random=False))
def test_the_order_of_subscriptions_and_of_their_states_does_not_matter(
    contracts: list[Contract], policy: Policy, edges: list[datetime], shuffle: random.Random
) -> None:
    mixed = [replace(one, states=tuple(shuffle.sample(one.states, len(one.states)))) for one in contracts]
    shuffle.shuffle(mixed)
    both = [movements(c, edges[0], edges[1], currency="EUR", rate=wobbling, policy=policy) for c in (contracts, mixed)]
    assert both[0] == both[1]
    balances = [mrr_at(c, edges[1], currency="EUR", rate=wobbling, policy=policy) for c in (contracts, mixed)]
    assert balances[0] == balances[1]


@given(CONTRACTS, POLICIES, EDGES)
def test_customers_move_alone(contracts: list[Contract], policy: Policy, edges: list[datetime]) -> None:
    def rate(currency: str, on: date) -> Decimal | None:
        return None if currency == "RUB" else wobbling(currency, on)

    def rows(some: list[Contract]) -> list[object]:
        return list(movements(some, edges[0], edges[1], currency="EUR", rate=rate, policy=policy).customers)

    apart = [row for payer in ("p", "q", "r") for row in rows([c for c in contracts if c.payer == payer])]
    assert rows([c for c in contracts if c.payer]) == apart


@given(CONTRACTS, POLICIES, EDGES)
def test_nothing_moves_by_fx_while_rates_stand_still(
    contracts: list[Contract], policy: Policy, edges: list[datetime]
) -> None:
    def still(currency: str, on: date) -> Decimal | None:
        return Decimal("1.23456789")

    month = movements(contracts, edges[0], edges[1], currency="EUR", rate=still, policy=policy)
    assert all(row.fx == 0 for row in month.customers)


@given(CONTRACTS, POLICIES)
def test_a_customer_is_new_at_most_once(contracts: list[Contract], policy: Policy) -> None:
    weeks = [JANUARY + timedelta(days=7 * n) for n in range(31)]
    steady = replace(policy, merge_within=timedelta(0), brief=Brief.COUNT)
    for payer in ("p", "q"):
        own = [c for c in contracts if c.payer == payer]
        flows = [movements(own, a, b, currency="EUR", rate=wobbling, policy=steady) for a, b in pairwise(weeks)]
        assert sum(flow.count(Move.NEW) for flow in flows) <= 1
