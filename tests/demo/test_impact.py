"""impact.com's connector from end to end against the sandbox, which keeps impact.com's rules."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import requests

from connectors.impact import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW, connect, read_twice
from tests.world import World
from tracker.demo.impact import action_id, state_at
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected, RateLimited, RightMissing, UnexpectedData
from tracker.records import Earning, Kind, Payout, PayoutStatus, Program, Settlement, Status

SINCE = datetime(2026, 1, 22, tzinfo=UTC)  # the first day of a window, so that no older action comes with it


def book(sandbox: Sandbox, **credentials: str) -> Book:
    return Book(connector, sandbox.url("impact"), sandbox.credentials("impact") | credentials)


def made_since(earnings: dict[str, Earning]) -> dict[str, Earning]:
    """Without the older actions that locking dates bring along."""
    return {key: found for key, found in earnings.items() if found.earned_at >= SINCE}


def get(sandbox: Sandbox, http: requests.Session, path: str, **params: str) -> requests.Response:
    keys = sandbox.credentials("impact")
    address = f"{sandbox.url('impact')}/Mediapartners/{keys['account_sid']}/{path}"
    return http.get(address, params=params, auth=(keys["account_sid"], keys["auth_token"]), timeout=10)


def test_a_first_read_finds_every_action_with_both_of_its_states(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("actions", now=NOW, since=SINCE)
    sales = {
        action_id(sale): sale for sale in sandbox.history.sales if SINCE <= sale.occurred <= NOW and not sale.bonus
    }
    words = {"PENDING": Status.PENDING, "APPROVED": Status.APPROVED, "REVERSED": Status.DECLINED}
    found_since = made_since(ours.earnings)
    assert {key: found.status for key, found in found_since.items()} == {
        key: words[state_at(sale, NOW)] for key, sale in sales.items()
    }
    paid = {key: sale.paid for key, sale in sales.items() if sale.paid and sale.paid <= NOW}
    assert {key: found.paid_at for key, found in found_since.items() if found.settlement is Settlement.PAID} == paid
    assert all(found.earned_at == sales[key].occurred for key, found in found_since.items())
    assert all(found.net > 0 for found in ours.earnings.values())  # also of what was lost
    titles = {record.external_id for record in ours.records.values() if isinstance(record, Program)}
    assert {found.program for found in ours.earnings.values()} == titles


def test_a_later_read_ends_where_reading_everything_anew_ends(sandbox: Sandbox) -> None:
    read = read_twice(sandbox, book, "actions", SINCE, 35)
    assert made_since(read.later) == made_since(read.anew)
    assert {(Status.PENDING, Status.APPROVED), (Status.APPROVED, Status.DECLINED)} <= read.moves
    assert read.changed("settlement")
    assert read.changed("net")


def test_a_ledger_ends_the_same_however_often_it_is_synced(sandbox: Sandbox, tmp_path: Path) -> None:
    long_ago = NOW - timedelta(days=500)  # before all that a sync looks back on
    told = []
    for name, days in (("often", (35, 20, 0)), ("once", (0,))):
        with World(f"sqlite:///{tmp_path / name}.db", tmp_path / name) as world:
            connect(world, sandbox, "impact", at=NOW - timedelta(days=days[0]), since=long_ago)
            for back in days:
                world.now = sandbox.now = NOW - timedelta(days=back)
                assert world.sync("impact").outcome == "ok"
            again = world.sync("impact")
            assert (again.outcome, again.new, again.changed) == ("ok", 0, 0)
            rows = world.earnings("impact").values()
            words = {"reversed": "declined"}  # who saw it approved knows more
            told.append({(row.external_id, words.get(row.status, row.status), row.settlement, row.net) for row in rows})
    assert told[0] == told[1]


def test_what_is_open_for_longer_than_any_window_is_asked_for_by_its_id(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    slow = [sale for sale in sandbox.history.sales if sale.programme.id == 80012 and sale.paid]
    late = next(sale for sale in slow if sale.paid and sale.paid - sale.validated > timedelta(days=140))
    assert late.paid is not None
    sandbox.now = late.paid - timedelta(hours=1)
    ours.read("actions", now=sandbox.now, since=late.occurred - timedelta(days=1))
    ours.records = {key: record for key, record in ours.records.items() if key[1] == action_id(late)}
    sandbox.now = late.paid + timedelta(hours=1)
    sandbox.forget_requests()
    ours.read("actions", now=sandbox.now, since=late.occurred)
    assert ours.earnings[action_id(late)].settlement is Settlement.PAID
    assert [line.path for line in sandbox.requests if line.path.endswith(action_id(late))]


def test_invoices_are_payouts_and_bring_the_bonuses_that_no_action_has(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    since = NOW - timedelta(days=365)

    def payouts() -> dict[str, PayoutStatus]:
        found = (record for record in ours.records.values() if isinstance(record, Payout))
        return {payout.external_id: payout.status for payout in found}

    sandbox.now = NOW - timedelta(days=1)
    ours.read("invoices", now=sandbox.now, since=since)
    waiting = {key for key, status in payouts().items() if status is PayoutStatus.PENDING}
    assert waiting
    assert waiting < payouts().keys()
    sandbox.now = NOW
    ours.read("invoices", now=NOW, since=since)
    assert set(payouts().values()) == {PayoutStatus.PAID}
    bonuses = [sale for sale in sandbox.history.sales if sale.bonus and sale.paid and since <= sale.paid <= NOW]
    found = list(ours.earnings.values())
    assert [(one.net, one.earned_at.month, one.kind) for one in found] == [
        (sale.commission, sale.occurred.month, Kind.BONUS) for sale in bonuses
    ]
    assert {one.payout_ref for one in found} <= payouts().keys()
    assert {one.settlement for one in found} == {Settlement.PAID}


def test_a_wrong_token_and_a_missing_scope_are_told_apart(sandbox: Sandbox) -> None:
    with pytest.raises(AuthRejected, match="Authentication failed") as wrong:
        book(sandbox, auth_token="wrong-token-0815").read("actions", now=NOW, since=SINCE)
    assert not isinstance(wrong.value, RightMissing)
    narrow = book(sandbox, auth_token=sandbox.credentials("impact")["auth_token"] + "-actions")
    narrow.read("actions", now=NOW, since=NOW)
    with pytest.raises(RightMissing, match="read access to Invoices"):
        narrow.read("invoices", now=NOW, since=SINCE)


def test_a_pause_is_as_long_as_impact_says(sandbox: Sandbox) -> None:
    sandbox.fail("impact", "rate_limited")
    with pytest.raises(RateLimited) as pause:
        book(sandbox).read("actions", now=NOW, since=SINCE)
    assert pause.value.retry_after_s == 42


def test_xml_in_the_place_of_json_is_not_taken_for_an_empty_answer(sandbox: Sandbox) -> None:
    sandbox.fail("impact", "error_body")
    with pytest.raises(UnexpectedData):
        book(sandbox).read("actions", now=NOW, since=SINCE)


def test_pages_that_never_end_are_left(sandbox: Sandbox) -> None:
    sandbox.fail("impact", "repeated_cursor", times=None)
    with pytest.raises(UnexpectedData, match="same cursor"):
        book(sandbox).read("actions", now=NOW, since=SINCE)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"StartDate": "2026-05-01T00:00:00Z", "EndDate": "2026-06-15T00:00:01Z"}, "StartDate"),
        ({"LockingDateStart": "2026-04-01T00:00:00Z", "LockingDateEnd": "2026-06-15T00:00:00Z"}, "LockingDateStart"),
        ({"StartDate": "2023-06-01T00:00:00Z", "EndDate": "2023-06-02T00:00:00Z"}, "StartDate"),
        ({"StartDate": "2026-06-01T00:00:00Z"}, "StartDate"),
        ({"ActionDateStart": "2026-06-01", "ActionDateEnd": "2026-06-02"}, "ActionDateStart"),
        ({"PageSize": "100"}, "PageSize"),
    ],
)
def test_a_broken_rule_is_a_bad_request_that_names_the_field(
    sandbox: Sandbox, http: requests.Session, params: dict[str, str], field: str
) -> None:
    answer = get(sandbox, http, "Actions", **params)
    assert (answer.status_code, answer.json()["Errors"][0]["Field"]) == (400, field)


def test_reading_years_ago_again_breaks_no_rule(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.state = {"through:update": "2026-06-15T09:00:00Z", "through:locking": "2026-06-15T09:00:00Z"}
    ours.read("actions", now=NOW, since=NOW - timedelta(days=1500))
    asked = [parse_qs(line.query) for line in sandbox.requests]
    assert {line.status for line in sandbox.requests} == {200}
    assert any("LockingDateStart" in query for query in asked)


def test_actions_come_in_pages_newest_first(sandbox: Sandbox, http: requests.Session) -> None:
    span = {"ActionDateStart": "2024-06-01T00:00:00Z", "ActionDateEnd": "2026-06-15T00:00:00Z"}
    first = get(sandbox, http, "Actions", **span, PageSize="2000").json()
    assert (len(first["Actions"]), first["@numpages"]) == (2000, "2")
    assert first["@nextpageuri"].startswith("/impact/Mediapartners/")
    second = get(sandbox, http, "Actions", **span, PageSize="2000", Page="2").json()
    assert second["@nextpageuri"] == ""
    days = [datetime.fromisoformat(row["EventDate"]) for row in first["Actions"] + second["Actions"]]
    assert days == sorted(days, reverse=True)
    assert len({row["Id"] for row in first["Actions"] + second["Actions"]}) == int(first["@total"])
