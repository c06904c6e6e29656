"""Stripe Billing's objects: prices, discounts, subscriptions, invoices and the payments that belong to them.

Source: Stripe's API reference and changelog; see `stripe_shapes` for the two changes of shape.
"""

from datetime import UTC, datetime

from tracker.demo.chance import unix
from tracker.demo.facts import Contract, Invoice, Line, Plan
from tracker.demo.stripe_shapes import Json, View

LONG_AGO = datetime(2023, 1, 1, tzinfo=UTC)


def price(plan: Plan, view: View) -> Json:
    return {
        "id": plan.price_id,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": unix(LONG_AGO),
        "currency": plan.currency.lower(),
        "livemode": True,
        "metadata": {},
        "nickname": plan.nickname,
        "product": plan.product_id,
        "recurring": {
            "interval": plan.interval,
            "interval_count": 1,
            "meter": None,
            "trial_period_days": None,
            "usage_type": "licensed",
        },
        "tax_behavior": "inclusive",
        "type": "recurring",
        "unit_amount": plan.amount,
        "unit_amount_decimal": str(plan.amount),
    }


def product(plan: Plan, view: View) -> Json:
    return {
        "id": plan.product_id,
        "object": "product",
        "active": True,
        "created": unix(LONG_AGO),
        "description": None,
        "livemode": True,
        "metadata": {},
        "name": plan.product,
        "type": "service",
    }


def coupon(percent: int, forever: bool) -> Json:
    return {
        "id": f"FOUNDER{percent}" if forever else f"HALFYEAR{percent}",
        "object": "coupon",
        "amount_off": None,
        "created": unix(LONG_AGO),
        "currency": None,
        "duration": "forever" if forever else "repeating",
        "duration_in_months": None if forever else 6,
        "livemode": True,
        "metadata": {},
        "name": "Founder discount" if forever else "Half a year at a discount",
        "percent_off": float(percent),
        "valid": True,
    }


def discount_of(contract: Contract, view: View) -> Json | None:
    """The discount that runs at the view's moment, unexpanded where the version does not expand it by itself."""
    if not contract.discount_percent or (contract.discount_ends and contract.discount_ends <= view.now):
        return None
    of_coupon = coupon(contract.discount_percent, contract.discount_ends is None)
    body: Json = {
        "id": f"di_{contract.id[4:]}",
        "object": "discount",
        "customer": contract.person.customer_id,
        "end": unix(contract.discount_ends) if contract.discount_ends else None,
        "promotion_code": None,
        "start": unix(contract.started),
        "subscription": contract.id,
    }
    return body | ({"source": {"coupon": of_coupon["id"], "type": "coupon"}} if view.clover else {"coupon": of_coupon})


def subscription_status(contract: Contract, now: datetime) -> str:
    if contract.ended and contract.ended <= now:
        return "canceled"
    if contract.trial_end and now < contract.trial_end:
        return "trialing"
    return "past_due" if any(since <= now < until for since, until in contract.overdue) else "active"


def subscription(contract: Contract, view: View) -> Json:
    now, plan = view.now, contract.plan_at(view.now)
    start, end = next(
        period for period in reversed(contract.periods) if period[0] <= now or period is contract.periods[0]
    )
    asked = bool(contract.cancel_requested and contract.cancel_requested <= now)
    ended = bool(contract.ended and contract.ended <= now)
    discount = discount_of(contract, view)
    billed = [invoice for invoice in contract.invoices if invoice.created <= now]
    item: Json = {
        "id": contract.item_id,
        "object": "subscription_item",
        "created": unix(contract.started),
        "discounts": [],
        "metadata": {},
        "price": price(plan, view),
        "quantity": 1,
        "subscription": contract.id,
        "tax_rates": [],
    }
    period = {"current_period_end": unix(end), "current_period_start": unix(start)}
    stopped = contract.cancel_requested or contract.ended
    body: Json = {
        "id": contract.id,
        "object": "subscription",
        "billing_cycle_anchor": unix(contract.trial_end or contract.started),
        "cancel_at": unix(contract.ended) if asked and contract.ended and not ended else None,
        "cancel_at_period_end": asked and not ended,
        "canceled_at": view.at(stopped),
        "cancellation_details": {
            "comment": None,
            "feedback": None,
            "reason": contract.cancel_reason if asked or ended else None,
        },
        "collection_method": "charge_automatically",
        "created": unix(contract.started),
        "currency": plan.currency.lower(),
        "customer": contract.person.customer_id,
        "discounts": [discount["id"]] if discount else [],
        "ended_at": view.at(contract.ended),
        "items": {
            "object": "list",
            "data": [item | period if view.basil else item],
            "has_more": False,
            "total_count": 1,
            "url": f"/v1/subscription_items?subscription={contract.id}",
        },
        "latest_invoice": billed[-1].id if billed else None,
        "livemode": True,
        "metadata": {},
        "pause_collection": None,
        "start_date": unix(contract.started),
        "status": subscription_status(contract, now),
        "trial_end": unix(contract.trial_end) if contract.trial_end else None,
        "trial_start": unix(contract.started) if contract.trial_end else None,
    }
    return body if view.basil else body | period | {"discount": discount}


