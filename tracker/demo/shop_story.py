"""The shop of the sandbox's history: an e-book, a template pack, a course in three instalments, a member area.

Prices include 19 % German tax for buyers in the European Union and Switzerland's neighbours; buyers elsewhere pay net,
those in the United States in dollars.
"""

import random
from datetime import datetime, timedelta
from decimal import Decimal

from tracker.demo.chance import SEASON, cents, chance, child, later, moment, months, token
from tracker.demo.facts import Order, OrderLine, OrderRefund, Payment, Person, ShopContract
from tracker.demo.people import person

_TAXED = ("DE", "AT", "NL", "FR")
_TAX = Decimal("0.19")
#: sku: (product id, name, price as shown to a German buyer)
PRODUCTS = {
    "EBOOK-HUTS": (61, "Hut to Hut: the e-book", Decimal("19.00")),
    "TPL-PACK": (71, "Packing list template pack", Decimal("29.00")),
    "COURSE-NAV": (80, "Map and compass course", Decimal("79.00")),
    "MEM-M": (88, "Member area", Decimal("9.90")),
}
_REASONS = ("Wrong format", "Bought twice", "Not what was expected", "")


class Shop:
    def __init__(self, horizon: datetime) -> None:
        self.horizon = horizon
        self.people: list[Person] = []
        self.orders: list[Order] = []
        self.payments: list[Payment] = []
        self.contracts: list[ShopContract] = []

    def newcomer(self, rng: random.Random, joined: datetime) -> Person:
        self.people.append(person(rng, 50_001 + len(self.people), joined))
        return self.people[-1]


