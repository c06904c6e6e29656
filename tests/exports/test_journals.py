"""Journals of double entry: beancount reads ours, so does a strict reader of hledger's grammar, with the same sums."""

import re
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from beancount import loader
from beancount.core.data import Open, Transaction
from hypothesis import given
from hypothesis import strategies as st

from tests.exports.conftest import MADE, NASTY, Exported
from tests.rows import Ledger
from tracker import search
from tracker.exports import beancount, hledger
from tracker.exports.about import About
from tracker.exports.formats import Form
from tracker.filters import Filter

Balances = dict[tuple[str, str], Decimal]


def beans(text: str) -> tuple[list[Any], Balances]:
    """The transactions of a beancount journal and the balance of each account; it must load without a word."""
    entries, errors, options = loader.load_string(text)
    assert not errors, errors
    assert options["title"] == "Income"
    balances: Balances = defaultdict(Decimal)
    found = [entry for entry in entries if isinstance(entry, Transaction)]
    opened = {entry.account for entry in entries if isinstance(entry, Open)}
    for entry in found:
        for posting in entry.postings:
            assert posting.account in opened
            assert posting.units is not None
            assert posting.units.number is not None
            balances[posting.account, posting.units.currency] += posting.units.number
    return found, dict(balances)


#: The part of hledger's journal format (hledger.org/hledger.html#journal) that we write, and nothing else.
LINES = {
    "blank": r"",
    "comment": r"; .*",
    "mark": r"decimal-mark \.",
    "commodity": r"commodity 1000\.0* ([A-Z]{3})",
    "account": r"account ([a-z0-9-]+(?::[a-z0-9-]+)*)",
    "entry": r"(\d{4}-\d{2}-\d{2}) \* ([^;|]+) \| ([^;|]*)",
    "tag": r"    ; [a-z-]+: [^,:]*",
    "posting": r"    ([a-z0-9:-]+)  (-?\d+\.\d{2,6}) ([A-Z]{3})",
}


def ledgered(text: str) -> tuple[int, Balances]:
    """The number of transactions of an hledger journal and the balance of each account, all declared before."""
    declared: set[str] = set()
    balances: Balances = defaultdict(Decimal)
    open_sum: dict[str, Decimal] = defaultdict(Decimal)
    count = postings = 0
    for line in [*text.split("\n"), ""]:
        kind, found = next(
            ((kind, match) for kind, form in LINES.items() if (match := re.fullmatch(form, line))), ("none", None)
        )
        assert found, f"not a line of a journal: {line!r}"
        if kind in ("account", "commodity"):
            declared.add(found[1])
        elif kind == "entry":
            count, postings, open_sum = count + 1, 0, defaultdict(Decimal)
        elif kind == "posting":
            assert {found[1], found[3]} <= declared
            balances[found[1], found[3]] += Decimal(found[2])
            open_sum[found[3]] += Decimal(found[2])
            postings += 1
        elif kind == "blank" and postings:
            assert postings == 2
            assert not any(open_sum.values())
    return count, dict(balances)


def test_both_journals_hold_what_counts_and_what_was_paid_out(ledger: Ledger, exported: Exported) -> None:
    found, balances = beans(exported(Form.BEANCOUNT).decode())
    count, same = ledgered(exported(Form.HLEDGER).decode())
    assert {(account.lower(), currency): sum_ for (account, currency), sum_ in balances.items()} == same
    assert len(found) == count == len(NASTY) + 4 + 1
    assert balances["Assets:Bank", "EUR"] == 200
    assert balances["Assets:Receivable:Stripe", "EUR"] == Decimal("1234.567891") - 200
    assert balances["Assets:Receivable:Awin", "USD"] == Decimal("-3.50")


@pytest.mark.parametrize("wanted", [{}, {"connection": "stripe"}, {"month": "2026-06"}, {"kind": "refund"}])
def test_the_income_of_a_journal_is_that_of_the_tracker(
    ledger: Ledger, exported: Exported, wanted: dict[str, str]
) -> None:
    _, balances = beans(exported(Form.BEANCOUNT, **wanted).decode())
    totals = search.search(ledger.engine, ledger.settings, Filter.parse(wanted)).totals
    assert totals is not None
    income: dict[str, Decimal] = defaultdict(Decimal)
    for (account, currency), amount in balances.items():
        if account.startswith("Income:"):
            income[currency] -= amount
    assert dict(income) == {one.currency: one.counted_net for one in totals.sums if one.counted}


