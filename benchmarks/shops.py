"""Labelled shops: whole connections whose products have several payers, so that the ledger finds its facts by itself.

Each payer's history is drawn from the scenarios that single histories use, in the same shares. What the payers of a
product have in common (prices, numbers of parts) is drawn once for the product. See docs/recurrence.md.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

from benchmarks.payments import AS_OF, FIRST_DAY, ONE_OFF, RECURRING, Draft, first_day
from benchmarks.scenarios import SCENARIOS
from tracker.records import Recurrence

#: Which scenarios the payers of one product can have. Products are drawn by the weights of their scenarios.
FAMILIES: tuple[tuple[str, ...], ...] = (
    ("monthly", "month end", "price rise", "dunning", "skipped months", "pause", "upgrade in mid-term",
     "first month in part", "two plans", "plan and purchases", "cancelled early", "varying amounts"),
    ("4-weekly",),
    ("weekly and bi-weekly",),
    ("quarterly, half-yearly",),
    ("annual",),
    ("single purchase", "returning buyer", "shopper"),
    ("refill buyer",),
    ("instalments", "instalments and purchases"),
    ("anonymous sales",),
    ("anonymous mixed",),
)  # fmt: skip
_REFUNDED = 0.055  # of the groups: one in 35 is drawn so, and 3 % of the others


@dataclass(frozen=True)
class Sold:
    """One movement as a provider would report it. A negative one takes `takes_back` back."""

    number: int
    day: date
    net_cents: int
    gross_cents: int | None
    label: Recurrence
    product: str | None = None
    payer: str | None = None
    program: str | None = None
    order_ref: str | None = None
    takes_back: int | None = None


@dataclass
class Group:
    """What one payer bought, or all of a program without payers. `young`: a subscription seen once or twice."""

    scenario: str
    numbers: list[int] = field(default_factory=list)
    young: bool = False


@dataclass
class Shop:
    """One connection."""

    sold: list[Sold] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)


def shops(seed: int, groups: int, *, alone: bool = False) -> Iterator[Shop]:
    """Shops with at least so many groups in all, the same for the same seed. `alone`: one payer for each product."""
    rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
    made = 0
    while made < groups:
        shop = _Opened(rng, alone).shop
        made += len(shop.groups)
        yield shop


class _Opened:
    """A shop while it is drawn: twelve products. One in four names no product, one in four no gross amount."""

    def __init__(self, rng: random.Random, alone: bool) -> None:
        self.rng, self.alone, self.shop = rng, alone, Shop()
        self.refs = rng.choices(["none", "payment", "contract"], [50, 30, 20])[0]
        self.percent, self.fixed = rng.choice([(0.029, 30), (0.10, 0)])
        self.gross_told, self.products_named = rng.random() < 0.75, rng.random() < 0.75
        self.contracts: dict[str, str] = {}
        weights = [sum(SCENARIOS[name][1] for name in family) for family in FAMILIES]
        for number, family in enumerate(rng.choices(FAMILIES, weights, k=12)):
            if family[0].startswith("anonymous"):
                for program in range(self.payers()):
                    self.add_product(f"P{number}-{program}", family, payers=1)
            else:
                self.add_product(f"P{number}", family, payers=self.payers())

    def payers(self) -> int:
        """Half of the products have one payer, the others two to nine."""
        return 1 if self.alone or self.rng.random() < 0.5 else self.rng.randint(2, 9)

    def add_product(self, name: str, family: tuple[str, ...], *, payers: int) -> None:
        offer = self.rng.getrandbits(64)
        weights = [SCENARIOS[scenario][1] for scenario in family]
        full_price = None
        for _ in range(payers):
            scenario = self.rng.choices(family, weights)[0]
            draft = self.draw(scenario, offer)
            full_price = draft.full_prices[0] if draft.full_prices else None
            self.add_group(scenario, draft, name)
        if full_price and not self.alone:
            for _ in range(self.payers() if "instalments" in family else 1):
                draft = Draft(self.rng, self.rng, refs=self.refs)
                draft.add(first_day(self.rng), full_price, ONE_OFF)
                self.add_group("paid at once", draft, name)

    def draw(self, scenario: str, offer: int) -> Draft:
        """A history that falls outside the three years is drawn again."""
        while True:
            draft = Draft(self.rng, random.Random(offer), refs=self.refs)  # noqa: S311 - repeatable, not secret
            SCENARIOS[scenario][0](draft)
            if draft.rows:
                return draft

    def add_group(self, scenario: str, draft: Draft, name: str) -> None:
        if not draft.rows:
            return
        rng, group = self.rng, Group(scenario)
        self.shop.groups.append(group)
        payer = f"{rng.getrandbits(40):010x}" if draft.payer_known else None
        for day, cents, label, ref, text in draft.rows:
            product = f"{name} {text}" if text else name if self.products_named else None
            self.sell(group, day, cents, label, product, payer, None if payer else name, ref)
        subscribed = sum(self.shop.sold[number].label is RECURRING for number in group.numbers)
        group.young = 0 < subscribed < 3
        if payer and rng.random() < _REFUNDED:
            for number in rng.sample(group.numbers, min(len(group.numbers), rng.randint(1, 2))):
                self.refund(group, self.shop.sold[number])

    def sell(
        self, group: Group, day: date, cents: int, label: Recurrence, product: str | None, payer: str | None,
        program: str | None, ref: str | None,
    ) -> None:  # fmt: skip
        net = max(1, cents - round(cents * self.percent) - self.fixed) if payer else cents
        gross = cents if payer and self.gross_told else None
        number = len(self.shop.sold)
        self.shop.sold.append(Sold(number, day, net, gross, label, product, payer, program, ref))
        group.numbers.append(number)

    def refund(self, group: Group, sale: Sold) -> None:
        day = sale.day + timedelta(days=self.rng.randint(1, 25))
        if FIRST_DAY <= day <= AS_OF:
            part = sale.net_cents if self.rng.random() < 0.8 else max(1, sale.net_cents * self.rng.randint(2, 8) // 10)
            number = len(self.shop.sold)
            back = Sold(number, day, -part, None, sale.label, sale.product, sale.payer, None, None, sale.number)
            self.shop.sold.append(back)
            group.numbers.append(number)
