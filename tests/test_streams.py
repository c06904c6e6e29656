"""Streams, rules, marks and overrides: every change takes effect on old earnings at once."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from tests.pretend import START, earning
from tests.rows import Ledger
from tests.world import World
from tracker import streams
from tracker.errors import UsageError
from tracker.ledger import program_t
from tracker.store import rollup
from tracker.store.writes import earning_t


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


def test_a_rule_moves_old_earnings_and_their_sums(world: World) -> None:
    streams.add_stream(world.deps, "Books")
    rule, moved = streams.add_rule(world.deps, "books", {"product": "e-book*"})
    assert moved.earnings == 6
    assert [(s.stream, s.earnings, s.net) for s in moved.streams] == [
        ("Network", -6, Decimal("-60.00")),
        ("Books", 6, Decimal("60.00")),
    ]
    assert held(world) == {"Network": 0, "Shop": 1, "Books": 6}
    assert same_sums(world)
    assert streams.remove_rule(world.deps, rule).earnings == 6
    assert held(world) == {"Network": 6, "Shop": 1, "Books": 0}
    assert same_sums(world)


def test_a_dry_run_says_what_would_move_and_saves_nothing(world: World) -> None:
    streams.add_stream(world.deps, "Books")
    before = world.dump("stream_rule", "earning", "monthly_income")
    _, moved = streams.add_rule(world.deps, "Books", {"program": "Program 1"}, dry_run=True)
    assert moved.earnings == 3
    assert world.dump("stream_rule", "earning", "monthly_income") == before


def test_the_first_rule_that_fits_wins(world: World) -> None:
    for name in ("One", "Two"):
        streams.add_stream(world.deps, name)
    streams.add_rule(world.deps, "One", {"program": "p*"}, connection="network")
    second, moved = streams.add_rule(world.deps, "Two", {"program": "p1"})
    assert moved.earnings == 0
    assert streams.move_rule(world.deps, second, 1).earnings == 3
    assert held(world) == {"Network": 0, "Shop": 1, "One": 3, "Two": 3}
    assert [rule["stream"] for rule in streams.every_rule(world.engine)] == ["Two", "One"]
    streams.add_rule(world.deps, "One", {"kind": "commission"}, position=1)
    assert held(world)["One"] == 6


@pytest.mark.parametrize(("pattern", "count"), [("E-Book 50%", 6), ("e-book 5%", 0), ("course_a", 1), ("Course?A", 0)])
def test_only_the_asterisk_stands_for_other_text(world: World, pattern: str, count: int) -> None:
    streams.add_stream(world.deps, "Books")
    assert streams.add_rule(world.deps, "Books", {"product": pattern})[1].earnings == count


def test_new_earnings_follow_the_rules(world: World) -> None:
    streams.add_stream(world.deps, "Books")
    streams.add_rule(world.deps, "Books", {"program": "p1"})
    world.later(days=1)
    world.provider.put("/commissions", earning("c9", world.now - timedelta(hours=2), program="p1"))
    world.sync("network")
    assert held(world)["Books"] == 4


@pytest.mark.parametrize("parts", [{}, {"program": "*"}, {"program": " "}, {"kind": "gift"}, {"product": "x" * 201}])
def test_a_rule_that_cannot_be_meant_is_refused(world: World, parts: dict[str, Any]) -> None:
    streams.add_stream(world.deps, "Books")
    with pytest.raises(UsageError):
        streams.add_rule(world.deps, "Books", parts)


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


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Ledger]:
    """Four programs with an earning each, and streams to give them to."""
    with Ledger(f"sqlite:///{tmp_path}/t.db", tmp_path) as ledger:
        for number in range(4):
            ledger.earning("awin", "1.00", "2026-06-03", program=f"p{number}")
            ledger.stream(f"S{number}")
        yield ledger


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["p*", "p0", "p1", "*1", "x"]), st.none() | st.integers(1, 5)), max_size=4))
def test_every_earning_is_in_the_stream_of_the_first_rule_that_fits(
    programs: Ledger, rules: list[tuple[str, int | None]]
) -> None:
    deps: Any = type("Ground", (), {"engine": programs.engine, "settings": programs.settings})
    for rule in streams.every_rule(programs.engine):
        streams.remove_rule(deps, rule["id"])
    for number, (pattern, position) in enumerate(rules):
        streams.add_rule(deps, f"S{number}", {"program": pattern}, position=position)
    order = streams.every_rule(programs.engine)
    titles = {number: title for title, number in programs._streams.items()}
    with programs.engine.connect() as conn:
        for row in conn.execute(earning_t.select()):
            fits = (rule["stream"] for rule in order if fnmatch(row.program, rule["program"]))
            assert titles[row.stream_id] == next(fits, "Awin")