def invoice_status(bill: Invoice, now: datetime) -> str:
    if now < bill.finalized:
        return "draft"
    if bill.paid and bill.paid <= now:
        return "paid"
    if bill.given_up and bill.given_up <= now:
        return "void" if voided(bill) else "uncollectible"
    return "open"


def voided(bill: Invoice) -> bool:
    """Half of the invoices given up are voided, the others written off."""
    return bill.contract.person.number % 2 == 0


def invoice(bill: Invoice, view: View) -> Json:
    now, contract, status = view.now, bill.contract, invoice_status(bill, view.now)
    due, currency = max(0, bill.total), bill.lines[-1].plan.currency.lower()
    tried = [attempt for attempt in bill.attempts if attempt.created <= now]
    paid = status == "paid"
    body: Json = {
        "id": bill.id,
        "object": "invoice",
        "amount_due": due,
        "amount_overpaid": 0,
        "amount_paid": due if paid else 0,
        "amount_remaining": 0 if paid else due,
        "attempt_count": len(tried),
        "attempted": bool(tried) or paid,
        "billing_reason": bill.reason,
        "collection_method": "charge_automatically",
        "created": unix(bill.created),
        "currency": currency,
        "customer": contract.person.customer_id,
        "customer_email": contract.person.email,
        "customer_name": contract.person.name,
        "lines": {
            "object": "list",
            "data": [_line(bill, place, line, view) for place, line in enumerate(bill.lines)],
            "has_more": False,
            "total_count": len(bill.lines),
            "url": f"/v1/invoices/{bill.id}/lines",
        },
        "livemode": True,
        "metadata": {},
        "number": bill.number if status != "draft" else None,
        "period_end": unix(bill.created),
        "period_start": unix(bill.created),
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "status": status,
        "status_transitions": {
            "finalized_at": view.at(bill.finalized),
            "marked_uncollectible_at": None if voided(bill) else view.at(bill.given_up),
            "paid_at": view.at(bill.paid),
            "voided_at": view.at(bill.given_up) if voided(bill) else None,
        },
        "subtotal": bill.total + bill.discount,
        "total": bill.total,
        "total_discount_amounts": [{"amount": bill.discount, "discount": f"di_{contract.id[4:]}"}]
        if bill.discount
        else [],
        "total_excluding_tax": bill.total,
    }
    if view.basil:
        details = {
            "subscription_details": {"metadata": {}, "subscription": contract.id},
            "type": "subscription_details",
        }
        return body | {"amount_paid_off_stripe": 0, "parent": {"quote_details": None, **details}, "total_taxes": []}
    return body | {
        "charge": tried[-1].id if tried else None,
        "paid": paid,
        "payment_intent": tried[-1].intent if tried else None,
        "subscription": contract.id,
        "subscription_details": {"metadata": {}},
        "tax": None,
        "total_tax_amounts": [],
    }


def _line(bill: Invoice, place: int, line: Line, view: View) -> Json:
    contract, currency = bill.contract, line.plan.currency.lower()
    share = bill.discount if bill.discount and place == len(bill.lines) - 1 else 0
    body: Json = {
        "id": f"il_{bill.id[3:]}{place}",
        "object": "line_item",
        "amount": line.amount,
        "currency": currency,
        "description": line.description,
        "discount_amounts": [{"amount": share, "discount": f"di_{contract.id[4:]}"}] if share else [],
        "discountable": not line.proration,
        "invoice": bill.id,
        "livemode": True,
        "metadata": {},
        "period": {"end": unix(line.end), "start": unix(line.start)},
        "quantity": 1,
    }
    if not view.basil:
        return body | {
            "price": price(line.plan, view),
            "proration": line.proration,
            "subscription": contract.id,
            "subscription_item": contract.item_id,
            "tax_amounts": [],
            "type": "subscription",
        }
    details = {
        "invoice_item": None,
        "proration": line.proration,
        "proration_details": {"credited_items": None},
        "subscription": contract.id,
        "subscription_item": contract.item_id,
    }
    return body | {
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": details,
            "type": "subscription_item_details",
        },
        "pricing": {
            "price_details": {"price": line.plan.price_id, "product": line.plan.product_id},
            "type": "price_details",
            "unit_amount_decimal": str(line.plan.amount),
        },
        "subtotal": line.amount,
        "taxes": [],
    }


def invoice_payment(bill: Invoice, view: View) -> Json:
    status = invoice_status(bill, view.now)
    paid = status == "paid"
    return {
        "id": f"inpay_{bill.id[3:]}",
        "object": "invoice_payment",
        "amount_paid": bill.total if paid else None,
        "amount_requested": bill.total,
        "created": unix(bill.finalized),
        "currency": bill.lines[-1].plan.currency.lower(),
        "invoice": bill.id,
        "is_default": True,
        "livemode": True,
        "payment": {"payment_intent": bill.attempts[0].intent, "type": "payment_intent"},
        "status": "paid" if paid else "canceled" if status in ("void", "uncollectible") else "open",
        "status_transitions": {"canceled_at": view.at(bill.given_up), "paid_at": view.at(bill.paid)},
    }
