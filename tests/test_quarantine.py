"""The quarantine: rows that could not be understood are kept, shown, and tried again when it can be."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import pretend
from tests.pretend import earning
from tests.world import World
from tracker import quarantine
from tracker.connect import catalog
from tracker.connect.fields import one_of
from tracker.errors import UsageError
from tracker.records import Status


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        world.add("network")
        yield world


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The network's connector learns words for a status."""

    def learn(**words: Status) -> None:
        known = one_of("status", {**{str(status): status for status in Status}, **words})
        resource = pretend.network.resources[0]
        maker = resource.makes[0]
        reads = tuple((name, known.read if name == "status" else read) for name, read in maker.reads)
        resource = msgspec.structs.replace(resource, makes=(msgspec.structs.replace(maker, reads=reads),))
        monkeypatch.setattr(pretend, "network", msgspec.structs.replace(pretend.network, resources=(resource,)))
        catalog.forget()

    yield learn
    monkeypatch.undo()
    catalog.forget()


def put(world: World, row_id: str, status: str, **more: Any) -> None:
    updated = (world.now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    world.provider.put("/commissions", earning(row_id, status=status, updated=updated, **more))
    world.sync("network")


def test_a_row_that_is_still_not_understood_stays_and_counts_another_try(world: World) -> None:
    put(world, "c1", "confirmed")
    (tried,) = quarantine.retry(world.deps)
    assert (tried.slug, tried.tried, tried.understood, tried.held) == ("network", 1, 0, 1)
    (row,), total = quarantine.held(world.engine)
    assert (total, row.tries, row.connection) == (1, 2, "network")
    assert "unknown word 'confirmed'" in row.error


def test_a_row_that_is_understood_now_becomes_an_earning_and_leaves(world: World, learned: Any) -> None:
    put(world, "c1", "confirmed", customer="Ann@x.example")
    put(world, "c2", "pending", customer="ann@x.example")
    learned(confirmed=Status.APPROVED)
    (tried,) = quarantine.retry(world.deps, connection_id=world.connection("network").id)
    assert (tried.tried, tried.understood, tried.held) == (1, 1, 0)
    assert world.earnings()["c1"].status == "approved"
    assert quarantine.held(world.engine) == ([], 0)
    assert world.ask("select count(*) from raw_row") == [(2,)]
    assert world.ask("select sum(earnings) from monthly_income") == [(2,)]
    assert quarantine.retry(world.deps) == []


def test_people_keep_their_stand_in_when_a_row_is_tried_again(world: World, learned: Any) -> None:
    put(world, "c1", "confirmed", customer="Ann@x.example")
    (row,), _ = quarantine.held(world.engine)
    before = msgspec.json.decode(quarantine.one(world.engine, row.id).payload)["customer"]
    learned(confirmed=Status.APPROVED)
    quarantine.retry(world.deps)
    from tracker.store.writes import raw_batch_t, unpack_batch

    with world.engine.connect() as conn:
        blob = conn.execute(raw_batch_t.select()).one().rows
    assert msgspec.json.decode(unpack_batch(bytes(blob))[0])["customer"] == before
    assert before.startswith("p_")


def test_a_known_earning_gets_its_newer_version_with_history(world: World, learned: Any) -> None:
    put(world, "c1", "pending")
    world.later(days=1)
    put(world, "c1", "confirmed")
    learned(confirmed=Status.APPROVED)
    quarantine.retry(world.deps)
    assert world.earnings()["c1"].status == "approved"
    assert world.ask("select what, old, new from earning_change") == [("status", "pending", "approved")]


def test_an_older_version_waits_for_the_newest(world: World, learned: Any) -> None:
    put(world, "c1", "confirmed")
    world.later(days=1)
    put(world, "c1", "sealed")
    learned(confirmed=Status.APPROVED)
    (tried,) = quarantine.retry(world.deps)
    assert (tried.understood, tried.held, tried.waiting) == (0, 1, 1)
    assert world.earnings() == {}
    learned(sealed=Status.DECLINED)
    quarantine.retry(world.deps)
    assert world.earnings()["c1"].status == "declined"
    assert quarantine.held(world.engine) == ([], 0)


def test_only_an_explicit_id_decides_between_two_rows_with_one_id(world: World) -> None:
    rows = [earning("c1", net="1.00"), earning("c1", net="2.00")]
    world.provider.answers["/commissions"] = lambda asked: pretend.Reply.json({"rows": rows, "next": None})
    world.sync("network")
    (tried,) = quarantine.retry(world.deps)
    assert (tried.tried, tried.undecided) == (0, 1)
    assert str(world.earnings()["c1"].net) == "1.000000"
    (row,), _ = quarantine.held(world.engine)
    (tried,) = quarantine.retry(world.deps, ids=[row.id])
    assert tried.understood == 1
    assert str(world.earnings()["c1"].net) == "2.000000"


def test_a_row_without_an_id_stays(world: World) -> None:
    row = earning("c1") | {"id": None}
    world.provider.answers["/commissions"] = lambda asked: pretend.Reply.json({"rows": [row], "next": None})
    world.sync("network")
    (tried,) = quarantine.retry(world.deps)
    assert (tried.held, quarantine.held(world.engine)[1]) == (1, 1)


def test_an_unknown_id_is_refused(world: World) -> None:
    with pytest.raises(UsageError, match="no row 4711 is in quarantine"):
        quarantine.retry(world.deps, ids=[4711])
    with pytest.raises(UsageError, match="no row 4711 is in quarantine"):
        quarantine.one(world.engine, 4711)
