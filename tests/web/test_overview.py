"""The overview: this month so far, beside the same days of earlier months, and what needs a hand."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from html import unescape
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.pretend import Reply, earning
from tests.world import World
from tracker import connections
from tracker.figures.comparison import Change
from tracker.overview import Overview, overview, same_moment

PATH = "/commissions"
BERLIN = ZoneInfo("Europe/Berlin")


def moment(text: str) -> datetime:
    """Of a clock on a wall in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


def put(world: World, row_id: str, at: str, net: str, **more: str) -> None:
    world.provider.put(PATH, earning(row_id, moment(at), net=net, **{"status": "approved", **more}))


@pytest.fixture
def both(database_url_both: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url_both, tmp_path / "data") as world:
        world.now = moment("2026-06-15 12:00")
        world.deps.settings = world.deps.settings.model_copy(update={"backfill_months": 18})
        yield world


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url_both(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/t.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


def seen(world: World) -> Overview:
    return overview(world.engine, world.deps.settings, world.now)


# --- the figures ---


def test_the_month_so_far_is_held_against_the_same_days(both: World) -> None:
    put(both, "a", "2026-06-01 00:00", "10.00", recurrence="recurring")
    put(both, "b", "2026-06-15 11:59", "5.50")
    put(both, "waits", "2026-06-02 12:00", "7.00", status="pending")
    put(both, "gone", "2026-06-02 12:00", "9.00", status="declined")
    put(both, "may-same-days", "2026-05-15 11:59", "4.00")
    put(both, "may-later", "2026-05-15 12:01", "100.00")
    put(both, "april", "2026-04-30 23:59", "1000.00")
    put(both, "year", "2025-06-10 12:00", "20.00", recurrence="recurring")
    put(both, "year-later", "2025-06-15 12:01", "300.00")
    both.add("network")
    assert both.sync("network").outcome == "ok"
    found = seen(both)
    total = found.total
    assert (found.month, found.days, found.empty) == (202606, 15, False)
    assert total.total.amount == Decimal("15.50")
    assert (total.recurring.amount, total.other.amount) == (Decimal(10), Decimal("5.50"))
    assert total.total.last_month == Change(Decimal(4), Decimal("11.50"), Decimal("2.875"))
    assert total.total.last_year == Change(Decimal(20), Decimal("-4.50"), Decimal("-0.225"))
    assert found.waiting == 7
    assert [(line.stream, line.total.amount) for line in found.streams] == [("Network", Decimal("15.50"))]


def test_the_history_has_a_bar_for_each_month_the_longest_whole(both: World) -> None:
    put(both, "a", "2026-06-01 12:00", "25.00")
    put(both, "b", "2026-05-20 12:00", "30.00", recurrence="recurring")
    put(both, "c", "2026-05-20 12:00", "70.00")
    put(both, "refund", "2026-03-20 12:00", "-50.00", kind="refund")
    both.add("network")
    both.sync("network")
    bars = {bar.month: bar for bar in seen(both).history}
    assert list(bars) == [202506, *range(202507, 202513), *range(202601, 202607)]
    assert (bars[202605].recurring_part, bars[202605].other_part, bars[202605].total) == (30, 70, Decimal(100))
    assert (bars[202606].recurring_part, bars[202606].other_part) == (0, 25)
    assert (bars[202603].other_part, bars[202603].total) == (0, Decimal(-50))
    assert (bars[202604].known, bars[202604].total) == (True, Decimal(0))
    assert not bars[202602].known


def test_the_pipeline_is_what_waits_what_is_approved_and_what_was_paid_this_month(both: World) -> None:
    put(both, "p", "2026-04-01 12:00", "1.00", status="pending")
    put(both, "u", "2026-04-01 12:00", "2.00")
    put(both, "s", "2026-04-01 12:00", "3.00", settlement="scheduled")
    put(both, "paid", "2026-06-01 12:00", "4.00", settlement="paid")
    put(both, "long-paid", "2026-02-01 12:00", "50.00", settlement="paid", validated="2026-02-01T12:00:00Z")
    put(both, "strange", "2026-04-01 12:00", "6.00", currency="KES")
    both.add("network")
    both.sync("network")
    found = seen(both).pipeline
    assert {name: (one.earnings, one.amount) for name, one in found.items() if name != "paid"} == {
        "pending": (1, Decimal(1)), "approved": (2, Decimal(5)),
    }  # fmt: skip
    assert [(one.currency, one.net, one.earnings) for one in found["approved"].unconverted] == [("KES", Decimal(6), 1)]


@pytest.mark.parametrize(
    ("month", "now", "expected"),
    [
        (202605, "2026-06-15 12:00", "2026-05-15 12:00"),
        (202602, "2026-03-31 08:00", "2026-03-01 00:00"),  # February is over by then
        (202502, "2026-02-28 08:00", "2025-02-28 08:00"),
        (202302, "2024-02-29 08:00", "2023-03-01 00:00"),
        (202603, "2026-04-29 02:30", "2026-03-29 02:30"),  # a time that the night of the 29th skips
        (202610, "2026-11-01 00:00", "2026-10-01 00:00"),
    ],
)
def test_the_same_days_end_at_the_same_time_of_day(month: int, now: str, expected: str) -> None:
    there = same_moment(month, moment(now), BERLIN)
    assert there.astimezone(UTC) == moment(expected)


# --- the page ---


def words(page: httpx.Response) -> str:
    """What a reader sees, without tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def test_an_empty_ledger_says_how_to_connect_the_first_provider(inside: httpx.Client) -> None:
    said = words(inside.get("/"))
    assert "Nothing here yet" in said
    assert "tracker connection add awin --slug awin" in said


def test_a_connection_without_income_is_no_reason_to_connect_it_again(inside: httpx.Client, world: World) -> None:
    world.add("network")
    said = words(inside.get("/"))
    assert "network is connected, but nothing was earned" in said


def test_the_page_tells_figures_their_basis_and_how_fresh_they_are(inside: httpx.Client, world: World) -> None:
    put(world, "a", "2026-06-10 12:00", "1234.50", recurrence="recurring")
    put(world, "b", "2026-06-11 12:00", "65.50")
    put(world, "c", "2026-05-11 12:00", "1000.00")
    put(world, "d", "2026-06-12 12:00", "80.00", status="pending")
    world.add("network")
    world.sync("network")
    said = words(inside.get("/"))
    for told in (
        "June 2026 so far €1,300.00 95 % of it is recurring.",
        "€80.00 more was earned this month and waits for the provider's approval.",
        "Same days of last month €1,000.00 +300.00 (+30.0 %)",
        "Same days a year ago no data",
        "Network 1,234.50 65.50 1,300.00",
        "Waiting for validation €80.00 1 earning",
        "Jun 2026 so far 1,234.50 65.50 1,300.00 May 2026 – 1,000.00 1,000.00 Apr 2026 no data",
        "Everything is read up to 15 Jun 2026 12:00 or later.",
    ):
        assert told in said
    assert "Needs a hand" not in said


def test_what_fails_stands_on_top_with_what_to_do(inside: httpx.Client, world: World) -> None:
    world.provider.put(PATH, earning("odd", status="strange"))
    put(world, "a", "2026-06-10 12:00", "10.00")
    world.add("network")
    world.sync("network")
    world.add("bank")
    world.provider.always("/movements", Reply.json({"message": "<script>alert(1)</script>"}, 403))
    world.sync("bank")
    world.add("shop")
    connections.pause(world.deps, "shop")
    page = inside.get("/")
    said = words(page)
    assert "<script" not in page.text
    top = said.index("Needs a hand")
    assert top < said.index("June 2026 so far")
    assert "tracker connection test bank" in said
    assert "Pretend Shop paused last read never You paused it." in said
    assert "tracker connection resume shop" in said
    assert "1 row not understood commissions" in said
    assert "bank was never read to the end, so something may be missing." in said


def test_names_that_providers_give_are_only_text(inside: httpx.Client, world: World) -> None:
    put(world, "a", "2026-06-10 12:00", "10.00")
    world.add("network", stream='<img src=x onerror="alert(1)">')
    world.sync("network")
    page = inside.get("/")
    assert "<img" not in page.text
    assert '<img src=x onerror="alert(1)">' in words(page)


def test_every_width_that_a_bar_can_have_is_in_the_stylesheet(inside: httpx.Client) -> None:
    css = inside.get("/static/pages.css").text
    assert [f".w-{part} {{ width: {part}%; }}" in css for part in range(101)] == [True] * 101
    assert "://" not in css  # nothing is asked of another machine
