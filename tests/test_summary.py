"""The summary of a month: it agrees with the reports, counts losses once, and says what is old or missing."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from tests.figures.histories import these
from tests.letter_story import JUNE, MAY_LETTER, NOW, READ, june, lose, payout, quarantine, remember
from tests.pretend import earning
from tests.rows import Ledger, moment
from tests.world import World
from tracker import reports
from tracker.errors import UsageError
from tracker.figures.comparison import Change
from tracker.figures.income import AMOUNTS, Cost, summed
from tracker.store import reads_letter, rollup, writes
from tracker.store.database import reading
from tracker.summary import MonthlySummary, Trouble, summarise


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(database_url, tmp_path) as ledger:
        yield ledger


def summary(ledger: Ledger, month: int = JUNE, now: datetime = NOW, since: datetime | None = None) -> MonthlySummary:
    return summarise(ledger.engine, ledger.settings, month, now, since=since)


# --- income ---


def test_the_summary_is_the_same_on_both_databases_and_says_all_there_is(ledger: Ledger) -> None:
    found = summary(june(ledger), since=MAY_LETTER)
    assert [(line.stream, line.total.amount > 0) for line in found.streams] == [
        ("Gear reviews", True), ("Newsletter", True), ("Mountain photography for beginners", True), ("Shop", False),
    ]  # fmt: skip
    assert these(found.waiting, found.estimated) == (Decimal("80.25"), 12)
    assert [these(one.currency, one.net, one.earnings) for one in found.unconverted] == [("KES", 5000, 1)]
    assert [one.connection for one in found.pending] == ["awin", "shop"]
    assert these(found.pending[0].sum.earnings, found.pending[0].sum.amount) == (2, Decimal("144.25"))
    assert found.pending[0].oldest == 202604
    assert [these(one.currency, one.net) for one in found.pending[1].sum.unconverted] == [("KES", 300)]
    assert {kind: sum_.amount for kind, sum_ in found.losses.corrections.items()} == {"chargeback": -40, "refund": -15}
    assert [(one.connection, one.payouts, one.amount) for one in found.received] == [
        ("awin", 1, Decimal("640.10")), ("stripe", 2, 265),
    ]  # fmt: skip
    assert [these(one.connection, one.currency, one.amount) for one in found.failed] == [("cj", "USD", 150)]
    assert [these(one.connection, one.amount, one.last) for one in found.under_way] == [
        ("stripe", 95, moment("2026-07-06"))
    ]
    assert found.mrr == reports.recurring(ledger.engine, ledger.settings, NOW, month=JUNE)
    assert [(one.title, one.rows) for one in found.quarantine] == [("Awin", 2)]


AMOUNT = st.decimals(-500, 500, places=2)
ROW = st.tuples(
    AMOUNT,
    st.sampled_from(["2026-06-03", "2026-06-30", "2026-05-04", "2025-06-05"]),
    st.fixed_dictionaries(
        {
            "stream": st.sampled_from(["Blog", "Course", "Shop"]),
            "recurrence": st.sampled_from(["recurring", "one_off", "instalment", "variable"]),
            "status": st.sampled_from(["approved", "approved", "pending", "declined", "reversed"]),
            "kind": st.sampled_from(["sale", "refund", "fee", "payout"]),
            "currency": st.sampled_from(["EUR", "USD", "KES"]),
        }
    ),
)


def test_the_streams_of_a_letter_add_up_to_its_totals_and_to_the_income_report(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path / 'tracker.db'}", tmp_path) as ledger:

        @settings(max_examples=40)
        @given(st.lists(ROW, max_size=12))
        def check(rows: list[Any]) -> None:
            made = [ledger.row("shop", str(net), day, **more) for net, day, more in rows]
            with ledger.engine.begin() as conn:
                conn.execute(delete(writes.earning_t))
                if made:
                    conn.execute(insert(writes.earning_t), made)
                rollup.rebuild(conn)
            found = summary(ledger)
            report = reports.income(ledger.engine, ledger.settings, first=JUNE, last=JUNE)
            whole = summed(report.rows)
            assert {name: getattr(whole, name) for name in AMOUNTS if name not in ("declined", "reversed")} == {
                "recurring": sum((line.recurring.amount for line in found.streams), Decimal(0)),
                "one_off": sum((line.one_off for line in found.streams), Decimal(0)),
                "instalment": sum((line.instalment for line in found.streams), Decimal(0)),
                "variable": sum((line.variable for line in found.streams), Decimal(0)),
                "total": found.total.total.amount,
                "pending": found.waiting, "estimated": found.estimated,
            }  # fmt: skip
            assert found.total.earnings == whole.earnings == sum(line.earnings for line in found.streams)
            assert list(found.unconverted) == [one for one in report.unconverted if one.earnings]
            for month, before in ((202605, found.total.total.last_month), (202506, found.total.total.last_year)):
                then = summed(reports.income(ledger.engine, ledger.settings, first=month, last=month).rows).total
                assert before.before in (then, None)
                assert before.before is not None or then == 0

        check()


def test_what_the_ledger_does_not_reach_is_unknown_and_a_month_without_income_is_nothing(ledger: Ledger) -> None:
    ledger.earning("shop", "10.00", "2025-06-03", stream="Shop")
    ledger.earning("shop", "30.00", "2026-06-03", stream="Shop")
    ledger.earning("club", "20.00", "2026-06-04", stream="Club")
    found = summary(ledger)
    shop, club = found.streams
    assert shop.total.last_year == Change(Decimal(10), Decimal(20), Decimal(2))
    assert shop.total.last_month == Change(Decimal(0), Decimal(30), None)
    assert club.total.last_month == club.total.last_year == Change()
    assert (found.last_year.known, found.last_year.missing) == (True, ("Club",))
    first = summary(ledger, 202506)
    assert (first.last_month.known, first.last_month.missing, first.total.total.last_month) == (False, (), Change())


def test_a_month_that_runs_ends_now_and_one_to_come_is_refused(ledger: Ledger) -> None:
    ledger.earning("shop", "10.00", "2026-07-01")
    found = summary(ledger, 202607)
    assert (found.over, found.until) == (False, NOW)
    assert (summary(ledger).over, summary(ledger).until) == (True, moment("2026-06-30", "22:00"))
    with pytest.raises(UsageError, match="2026-08 has not begun"):
        summary(ledger, 202608)


def test_an_empty_ledger_and_an_empty_month_are_told_apart(ledger: Ledger) -> None:
    assert (summary(ledger).empty, summary(ledger).nothing, summary(ledger).begins) == (True, True, None)
    ledger.earning("shop", "10.00", "2026-07-01")
    found = summary(ledger)
    assert (found.empty, found.nothing, found.begins) == (False, True, 202607)


# --- losses ---


def lost(found: MonthlySummary) -> tuple[Any, ...]:
    both = (found.losses.declined, found.losses.reversed)
    return these(*(value for one in both for value in (one.earnings, one.amount)))


def test_a_loss_is_told_by_the_first_letter_after_it_and_by_no_other(ledger: Ledger) -> None:
    lose(ledger, "awin", "10.00", "2026-04-01", "declined", MAY_LETTER - timedelta(minutes=1))
    lose(ledger, "awin", "20.00", "2026-04-01", "declined", MAY_LETTER)
    lose(ledger, "awin", "30.00", "2026-04-01", "reversed", NOW - timedelta(minutes=1))
    lose(ledger, "awin", "40.00", "2026-04-01", "reversed", NOW)
    before, this, after = (
        summary(ledger, month, now, since)
        for month, now, since in (
            (202605, MAY_LETTER, moment("2026-05-03")), (JUNE, NOW, MAY_LETTER), (202607, moment("2026-08-03"), NOW),
        )
    )  # fmt: skip
    assert [lost(found) for found in (before, this, after)] == [(1, 10, 0, 0), (1, 20, 1, 30), (0, 0, 1, 40)]


def test_without_a_letter_before_losses_are_told_from_the_start_of_the_month(ledger: Ledger) -> None:
    lose(ledger, "awin", "10.00", "2026-04-01", "declined", moment("2026-05-31", "21:59"))
    lose(ledger, "awin", "20.00", "2026-04-01", "declined", moment("2026-05-31", "22:00"))
    lose(ledger, "awin", "30.00", "2026-04-01", "declined", moment("2026-07-02"))
    assert lost(summary(ledger)) == (2, 50, 0, 0)
    assert lost(summary(ledger, now=moment("2026-09-03"))) == (1, 20, 0, 0)  # July's letter told the other


def test_an_earning_first_seen_declined_is_lost_as_well(ledger: Ledger) -> None:
    ledger.earning("awin", "10.00", "2026-06-10", status="declined")
    ledger.earning("awin", "20.00", "2026-05-10", status="declined")  # before the letter before
    assert lost(summary(ledger, since=MAY_LETTER)) == (1, 10, 0, 0)


def test_what_came_back_what_is_paired_and_what_corrects_is_not_lost(ledger: Ledger) -> None:
    lose(ledger, "awin", "10.00", "2026-06-01", "approved", moment("2026-06-20"))
    remember(ledger, moment("2026-06-10"), "pending", "declined")
    lose(ledger, "cj", "-5.00", "2026-06-01", "reversed", moment("2026-06-20"), kind="adjustment")
    lose(ledger, "shop", "7.00", "2026-06-01", "declined", moment("2026-06-20"), paired=True)
    lose(ledger, "shop", "7.00", "2026-05-01", "reversed", moment("2026-05-20"))
    remember(ledger, moment("2026-06-20"), "declined", "reversed")  # lost before already
    assert lost(summary(ledger, since=MAY_LETTER)) == (0, 0, 0, 0)


def test_the_largest_losses_are_named_in_their_own_currency(ledger: Ledger) -> None:
    found = summary(june(ledger), since=MAY_LETTER).losses.largest
    assert [(one.program, one.status, one.said, one.amount, one.currency) for one in found] == [
        ("Lantern VPN", "reversed", "corrected", 44, "USD"),
        ("Harbour & Hill Tents", "declined", None, Decimal("31.50"), "EUR"),
    ]


def test_a_loss_without_a_rate_is_told_in_its_currency(ledger: Ledger) -> None:
    lose(ledger, "awin", "900.00", "2026-06-01", "declined", moment("2026-06-20"), currency="KES")
    lose(ledger, "awin", "5.00", "2026-06-01", "declined", moment("2026-06-20"))
    found = summary(ledger).losses
    assert these(found.declined.earnings, found.declined.amount) == (1, 5)
    assert [these(one.currency, one.net, one.earnings) for one in found.declined.unconverted] == [("KES", 900, 1)]
    assert [one.currency for one in found.largest] == ["EUR", "KES"]


def test_losses_that_a_sync_sees_are_in_the_next_summary(database_url: str, tmp_path: Path) -> None:
    with World(database_url, tmp_path / "world") as world:
        for name, status in (("a", "pending"), ("b", "approved"), ("c", "pending")):
            world.provider.put("/commissions", earning(name, status=status, program="Tents"))
        world.add("network")
        world.sync("network")
        letter = world.now + timedelta(hours=1)
        assert lost(summarise(world.engine, world.deps.settings, JUNE, letter)) == (0, 0, 0, 0)
        world.later(days=2)
        for name in ("a", "b"):
            changed = f"{world.now - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
            world.provider.put("/commissions", earning(name, status="declined", program="Tents", updated=changed))
        world.sync("network")
        found = summarise(world.engine, world.deps.settings, JUNE, world.now + timedelta(hours=1), since=letter)
        assert lost(found) == (1, 10, 1, 10)
        assert {(one.program, one.status, one.said) for one in found.losses.largest} == {
            ("Tents", "declined", None), ("Tents", "reversed", "declined"),
        }  # fmt: skip
        later = world.now + timedelta(hours=2)
        assert lost(summarise(world.engine, world.deps.settings, JUNE, later + timedelta(hours=1), since=later))[0] == 0


def test_the_letter_before_is_the_newest_one_sent_about_an_earlier_month(ledger: Ledger) -> None:
    def sent(month: str, at: datetime | None, kind: str = "letter", recipient: str = "me@example.com") -> None:
        row = {"kind": kind, "period": month, "recipient": recipient, "message_id": "<x@y>", "created_at": NOW}
        ledger.insert("delivery", [{**row, "tries": 1, "sent_at": at}])

    with reading(ledger.engine) as conn:
        assert reads_letter.previous_letter(conn, "2026-06") is None
    sent("2026-04", moment("2026-05-03"))
    sent("2026-05", MAY_LETTER)
    sent("2026-05", None, recipient="other@example.com")
    sent("2026-06", NOW)
    sent("2026-05", NOW, kind="alert")
    with reading(ledger.engine) as conn:
        assert reads_letter.previous_letter(conn, "2026-06") == MAY_LETTER


@pytest.mark.parametrize("status", ["pending", "approved", "declined", "reversed"])
def test_what_the_user_owes_to_affiliates_is_a_cost_and_in_no_other_figure_of_the_letter(
    ledger: Ledger, status: str
) -> None:
    ledger.earning("shop", "50.00", "2026-06-03")
    before = summary(ledger, since=MAY_LETTER)
    ledger.earning("shop", "-9.00", "2026-06-04", kind="cost", status=status, program="own")
    ledger.earning("shop", "-4.00", "2026-05-04", kind="cost", status=status, settlement="paid")
    found = summary(ledger, since=MAY_LETTER)
    assert found.costs == ((Cost(202606, "EUR", Decimal(-9), 1),) if status == "approved" else ())
    assert replace(found, costs=()) == before


# --- payouts, connections, quarantine ---


def test_a_payout_belongs_to_the_month_it_arrives_in_and_is_never_income(ledger: Ledger) -> None:
    payout(ledger, "stripe", "early", "1.00", "2026-05-30", arrives_at=moment("2026-06-01"))
    payout(ledger, "stripe", "unknown", "2.00", "2026-06-10")
    payout(ledger, "stripe", "late", "4.00", "2026-06-29", arrives_at=moment("2026-07-02"))
    payout(ledger, "stripe", "dollars", "8.00", "2026-06-10", currency="USD")
    payout(ledger, "stripe", "sent", "16.00", "2026-06-28", arrives_at=moment("2026-07-08"))
    payout(ledger, "stripe", "made", "32.00", "2026-06-28", status="pending")
    payout(ledger, "stripe", "gone", "64.00", "2026-06-28", status="canceled")
    found = summary(ledger)
    assert [these(one.payouts, one.amount) for one in found.received] == [(2, 3), (1, 8)]
    assert [these(one.payouts, one.amount) for one in found.under_way] == [(2, 48)]
    assert these(found.failed, found.total.total.amount, found.nothing) == ((), 0, True)


@pytest.mark.parametrize(
    ("state", "trouble", "next_step"),
    [
        ({"as_of": READ}, None, ""),
        (
            {"as_of": READ, "paused_at": READ, "paused_reason": "you paused it."},
            Trouble.PAUSED, "connection resume one",
        ),
        (
            {"as_of": READ, "paused_at": READ, "paused_reason": "refused.", "last_error": "refused."},
            Trouble.PAUSED, "connection credentials one",
        ),
        ({"as_of": READ, "last_error": "503"}, Trouble.FAILING, "connection test one"),
        ({"as_of": moment("2026-07-02", "05:00")}, Trouble.STALE, "sync one"),
        ({"as_of": None, "created_at": moment("2026-07-01")}, Trouble.STALE, "sync one"),
        ({"as_of": moment("2026-07-01", "05:00"), "interval_s": 86_400}, None, ""),
        ({"as_of": moment("2026-06-30", "21:59"), "interval_s": 86_400}, Trouble.EARLY, "sync one"),
        ({"as_of": None, "created_at": READ}, Trouble.EARLY, "sync one"),
    ],
)  # fmt: skip
def test_a_connection_whose_figures_may_be_old_is_named_with_what_to_do(
    ledger: Ledger, state: dict[str, Any], trouble: Trouble | None, next_step: str
) -> None:
    ledger.connection("one", **state)
    found = [(one.trouble, one.next) for one in summary(ledger).troubled]
    assert found == ([] if trouble is None else [(trouble, f"tracker {next_step}")])


def test_connections_of_the_same_name_are_told_apart(ledger: Ledger) -> None:
    for slug in ("awin-blog", "awin-shop"):
        ledger.connection(slug, title="Awin")
        quarantine(ledger, slug, "q1", "not a date")
    ledger.connection("cj", title="CJ", last_error="503")
    found = summary(ledger)
    assert {one.title for one in found.quarantine} == {"Awin (awin-blog)", "Awin (awin-shop)"}
    assert "CJ" in {one.title for one in found.troubled}


def test_there_is_no_mrr_without_subscriptions(ledger: Ledger) -> None:
    ledger.earning("shop", "10.00", "2026-06-03")
    assert summary(ledger).mrr is None
