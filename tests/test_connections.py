"""Connections: added only when they make sense, tried out, paused, given new keys, removed without a trace."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pretend import KEY, START, Reply, contract, earning
from tests.world import World
from tracker import connections
from tracker.connections import try_out
from tracker.errors import AuthRejected, ConfigError, Unavailable, UsageError
from tracker.vault import Vault


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        yield world


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[World]:
    """On SQLite only, for what has nothing to do with the database."""
    with World(f"sqlite:///{tmp_path}/tracker.db", tmp_path / "data") as world:
        yield world


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"slug": "Bad Slug"}, "not a slug"),
        ({"slug": "-a"}, "not a slug"),
        ({"slug": "a" * 41}, "not a slug"),
        ({"credentials": {}}, "needs key"),
        ({"credentials": {"key": "  "}}, "needs key"),
        ({"credentials": {"key": KEY, "secret": "x"}}, "has no credential 'secret'"),
        ({"options": {"colour": "red"}}, "has no option 'colour'"),
        ({"options": {}}, "your site's address"),
        ({"options": {"base_url": "http://192.0.2.1"}}, "must be reached by https"),
    ],
)
def test_a_connection_that_cannot_work_is_not_stored(ledger: World, more: dict[str, Any], fault: str) -> None:
    with pytest.raises(UsageError, match=fault) as refused:
        ledger.add("network", **more)
    assert KEY not in str(refused.value)
    assert connections.every(ledger.engine) == []


def test_a_connection_is_due_at_once_and_has_a_stream(world: World) -> None:
    row = world.add("network", "gear", title="Gear reviews")
    assert (row.next_sync_at, row.role, row.provider) == (START, "cash", "pretend-network")
    assert world.add("club").role == "enrichment"
    assert world.ask("select title from stream order by id") == [("Gear reviews",), ("Club",)]
    with pytest.raises(UsageError, match="there is a connection 'gear' already"):
        world.add("network", "gear")


def test_two_connections_may_share_a_stream(ledger: World) -> None:
    first, second = ledger.add("network", "a", stream="Reviews"), ledger.add("shop", "b", stream="reviews")
    assert first.stream_id == second.stream_id


def test_an_unknown_connection_names_those_there_are(world: World) -> None:
    with pytest.raises(UsageError, match="tracker connection add"):
        connections.find(world.engine, "nope")
    world.add("network", "gear")
    with pytest.raises(UsageError, match=r"no connection is called 'nope'\. There are: gear\."):
        connections.find(world.engine, "nope")


def test_credentials_are_sealed_and_belong_to_their_connection(world: World) -> None:
    world.add("network", "a")
    world.add("network", "b", credentials={"key": "other-key"})
    [(sealed,), _] = world.ask("select credentials from connection_secret order by connection_id")
    assert KEY not in sealed
    with world.engine.begin() as conn:
        conn.exec_driver_sql("update connection_secret set credentials = (select s.credentials from connection_secret s"
                             " where s.connection_id = 1) where connection_id = 2")  # fmt: skip
    report = world.sync("b")
    assert (report.outcome, report.error) == ("failed", "ConfigError")
    assert "belong to the connection a" in str(report.message)


def test_a_lost_key_file_is_said_and_new_credentials_repair_it(ledger: World, tmp_path: Path) -> None:
    ledger.add("network")
    (ledger.folder / "tracker.key").unlink()
    ledger.deps.vault = Vault.open(ledger.deps.settings)
    report = ledger.sync("network")
    assert (report.outcome, report.error) == ("failed", "ConfigError")
    assert ledger.connection("network").leased_by is None
    connections.replace_credentials(ledger.deps, "network", {"key": KEY})
    assert ledger.sync("network").outcome == "ok"


def test_trying_out_names_the_missing_right(ledger: World) -> None:
    row = ledger.add("bank")
    ledger.provider.answers["/contracts"] = lambda asked: Reply.json({}, 403)
    tried = {one.resource: one for one in try_out(ledger.deps, row)}
    assert {name for name, one in tried.items() if not one.readable} == {"contracts"}
    assert "does not allow this key to read contracts" in tried["contracts"].problem
    assert ledger.earnings() == {}


def test_trying_out_a_wrong_key_or_an_absent_provider_says_so(ledger: World) -> None:
    row = ledger.add("network")
    ledger.provider.key = "another"
    with pytest.raises(AuthRejected, match="refused the credentials"):
        try_out(ledger.deps, row)
    ledger.provider.answers["/commissions"] = lambda asked: Reply(b"", 503)
    ledger.provider.key = KEY
    with pytest.raises(Unavailable):
        try_out(ledger.deps, row)


def test_pausing_and_resuming(world: World) -> None:
    world.add("network")
    connections.pause(world.deps, "network", "holidays")
    assert world.connection("network").paused_reason == "holidays"
    world.later(hours=1)
    connections.resume(world.deps, "network")
    row = world.connection("network")
    assert (row.paused_at, row.paused_reason, row.next_sync_at) == (None, None, world.now)


def test_new_credentials_are_checked_before_they_replace_the_old(ledger: World) -> None:
    ledger.add("network")
    with pytest.raises(UsageError):
        connections.replace_credentials(ledger.deps, "network", {"wrong": "x"})
    assert ledger.sync("network").outcome == "ok"


def test_a_removed_connection_leaves_nothing_but_its_stream(world: World) -> None:
    for slug in ("bank", "network"):
        world.add(slug)
    world.provider.put("/movements", earning("m1", kind="sale", status="approved", payouts=["po"]))
    world.provider.put("/movements", earning("bad", status="odd", payouts=[]))
    world.provider.put("/payouts", earning("po", status="paid"))
    world.provider.put("/contracts", contract("s1"))
    world.provider.put("/commissions", earning("c1"))
    for slug in ("bank", "network"):
        world.sync(slug)
    assert connections.remove(world.deps, "bank") == 1
    left = {name: len(rows) for name, rows in world.dump().items() if rows}
    assert left.pop("stream") == 2
    one_each = ("connection", "connection_secret", "earning", "monthly_income", "resource_state", "raw_row", "sync_run")
    assert {name: left[name] for name in one_each} == dict.fromkeys(one_each, 1)
    assert left.keys() <= {*one_each, "raw_batch", "page_digest", "setting"}
    assert list(world.earnings()) == ["c1"]


def test_tokens_are_sealed_and_survive_a_restart(world: World) -> None:
    row = world.add("network")
    tokens = connections.SealedTokens(world.deps, row, world.deps.http())
    tokens.save({"refresh_token": "rotated-4711"})
    assert connections.SealedTokens(world.deps, row, world.deps.http()).stored == {"refresh_token": "rotated-4711"}
    assert "rotated-4711" not in str(world.ask("select tokens from connection_secret"))
    with pytest.raises(ConfigError):
        world.deps.vault.unseal("other", world.ask("select tokens from connection_secret")[0][0])
