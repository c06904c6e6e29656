"""Where Stripe's objects stand: each kind's facts, how to draw one, the right that reads it, its list's filters."""

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any

from msgspec import Struct

from tracker.demo import stripe_billing_shapes as billing
from tracker.demo import stripe_shapes as shapes
from tracker.demo.facts import History, Movement
from tracker.demo.stripe_feed import Event, events
from tracker.demo.stripe_shapes import Json, View

NEWEST_VERSION = "2026-06-24.dahlia"
Test = Callable[[Any, datetime, str], bool]


class Shelf(Struct):
    """One kind of object, oldest first. `filters` are the list's parameters besides the times, which take ranges."""

    right: str
    facts: list[Any]
    draw: Callable[[Any, View], Json]
    filters: dict[str, Test]
    id_of: Callable[[Any], str] = attrgetter("id")
    created: Callable[[Any], datetime] = attrgetter("created")
    times: dict[str, Callable[[Any], datetime]] = {}
    moments: list[datetime] = []
    places: dict[str, int] = {}

    def __post_init__(self) -> None:
        self.moments = [self.created(fact) for fact in self.facts]
        self.places = {self.id_of(fact): place for place, fact in enumerate(self.facts)}
        self.times = {"created": self.created} | self.times

    def drawn(self, object_id: str, view: View) -> Json:
        return self.draw(self.facts[self.places[object_id]], view)

    def has(self, object_id: str, now: datetime) -> bool:
        place = self.places.get(object_id)
        return place is not None and self.moments[place] <= now


def shelves(history: History) -> dict[str, Shelf]:
    """By the name in the path: /v1/<name>."""
    return _money(history) | _billing(history)


def feed(history: History, homes: dict[str, Shelf]) -> Shelf:
    def draw(event: Event, view: View) -> Json:
        """The object as it was at the event, in the account's own version whatever version is asked for."""
        return {
            "id": event.id,
            "object": "event",
            "api_version": NEWEST_VERSION,
            "created": int(event.created.timestamp()),
            "data": {"object": homes[event.object_id].drawn(event.object_id, View(event.created))},
            "livemode": True,
            "pending_webhooks": 0,
            "request": {"id": None, "idempotency_key": None},
            "type": event.type,
        }

    # Both take the `*` wildcard, and types[] are alternatives of each other: the list itself compares them.
    filters: dict[str, Test] = {"type": _any, "types[]": _any, "delivery_success": _is_true}
    return Shelf("event", events(history), draw, filters)


def homes_of(kinds: dict[str, Shelf]) -> dict[str, Shelf]:
    """On which shelf an id stands."""
    return {object_id: shelf for shelf in kinds.values() for object_id in shelf.places}


def _money(history: History) -> dict[str, Shelf]:
    of_charge: dict[str, Test] = {
        "charge": lambda fact, now, value: fact.payment.id == value,
        "payment_intent": lambda fact, now, value: fact.payment.intent == value,
    }
    rows: dict[str, Test] = {
        "type": _same("type"),
        "source": _same("source"),
        "currency": lambda row, now, value: row.currency.lower() == value.lower(),
        "payout": _paid_out,
    }
    payouts: dict[str, Test] = {"status": lambda transfer, now, value: shapes.payout_status(transfer, now) == value}
    charges: dict[str, Test] = {"customer": _of_customer, "payment_intent": _same("intent")}
    known = {payment.person.customer_id for payment in history.payments}
    known |= {contract.person.customer_id for contract in history.contracts}
    people = [person for person in history.people if person.customer_id in known]
    return {
        "balance_transactions": Shelf(
            "balance_transaction_source", history.movements, shapes.balance_transaction, rows
        ),
        "charges": Shelf("charge", history.payments, shapes.charge, charges),
        "refunds": Shelf("charge", history.refunds, shapes.refund, of_charge),
        "disputes": Shelf("dispute", history.disputes, shapes.dispute, of_charge),
        "payouts": Shelf(
            "payout", history.settlements, shapes.payout, payouts, times={"arrival_date": attrgetter("arrival")}
        ),
        "customers": Shelf(
            "customer",
            people,
            shapes.customer,
            {"email": _same("email")},
            id_of=attrgetter("customer_id"),
            created=attrgetter("joined"),
        ),
    }


def _billing(history: History) -> dict[str, Shelf]:
    billed = sorted((bill for bill in history.invoices if bill.attempts), key=lambda bill: (bill.finalized, bill.id))
    plans = {plan.price_id: plan for contract in history.contracts for _, plan in contract.segments}
    products = {plan.product_id: plan for plan in plans.values()}
    invoices: dict[str, Test] = {
        "status": lambda bill, now, value: billing.invoice_status(bill, now) == value,
        "subscription": lambda bill, now, value: bill.contract.id == value,
        "customer": lambda bill, now, value: bill.contract.person.customer_id == value,
        "collection_method": lambda bill, now, value: value == "charge_automatically",
    }
    invoice_payments: dict[str, Test] = {
        "invoice": _same("id"),
        "status": lambda bill, now, value: billing.invoice_payment(bill, View(now))["status"] == value,
        "payment[type]": lambda bill, now, value: value == "payment_intent",
        "payment[payment_intent]": lambda bill, now, value: bill.attempts[0].intent == value,
    }
    subscriptions: dict[str, Test] = {
        "status": _with_status,
        "customer": _of_customer,
        "price": lambda contract, now, value: contract.plan_at(now).price_id == value,
    }

    def long_ago(fact: Any) -> datetime:
        return billing.LONG_AGO

    return {
        "invoices": Shelf("invoice", history.invoices, billing.invoice, invoices),
        "invoice_payments": Shelf(
            "invoice",
            billed,
            billing.invoice_payment,
            invoice_payments,
            id_of=lambda bill: f"inpay_{bill.id[3:]}",
            created=attrgetter("finalized"),
        ),
        "subscriptions": Shelf(
            "subscription", history.contracts, billing.subscription, subscriptions, created=attrgetter("started")
        ),
        "prices": Shelf(
            "plan",
            list(plans.values()),
            billing.price,
            {"active": _is_true},
            id_of=attrgetter("price_id"),
            created=long_ago,
        ),
        "products": Shelf(
            "product",
            list(products.values()),
            billing.product,
            {"active": _is_true},
            id_of=attrgetter("product_id"),
            created=long_ago,
        ),
    }


def _same(field: str) -> Test:
    return lambda fact, now, value: str(getattr(fact, field)) == value


def _any(fact: Any, now: datetime, value: str) -> bool:
    return True


def _is_true(fact: Any, now: datetime, value: str) -> bool:
    return value == "true"


def _of_customer(fact: Any, now: datetime, value: str) -> bool:
    return str(fact.person.customer_id) == value


def _with_status(contract: Any, now: datetime, value: str) -> bool:
    status = billing.subscription_status(contract, now)
    return value == "all" or value == status or (value == "ended" and status == "canceled")


def _paid_out(row: Movement, now: datetime, value: str) -> bool:
    """Until a payout is reconciled its list holds no more than the payout's own row."""
    transfer = row.payout
    if transfer is None or transfer.id != value:
        return False
    return row is transfer.movement or shapes.reconciliation(transfer, now) == "completed"
