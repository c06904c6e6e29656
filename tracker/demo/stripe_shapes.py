"""Stripe's objects, as they look at one moment and in one API version.

Source: Stripe's API reference and changelog. The large change of shape is version 2025-03-31 ("basil"): before it an
invoice names its subscription, charge and payment intent itself; since then they hang below `parent` and `payments`.
Discounts moved their coupon to `source` in 2025-09-30 ("clover").
"""

from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from tracker.demo.chance import unix
from tracker.demo.facts import Dispute, Movement, Payment, Person, Refund, Settlement

Json = dict[str, Any]


class View(Struct, frozen=True):
    now: datetime
    basil: bool = True  # 2025-03-31 or later
    clover: bool = True  # 2025-09-30 or later

    def at(self, moment: datetime | None) -> int | None:
        """Unix seconds of something that has happened, else null."""
        return unix(moment) if moment and moment <= self.now else None


def balance_transaction(row: Movement, view: View) -> Json:
    detail = {
        "amount": row.fee,
        "application": None,
        "currency": row.currency.lower(),
        "description": row.fee_description,
        "type": "stripe_fee",
    }
    return {
        "id": row.id,
        "object": "balance_transaction",
        "amount": row.amount,
        "available_on": unix(row.available),
        "balance_type": "payments",
        "created": unix(row.created),
        "currency": row.currency.lower(),
        "description": row.description,
        "exchange_rate": row.rate,
        "fee": row.fee,
        "fee_details": [detail] if row.fee else [],
        "net": row.net,
        "reporting_category": row.category,
        "source": row.source,
        "status": "available" if row.available <= view.now else "pending",
        "type": row.type,
    }


def charge(payment: Payment, view: View) -> Json:
    back = sum(refund.amount for refund in payment.refunds if refund.created <= view.now)
    settling = payment.debit and payment.movement is not None and payment.movement.available > view.now
    person, dispute = payment.person, payment.dispute
    body: Json = {
        "id": payment.id,
        "object": "charge",
        "amount": payment.amount,
        "amount_captured": payment.amount if payment.ok else 0,
        "amount_refunded": back,
        "balance_transaction": payment.movement.id if payment.movement else None,
        "billing_details": {
            "email": person.email,
            "name": person.name,
            "phone": None,
            "address": {"country": person.country},
        },
        "captured": payment.ok,
        "created": unix(payment.created),
        "currency": payment.currency.lower(),
        "customer": person.customer_id if payment.invoice or payment.order else None,
        "description": payment.description,
        "disputed": bool(dispute and dispute.created <= view.now),
        "failure_balance_transaction": None,
        "failure_code": payment.failure,
        "failure_message": "Your card was declined." if payment.failure else None,
        "livemode": True,
        "metadata": _charge_metadata(payment),
        "paid": payment.ok,
        "payment_intent": payment.intent,
        "payment_method_details": {"type": "sepa_debit"}
        if payment.debit
        else {"card": {"country": person.country}, "type": "card"},
        "receipt_email": person.email,
        "refunded": bool(back) and back == payment.amount,
        "statement_descriptor": "PFAD UND PAPIER",
        "status": "pending" if settling else "succeeded" if payment.ok else "failed",
    }
    if not view.basil:
        body["invoice"] = payment.invoice.id if payment.invoice else None
    return body


def _charge_metadata(payment: Payment) -> Json:
    if payment.order:
        return {"order_id": str(payment.order.id), "site_url": "https://shop.pfad-und-papier.example"}
    return {"ghost_donation": "true"} if payment.donation else {}


def refund(back: Refund, view: View) -> Json:
    return {
        "id": back.id,
        "object": "refund",
        "amount": back.amount,
        "balance_transaction": back.movement.id if back.movement else None,
        "charge": back.payment.id,
        "created": unix(back.created),
        "currency": back.payment.currency.lower(),
        "failure_balance_transaction": None,
        "metadata": {},
        "payment_intent": back.payment.intent,
        "reason": back.reason or None,
        "status": "succeeded",
    }


def dispute(case: Dispute, view: View) -> Json:
    open_status = "needs_response" if view.now < case.created + timedelta(days=6) else "under_review"
    return {
        "id": case.id,
        "object": "dispute",
        "amount": case.payment.amount,
        "balance_transactions": [balance_transaction(row, view) for row in case.movements if row.created <= view.now],
        "charge": case.payment.id,
        "created": unix(case.created),
        "currency": case.payment.currency.lower(),
        "is_charge_refundable": False,
        "livemode": True,
        "metadata": {},
        "payment_intent": case.payment.intent,
        "reason": case.reason,
        "status": open_status if view.now < case.closed else "won" if case.won else "lost",
    }


def payout(transfer: Settlement, view: View) -> Json:
    failed = bool(transfer.failed and transfer.failed <= view.now)
    return {
        "id": transfer.id,
        "object": "payout",
        "amount": transfer.amount,
        "arrival_date": unix(transfer.arrival),
        "automatic": transfer.automatic,
        "balance_transaction": transfer.movement.id,
        "created": unix(transfer.created),
        "currency": transfer.currency.lower(),
        "description": "STRIPE PAYOUT",
        "destination": "ba_1PfadUndPapierKonto",
        "failure_balance_transaction": transfer.failure.id if failed and transfer.failure else None,
        "failure_code": "account_closed" if failed else None,
        "failure_message": "The bank account has been closed." if failed else None,
        "livemode": True,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "reconciliation_status": reconciliation(transfer, view.now),
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "failed" if failed else payout_status(transfer, view.now),
        "trace_id": None,
        "type": "bank_account",
    }


def payout_status(transfer: Settlement, now: datetime) -> str:
    if transfer.failed and transfer.failed <= now:
        return "failed"
    if transfer.arrival <= now:
        return "paid"
    return "in_transit" if transfer.created + timedelta(days=1) <= now else "pending"


def reconciliation(transfer: Settlement, now: datetime) -> str:
    if not transfer.automatic:
        return "not_applicable"
    return "completed" if transfer.created + timedelta(days=1) <= now else "in_progress"


def customer(person: Person, view: View) -> Json:
    return {
        "id": person.customer_id,
        "object": "customer",
        "address": {"country": person.country},
        "created": unix(person.joined),
        "currency": "usd" if person.country == "US" else "eur",
        "email": person.email,
        "livemode": True,
        "metadata": {},
        "name": person.name,
        "phone": None,
    }
