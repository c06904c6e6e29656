"""MRR, its movements and rates: worked examples that the billing tools publish."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from tests.figures.histories import (
    ACTIVE,
    AT_CANCELLATION,
    AUGUST,
    CANCELED,
    JULY,
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
)
from tracker.figures.contracts import PRESETS, Brief, Contract, Policy
from tracker.figures.mrr import Move, lifetime_value, movements

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


def test_what_is_undefined_is_none_and_never_zero() -> None:
    nothing = period([])
    assert these(nothing.start, nothing.end, nothing.customers) == (0, 0, ())
    rates = [nothing.gross_churn, nothing.net_churn, nothing.logo_churn, nothing.subscriber_churn]
    assert [*rates, nothing.gross_retention, nothing.net_retention()] == [None] * 6
    assert lifetime_value(Decimal("83.33"), Decimal(0)) is None
    assert lifetime_value(None, Decimal("0.05")) is None
    assert lifetime_value(Decimal("83.33"), None) is None
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
