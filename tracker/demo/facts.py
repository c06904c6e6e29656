"""What happened in the sandbox's little business, told once and without any provider's words.

Every fact carries the times at which it changes, so that a provider module can say how it looked at any `now`.
Times are aware UTC datetimes. Amounts of networks and the shop are Decimals in major units; amounts of the payment
gateway are integers in minor units, as it counts them itself.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from msgspec import Struct


class Programme(Struct, frozen=True):
    id: int
    name: str
    currency: str
    country: str
    sub_ids: tuple[str, ...]
    share: float  # of the month's new sales
    low: int  # typical basket, major units
    high: int
    rate: Decimal  # commission as a part of the basket
    validation_days: int
    payment_days: int  # from approval until the advertiser has paid the network
    declined: float
    renewal: str = ""  # "month" or "year": the customer's renewals earn as well


class NetworkSale(Struct, frozen=True):
    """A commission that changes in place."""

    id: int
    programme: Programme
    clicked: datetime
    occurred: datetime
    sale: Decimal
    commission: Decimal
    sub_id: str | None
    second_sub_id: str | None
    order: str | None
    country: str
    renewal: bool
    validated: datetime
    outcome: str  # approved, declined, deleted
    reason: str | None
    reversed: datetime | None = None
    paid: datetime | None = None
    payment_id: int = 0
    amended: datetime | None = None
    amended_sale: Decimal | None = None
    amended_commission: Decimal | None = None
    bonus: bool = False

    def lost(self, now: datetime) -> bool:
        """Whether it was refused, or taken back after its approval."""
        return (self.outcome != "approved" and self.validated <= now) or bool(self.reversed and self.reversed <= now)

    def amounts(self, now: datetime) -> tuple[Decimal, Decimal]:
        """What was sold and the commission on it, as they were last amended."""
        amended = self.amended and self.amended <= now
        if amended and self.amended_sale is not None and self.amended_commission is not None:
            return self.amended_sale, self.amended_commission
        return self.sale, self.commission

    def changed(self, now: datetime) -> datetime | None:
        """When it was last decided on or amended; being paid is neither."""
        return max((at for at in (self.validated, self.amended, self.reversed) if at and at <= now), default=None)


def by_payment(sales: Iterable[NetworkSale]) -> dict[int, list[NetworkSale]]:
    """What each payment pays, by its number."""
    found: dict[int, list[NetworkSale]] = {}
    for sale in sales:
        if sale.paid:
            found.setdefault(sale.payment_id, []).append(sale)
    return found


class NetworkAction(Struct, frozen=True):
    """A commission that is corrected by appending signed rows."""

    id: int
    action_id: int
    programme: Programme
    original: bool
    clicked: datetime
    occurred: datetime
    posted: datetime
    sale: Decimal
    commission: Decimal
    sub_id: str | None
    order: str
    country: str
    locking: datetime
    closed: datetime
    extended: datetime | None  # when the locking date moves to `extended_locking`
    extended_locking: datetime | None
    open_ended: bool
    reason: str | None  # of a correction
    fully_corrected: datetime | None


class Person(Struct, frozen=True):
    number: int
    customer_id: str
    name: str
    email: str
    country: str
    joined: datetime


class Plan(Struct, frozen=True):
    price_id: str
    product_id: str
    product: str
    nickname: str
    amount: int
    currency: str
    interval: str


class Line(Struct, frozen=True):
    description: str
    amount: int
    plan: Plan
    start: datetime
    end: datetime
    proration: bool = False


class Payment(Struct):
    """A charge: card charges are `ch_`, bank debits `py_`. A failed attempt has no ledger row."""

    id: str
    intent: str
    created: datetime
    amount: int
    currency: str
    person: Person
    description: str
    ok: bool = True
    failure: str | None = None
    debit: bool = False
    invoice: "Invoice | None" = None
    order: "Order | None" = None
    donation: bool = False
    movement: "Movement | None" = None
    refunds: "list[Refund]" = []
    dispute: "Dispute | None" = None


class Invoice(Struct):
    id: str
    contract: "Contract"
    number: str
    created: datetime
    reason: str
    lines: list[Line]
    discount: int
    total: int
    finalized: datetime
    attempts: list[Payment]
    paid: datetime | None
    given_up: datetime | None  # marked uncollectible


class Contract(Struct):
    """A running subscription. `segments` are the plans with their first day, `periods` the billed periods."""

    id: str
    item_id: str
    person: Person
    started: datetime
    via: str  # ghost, software
    segments: list[tuple[datetime, Plan]]
    periods: list[tuple[datetime, datetime]]
    invoices: list[Invoice]
    trial_end: datetime | None = None
    cancel_requested: datetime | None = None
    cancel_reason: str | None = None
    ended: datetime | None = None
    overdue: list[tuple[datetime, datetime]] = []
    discount_percent: int = 0
    discount_ends: datetime | None = None  # None with a percentage: for good

    def plan_at(self, now: datetime) -> Plan:
        return [plan for since, plan in self.segments if since <= now or since == self.started][-1]


class Refund(Struct):
    id: str
    payment: Payment
    created: datetime
    amount: int
    reason: str
    movement: "Movement | None" = None


class Dispute(Struct):
    id: str
    payment: Payment
    created: datetime
    reason: str
    closed: datetime
    won: bool
    movements: "list[Movement]" = []


class Movement(Struct):
    """One signed row of the gateway's ledger, in the settlement currency."""

    id: str
    created: datetime
    available: datetime
    type: str
    category: str
    amount: int
    fee: int
    currency: str
    source: str | None
    description: str
    rate: float | None = None
    fee_description: str = "Stripe processing fees"
    payout: "Settlement | None" = None

    @property
    def net(self) -> int:
        return self.amount - self.fee


