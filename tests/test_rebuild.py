"""A rebuild: everything derived is made again from the kept rows, and what only history knows is kept."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from tests import pretend
from tests.pretend import START, contract, earning
from tests.world import World
from tracker import rules, streams
from tracker.connect import catalog
from tracker.connect.connector import Make
from tracker.connect.fields import money, one_of, text
from tracker.errors import UnexpectedData, UsageError
from tracker.rebuild import Rebuilt, rebuild
from tracker.records import Status, Subscription
from tracker.rules import Rule
from tracker.store import rollup
from tracker.store.writes import connection_t, earning_t

FIGURES = ("earning", "monthly_income", "payout", "payout_item", "subscription", "invoice", "program")
HISTORY = ("earning_change", "subscription_change", "quarantine", "raw_row", "raw_batch", "sync_run")


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        yield world


@pytest.fixture
def corrected(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Replaces fields of the record that a connector's resource makes, as a new version of its file would."""

    def correct(name: str, at: int = 0, when: Any = None, row_id: Any = None, **fields: Any) -> None:
        connector = getattr(pretend, name)
        resource = connector.resources[at]
        maker: Make = resource.makes[0]
        reads = tuple((field, fields[field].read if field in fields else read) for field, read in maker.reads)
        maker = msgspec.structs.replace(maker, reads=reads, when=when or maker.when)
        changed = msgspec.structs.replace(resource, makes=(maker,), row_id=row_id or resource.row_id)
        resources = tuple(changed if found is resource else found for found in connector.resources)
        monkeypatch.setattr(pretend, name, msgspec.structs.replace(connector, resources=resources))
        catalog.forget()

    yield correct
    monkeypatch.undo()
    catalog.forget()


def rebuilt(world: World, slug: str) -> Rebuilt:
    return rebuild(world.deps, world.connection(slug).id)


