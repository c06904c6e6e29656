"""WooCommerce's orders, refunds and subscriptions, as they look at one moment. Money is text, dates carry no offset."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tracker.demo.facts import Order, OrderLine, OrderRefund, Payment, Person, ShopContract

Json = dict[str, Any]
_ZONE = ZoneInfo("Europe/Berlin")
_UTC = ZoneInfo("UTC")
_TITLES = {"stripe": "Credit card", "ppcp-gateway": "PayPal", "bacs": "Bank transfer"}
#: The course is completed by hand when the buyer has been let in.
_LET_IN = timedelta(days=2)


def completed_at(order: Order) -> datetime:
    return order.settled + _LET_IN if order.instalment else order.settled


def status_at(order: Order, now: datetime) -> str:
    if now < order.settled:
        return "on-hold" if order.gateway == "bacs" else "pending"
    if order.outcome != "completed":
        return order.outcome
    back = sum((refund.amount for refund in order.refunds if refund.created <= now), Decimal(0))
    if back and back == order.total:
        return "refunded"
    return "completed" if completed_at(order) <= now else "processing"


def modified_at(order: Order, now: datetime) -> datetime:
    """A refund touches its order, so the order comes back in the next window."""
    changes = [order.created, order.settled, completed_at(order), *(refund.created for refund in order.refunds)]
    return max(change for change in changes if change <= now)


def draw_order(order: Order, now: datetime, payments: dict[int, Payment]) -> Json:
    status = status_at(order, now)
    paid = order.outcome == "completed" and order.settled <= now
    discount = sum((line.subtotal - line.total for line in order.lines), Decimal(0))
    tax = sum((line.tax for line in order.lines), Decimal(0))
    return {
        "id": order.id,
        "parent_id": 0,
        "number": str(order.id),
        "order_key": f"wc_order_{order.id:08x}",
        "created_via": order.created_via,
        "version": "9.8.5",
        "status": status,
        "currency": order.currency,
        **_both("date_created", order.created),
        **_both("date_modified", modified_at(order, now)),
        "discount_total": _money(discount),
        "discount_tax": "0.00",
        "shipping_total": "0.00",
        "shipping_tax": "0.00",
        "cart_tax": _money(tax),
        "total": _money(order.total),
        "total_tax": _money(tax),
        "prices_include_tax": True,
        "customer_id": 0 if order.guest else order.person.number,
        "customer_ip_address": f"203.0.113.{order.id % 254 + 1}",
        "customer_user_agent": "",
        "customer_note": "",
        "billing": _billing(order.person),
        "shipping": dict.fromkeys(
            ("first_name", "last_name", "company", "address_1", "city", "postcode", "country"), ""
        ),
        "payment_method": order.gateway,
        "payment_method_title": _TITLES[order.gateway],
        "transaction_id": order.transaction_id if paid else "",
        **_both("date_paid", order.settled if paid else None),
        **_both("date_completed", completed_at(order) if paid and completed_at(order) <= now else None),
        "meta_data": _meta(order, paid, payments.get(order.id)),
        "line_items": [_line(order.id * 10 + place, line) for place, line in enumerate(order.lines)],
        "tax_lines": [],
        "shipping_lines": [],
        "fee_lines": [],
        "coupon_lines": [{"id": order.id * 10 + 9, "code": "wanderlust", "discount": _money(discount)}]
        if discount
        else [],
        "refunds": [
            {"id": refund.id, "reason": refund.reason, "total": _money(-refund.amount)}
            for refund in order.refunds
            if refund.created <= now
        ],
    }


def _meta(order: Order, paid: bool, payment: Payment | None) -> list[Json]:
    values: dict[str, str] = {}
    if paid and payment and payment.movement:
        row = payment.movement
        values |= {
            "_stripe_intent_id": payment.intent,
            "_stripe_fee": _money(Decimal(row.fee) / 100),
            "_stripe_net": _money(Decimal(row.net) / 100),
            "_stripe_currency": row.currency,
        }
    if paid and order.fee is not None:
        values["PayPal Transaction Fee"] = _money(order.fee)
    if order.renewal_of:
        values["_subscription_renewal"] = str(order.renewal_of)
    if order.instalment:
        values["_instalment"] = order.instalment
    return [
        {"id": order.id * 20 + place, "key": key, "value": value} for place, (key, value) in enumerate(values.items())
    ]


def _line(number: int, line: OrderLine) -> Json:
    return {
        "id": number,
        "name": line.name,
        "product_id": line.product_id,
        "variation_id": 0,
        "quantity": line.quantity,
        "tax_class": "",
        "subtotal": _money(line.subtotal),
        "subtotal_tax": _money(line.tax * line.subtotal / line.total if line.total else Decimal(0)),
        "total": _money(line.total),
        "total_tax": _money(line.tax),
        "taxes": [],
        "meta_data": [],
        "sku": line.sku,
        "price": line.total / line.quantity,
    }


def draw_refund(refund: OrderRefund, order: Order) -> Json:
    return {
        "id": refund.id,
        "parent_id": order.id,
        **_both("date_created", refund.created),
        "amount": _money(refund.amount),
        "reason": refund.reason,
        "refunded_by": 1,
        "refunded_payment": refund.through_gateway,
        "meta_data": [],
        "line_items": [],
        "tax_lines": [],
        "shipping_lines": [],
        "fee_lines": [],
    }


def contract_status(contract: ShopContract, now: datetime) -> str:
    if contract.ended and contract.ended <= now:
        return "cancelled"
    if contract.failed_from and contract.failed_from <= now:
        return "on-hold"
    return "pending-cancel" if contract.cancel_requested and contract.cancel_requested <= now else "active"


def contract_times(contract: ShopContract, now: datetime) -> tuple[datetime, datetime]:
    changes = [contract.started, contract.failed_from, contract.cancel_requested, contract.ended, *contract.payments_at]
    return contract.started, max(change for change in changes if change and change <= now)


def draw_contract(contract: ShopContract, now: datetime) -> Json:
    status, first = contract_status(contract, now), contract.orders[0]
    coming = next((at for at in contract.payments_at if at > now), None) if status == "active" else None
    past = [order.settled for order in contract.orders if order.outcome == "completed" and order.settled <= now]
    asked = contract.cancel_requested or contract.ended
    tax = sum((line.tax for line in first.lines), Decimal(0))
    return {
        "id": contract.id,
        "parent_id": first.id,
        "number": str(contract.id),
        "status": status,
        "currency": first.currency,
        **_both("date_created", contract.started),
        **_both("date_modified", contract_times(contract, now)[1]),
        "discount_total": "0.00",
        "shipping_total": "0.00",
        "total": _money(first.total),
        "total_tax": _money(tax),
        "prices_include_tax": True,
        "customer_id": contract.person.number,
        "billing": _billing(contract.person),
        "billing_period": "month",
        "billing_interval": "1",
        "trial_period": "",
        "suspension_count": 0,
        "requires_manual_renewal": False,
        "start_date_gmt": _stamp(contract.started, _UTC),
        "trial_end_date_gmt": "",
        "next_payment_date_gmt": _stamp(coming, _UTC) if coming else "",
        "last_payment_date_gmt": _stamp(past[-1], _UTC) if past else "",
        "cancelled_date_gmt": _stamp(asked, _UTC) if asked and asked <= now else "",
        "end_date_gmt": _stamp(contract.ended, _UTC) if contract.ended and (asked or contract.ended) <= now else "",
        "resubscribed_from": "",
        "resubscribed_subscription": "",
        "payment_method": "stripe",
        "payment_method_title": _TITLES["stripe"],
        "meta_data": [],
        "line_items": [_line(contract.id * 10, line) for line in first.lines],
    }


def _billing(person: Person) -> Json:
    first, _, last = person.name.partition(" ")
    return {
        "first_name": first,
        "last_name": last,
        "company": "",
        "address_1": f"Steinweg {person.number % 90 + 1}",
        "address_2": "",
        "city": "Musterstadt",
        "state": "",
        "postcode": f"{10_000 + person.number}",
        "country": person.country,
        "email": person.email,
        "phone": "",
    }


def _both(name: str, at: datetime | None) -> Json:
    return {name: _stamp(at, _ZONE) if at else None, f"{name}_gmt": _stamp(at, _UTC) if at else None}


def _stamp(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")


def _money(amount: Decimal) -> str:
    return f"{amount:.2f}"
