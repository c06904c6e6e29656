"""A ledger whose texts are what a spreadsheet or a journal could misread, and what exports make of it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.rows import Ledger
from tracker.exports import formats
from tracker.exports.formats import Form
from tracker.filters import Filter

MADE = datetime(2026, 6, 15, 10, tzinfo=UTC)
NASTY = ('=HYPERLINK("http://x","y")', "+1", "-1", "@SUM(A1)", "\t=1", "＝1", 'a "quoted", text; with | all: of\nit\\')
Exported = Callable[..., bytes]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'tracker.db'}", tmp_path) as ledger:
        for number, text in enumerate(NASTY):
            ledger.earning(
                "awin", f"{number}.25", f"2026-0{number % 3 + 3}-10", product=text, sub_id=text, order_ref=text
            )
        ledger.earning("awin", "-3.50", "2026-04-02", kind="refund", currency="USD", payout_ref="po_1")
        ledger.earning("awin", "7.00", "2026-04-03", status="pending")
        ledger.earning("awin", "8.00", "2026-04-04", status="reversed")
        ledger.earning(
            "stripe",
            "1234.567891",
            "2026-05-31",
            time="23:30",
            settlement="paid",
            gross=Decimal(1240),
            fee=Decimal("5.432109"),
        )
        ledger.earning("stripe", "0", "2026-06-01", kind="fee", stream="2 × Bücher & Co.", estimated=False)
        ledger.earning("stripe", "500", "2026-06-02", currency="JPY")
        ledger.earning("stripe", "5000", "2026-06-02", kind="payout")
        payout = {"resource": "payouts", "currency": "EUR", "itemised": False, "estimated": False}
        ledger.insert(
            "payout",
            [
                {**payout, "connection_id": ledger.connection("stripe"), "external_id": name, "status": status,
                 "amount": Decimal(amount), "created_at": MADE, "arrives_at": MADE, "fee": None}
                for name, status, amount in (("po_1", "paid", 200), ("po_2", "failed", 5), ("po_3", "in_transit", 9))
            ],
        )  # fmt: skip
        yield ledger


@pytest.fixture
def exported(ledger: Ledger) -> Exported:
    """The bytes of an export."""

    def make(form: Form, **given: str) -> bytes:
        wanted = Filter.parse(given)
        return b"".join(formats.export(ledger.engine, ledger.settings, wanted, form, MADE))

    return make
