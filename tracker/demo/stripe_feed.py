"""Stripe's change feed: which event told of which change, and its object as it was then. Kept for 30 days.

Balance transactions have no events: that one became available is learned only by asking again.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import blake2b

from msgspec import Struct

from tracker.demo.facts import Contract, History, Invoice, Payment
from tracker.demo.stripe_billing_shapes import voided

KEPT = timedelta(days=30)


class Event(Struct, frozen=True):
    created: datetime
    type: str
    object_id: str

    @property
    def id(self) -> str:
        return "evt_1" + blake2b(f"{self.created}{self.type}{self.object_id}".encode(), digest_size=12).hexdigest()


def events(history: History) -> list[Event]:
    """All events of the history, oldest first."""
    found: list[Event] = []
    for payment in history.payments:
        found += _of_payment(payment)
    for invoice in history.invoices:
        found += _of_invoice(invoice)
    for contract in history.contracts:
        found += _of_contract(contract)
    for transfer in history.settlements:
        found.append(Event(transfer.created, "payout.created", transfer.id))
        if transfer.automatic:
            found.append(Event(transfer.created + timedelta(days=1), "payout.reconciliation_completed", transfer.id))
        found.append(Event(transfer.arrival, "payout.paid", transfer.id))
        if transfer.failed:
            found.append(Event(transfer.failed, "payout.failed", transfer.id))
    return sorted(found, key=lambda event: (event.created, event.type, event.object_id))


def _of_payment(payment: Payment) -> Iterator[Event]:
    yield Event(
        payment.created, f"charge.{'pending' if payment.debit else 'succeeded' if payment.ok else 'failed'}", payment.id
    )
    if payment.debit and payment.movement:
        yield Event(payment.movement.available, "charge.succeeded", payment.id)
    for refund in payment.refunds:
        yield Event(refund.created, "refund.created", refund.id)
        yield Event(refund.created, "charge.refunded", payment.id)
    if case := payment.dispute:
        yield Event(case.created, "charge.dispute.created", case.id)
        yield Event(case.created, "charge.dispute.funds_withdrawn", case.id)
        yield Event(case.closed, "charge.dispute.closed", case.id)
        if case.won:
            yield Event(case.closed, "charge.dispute.funds_reinstated", case.id)


def _of_invoice(invoice: Invoice) -> Iterator[Event]:
    yield Event(invoice.created, "invoice.created", invoice.id)
    yield Event(invoice.finalized, "invoice.finalized", invoice.id)
    for attempt in invoice.attempts:
        if not attempt.ok:
            yield Event(attempt.created, "invoice.payment_failed", invoice.id)
    if invoice.paid:
        yield Event(invoice.paid, "invoice.paid", invoice.id)
    if invoice.given_up:
        yield Event(
            invoice.given_up, "invoice.voided" if voided(invoice) else "invoice.marked_uncollectible", invoice.id
        )


def _of_contract(contract: Contract) -> Iterator[Event]:
    yield Event(contract.started, "customer.subscription.created", contract.id)
    changes = {start for start, _ in contract.periods} | {since for since, _ in contract.segments}
    changes |= {moment for window in contract.overdue for moment in window}
    changes |= {moment for moment in (contract.cancel_requested, contract.trial_end, contract.discount_ends) if moment}
    for moment in changes - {contract.started}:
        if not contract.ended or moment < contract.ended:
            yield Event(moment, "customer.subscription.updated", contract.id)
    if contract.ended:
        yield Event(contract.ended, "customer.subscription.deleted", contract.id)
