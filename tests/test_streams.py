"""Streams, marks and overrides: every change takes effect on old earnings at once."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from tests.pretend import START, earning
from tests.world import World
from tracker import streams
from tracker.errors import UsageError
from tracker.ledger import program_t
from tracker.store import rollup


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        world.add("network")
        world.add("shop")
        for number in range(6):
            row = earning(f"c{number}", START - timedelta(days=number), program=f"p{number % 2}", product="E-Book 50%")
            world.provider.put("/commissions", row)
        world.provider.put("/orders", earning("w1", kind="sale", status="approved", product="Course_A"))
        for slug in ("network", "shop"):
            world.sync(slug)
        with world.engine.begin() as conn:
            rows = [
                {"connection_id": 1, "external_id": f"p{n}", "title": f"Program {n}", "recurring": False}
                for n in (0, 1)
            ]
            conn.execute(insert(program_t), rows)
        yield world


def held(world: World) -> dict[str, int]:
    return {row["title"]: row["earnings"] for row in streams.every_stream(world.engine)}


def same_sums(world: World) -> bool:
    kept = world.dump("monthly_income")
    with world.engine.begin() as conn:
        rollup.rebuild(conn)
    return world.dump("monthly_income") == kept


def test_a_stream_with_earnings_goes_only_into_another(world: World) -> None:
    with pytest.raises(UsageError, match="has earnings or connections"):
        streams.remove_stream(world.deps, "Network")
    assert streams.remove_stream(world.deps, "Network", into="Shop") == 6
    assert held(world) == {"Shop": 7}
    assert same_sums(world)
    assert world.sync("network").outcome == "ok"
    streams.add_stream(world.deps, "Empty")
    assert streams.remove_stream(world.deps, "Empty") == 0


def test_names_of_streams_are_told_apart_by_their_slugs(world: World) -> None:
    assert streams.add_stream(world.deps, "My  E-Book!") == "my-e-book"
    for name in ("my e book", "", "x" * 81):
        with pytest.raises(UsageError):
            streams.add_stream(world.deps, name)
    assert streams.rename_stream(world.deps, "My E-Book!", "Guide") == "guide"
    with pytest.raises(UsageError, match="There are: Guide, Network, Shop"):
        streams.rename_stream(world.deps, "my-e-book", "Other")


def test_a_stream_says_how_it_earns(world: World) -> None:
    streams.add_stream(world.deps, "Guide", "  digital   product ", "one_to_many")
    told = {row["slug"]: (row["business_model"], row["delivery"]) for row in streams.every_stream(world.engine)}
    assert told["guide"] == ("digital product", "one_to_many")
    streams.describe_stream(world.deps, "guide", None, None)
    told = {row["slug"]: (row["business_model"], row["delivery"]) for row in streams.every_stream(world.engine)}
    assert told["guide"] == (None, None)
    for model, delivery in (("x" * 61, None), (None, "by_hand")):
        with pytest.raises(UsageError):
            streams.describe_stream(world.deps, "guide", model, delivery)


@pytest.mark.parametrize(
    ("by", "expected"), [(1, ["b", "a", "c"]), (9, ["b", "c", "a"]), (0, ["a", "b", "c"]), (-1, ["a", "b", "c"])]
)
def test_streams_stand_as_the_user_arranges_them(world: World, by: int, expected: list[str]) -> None:
    for name in ("network", "shop"):
        streams.remove_stream(world.deps, name, into=streams.add_stream(world.deps, "b" if name == "network" else "c"))
    streams.add_stream(world.deps, "a")
    streams.move_stream(world.deps, "a", -9)
    assert [slug for slug, _ in streams.names(world.engine)] == ["a", "b", "c"]
    streams.move_stream(world.deps, "a", by)
    assert [slug for slug, _ in streams.names(world.engine)] == expected


def test_a_marked_program_is_recurring_until_the_mark_goes(world: World) -> None:
    assert streams.mark_program(world.deps, "network", "Program 1", True) == 3
    rows = world.earnings("network")
    assert (rows["c1"].recurrence, rows["c1"].recurrence_by, rows["c0"].recurrence) == (
        "recurring",
        "program",
        "one_off",
    )
    assert [row["program"] for row in streams.every_program(world.engine, marked=True)[0]] == ["p1"]
    assert same_sums(world)
    streams.mark_program(world.deps, "network", "p1", False)
    assert world.earnings("network")["c1"].recurrence == "one_off"
    with pytest.raises(UsageError, match="no program of network"):
        streams.mark_program(world.deps, "network", "p7", True)


def test_the_users_word_about_an_earning_wins_and_can_be_taken_back(world: World) -> None:
    row = streams.override(world.deps, "network/c1", recurrence="instalment", stream="Shop")
    assert (row.recurrence, row.recurrence_by, row.stream) == ("instalment", "override", "Shop")
    assert same_sums(world)
    row = streams.override(world.deps, str(row.id), clear=True)
    assert (row.recurrence, row.recurrence_by, row.stream) == ("one_off", "default", "Network")


@pytest.mark.parametrize(
    ("name", "what"),
    [("network/zzz", {"clear": True}), ("c1", {"clear": True}), ("network/c1", {}),
     ("network/c1", {"recurrence": "often"}), ("network/c1", {"clear": True, "stream": "Shop"})],
)  # fmt: skip
def test_an_override_that_cannot_be_meant_is_refused(world: World, name: str, what: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        streams.override(world.deps, name, **what)
