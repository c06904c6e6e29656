"""The history holds together whatever the seed and the day: nothing is paid before it is earned, and sums are sums."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tracker.demo.chance import later, next_pay_day
from tracker.demo.facts import History
from tracker.demo.graphql import QueryError, parse
from tracker.demo.history import tell

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


LEAP_DAY, NEW_YEAR = datetime(2028, 2, 29, 23, 59, 59, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
MONTH_END = datetime(2025, 10, 31, 3, tzinfo=UTC)


@pytest.fixture(
    scope="module", params=[(1, LEAP_DAY), (2, NEW_YEAR), (3, MONTH_END)], ids=lambda pair: f"seed {pair[0]}"
)
def story(request: pytest.FixtureRequest) -> History:
    seed, now = request.param
    return tell(seed, now)


def test_a_payout_is_the_sum_of_its_rows(story: History) -> None:
    for transfer in story.settlements:
        assert sum(row.net for row in transfer.rows) == transfer.amount == -transfer.movement.net > 0
        assert all(row.available <= transfer.created for row in transfer.rows)
    assert sum(transfer.failed is not None for transfer in story.settlements) == 2
    assert sum(not transfer.automatic for transfer in story.settlements) == 1


def test_no_more_is_given_back_than_was_paid_and_never_before(story: History) -> None:
    for payment in story.payments:
        assert sum(refund.amount for refund in payment.refunds) <= payment.amount
        assert all(payment.ok and refund.created > payment.created for refund in payment.refunds)
        assert (payment.movement is not None) == payment.ok
    for order in story.orders:
        assert all(refund.created > order.settled for refund in order.refunds)
        assert sum((refund.amount for refund in order.refunds), Decimal(0)) <= order.total


def test_ids_are_never_given_twice(story: History) -> None:
    stripe = [
        thing.id for things in (story.movements, story.payments, story.refunds, story.disputes) for thing in things
    ]
    stripe += [thing.id for things in (story.settlements, story.invoices, story.contracts) for thing in things]
    posts = [order.id for order in story.orders] + [contract.id for contract in story.shop_contracts]
    posts += [refund.id for order in story.orders for refund in order.refunds]
    for ids in (stripe, posts, [sale.id for sale in story.sales], [member.id for member in story.members]):
        assert len(ids) == len(set(ids))


def test_commissions_live_in_the_order_of_their_times(story: History) -> None:
    for sale in story.sales:
        assert sale.clicked < sale.occurred < sale.validated
        assert sale.paid is None or (sale.paid > sale.validated and sale.payment_id)
        assert sale.reversed is None or sale.reversed > sale.validated
        assert sale.amended is None or sale.occurred < sale.amended < sale.validated
    for action in story.actions:
        assert action.original or action.posted < action.locking
        assert action.extended is None or action.extended < action.locking < (action.extended_locking or action.locking)
        assert action.closed > (action.extended_locking or action.locking)


def test_subscriptions_are_billed_period_after_period(story: History) -> None:
    for contract in story.contracts:
        for (_, end), (start, _) in zip(contract.periods, contract.periods[1:], strict=False):
            assert start == end
        assert contract.ended is None or contract.ended > contract.started
        regular = [invoice for invoice in contract.invoices if invoice.reason != "subscription_update"]
        assert len(regular) == len(contract.periods)
        assert all(invoice.total >= 0 for invoice in contract.invoices)


def test_people_are_invented(story: History) -> None:
    assert all(person.email.endswith("@post.example") for person in story.people)
    assert len({person.email for person in story.people}) == len(story.people)


@given(MOMENTS, st.integers(-400, 400))
@example(datetime(2024, 1, 31, tzinfo=UTC), 1)
def test_months_later_keeps_the_day_or_takes_the_months_last(at: datetime, months: int) -> None:
    moved = later(at, months)
    assert (moved.year * 12 + moved.month) - (at.year * 12 + at.month) == months
    assert moved.day == at.day or (moved.day < at.day and (moved + timedelta(days=1)).day == 1)


@given(MOMENTS)
def test_a_pay_day_is_a_working_day_at_the_first_or_the_fifteenth(at: datetime) -> None:
    day = next_pay_day(at)
    assert at <= day < at + timedelta(days=20)
    assert day.weekday() < 5
    assert day.day in (1, 2, 3, 15, 16, 17)


@given(st.text(max_size=200))
def test_any_text_is_a_query_or_refused(text: str) -> None:
    with suppress(QueryError):
        assert parse(text, {}) is not None


def test_a_query_is_read_with_its_arguments_and_fields() -> None:
    fields = parse(
        'query Q($a: [String!]!) { root(list: $a, one: "x\\"y", n: -3, yes: true) { b, c { d } } } # end', {"a": ["1"]}
    )
    assert fields["root"].arguments == {"list": ["1"], "one": 'x"y', "n": -3, "yes": True}
    assert list(fields["root"].fields) == ["b", "c"]
    assert list(fields["root"].fields["c"].fields) == ["d"]
