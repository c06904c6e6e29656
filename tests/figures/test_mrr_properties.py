"""What holds for every history of subscriptions, whatever the policy."""

import random
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.figures.histories import ACTIVE, JANUARY
from tracker.figures.contracts import (
    Brief,
    Cancellation,
    Contract,
    Delinquent,
    Discounts,
    IntervalRule,
    Policy,
    Rounding,
    State,
)
from tracker.figures.mrr import (
    Flow,
    Move,
    movements,
    mrr_at,
)
from tracker.records import Interval, SubscriptionStatus

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
