"""Daisycon in the sandbox keeps Daisycon's rules, and its connector reads it over HTTP."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import requests

from connectors.daisycon import connector
from tests.connectors.over_http import Book
from tests.demo.conftest import NOW
from tests.world import World
from tracker import connections
from tracker.connect.pace import NoPace
from tracker.demo.daisycon import amounts_of, status_of
from tracker.demo.server import Sandbox
from tracker.errors import AuthRejected, RateLimited, RightMissing, UnexpectedData
from tracker.records import Earning, Program, Status

SINCE = NOW - timedelta(days=200)
WORDS = {
    **dict.fromkeys(("open", "pending", "potential"), Status.PENDING),
    "approved": Status.APPROVED,
    **dict.fromkeys(("disapproved", "incasso"), Status.DECLINED),
}


def book(sandbox: Sandbox, **credentials: str) -> Book:
    found = Book(connector, sandbox.url("daisycon"), sandbox.credentials("daisycon") | credentials)
    found.pace = NoPace()
    return found


def by_sale(earnings: dict[str, Earning]) -> dict[int, list[Earning]]:
    found: dict[int, list[Earning]] = {}
    for key, earning in sorted(earnings.items()):
        found.setdefault(int(key.partition("-")[0], 16), []).append(earning)
    return found


def test_a_first_read_finds_every_part_with_its_status(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    ours.read("transactions", now=NOW, since=sandbox.history.start)
    sales = {sale.id: sale for sale in sandbox.history.sales if sale.occurred <= NOW}
    found = by_sale(ours.earnings)
    assert found.keys() == sales.keys()
    for number, parts in found.items():
        sale = sales[number]
        assert [(part.net, part.sale_amount) for part in parts] == amounts_of(sale, NOW)
        assert {part.status for part in parts} == {WORDS[status_of(sale, NOW)]}
        assert {part.earned_at for part in parts} == {sale.occurred}
    assert any(len(parts) == 2 for parts in found.values())
    assert {earning.provider_status for earning in ours.earnings.values()} == WORDS.keys()
    assert {earning.currency for earning in ours.earnings.values()} == {"EUR", "GBP"}
    assert any("page=2" in line.query for line in sandbox.requests)
    titles = {record.external_id for record in ours.records.values() if isinstance(record, Program)}
    assert titles == {earning.program for earning in ours.earnings.values()}


def test_a_daily_sync_finds_what_changed_and_renews_its_login(sandbox: Sandbox, tmp_path: Path) -> None:
    with World(f"sqlite:///{tmp_path / 'tracker.db'}", tmp_path / "data") as world:
        options, keys = {"base_url": sandbox.url("daisycon")}, sandbox.credentials("daisycon")
        world.now = sandbox.now = NOW - timedelta(days=35)
        connections.add(world.deps, "daisycon", "da", credentials=keys, options=options, since=SINCE)
        assert world.sync("da").outcome == "ok"
        before = world.earnings("da")
        sandbox.forget_requests()
        for days in (20, 0):
            world.now = sandbox.now = NOW - timedelta(days=days)
            assert world.sync("da").outcome == "ok"
        after = world.earnings("da")
    for number, parts in by_sale(after).items():
        sale = next(sale for sale in sandbox.history.sales if sale.id == number)
        assert {part.provider_status for part in parts} == {status_of(sale, NOW)}
        assert sum(Decimal(part.net) for part in parts) == sum(net for net, _ in amounts_of(sale, NOW))
    moves = {(row.status, after[key].status) for key, row in before.items()}
    assert {(Status.PENDING, Status.APPROVED), (Status.APPROVED, Status.REVERSED)} <= moves
    asked = [parse_qs(line.body)["refresh_token"][0] for line in sandbox.requests if line.method == "POST"]
    assert len(set(asked)) == 2
    assert keys["refresh_token"] not in asked  # each one serves once


def test_a_used_refresh_token_asks_for_a_new_login(sandbox: Sandbox) -> None:
    book(sandbox).read("transactions", now=NOW, since=NOW)
    with pytest.raises(AuthRejected, match="Log in") as refused:
        book(sandbox).read("transactions", now=NOW, since=NOW)
    assert sandbox.credentials("daisycon")["refresh_token"] not in str(refused.value)


@pytest.mark.parametrize("name", ["client_id", "client_secret", "refresh_token"])
def test_wrong_keys_are_refused_once(sandbox: Sandbox, name: str) -> None:
    with pytest.raises(AuthRejected, match="no access token") as refused:
        book(sandbox, **{name: "wrong-0815"}).read("transactions", now=NOW, since=NOW)
    assert "wrong-0815" not in str(refused.value)
    assert len(sandbox.requests) == 1


def test_another_publisher_cannot_be_read(sandbox: Sandbox) -> None:
    with pytest.raises(RightMissing, match="permission to read"):
        book(sandbox, publisher_id="1").read("transactions", now=NOW, since=NOW)


def test_nothing_new_is_an_empty_answer(sandbox: Sandbox) -> None:
    ours = book(sandbox)
    sandbox.now = sandbox.history.start
    ours.read("transactions", now=sandbox.now, since=sandbox.now)
    assert not ours.earnings
    assert sandbox.requests[-1].status == 204


@pytest.mark.parametrize(
    "params", [{"per_page": "1001"}, {"per_page": "0"}, {"page": "0"}, {"date_modified_start": "2026-05-01"}]
)
def test_a_broken_rule_is_a_bad_request(sandbox: Sandbox, http: requests.Session, params: dict[str, str]) -> None:
    client = sandbox.credentials("daisycon")["client_id"]
    headers = {"Authorization": f"Bearer {int(NOW.timestamp()) + 60}:{client}"}
    url = f"{sandbox.url('daisycon')}/publishers/389311/transactions"
    assert http.get(url, params=params, headers=headers, timeout=10).status_code == 400


def test_the_fifty_first_call_within_a_minute_is_throttled(sandbox: Sandbox, http: requests.Session) -> None:
    url = f"{sandbox.url('daisycon')}/publishers/389311/transactions"
    assert [http.get(url, timeout=10).status_code for _ in range(51)] == [401] * 50 + [429]
    assert connector.rates[0].calls < 50


def test_trouble_at_daisycon_is_named_by_what_is_to_be_done() -> None:
    for trouble, error in (
        ("rate_limited", RateLimited),
        ("error_body", UnexpectedData),
        ("repeated_cursor", UnexpectedData),
    ):
        with Sandbox(now=NOW, seed=7) as sandbox:
            sandbox.fail("daisycon", trouble, path="publishers", times=None)
            with pytest.raises(error):
                book(sandbox).read("transactions", now=NOW, since=NOW - timedelta(days=3))
