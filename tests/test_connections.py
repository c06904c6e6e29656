"""Connections: added only when they make sense, tried out, paused, given new keys, removed without a trace."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from tests.pretend import KEY, START, Reply, contract, earning
from tests.world import World, same_sums
from tracker import connections, inbound, schedule, tending, trial
from tracker.errors import AuthRejected, ConfigError, Unavailable, UsageError
from tracker.store.writes import connection_t
from tracker.vault import Vault

DAY = (START - timedelta(days=9)).date()


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
    tried = {one.resource: one for one in trial.try_out(ledger.deps, row)}
    assert {name for name, one in tried.items() if not one.readable} == {"contracts"}
    assert "does not allow this key to read contracts" in tried["contracts"].problem
    assert ledger.earnings() == {}


def test_trying_out_a_wrong_key_or_an_absent_provider_says_so(ledger: World) -> None:
    row = ledger.add("network")
    ledger.provider.key = "another"
    with pytest.raises(AuthRejected, match="refused the credentials"):
        trial.try_out(ledger.deps, row)
    ledger.provider.answers["/commissions"] = lambda asked: Reply(b"", 503)
    ledger.provider.key = KEY
    with pytest.raises(Unavailable):
        trial.try_out(ledger.deps, row)


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
    assert left.keys() <= {*one_each, "raw_batch", "page_digest", "setting", "daily_income"}
    assert list(world.earnings()) == ["c1"]


def test_tokens_are_sealed_and_survive_a_restart(world: World) -> None:
    row = world.add("network")
    tokens = connections.SealedTokens(world.deps, row, world.deps.http())
    tokens.save({"refresh_token": "rotated-4711"})
    assert connections.SealedTokens(world.deps, row, world.deps.http()).stored == {"refresh_token": "rotated-4711"}
    assert "rotated-4711" not in str(world.ask("select tokens from connection_secret"))
    with pytest.raises(ConfigError):
        world.deps.vault.unseal("other", world.ask("select tokens from connection_secret")[0][0])


# --- tending ---


def test_who_asks_for_a_sync_gets_it_at_once_in_quiet_hours_and_after_trouble_too(world: World) -> None:
    world.add("network", quiet="10:00-14:00")  # now it is noon in Berlin
    world.provider.answers["/commissions"] = lambda asked: Reply(b"", 503)
    assert world.sync("network").outcome == "failed"
    assert world.connection("network").next_sync_at > world.now
    tending.ask(world.deps, "network")
    row = world.connection("network")
    assert (row.next_sync_at, row.failures) == (world.now, 1)
    connections.pause(world.deps, "network")
    with pytest.raises(UsageError, match="network is paused"):
        tending.ask(world.deps, "network")


def test_a_connection_that_is_being_read_is_left_at_that(world: World) -> None:
    row = world.add("network")
    later = START + timedelta(hours=5)
    values = {"leased_until": START + timedelta(minutes=5), "leased_by": "elsewhere:1:0", "next_sync_at": later}
    with world.engine.begin() as conn:
        conn.execute(update(connection_t).where(connection_t.c.id == row.id).values(values))
    tending.ask(world.deps, "network")
    assert world.connection("network").next_sync_at == later
    for change in (lambda: tending.close(world.deps, "network"), lambda: tending.reread(world.deps, "network", DAY)):
        with pytest.raises(UsageError, match="being read just now"):
            change()
    assert world.connection("network").leased_by == "elsewhere:1:0"


@pytest.mark.parametrize(
    ("provider", "path"),
    [("network", "/commissions"), ("feed", "/sales"), ("changes", "/charges"), ("shop", "/orders")],
)
def test_what_was_missed_is_found_by_reading_again_and_nothing_doubles(world: World, provider: str, path: str) -> None:
    world.add(provider)
    for number in range(8):
        world.provider.put(path, earning(f"e{number}", START - timedelta(days=5 * number), kind="sale"))
    world.sync(provider)
    world.later(days=2)
    world.sync(provider)
    before = world.dump("earning", without=("created_at",))
    world.provider.put(path, earning("missed", START - timedelta(days=20), kind="sale"))
    world.later(hours=1)
    world.sync(provider)
    reads_it_all = "missed" in world.earnings()
    tending.reread(world.deps, provider, (START - timedelta(days=25)).date())
    assert world.connection(provider).next_sync_at == world.now
    report = world.sync(provider)
    assert (report.outcome, report.new, report.changed) == ("ok", 0 if reads_it_all else 1, 0)
    assert len(world.earnings()) == 9
    assert {str(row) for row in before["earning"]} <= {
        str(row) for row in world.dump("earning", without=("created_at",))["earning"]
    }
    same_sums(world)


def test_a_day_before_the_first_read_is_read_from_then_on(world: World) -> None:
    world.add("network", since=START - timedelta(days=10))
    world.provider.put("/commissions", earning("old", START - timedelta(days=40)))
    world.sync("network")
    assert world.earnings() == {}
    tending.reread(world.deps, "network", (START - timedelta(days=50)).date())
    assert world.sync("network").new == 1
    with pytest.raises(UsageError, match="has not come yet"):
        tending.reread(world.deps, "network", (START + timedelta(days=5)).date())


def test_a_reread_that_is_killed_goes_on(world: World) -> None:
    world.add("network")
    for number in range(9):
        world.provider.put("/commissions", earning(f"c{number}", START - timedelta(days=number)))
    world.sync("network")
    tending.reread(world.deps, "network", (START - timedelta(days=30)).date())
    world.provider.put("/commissions", earning("missed", START - timedelta(days=8)))
    for statement in range(1, 40, 6):
        if not world.killed_at(statement, "network"):
            break
    assert world.sync("network").outcome == "ok"
    assert len(world.earnings()) == 10


def test_a_closed_connection_keeps_its_earnings_forgets_its_keys_and_is_never_due(world: World) -> None:
    world.add("bank")
    world.provider.put("/movements", earning("m1", kind="sale", status="approved", payouts=["po"]))
    world.provider.put("/payouts", earning("po", status="paid"))
    world.sync("bank")
    kept = ("earning", "payout", "monthly_income", "raw_row", "raw_batch", "sync_run", "stream")
    before = world.dump(*kept)
    inbound.new_address(world.deps, "bank")
    assert tending.close(world.deps, "bank") == 1
    assert world.dump(*kept) == before
    row = world.connection("bank")
    assert connections.is_closed(row)
    assert schedule.standing(row, world.now, {}).state == "closed"
    assert world.ask("select count(*) from inbound_address") == [(0,)]
    [(sealed, tokens, webhook)] = world.ask("select credentials, tokens, webhook from connection_secret")
    assert (world.deps.vault.unseal("bank", sealed), tokens, webhook) == ({}, None, None)
    world.later(days=60)
    with world.engine.begin() as conn:
        schedule.repair(conn, world.now, world.deps.settings.zone)
        assert schedule.hand_out(conn, world.now, world.deps.settings.zone, 10) == ([], 0)
    for refused in (tending.ask, connections.resume, connections.pause, trial_of, tending.close):
        with pytest.raises(UsageError, match="bank is read no more: removed; its earnings are kept"):
            refused(world.deps, "bank")
    connections.replace_credentials(world.deps, "bank", {"key": KEY})
    assert (world.connection("bank").next_sync_at, world.connection("bank").paused_reason) == (world.now, None)
    assert world.sync("bank").new == 0
    connections.remove(world.deps, "bank")
    assert world.earnings() == {}


def trial_of(deps: connections.Deps, slug: str) -> object:
    return trial.try_out(deps, connections.find(deps.engine, slug))


# --- trying out before there is a connection ---


def test_credentials_are_tried_before_anything_is_stored(ledger: World) -> None:
    site = {"base_url": ledger.server.url}
    ledger.provider.answers["/contracts"] = lambda asked: Reply.json({}, 403)
    found = trial.before(ledger.deps, "pretend-bank", {"key": KEY}, site)
    assert found.trouble is None
    assert {one.resource for one in found.tried if not one.readable} == {"contracts"}
    refused = trial.before(ledger.deps, "pretend-bank", {"key": "wrong-key"}, site)
    assert isinstance(refused.trouble, AuthRejected)
    assert "wrong-key" not in str(refused.trouble)
    ledger.server.close()
    assert isinstance(trial.before(ledger.deps, "pretend-bank", {"key": KEY}, site).trouble, Unavailable)
    with pytest.raises(UsageError, match="needs key"):
        trial.before(ledger.deps, "pretend-bank", {}, site)
    assert connections.every(ledger.engine) == []
