"""The doctor names what is wrong and what to do next, and changes nothing."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from tests.pretend import earning
from tests.rows import NOON, Ledger
from tests.world import World
from tracker.doctor import Finding, examine
from tracker.reports import bring_up_to_date
from tracker.settings import Settings
from tracker.store import rollup
from tracker.store.writes import connection_t, earning_t


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        for slug in ("bank", "shop"):
            world.add(slug)
        sale: dict[str, Any] = {"kind": "sale", "status": "approved", "net": "29.00"}
        world.provider.put("/movements", earning("m1", payouts=[], gateway_ref="ch_1", **sale))
        world.provider.put("/orders", earning("w1", gateway_ref="ch_1", **sale))
        for slug in ("bank", "shop"):
            assert world.sync(slug).outcome == "ok"
        yield world


def findings(world: World) -> dict[str, Finding]:
    """By check; a problem wins over what is well."""
    found = sorted(examine(world.deps.settings, world.now), key=lambda finding: finding.state == "problem")
    return {finding.check: finding for finding in found}


def problems(world: World) -> set[str]:
    return {check for check, finding in findings(world).items() if finding.state == "problem"}


def change(world: World, table: Any, condition: Any, **values: Any) -> None:
    with world.engine.begin() as conn:
        conn.execute(update(table).where(condition).values(**values))


def test_a_sound_installation_needs_nobody(world: World) -> None:
    before = world.dump()
    found = findings(world)
    assert {finding.state for finding in found.values()} == {"ok"}, found
    assert len(found) >= 12
    assert world.dump() == before


def test_a_key_file_that_others_can_read_is_a_problem_with_its_repair(world: World) -> None:
    key = world.deps.settings.key_file
    key.chmod(0o644)
    assert "chmod 600" in findings(world)["key file"].next
    key.unlink()
    assert "is missing" in findings(world)["key file"].message
    assert not key.exists()


def test_connections_that_fail_pause_or_fell_behind_are_named(world: World) -> None:
    here = connection_t.c.slug == "shop"
    world.later(hours=4)
    found = findings(world)["connections"]
    assert (found.state, [line.partition(":")[0] for line in found.lines]) == ("problem", ["bank", "shop"])
    change(world, connection_t, connection_t.c.id > 0, as_of=world.now)
    change(world, connection_t, here, last_error="The shop is closed.")
    assert findings(world)["connections"].lines == ["shop: The shop is closed."]
    change(world, connection_t, here, paused_at=world.now, paused_reason="wrong key")
    assert findings(world)["connections"].lines == ["shop: wrong key"]


def test_rows_in_quarantine_are_counted_by_resource(world: World) -> None:
    world.later(hours=1)
    at = world.now - timedelta(minutes=5)
    world.provider.put("/orders", earning("w9", at, status="odd"))
    world.sync("shop")
    found = findings(world)["quarantine"]
    assert found.state == "problem"
    assert found.lines[0].startswith("shop orders: 1 rows, such as: status: unknown word")


def test_currencies_without_a_rate_are_named(world: World) -> None:
    change(world, earning_t, earning_t.c.external_id == "w1", currency="NGN", reporting_net=None)
    found = findings(world)["rates"]
    assert (found.state, found.lines) == ("problem", ["NGN: 1 earnings, 2026-06-12 to 2026-06-12"])


def test_a_clock_that_runs_behind_the_ledger_is_a_problem(world: World) -> None:
    world.later(days=-30)
    assert "clock" in problems(world)


def test_sums_that_differ_from_the_earnings_are_a_problem(world: World) -> None:
    change(world, earning_t, earning_t.c.external_id == "w1", net=Decimal("28.00"))
    assert "monthly sums" in problems(world)


def test_days_that_differ_from_the_earnings_are_a_problem(world: World) -> None:
    bring_up_to_date(world.engine)
    assert findings(world)["daily sums"].state == "ok"
    late = world.earnings("bank")["m1"].earned_at + timedelta(days=1)
    change(world, earning_t, earning_t.c.external_id == "m1", earned_at=late)
    assert [name for name in problems(world) if name.endswith("sums")] == ["daily sums"]


def test_the_same_amount_without_a_reference_is_a_suspected_double_and_still_counts(world: World) -> None:
    change(world, earning_t, earning_t.c.external_id == "w1", gateway_ref=None, paired=False)
    found = findings(world)["doubles"]
    assert found.state == "problem"
    assert found.lines == ["shop/w1 and bank/m1: 29.00 EUR on 2026-06-12"]
    assert not world.earnings("shop")["w1"].paired


@pytest.mark.parametrize(
    "other", [{"net": Decimal("29.01")}, {"currency": "USD"}, {"gateway_ref": "pp_7"}, {"status": "declined"}]
)
def test_another_amount_currency_or_reference_is_no_double(world: World, other: dict[str, Any]) -> None:
    change(world, earning_t, earning_t.c.external_id == "w1", **{"gateway_ref": None, "paired": False, **other})
    assert "doubles" not in problems(world)


def test_two_days_apart_is_no_double(world: World) -> None:
    late = world.earnings("shop")["w1"].earned_at + timedelta(days=2)
    change(world, earning_t, earning_t.c.external_id == "w1", gateway_ref=None, paired=False, earned_at=late)
    assert "doubles" not in problems(world)


def test_sales_whose_payment_nobody_reports_are_only_noted(world: World) -> None:
    change(world, earning_t, earning_t.c.external_id == "w1", gateway_ref="pp_7", paired=False)
    assert findings(world)["payments"].state == "note"


def beside_the_statements(url: str, folder: Path, nets: list[str], **more: Any) -> Finding:
    """What is said of imported amounts beside a connection that read 10.00, 20.00 and 30.00 in June."""
    with Ledger(url, folder) as ledger:
        for day, net in enumerate(("10.00", "20.00", "30.00"), 1):
            ledger.earning("stripe", net, f"2026-06-{day:02d}", kind="subscription_payment")
        ledger.connection("old-stripe", **{"provider": "stripe-balance", "next_sync_at": None, **more})
        for day, net in enumerate(nets, 1):
            ledger.earning(
                "old-stripe", net, f"2026-06-{day:02d}", time="23:30", paired=more.get("role") == "enrichment"
            )
        ledger.earning("old-stripe", "10.00", "2026-04-02")
        with ledger.engine.begin() as conn:
            rollup.work_off(conn)
        (finding,) = [one for one in examine(ledger.settings, NOON) if one.check == "statements"]
        return finding


def test_statements_of_a_provider_that_is_read_as_well_are_said_to_count_twice(
    database_url: str, tmp_path: Path
) -> None:
    found = beside_the_statements(database_url, tmp_path, ["10.00", "20.00", "77.00"])
    assert (found.state, found.lines) == ("problem", ["old-stripe (files) and stripe: 2026-06"])
    assert "tracker connection remove SLUG" in found.next


@pytest.mark.parametrize(
    ("nets", "more", "state"),
    [
        (["10.00", "21.00", "31.00"], {}, "note"),  # perhaps another account
        ([], {}, "ok"),  # other months
        (["10.00", "20.00", "30.00"], {"role": "enrichment"}, "ok"),
        (["10.00", "20.00", "30.00"], {"provider": "wise-statement"}, "ok"),
    ],
)
def test_statements_that_do_not_double_what_is_read_need_nobody(
    database_url: str, tmp_path: Path, nets: list[str], more: dict[str, Any], state: str
) -> None:
    assert beside_the_statements(database_url, tmp_path, nets, **more).state == state


def test_an_older_or_newer_schema_is_told_apart(world: World) -> None:
    with world.engine.begin() as conn:
        conn.execute(text("update alembic_version set version_num = '9999'"))
    assert findings(world)["schema"].next == "Update the tracker."


def test_what_is_not_there_yet_is_said_so(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "none")
    found = {finding.check: finding.message for finding in examine(settings, NOON)}
    assert "is not there yet" in found["data folder"]
    assert found["database"] == "there is no database yet."
    assert not (tmp_path / "none").exists()


def test_a_damaged_database_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "tracker.db").write_bytes(b"no database at all" * 400)
    (finding,) = [found for found in examine(Settings(data_dir=tmp_path), NOON) if found.check == "database"]
    assert (finding.state, "tracker restore" in finding.next) == ("problem", True)
