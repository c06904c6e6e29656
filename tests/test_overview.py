"""The figures of the overview: a period beside the same days of earlier ones, what is on its way, what is new."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, update

from tests.rows import Ledger
from tracker import accounts, overview, reports
from tracker.figures.comparison import Change
from tracker.figures.income import summed
from tracker.filters import Filter
from tracker.overview import Look, Overview, same_moment
from tracker.periods import Asked
from tracker.revalue import revalue
from tracker.search import every, search
from tracker.store.database import reading
from tracker.store.reads import Basis
from tracker.store.reads_news import FEW, Became
from tracker.store.reads_overview import newest_earning
from tracker.store.writes import earning_change_t, earning_t, mark_dirty

BERLIN = ZoneInfo("Europe/Berlin")
UNKNOWN = Change()


def moment(text: str) -> datetime:
    """Of a clock on a wall in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


NOW = moment("2026-06-15 12:00")


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(database_url, tmp_path) as ledger:
        revalue(ledger.engine, ledger.settings)
        yield ledger


def put(ledger: Ledger, at: str, net: str, slug: str = "network", **more: Any) -> None:
    there = moment(at)
    ledger.earning(slug, net, f"{there:%Y-%m-%d}", time=f"{there:%H:%M}", **more)


def seen(ledger: Ledger, now: datetime = NOW, **look: Any) -> Overview:
    return overview.overview(ledger.engine, ledger.settings, now, Look(**look))


# --- a period beside earlier ones ---


def test_the_month_so_far_is_held_against_the_same_days(ledger: Ledger) -> None:
    put(ledger, "2026-06-01 00:00", "10.00", recurrence="recurring")
    put(ledger, "2026-06-15 11:59", "5.50")
    put(ledger, "2026-06-02 12:00", "7.00", status="pending")
    put(ledger, "2026-06-02 12:00", "9.00", status="declined")
    put(ledger, "2026-05-01 00:00", "1.00")
    put(ledger, "2026-05-14 23:59", "1.00")
    put(ledger, "2026-05-15 00:00", "1.00")
    put(ledger, "2026-05-15 11:59", "1.00")
    put(ledger, "2026-05-15 12:00", "100.00")
    put(ledger, "2026-04-30 23:59", "1000.00")
    put(ledger, "2025-06-10 12:00", "20.00", recurrence="recurring")
    put(ledger, "2025-06-15 12:01", "300.00")
    found = seen(ledger)
    total = found.total
    assert (found.running, found.period.months, found.empty) == (202606, [202606], False)
    assert total.total.amount == Decimal("15.50")
    assert (total.recurring.amount, total.other.amount) == (Decimal(10), Decimal("5.50"))
    assert total.total.last_month == Change(Decimal(4), Decimal("11.50"), Decimal("2.875"))
    assert total.total.last_year == Change(Decimal(20), Decimal("-4.50"), Decimal("-0.225"))
    assert found.waiting == 7
    assert [(line.stream, line.total.amount) for line in found.streams] == [("Network", Decimal("15.50"))]


@pytest.mark.parametrize("basis", ["approved", "paid"])
def test_the_same_days_are_those_of_the_basis(ledger: Ledger, basis: str) -> None:
    column = {"approved": "validated_at", "paid": "paid_at"}[basis]

    def on(at: str, net: str) -> None:
        more: dict[str, Any] = {"settlement": "paid", column: moment(at)}
        put(ledger, "2025-04-20 12:00", net, **more)

    on("2026-06-03 09:00", "50.00")
    on("2026-05-01 00:00", "1.00")
    on("2026-05-15 11:59", "2.00")
    on("2026-05-15 12:01", "400.00")
    on("2026-04-30 23:59", "800.00")
    on("2025-06-15 11:00", "8.00")
    found = seen(ledger, basis=Basis(basis))
    assert found.total.total.amount == 50
    assert found.total.total.last_month.before == 3
    assert found.total.total.last_year.before == 8
    assert {bar.month: bar.other for bar in found.history if bar.other} == {
        202506: 8,
        202604: 800,
        202605: 403,
        202606: 50,
    }


