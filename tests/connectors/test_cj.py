"""CJ's connector against the sandbox, over HTTP, and its query and fields one by one."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.cj import connector, kind, net, query, refused, settlement, status
from tests.connectors.over_http import Book
from tracker.connect.rows import decode
from tracker.demo.cj import status_at
from tracker.demo.facts import NetworkAction
from tracker.demo.graphql import parse
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected, DataError, RateLimited, Unavailable, UnexpectedData
from tracker.records import Earning, Kind, Program, Settlement, Status

NOW = datetime(2026, 6, 15, 10, tzinfo=UTC)
SINCE = datetime(2026, 2, 7, tzinfo=UTC)  # the first day of a window, so that nothing posted before comes with it
VALIDATED_AT = dict(connector.resource("commissions").makes[-1].reads)["validated_at"]


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, cj_page_limit=40) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.now = NOW
    running.heal()
    running.forget_requests()
    return running


def book(sandbox: Sandbox, credentials: dict[str, str] | None = None, **options: str) -> Book:
    return Book(connector, sandbox.url("cj"), sandbox.credentials("cj") | (credentials or {}), **options)


def posted(sandbox: Sandbox, now: datetime) -> dict[str, NetworkAction]:
    return {str(action.id): action for action in sandbox.history.actions if SINCE <= action.posted < now}


def declined_by_then(action: NetworkAction) -> bool:
    return action.open_ended and action.fully_corrected is not None and action.fully_corrected <= NOW


def test_a_first_read_finds_every_record_over_many_pages(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("commissions", now=NOW, since=SINCE)
    actions = posted(sandbox, NOW)
    assert {key: (found.net, found.sale_amount, found.earned_at) for key, found in ours.earnings.items()} == {
        key: (action.commission, action.sale, action.occurred) for key, action in actions.items()
    }
    assert sum("sinceCommissionId" in request.body for request in sandbox.requests) >= 3
    closed = {
        key for key, action in actions.items() if status_at(action, NOW) == "closed" and not declined_by_then(action)
    }
    assert {key for key, found in ours.earnings.items() if found.settlement is Settlement.PAID} == closed


def test_records_of_one_action_add_up_to_what_is_left_of_it(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("commissions", now=NOW, since=SINCE)
    groups: defaultdict[str | None, list[Earning]] = defaultdict(list)
    for found in ours.earnings.values():
        groups[found.origin_ref].append(found)
    declined = {str(action.action_id) for action in posted(sandbox, NOW).values() if action.fully_corrected}
    assert declined
    for action_id, rows in groups.items():
        whole = any(row.kind is Kind.COMMISSION for row in rows) and len(rows) > 1
        if action_id in declined and whole:
            assert sum(row.net for row in rows) == 0
        assert all(row.net < 0 for row in rows if row.kind in (Kind.REFUND, Kind.ADJUSTMENT))
    restated = [rows for rows in groups.values() if len(rows) == 3]
    assert restated
    assert all(sum(row.net for row in rows) > 0 for rows in restated)


def settled(found: Earning) -> Earning:
    """What is declined is followed no further, so the word it had then stays."""
    if found.status is Status.DECLINED:
        return msgspec.structs.replace(found, provider_status=None, validated_at=None)
    return found


def test_a_later_read_ends_where_reading_everything_anew_ends(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("commissions", now=NOW, since=SINCE)
    before = ours.earnings
    sandbox.now = NOW + timedelta(days=28)
    ours.read("commissions", now=sandbox.now, since=SINCE)

    anew = book(sandbox)
    anew.read("commissions", now=sandbox.now, since=SINCE)
    # The locking axis also brings records that were posted before the first read's start.
    assert anew.earnings.keys() <= ours.earnings.keys()
    assert {key: settled(ours.earnings[key]) for key in anew.earnings} == {
        key: settled(found) for key, found in anew.earnings.items()
    }

    later = {key: ours.earnings[key] for key in before}
    assert any(before[key].status is Status.PENDING and later[key].status is Status.APPROVED for key in before)
    assert any(
        before[key].settlement is Settlement.UNPAID and later[key].settlement is Settlement.PAID for key in before
    )


def test_advertisers_come_with_their_names(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("commissions", now=NOW, since=SINCE)
    titles = {record.external_id: record.title for record in ours.records.values() if isinstance(record, Program)}
    assert titles == {str(action.programme.id): action.programme.name for action in posted(sandbox, NOW).values()}


def test_without_the_option_amounts_are_us_dollars(sandbox: Sandbox) -> None:
    for ours, expected in ((book(sandbox), "USD"), (book(sandbox, currency="GBP"), "GBP")):
        ours.read("commissions", now=NOW, since=NOW - timedelta(days=20))
        assert {(found.currency, found.sale_currency) for found in ours.earnings.values()} == {(expected, expected)}


@pytest.mark.parametrize("wrong", [{"personal_access_token": "wrong-token-0815"}, {"publisher_cid": "1"}])
def test_a_wrong_token_or_company_id_is_refused_with_status_200(sandbox: Sandbox, wrong: dict[str, str]) -> None:
    with pytest.raises(AuthRejected, match="personal access token") as caught:
        book(sandbox, wrong).read("commissions", now=NOW, since=SINCE)
    assert "wrong-token-0815" not in str(caught.value)
    assert sandbox.requests[0].status == 200


def test_trouble_at_cj_is_named_by_what_is_to_be_done(sandbox: Sandbox) -> None:
    for trouble, error in (
        ("rate_limited", RateLimited),
        ("error_body", UnexpectedData),
        ("server_error", Unavailable),
        ("truncated", UnexpectedData),
    ):
        sandbox.fail("cj", trouble, times=None)
        with pytest.raises(error):
            book(sandbox).read("commissions", now=NOW, since=SINCE)
        sandbox.heal()


_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)


@given(_TEXT, st.lists(_TEXT.filter(lambda text: "," not in text), min_size=1, max_size=5), _TEXT)
def test_no_value_breaks_out_of_its_place_in_the_query(cid: str, ids: list[str], after: str) -> None:
    body = query({"publisher_cid": cid, "commissionIds": ",".join(ids), "sinceCommissionId": after, "currency": "EUR"})
    root = parse(decode(body)["query"], {})["publisherCommissions"]
    assert root.arguments == {"forPublishers": [cid], "commissionIds": ids, "sinceCommissionId": after}
    assert {"maxCommissionId", "payloadComplete", "count", "limit", "records"} == root.fields.keys()


def row(**changes: Any) -> dict[str, Any]:
    plain = {
        "original": True,
        "actionType": "sim_sale",
        "actionStatus": "new",
        "validationStatus": "AUTOMATED",
        "lockingDate": "2026-03-11T09:00:00Z",
        "pubCommissionAmountUsd": "10.00",
        "pubCommissionAmountPubCurrency": "9.00",
        "$": {},
    }
    return plain | changes


@pytest.mark.parametrize(
    ("word", "validation", "expected", "settled"),
    [
        ("new", "AUTOMATED", Status.PENDING, Settlement.UNPAID),
        ("NEW", None, Status.PENDING, Settlement.UNPAID),
        ("extended", "PENDING", Status.PENDING, Settlement.UNPAID),
        ("Locked", "accepted", Status.APPROVED, Settlement.UNPAID),
        ("closed", "ACCEPTED", Status.APPROVED, Settlement.PAID),
        ("CLOSED", "AUTOMATED", Status.APPROVED, Settlement.PAID),
        ("new", "DECLINED", Status.DECLINED, Settlement.UNPAID),
        ("locked", "declined", Status.DECLINED, Settlement.UNPAID),
        ("closed", "DECLINED", Status.DECLINED, Settlement.UNPAID),
    ],
)
def test_each_word_of_cj_has_its_meaning_in_any_case(
    word: str, validation: str | None, expected: Status, settled: Settlement
) -> None:
    found = row(actionStatus=word, validationStatus=validation)
    assert (status(found), settlement(found)) == (expected, settled)
    assert (VALIDATED_AT(found) is None) == (word.lower() in ("new", "extended"))


@pytest.mark.parametrize("changes", [{"actionStatus": "corrected"}, {"validationStatus": "MAYBE"}])
def test_a_new_word_is_refused_rather_than_guessed(changes: dict[str, str]) -> None:
    with pytest.raises(DataError, match="unknown word"):
        status(row(**changes))


@pytest.mark.parametrize(
    ("original", "amount", "action", "reason", "expected"),
    [
        (True, "10", "sim_sale", None, Kind.COMMISSION),
        (True, "0", "item_lead", None, Kind.COMMISSION),
        (True, "10", "PERF_INC", None, Kind.BONUS),
        (True, "10", "bonus", None, Kind.BONUS),
        (True, "10", "app_install", None, Kind.UNKNOWN),
        (True, "-10", "sim_sale", None, Kind.ADJUSTMENT),
        (False, "6", "sim_sale", "OTHER_REASON", Kind.COMMISSION),
        (False, "6", "bonus", "OTHER_REASON", Kind.BONUS),
        (False, "-10", "sim_sale", "RETURNED_MERCHANDISE", Kind.REFUND),
        (False, "-10", "sim_sale", "CANT_SHIP_OR_SOLD_OUT", Kind.REFUND),
        (False, "-10", "sim_sale", "BOOKING_CANCELED", Kind.REFUND),
        (False, "-10", "sim_sale", "DUPLICATED_ORDER", Kind.ADJUSTMENT),
        (False, "-10", "sim_lead", "UNQUALIFIED_LEAD", Kind.ADJUSTMENT),
        (False, "0", "sim_sale", None, Kind.ADJUSTMENT),
    ],
)
def test_a_correction_is_a_refund_an_adjustment_or_the_commission_anew(
    original: bool, amount: str, action: str, reason: str | None, expected: Kind
) -> None:
    found = row(original=original, pubCommissionAmountUsd=amount, actionType=action, correctionReason=reason)
    assert kind(found) is expected


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**6), max_value=10**6))
def test_three_decimals_stay_exact(amount: Decimal) -> None:
    assert net(row(pubCommissionAmountUsd=f"{amount:f}")) == amount


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([{"message": "Missing Token"}], AuthRejected),
        ([{"message": "Unauthorized"}], AuthRejected),
        ([{"message": "Authentication failed"}], AuthRejected),
        ([{"message": "Not authorised for this company"}], AuthRejected),
        ([{"message": "Invalid Syntax: offending token '<EOF>'"}], UnexpectedData),
        ([{"message": "Validation error of type WrongType"}], UnexpectedData),
        (["plain words"], UnexpectedData),
        ({"odd": 1}, UnexpectedData),
    ],
)
def test_an_error_with_status_200_is_told_apart(errors: object, expected: type[Exception]) -> None:
    assert type(refused(errors)) is expected
