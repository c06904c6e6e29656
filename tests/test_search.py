"""Searching earnings: every page together is what fits, in order, once; sums and places are right on both databases."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from tests.rows import Ledger, moment
from tracker import reports
from tracker.errors import UsageError
from tracker.filters import OTHER, PARAMETERS, Filter
from tracker.records import CORRECTIONS, NOT_INCOME
from tracker.search import COLUMNS, FURTHER, Found, Sort, Totals, every, search
from tracker.store.reads import Basis, By
from tracker.store.reads_news import Since
from tracker.store.reads_search import REFERRED_MAX
from tracker.store.writes import earning_t

STATUSES = ("approved", "pending", "declined", "reversed")
Row = dict[str, Any]


@pytest.fixture
def ledger(database_url: str, tmp_path: Path) -> Iterator[Ledger]:
    """Earnings of six months at two networks and a shop, some at the same moment or around midnight."""
    with Ledger(database_url, tmp_path) as ledger:
        assert (ledger.stream("Blog"), ledger.stream("Books")) == (1, 2)
        rows = []
        for number in range(90):
            slug = ("awin", "cj", "shop")[number % 3]
            day = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number * 2 // 3 * 3)
            rows.append(
                ledger.row(
                    slug, f"{(number * 37) % 50 - 9}.{number % 100:02}", f"{day:%Y-%m-%d}",
                    time=("12:00", "23:30", "22:30")[number % 5 % 3], status=STATUSES[number % 7 % 4],
                    settlement="paid" if number % 4 == 0 else "unpaid", paid_at=day + timedelta(days=40),
                    validated_at=day + timedelta(days=20) if number % 2 else None, estimated=number % 19 == 0,
                    currency=("EUR", "USD", "KES")[number % 11 % 3], kind=("sale", "refund", "payout")[number % 13 % 3],
                    recurrence=("one_off", "recurring")[number % 2], paired=number % 17 == 0,
                    program=f"p{number % 4}" if slug != "shop" else None,
                    product=f"Guide {number % 3}" if slug == "shop" else None, sub_id=f"Page-{number % 9}",
                    order_ref=f"A-{number}", gateway_ref=f"ch_{number}" if slug == "shop" else None,
                    stream=("Blog", "Books")[number % 2],
                )
            )  # fmt: skip
        ledger.insert("earning", rows)
        ledger.insert(
            "dirty_month",
            [{"connection_id": owner, "month": month} for owner in (1, 2, 3) for month in range(202601, 202608)],
        )
        ledger.insert(
            "program",
            [
                {"connection_id": owner, "external_id": f"p{n}", "title": f"Hosting {n}", "recurring": False}
                for owner, n in ((1, 0), (1, 1), (2, 0))
            ],
        )
        changed = {"what": "status", "old": "pending", "new": "declined"}
        at = moment("2026-03-15")
        ledger.insert("earning_change", [{"earning_id": n, "changed_at": at, **changed} for n in range(3, 91, 3)])
        yield ledger


def pages(ledger: Ledger, wanted: Filter, **more: Any) -> tuple[list[Row], list[Found]]:
    """The rows of all pages from the first to the last, and the pages."""
    found = [search(ledger.engine, ledger.settings, wanted, **more)]
    while found[-1].next:
        found.append(search(ledger.engine, ledger.settings, wanted, after=found[-1].next, **more))
        assert len(found) < 300
    return [row for page in found for row in page.rows], found


def kept(ledger: Ledger) -> list[Row]:
    """Every earning as it stands in the table."""
    with ledger.engine.connect() as conn:
        return [dict(row._mapping) for row in conn.execute(select(earning_t))]


def counts(row: Row) -> bool:
    plain = row["kind"] not in NOT_INCOME and not row["paired"] and not row["estimated"]
    return bool(plain and row["status"] == "approved")


def became(row: Row, since: Since) -> bool:
    """Of the earnings of `ledger` every third changed at noon of March 15."""
    plain = row["kind"] not in NOT_INCOME and not row["paired"] and not row["estimated"]
    if since.what == "new":
        return bool(row["id"] > since.newest and plain and row["status"] in ("approved", "pending"))
    lost = row["status"] in ("declined", "reversed") and row["kind"] not in CORRECTIONS
    return bool(row["id"] <= since.newest and row["id"] % 3 == 0 and plain and lost)


def fits(row: Row, wanted: Filter, ledger: Ledger) -> bool:
    """The filter, spelt out anew for one row."""
    zone = ledger.settings.zone
    at = row["earned_at"]
    if counts(row) and wanted.basis is not Basis.EARNED:
        at = row["validated_at"] or at
        if wanted.basis is Basis.PAID:
            at = row["paid_at"] or at
            if row["settlement"] != "paid" and (wanted.month or wanted.first or wanted.last or wanted.until):
                return False
    day = at.astimezone(zone).date()
    titles = {(1, "p0"): "Hosting 0", (1, "p1"): "Hosting 1", (2, "p0"): "Hosting 0"}
    title = titles.get((row["connection_id"], row["program"]), "")
    amount = row["net"] if wanted.currency else row["reporting_net"]
    same = ("status", "settlement", "kind", "currency", "product")
    texts = [row[name] or "" for name in ("external_id", "order_ref", "sub_id", "program", "product")]
    sub_id = (wanted.sub_id or "").lower()
    return all(
        [
            wanted.first is None or day >= wanted.first,
            wanted.last is None or day <= wanted.last,
            wanted.until is None or at < wanted.until,
            wanted.since is None or became(row, wanted.since),
            wanted.recurrence is None
            or (
                row["recurrence"] != "recurring"
                if wanted.recurrence == OTHER
                else row["recurrence"] == wanted.recurrence
            ),
            wanted.month is None or (day.year, day.month) == divmod(wanted.month, 100),
            wanted.connection is None or row["connection_id"] == ["awin", "cj", "shop"].index(wanted.connection) + 1,
            wanted.stream is None or wanted.stream == f"s{row['stream_id']}",
            wanted.program is None or wanted.program in (row["program"], title),
            *(getattr(wanted, name) is None or row[name] == getattr(wanted, name) for name in same),
            not sub_id or row["sub_id"].lower() == sub_id or (sub_id == "page-*"),
            wanted.least is None or (amount is not None and amount >= wanted.least),
            wanted.most is None or (amount is not None and amount <= wanted.most),
            wanted.counted is None or counts(row) == wanted.counted,
            not wanted.q or any(wanted.q.lower() in text.lower() for text in [*texts, title]),
        ]
    )


def maybe(*choices: Any) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.sampled_from(choices))


DAYS = st.dates(datetime(2025, 12, 20).date(), datetime(2026, 7, 10).date())  # noqa: DTZ001
FILTERS = st.builds(
    lambda days, **given: Filter.parse(
        {**{name: text for name, text in given.items() if text}, **{"from": str(days[0]), "to": str(days[1])}}
        if days
        else {name: text for name, text in given.items() if text}
    ),
    days=st.one_of(st.none(), st.tuples(DAYS, DAYS).map(sorted)),
    month=maybe("2026-02", "2026-03", "2025-01"), basis=maybe("approved", "paid"), connection=maybe("awin", "shop"),
    stream=maybe("s1", "s2"), program=maybe("p0", "Hosting 1"), product=maybe("Guide 1"), status=maybe(*STATUSES),
    settlement=maybe("paid"), recurrence=maybe("recurring", "other"), kind=maybe("sale", "payout"),
    currency=maybe("EUR", "KES"), until=maybe("2026-03-14T10:30:00+01:00"),
    since=maybe("new,2026-03-14T10:30:00+01:00,40", "lost,2026-03-14T10:30:00+01:00,70"),
    sub_id=maybe("Page-3", "page-*"), min=maybe("10", "-3.5"), max=maybe("30"), counted=maybe("yes", "no"),
    q=maybe("hosting", "page-1", "a-4", "guide 2"),
)  # fmt: skip


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=FILTERS, sort=st.sampled_from(Sort), size=st.sampled_from([1, 7, 50]), scan=st.sampled_from([1, 20, 999]))
def test_all_pages_together_are_what_fits_in_order(
    ledger: Ledger, wanted: Filter, sort: Sort, size: int, scan: int
) -> None:
    expected = [row for row in kept(ledger) if fits(row, wanted, ledger)]
    by_amount = sort in (Sort.LARGEST, Sort.SMALLEST)
    if by_amount:
        scan = 999
    rows, found = pages(ledger, wanted, sort=sort, size=size, scan=scan)
    assert sorted(row["id"] for row in rows) == sorted(row["id"] for row in expected)
    if not by_amount:
        keys = [(row["earned_at"], row["id"]) for row in rows]
    else:
        amount = "net" if wanted.currency else "reporting_net"
        keys = [(Decimal(-(10**12)) if row[amount] is None else row[amount], row["id"]) for row in rows]
    assert keys == sorted(keys, reverse=sort in (Sort.NEWEST, Sort.LARGEST))
    if (totals := found[0].totals) is not None:
        assert totals.earnings == len(expected)
        by_currency = {one.currency: (one.net, one.counted, one.counted_net) for one in totals.sums}
        for currency, told in by_currency.items():
            own = [row for row in expected if row["currency"] == currency]
            counted = [row["net"] for row in own if counts(row)]
            assert told == (sum(row["net"] for row in own), len(counted), sum(counted))
    else:
        assert scan < 90


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sort=st.sampled_from(Sort), size=st.integers(1, 40), text=maybe("page-1", "hosting"))
def test_the_way_back_leads_over_the_same_rows(ledger: Ledger, sort: Sort, size: int, text: str | None) -> None:
    wanted = Filter(q=text)
    forth, found = pages(ledger, wanted, sort=sort, size=size)
    back: list[Row] = []
    place = found[-1].previous
    while place:
        assert len(back) < 90
        page = search(ledger.engine, ledger.settings, wanted, sort=sort, size=size, before=place)
        back[:0] = page.rows
        place = page.previous
    assert back == forth[: len(forth) - len(found[-1].rows)]


def test_everything_is_read_in_order_of_time(ledger: Ledger) -> None:
    rows = list(every(ledger.engine, ledger.settings, Filter()))
    in_order = sorted(kept(ledger), key=lambda row: (row["earned_at"], row["id"]))
    assert [row["id"] for row in rows] == [row["id"] for row in in_order]
    assert set(rows[0]) == set(COLUMNS)
    with pytest.raises(UsageError, match="order of time"):
        every(ledger.engine, ledger.settings, Filter(), sort=Sort.LARGEST)


def test_a_search_tells_an_earning_as_the_list_of_earnings_does(ledger: Ledger) -> None:
    listed = {(row["connection"], row["external_id"]): row for row in reports.earnings(ledger.engine, ledger.settings)}
    for row in every(ledger.engine, ledger.settings, Filter()):
        told = listed[row["connection"], row["external_id"]]
        assert {name: row[name] for name in told} == told


@pytest.mark.parametrize("basis", Basis)
@pytest.mark.parametrize("by", [By.STREAM, By.PROGRAM, By.CONNECTION])
def test_the_rows_behind_a_figure_add_up_to_it(ledger: Ledger, basis: Basis, by: By) -> None:
    report = reports.income(ledger.engine, ledger.settings, first=202602, last=202604, by=by, basis=basis)
    assert any(row.total for row in report.rows)
    names = {"Blog": "s1", "Books": "s2"}
    for row in report.rows:
        if row.group is None:
            continue
        wanted = Filter(month=row.month, basis=basis, counted=True)
        wanted = wanted.but(**{by.value: names.get(row.group, row.group)})
        totals = search(ledger.engine, ledger.settings, wanted).totals
        assert totals is not None
        known = [one for one in totals.sums if one.reporting is not None]  # KES has no rate
        told = sum(one.reporting or 0 for one in known), sum(one.counted for one in known)
        assert told == (row.total, row.earnings)


def test_whole_references_are_found_wherever_they_are(ledger: Ledger) -> None:
    for text in ("ch_5", "e6", "A-5"):
        found = search(ledger.engine, ledger.settings, Filter(q=text), scan=1)
        assert [row["order_ref"] for row in found.rows] == ["A-5"]
        assert found.by_reference
        assert found.totals is not None
        assert found.totals.earnings == 1
    assert not search(ledger.engine, ledger.settings, Filter(q="ch_5", connection="awin")).rows
    parts, _ = pages(ledger, Filter(q="*e6*"), size=5, scan=1)
    assert {row["external_id"] for row in parts} == {"e6", *(f"e6{n}" for n in range(10))}


def test_what_many_share_is_no_reference(ledger: Ledger) -> None:
    rows = [ledger.row("cj", "1.00", "2026-04-02", order_ref="none") for _ in range(REFERRED_MAX)]
    ledger.insert("earning", rows)
    found = search(ledger.engine, ledger.settings, Filter(q="none"))
    assert (found.by_reference, found.totals and found.totals.earnings) == (True, REFERRED_MAX)
    ledger.earning("cj", "1.00", "2026-04-02", order_ref="none")
    found = search(ledger.engine, ledger.settings, Filter(q="none"))
    assert (found.by_reference, found.totals and found.totals.earnings) == (False, REFERRED_MAX + 1)


def test_a_text_is_found_in_whatever_case_and_nothing_stands_for_anything_but_the_asterisk(ledger: Ledger) -> None:
    for number, sub_id in enumerate(("50%_Off", "50_off", "50xxOff", "a\\b")):
        ledger.earning("cj", "1.00", "2026-04-02", order_ref=f"case-{number}", sub_id=sub_id)

    def found(**wanted: str) -> set[str]:
        rows = search(ledger.engine, ledger.settings, Filter.parse(wanted)).rows
        return {row["order_ref"] for row in rows}

    assert found(q="OFF") == {"case-0", "case-1", "case-2"}
    assert found(q="%_o") == {"case-0"}
    assert found(sub_id="50_*") == {"case-1"}
    assert found(sub_id="50*OFF") == {"case-0", "case-1", "case-2"}
    assert found(q="A\\B") == {"case-3"}


def test_looking_further_goes_further_at_once(ledger: Ledger) -> None:
    by_month = Counter(row["earned_month"] for row in kept(ledger))
    newest = [by_month[month] for month in sorted(by_month, reverse=True)]
    scan = newest[0]
    _, found = pages(ledger, Filter(q="nowhere"), scan=scan)
    assert found[0].searched_to == max(by_month)
    assert len(found) < len(by_month)
    assert newest[1] + newest[2] < scan * FURTHER  # else the second step would take one month as well


def test_all_that_fits_on_one_page_is_added_up_from_its_rows(ledger: Ledger) -> None:
    wanted = Filter(month=202603, q="hosting 0")
    everything = search(ledger.engine, ledger.settings, wanted).totals
    assert everything
    assert everything.earnings > 1
    assert search(ledger.engine, ledger.settings, wanted, scan=1).totals == everything
    assert search(ledger.engine, ledger.settings, wanted, scan=1, size=1).totals is None
    nothing = search(ledger.engine, ledger.settings, Filter(month=202603, q="nowhere"), scan=1)
    assert nothing.totals == Totals(earnings=0, sums=[])


def test_a_search_says_how_far_it_has_looked(ledger: Ledger) -> None:
    found = search(ledger.engine, ledger.settings, Filter(sub_id="Page-3"), scan=1)
    assert found.searched_to == max(row["earned_month"] for row in kept(ledger))
    assert found.next
    assert found.totals is None
    assert search(ledger.engine, ledger.settings, Filter(sub_id="Page-3")).searched_to is None
    by_amount = search(ledger.engine, ledger.settings, Filter(), sort=Sort.LARGEST, scan=20)
    assert by_amount.searched_to
    assert all(row["earned_at"] >= moment("2026-01-31", "22:00") for row in by_amount.rows)


def test_pages_need_no_offset_and_count_no_earnings(ledger: Ledger) -> None:
    asked: list[tuple[str, Any]] = []
    search(ledger.engine, ledger.settings, Filter())  # works the dirty months off
    event.listen(ledger.engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2:4]))
    _, found = pages(ledger, Filter(month=202602), size=5)
    assert len(found) > 2
    for statement, values in asked:
        assert "OFFSET" not in statement or values[-1] == 0  # SQLite's way to write a limit
        assert "sum(" not in statement or "FROM earning" not in statement


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"from": "2026-13-01"}, "from: not a day"),
        ({"to": "20260101"}, "to: not a day"),
        ({"from": "2026-02-02", "to": "2026-02-01"}, "from is after to"),
        ({"month": "2026-6"}, "month: not a month"),
        ({"month": "0001-01"}, "month: not a month"),
        ({"basis": "sold"}, "basis: 'sold' is none of earned, approved, paid"),
        ({"status": "APPROVED"}, "status: 'APPROVED' is none of pending"),
        ({"currency": "EURO"}, "currency: unknown currency"),
        ({"min": "1,50"}, "min: not an amount"),
        ({"max": "NaN"}, "max: not an amount"),
        ({"min": "2", "max": "1"}, "min is more than max"),
        ({"counted": "true"}, "counted: 'true' is neither yes nor no"),
        ({"since": "new"}, "since: not what became of earnings"),
        ({"since": "new,2026-06-30T12:00:00Z,-1"}, "since: not what became of earnings"),
        ({"since": "new,2026-06-30T12:00:00Z,9999999999999999999"}, "since: not what became of earnings"),
        ({"since": "new,2026-06-30T12:00:00,1"}, "since: not a moment"),
        ({"since": "paid,2026-06-30T12:00:00Z,1"}, "since: 'paid' is none of new, approved, lost"),
        ({"q": "x" * 201}, "q: not a text"),
        ({"program": "a\0b"}, "program: not a text"),
        ({"stream": "nothing"}, "no stream is called 'nothing'"),
        ({"connection": "nothing"}, "no connection is called 'nothing'"),
    ],
)
def test_what_cannot_be_asked_for_is_named(ledger: Ledger, given: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        search(ledger.engine, ledger.settings, Filter.parse(given))


@pytest.mark.parametrize(
    "more",
    [
        {"after": "x"}, {"after": "t1"}, {"after": "a1.1"}, {"before": "t999999999999999999.1"},
        {"after": "a9000000000000000001.1", "sort": Sort.LARGEST}, {"size": 0},
        {"size": 501}, {"after": "t1.1", "before": "t1.1"}, {"after": "t1.1", "sort": Sort.LARGEST},
    ],
)  # fmt: skip
def test_a_place_that_is_none_is_refused(ledger: Ledger, more: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        search(ledger.engine, ledger.settings, Filter(), **more)


@given(wanted=FILTERS)
def test_a_filter_survives_its_parameters(wanted: Filter) -> None:
    assert Filter.parse(wanted.params()) == wanted
    assert Filter.parse({**wanted.params(), "after": "t1.1", "unknown": "x"}) == wanted
    assert wanted.empty == (wanted == Filter())


@given(st.dictionaries(st.sampled_from([*PARAMETERS, "other"]), st.text(max_size=300)))
def test_whatever_is_given_is_understood_or_refused_in_words(given: dict[str, str]) -> None:
    with suppress(UsageError):
        wanted = Filter.parse(given)
        assert Filter.parse(wanted.params()) == wanted


def test_days_narrow_a_month_and_never_widen_it(ledger: Ledger) -> None:
    def ids(**wanted: Any) -> set[int]:
        return {row["id"] for row in pages(ledger, Filter(**wanted))[0]}

    march = ids(month=202603)
    assert march
    assert ids(month=202603, first=date(2026, 2, 10), last=date(2026, 4, 20)) == march
    part = ids(month=202603, first=date(2026, 3, 10), last=date(2026, 3, 20))
    assert part == ids(first=date(2026, 3, 10), last=date(2026, 3, 20))
    assert part < march
    assert ids(month=202603, last=date(2026, 2, 10)) == set()