def test_in_another_currency_every_day_has_its_own_rate(ledger: Ledger) -> None:
    for day, rate in (("2026-05-14", "2"), ("2026-05-15", "4"), ("2026-06-10", "8"), ("2026-06-15", "3")):
        ledger.rate("USD", day, rate)
    revalue(ledger.engine, ledger.settings)
    put(ledger, "2026-06-10 12:00", "10.00")
    put(ledger, "2026-05-14 12:00", "10.00")
    put(ledger, "2026-05-15 11:00", "10.00")
    put(ledger, "2026-05-15 13:00", "10.00")
    put(ledger, "2026-04-15 13:00", "1.00", currency="SYP")
    for basis in (Basis.EARNED, Basis.APPROVED):  # what is approved at once lies on the day earned
        found = seen(ledger, currency="USD", basis=basis)
        assert (found.currency, found.own) == ("USD", "EUR")
        assert found.total.total.amount == 80
        assert found.total.total.last_month.before == 20 + 40
        assert [bar.other for bar in found.history[-2:]] == [100, 80]
        assert found.pipeline["unpaid"].amount == 40 * 3  # at the rate of today
        assert [one.currency for one in found.pipeline["unpaid"].unconverted] == ["SYP"]
    assert found.currencies == ["EUR", "SYP", "USD"]


def test_months_that_run_are_held_against_as_many_before_to_the_same_day(ledger: Ledger) -> None:
    for month in range(1, 7):
        put(ledger, f"2026-{month:02}-10 12:00", "10.00")
        put(ledger, f"2026-{month:02}-20 12:00", "1.00")
        put(ledger, f"2025-{month:02}-10 12:00", "100.00")
    put(ledger, "2024-12-01 12:00", "5.00")
    found = seen(ledger, now=moment("2026-06-25 12:00") - timedelta(days=10), asked=Asked("3-months"))
    assert found.period.months == [202604, 202605, 202606]
    assert found.total.total.amount == 33
    assert found.total.total.last_month.before == 11 + 11 + 10
    assert found.total.total.last_year.before == 300
    assert [bar.month for bar in found.history] == [202604, 202605, 202606]


def test_months_that_are_over_are_held_against_whole_ones(ledger: Ledger) -> None:
    put(ledger, "2026-05-31 23:59", "10.00")
    put(ledger, "2026-04-30 23:59", "4.00")
    put(ledger, "2025-05-31 23:59", "5.00")
    found = seen(ledger, asked=Asked("last-month"))
    assert (found.period.runs, found.total.total.amount) == (False, Decimal(10))
    assert found.total.total.last_month.before == 4
    assert found.total.total.last_year.before == 5
    assert (found.history[0].month, found.history[-1].month) == (202505, 202605)


def test_the_same_days_are_right_before_the_ledger_has_noted_its_time_zone(database_url: str, tmp_path: Path) -> None:
    with Ledger(database_url, tmp_path) as ledger:
        put(ledger, "2026-04-01 00:30", "1.00")
        put(ledger, "2026-05-01 00:30", "1.00")
        put(ledger, "2026-05-15 00:30", "2.00")
        put(ledger, "2026-05-15 12:30", "40.00")
        assert seen(ledger).total.total.last_month.before == 3


def test_what_the_ledger_does_not_reach_is_unknown_and_not_nothing(ledger: Ledger) -> None:
    put(ledger, "2026-05-20 12:00", "10.00")
    put(ledger, "2026-06-10 12:00", "10.00", slug="new")
    found = seen(ledger)
    assert found.total.total.last_month.before == 0
    assert found.total.total.last_year == UNKNOWN
    assert {line.stream: line.total.last_month.before for line in found.streams} == {"New": None}
    assert [bar.month for bar in found.history if bar.known] == [202605, 202606]
    assert seen(ledger, asked=Asked("all")).total.total.last_month == UNKNOWN
    assert seen(ledger, asked=Asked("", 202401, 202606)).total.total.last_month == UNKNOWN


