"""All about one earning, and the user's word about many: complete, and right on both databases."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from tests.pretend import START, contract, earning
from tests.world import World, same_sums
from tracker import earning_story, overrides, rules, streams
from tracker.connect.plans import iso_z
from tracker.earning_story import Story
from tracker.errors import UsageError
from tracker.ledger import program_t
from tracker.rules import Rule
from tracker.store.reads import subscription_t
from tracker.store.writes import connection_t


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    """A network, and a shop whose orders are paid through a bank."""
    with World(database_url, tmp_path / "data") as world:
        put = world.provider.put
        for number in range(4):
            at = START - timedelta(days=number + 3)
            row = earning(f"c{number}", at, program=f"p{number % 2}", email="kim@example.com", currency="USD")
            put("/commissions", row)
        sold: dict[str, Any] = {"kind": "sale", "status": "approved", "updated": iso_z(START), "gateway_ref": "ch1"}
        put("/orders", earning("o1", net="30", product="Book", **sold))
        put("/movements", earning("m1", net="29", payouts=["po1"], subscription_ref="s1", origin_ref="m1", **sold))
        back = {**sold, "kind": "refund", "gateway_ref": "re1"}
        put("/movements", earning("m2", net="-4", payouts=[], origin_ref="m1", **back))
        put("/contracts", contract("s1"))
        put("/payouts", earning("po1", status="paid", net="29.00"))
        for slug in ("network", "shop", "bank"):
            world.add(slug)
            assert world.sync(slug).outcome == "ok"
        with world.engine.begin() as conn:
            title = {"connection_id": 1, "external_id": "p1", "title": "Hosting", "recurring": False}
            conn.execute(insert(program_t), [title])
        yield world


def story(world: World, slug: str, external_id: str) -> Story:
    found = earning_story.one(world.engine, world.deps.settings, world.earnings(slug)[external_id].id)
    assert found
    return found


def test_an_earning_shows_the_row_that_it_came_from_without_people(world: World) -> None:
    found = story(world, "network", "c1")
    assert found.provider == "Pretend Network"
    assert found.row["program"] == "Hosting"
    assert found.raw
    kept = json.loads(found.raw.text)
    assert kept["id"] == "c1"
    assert "email" not in kept
    assert found.raw.fetched_at == world.now
    assert found.raw.whole
    assert story(world, "bank", "m1").raw
    assert earning_story.one(world.engine, world.deps.settings, 999_999) is None


def test_a_long_row_is_cut(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(earning_story, "RAW_MAX", 20)
    raw = story(world, "network", "c1").raw
    assert raw
    assert len(raw.text) == 20
    assert not raw.whole


def test_an_earning_tells_what_changed(world: World) -> None:
    assert list(story(world, "network", "c0").changes) == []
    world.later(hours=2)
    row = earning("c0", START - timedelta(days=3), program="p0", currency="USD", status="approved", net="12.00")
    world.provider.put("/commissions", row | {"updated": iso_z(world.now)})
    world.sync("network")
    changes = [(one.what, one.old, one.new, one.changed_at) for one in story(world, "network", "c0").changes]
    assert sorted(changes) == [
        ("net", Decimal(10), Decimal(12), world.now), ("status", "pending", "approved", world.now),
    ]  # fmt: skip


def test_an_earning_names_payout_pair_subscription_and_corrections(world: World) -> None:
    paid = story(world, "bank", "m1")
    assert (paid.payout.external_id, paid.payout.amount) == ("po1", Decimal("29.00"))
    assert paid.subscription.external_id == "s1"
    with world.engine.begin() as conn:
        conn.execute(update(subscription_t).values(product="prod_1"))
        known = {"connection_id": paid.more.connection_id, "external_id": "prod_1", "recurring": False}
        conn.execute(insert(program_t), [{**known, "title": "Plan & more"}])
    assert story(world, "bank", "m1").subscription.title == "Plan & more"
    assert [row["external_id"] for row in paid.pairs] == ["o1"]
    assert [row["external_id"] for row in paid.related] == ["m2"]
    order = story(world, "shop", "o1")
    assert order.row["counted"] == "paired"
    assert [row["external_id"] for row in order.pairs] == ["m1"]
    assert (order.payout, order.subscription, order.related) == (None, None, [])
    assert [row["external_id"] for row in story(world, "bank", "m2").related] == ["m1"]


def test_an_earning_in_another_currency_tells_rate_and_day(world: World) -> None:
    found = story(world, "network", "c1").converted
    assert found
    assert found.rate
    assert found.day == date(2026, 6, 11)
    assert found.value == (Decimal(10) * found.rate).quantize(Decimal("0.000001"))
    assert story(world, "shop", "o1").converted is None


def test_an_earning_tells_why_it_is_in_its_stream(world: World) -> None:
    def told(external_id: str) -> tuple[str, str, Any]:
        found = story(world, "network", external_id).in_stream
        assert found.rule_slug == ("blog" if found.rule else None)
        return found.title, found.by, found.rule and found.rule.program

    assert told("c1") == ("Network", "connection", None)
    streams.add_stream(world.deps, "Blog")
    rules.save(world.deps, Rule(stream="blog", program="host*"))
    rules.save(world.deps, Rule(stream="blog", program="p1"))
    assert told("c1") == ("Blog", "rule", "host*")
    assert told("c0") == ("Network", "connection", None)
    overrides.override(world.deps, [world.earnings("network")["c1"].id], stream="shop")
    assert told("c1") == ("Shop", "override", "host*")


# --- the user's word about many ---


def ids(world: World, *names: str) -> list[int]:
    every = {**world.earnings("network"), **world.earnings("shop"), **world.earnings("bank")}
    return [every[name].id for name in names]


def state(world: World) -> dict[str, tuple[str, str, int]]:
    return {name: (row.recurrence, row.recurrence_by, row.stream_id) for name, row in world.earnings().items()}


def test_many_earnings_of_several_connections_are_decided_at_once(world: World) -> None:
    before = state(world)
    chosen = ids(world, "c0", "c1", "o1")
    done = overrides.override(world.deps, [*chosen, chosen[0], 999_999], recurrence="recurring", stream="Bank")
    assert (done.earnings, done.busy) == (3, [])
    bank = world.connection("bank").stream_id
    after = state(world)
    assert {after[name] for name in ("c0", "c1", "o1")} == {("recurring", "override", bank)}
    assert {name: after[name] for name in ("c2", "c3")} == {name: before[name] for name in ("c2", "c3")}
    same_sums(world)
    overrides.override(world.deps, chosen, clear=True)
    assert state(world) == before
    same_sums(world)


def test_a_word_about_one_thing_leaves_the_other(world: World) -> None:
    chosen = ids(world, "c0")
    overrides.override(world.deps, chosen, stream="shop")
    overrides.override(world.deps, chosen, recurrence="variable")
    assert state(world)["c0"] == ("variable", "override", world.connection("shop").stream_id)


def test_a_connection_that_is_being_synced_is_left_alone_and_named(world: World) -> None:
    with world.engine.begin() as conn:
        busy = {"leased_until": world.now + timedelta(minutes=5), "leased_by": "another:1:0"}
        conn.execute(update(connection_t).where(connection_t.c.slug == "network").values(busy))
    before = state(world)
    done = overrides.override(world.deps, ids(world, "c0", "o1"), recurrence="recurring")
    assert (done.earnings, done.busy) == (1, ["network"])
    assert state(world)["c0"] == before["c0"]
    assert state(world)["o1"][0] == "recurring"


@pytest.mark.parametrize(
    "what",
    [
        {}, {"recurrence": "often"}, {"stream": "nothing"}, {"clear": True, "stream": "shop"}, {"recurrence": ""},
    ],
)  # fmt: skip
def test_a_word_that_cannot_be_meant_is_refused(world: World, what: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        overrides.override(world.deps, ids(world, "c0"), **what)
    for none in ([], list(range(1, overrides.MOST + 2))):
        with pytest.raises(UsageError, match="chosen"):
            overrides.override(world.deps, none, recurrence="recurring")
