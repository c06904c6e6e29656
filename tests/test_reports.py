"""What a report says: which earnings count, in which month, and how payouts and subscriptions are told."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.figures.histories import these
from tests.rows import NOON, Ledger, moment
from tracker import reports
from tracker.errors import UsageError
from tracker.figures.income import IncomeRow, summed
from tracker.figures.mrr import Move
from tracker.reports import Income
from tracker.store.database import reading
from tracker.store.reads import Basis, By


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(database_url, tmp_path) as ledger:
        yield ledger


def report(ledger: Ledger, first: int = 202601, last: int = 202612, **more: Any) -> Income:
    return reports.income(ledger.engine, ledger.settings, first=first, last=last, **more)


def whole(ledger: Ledger, **more: Any) -> IncomeRow:
    return summed(report(ledger, **more).rows)


# --- what counts ---


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, True),
        ({"status": "pending"}, "pending"),
        ({"status": "declined"}, "declined"),
        ({"status": "reversed"}, "reversed"),
        ({"estimated": True}, "estimated"),
        ({"estimated": True, "status": "pending"}, "estimated"),
        ({"estimated": True, "status": "reversed"}, "reversed"),
        ({"paired": True, "status": "declined"}, "paired"),
        ({"kind": "payout", "paired": True}, "not_income"),
        ({"kind": "unknown"}, "not_income"),
        ({"kind": "cost"}, "not_income"),
        ({"kind": "cost", "status": "pending"}, "not_income"),
        ({"kind": "cost", "status": "reversed"}, "not_income"),
        ({"kind": "refund"}, True),
    ],
)
def test_every_earning_says_whether_it_is_in_the_total_or_why_not(
    ledger: Ledger, fields: dict[str, Any], word: object
) -> None:
    ledger.earning("shop", "10.00", "2026-06-03", **fields)
    (told,) = reports.earnings(ledger.engine, ledger.settings)
    assert told["counted"] == word
    row = whole(ledger)
    assert these(row.total, row.earnings) == ((10, 1) if word is True else (0, 0))
    others = {name: getattr(row, name) for name in ("pending", "declined", "reversed", "estimated")}
    assert others == {name: Decimal(10 if name == word else 0) for name in others}


def test_costs_stand_beside_income_by_month_and_currency_once_they_are_approved(ledger: Ledger) -> None:
    ledger.earning("shop", "50.00", "2026-06-03")
    before = report(ledger)
    for net, day, fields in (
        ("-9.00", "2026-06-04", {}),
        ("-1.50", "2026-06-05", {"settlement": "paid"}),
        ("-4.00", "2026-05-04", {}),
        ("-500", "2026-06-04", {"currency": "KES"}),
        ("-70.00", "2026-06-04", {"status": "pending"}),
        ("-80.00", "2026-06-04", {"status": "declined"}),
        ("-90.00", "2026-06-04", {"paired": True}),
    ):
        ledger.earning("shop", net, day, kind="cost", **fields)
    found = report(ledger)
    assert [these(one.month, one.currency, one.amount, one.earnings) for one in found.costs] == [
        (202605, "EUR", -4, 1), (202606, "EUR", Decimal("-10.5"), 2), (202606, "KES", -500, 1),
    ]  # fmt: skip
    assert (found.rows, found.unconverted) == (before.rows, before.unconverted)


def test_costs_lie_in_the_month_of_the_basis_and_are_converted_like_income(ledger: Ledger) -> None:
    ledger.rate("USD", "2026-06-30", "1.25")
    approved = {"validated_at": moment("2026-07-01"), "settlement": "paid", "paid_at": moment("2026-08-05")}
    ledger.earning("shop", "-8.00", "2026-06-30", kind="cost", **approved)
    for basis, month in ((Basis.EARNED, 202606), (Basis.APPROVED, 202607), (Basis.PAID, 202608)):
        for currency, amount in (("EUR", -8), ("USD", -10)):
            (cost,) = report(ledger, basis=basis, currency=currency, by=By.PRODUCT).costs
            assert these(cost.month, cost.currency, cost.amount) == (month, currency, amount)


def test_a_refund_lowers_the_total_of_its_own_month(ledger: Ledger) -> None:
    ledger.earning("stripe", "50.00", "2026-05-20")
    ledger.earning("stripe", "-50.00", "2026-06-02", kind="refund")
    assert [these(row.month, row.total) for row in report(ledger).rows] == [(202605, 50), (202606, -50)]


def test_a_sale_undone_by_its_correction_still_shows_what_was_lost(ledger: Ledger) -> None:
    for status in ("declined", "reversed"):
        ledger.earning("cj", "30.00", "2026-06-02", status=status)
        ledger.earning("cj", "-30.00", "2026-06-05", status=status, kind="adjustment")
    row = whole(ledger)
    assert these(row.declined, row.reversed, row.total) == (30, 30, 0)


# --- in which month ---


def test_the_basis_decides_the_month_of_the_total_alone(ledger: Ledger) -> None:
    later = {"validated_at": moment("2026-05-02"), "paid_at": moment("2026-06-10"), "settlement": "paid"}
    ledger.earning("awin", "10.00", "2026-04-01", **later)
    ledger.earning("awin", "5.00", "2026-04-01", validated_at=moment("2026-05-02"))
    ledger.earning("awin", "3.00", "2026-04-01", status="pending")
    found = {
        basis: [these(row.month, row.total, row.pending) for row in report(ledger, basis=basis).rows] for basis in Basis
    }
    assert found == {
        "earned": [(202604, 15, 3)],
        "approved": [(202604, 0, 3), (202605, 15, 0)],
        "paid": [(202604, 0, 3), (202606, 10, 0)],
    }


def test_a_month_ends_at_midnight_of_the_user(ledger: Ledger) -> None:
    ledger.earning("shop", "1.00", "2026-05-31", time="21:59")  # 23:59 in Berlin
    ledger.earning("shop", "2.00", "2026-05-31", time="22:00")
    assert [these(row.month, row.total) for row in report(ledger).rows] == [(202605, 1), (202606, 2)]


def test_only_the_months_asked_for_are_told(ledger: Ledger) -> None:
    for month in range(1, 7):
        ledger.earning("shop", "1.00", f"2026-{month:02d}-10")
    assert [row.month for row in report(ledger, 202602, 202604).rows] == [202602, 202603, 202604]


# --- groups and currencies ---


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("stream", {"Blog": 1, "Course": 2}),
        ("connection", {"awin": 1, "shop": 2}),
        ("program", {"Mountain Gear": 1, None: 2}),
        ("product", {None: 1, "Book": 2}),
        ("country", {"DE": 1, "NO": 2}),
        ("recurrence", {"one_off": 1, "recurring": 2}),
    ],
)
def test_income_is_grouped_as_asked(ledger: Ledger, by: str, groups: dict[str | None, int]) -> None:
    ledger.connection("awin")
    ledger.insert("program", [{"connection_id": 1, "external_id": "77", "title": "Mountain Gear", "recurring": False}])
    ledger.earning("awin", "1.00", "2026-06-01", stream="Blog", program="77", country="DE")
    ledger.earning("shop", "2.00", "2026-06-01", stream="Course", product="Book", country="NO", recurrence="recurring")
    rows = report(ledger, by=By(by)).rows
    assert {row.group: row.total for row in rows} == groups
    assert summed(rows).recurring == 2


@pytest.mark.parametrize("by", By)
def test_the_sum_is_the_same_however_it_is_grouped_and_in_whatever_currency(ledger: Ledger, by: By) -> None:
    for number, currency in enumerate(["EUR", "USD", "JPY", "EUR"]):
        ledger.earning(f"shop{number % 2}", f"{number + 1}00.00", f"2026-06-{number + 1:02d}", currency=currency)
    assert whole(ledger, by=by).total == whole(ledger).total
    dollars = whole(ledger, by=by, currency="USD").total
    assert whole(ledger).total < dollars < 2 * whole(ledger).total


def test_another_currency_is_converted_at_the_rate_of_each_day(ledger: Ledger) -> None:
    for day, rate in (("01", "1.10"), ("02", "1.10"), ("03", "1.20")):
        ledger.rate("USD", f"2026-06-{day}", rate)
    ledger.earning("shop", "10.00", "2026-06-01")
    ledger.earning("shop", "10.00", "2026-06-02", time="21:59")
    ledger.earning("shop", "10.00", "2026-06-02", time="22:00")  # the 3rd in Berlin
    ledger.earning("shop", "10.00", "2026-06-03", currency="USD", status="pending")
    (row,) = report(ledger, currency="USD").rows
    assert these(row.total, row.pending) == (34, 10)


def test_what_cannot_be_converted_is_named_and_never_added(ledger: Ledger) -> None:
    ledger.earning("shop", "10.00", "2026-06-01")
    ledger.earning("shop", "900.00", "2026-06-01", currency="KES")
    ledger.earning("shop", "900.00", "2026-06-01", currency="KES", status="pending")
    for currency in ("EUR", "USD"):
        told = report(ledger, currency=currency)
        assert [these(one.currency, one.net, one.earnings) for one in told.unconverted] == [("KES", 900, 1)]
        assert summed(told.rows).earnings == 1
        assert summed(told.rows).pending == 0


def test_months_that_changed_since_the_roll_up_are_brought_up_to_date_first(ledger: Ledger) -> None:
    ledger.earning("shop", "10.00", "2026-06-01")
    assert whole(ledger).total == 10
    ledger.earning("shop", "5.00", "2026-06-01")
    assert whole(ledger).total == 15


def test_a_report_says_how_fresh_each_connection_is(ledger: Ledger) -> None:
    assert report(ledger).empty
    ledger.connection("awin", as_of=None)
    ledger.connection("shop")
    told = report(ledger)
    assert told.as_of == {"awin": None, "shop": NOON}
    assert (told.currency, told.time_zone, told.rows, told.empty) == ("EUR", "Europe/Berlin", [], True)


# --- single earnings ---


def test_earnings_come_in_order_of_time_however_many_there_are(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        ledger.earning("shop", "1.00", f"2026-06-0{number % 3 + 1}")
    expected = list(reports.earnings(ledger.engine, ledger.settings))
    monkeypatch.setattr(reports, "CHUNK", 3)
    found = list(reports.earnings(ledger.engine, ledger.settings))
    assert found == expected
    assert [row["earned_at"] for row in found] == sorted(row["earned_at"] for row in found)
    assert len({row["external_id"] for row in found}) == 10
    assert list(reports.earnings(ledger.engine, ledger.settings, limit=4)) == expected[:4]


def test_both_ends_of_a_span_of_days_are_in_it_in_the_users_zone(ledger: Ledger) -> None:
    for day, time in (
        ("2026-05-31", "21:59"),
        ("2026-05-31", "22:00"),
        ("2026-06-02", "21:59"),
        ("2026-06-02", "22:00"),
    ):
        ledger.earning("shop", "1.00", day, time=time)
    found = reports.earnings(ledger.engine, ledger.settings, first=date(2026, 6, 1), last=date(2026, 6, 2))
    assert [row["external_id"] for row in found] == ["e2", "e3"]


def test_an_earning_names_its_program_stream_and_reason(ledger: Ledger) -> None:
    ledger.connection("awin")
    ledger.insert("program", [{"connection_id": 1, "external_id": "77", "title": "Mountain Gear", "recurring": False}])
    ledger.earning(
        "awin", "1.00", "2026-06-01", program="77", stream="Blog", recurrence="recurring", recurrence_by="subscription",
        recurrence_reason="sub_9", gross=None, fee=Decimal("0.10"),
    )  # fmt: skip
    ledger.earning("shop", "1.00", "2026-06-02", program="77")
    first, second = reports.earnings(ledger.engine, ledger.settings)
    assert list(first) == list(reports.EARNING_COLUMNS)
    assert (first["program"], first["stream"], second["program"]) == ("Mountain Gear", "Blog", "77")
    assert first["recurrence_reason"] == "belongs to subscription sub_9"
    assert (first["gross"], first["fee"], first["reporting_currency"]) == (None, Decimal("0.10"), "EUR")
    only = reports.earnings(ledger.engine, ledger.settings, connection_id=ledger.connection("shop"))
    assert [row["connection"] for row in only] == ["shop"]


# --- payouts ---


def payout(ledger: Ledger, slug: str, name: str, amount: str, day: str, **more: Any) -> None:
    row = {
        "connection_id": ledger.connection(slug), "resource": "payouts", "external_id": name, "status": "paid",
        "amount": Decimal(amount), "currency": "EUR", "created_at": moment(day), "itemised": True,
        "itemised_at": NOON, "estimated": False,
    }  # fmt: skip
    ledger.insert("payout", [{**row, **more}])


def item(ledger: Ledger, slug: str, name: str, of: str, amount: str, currency: str = "EUR") -> None:
    row = {
        "connection_id": ledger.connection(slug), "resource": "items", "external_id": name, "payout_ref": of,
        "earning_ref": name, "amount": Decimal(amount), "currency": currency,
    }  # fmt: skip
    ledger.insert("payout_item", [row])


def told(ledger: Ledger) -> dict[str, tuple[Any, ...]]:
    lines = reports.payouts(ledger.engine, ledger.settings)
    return {line.external_id: (line.earnings, line.earnings_net, line.difference) for line in lines}


def test_a_payout_is_explained_by_the_earnings_inside(ledger: Ledger) -> None:
    payout(ledger, "stripe", "po_1", "90.00", "2026-06-01")
    item(ledger, "stripe", "t1", "po_1", "60.00")
    item(ledger, "stripe", "t2", "po_1", "25.00")
    assert told(ledger) == {"po_1": (2, 85, 5)}


def test_what_is_inside_a_payout_is_unknown_until_its_list_is_read(ledger: Ledger) -> None:
    payout(ledger, "stripe", "unread", "90.00", "2026-06-03", itemised_at=None)
    item(ledger, "stripe", "t1", "unread", "60.00")
    payout(ledger, "stripe", "manual", "90.00", "2026-06-02", itemised=False, itemised_at=None)
    payout(ledger, "stripe", "foreign", "90.00", "2026-06-01")
    item(ledger, "stripe", "t2", "foreign", "60.00", "USD")
    assert told(ledger) == {
        "unread": (None, None, None), "manual": (None, None, None), "foreign": (1, None, None),
    }  # fmt: skip


def test_a_payout_put_together_from_earnings_has_these_inside(ledger: Ledger) -> None:
    for net in ("10.00", "15.00"):
        ledger.earning("awin", net, "2026-05-01", payout_ref="p7", settlement="paid")
    ledger.earning("awin", "99.00", "2026-05-01", payout_ref="p7", currency="GBP")
    payout(ledger, "awin", "p7:EUR", "25.00", "2026-06-01", itemised=False, itemised_at=None, estimated=True)
    assert told(ledger) == {"p7:EUR": (2, 25, 0)}


def test_payouts_come_newest_first_and_only_those_asked_for(ledger: Ledger) -> None:
    for day in ("2026-05-31", "2026-06-01", "2026-06-02"):
        payout(ledger, "stripe", day, "1.00", day)
    payout(ledger, "other", "x", "1.00", "2026-06-01")
    lines = reports.payouts(
        ledger.engine, ledger.settings, first=date(2026, 6, 1), connection_id=ledger.connection("stripe")
    )
    assert [line.external_id for line in lines] == ["2026-06-02", "2026-06-01"]


# --- recurring revenue ---


def recurring(ledger: Ledger, month: int | None = None, **more: Any) -> reports.Recurring:
    return reports.recurring(ledger.engine, ledger.settings, NOON, month=month, **more)


def test_a_subscription_told_by_two_connections_counts_once_and_cash_wins(ledger: Ledger) -> None:
    ledger.subscription("stripe", "sub_1", "10.00", "2026-01-05")
    ledger.connection("ghost", "enrichment")
    ledger.subscription("ghost", "sub_1", "12.00", "2026-01-05")
    ledger.subscription("ghost", "sub_2", "5.00", "2026-01-05")
    found = recurring(ledger)
    assert these(found.balance.total, found.balance.contracts, found.balance.customers) == (15, 2, 2)


def test_payers_with_the_same_number_at_two_providers_are_two_customers(ledger: Ledger) -> None:
    ledger.subscription("shop", "1", "10.00", "2026-01-05", payer="7")
    ledger.subscription("club", "1", "10.00", "2026-01-05", payer="7")
    assert recurring(ledger).balance.customers == 2


def test_the_history_of_a_subscription_is_told_from_its_changes(ledger: Ledger) -> None:
    number = ledger.subscription("stripe", "sub_1", "30.00", "2026-01-05")
    ledger.changed(number, "2026-04-10", {"amount": "10", "interval": "month"}, {"amount": "240", "interval": "year"})
    ledger.changed(number, "2026-06-10", {"amount": "240", "interval": "year"}, {"amount": "30", "interval": "month"})
    months = {month: recurring(ledger, month) for month in (202601, 202603, 202604, 202606)}
    assert [one.balance.total for one in months.values()] == [10, 10, 20, 30]
    assert [one.movements.new for one in months.values()] == [10, 0, 0, 0]
    assert [one.movements.expansion for one in months.values()] == [0, 0, 10, 10]


def test_a_cancelled_subscription_churns_in_the_month_that_it_ends_in(ledger: Ledger) -> None:
    end = moment("2026-05-20")
    number = ledger.subscription("stripe", "sub_1", "10.00", "2026-01-05", status="canceled", ended_at=end)
    old = {"status": "active", "ended_at": None}
    ledger.changed(number, "2026-06-01", old, {"status": "canceled", "ended_at": "2026-05-20T12:00:00Z"})
    found = recurring(ledger, 202605)
    assert these(found.movements.start, found.movements.churn, found.movements.end) == (10, 10, 0)
    assert found.movements.count(Move.CHURN) == 1
    assert recurring(ledger, 202606).movements.churn == 0


def test_a_running_month_ends_now_and_a_past_one_at_its_end(ledger: Ledger) -> None:
    ledger.subscription("stripe", "sub_1", "10.00", "2026-06-20")  # after "now"
    assert recurring(ledger).until == NOON
    assert recurring(ledger).balance.total == 0
    past = recurring(ledger, 202605)
    assert past.until == moment("2026-05-31", "22:00")
    assert past.movements.since == moment("2026-04-30", "22:00")


def test_the_balance_is_what_the_movements_end_with_also_in_another_currency(ledger: Ledger) -> None:
    ledger.subscription("stripe", "sub_1", "10.00", "2026-01-05")
    ledger.subscription("stripe", "sub_2", "120.00", "2026-05-05", interval="year", currency="USD")
    for currency in ("EUR", "USD", "NOK"):
        found = recurring(ledger, 202605, currency=currency)
        assert found.balance.total == found.movements.end > 0
        assert found.balance.at == found.until - timedelta(microseconds=1)


def test_a_month_to_come_and_an_unknown_policy_are_refused(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="2026-07 has not begun"):
        recurring(ledger, 202607)
    with pytest.raises(UsageError, match="no policy is called 'mine'"):
        recurring(ledger, policy="mine")


def test_the_ledger_without_subscriptions_has_no_contracts(ledger: Ledger) -> None:
    with reading(ledger.engine) as conn:
        assert reports.contracts(conn) == []