def test_a_period_is_what_the_income_report_says(ledger: Ledger) -> None:
    for number in range(40):
        more = {"recurrence": ("one_off", "recurring")[number % 2], "status": ("approved", "pending")[number % 3 == 0]}
        put(ledger, f"2026-{number % 6 + 1:02}-{number % 14 + 1:02} 12:00", f"{number}.10", f"c{number % 3}", **more)
    found = seen(ledger, asked=Asked("this-year"))
    told = summed(reports.income(ledger.engine, ledger.settings, first=202601, last=202606).rows)
    assert (found.total.total.amount, found.total.recurring.amount) == (told.total, told.recurring)
    assert (found.waiting, found.total.earnings) == (told.pending, told.earnings)
    assert sum(bar.recurring + bar.other for bar in found.history) == told.total
    assert sum(line.total.amount for line in found.streams) == told.total


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


@pytest.mark.parametrize("now", ["2026-03-31 08:00", "2026-03-01 00:00", "2026-03-01 00:30"])
def test_the_same_days_of_a_shorter_month_and_of_none(ledger: Ledger, now: str) -> None:
    put(ledger, "2026-02-01 00:00", "1.00")
    put(ledger, "2026-02-28 23:59", "2.00")
    before = seen(ledger, now=moment(now)).total.total.last_month.before
    assert before == {"2026-03-31 08:00": 3, "2026-03-01 00:00": 0, "2026-03-01 00:30": 1}[now]


# --- on its way ---


def test_the_pipeline_is_what_waits_what_is_approved_and_what_was_paid_this_month(ledger: Ledger) -> None:
    put(ledger, "2026-04-01 12:00", "1.00", status="pending")
    put(ledger, "2026-04-01 12:00", "2.00")
    put(ledger, "2026-04-01 12:00", "3.00", settlement="scheduled")
    put(ledger, "2026-03-01 12:00", "4.00", settlement="paid", paid_at=moment("2026-06-01 12:00"))
    put(ledger, "2026-02-01 12:00", "50.00", settlement="paid")
    put(ledger, "2026-04-01 12:00", "6.00", currency="SYP")
    put(ledger, "2026-04-01 12:00", "9.00", paired=True)
    put(ledger, "2026-04-01 12:00", "9.00", estimated=True)
    found = seen(ledger).pipeline
    assert {name: (one.earnings, one.amount) for name, one in found.items()} == {
        "pending": (1, Decimal(1)), "unpaid": (1, Decimal(2)), "scheduled": (1, Decimal(3)), "paid": (1, Decimal(4)),
    }  # fmt: skip
    assert [(one.currency, one.net, one.earnings) for one in found["unpaid"].unconverted] == [("SYP", Decimal(6), 1)]


# --- what is new ---


def change(ledger: Ledger, number: int, new: str, at: datetime, old: str = "pending") -> None:
    """As a sync writes it: the earning of that number has another status since then."""
    with ledger.engine.begin() as conn:
        conn.execute(update(earning_t).where(earning_t.c.id == number).values(status=new))
        conn.execute(insert(earning_change_t).values(earning_id=number, changed_at=at, what="status", old=old, new=new))
        mark_dirty(conn, 1, [202605])