def fill(world: World) -> None:
    """A network that changes rows in place, a bank that appends corrections and pays out, a shop that it pays for."""
    for slug in ("network", "bank", "shop", "club", "ads"):
        world.add(slug)
    for number in range(7):
        world.provider.put(
            "/commissions", earning(f"c{number}", program=f"p{number % 2}", customer=f"who{number}@x.example")
        )
    world.provider.put(
        "/movements", earning("m1", kind="sale", status="approved", payouts=["po"], gateway_ref="ch_1", payer="x")
    )
    world.provider.put("/movements", earning("m2", kind="sale", status="approved", payouts=[], origin_ref="o"))
    world.provider.put(
        "/movements", earning("m3", kind="refund", status="approved", net="-10.00", payouts=[], origin_ref="o")
    )
    world.provider.put("/payouts", earning("po", status="in_transit"))
    world.provider.put("/contracts", contract("s1"))
    world.provider.put("/invoices", earning("i1", payment_ref="ch_1", recurrence="recurring", subscription_ref="s1"))
    world.provider.put("/orders", earning("w1", kind="sale", status="approved", gateway_ref="ch_1", product="Book"))
    world.provider.put("/members", contract("g1"))
    world.provider.put("/days", earning("d1", kind="ad_revenue", status="approved"))
    sync_all(world)
    world.later(days=2)
    later: dict[str, Any] = {"updated": (world.now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")}
    world.provider.put("/commissions", earning("c0", status="approved", settlement="paid", **later))
    world.provider.put("/commissions", earning("c1", status="approved", **later))
    world.provider.put("/payouts", earning("po", status="paid"))
    world.provider.put("/contracts", contract("s1", amount="19.00"))
    sync_all(world)
    world.later(days=2)
    later = {"updated": (world.now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")}
    world.provider.put("/commissions", earning("c1", status="declined", **later))
    world.provider.shelves["/members"].clear()
    sync_all(world)
    world.later(days=1)


def sync_all(world: World) -> None:
    for slug in ("shop", "network", "bank", "club", "ads"):
        assert world.sync(slug).outcome == "ok"


def test_a_rebuild_of_a_sound_ledger_changes_nothing_and_says_so(world: World) -> None:
    fill(world)
    before = world.dump(*FIGURES, *HISTORY)
    for slug in ("network", "bank", "shop", "club", "ads"):
        assert rebuilt(world, slug).nothing, slug
    assert world.dump(*FIGURES, *HISTORY) == before


def test_a_wrong_mapping_is_repaired_without_asking_the_provider(world: World, corrected: Any) -> None:
    fill(world)
    world.provider.asked.clear()
    corrected("network", net=text_money())
    found = rebuilt(world, "network")
    assert (found.changed, found.withdrawn, found.made) == (7, 0, 0)
    assert found.columns["net"] == 7
    assert {row.net for row in world.earnings("network").values()} == {Decimal("5.00")}
    assert world.ask("select sum(net) from monthly_income where connection_id = 1")[0][0] == 35_000_000
    assert rebuilt(world, "network").nothing
    assert world.provider.asked == []


def text_money() -> Any:
    """Half of what stands there."""
    whole = money("net")
    return type("Half", (), {"read": staticmethod(lambda row: whole.read(row) / 2)})


def test_a_correction_is_noted_once_in_the_history(world: World, corrected: Any) -> None:
    fill(world)
    before = len(world.ask("select id from earning_change"))
    corrected("network", net=text_money())
    rebuilt(world, "network")
    rebuilt(world, "network")
    new = world.ask(f"select what, old, new from earning_change order by id limit 100 offset {before}")  # noqa: S608
    assert [(what, Decimal(old), Decimal(now)) for what, old, now in new] == [("net", Decimal(10), Decimal(5))] * 7


def test_what_was_approved_before_it_was_declined_stays_reversed(world: World) -> None:
    fill(world)
    assert world.earnings("network")["c1"].status == "reversed"
    rebuilt(world, "network")
    assert world.earnings("network")["c1"].status == "reversed"


def test_what_only_a_wrong_mapping_called_approved_was_never_reversed(world: World, corrected: Any) -> None:
    right = {str(status): status for status in Status}
    corrected("network", status=one_of("status", {**right, "declined": Status.APPROVED}))
    world.add("network")
    world.provider.put("/commissions", earning("c1", status="declined"))
    world.sync("network")
    assert world.earnings()["c1"].status == "approved"
    corrected("network", status=one_of("status", right))
    rebuilt(world, "network")
    assert world.earnings()["c1"].status == "declined"
    assert rebuilt(world, "network").nothing


def test_the_day_a_payment_was_first_seen_survives(world: World) -> None:
    fill(world)
    seen = world.earnings("network")["c0"].paid_at
    assert seen == START + timedelta(days=2)
    rebuilt(world, "network")
    assert world.earnings("network")["c0"].paid_at == seen


def test_the_month_in_which_something_was_approved_survives(world: World) -> None:
    world.add("network")
    world.add("ads")
    told = {
        "paid": [("pending", "2026-03-02"), ("approved", "2026-05-02"), ("approved", "2026-06-15")],
        "anew": [("approved", "2026-03-02"), ("declined", "2026-05-02"), ("approved", "2026-06-15")],
        "plan": [("pending", "2026-09-02"), ("approved", "2026-09-02"), ("approved", "2026-10-02")],
    }
    day = earning("d1", kind="ad_revenue", status="approved")
    for number in range(3):
        for name, words in told.items():
            status, validated = words[number]
            row = earning(name, status=status, validated=f"{validated}T00:00:00Z", net=f"{number + 1}.00")
            world.provider.put("/commissions", row | {"updated": world.now.strftime("%Y-%m-%dT%H:%M:%SZ")})
        world.provider.put("/days", day | {"validated": f"2026-0{number + 3}-01T00:00:00Z"})
        if number == 1:
            world.provider.shelves["/days"].clear()
        for slug in ("network", "ads"):
            assert world.sync(slug).outcome == "ok"
        world.later(hours=1)
    before = world.dump("earning", "monthly_income")
    months = {name: row.approved_month for name, row in world.earnings().items()}
    assert months == {"paid": 202605, "anew": 202606, "plan": 202606, "d1": 202603}
    with world.engine.begin() as conn:  # as it was written by a version that took the newest day
        conn.execute(update(earning_t).values(validated_at=START + timedelta(days=90), approved_month=202609))
    for slug in ("network", "ads"):
        rebuilt(world, slug)
    assert world.dump("earning", "monthly_income") == before
    assert all(rebuilt(world, slug).nothing for slug in ("network", "ads"))


def test_payouts_still_settle_their_earnings_and_are_not_read_again(world: World) -> None:
    fill(world)
    rebuilt(world, "bank")
    paid = world.earnings("bank")["m1"]
    assert (paid.settlement, paid.payout_ref, paid.recurrence_by) == ("paid", "po", "invoice")
    assert world.ask("select count(*) from payout where itemised_at is null") == [(0,)]


def test_an_earning_that_its_row_no_longer_makes_is_withdrawn(world: World, corrected: Any) -> None:
    fill(world)
    corrected("network", when=lambda row: row["id"] not in ("c0", "c3"))
    found = rebuilt(world, "network")
    assert (found.withdrawn, found.changed) == (2, 0)
    rows = world.earnings("network")
    assert {name: (rows[name].status, rows[name].provider_status) for name in ("c0", "c3")} == {
        "c0": ("reversed", "withdrawn"),
        "c3": ("declined", "withdrawn"),
    }
    assert rebuilt(world, "network").nothing


def test_a_lost_gateway_reference_frees_the_shops_order(world: World, corrected: Any) -> None:
    fill(world)
    assert world.earnings("shop")["w1"].paired
    nothing = type("Nothing", (), {"read": staticmethod(lambda row: None)})
    corrected("bank", gateway_ref=nothing)
    rebuilt(world, "bank")
    assert not world.earnings("shop")["w1"].paired


def test_a_corrected_subscription_is_no_movement(world: World, corrected: Any) -> None:
    fill(world)
    before = world.dump("subscription_change")
    corrected("bank", at=1, amount=type("Ten", (), {"read": staticmethod(lambda row: Decimal(10))}))
    assert rebuilt(world, "bank").others == {"subscriptions": 1}
    assert world.ask("select amount from subscription where external_id = 's1'") == [(10_000_000,)]
    assert world.dump("subscription_change") == before
    assert Subscription in {maker.record for maker in pretend.bank.resources[1].makes}


def test_the_users_decisions_stay(world: World) -> None:
    fill(world)
    streams.add_stream(world.deps, "Mine")
    rules.save(world.deps, Rule(stream="mine", program="p1", connection="network"))
    streams.override(world.deps, "network/c2", recurrence="recurring", stream="Mine")
    before = world.dump("earning", "stream", "stream_rule")
    assert rebuilt(world, "network").nothing
    assert world.dump("earning", "stream", "stream_rule") == before


def test_a_row_that_is_not_understood_any_more_keeps_its_earning(world: World, corrected: Any) -> None:
    fill(world)
    corrected("network", status=one_of("status", {"pending": Status.PENDING, "approved": Status.APPROVED}))
    found = rebuilt(world, "network")
    assert (found.held, found.withdrawn) == (1, 0)
    assert world.earnings("network")["c1"].status == "reversed"
    corrected("network", status=one_of("status", {str(status): status for status in Status}))
    assert rebuilt(world, "network").released == 1
    assert world.ask("select count(*) from quarantine") == [(0,)]
    assert rebuilt(world, "network").nothing


def test_rows_in_quarantine_are_tried_again(world: World, corrected: Any) -> None:
    world.add("network")
    world.provider.put("/commissions", earning("c1", status="confirmed"))
    assert world.sync("network").outcome == "partial"
    corrected("network", status=one_of("status", {"confirmed": Status.APPROVED}))
    assert rebuilt(world, "network").released == 1
    assert world.earnings()["c1"].status == "approved"


def test_ids_that_are_read_otherwise_change_nothing(world: World, corrected: Any) -> None:
    fill(world)
    before = world.dump(*FIGURES, *HISTORY)
    corrected("network", row_id=text("net"))
    with pytest.raises(UnexpectedData, match="7 kept rows of commissions cannot be found"):
        rebuilt(world, "network")
    assert world.dump(*FIGURES, *HISTORY) == before


def test_a_rebuild_waits_for_no_sync(world: World) -> None:
    fill(world)
    held = {"leased_by": "elsewhere:1:ab", "leased_until": world.now + timedelta(minutes=5)}
    with world.engine.begin() as conn:
        conn.execute(update(connection_t).where(connection_t.c.slug == "network").values(held))
    with pytest.raises(UsageError, match="being synced"):
        rebuilt(world, "network")


def test_the_monthly_sums_are_those_of_the_earnings(world: World, corrected: Any) -> None:
    fill(world)
    corrected("network", net=text_money())
    for slug in ("network", "bank", "shop"):
        rebuilt(world, slug)
    kept = world.dump("monthly_income")
    with world.engine.begin() as conn:
        rollup.rebuild(conn)
    assert world.dump("monthly_income") == kept


def test_damaged_figures_are_made_again(world: World) -> None:
    fill(world)
    before = world.dump("earning", "monthly_income")
    with world.engine.begin() as conn:
        mine = earning_t.c.external_id == "c4"
        conn.execute(update(earning_t).where(mine).values(net=Decimal(999), product="?", earned_month=199901))
    assert rebuilt(world, "network").changed == 1
    assert world.dump("earning", "monthly_income") == before