class Settlement(Struct):
    """A transfer from the gateway to the bank."""

    id: str
    created: datetime
    arrival: datetime
    amount: int
    currency: str
    automatic: bool
    movement: Movement
    rows: list[Movement]
    failed: datetime | None = None
    failure: Movement | None = None


class OrderLine(Struct, frozen=True):
    product_id: int
    sku: str
    name: str
    quantity: int
    subtotal: Decimal  # before discount, without tax
    total: Decimal
    tax: Decimal


class OrderRefund(Struct):
    id: int
    created: datetime
    amount: Decimal
    reason: str
    through_gateway: bool


class Order(Struct):
    id: int
    created: datetime
    person: Person
    guest: bool
    currency: str
    lines: list[OrderLine]
    gateway: str  # stripe, ppcp-gateway (PayPal), bacs (bank transfer)
    outcome: str  # completed, cancelled, failed
    settled: datetime  # paid, refused or given up
    transaction_id: str
    created_via: str = "checkout"
    renewal_of: int | None = None
    instalment: str | None = None
    refunds: list[OrderRefund] = []
    fee: Decimal | None = None

    @property
    def total(self) -> Decimal:
        return sum((line.total + line.tax for line in self.lines), Decimal(0))


class ShopContract(Struct):
    """A subscription kept by the shop itself."""

    id: int
    person: Person
    started: datetime
    orders: list[Order]
    payments_at: list[datetime]
    cancel_requested: datetime | None = None
    ended: datetime | None = None
    failed_from: datetime | None = None


class Member(Struct, frozen=True):
    """A reader of the newsletter; `contract` when paying."""

    id: str
    uuid: str
    person: Person
    joined: datetime
    comped: bool  # reads the paid letters as a guest
    contract: Contract | None


class History(Struct):
    seed: int
    start: datetime
    horizon: datetime
    programmes: list[Programme]
    sales: list[NetworkSale]
    actions: list[NetworkAction]
    people: list[Person]
    contracts: list[Contract]
    invoices: list[Invoice]
    payments: list[Payment]
    refunds: list[Refund]
    disputes: list[Dispute]
    movements: list[Movement]
    settlements: list[Settlement]
    orders: list[Order]
    shop_contracts: list[ShopContract]
    members: list[Member]
