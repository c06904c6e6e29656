"""Ghost's connector against the sandbox, over HTTP, and its key and fields one by one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import jwt
import msgspec
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from connectors.ghost import connector, discount, payer, sign, subscriptions, tier
from tests.connectors.over_http import Book
from tracker.connect.auth import Request
from tracker.connect.normalise import prepare
from tracker.demo.server import Sandbox
from tracker.demo.stripe_billing_shapes import subscription_status
from tracker.errors import AuthRejected, DataError, RateLimited, Unavailable, UnexpectedData
from tracker.records import Interval, Role, Subscription, SubscriptionStatus

NOW = datetime(2026, 6, 15, 10, tzinfo=UTC)
KEY = "64c0ffee64c0ffee64c0ffee:" + "0123456789abcdef" * 4


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


def book(sandbox: Sandbox, **credentials: str) -> Book:
    unhurried = msgspec.structs.replace(connector, rates=())  # the sandbox need not be spared
    return Book(unhurried, sandbox.url("ghost"), sandbox.credentials("ghost") | credentials)


def read(ours: Book, now: datetime = NOW) -> dict[str, Subscription]:
    ours.read("members", now=now, since=now)
    return {key: one for (_, key), one in ours.records.items() if isinstance(one, Subscription)}


# --- over HTTP -------------------------------------------------------------------------------------------------------


def test_every_paid_subscription_is_read_as_stripe_knows_it(sandbox: Sandbox) -> None:
    facts = {
        one.contract.id: one.contract
        for one in sandbox.history.members
        if one.contract and one.joined <= NOW and one.contract.started <= NOW
    }
    found = read(book(sandbox))
    assert found.keys() == facts.keys()
    for key, fact in facts.items():
        plan, one = fact.plan_at(NOW), found[key]
        assert one.status == subscription_status(fact, NOW)
        assert (one.amount, one.currency) == (Decimal(plan.amount) / 100, plan.currency.upper())
        assert (one.interval, one.payer) == (Interval(plan.interval), fact.person.customer_id)
    assert {one.product for one in found.values()} == {"Trail Letters"}
    assert {one.interval.unit for one in found.values()} == {"month", "year"}
    assert len({request.query for request in sandbox.requests}) > 1  # more than a page


def test_a_cancellation_shows_in_the_next_read(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    sandbox.now = NOW - timedelta(days=60)
    before = read(ours, sandbox.now)
    sandbox.now = NOW
    after = read(ours)
    assert before.keys() < after.keys()
    asked = {key for key in before if after[key].cancel_at_period_end and not before[key].cancel_at_period_end}
    ended = {key for key in before if after[key].status is SubscriptionStatus.CANCELED is not before[key].status}
    assert asked | ended


def test_nothing_about_a_reader_is_kept(sandbox: Sandbox) -> None:
    resource = connector.resource("members")
    request = Request(method="GET", url="")
    sign(request, sandbox.credentials("ghost"), NOW)
    answer = requests.get(
        sandbox.url("ghost") + "/ghost/api/admin/members/?limit=100", headers=request.headers, timeout=10
    )
    rows = msgspec.json.decode(answer.content, type=dict[str, Any])["members"]
    assert any(row["subscriptions"] for row in rows)
    for row in rows:
        kept = prepare(resource, msgspec.json.encode(row), str, lambda row: row).kept.decode()
        assert not [word for word in (row["email"], row["name"], row["uuid"], "last4") if word in kept]


@pytest.mark.parametrize(
    "key", ["", "22444f78447824223cefc48062", "64c0ffee:xyz", f"{KEY}:1", KEY[:-1], "64c0ffee64c0ffee64c0ffee:"]
)
def test_what_is_no_admin_key_is_refused_without_a_request(sandbox: Sandbox, key: str) -> None:
    with pytest.raises(AuthRejected, match="no Admin API key") as caught:
        read(book(sandbox, admin_api_key=key))
    assert not sandbox.requests
    assert len(key) < 12 or key not in str(caught.value)


def test_a_key_of_another_publication_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(AuthRejected, match="Unknown Admin API Key"):
        read(book(sandbox, admin_api_key=KEY))
    own = sandbox.credentials("ghost")["admin_api_key"].partition(":")[0]
    with pytest.raises(AuthRejected):
        read(book(sandbox, admin_api_key=f"{own}:{'ab' * 32}"))


def test_a_clock_that_is_off_is_named_as_the_cause() -> None:
    with (
        Sandbox(now=NOW, unix_time=lambda: NOW.timestamp()) as sandbox,
        pytest.raises(AuthRejected, match="Set the clock"),
    ):
        read(book(sandbox), NOW - timedelta(hours=1))


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        ("html", UnexpectedData),
        ("forbidden", Unavailable),
        ("error_body", Unavailable),
        ("truncated", UnexpectedData),
        ("rate_limited", RateLimited),
    ],
)
def test_trouble_in_the_middle_of_the_list_does_not_count_as_a_full_list(
    sandbox: Sandbox, trouble: str, error: type[Exception]
) -> None:
    ours = book(sandbox)
    sandbox.fail("ghost", trouble, skip=1)
    with pytest.raises(error):
        read(ours)
    assert "through" not in ours.state
    read(ours)
    assert ours.state["through"] == "2026-06-15T10:00:00Z"


# --- the key ---------------------------------------------------------------------------------------------------------


@given(moment=st.datetimes(datetime(2001, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_token_is_signed_for_five_minutes_with_the_secrets_bytes(moment: datetime) -> None:
    request = Request(method="GET", url="https://letters.example/ghost/api/admin/members/")
    sign(request, {"admin_api_key": f" {KEY}\n"}, moment)
    scheme, _, token = request.headers["Authorization"].partition(" ")
    key_id, _, secret = KEY.partition(":")
    claims = jwt.decode(
        token,
        bytes.fromhex(secret),
        algorithms=["HS256"],
        audience="/admin/",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert scheme == "Ghost"
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT", "kid": key_id}
    assert claims == {"iat": int(moment.timestamp()), "exp": int(moment.timestamp()) + 300, "aud": "/admin/"}


def test_ghost_tells_about_money_that_stripe_has() -> None:
    assert connector.role is Role.ENRICHMENT
    assert "only ever used to read" in connector.warning


# --- fields ----------------------------------------------------------------------------------------------------------


def paid(**fields: Any) -> dict[str, Any]:
    price = {"nickname": "Monthly", "amount": 500, "interval": "month", "currency": "USD", "tier": {"tier_id": "t1"}}
    return {"id": "sub_1", "status": "active", "price": price, "member": {"id": "m1"}, **fields}


def test_a_member_may_have_no_subscription_one_or_several() -> None:
    assert not list(subscriptions({"id": "m1"}))
    assert not list(subscriptions({"id": "m1", "subscriptions": None}))
    found = list(subscriptions({"id": "m1", "subscriptions": [paid(), paid(id="sub_2")]}))
    assert [one["id"] for one in found] == ["sub_1", "sub_2"]
    for odd in ("sub_1", ["sub_1"], {"id": "sub_1"}):
        with pytest.raises(DataError, match="not a list of subscriptions"):
            list(subscriptions({"id": "m1", "subscriptions": odd}))


def test_who_reads_for_nothing_is_no_subscription() -> None:
    free = {"nickname": "Complimentary", "amount": 0, "interval": "year", "currency": "USD"}
    assert not list(
        subscriptions({"id": "m1", "subscriptions": [paid(id=""), paid(price=free), paid(price=None, plan=free)]})
    )
    assert len(list(subscriptions({"id": "m1", "subscriptions": [paid(price=free | {"amount": 100})]}))) == 1


def test_a_tier_is_found_wherever_this_version_names_it() -> None:
    held = {"id": "m1", "tiers": [{"id": "t0", "name": "Silver"}, {"id": "t1", "name": "Gold"}]}
    assert tier(paid(tier={"name": "Amber"}, member=held)) == "Amber"
    assert tier(paid(member=held)) == "Gold"
    assert tier(paid()) == "Monthly"


def test_the_payer_is_stripes_customer_where_there_is_one() -> None:
    assert payer(paid(customer={"id": "cus_A"})) == "cus_A"
    assert payer(paid(customer={"id": ""})) == payer(paid()) == "m1"


@pytest.mark.parametrize(
    ("offer", "expected"),
    [
        (None, "0"),
        ({"type": "percent", "amount": 30, "duration": "forever"}, "1.50"),
        ({"type": "fixed", "amount": 150, "duration": "forever"}, "1.50"),
        ({"type": "fixed", "amount": 900, "duration": "forever"}, "5.00"),
        ({"type": "percent", "amount": 30, "duration": "once"}, "0"),
        ({"type": "percent", "amount": 30, "duration": "repeating", "duration_in_months": 3}, "0"),
        ({"type": "trial", "amount": 14, "duration": "trial"}, "0"),
    ],
)
def test_only_an_offer_for_good_lowers_the_amount(offer: dict[str, Any] | None, expected: str) -> None:
    assert discount(paid(offer=offer)) == Decimal(expected)
    assert discount(paid(offer=offer, discount_end="2026-09-01T00:00:00.000Z")) == 0


def test_an_unknown_kind_of_offer_is_refused() -> None:
    with pytest.raises(DataError, match="unknown kind of offer"):
        discount(paid(offer={"type": "barter", "amount": 1, "duration": "forever"}))
