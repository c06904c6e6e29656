"""WooCommerce's connector against the sandbox, over HTTP, and its pager and fields one by one."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from connectors.woocommerce import connector, fee, last_page_first, no_plugin, refunds, status
from tracker.connect.fetch import Client, Limits
from tracker.connect.normalise import normalise, prepare
from tracker.connect.pace import Pace
from tracker.connect.plans import When
from tracker.connect.replay import MemoryTokens, load
from tracker.connect.rows import Page, decode, digest
from tracker.demo.facts import Order
from tracker.demo.server import Sandbox
from tracker.demo.woocommerce_shapes import contract_status, modified_at, status_at
from tracker.errors import AuthRejected, DataError, NotFound, RightMissing, Unavailable, UnexpectedData
from tracker.records import Earning, Kind, Recurrence, Settlement, Status, Subscription, SubscriptionStatus

NOW = datetime(2026, 6, 15, 10, tzinfo=UTC)
SINCE = datetime(2026, 3, 8, tzinfo=UTC)  # the first day of a window, so that no older change comes with it
SAMPLES = Path(__file__).parent / "woocommerce"


class Shop:
    """What a connection to the shop knows. Like the ledger it asks for no details of a row that it has already."""

    def __init__(self, sandbox: Sandbox, **options: str) -> None:
        self.credentials = sandbox.credentials("woocommerce")
        self.options = {"base_url": sandbox.url("woocommerce"), **options}
        self.earnings: dict[str, Earning] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.kept: dict[bytes, bytes] = {}
        self.state: dict[str, str] = {}

    def open_ids(self, after: str, limit: int) -> list[str]:
        raise AssertionError("the shop is never asked for single orders")

    def payouts_to_itemise(self, limit: int) -> list[str]:
        raise AssertionError("a shop has no payouts")

    def read(self, name: str, now: datetime, since: datetime = SINCE) -> None:
        resource = connector.resource(name)
        with requests.Session() as http:
            client = Client(
                msgspec.structs.replace(connector, rates=()),  # the sandbox need not be spared
                slug="test",
                credentials=self.credentials,
                options=self.options,
                tokens=MemoryTokens(now),
                http=http,
                pace=Pace(),
                limits=Limits(tries=1),
            )
            for leg in resource.plan.legs(self.state, When(now=now, since=since), self, lambda leg: iter(())):
                for _, page, _ in client.pages(resource, leg):
                    for raw in page.rows:
                        if digest(raw) not in self.kept:
                            self._keep(client, name, raw, now)
                self.state |= leg.done

    def _keep(self, client: Client, name: str, raw: msgspec.Raw, now: datetime) -> None:
        resource = connector.resource(name)
        found = prepare(resource, raw, lambda text: f"p{hash(text)}", lambda row: client.detail(resource, row))
        assert found.fault is None, found.fault
        self.kept[digest(raw)] = found.kept
        for record in normalise(resource, found.row, client.options, now):
            if isinstance(record, Earning):
                self.earnings[record.external_id] = record
            elif isinstance(record, Subscription):
                self.subscriptions[record.external_id] = record


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(now=NOW) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.now = NOW
    running.heal()
    running.forget_requests()
    return running


@pytest.fixture(scope="module")
def whole(running: Sandbox) -> Shop:
    """A first read of three months, for tests that only look."""
    running.now = NOW
    running.heal()
    shop = Shop(running)
    shop.read("orders", NOW)
    shop.read("subscriptions", NOW)
    return shop


def orders_of(sandbox: Sandbox, now: datetime = NOW) -> dict[str, Order]:
    found = (order for order in sandbox.history.orders if order.created <= now)
    return {str(order.id): order for order in found if SINCE <= modified_at(order, now) < now}


# --- over HTTP --------------------------------------------------------------------------------------------------------


def test_a_first_read_finds_every_order_with_its_status(sandbox: Sandbox, whole: Shop) -> None:
    orders = orders_of(sandbox)
    words = {
        **dict.fromkeys(("completed", "processing", "refunded"), Status.APPROVED),
        **dict.fromkeys(("cancelled", "failed"), Status.DECLINED),
        **dict.fromkeys(("pending", "on-hold"), Status.PENDING),
    }
    sales = {key: found for key, found in whole.earnings.items() if found.kind is not Kind.REFUND}
    assert {key: found.status for key, found in sales.items()} == {
        key: words[status_at(order, NOW)] for key, order in orders.items()
    }
    assert {key: (found.gross, found.currency) for key, found in sales.items()} == {
        key: (order.total, order.currency) for key, order in orders.items()
    }
    assert len(orders) > 100  # several pages in several windows
    assert {found.currency for found in sales.values()} == {"EUR", "USD"}


def test_a_refund_is_a_row_of_its_own_and_keeps_the_sale(sandbox: Sandbox, whole: Shop) -> None:
    facts = {
        f"{key}:refund:{refund.id}": (-refund.amount, key, refund.created, refund.through_gateway)
        for key, order in orders_of(sandbox).items()
        for refund in order.refunds
        if refund.created <= NOW
    }
    found = {key: one for key, one in whole.earnings.items() if one.kind is Kind.REFUND}
    assert {key: (one.net, one.origin_ref) for key, one in found.items()} == {
        key: fact[:2] for key, fact in facts.items()
    }
    assert all(one.earned_at == facts[key][2].replace(microsecond=0) for key, one in found.items())
    for key, one in found.items():
        order = whole.earnings[one.origin_ref or ""]
        assert order.status is Status.APPROVED
        assert one.gateway_ref == (order.gateway_ref if facts[key][3] else None)
    assert any(one.gateway_ref for one in found.values())


def test_the_gateways_fee_is_taken_off_when_it_is_in_the_orders_currency(sandbox: Sandbox, whole: Shop) -> None:
    payments = {str(payment.order.id): payment for payment in sandbox.history.payments if payment.order}
    with_stripe = {key: payments[key] for key, found in whole.earnings.items() if found.payment_ref and key in payments}
    assert with_stripe
    for key, payment in with_stripe.items():
        found, row = whole.earnings[key], payment.movement
        assert (found.gateway_ref, found.payment_ref) == (payment.id, payment.intent)
        if row is not None and row.currency.upper() == found.currency:
            assert (found.fee, found.net) == (Decimal(row.fee) / 100, Decimal(row.amount - row.fee) / 100)
        else:
            assert (found.fee, found.net) == (None, found.gross)
    assert {whole.earnings[key].fee is None for key in with_stripe} == {True, False}
    paypal = {key for key, order in orders_of(sandbox).items() if order.fee is not None}
    assert {whole.earnings[key].fee for key in paypal} == {orders_of(sandbox)[key].fee for key in paypal}


def test_a_renewal_is_recurring_and_names_its_subscription(sandbox: Sandbox, whole: Shop) -> None:
    renewals = {key: str(order.renewal_of) for key, order in orders_of(sandbox).items() if order.renewal_of}
    assert renewals
    found = {key: one for key, one in whole.earnings.items() if one.kind is Kind.SUBSCRIPTION_PAYMENT}
    assert {key: one.subscription_ref for key, one in found.items()} == renewals
    assert {one.recurrence for one in found.values()} == {Recurrence.RECURRING}
    assert set(renewals.values()) <= whole.subscriptions.keys()


def test_times_are_the_utc_ones_of_a_shop_in_berlin(sandbox: Sandbox, whole: Shop) -> None:
    orders = orders_of(sandbox)
    assert all(whole.earnings[key].earned_at == order.created.replace(microsecond=0) for key, order in orders.items())


def test_nothing_about_the_buyer_is_kept(sandbox: Sandbox, whole: Shop) -> None:
    kept = b"\n".join(whole.kept.values())
    people = {order.person.number: order.person for order in orders_of(sandbox).values()}
    assert not [who for who in people.values() if who.email.encode() in kept or who.name.encode() in kept]
    assert not [word for word in (b"203.0.113.", b"Steinweg", b"Musterstadt", b"order_key", b"phone") if word in kept]


def test_a_guest_has_the_same_stand_in_in_every_order(sandbox: Sandbox, whole: Shop) -> None:
    orders = orders_of(sandbox)
    guests = {(order.person.number, whole.earnings[key].payer) for key, order in orders.items() if order.guest}
    assert len({number for number, _ in guests}) == len(guests) == len({payer for _, payer in guests})
    members = {
        (f"c{order.person.number}", whole.earnings[key].payer) for key, order in orders.items() if not order.guest
    }
    assert all(number == payer for number, payer in members)


def test_a_later_read_ends_where_reading_everything_anew_ends(sandbox: Sandbox, whole: Shop) -> None:
    ours = Shop(sandbox)
    sandbox.now = NOW - timedelta(days=33)
    ours.read("orders", sandbox.now)
    before = dict(ours.earnings)
    sandbox.now = NOW
    ours.read("orders", NOW)
    assert ours.earnings == whole.earnings
    assert any(found.kind is Kind.REFUND and key not in before for key, found in ours.earnings.items())


def test_a_read_without_news_asks_once_and_changes_nothing(sandbox: Sandbox) -> None:
    ours = Shop(sandbox)
    ours.read("orders", NOW)
    before, asked = dict(ours.earnings), len(sandbox.requests)
    ours.read("orders", NOW + timedelta(minutes=5))
    assert ours.earnings == before
    assert len(sandbox.requests) - asked <= 2


def test_every_subscription_is_read_with_its_status(sandbox: Sandbox, whole: Shop) -> None:
    words = {"pending-cancel": "active", "cancelled": "canceled", "on-hold": "paused"}
    contracts = {str(one.id): contract_status(one, NOW) for one in sandbox.history.shop_contracts if one.started <= NOW}
    found = whole.subscriptions
    assert {key: one.provider_status for key, one in found.items()} == contracts
    assert {key: one.status for key, one in found.items()} == {
        key: SubscriptionStatus(words.get(word, word)) for key, word in contracts.items()
    }
    assert {str(one.amount) for one in found.values()} == {"8.32"}  # 9.90 with 19 % tax, which is no income
    assert all((one.ended_at is not None) == (one.status is SubscriptionStatus.CANCELED) for one in found.values())


def test_a_shop_without_the_subscriptions_plugin_has_none() -> None:
    with Sandbox(now=NOW, subscriptions_plugin=False) as sandbox, pytest.raises(NotFound) as caught:
        Shop(sandbox).read("subscriptions", NOW)
    assert no_plugin(caught.value)
    assert not no_plugin(NotFound("shop.example has nothing at /wp-json/wc/v3/subscriptions."))


def test_keys_go_as_parameters_where_the_server_drops_the_header(sandbox: Sandbox, whole: Shop) -> None:
    ours = Shop(sandbox, auth="query")
    ours.read("orders", NOW)
    assert ours.earnings == whole.earnings
    assert all("consumer_key" in request.query for request in sandbox.requests)
    sandbox.forget_requests()
    Shop(sandbox).read("subscriptions", NOW)
    assert all("consumer" not in request.query for request in sandbox.requests)


@pytest.mark.parametrize("name", ["consumer_key", "consumer_secret"])
def test_a_wrong_key_is_said_to_be_wrong_and_not_shown(sandbox: Sandbox, name: str) -> None:
    ours = Shop(sandbox)
    ours.credentials = ours.credentials | {name: "ck_mistyped0123456789"}
    with pytest.raises(AuthRejected) as caught:
        ours.read("orders", NOW)
    assert not isinstance(caught.value, RightMissing)
    assert "mistyped" not in str(caught.value)


def test_a_header_that_never_arrives_leads_to_the_option(sandbox: Sandbox) -> None:
    ours = Shop(sandbox)
    ours.credentials = {"consumer_key": "", "consumer_secret": ""}
    with pytest.raises(AuthRejected, match="auth=query"):
        ours.read("orders", NOW)


@pytest.mark.parametrize(
    ("trouble", "error"),
    [("html", UnexpectedData), ("forbidden", Unavailable), ("error_body", Unavailable), ("truncated", UnexpectedData)],
)
def test_trouble_on_the_way_is_named_and_nothing_is_marked_as_read(
    sandbox: Sandbox, trouble: str, error: type[Exception]
) -> None:
    ours = Shop(sandbox)
    sandbox.fail("woocommerce", trouble, path="/orders", skip=3)
    with pytest.raises(error):
        ours.read("orders", NOW)
    through = ours.state.get("through:updated", "")
    ours.read("orders", NOW)
    assert through < ours.state["through:updated"] == "2026-06-15T10:00:00Z"


# --- the order of the pages -------------------------------------------------------------------------------------------


class Listing:
    """Rows in a fixed order, a page at a time, as a shop lists them."""

    def __init__(self, rows: list[int]) -> None:
        self.rows = rows

    def page(self, params: dict[str, str]) -> Page:
        number, size = int(params["page"]), int(params["per_page"])
        part = self.rows[(number - 1) * size : number * size]
        headers = CaseInsensitiveDict({"X-WP-Total": str(len(self.rows))})
        return Page(rows=[msgspec.Raw(str(row).encode()) for row in part], headers=headers)

    def read(self, after_page: Callable[[list[int]], None], stop_after: int | None = None) -> set[int]:
        """All rows that a walk sees; `after_page` changes the list, a kill after `stop_after` pages starts it anew."""
        seen: set[int] = set()
        walk = last_page_first(None)
        step, taken = next(walk), 0
        while True:
            page = self.page(step.params)
            seen |= {decode(row) for row in page.rows}
            after_page(self.rows)
            try:
                step = walk.send(page)
            except StopIteration:
                return seen
            taken += 1
            if taken == stop_after:
                walk = last_page_first(step)
                step = next(walk)


@given(count=st.integers(0, 450), leaving=st.lists(st.integers(0, 449), max_size=12), stop=st.integers(1, 5))
def test_an_order_that_leaves_its_window_takes_no_other_one_with_it(count: int, leaving: list[int], stop: int) -> None:
    gone: set[int] = set()

    def one_changes(rows: list[int]) -> None:
        if leaving and (row := leaving.pop()) in rows:
            rows.remove(row)
            gone.add(row)

    seen = Listing(list(range(count))).read(one_changes, stop)
    assert set(range(count)) - gone <= seen


def test_an_empty_window_and_a_single_order_cost_one_request() -> None:
    for count in (0, 1):
        asked: list[int] = []
        listing = Listing(list(range(count)))
        assert listing.read(lambda rows, asked=asked: asked.append(1)) == set(range(count))  # type: ignore[misc]
        assert len(asked) == 1


def test_windows_overlap_by_a_second_because_the_shop_leaves_out_both_ends() -> None:
    plan = connector.resource("orders").plan
    legs = list(plan.legs({}, When(now=NOW, since=NOW - timedelta(days=100)), Shop.__new__(Shop), lambda leg: iter(())))
    bounds = [
        tuple(datetime.fromisoformat(leg.params[f"modified_{end}"]) for end in ("after", "before")) for leg in legs
    ]
    assert len(bounds) == 5
    for (_, before), (after, _) in pairwise(bounds):
        assert before - after == timedelta(seconds=1)
    assert all(before - after <= timedelta(days=30, seconds=1) for after, before in bounds)


# --- fields -----------------------------------------------------------------------------------------------------------


def order(**fields: Any) -> dict[str, Any]:
    return {"id": 1, "status": "completed", "currency": "EUR", "total": "45.00", **fields}


def test_an_order_marked_as_refunded_without_any_refund_is_reversed() -> None:
    assert status(order(status="refunded", refunds=[])) is Status.REVERSED
    assert status(order(status="refunded", refunds=[{"id": 2}])) is Status.APPROVED


def test_a_plugins_own_status_follows_the_payment() -> None:
    assert status(order(status="packed", date_paid_gmt="2026-03-01T09:20:30")) is Status.APPROVED
    assert status(order(status="packed", date_paid_gmt=None)) is Status.PENDING


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({}, None),
        ({"_stripe_fee": "1.20", "_stripe_currency": "eur"}, "1.20"),
        ({"_stripe_fee": "1.20", "_stripe_currency": "USD"}, None),
        ({"_stripe_fee": "1.20"}, None),
        ({"_stripe_fee": "", "_stripe_currency": "EUR"}, None),
        ({"_stripe_fee": "0.9400000000000001", "_stripe_currency": "EUR"}, "0.94"),
        ({"_wcpay_transaction_fee": Decimal("1.84")}, "1.84"),
        ({"PayPal Transaction Fee": "1.69"}, "1.69"),
        ({"_ppcp_paypal_fees": {"paypal_fee": {"value": "1.69", "currency_code": "EUR"}}}, "1.69"),
        (
            {
                "_ppcp_paypal_fees": {"paypal_fee": {"value": "1.69", "currency_code": "USD"}},
                "PayPal Transaction Fee": "1.69",
            },
            None,
        ),
    ],
)
def test_a_fee_counts_only_in_the_orders_currency(meta: dict[str, Any], expected: str | None) -> None:
    row = order(meta_data=[{"key": key, "value": value} for key, value in meta.items()])
    assert fee(row) == (None if expected is None else Decimal(expected))


def test_a_refund_without_its_details_is_refused() -> None:
    short = [{"id": 2, "total": "-5.00"}, {"id": 3, "total": "-1.00"}]
    with pytest.raises(DataError, match="refund 3 came without details"):
        list(refunds(order(refunds=short, full_refunds=[{"id": 2, "amount": "5.00"}])))
    with pytest.raises(DataError, match="not a list"):
        list(refunds(order(refunds=short, full_refunds={"code": "rest_no_route"})))
    assert not list(refunds(order(refunds=[])))
    assert not list(refunds(order(status="trash", refunds=short)))


def test_the_samples_hold_no_person_after_scrubbing() -> None:
    sample = load((SAMPLES / "orders.json").read_bytes())
    resource = connector.resource("orders")
    details = {
        exchange.request.path.split("/")[-2]: decode(exchange.answer.body or b"")
        for exchange in sample.exchanges
        if exchange.request.path.endswith("/refunds")
    }
    for exchange in sample.exchanges:
        for raw in decode(exchange.answer.body or b"") if exchange.request.path.endswith("/orders") else ():
            given = msgspec.json.encode(raw)
            found = prepare(
                resource, given, lambda text: "stand-in", lambda row: row | {"full_refunds": details[str(row["id"])]}
            )
            people = ("Kim", "Lane", "203.0.113", "Browser", "+49", "DE000", "@", "order_key", "ring twice")
            assert not [word for word in people if word in found.kept.decode()]


@given(
    word=st.sampled_from(["pending", "on-hold", "processing", "completed", "cancelled", "failed", "refunded", "odd"]),
    total=st.decimals(0, 100_000, places=2),
    parts=st.lists(st.integers(1, 9_999), max_size=4),
    paid=st.booleans(),
)
def test_an_order_and_its_refunds_add_up_to_what_is_left(
    word: str, total: Decimal, parts: list[int], paid: bool
) -> None:
    short = [{"id": number, "total": f"-{Decimal(cents) / 100}"} for number, cents in enumerate(parts, 10)]
    full = [
        {"id": number, "amount": f"{Decimal(cents) / 100}", "date_created_gmt": "2026-03-02T10:00:00"}
        for number, cents in enumerate(parts, 10)
    ]
    row = order(
        status=word,
        total=str(total),
        date_created_gmt="2026-03-01T10:00:00",
        date_paid_gmt="2026-03-01T10:00:05" if paid else None,
        refunds=short,
        full_refunds=full,
    )
    found = normalise(connector.resource("orders"), row, {}, NOW)
    earnings = [record for record in found if isinstance(record, Earning)]
    assert sum(one.net for one in earnings) == total - Decimal(sum(parts)) / 100
    assert len({one.external_id for one in earnings}) == 1 + len(parts)
    # Never the one without the other: a refund of an order that does not count must not count either.
    assert len({one.status for one in earnings}) == 1
    assert {one.settlement for one in earnings} <= {Settlement.PAID, Settlement.UNPAID}