def test_news_are_what_arrived_was_approved_or_was_lost_since(ledger: Ledger) -> None:
    for net in ("1.00", "2.00", "3.00", "4.00", "5.00"):
        put(ledger, "2026-05-10 12:00", net, status="pending")
    since = NOW - timedelta(days=1)
    change(ledger, 1, "approved", since - timedelta(hours=1))  # known by then
    with reading(ledger.engine) as conn:
        newest = newest_earning(conn)
    change(ledger, 2, "approved", since + timedelta(hours=1))
    change(ledger, 3, "declined", since + timedelta(hours=1))
    change(ledger, 4, "approved", since + timedelta(hours=1))
    change(ledger, 4, "reversed", since + timedelta(hours=2), old="approved")
    put(ledger, "2026-04-10 12:00", "30.00")
    put(ledger, "2026-06-14 20:00", "10.00", status="pending")
    put(ledger, "2026-06-14 20:00", "70.00", status="declined")
    put(ledger, "2026-06-14 20:00", "80.00", paired=True)
    put(ledger, "2026-06-14 20:00", "500.00", currency="SYP")
    for day, status in (("2026-06-14", "paid"), ("2026-06-10", "paid"), ("2026-06-15", "pending")):
        row = {"connection_id": 1, "resource": "payouts", "external_id": f"{day}{status}", "status": status}
        more = {"amount": Decimal(90), "currency": "EUR", "created_at": moment(f"{day} 18:00") - timedelta(hours=2)}
        ledger.insert("payout", [row | more | {"itemised": False, "estimated": False}])
    found = seen(ledger, since=since, newest=newest).news
    assert found is not None
    assert {name: (one.earnings, one.amount) for name, one in found.sums.items()} == {
        "new": (2, Decimal(40)), "approved": (1, Decimal(2)), "lost": (2, Decimal(7)),
    }  # fmt: skip
    assert [(one.currency, one.net) for one in found.sums[Became.NEW].unconverted] == [("SYP", Decimal(500))]
    assert [row.net for row in found.largest[Became.NEW]] == [30, 10, 500]
    assert [(row.id, row.status) for row in found.largest[Became.LOST]] == [(4, "reversed"), (3, "declined")]
    assert [(row.slug, row.amount) for row in found.payouts] == [("network", Decimal(90))]
    nothing = seen(ledger, since=NOW, newest=newest + 100).news
    assert nothing is not None
    assert nothing.nothing
    assert seen(ledger).news is None


@pytest.mark.parametrize("many", [0, FEW])
def test_all_that_is_new_can_be_opened_and_adds_up(ledger: Ledger, many: int) -> None:
    since = NOW - timedelta(days=1)
    for status in ("pending", "pending", "approved", "pending", "pending", "approved"):
        put(ledger, "2026-05-10 12:00", "10.25", status=status)
    for number in (1, 5):
        change(ledger, number, "approved", since if number == 1 else since - timedelta(seconds=1))
    change(ledger, 2, "declined", since + timedelta(hours=1))
    change(ledger, 2, "approved", since + timedelta(hours=2), old="declined")
    change(ledger, 3, "reversed", since + timedelta(hours=1), old="approved")
    change(ledger, 4, "approved", since + timedelta(hours=1))
    change(ledger, 4, "pending", since + timedelta(hours=2), old="approved")
    change(ledger, 6, "approved", since + timedelta(hours=1), old="approved")  # nothing changed
    if many:
        ledger.insert("earning", [ledger.row("network", "1.00", "2026-05-11") for _ in range(many)])
    with reading(ledger.engine) as conn:
        newest = newest_earning(conn)
    told = {"changed_at": since, "what": "status", "old": "pending", "new": "approved"}
    if many:
        ledger.insert("earning_change", [{"earning_id": newest - number, **told} for number in range(many)])
    put(ledger, "2026-06-14 20:00", "3.00", status="pending")
    for at, currency in (("2026-06-14 20:00", "USD"), ("2024-01-01 00:00", "USD"), ("2026-06-14 20:00", "SYP")):
        put(ledger, at, "20.00", currency=currency)
    put(ledger, "2026-06-14 20:00", "9.00", status="declined")
    put(ledger, "2026-06-14 20:00", "9.00", paired=True)
    change(ledger, newest + 1, "approved", NOW)  # new, however it changed since
    if many:
        ledger.insert("earning", [ledger.row("network", "1.00", "2026-06-13", status="pending") for _ in range(many)])
    with ledger.engine.begin() as conn:
        conn.execute(update(earning_t).where(earning_t.c.currency == "USD").values(reporting_net=Decimal("17.50")))
        mark_dirty(conn, 1, [202401, 202605, 202606])
    found = seen(ledger, since=since, newest=newest).news
    assert found is not None
    expected = {
        "new": (3 + many, Decimal("38.00") + many), "approved": (2 + many, Decimal("20.50") + many),
        "lost": (1, Decimal("10.25")),
    }  # fmt: skip
    assert {name: (one.earnings, one.amount) for name, one in found.sums.items()} == expected
    assert [(one.currency, one.earnings) for one in found.sums[Became.NEW].unconverted] == [("SYP", 1)]
    for what, told_sum in found.sums.items():
        wanted = Filter(since=found.of(what))
        first = search(ledger.engine, ledger.settings, wanted, size=500)
        assert first.totals is not None
        known = [(one.earnings, one.worth) for one in first.totals.sums if one.worth is not None]
        assert (sum(count for count, _ in known), sum((worth for _, worth in known), Decimal(0))) == expected[what]
        unknown = [(one.currency, one.net) for one in first.totals.sums if one.worth is None]
        assert unknown == [(one.currency, one.net) for one in told_sum.unconverted]
        rows, place = list(first.rows), first.next
        while place:
            page = search(ledger.engine, ledger.settings, wanted, size=500, after=place, totals=False)
            rows, place = rows + page.rows, page.next
        keys = [(row["earned_at"], row["id"]) for row in rows]
        assert keys == sorted(set(keys), reverse=True)
        assert len(keys) == first.totals.earnings
        assert [row["id"] for row in every(ledger.engine, ledger.settings, wanted)] == [one for _, one in keys[::-1]]
        assert {row.id for row in found.largest[what]} <= {one for _, one in keys}
        in_dollars = seen(ledger, since=since, newest=newest, currency="USD").news
        assert in_dollars is not None
        counted = in_dollars.sums[what]
        assert counted.earnings + sum(one.earnings for one in counted.unconverted) == len(keys)


