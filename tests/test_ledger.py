"""Rows become the ledger: changes keep their history, what vanishes is withdrawn, nothing is counted twice."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.pretend import START, Reply, contract, earning
from tests.world import World, same_sums
from tracker.connect.plans import iso_z


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        yield world


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[World]:
    """On SQLite only, for what has nothing to do with the database."""
    with World(f"sqlite:///{tmp_path}/tracker.db", tmp_path / "data") as world:
        yield world


def put(world: World, name: str = "c1", **more: Any) -> None:
    old = world.provider.shelves.get("/commissions", {}).get(name) or earning(name)
    world.provider.put("/commissions", old | more | {"updated": iso_z(world.now)})


def sync(world: World, slug: str = "network") -> None:
    assert world.sync(slug).outcome == "ok"
    same_sums(world)
    world.later(hours=1)


def history(world: World) -> list[tuple[Any, ...]]:
    return world.ask("select what, old, new, run_id from earning_change order by id")


# --- rows that change in place ---


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("pending", "declined"), "declined"),
        (("pending", "approved", "declined"), "reversed"),
        (("approved", "declined"), "reversed"),
        (("approved", "declined", "approved"), "approved"),
        (("approved", "declined", "declined"), "reversed"),
        (("declined", "approved"), "approved"),
    ],
)
def test_what_was_approved_and_is_declined_is_reversed(ledger: World, words: tuple[str, ...], status: str) -> None:
    ledger.add("network")
    for number, word in enumerate(words):
        put(ledger, status=word, order_ref=str(number))
        sync(ledger)
    found = ledger.earnings()["c1"]
    assert (found.status, found.provider_status) == (status, words[-1])
    assert (found.approved_month is not None) == (status in ("approved", "reversed"))


def test_what_was_paid_out_before_it_was_first_seen_and_declined_is_reversed(ledger: World) -> None:
    ledger.add("network")
    put(ledger, status="declined", settlement="paid")
    sync(ledger)
    assert ledger.earnings()["c1"].status == "reversed"


def approved(world: World, day: str, **more: Any) -> tuple[Any, Any]:
    """Sync a commission that a provider calls approved on the day; answers the day and the month that it has then."""
    put(world, status="approved", validated=f"{day}T12:00:00Z", **more)
    sync(world)
    found = world.earnings()["c1"]
    return found.validated_at and f"{found.validated_at:%Y-%m-%d}", found.approved_month


def test_an_approved_earning_stays_in_its_month_when_it_changes_later(world: World) -> None:
    world.add("network")
    put(world, validated="2026-03-01T12:00:00Z")
    sync(world)
    assert approved(world, "2026-04-20") == ("2026-04-20", 202604)
    assert approved(world, "2026-06-14", settlement="paid") == ("2026-04-20", 202604)
    assert approved(world, "2026-06-15", net="11.00") == ("2026-04-20", 202604)
    assert world.ask("select approved_month, paid_month, net from monthly_income") == [(202604, 202606, 11_000_000)]


def test_what_was_approved_from_the_start_without_a_day_stays_in_the_month_that_it_was_earned(ledger: World) -> None:
    ledger.add("network")
    put(ledger, status="approved", at="2026-05-20T12:00:00Z")
    sync(ledger)
    assert approved(ledger, "2026-06-14", settlement="paid") == (None, 202605)


@pytest.mark.parametrize("between", ["pending", "declined"])
def test_what_is_approved_anew_is_in_the_month_of_that(ledger: World, between: str) -> None:
    ledger.add("network")
    approved(ledger, "2026-04-20")
    put(ledger, status=between)
    sync(ledger)
    assert approved(ledger, "2026-06-10") == ("2026-06-10", 202606)


def test_what_vanished_and_came_back_is_in_the_month_in_which_it_was_approved(ledger: World) -> None:
    ledger.add("ads")
    row = earning("d1", kind="ad_revenue", status="approved", validated="2026-05-20T12:00:00Z")
    ledger.provider.put("/days", row)
    sync(ledger, "ads")
    del ledger.provider.shelves["/days"]["d1"]
    sync(ledger, "ads")
    assert ledger.earnings()["d1"].status == "reversed"
    ledger.provider.put("/days", row | {"validated": "2026-06-15T08:00:00Z"})
    sync(ledger, "ads")
    assert (ledger.earnings()["d1"].status, ledger.earnings()["d1"].approved_month) == ("approved", 202605)


def test_what_was_approved_before_its_planned_day_is_approved_when_that_was_first_seen(world: World) -> None:
    world.add("network")
    put(world, validated="2026-08-01T12:00:00Z")
    sync(world)
    assert approved(world, "2026-08-01") == ("2026-06-15", 202606)
    assert world.earnings()["c1"].validated_at == START + timedelta(hours=1)
    assert approved(world, "2026-09-01", net="11.00") == ("2026-06-15", 202606)


def test_nothing_is_approved_before_it_was_earned(ledger: World) -> None:
    """A provider's clock may be ahead, by a time zone that it does not tell for instance."""
    ledger.add("network")
    assert approved(ledger, "2026-06-17", at="2026-06-16T20:00:00Z") == ("2026-06-16", 202606)


