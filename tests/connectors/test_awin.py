"""Awin's connector against the sandbox, over HTTP, and its fields one by one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.awin import connector, payout, product, refused, settlement
from tests.connectors.over_http import Book
from tracker.connect.normalise import prepare
from tracker.connect.rows import decode
from tracker.demo.awin import status_at
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected, RateLimited, RightMissing, Unavailable, UnexpectedData
from tracker.records import Earning, Kind, Program, Settlement, Status

NOW = datetime(2026, 6, 15, 10, tzinfo=UTC)
SINCE = datetime(2026, 2, 7, tzinfo=UTC)  # the first day of a window, so that no older sale comes with it
SUB_ID = dict(connector.resource("transactions").makes[0].reads)["sub_id"]


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
    return Book(connector, sandbox.url("awin"), sandbox.credentials("awin") | credentials)


def test_a_first_read_finds_every_sale_with_its_status(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("transactions", now=NOW, since=SINCE)
    words = {"deleted": Status.DECLINED}
    sales = {str(sale.id): sale for sale in sandbox.history.sales if SINCE <= sale.occurred <= NOW}
    assert ours.earnings.keys() == sales.keys()
    assert {key: found.status for key, found in ours.earnings.items()} == {
        key: words.get(status_at(sale, NOW)) or Status(status_at(sale, NOW)) for key, sale in sales.items()
    }
    paid = {key for key, sale in sales.items() if sale.paid and sale.paid <= NOW}
    assert {key for key, found in ours.earnings.items() if found.settlement is Settlement.PAID} == paid
    assert {key for key, found in ours.earnings.items() if found.payout_ref} == paid
    assert {found.currency for found in ours.earnings.values()} == {"EUR", "GBP"}


def test_times_are_asked_for_and_read_in_utc(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("transactions", now=NOW, since=SINCE)
    sales = {str(sale.id): sale for sale in sandbox.history.sales}
    assert all("timezone=UTC" in request.query for request in sandbox.requests)
    assert all(found.earned_at == sales[key].occurred.replace(microsecond=0) for key, found in ours.earnings.items())


def test_a_later_read_ends_where_reading_everything_anew_ends(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    sandbox.now = NOW - timedelta(days=35)
    ours.read("transactions", now=sandbox.now, since=SINCE)
    before = ours.earnings
    sandbox.now = NOW
    ours.read("transactions", now=NOW, since=SINCE)

    anew = book(sandbox)
    anew.read("transactions", now=NOW, since=SINCE)
    assert {key: found for key, found in ours.earnings.items() if found.earned_at >= SINCE} == anew.earnings

    later = {key: ours.earnings[key] for key in before}
    assert any(before[key].status is Status.PENDING and later[key].status is Status.APPROVED for key in before)
    assert any(before[key].status is Status.APPROVED and later[key].status is Status.DECLINED for key in before)
    assert any(before[key].net != later[key].net for key in before)
    assert any(before[key].payout_ref is None and later[key].payout_ref for key in before)


def test_a_daily_read_keeps_within_a_minutes_allowance(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("transactions", now=NOW, since=SINCE)
    sandbox.forget_requests()
    sandbox.now = NOW + timedelta(days=1)
    ours.read("programmes", now=sandbox.now, since=SINCE)
    ours.read("transactions", now=sandbox.now, since=SINCE)
    assert len(sandbox.requests) <= connector.rates[0].calls


def test_programmes_give_the_advertiser_ids_a_title(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("programmes", now=NOW, since=SINCE)
    ours.read("transactions", now=NOW, since=SINCE)
    titles = {record.external_id: record.title for record in ours.records.values() if isinstance(record, Program)}
    assert titles == {str(programme.id): programme.name for programme in sandbox.history.programmes}
    assert {found.program for found in ours.earnings.values()} <= titles.keys()


def test_a_bonus_is_told_from_a_commission(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("transactions", now=NOW, since=SINCE)
    bonuses = {str(sale.id) for sale in sandbox.history.sales if sale.bonus}
    assert {key for key, found in ours.earnings.items() if found.kind is Kind.BONUS} == bonuses & ours.earnings.keys()


def test_a_wrong_token_is_refused_and_never_stands_in_an_address(sandbox: Sandbox) -> None:
    with pytest.raises(AuthRejected, match="Invalid access token") as caught:
        book(sandbox, token="wrong-token-0815").read("transactions", now=NOW, since=SINCE)
    assert "wrong-token-0815" not in str(caught.value)
    assert all("accessToken" not in request.query for request in sandbox.requests)


def test_an_account_the_token_cannot_see_names_the_missing_right(sandbox: Sandbox) -> None:
    with pytest.raises(RightMissing, match="access to this publisher account"):
        book(sandbox, publisher_id="1").read("transactions", now=NOW, since=SINCE)


def test_trouble_at_awin_is_named_by_what_is_to_be_done(sandbox: Sandbox) -> None:
    for trouble, error in (
        ("rate_limited", RateLimited),
        ("error_body", Unavailable),
        ("server_error", Unavailable),
        ("html", UnexpectedData),
        ("truncated", UnexpectedData),
    ):
        sandbox.fail("awin", trouble)
        with pytest.raises(error):
            book(sandbox).read("transactions", now=NOW, since=SINCE)


def test_a_read_that_breaks_off_goes_on_where_it_was(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    sandbox.fail("awin", "server_error", skip=2)
    with pytest.raises(Unavailable):
        ours.read("transactions", now=NOW, since=SINCE)
    assert ours.state["through:validation"] == "2026-06-15T10:00:00Z"
    sandbox.forget_requests()
    ours.read("transactions", now=NOW, since=SINCE)
    assert "2026-02-07" not in " ".join(request.query for request in sandbox.requests)
    anew = book(sandbox)
    anew.read("transactions", now=NOW, since=SINCE)
    assert {key: found for key, found in ours.earnings.items() if found.earned_at >= SINCE} == anew.earnings


def test_what_identifies_a_reader_is_not_kept() -> None:
    row = b'{"id": 1, "ipHash": "77", "publisherUrl": "https://b.example/?m=kim", "customParameters": [{"key": "c"}]}'
    kept = decode(prepare(connector.resource("transactions"), row, str.upper, lambda row: row).kept)
    assert kept == {"id": 1}


@given(st.lists(st.sampled_from([None, "", "a", "b2", 7]), max_size=6), st.booleans())
def test_the_sub_id_is_the_first_click_reference_that_is_set(values: list[object], sparse: bool) -> None:
    names = ("clickRef", "clickRef2", "clickRef3", "clickRef4", "clickRef5", "clickRef6")
    refs = {name: value for name, value in zip(names, values, strict=False) if not (sparse and value is None)}
    first = next((str(value) for value in values if value not in (None, "")), None)
    assert SUB_ID({"clickRefs": refs}) == first


def test_missing_click_references_are_no_sub_id() -> None:
    assert SUB_ID({}) is None
    assert SUB_ID({"clickRefs": None}) is None


@pytest.mark.parametrize(
    ("flag", "payment", "settled", "paid_with"),
    [
        (True, 551230, Settlement.PAID, "551230"),
        (True, 0, Settlement.PAID, None),
        (True, None, Settlement.PAID, None),
        (False, 0, Settlement.UNPAID, None),
        (False, 551230, Settlement.UNPAID, None),
        (None, None, Settlement.UNPAID, None),
    ],
)
def test_only_a_paid_row_belongs_to_a_payout(
    flag: bool | None, payment: int | None, settled: Settlement, paid_with: str | None
) -> None:
    row = {"paidToPublisher": flag, "paymentId": payment}
    assert (settlement(row), payout(row)) == (settled, paid_with)


@given(st.lists(st.sampled_from(["Default", "Renewal", None]), max_size=3))
def test_the_product_is_the_commission_group_when_there_is_just_one(groups: list[str | None]) -> None:
    row = {"transactionParts": [{"commissionGroupName": group} for group in groups]}
    assert product(row) == (groups[0] if len(groups) == 1 else None)


@pytest.mark.parametrize("old", [None, 39.98, "39.98", {"amount": 39.98, "currency": "EUR"}, [1]])
def test_no_shape_of_the_old_amounts_stops_a_row(old: object) -> None:
    row = {
        "id": 1,
        "advertiserId": 2,
        "commissionStatus": "pending",
        "commissionAmount": {"amount": 3, "currency": "EUR"},
        "transactionDate": "2026-03-01T09:40:11",
        "oldSaleAmount": old,
        "oldCommissionAmount": old,
        "originalSaleAmount": old,
    }
    maker = connector.resource("transactions").makes[0]
    found = Earning(**{name: read(row) for name, read in maker.reads})
    assert (found.external_id, str(found.net), found.earned_at.tzinfo) == ("1", "3", UTC)


@pytest.mark.parametrize(
    ("word", "error"),
    [("unauthorized", AuthRejected), ("invalid_token", AuthRejected), ("internal_error", Unavailable)],
)
def test_an_error_with_status_200_is_told_apart(word: str, error: type[Exception]) -> None:
    assert type(refused(word)) is error
