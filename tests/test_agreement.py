"""Every figure is the same wherever it stands, and the same as one counted by hand from the single earnings."""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from beancount import loader
from beancount.core.data import Transaction
from openpyxl import load_workbook
from sqlalchemy import insert

from tests.recount import COLUMNS, Book, filled, verdict
from tests.rows import Ledger
from tests.services import fresh_database
from tracker import (
    payouts,
    reports,
    search,
    stream_income,
    subscriptions,
    summary,
)
from tracker.exports import formats
from tracker.filters import Filter
from tracker.months import following, last_day
from tracker.overview import Look, overview, same_moment
from tracker.periods import Asked
from tracker.revalue import revalue
from tracker.search import Sort
from tracker.settings import Settings
from tracker.store import rollup
from tracker.store.reads import Basis, By
from tracker.store.writes import earning_t, mark_dirty

NOW = datetime(2026, 6, 15, 12, 34, 56, tzinfo=UTC)
FIRST, LAST = 202405, 202608
#: A rounding of every part that is converted.
MICRO = Decimal("0.000001")
ZONES = [("sqlite", "Europe/Berlin"), ("sqlite", "Pacific/Kiritimati"), ("postgresql", "America/New_York")]


@pytest.fixture(scope="module", params=ZONES)
def ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Read only, but for one test that leaves it as it was."""
    database, zone = request.param
    folder = tmp_path_factory.mktemp("agreement")
    with ExitStack() as stack:
        url = f"sqlite:///{folder / 'tracker.db'}"
        if database == "postgresql":
            url = stack.enter_context(fresh_database(request.getfixturevalue("postgres_server")))
        ledger = stack.enter_context(Ledger(url, folder, currency="EUR", time_zone=zone))
        filled(ledger, ZONES.index(request.param))
        revalue(ledger.engine, ledger.settings)
        yield ledger


def book_of(ledger: Ledger, settings: Settings | None = None) -> Book:
    settings = settings or ledger.settings
    return Book.of(ledger.engine, settings.zone, settings.currency)


def same_income(ledger: Ledger, settings: Settings, book: Book, by: By, basis: Basis, currency: str) -> None:
    report = reports.income(ledger.engine, settings, first=FIRST, last=LAST, by=by, basis=basis, currency=currency)
    lines, lost = book.income(FIRST, LAST, by, basis, currency)
    assert {(row.month, row.group) for row in report.rows} == lines.keys()
    for row in report.rows:
        line = lines[row.month, row.group]
        slack = Decimal(0) if currency == settings.currency else MICRO * line.parts
        for name in COLUMNS:
            assert abs(getattr(row, name) - line.amounts[name]) <= slack, (by, basis, currency, row.month, name)
        assert row.earnings == line.earnings
    assert {one.currency: (one.earnings, one.net) for one in report.unconverted} == lost


def test_income_is_that_counted_by_hand_by_every_basis_and_group(ledger: Ledger) -> None:
    book = book_of(ledger)
    for basis in Basis:
        for by in By:
            same_income(ledger, ledger.settings, book, by, basis, "EUR")
        for currency in ("USD", "JPY"):
            for by in (By.STREAM, By.PRODUCT):
                same_income(ledger, ledger.settings, book, by, basis, currency)


def test_figures_move_along_with_zone_and_currency(ledger: Ledger) -> None:
    for zone, currency in (("Asia/Kolkata", "USD"), ("Africa/Cairo", "JPY"), (ledger.settings.time_zone, "EUR")):
        moved = ledger.settings.model_copy(update={"time_zone": zone, "currency": currency})
        revalue(ledger.engine, moved)
        book = book_of(ledger, moved)
        for basis in (Basis.EARNED, Basis.PAID):
            same_income(ledger, moved, book, By.STREAM, basis, currency)
        same_income(ledger, moved, book, By.CONNECTION, Basis.EARNED, "EUR")


def test_the_overview_is_that_counted_by_hand(ledger: Ledger) -> None:
    book, zone = book_of(ledger), ledger.settings.zone
    for basis in Basis:
        for asked in (Asked(), Asked("last-month"), Asked("12-months"), Asked("all"), Asked("", 202602, 202604)):
            seen = overview(ledger.engine, ledger.settings, NOW, Look(asked, basis))
            counted = [(row, at) for row in book.counted(basis, lambda row: True) if (at := book.moment(row, basis))]

            def between(first: int, last: int, until: datetime | None = None, counted: Any = counted) -> list[Any]:
                return [row for row, at in counted if first <= book.month(at) <= last and (until is None or at < until)]

            first, last = seen.period.first, seen.period.last
            inside = between(first, last)
            assert seen.total.total.amount == book.total(inside)
            assert seen.total.recurring.amount == book.total(row for row in inside if row.recurrence == "recurring")
            for line in seen.streams:
                assert line.total.amount == book.total(row for row in inside if row.stream == line.stream)
            for bar in seen.history:
                assert bar.recurring + bar.other == book.total(between(bar.month, bar.month))
            shifts = (len(seen.period.months), 12)
            for shift, change in zip(shifts, (seen.total.total.last_month, seen.total.total.last_year), strict=True):
                if change.before is not None:
                    begins, ends = following(first, -shift), following(last, -shift)
                    until = same_moment(ends, NOW, zone) if seen.period.runs else None
                    assert change.before == book.total(between(begins, ends, until)), (basis, asked, shift)


def test_what_is_on_its_way_is_that_counted_by_hand(ledger: Ledger) -> None:
    book = book_of(ledger)
    seen = overview(ledger.engine, ledger.settings, NOW)
    pending = [row for row in book.rows if verdict(row) == "pending"]
    counted = list(book.counted("earned", lambda row: True))
    stages = {
        "pending": pending,
        "unpaid": [row for row in counted if row.settlement == "unpaid"],
        "scheduled": [row for row in counted if row.settlement == "scheduled"],
        "paid": [row for row in counted if (at := book.moment(row, "paid")) and book.month(at) == seen.running],
    }
    assert {name: one.amount for name, one in seen.pipeline.items()} == {
        name: book.total(rows) for name, rows in stages.items()
    }
    month = [row for row in pending if book.month(row.earned_at) == seen.running]
    assert seen.waiting == book.total(month)


def test_streams_and_letters_are_that_counted_by_hand(ledger: Ledger) -> None:
    book = book_of(ledger)
    found = stream_income.every(ledger.engine, ledger.settings, NOW)
    recent = list(book.counted("earned", lambda row: found.first <= book.month(row.earned_at) <= found.last))
    for stream in found.streams:
        rows = [row for row in recent if row.stream_slug == stream.slug]
        assert stream.standing.total == book.total(rows)
        view = stream_income.one(ledger.engine, ledger.settings, NOW, stream.slug)
        assert view
        assert view.products is not None
        for parts in (view.sources, view.products):
            assert sum(part.amount for part in parts) == stream.standing.total
    for month in (202605, 202606):
        told = summary.summarise(ledger.engine, ledger.settings, month, NOW)
        assert told.total.total.amount == book.total(row for row in recent if book.month(row.earned_at) == month)
    waits = [row for row in book.rows if verdict(row) == "pending"]
    assert sum(one.sum.amount for one in told.pending) == book.total(waits)


def test_costs_beside_the_income_leave_the_overview_as_it_is(database_url: str, tmp_path: Path) -> None:
    with Ledger(database_url, tmp_path, currency="EUR") as ledger:
        ledger.earning("own", "100.00", "2026-06-03")
        ledger.earning("own", "-30.00", "2026-06-03", kind="cost")
        ledger.rate("USD", "2026-06-03", "2")
        for currency, worth in (("EUR", 100), ("USD", 200)):
            assert overview(ledger.engine, ledger.settings, NOW, Look(currency=currency)).total.total.amount == worth


# --- rows ---


def test_every_page_of_every_order_has_each_earning_once(ledger: Ledger) -> None:
    book = book_of(ledger)
    chance = Random(3)
    for given in (
        {},
        {"from": "2025-11-02", "to": "2026-05-31", "currency": "JPY"},
        {"month": "2026-05", "to": "2026-05-31", "max": "5000"},
        {"basis": "approved", "month": "2026-05", "from": "2026-05-02", "counted": "yes"},
        {"basis": "paid", "from": "2026-03-08", "to": "2026-06-14"},
        {"recurrence": "recurring", "month": "2026-06", "sub_id": "blog_1"},
    ):
        wanted = Filter.parse(given)
        expected = [row for row in book.rows if fits(book, row, wanted)]
        for sort in Sort:
            ids, after = [], None
            while True:
                page = search.search(
                    ledger.engine, ledger.settings, wanted, sort=sort, after=after, size=chance.choice([7, 40])
                )
                ids += [row["id"] for row in page.rows]
                if (after := page.next) is None:
                    break
            by_amount = sort in (Sort.LARGEST, Sort.SMALLEST)

            def key(row: Any, by_amount: bool = by_amount, own: bool = bool(wanted.currency)) -> Any:
                amount = row.net if own else book.worth(row, "EUR")
                return (Decimal("-Infinity") if amount is None else amount) if by_amount else row.earned_at, row.id

            backwards = sort in (Sort.NEWEST, Sort.LARGEST)
            assert ids == [row.id for row in sorted(expected, key=key, reverse=backwards)], (given, sort)
        assert page.totals
        sums = {one.currency: (one.earnings, one.net, one.counted) for one in page.totals.sums}
        assert sums == {
            code: (len(own), sum(row.net for row in own), sum(verdict(row) == "counted" for row in own))
            for code in sorted({row.currency for row in expected})
            if (own := [row for row in expected if row.currency == code])
        }


def fits(book: Book, row: Any, wanted: Filter) -> bool:
    at = book.moment(row, wanted.basis) if verdict(row) == "counted" else row.earned_at
    if at is None and (wanted.month or wanted.first or wanted.last):
        return False
    at = at or row.earned_at
    amount = row.net if wanted.currency else book.worth(row, book.own)
    same = ("recurrence", "currency", "sub_id")
    return all(
        (
            wanted.month in (None, book.month(at)),
            wanted.first is None or book.day(at) >= wanted.first,
            wanted.last is None or book.day(at) <= wanted.last,
            wanted.most is None or (amount is not None and amount <= wanted.most),
            wanted.counted in (None, verdict(row) == "counted"),
            all(getattr(wanted, name) in (None, row[name]) for name in same),
        )
    )


def test_the_reasons_that_a_filter_asks_for_are_those_of_the_reports(ledger: Ledger) -> None:
    book = book_of(ledger)
    for word in ("pending", "declined", "reversed", "estimated", "paired", "not_income"):
        wanted = Filter.parse({"counted": word})
        assert wanted.params() == {"counted": word}
        found = list(search.every(ledger.engine, ledger.settings, wanted))
        assert [row["counted"] for row in found] == [word] * len(found)
        assert {row["id"] for row in found} == {row.id for row in book.rows if verdict(row) == word} != set()


def test_one_name_is_told_from_others_like_it(ledger: Ledger) -> None:
    book = book_of(ledger)
    for name, label in (("program", "program"), ("product", "product_title")):
        for text in {row[label] for row in book.rows}:
            wanted = Filter.parse({name: f"={text or ''}"})
            found = {row["id"] for row in search.every(ledger.engine, ledger.settings, wanted)}
            assert found == {row.id for row in book.rows if row[label] == text}, (name, text)


def test_a_time_at_the_very_end_of_a_day_lies_on_that_day(database_url: str, tmp_path: Path) -> None:
    with Ledger(database_url, tmp_path, currency="EUR") as ledger:
        revalue(ledger.engine, ledger.settings)
        late = datetime(2026, 6, 10, 21, 59, 59, 999999, tzinfo=UTC)
        row = ledger.row("awin", "10.00", "2026-06-10") | {"earned_at": late}
        with ledger.engine.begin() as conn:
            conn.execute(insert(earning_t), [row])
            mark_dirty(conn, 1, [202606])
            rollup.work_off(conn)
            days = [str(found.day) for found in conn.execute(rollup.d.select())]
        assert days == ["2026-06-10"]


def test_payouts_and_subscriptions_come_page_by_page_each_once(database_url: str, tmp_path: Path) -> None:
    with Ledger(database_url, tmp_path) as ledger:
        filled(ledger, 1, 200)
        for number in range(12):
            ledger.subscription("stripe", f"s{number}", "9.00", f"2026-06-0{number % 2 + 1}", payer=None, product=None)
        for read in (partial(payouts.page, settings=ledger.settings), subscriptions.page):
            seen, place = [], None
            while True:
                page = read(ledger.engine, place=place, limit=5)
                seen += [row.external_id for row in page.rows]
                if (place := page.older) is None:
                    break
            assert len(seen) == len(set(seen)) in (12, 20)


def test_payouts_are_told_alike_by_command_and_page(database_url: str, tmp_path: Path) -> None:
    with Ledger(database_url, tmp_path) as ledger:
        owner = ledger.connection("stripe")
        plain = {
            "connection_id": owner, "resource": "payouts", "status": "paid", "amount": Decimal(10), "currency": "EUR",
            "created_at": NOW, "itemised": False, "itemised_at": None, "estimated": False,
        }  # fmt: skip
        kinds: dict[str, dict[str, Any]] = {
            "untold": {}, "unread": {"itemised": True}, "empty": {"itemised": True, "itemised_at": NOW},
            "whole": {"itemised": True, "itemised_at": NOW}, "mixed": {"itemised": True, "itemised_at": NOW},
            "none:EUR": {"estimated": True}, "some:EUR": {"estimated": True},
        }  # fmt: skip
        ledger.insert("payout", [{**plain, "external_id": name, **more} for name, more in kinds.items()])
        ledger.insert("payout_item", [
            {"connection_id": owner, "resource": "items", "external_id": f"{payout}{currency}", "payout_ref": payout,
             "earning_ref": "x", "amount": Decimal(4), "currency": currency}
            for payout, currency in (("whole", "EUR"), ("mixed", "EUR"), ("mixed", "USD"))
        ])  # fmt: skip
        ledger.earning("stripe", "6.00", "2026-06-01", payout_ref="some")
        shown = {
            one.external_id: (one.earnings, one.net, one.difference)
            for one in payouts.page(ledger.engine, ledger.settings).rows
        }
        assert shown == {
            one.external_id: (one.earnings, one.earnings_net, one.difference)
            for one in reports.payouts(ledger.engine, ledger.settings)
        }
        assert list(shown["empty"]) == [0, 0, 10]
        assert list(shown["unread"]) == [None, None, None]
        assert list(shown["mixed"]) == [2, None, None]


# --- exports ---


def exported(ledger: Ledger, form: str, **given: str) -> bytes:
    wanted = Filter.parse(given)
    return b"".join(formats.export(ledger.engine, ledger.settings, wanted, formats.Form(form), NOW))


def test_files_hold_the_sums_of_the_search(ledger: Ledger) -> None:
    given = {"from": "2026-03-08", "to": "2026-05-31", "basis": "approved"}
    found = search.search(ledger.engine, ledger.settings, Filter.parse(given)).totals
    assert found
    expected = {one.currency: one.net for one in found.sums}
    lines = list(csv.DictReader(io.StringIO(exported(ledger, "csv", **given).decode(), newline="")))
    workbook = load_workbook(io.BytesIO(exported(ledger, "xlsx", **given)), read_only=True)["Earnings"]
    head, *cells = workbook.iter_rows(values_only=True)
    for rows in (
        lines,
        json.loads(exported(ledger, "json", **given))["earnings"],
        [dict(zip(head, row, strict=True)) for row in cells],
    ):
        sums: dict[str, Decimal] = {}
        for row in rows:
            sums[row["currency"]] = sums.get(row["currency"], Decimal(0)) + Decimal(str(row["net"]))
        assert sums == expected


@pytest.mark.parametrize("basis", list(Basis))
def test_the_income_of_a_journal_is_that_counted_by_hand(ledger: Ledger, basis: str) -> None:
    book = book_of(ledger)
    entries, errors, _ = loader.load_string(exported(ledger, "beancount", basis=basis).decode())
    assert not errors
    sums: dict[tuple[int, str], Decimal] = {}
    for entry in entries:
        for posting in entry.postings if isinstance(entry, Transaction) else ():
            if posting.account.startswith("Income:"):
                assert posting.units
                assert posting.units.number is not None
                key = entry.date.year * 100 + entry.date.month, posting.units.currency
                sums[key] = sums.get(key, Decimal(0)) - posting.units.number
    expected: dict[tuple[int, str], Decimal] = {}
    for row in book.counted(basis, lambda row: True):
        at = book.moment(row, basis)
        assert at
        key = book.month(at), row.currency
        expected[key] = expected.get(key, Decimal(0)) + row.net
    assert sums == expected


def test_the_last_day_of_a_month() -> None:
    assert [last_day(month).day for month in (202602, 202402, 202612)] == [28, 29, 31]