def test_every_change_of_status_settlement_and_amount_is_written_down(world: World) -> None:
    world.add("network")
    put(world)
    sync(world)
    put(world, status="approved", net="12.50")
    sync(world)
    put(world, settlement="paid", product="of no interest")
    sync(world)
    put(world, currency="USD")
    sync(world)
    assert history(world) == [
        ("status", "pending", "approved", 2), ("net", "10.000000", "12.50", 2), ("settlement", "unpaid", "paid", 3),
        ("currency", "EUR", "USD", 4),
    ]  # fmt: skip
    found = world.earnings()["c1"]
    assert (found.net, found.paid_month, found.paid_at) == (Decimal("12.50"), 202606, START + timedelta(hours=2))


def test_what_the_user_decided_survives_every_change(world: World) -> None:
    world.add("network")
    put(world)
    sync(world)
    with world.engine.begin() as conn:
        conn.exec_driver_sql("update earning set override_recurrence = 'recurring'")
    put(world, net="11")
    sync(world)
    found = world.earnings()["c1"]
    assert (found.recurrence, found.recurrence_by, found.net) == ("recurring", "override", 11)


def test_an_earning_in_another_currency_is_converted_at_the_rate_of_its_day(world: World) -> None:
    world.add("network")
    put(world, currency="USD", at="2025-01-15T12:00:00Z")
    sync(world)
    found = world.earnings()["c1"]
    assert str(found.rate_day) == "2025-01-15"
    assert found.reporting_net == Decimal("9.708738")  # 10 / 1.0300, the reference rate of that day, to a millionth


def test_an_amount_too_large_to_convert_stops_nothing(ledger: World) -> None:
    ledger.add("network")
    put(ledger, currency="KWD", net="9000000000000")
    sync(ledger)
    assert ledger.earnings()["c1"].reporting_net is None


# --- rows that are gone ---


def test_a_snapshot_ends_what_is_no_longer_in_it_and_takes_it_back(world: World) -> None:
    world.add("club")
    for number in range(7):
        world.provider.put("/members", contract(f"u{number}"))
    sync(world, "club")
    gone = world.provider.shelves["/members"].pop("u3")
    sync(world, "club")
    query = "select external_id, status from subscription where ended_at is not null"
    assert world.ask(query) == [("u3", "expired")]
    sync(world, "club")
    assert world.ask("select count(*) from subscription_change") == [(1,)]
    world.provider.put("/members", gone)
    sync(world, "club")
    assert world.ask(query) == []
    assert world.ask("select count(*) from subscription_change") == [(2,)]


def test_a_snapshot_that_was_cut_off_ends_nothing(ledger: World) -> None:
    from tests.pretend import Reply

    ledger.add("club")
    for number in range(7):
        ledger.provider.put("/members", contract(f"u{number}"))
    sync(ledger, "club")
    ledger.provider.answers["/members"] = lambda asked: (
        Reply(b"", 500) if asked.query["page"] == "2" else ledger.provider.listing(asked)
    )
    assert ledger.sync("club").outcome == "failed"
    assert ledger.ask("select count(*) from subscription where ended_at is not null") == [(0,)]
    ledger.provider.answers.clear()
    ledger.killed_at(24, "club")
    assert ledger.ask("select count(*) from subscription where ended_at is not null") == [(0,)]


def test_restated_days_that_vanish_are_withdrawn_only_inside_the_window(world: World) -> None:
    world.add("ads")
    for days in (1, 5, 40):
        at = START - timedelta(days=days)
        world.provider.put("/days", earning(f"d{days}", at, kind="ad_revenue", status="approved"))
    sync(world, "ads")
    assert {row.recurrence for row in world.earnings().values()} == {"variable"}
    world.provider.shelves["/days"].clear()
    sync(world, "ads")
    assert {name: row.status for name, row in world.earnings().items()} == {
        "d1": "reversed", "d5": "reversed", "d40": "approved"
    }  # fmt: skip
    at = START - timedelta(days=5)
    world.provider.put("/days", earning("d5", at, kind="ad_revenue", status="approved", net="9"))
    sync(world, "ads")
    assert (world.earnings()["d5"].status, world.earnings()["d5"].net) == ("approved", 9)


