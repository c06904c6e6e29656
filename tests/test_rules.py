"""Rules: the first that fits wins, what would move is told before, and every change reaches old earnings at once."""

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
from tracker import rules, streams
from tracker.errors import UsageError
from tracker.ledger import program_t
from tracker.rules import Rule
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


def save(world: World, stream: str, rule_id: int | None = None, **parts: Any) -> tuple[int, int]:
    """Id of the rule, and how many earnings moved."""
    number, moved = rules.save(world.deps, Rule(stream=stream, **parts), rule_id)
    return number, moved.earnings


def test_a_rule_moves_old_earnings_and_their_sums(world: World) -> None:
    streams.add_stream(world.deps, "Books")
    rule, moved = rules.save(world.deps, Rule(stream="books", product="e-book*"))
    assert moved.earnings == 6
    assert [(s.stream, s.earnings, s.net) for s in moved.streams] == [
        ("Network", -6, Decimal("-60.00")),
        ("Books", 6, Decimal("60.00")),
    ]
    assert held(world) == {"Network": 0, "Shop": 1, "Books": 6}
    assert same_sums(world)
    assert rules.remove(world.deps, rule).earnings == 6
    assert held(world) == {"Network": 6, "Shop": 1, "Books": 0}
    assert same_sums(world)


def test_a_plan_tells_what_would_move_and_saves_nothing(world: World) -> None:
    streams.add_stream(world.deps, "Books")
    before = world.dump("stream_rule", "earning", "monthly_income")
    found = rules.plan(world.engine, Rule(stream="books", program="Program 1"))
    assert found.earnings == 3
    (shift,) = found.shifts
    told = (shift.source, shift.target, shift.currency, shift.earnings, shift.net)
    assert told == ("Network", "Books", "EUR", 3, Decimal("30.00"))
    assert [(row.program, row.product, row.source, row.target) for row in found.rows] == [
        ("Program 1", "E-Book 50%", "Network", "Books")
    ] * 3
    assert found.rows[0].earned_at > found.rows[1].earned_at
    assert world.dump("stream_rule", "earning", "monthly_income") == before


def test_a_plan_shows_the_newest_earnings_one_by_one_and_sums_up_the_rest(world: World) -> None:
    streams.add_stream(world.deps, "Books")
    for number in range(25):
        at = START - timedelta(days=8 + number)
        world.provider.put("/commissions", earning(f"x{number}", at, program="many", net="1.00"))
    world.later(days=1)
    world.sync("network", since=START - timedelta(days=50))
    found = rules.plan(world.engine, Rule(stream="books", program="many"))
    assert (found.earnings, len(found.rows), found.shifts[0].net) == (25, rules.ROWS_SHOWN, Decimal(25))


def test_a_changed_rule_gives_back_what_it_no_longer_fits(world: World) -> None:
    streams.add_stream(world.deps, "Books")
    rule, _ = save(world, "books", program="p1")
    changed = Rule(stream="shop", program="p0")
    found = rules.plan(world.engine, changed, rule)
    assert [(s.source, s.target, s.earnings) for s in found.shifts] == [("Network", "Shop", 3), ("Books", "Network", 3)]
    assert rules.save(world.deps, changed, rule) == (rule, rules.moved_by(found.shifts))
    assert held(world) == {"Network": 3, "Shop": 4, "Books": 0}
    assert rules.rule_by_id(world.engine, rule) == Rule(stream="shop", program="p0", position=1)
    assert same_sums(world)


def test_a_rule_that_only_becomes_narrower_stays_in_its_place(world: World) -> None:
    for name in ("One", "Two"):
        streams.add_stream(world.deps, name)
    first, _ = save(world, "one", connection="network")
    save(world, "two", program="p*")
    assert save(world, "one", first, connection="network", program="p1") == (first, 3)
    assert held(world) == {"Network": 0, "Shop": 1, "One": 3, "Two": 3}
    assert rules.plan(world.engine, None, first).earnings == 3


def test_what_was_decided_by_hand_is_not_in_a_plan(world: World) -> None:
    streams.add_stream(world.deps, "Books")
    streams.override(world.deps, "network/c1", stream="Shop")
    assert rules.plan(world.engine, Rule(stream="books", program="p1")).earnings == 2
    assert save(world, "books", program="p1")[1] == 2
    assert held(world)["Shop"] == 2


