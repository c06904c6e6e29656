"""What a connector makes of a provider's row: immutable records in the product's words.

Records are `msgspec.Struct`s rather than dataclasses: the same look to a reader and a type checker, but built in C,
which is what lets a first load of a hundred thousand rows stay near the speed of the disk. Times are aware UTC
datetimes, amounts are `Decimal` in major units of the named currency, ids from providers are text.
`None` means unknown, which is never the same as zero.
"""

import re
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What sort of movement an earning is."""

    COMMISSION = "commission"
    SALE = "sale"
    SUBSCRIPTION_PAYMENT = "subscription_payment"
    TIP = "tip"
    AD_REVENUE = "ad_revenue"
    ROYALTY = "royalty"
    BONUS = "bonus"
    REFUND = "refund"
    CHARGEBACK = "chargeback"
    FEE = "fee"
    ADJUSTMENT = "adjustment"
    # Movements that ledgers list between the earnings and that are never income.
    PAYOUT = "payout"
    TRANSFER = "transfer"
    RESERVE = "reserve"
    TOP_UP = "top_up"
    CONVERSION = "conversion"
    COST = "cost"  # what the user owes others, below zero: the affiliates of an own programme
    UNKNOWN = "unknown"


#: Kept and shown, never in a total.
NOT_INCOME = frozenset(
    {Kind.PAYOUT, Kind.TRANSFER, Kind.RESERVE, Kind.TOP_UP, Kind.CONVERSION, Kind.COST, Kind.UNKNOWN}
)

#: Signed rows that take back or correct an earlier earning.
CORRECTIONS = frozenset({Kind.REFUND, Kind.CHARGEBACK, Kind.FEE, Kind.ADJUSTMENT})


class Status(StrEnum):
    """Validation of an earning."""

    PENDING = "pending"
    APPROVED = "approved"
    DECLINED = "declined"  # refused before approval
    REVERSED = "reversed"  # taken back after approval


class Settlement(StrEnum):
    """Payment of an earning: a second fact, apart from validation. A paid earning can still be reversed."""

    UNPAID = "unpaid"
    SCHEDULED = "scheduled"
    PAID = "paid"


class Recurrence(StrEnum):
    RECURRING = "recurring"
    ONE_OFF = "one_off"
    INSTALMENT = "instalment"  # a fixed number of parts
    VARIABLE = "variable"  # ads, royalties


class Role(StrEnum):
    """Whether a connection's rows are the book of the money, or details about money another connection reports."""

    CASH = "cash"
    ENRICHMENT = "enrichment"


class Interval(msgspec.Struct, frozen=True):
    """A billing interval, such as one month or four weeks."""

    unit: str  # day, week, month, year
    count: int = 1

    def __str__(self) -> str:
        return self.unit if self.count == 1 else f"{self.count} {self.unit}s"

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """The inverse of `str`: "month", "4 weeks". Raises ValueError."""
        match = re.fullmatch(r"(?:([1-9]\d{0,3}) )?(day|week|month|year)s?", text)
        if not match:
            raise ValueError(f"not an interval: {text!r}")
        return cls(match[2], int(match[1] or 1))


class Earning(msgspec.Struct, frozen=True, kw_only=True):
    """One signed movement of income. Unique by `external_id` within its connection and resource."""

    external_id: str
    kind: Kind
    status: Status
    net: Decimal  # what reaches the user: after fees, signed
    currency: str
    earned_at: datetime
    settlement: Settlement = Settlement.UNPAID
    gross: Decimal | None = None  # before the provider's fee
    fee: Decimal | None = None  # positive when charged
    tax: Decimal | None = None
    sale_amount: Decimal | None = None  # what the shopper paid the advertiser
    sale_currency: str | None = None
    validated_at: datetime | None = None
    paid_at: datetime | None = None
    period_start: date | None = None  # the service period a recurring payment covers
    period_end: date | None = None
    program: str | None = None  # the advertiser's id in the network
    product: str | None = None
    payer: str | None = None  # opaque: a provider's id or a pseudonym, never a name or an address
    country: str | None = None  # ISO 3166-1 alpha-2
    sub_id: str | None = None
    order_ref: str | None = None
    gateway_ref: str | None = None  # the charge at the payment gateway: pairs a shop's order with the gateway's row
    payment_ref: str | None = None  # the gateway's second name for it (Stripe's payment intent)
    origin_ref: str | None = None  # the earlier earning that this one corrects
    subscription_ref: str | None = None
    payout_ref: str | None = None
    recurrence: Recurrence | None = None  # only when the provider itself says so
    recurrence_interval: Interval | None = None
    estimated: bool = False  # a row that the provider only implies
    provider_status: str | None = None  # the provider's own word, kept as it came


class SubscriptionStatus(StrEnum):
    INCOMPLETE = "incomplete"  # the first payment has not succeeded
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    CANCELED = "canceled"
    EXPIRED = "expired"


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A running contract of one payer. Amounts are per interval, for all units together, without tax if known."""

    external_id: str
    status: SubscriptionStatus
    currency: str
    amount: Decimal  # list price of all licensed items
    interval: Interval
    started_at: datetime
    payer: str | None = None
    product: str | None = None
    discount_forever: Decimal = Decimal(0)  # taken off for good
    discount_limited: Decimal = Decimal(0)  # taken off once or for some months
    discount_ends_at: datetime | None = None
    metered: bool = False  # has usage-priced items, which no MRR policy counts
    trial_end_at: datetime | None = None
    current_period_end: datetime | None = None
    cancel_requested_at: datetime | None = None
    cancel_at_period_end: bool = False
    ended_at: datetime | None = None
    provider_status: str | None = None


class PayoutStatus(StrEnum):
    PENDING = "pending"
    IN_TRANSIT = "in_transit"
    PAID = "paid"
    FAILED = "failed"
    CANCELED = "canceled"


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """Money a provider sends to the user's bank. Never income: it settles earnings."""

    external_id: str
    status: PayoutStatus
    amount: Decimal
    currency: str
    created_at: datetime
    arrives_at: datetime | None = None
    fee: Decimal | None = None
    itemised: bool = False  # the provider can list the earnings inside
    estimated: bool = False
    provider_status: str | None = None


class PayoutItem(msgspec.Struct, frozen=True, kw_only=True):
    """One earning inside a payout. `earning_ref` is the earning's external id in the same connection."""

    external_id: str
    payout_ref: str
    earning_ref: str
    amount: Decimal
    currency: str


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """One advertiser's offer inside an affiliate network: gives earnings their programme's title."""

    external_id: str
    title: str
    currency: str | None = None


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """What a billing system knows about a payment that its ledger row does not say.

    `payment_ref` equals an earning's `gateway_ref`, `payment_ref` or `external_id` in the same connection.
    """

    external_id: str
    payment_ref: str
    recurrence: Recurrence
    subscription_ref: str | None = None
    interval: Interval | None = None
    product: str | None = None
    payer: str | None = None
    period_start: date | None = None
    period_end: date | None = None


class BankLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a bank statement: what arrived or left, never income by itself.

    `fingerprint` is the bank's own id of the line or, where there is none, the digest of what it says: unique within
    the account, whichever file it came in.
    """

    external_id: str
    account: str
    fingerprint: str
    booked_on: date
    amount: Decimal  # signed: positive what came in
    currency: str
    text: str = ""
    counterparty: str | None = None
    reference: str | None = None
    bank_type: str | None = None  # the bank's own word for the kind of line


Record = Earning | Subscription | Payout | PayoutItem | Program | Invoice | BankLine