def test_that_somebody_looked_is_noted_every_few_minutes(ledger: Ledger) -> None:
    user = accounts.add_owner(ledger.engine, "owner", "a long password", NOW)
    put(ledger, "2026-05-10 12:00", "1.00")
    assert overview.looked(ledger.engine, user, NOW) == (None, 0)
    put(ledger, "2026-05-10 12:00", "1.00")
    assert overview.looked(ledger.engine, user, NOW + timedelta(minutes=4)) == (NOW, 1)
    assert overview.looked(ledger.engine, user, NOW + timedelta(hours=2)) == (NOW, 1)
    later = NOW + timedelta(hours=2)
    assert overview.looked(ledger.engine, user, later + timedelta(days=1)) == (later, 2)


def test_what_is_fed_by_files_does_not_say_how_fresh_the_rest_is(ledger: Ledger) -> None:
    ledger.connection("network", next_sync_at=NOW, as_of=NOW)
    ledger.connection("files", next_sync_at=None, as_of=moment("2026-03-06 12:00"))
    found = seen(ledger)
    assert found.oldest == ("network", NOW)
    assert found.as_of["files"] == moment("2026-03-06 12:00")
    ledger.connection("new", next_sync_at=NOW, as_of=None)
    assert seen(ledger).oldest == ("new", None)


def test_everybody_has_looked_for_themselves_only(ledger: Ledger) -> None:
    eva = accounts.add_owner(ledger.engine, "eva", "a long password", NOW)
    ole = accounts.add_user(ledger.engine, "ole", "a long password", "viewer", NOW)
    overview.looked(ledger.engine, eva, NOW)
    later = NOW + timedelta(hours=1)
    assert overview.looked(ledger.engine, ole, later) == (None, 0)
    assert overview.looked(ledger.engine, eva, later) == (NOW, 0)


def test_what_was_read_longest_ago_is_named(ledger: Ledger) -> None:
    for slug, hours in (("network", 2), ("shop", 5), ("bank", 1)):
        ledger.connection(slug, next_sync_at=NOW, as_of=NOW - timedelta(hours=hours))
    assert seen(ledger).oldest == ("shop", NOW - timedelta(hours=5))