def test_the_first_rule_that_fits_wins(world: World) -> None:
    for name in ("One", "Two"):
        streams.add_stream(world.deps, name)
    save(world, "one", program="p*", connection="network")
    second, moved = save(world, "two", program="p1")
    assert moved == 0
    assert rules.move(world.deps, second, 1).earnings == 3
    assert held(world) == {"Network": 0, "Shop": 1, "One": 3, "Two": 3}
    assert [rule["stream"] for rule in rules.every_rule(world.engine)] == ["Two", "One"]
    save(world, "one", kind="commission", position=1)
    assert held(world)["One"] == 6


@pytest.mark.parametrize(("pattern", "count"), [("E-Book 50%", 6), ("e-book 5%", 0), ("course_a", 1), ("Course?A", 0)])
def test_only_the_asterisk_stands_for_other_text(world: World, pattern: str, count: int) -> None:
    streams.add_stream(world.deps, "Books")
    assert save(world, "books", product=pattern)[1] == count


def test_new_earnings_follow_the_rules(world: World) -> None:
    streams.add_stream(world.deps, "Books")
    save(world, "books", program="p1")
    world.later(days=1)
    world.provider.put("/commissions", earning("c9", world.now - timedelta(hours=2), program="p1"))
    world.sync("network")
    assert held(world)["Books"] == 4


@pytest.mark.parametrize(
    "parts",
    [{}, {"program": "*"}, {"program": " "}, {"kind": "gift"}, {"product": "x" * 201}, {"connection": "nobody"}],
)
def test_a_rule_that_cannot_be_meant_is_refused(world: World, parts: dict[str, Any]) -> None:
    streams.add_stream(world.deps, "Books")
    with pytest.raises(UsageError):
        rules.plan(world.engine, Rule(stream="books", **parts))
    with pytest.raises(UsageError):
        rules.save(world.deps, Rule(stream="books", **parts))
    assert rules.every_rule(world.engine) == []


def test_a_rule_that_is_gone_cannot_be_changed(world: World) -> None:
    assert rules.rule_by_id(world.engine, 7) is None
    with pytest.raises(UsageError, match="there is no rule 7"):
        rules.remove(world.deps, 7)
    with pytest.raises(UsageError, match="there is no rule 7"):
        rules.move(world.deps, 7, 1)


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Ledger]:
    """Four programs with an earning each, and streams to give them to."""
    with Ledger(f"sqlite:///{tmp_path}/t.db", tmp_path) as ledger:
        for number in range(4):
            ledger.earning("awin", "1.00", "2026-06-03", program=f"p{number}")
            ledger.stream(f"S{number}")
        yield ledger


PATTERNS = st.sampled_from(["p*", "p0", "p1", "*1", "x"])
PLACES = st.none() | st.integers(1, 5)
#: A pattern and place for a new rule, or for one that is there (by its number), or the end of one.
STEPS = st.tuples(st.none() | st.integers(0, 3), st.none() | PATTERNS, PLACES)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=6))
def test_every_earning_is_in_the_stream_of_the_first_rule_that_fits_as_the_plan_said(
    programs: Ledger, steps: list[tuple[int | None, str | None, int | None]]
) -> None:
    deps: Any = type("Ground", (), {"engine": programs.engine, "settings": programs.settings})
    for rule in rules.every_rule(programs.engine):
        rules.remove(deps, rule["id"])
    for number, (which, pattern, position) in enumerate(steps):
        there = rules.every_rule(programs.engine)
        rule_id = there[which % len(there)]["id"] if which is not None and there else None
        new = Rule(stream=f"S{number % 4}", program=pattern, position=position) if pattern else None
        if new is None and rule_id is None:
            continue
        before = _streams_of(programs)
        planned = rules.plan(programs.engine, new, rule_id)
        if new is not None:
            rules.save(deps, new, rule_id)
        elif rule_id is not None:
            rules.remove(deps, rule_id)
        after = _streams_of(programs)
        assert planned.earnings == sum(before[key] != after[key] for key in before)
        assert {row.id for row in planned.rows} == {key[0] for key in before if before[key] != after[key]}
        order = rules.every_rule(programs.engine)
        assert [rule["position"] for rule in order] == list(range(1, len(order) + 1))
        for (_, program), stream in after.items():
            assert stream == next((rule["stream"] for rule in order if fnmatch(program, rule["program"])), "Awin")


def _streams_of(ledger: Ledger) -> dict[tuple[int, str], str]:
    titles = {number: title for title, number in ledger._streams.items()}
    with ledger.engine.connect() as conn:
        return {(row.id, row.program): titles[row.stream_id] for row in conn.execute(earning_t.select())}


def test_a_kind_is_found_whatever_its_case(world: World) -> None:
    streams.add_stream(world.deps, "Sold")
    assert save(world, "sold", kind="SALE")[1] == 1
    assert held(world) == {"Network": 6, "Shop": 0, "Sold": 1}