# --- other ways to read ---


def test_newest_first_stops_at_known_rows_and_a_bad_last_row_does_not_stop_it(ledger: World) -> None:
    ledger.add("feed")
    for number in range(20):
        ledger.provider.put("/sales", earning(f"s{number:02d}", START - timedelta(days=number)))
    ledger.provider.shelves["/sales"]["s02"]["at"] = "2026-06-13 in the evening"
    ledger.provider.shelves["/sales"]["s05"]["id"] = "s05"
    report = ledger.sync("feed")
    assert (report.outcome, report.quarantined, len(ledger.earnings())) == ("partial", 1, 19)
    ledger.provider.asked.clear()
    ledger.provider.put("/sales", earning("new", START))
    assert ledger.sync("feed").new == 1
    assert len(ledger.provider.asked) <= 3


def test_a_change_feed_reads_changed_objects_and_forgives_one_that_is_gone(ledger: World) -> None:
    ledger.add("changes")
    for number in range(5):
        ledger.provider.put("/charges", earning(f"x{number}"))
    sync(ledger, "changes")
    ledger.provider.put("/charges", earning("x1", net="99"))
    ledger.provider.put("/charges", earning("x9"))
    for number, about in enumerate(("x1", "gone", "x9", "x1")):
        ledger.provider.put("/events", {"id": f"e{number}", "about": about, "updated": iso_z(ledger.now)})
    ledger.provider.asked.clear()
    sync(ledger, "changes")
    assert [call.path for call in ledger.provider.asked].count("/charges/x1") == 1
    assert (ledger.earnings()["x1"].net, len(ledger.earnings())) == (99, 6)


def test_a_change_feed_that_is_cut_short_goes_on_where_it_was(ledger: World) -> None:
    ledger.add("changes")
    sync(ledger, "changes")
    ledger.later(hours=12)
    for number in range(8):
        ledger.provider.put("/charges", earning(f"x{number}"))
        event = {"id": f"e{number}", "about": f"x{number}", "updated": iso_z(ledger.now - timedelta(hours=8 - number))}
        ledger.provider.put("/events", event)
    ledger.provider.always("/charges/x5", Reply(b"", 404))
    ledger.provider.always("/charges/x6", Reply(b"", 503))
    assert ledger.sync("changes").outcome == "failed"
    assert ledger.earnings().keys() == {f"x{number}" for number in range(5)}
    ledger.provider.answers.clear()
    ledger.provider.asked.clear()
    ledger.later(hours=1)
    sync(ledger, "changes")
    asked = [call.path for call in ledger.provider.asked if call.path.startswith("/charges/")]
    assert asked == ["/charges/x4", "/charges/x5", "/charges/x6", "/charges/x7"]  # what came an hour before, again
    assert ledger.earnings().keys() == {f"x{number}" for number in range(8)}


def test_an_object_of_the_feed_without_an_id_does_not_stop_the_next_sync(ledger: World) -> None:
    ledger.add("changes")
    sync(ledger, "changes")
    ledger.provider.put("/events", {"id": "e1", "about": "../x", "updated": iso_z(ledger.now)})
    report = ledger.sync("changes")
    assert (report.outcome, report.error) == ("failed", "DataError")
    assert "change feed has no id" in str(report.message)
    ledger.provider.shelves["/events"].clear()
    ledger.later(hours=1)
    sync(ledger, "changes")


def test_a_contract_that_comes_later_tells_its_payments_their_rhythm(world: World) -> None:
    world.add("bank")
    world.provider.put("/movements", earning("m1", kind="sale", status="approved", subscription_ref="s1", payouts=[]))
    sync(world, "bank")
    assert world.earnings()["m1"].recurrence_interval is None
    world.provider.put("/contracts", contract("s1", interval="year"))
    sync(world, "bank")
    assert world.earnings()["m1"].recurrence_interval == "year"


def test_an_invoice_that_comes_later_moves_the_money_to_recurring(world: World) -> None:
    world.add("bank")
    world.provider.put("/movements", earning("m1", kind="sale", status="approved", payment_ref="pi1", payouts=[]))
    sync(world, "bank")
    world.provider.put("/invoices", {"id": "i1", "payment_ref": "pi1", "recurrence": "recurring"})
    sync(world, "bank")
    assert world.ask("select recurrence, kind from monthly_income") == [("recurring", "subscription_payment")]
