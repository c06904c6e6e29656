"""Sample data: it fills an empty ledger, keeps away from real accounts, asks nobody later, goes without a trace."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from tests.world import World, same_sums
from tracker import connections, sample, schedule
from tracker.cli import sampling
from tracker.connect.session import http_session
from tracker.demo.server import Sandbox
from tracker.errors import UsageError
from tracker.overview import overview

NOW = datetime(2026, 10, 20, 10, tzinfo=UTC)


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        world.now = NOW
        yield world


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path}/tracker.db", tmp_path / "data") as world:
        world.now = NOW
        yield world


def test_the_sample_fills_an_empty_ledger_and_goes_without_a_trace(world: World) -> None:
    before = world.dump(without=("value",))
    assert not sample.present(world.engine)
    sampling.play(world.deps).join(120)
    assert sample.present(world.engine)
    assert sample.slugs(world.engine) == ["awin", "cj", "ghost", "stripe", "woocommerce"]
    assert world.ask("select outcome, count(*) from sync_run group by outcome") == [("ok", 5)]
    assert world.ask("select count(*) from quarantine") == [(0,)]
    earned = world.earnings()
    assert len(earned) > 1000
    assert max(row.earned_at for row in earned.values()) > NOW - timedelta(days=3)  # it is a story of today
    same_sums(world)
    with pytest.raises(UsageError, match="here already"):
        sampling.play(world.deps)
    assert sample.remove(world.deps) == len(earned)
    after = world.dump(without=("value",))
    assert after.pop("setting") >= before.pop("setting")  # what says that sums are kept by the day stays
    assert after == before
    with pytest.raises(UsageError, match="no sample data"):
        sample.remove(world.deps)


def test_nothing_of_the_sample_is_ever_due_failing_or_stale(ledger: World) -> None:
    sampling.play(ledger.deps).join(120)
    ledger.later(days=90)  # the sandbox is long gone
    rows = connections.every(ledger.engine)
    assert {schedule.standing(row, ledger.now, {}).state for row in rows} == {"closed"}
    with ledger.engine.begin() as conn:
        schedule.repair(conn, ledger.now, ledger.deps.settings.zone)
        assert schedule.hand_out(conn, ledger.now, ledger.deps.settings.zone, 10) == ([], 0)
    assert overview(ledger.engine, ledger.deps.settings, ledger.now).troubled == ()
    kept = {"".join(map(str, row)) for row in ledger.ask("select credentials, tokens from connection_secret")}
    assert len(kept) == 5


def test_a_sample_that_was_cut_short_is_closed_at_the_next_start(ledger: World) -> None:
    with Sandbox(now=NOW, rate_limits=False) as sandbox:
        played = {name: sample.Source(sandbox.url(name), sandbox.credentials(name)) for name in ("cj", "awin")}
        sample.begin(ledger.deps, played)
    assert [row.next_sync_at > NOW + timedelta(days=29) for row in connections.every(ledger.engine)] == [True, True]
    sample.settle(ledger.deps)
    assert all(map(connections.is_closed, connections.every(ledger.engine)))
    sample.settle(ledger.deps)
    assert sample.remove(ledger.deps) == 0
    assert connections.every(ledger.engine) == []


def test_a_sample_that_is_removed_while_it_is_read_is_gone(ledger: World) -> None:
    with Sandbox(now=NOW, rate_limits=False) as sandbox:
        played = {name: sample.Source(sandbox.url(name), sandbox.credentials(name)) for name in ("cj", "awin")}
        sample.begin(ledger.deps, played)
        opened: list[requests.Session] = []

        def http() -> requests.Session:
            opened.append(http_session(allow_private=True))
            if len(opened) == 2:  # as its second connection is about to be read
                sample.remove(ledger.deps)
            return opened[-1]

        ledger.deps.http = http
        sample.fill(ledger.deps)
    assert connections.every(ledger.engine) == []
    assert ledger.earnings() == {}
    assert ledger.ask("select count(*) from stream") == [(0,)]


def test_the_sample_stays_out_of_a_ledger_with_own_connections(ledger: World) -> None:
    ledger.add("network")
    with pytest.raises(UsageError, match="connections of your own"):
        sampling.play(ledger.deps)
    assert [row.slug for row in connections.every(ledger.engine)] == ["network"]
    assert not sample.present(ledger.engine)


def test_a_stream_that_was_there_before_or_is_used_by_now_stays(ledger: World) -> None:
    own = ledger.add("network", stream="Shop")
    connections.remove(ledger.deps, "network")
    with Sandbox(now=NOW, rate_limits=False) as sandbox:
        sample.begin(ledger.deps, {"cj": sample.Source(sandbox.url("cj"), sandbox.credentials("cj"))})
    ledger.add("shop", stream="Gear reviews")
    sample.remove(ledger.deps)
    assert ledger.ask("select title from stream order by title") == [("Gear reviews",), ("Shop",)]
    assert ledger.ask("select count(*) from stream_rule") == [(0,)]
    assert ledger.ask("select id from stream where title = 'Shop'") == [(own.stream_id,)]