def play(seed: int, start: datetime, horizon: datetime) -> Shop:
    shop = Shop(horizon)
    for number, first in months(start, horizon):
        rng = chance(seed, "shop", number)
        season = SEASON[first.month - 1]
        for _ in range(int((24 + number) * season)):
            _purchase(shop, rng, moment(rng, first))
        for _ in range(1 + number // 8):
            _course(shop, rng, moment(rng, first))
        for _ in range(9 if number == 0 else 2):
            _member_area(shop, child(rng), moment(rng, first))
        for _ in range(int(rng.randrange(4, 9) * season)):
            _donation(shop, rng, moment(rng, first))
    shop.orders.sort(key=lambda order: (order.created, order.transaction_id))
    _number(shop)
    return shop


def _number(shop: Shop) -> None:
    """Orders, refunds and shop subscriptions share one counter, as posts of a WordPress site do."""
    things: list[tuple[datetime, int, Order | OrderRefund | ShopContract]] = [
        (order.created, 1, order) for order in shop.orders
    ]
    things += [(refund.created, 2, refund) for order in shop.orders for refund in order.refunds]
    things += [(contract.started, 3, contract) for contract in shop.contracts]
    for number, (_, _, thing) in enumerate(sorted(things, key=lambda thing: thing[:2]), 2001):
        thing.id = number
    for contract in shop.contracts:
        for order in contract.orders[1:]:
            order.renewal_of = contract.id


def _line(rng: random.Random, sku: str, who: Person, *, name: str = "", share: int = 1, coupon: int = 0) -> OrderLine:
    product_id, title, shown = PRODUCTS[sku]
    price = shown / share
    net = cents(price / (1 + _TAX))
    total = cents(net * (100 - coupon) / 100)
    tax = cents(total * _TAX) if who.country in _TAXED else Decimal("0.00")
    return OrderLine(product_id, sku, name or title, 1, net, total, tax)


def _order(
    shop: Shop,
    rng: random.Random,
    who: Person,
    at: datetime,
    lines: list[OrderLine],
    *,
    gateway: str = "stripe",
    outcome: str = "completed",
) -> Order:
    order = Order(
        id=0,
        created=at,
        person=who,
        guest=False,
        currency="USD" if who.country == "US" else "EUR",
        lines=lines,
        gateway=gateway,
        outcome=outcome,
        settled=at + timedelta(seconds=rng.randrange(8, 90)),  # the payment or its refusal
        transaction_id="",
    )
    shop.orders.append(order)
    if outcome == "cancelled":
        order.settled = at + timedelta(days=3)  # unpaid until the shop gives it up
    elif gateway == "bacs":
        order.settled = at + timedelta(days=rng.randrange(2, 6), hours=3)  # a bank transfer takes days
    elif gateway == "ppcp-gateway":
        order.transaction_id = token(rng, 17).upper()
        order.fee = cents(order.total * Decimal("0.0299")) + Decimal("0.39") if outcome == "completed" else None
    elif order.total:
        payment = Payment(
            id=f"ch_3{token(rng, 22)}",
            intent=f"pi_3{token(rng, 22)}",
            created=order.settled,
            amount=int(order.total * 100),
            currency=order.currency,
            person=who,
            description="Pfad und Papier shop",
            ok=outcome == "completed",
            failure=None if outcome == "completed" else "card_declined",
            order=order,
        )
        order.transaction_id = payment.id
        shop.payments.append(payment)
    return order


def _purchase(shop: Shop, rng: random.Random, at: datetime) -> None:
    who = shop.newcomer(rng, at)
    if rng.random() < 0.12:
        before = rng.choice(shop.people)
        who = before if before.joined < at else who
    skus = rng.choices((("EBOOK-HUTS",), ("TPL-PACK",), ("EBOOK-HUTS", "TPL-PACK")), (0.6, 0.28, 0.12))[0]
    coupon = 100 if rng.random() < 0.01 else 20 if rng.random() < 0.1 else 0
    outcome = rng.choices(("completed", "cancelled", "failed"), (0.92, 0.04, 0.04))[0]
    gateway = rng.choices(("stripe", "ppcp-gateway", "bacs"), (0.68, 0.29, 0.03))[0]
    if gateway == "bacs" and outcome == "failed":
        outcome = "cancelled"  # a bank transfer that never comes
    order = _order(
        shop, rng, who, at, [_line(rng, sku, who, coupon=coupon) for sku in skus], gateway=gateway, outcome=outcome
    )
    order.guest = rng.random() < 0.55
    if outcome == "completed" and order.total and rng.random() < 0.06:
        part = order.total if rng.random() < 0.6 else cents(order.total / 2)
        when = order.settled + timedelta(days=rng.randrange(1, 24), hours=rng.randrange(1, 9))
        order.refunds = [OrderRefund(0, when, part, rng.choice(_REASONS), rng.random() < 0.93)]


def _course(shop: Shop, rng: random.Random, at: datetime) -> None:
    """Three monthly orders of one customer, and never a fourth."""
    who = shop.newcomer(rng, at)
    for part in range(3):
        line = _line(rng, "COURSE-NAV", who, name=f"{PRODUCTS['COURSE-NAV'][1]} (instalment {part + 1} of 3)")
        order = _order(shop, rng, who, later(at, part), [line])
        order.instalment = f"{part + 1}/3"
        order.created_via = "checkout" if part == 0 else "deposits"


def _member_area(shop: Shop, rng: random.Random, at: datetime) -> None:
    who = shop.newcomer(rng, at)
    contract = ShopContract(0, who, at, [], [])
    shop.contracts.append(contract)
    for turn in range(60):
        due = later(at, turn)
        if due >= shop.horizon:
            return
        fails = turn > 0 and rng.random() < 0.02
        order = _order(shop, rng, who, due, [_line(rng, "MEM-M", who)], outcome="failed" if fails else "completed")
        order.created_via = "subscription" if turn else "checkout"
        contract.orders.append(order)
        contract.payments_at.append(due)
        if fails:
            contract.failed_from = due
            contract.ended = due + timedelta(days=7)
            return
        if rng.random() < 0.05:
            contract.cancel_requested = due + timedelta(days=rng.randrange(2, 27))
            contract.ended = later(at, turn + 1)
            return


def _donation(shop: Shop, rng: random.Random, at: datetime) -> None:
    who = shop.newcomer(rng, at)
    shop.payments.append(
        Payment(
            id=f"ch_3{token(rng, 22)}",
            intent=f"pi_3{token(rng, 22)}",
            created=at,
            amount=rng.choice((300, 500, 500, 1000, 1500, 2500)),
            currency="USD" if who.country == "US" else "EUR",
            person=who,
            description="Donation to Pfad und Papier",
            donation=True,
        )
    )
