"""A blogger's June with all in it that a letter can tell: refunds, losses, three currencies, sick connections."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.rows import Ledger, moment
from tracker.store.tables import metadata

#: The morning on which the letter about June is written, and the one of the letter before it.
NOW, MAY_LETTER = moment("2026-07-03", "06:00"), moment("2026-06-03", "06:00")
READ = moment("2026-07-03", "05:30")
JUNE = 202606


def payout(ledger: Ledger, slug: str, name: str, amount: str, made: str, **more: Any) -> None:
    row = {
        "connection_id": ledger.connection(slug), "resource": "payouts", "external_id": name, "status": "paid",
        "amount": Decimal(amount), "currency": "EUR", "created_at": moment(made), "arrives_at": None,
        "itemised": False, "estimated": False,
    }  # fmt: skip
    ledger.insert("payout", [{**row, **more}])


def lose(ledger: Ledger, slug: str, net: str, day: str, status: str, lost: datetime, **more: Any) -> None:
    """An earning that got its status at `lost`, as the history tells."""
    ledger.earning(slug, net, day, status=status, **more)
    was = {"declined": "pending", "reversed": "approved", "approved": "declined"}[status]
    remember(ledger, lost, was, status)


def remember(ledger: Ledger, when: datetime, old: str, new: str) -> None:
    """A change of the earning that was written last."""
    with ledger.engine.connect() as conn:
        number = conn.execute(metadata.tables["earning"].select()).all()[-1].id
    row = {"earning_id": number, "changed_at": when, "what": "status", "old": old, "new": new}
    ledger.insert("earning_change", [row])


def quarantine(ledger: Ledger, slug: str, name: str, error: str) -> None:
    row = {
        "connection_id": ledger.connection(slug), "resource": "transactions", "fingerprint": name, "row_key": name,
        "payload": b"{}", "error": error, "first_seen_at": READ, "last_seen_at": READ, "tries": 1,
    }  # fmt: skip
    ledger.insert("quarantine", [row])


def june(ledger: Ledger) -> Ledger:
    """The whole story."""
    awin = ledger.connection("awin", as_of=READ)
    ledger.insert(
        "program",
        [
            {"connection_id": awin, "external_id": "77", "title": "Mountain Gear", "recurring": False},
            {"connection_id": awin, "external_id": "78", "title": "Harbour & Hill Tents", "recurring": False},
        ],
    )
    failure = "The provider answers with 503 since yesterday. Try again later."
    ledger.connection("cj", title="CJ Affiliate", as_of=moment("2026-06-29"), failures=7, last_error=failure)
    ledger.connection("stripe", as_of=READ)
    ledger.connection("shop", as_of=moment("2026-06-20"))
    ledger.connection("patreon", as_of=moment("2026-06-30", "21:00"), interval_s=86_400)
    ledger.connection("ghost", "enrichment", as_of=READ, paused_at=READ, paused_reason="you paused it.")
    for year, month in ((2025, "06"), (2026, "05")):
        ledger.earning("awin", "612.40", f"{year}-{month}-12", stream="Gear reviews", program="77")
        ledger.earning("stripe", "210.00", f"{year}-{month}-03", stream="Newsletter", recurrence="recurring")
    ledger.earning("cj", "25.00", "2026-05-10", stream="Gear reviews", currency="USD")
    ledger.earning("shop", "39.00", "2026-05-20", stream="Shop")

    ledger.earning("awin", "480.15", "2026-06-08", stream="Gear reviews", program="77")
    ledger.earning("awin", "35.00", "2026-06-21", stream="Gear reviews", program="78", recurrence="recurring")
    ledger.earning("cj", "120.00", "2026-06-10", stream="Gear reviews", currency="USD")
    ledger.earning("stripe", "245.00", "2026-06-03", stream="Newsletter", recurrence="recurring")
    ledger.earning("stripe", "-15.00", "2026-06-09", stream="Newsletter", kind="refund", recurrence="recurring")
    ledger.earning(
        "stripe", "99.00", "2026-06-11", stream="Mountain photography for beginners", recurrence="instalment"
    )
    ledger.earning("stripe", "-40.00", "2026-06-12", stream="Mountain photography for beginners", kind="chargeback")
    ledger.earning("shop", "5000.00", "2026-06-15", stream="Shop", currency="KES")
    ledger.earning("shop", "12.00", "2026-06-15", stream="Shop", estimated=True)
    ledger.earning("shop", "700.00", "2026-06-16", stream="Shop", kind="payout")
    ledger.earning("ghost", "245.00", "2026-06-03", stream="Newsletter", paired=True, recurrence="recurring")

    ledger.earning("awin", "64.00", "2026-04-20", stream="Gear reviews", program="78", status="pending")
    ledger.earning("awin", "80.25", "2026-06-24", stream="Gear reviews", program="77", status="pending")
    ledger.earning("shop", "300.00", "2026-06-25", stream="Shop", currency="KES", status="pending")
    lose(ledger, "awin", "31.50", "2026-05-28", "declined", moment("2026-06-14"), stream="Gear reviews", program="78")
    lose(ledger, "awin", "12.00", "2026-05-02", "declined", moment("2026-05-20"), stream="Gear reviews", program="77")
    lose(
        ledger, "cj", "44.00", "2026-03-17", "reversed", moment("2026-07-02"), stream="Gear reviews", currency="USD",
        program="Lantern VPN", provider_status="corrected",
    )  # fmt: skip

    arrived = {"arrives_at": moment("2026-06-05"), "estimated": True}
    payout(ledger, "awin", "p1", "640.10", "2026-05-30", **arrived)
    payout(ledger, "stripe", "p2", "190.00", "2026-06-10", itemised=True)
    payout(ledger, "stripe", "p3", "75.00", "2026-06-17")
    payout(ledger, "stripe", "p4", "95.00", "2026-07-01", status="in_transit", arrives_at=moment("2026-07-06"))
    payout(ledger, "cj", "p5", "150.00", "2026-06-20", currency="USD", status="failed")
    for number in range(3):
        ledger.subscription("stripe", f"sub_{number}", "10.00", f"2026-0{number + 4}-05")
    gone = {"status": "canceled", "ended_at": moment("2026-06-20")}
    ledger.subscription("stripe", "sub_gone", "25.00", "2026-01-05", **gone)
    quarantine(ledger, "awin", "q1", "commissionStatus: 'frozen' is none of pending, approved, declined.")
    quarantine(ledger, "awin", "q2", "commissionStatus: 'frozen' is none of pending, approved, declined.")
    return ledger
