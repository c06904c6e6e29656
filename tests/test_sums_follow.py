"""Syncs, rules, decisions, rebuilding, removing: after each of them the kept sums are those of the earnings."""

from datetime import timedelta
from pathlib import Path
from random import Random

from tests.pretend import earning
from tests.recount import Book
from tests.world import World
from tracker import connections, overrides, rebuild, reports, rules, streams
from tracker.connect.plans import iso_z
from tracker.doctor import examine
from tracker.revalue import revalue
from tracker.rules import Rule
from tracker.store.reads import By


def test_whatever_is_written_the_sums_follow(database_url: str, tmp_path: Path) -> None:
    with World(database_url, tmp_path / "data") as world:
        revalue(world.engine, world.deps.settings)
        chance = Random(5)

        def arrive(status: str) -> None:
            for number in range(30):
                at = world.now - timedelta(days=number * 2, hours=number)
                more = {"currency": chance.choice(["EUR", "USD"]), "product": chance.choice(["a", "b"])}
                row = earning(f"r{number}", at, net=str(number + 1), program=f"p{number % 3}", status=status, **more)
                world.provider.put(chance.choice(["/commissions", "/orders"]), row | {"updated": iso_z(world.now)})
            for slug in ("network", "shop"):
                if slug in {row.slug for row in connections.every(world.engine)}:
                    assert world.sync(slug).outcome == "ok"
            world.later(hours=1)

        def agreed() -> None:
            book = Book.of(world.engine, world.deps.settings.zone, "EUR")
            for by in (By.STREAM, By.PROGRAM):
                lines, _ = book.income(202601, 202606, by)
                report = reports.income(world.engine, world.deps.settings, first=202601, last=202606, by=by)
                assert {(row.month, row.group): row.total for row in report.rows} == {
                    key: line.amounts["total"] for key, line in lines.items()
                }
            states = {one.check: one.state for one in examine(world.deps.settings, world.now)}
            assert (states["monthly sums"], states["daily sums"]) == ("ok", "ok")

        for slug in ("network", "shop"):
            world.add(slug)
        arrive("pending")
        agreed()
        arrive("approved")
        agreed()
        streams.add_stream(world.deps, "Books")
        rule, moved = rules.save(world.deps, Rule(stream="books", product="a"))
        assert moved
        agreed()
        ids = [row.id for row in Book.of(world.engine, world.deps.settings.zone, "EUR").rows][:7]
        assert overrides.override(world.deps, ids, recurrence="recurring", stream="books").earnings == 7
        agreed()
        arrive("declined")
        agreed()
        rules.remove(world.deps, rule)
        agreed()
        rebuild.rebuild(world.deps, world.connection("network").id)
        agreed()
        connections.remove(world.deps, "shop")
        agreed()
        assert {row.slug for row in connections.every(world.engine)} == {"network"}
