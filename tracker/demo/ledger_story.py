"""The gateway's ledger: payments, refunds, disputes and fees become signed rows, and weekly payouts sweep them up.

The account settles in EUR. A payout is exactly the sum of the net amounts of its rows.
"""

import random
from collections import Counter
from datetime import datetime, timedelta

from tracker.demo.chance import chance, child, later, midnight, months, token
from tracker.demo.facts import Dispute, Movement, Payment, Refund, Settlement

SETTLES_IN = "EUR"
#: The months of the history in which something out of the ordinary happens.
_LOST_DISPUTE, _WON_DISPUTE, _FAILED_PAYOUT, _MANUAL_PAYOUT, _ODD_ROW = 8, 15, 17, 11, 19


class Ledger:
    def __init__(self) -> None:
        self.refunds: list[Refund] = []
        self.disputes: list[Dispute] = []
        self.movements: list[Movement] = []
        self.settlements: list[Settlement] = []


def keep_books(seed: int, start: datetime, horizon: datetime, anchor: datetime, payments: list[Payment]) -> Ledger:
    """`anchor` is the first "now": the payout that arrived last before it fails a few days after it."""
    ledger = Ledger()
    rng = chance(seed, "payments")
    for payment in payments:
        if payment.ok:
            _take_payment(ledger, rng, payment)
    rng = chance(seed, "disputes")
    _dispute(ledger, rng, payments, later(start, _LOST_DISPUTE), won=False)
    _dispute(ledger, rng, payments, later(start, _WON_DISPUTE), won=True)
    rng = chance(seed, "fees")
    volumes = Counter[tuple[int, int]]()
    for payment in payments:
        if payment.ok and payment.invoice:
            volumes[payment.created.year, payment.created.month] += payment.amount
    for _, first in months(later(start, 1), horizon):
        before = first - timedelta(days=1)
        fee = max(100, volumes[before.year, before.month] * 7 // 1000)
        _row(ledger, rng, first + timedelta(hours=3), "stripe_fee", "fee", -fee, None, "Billing - Usage Fee", days=0)
    odd = later(start, _ODD_ROW) + timedelta(days=9)
    _row(ledger, chance(seed, "odd"), odd, "adjustment", "loyalty_credit", 350, None, "Thank-you credit", days=0)
    ledger.movements.sort(key=lambda row: (row.created, row.id))
    _pay_out(ledger, chance(seed, "payouts"), start, horizon, anchor)
    ledger.movements.sort(key=lambda row: (row.created, row.id))
    return ledger


def _row(
    ledger: Ledger,
    rng: random.Random,
    at: datetime,
    kind: str,
    category: str,
    amount: int,
    source: str | None,
    text: str,
    *,
    days: int,
    fee: int = 0,
) -> Movement:
    available = midnight(at) + timedelta(days=days) if days else at
    row = Movement(f"txn_3{token(rng, 22)}", at, available, kind, category, amount, fee, SETTLES_IN, source, text)
    ledger.movements.append(row)
    return row


def rate_at(at: datetime, currency: str) -> float | None:
    """Euros for a dollar: a slow wave, the same for every charge of a day."""
    if currency == SETTLES_IN:
        return None
    return round(0.915 + 0.0004 * (at.toordinal() % 90 - 45), 5)


def settled(amount: int, rate: float | None) -> int:
    return amount if rate is None else round(amount * rate)


def _take_payment(ledger: Ledger, rng: random.Random, payment: Payment) -> None:
    rate = rate_at(payment.created, payment.currency)
    amount = settled(payment.amount, rate)
    fee = 35 if payment.debit else round(amount * (0.015 if rate is None else 0.0525)) + 25
    kind = "payment" if payment.debit else "charge"
    text = payment.description
    payment.movement = _row(
        ledger, rng, payment.created, kind, "charge", amount, payment.id, text, days=5 + 2 * payment.debit, fee=fee
    )
    payment.movement.rate = rate
    if payment.order:
        for refund in payment.order.refunds:
            if refund.through_gateway:
                _give_back(ledger, rng, payment, refund.created, int(refund.amount * 100), "requested_by_customer")
    elif payment.debit and rng.random() < 0.01:
        _give_back(ledger, rng, payment, payment.created + timedelta(days=9), payment.amount, "", bounced=True)
    elif rng.random() < 0.018:
        part = payment.amount if rng.random() < 0.7 else payment.amount // 2
        when = payment.created + timedelta(days=rng.randrange(1, 24), hours=rng.randrange(12))
        _give_back(ledger, rng, payment, when, part, rng.choice(("requested_by_customer", "duplicate")))


def _give_back(
    ledger: Ledger, rng: random.Random, payment: Payment, at: datetime, part: int, reason: str, *, bounced: bool = False
) -> None:
    refund = Refund(f"{'pyr' if payment.debit else 're'}_3{token(rng, 22)}", payment, at, part, reason)
    rate = rate_at(at, payment.currency)
    kind = "payment_failure_refund" if bounced else "payment_refund" if payment.debit else "refund"
    what = "PAYMENT FAILURE" if bounced else "PAYMENT" if payment.debit else "CHARGE"
    text = f"REFUND FOR {what} ({payment.description})"
    category = "charge_failure" if bounced else "refund"
    refund.movement = _row(ledger, rng, at, kind, category, -settled(part, rate), refund.id, text, days=0)
    refund.movement.rate = rate
    payment.refunds = [*payment.refunds, refund]
    ledger.refunds.append(refund)


def _dispute(ledger: Ledger, rng: random.Random, payments: list[Payment], after: datetime, *, won: bool) -> None:
    payment = next(
        p
        for p in payments
        if p.ok and p.created >= after and p.invoice and p.currency == SETTLES_IN and not p.refunds and not p.debit
    )
    opened = payment.created + timedelta(days=12, hours=4)
    dispute = Dispute(
        f"du_1{token(rng, 22)}",
        payment,
        opened,
        "fraudulent" if not won else "product_not_received",
        opened + timedelta(days=41),
        won,
    )
    text = f"Chargeback withdrawal for {payment.id}"
    dispute.movements = [
        _row(ledger, rng, opened, "adjustment", "dispute", -payment.amount, dispute.id, text, days=0, fee=2000)
    ]
    dispute.movements[0].fee_description = "Dispute fee"
    if won:
        text = f"Chargeback reversal for {payment.id}"
        dispute.movements.append(
            _row(
                ledger, rng, dispute.closed, "adjustment", "dispute_reversal", payment.amount, dispute.id, text, days=0
            )
        )
    payment.dispute = dispute
    ledger.disputes.append(dispute)


def _pay_out(ledger: Ledger, rng: random.Random, start: datetime, horizon: datetime, anchor: datetime) -> None:
    """Every Monday all rows that became available leave as one payout; a week in the red waits for the next."""
    waiting = sorted(ledger.movements, key=lambda row: row.available)
    monday = start + timedelta(days=7 - start.weekday(), hours=2)
    failing = later(start, _FAILED_PAYOUT)
    manual = later(start, _MANUAL_PAYOUT)
    while monday < horizon:
        rows = [row for row in waiting if row.available <= monday]
        total = sum(row.net for row in rows)
        if total > 0:
            waiting = waiting[len(rows) :]
            by_hand = manual <= monday < manual + timedelta(days=7)
            payout = _settlement(ledger, rng, monday + timedelta(hours=9 * by_hand), rows, automatic=not by_hand)
            late = anchor - timedelta(days=7) < payout.arrival <= anchor
            if late or failing <= monday < failing + timedelta(days=7):
                payout.failed = max(payout.arrival, anchor if late else payout.arrival) + timedelta(days=3, hours=2)
                text = "REVERSAL OF STRIPE PAYOUT"
                payout.failure = _row(
                    ledger,
                    child(rng) if not late else random.Random(payout.id),  # noqa: S311 - believable, not secret
                    payout.failed,
                    "payout_failure",
                    "payout_reversal",
                    payout.amount,
                    payout.id,
                    text,
                    days=0,
                )
                waiting = sorted([*waiting, payout.failure], key=lambda row: row.available)
        monday += timedelta(days=7)


def _settlement(
    ledger: Ledger, rng: random.Random, at: datetime, rows: list[Movement], *, automatic: bool
) -> Settlement:
    total = sum(row.net for row in rows)
    payout_id = f"po_1{token(rng, 22)}"
    own = _row(ledger, rng, at, "payout", "payout", -total, payout_id, "STRIPE PAYOUT", days=2)
    payout = Settlement(payout_id, at, midnight(at) + timedelta(days=2), total, SETTLES_IN, automatic, own, rows)
    for row in (*rows, own):
        row.payout = payout
    ledger.settlements.append(payout)
    return payout