def test_a_refund_keeps_its_sign_and_a_transaction_its_texts(exported: Exported) -> None:
    found, _ = beans(exported(Form.BEANCOUNT).decode())
    refund = next(entry for entry in found if entry.narration == "refund")
    assert [posting.units.number for posting in refund.postings] == [Decimal("-3.50"), Decimal("3.50")]
    assert refund.meta["payout-ref"] == "po_1"
    texts = {entry.narration for entry in found}
    assert 'sale, a "quoted", text; with | all: of it\\' in texts
    assert {f"sale, {text}" for text in NASTY[:4]} <= texts


def test_what_is_left_out_is_named(exported: Exported) -> None:
    for form in (Form.BEANCOUNT, Form.HLEDGER):
        text = exported(form).decode()
        assert "Left out earnings: 1 not income, 1 pending, 1 reversed." in text
        assert "Left out payouts: 1 failed, 1 in transit." in text
        assert "Payouts are not in it" not in text
        for less in (
            {"status": "approved"},
            {"program": "*"},
            {"kind": "sale"},
            {"recurrence": "one_off"},
            {"min": "1"},
        ):
            part = exported(form, **less).decode()
            assert "Payouts are not in it" in part
            assert "Bank" not in part.title()


def test_payouts_stand_on_their_days_among_the_earnings(ledger: Ledger, exported: Exported) -> None:
    payout = {"resource": "payouts", "currency": "EUR", "itemised": False, "estimated": False, "status": "paid"}
    days = [("a", 28, None, 11), ("b", 10, 3, 12), ("c", 16, 25, 13)]  # of May, of June, of June
    ledger.insert("payout", [
        {**payout, "connection_id": ledger.connection("stripe"), "external_id": name, "amount": Decimal(amount),
         "created_at": datetime(2026, 5 if name == "a" else 6, made, 10, tzinfo=UTC), "fee": None,
         "arrives_at": arrived and datetime(2026, 6, arrived, 10, tzinfo=UTC)}
        for name, made, arrived, amount in days
    ])  # fmt: skip
    ledger.earning("stripe", "1.00", "2026-06-20")

    def told(**wanted: str) -> list[tuple[str, int]]:
        found, _ = beans(exported(Form.BEANCOUNT, connection="stripe", **wanted).decode())
        text = exported(Form.HLEDGER, connection="stripe", **wanted).decode()
        assert [f"{one.date}" for one in found] == sorted(re.findall(r"^(\d{4}-\d\d-\d\d) ", text, re.M))
        days = re.findall(r"^(\d{4}-\d\d-\d\d) ", text, re.M)
        assert days == sorted(days)
        return [(f"{one.date:%m-%d}", int(one.postings[0].units.number)) for one in found if one.narration == "payout"]

    june = [("06-03", 12), ("06-15", 200), ("06-25", 13)]
    assert told() == [("05-28", 11), *june]
    assert told(month="2026-06") == june
    assert told(month="2026-06", to="2026-06-15") == june[:2]
    assert told(month="2026-06", **{"from": "2026-06-12"}) == june[1:]


def test_what_a_journal_uses_is_declared_once_with_its_decimals(exported: Exported) -> None:
    lines = re.findall(r"^(?:commodity|account) .*$", exported(Form.HLEDGER).decode(), re.M)
    assert len(lines) == len(set(lines))
    assert {line for line in lines if line.startswith("commodity")} == {
        "commodity 1000.00 EUR", "commodity 1000.00 USD", "commodity 1000. JPY",
    }  # fmt: skip


def test_a_day_is_that_of_the_users_zone(exported: Exported) -> None:
    assert "2026-06-01 * stripe | sale\n" in exported(Form.HLEDGER, month="2026-06").decode()


@given(
    st.lists(st.text(max_size=300), min_size=3, max_size=3), st.from_regex(r"[a-z0-9][a-z0-9-]{0,40}", fullmatch=True)
)
def test_no_text_breaks_a_journal(texts: list[str], slug: str) -> None:
    told = dict(zip(("program", "order_ref", "sub_id"), texts, strict=True))
    row = dict.fromkeys(search.COLUMNS) | {
        **told, "id": 1, "connection": slug, "external_id": texts[0], "kind": "sale", "net": Decimal("1.5"),
        "currency": "EUR", "stream_slug": slug, "recurrence": "one_off", "settlement": "paid", "counted": True,
        "earned_at": MADE,
    }  # fmt: skip
    about = About(wanted=Filter(), made_at=MADE, zone=ZoneInfo("UTC"), currency="EUR", as_of={}, payouts=[])
    journals = ["".join(write([row], about)) for write in (beancount.write, hledger.write)]
    found, balances = beans(journals[0])
    assert len(found) == 1
    assert sum(balances.values()) == 0
    count, same = ledgered(journals[1])
    assert count == 1
    assert sum(same.values()) == 0
    assert all(line.isprintable() for text in journals for line in text.split("\n"))
