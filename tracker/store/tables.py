"""The ledger's tables. Amounts are exact (`Micros`), times aware UTC (`UtcDateTime`), provider ids text.

Rows that providers send are kept in `raw_batch`; `earning`, `subscription`, `payout`, `program`, `invoice` and the
roll-ups `monthly_income` and `daily_income` are derived from them and can be rebuilt. What a user decides stands in
columns named `override_…`, in `stream`, `stream_rule` and `program.recurring`, and no rebuild touches it.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, Index, MetaData, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from tracker.store.bank import BankLine
from tracker.store.columns import (
    RowId,
    index_where,
    maybe_money,
    maybe_time,
    maybe_word,
    money,
    owned_by,
    row_id,
    time,
    word,
)
from tracker.store.inbound import Inbound, InboundAddress
from tracker.store.kept import PageDigest, Quarantine, RawBatch, RawRow
from tracker.store.people import ApiToken, AuditEvent, Session, User

# From next door, which is one metadata with these.
__all__ = [
    "ApiToken", "AuditEvent", "BankLine", "Inbound", "InboundAddress", "PageDigest", "Quarantine", "RawBatch", "RawRow",
    "Session", "User",
]  # fmt: skip
metadata: MetaData = SQLModel.metadata
_IN_PAYOUT = ("currency", "status", "net")  # all that a list asks of the many earnings inside, so that it reads none


class Setting(SQLModel, table=True):
    """What the ledger was built with: reporting currency, time zone, sealed pseudonym salt."""

    __tablename__ = "setting"
    name: str = Field(primary_key=True)
    value: str


class Stream(SQLModel, table=True):
    """One income stream of the user."""

    __tablename__ = "stream"
    __table_args__ = (UniqueConstraint("slug"),)
    id: int | None = row_id()
    slug: str
    title: str
    business_model: str | None = None
    delivery: str | None = None
    position: int = 0
    created_at: datetime = time()


class StreamRule(SQLModel, table=True):
    """Earnings that fit every given part of a rule belong to its stream; the first rule in order wins.

    Patterns are matched without case; `*` stands for any text. An empty part fits everything.
    """

    __tablename__ = "stream_rule"
    id: int | None = row_id()
    stream_id: int = owned_by("stream", index=True)
    position: int = Field(default=0, index=True)
    connection_id: int | None = Field(default=None, foreign_key="connection.id", ondelete="CASCADE", sa_type=RowId)
    program: str | None = None
    product: str | None = None
    sub_id: str | None = None
    kind: str | None = None


class Connection(SQLModel, table=True):
    """One configured account at a provider.

    `next_sync_at` is the schedule: moving it is the only way to ask for a sync.
    """

    __tablename__ = "connection"
    __table_args__ = (UniqueConstraint("slug"),)
    id: int | None = row_id()
    slug: str
    provider: str
    title: str
    role: str = word()
    options: dict[str, str] = Field(default_factory=dict, sa_type=JSON)
    stream_id: int = Field(foreign_key="stream.id", sa_type=RowId)
    created_at: datetime = time()
    since: datetime | None = maybe_time()
    next_sync_at: datetime | None = maybe_time(index=True)
    interval_s: int = 3600
    quiet: str | None = maybe_word(11)  # "22:00-06:00": no scheduled sync begins then, in the user's zone
    queued_until: datetime | None = maybe_time()  # handed to a worker; if nothing came of it by then, handed out again
    leased_until: datetime | None = maybe_time()  # somebody is syncing it; a dead worker's lease runs out
    leased_by: str | None = None
    paused_at: datetime | None = maybe_time()
    paused_reason: str | None = None
    as_of: datetime | None = maybe_time()  # start of the last sync that read everything
    failures: int = 0
    last_error: str | None = None


class ConnectionSecret(SQLModel, table=True):
    """Sealed credentials, OAuth tokens and the secret that signs webhooks of a connection."""

    __tablename__ = "connection_secret"
    connection_id: int = owned_by("connection", key=True)
    credentials: str
    tokens: str | None = None
    webhook: str | None = None
    updated_at: datetime = time()


class ResourceState(SQLModel, table=True):
    """How far a resource has been read.

    `resume` is the place inside an unfinished leg; `revision` counts changes of rows that were known before, and
    outdates page digests.
    """

    __tablename__ = "resource_state"
    connection_id: int = owned_by("connection", key=True)
    resource: str = Field(primary_key=True)
    state: dict[str, str] = Field(default_factory=dict, sa_type=JSON)
    resume: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    revision: int = 0
    note: str | None = None


class SyncRun(SQLModel, table=True):
    """One run over one connection."""

    __tablename__ = "sync_run"
    __table_args__ = (Index("ix_sync_run_connection_id_started_at", "connection_id", "started_at"),)
    id: int | None = row_id()
    connection_id: int = owned_by("connection")
    started_at: datetime = time()
    finished_at: datetime | None = maybe_time()
    outcome: str = Field(default="running", sa_type=String(16))
    pages: int = 0
    rows: int = 0
    new: int = 0
    changed: int = 0
    quarantined: int = 0
    error: str | None = None
    message: str | None = None


class Earning(SQLModel, table=True):
    """One signed movement of income. See `tracker.records.Earning` for the fields a connector fills."""

    __tablename__ = "earning"
    __table_args__ = (
        UniqueConstraint("connection_id", "resource", "external_id"),
        Index("ix_earning_connection_id_earned_month", "connection_id", "earned_month"),
        index_where("ix_earning_gateway_ref", "gateway_ref IS NOT NULL", "gateway_ref"),
        index_where("ix_earning_payment_ref", "payment_ref IS NOT NULL", "payment_ref"),
        index_where("ix_earning_subscription_ref", "subscription_ref IS NOT NULL", "connection_id", "subscription_ref"),
        index_where("ix_earning_origin_ref", "origin_ref IS NOT NULL", "connection_id", "origin_ref"),
        index_where("ix_earning_order_ref", "order_ref IS NOT NULL", "order_ref"),
        index_where("ix_earning_payout_ref", "payout_ref IS NOT NULL", "connection_id", "payout_ref", *_IN_PAYOUT),
        index_where("ix_earning_payer", "payer IS NOT NULL", "connection_id", "payer"),
        index_where("ix_earning_fresh", "fresh", "connection_id", "id", sqlite="fresh = 1"),
    )
    id: int | None = row_id()
    connection_id: int = owned_by("connection")
    resource: str
    external_id: str
    raw_key: str | None = None  # the row it came from, when that is not its own id
    kind: str = word(24)
    status: str = word()
    said_status: str | None = maybe_word()  # without what appended corrections do to it
    settlement: str = word()
    net: Decimal = money()
    gross: Decimal | None = maybe_money()
    fee: Decimal | None = maybe_money()
    tax: Decimal | None = maybe_money()
    sale_amount: Decimal | None = maybe_money()
    sale_currency: str | None = maybe_word(3)
    currency: str = word(3)
    reporting_net: Decimal | None = maybe_money()
    rate_day: date | None = None
    earned_at: datetime = time(index=True)
    validated_at: datetime | None = maybe_time()
    paid_at: datetime | None = maybe_time()
    earned_month: int  # 202606, cut in the user's time zone
    approved_month: int | None = None
    paid_month: int | None = None
    period_start: date | None = None
    period_end: date | None = None
    program: str | None = None
    product: str | None = None
    payer: str | None = None
    country: str | None = maybe_word(2)
    sub_id: str | None = None
    order_ref: str | None = None
    gateway_ref: str | None = None
    payment_ref: str | None = None
    origin_ref: str | None = None
    subscription_ref: str | None = None
    payout_ref: str | None = None
    said_recurrence: str | None = maybe_word()  # the provider's word
    said_interval: str | None = maybe_word(24)
    override_recurrence: str | None = maybe_word()
    recurrence: str = word()
    recurrence_by: str = word()  # which of the answers won: see tracker.classify
    recurrence_reason: str | None = None
    recurrence_interval: str | None = maybe_word(24)
    estimated: bool = False
    paired: bool = False  # another connection counts this money
    provider_status: str | None = None
    fresh: bool = True  # written, but not yet linked, settled, paired and classified
    stream_id: int = Field(foreign_key="stream.id", sa_type=RowId)
    override_stream_id: int | None = Field(default=None, foreign_key="stream.id", ondelete="SET NULL", sa_type=RowId)


class EarningChange(SQLModel, table=True):
    """A change of status, settlement or amount of an earning that was known before."""

    __tablename__ = "earning_change"
    id: int | None = row_id()
    earning_id: int = owned_by("earning", index=True)
    run_id: int | None = Field(default=None, sa_type=RowId)
    changed_at: datetime = time(index=True)
    what: str = word(24)
    old: str | None = None
    new: str | None = None


class Program(SQLModel, table=True):
    """An advertiser's offer. `recurring` is the user's mark: its commissions come again and again."""

    __tablename__ = "program"
    connection_id: int = owned_by("connection", key=True)
    external_id: str = Field(primary_key=True)
    title: str
    currency: str | None = maybe_word(3)
    recurring: bool = False


class Invoice(SQLModel, table=True):
    """What billing knows about a payment. See `tracker.records.Invoice`."""

    __tablename__ = "invoice"
    __table_args__ = (
        UniqueConstraint("connection_id", "resource", "external_id"),
        Index("ix_invoice_connection_id_payment_ref", "connection_id", "payment_ref"),
    )
    id: int | None = row_id()
    connection_id: int = owned_by("connection")
    resource: str
    external_id: str
    payment_ref: str
    recurrence: str = word()
    subscription_ref: str | None = None
    interval: str | None = maybe_word(24)
    product: str | None = None
    payer: str | None = None
    period_start: date | None = None
    period_end: date | None = None


class Subscription(SQLModel, table=True):
    """A running contract of one payer. See `tracker.records.Subscription`."""

    __tablename__ = "subscription"
    __table_args__ = (UniqueConstraint("connection_id", "resource", "external_id"),)
    id: int | None = row_id()
    connection_id: int = owned_by("connection")
    resource: str
    external_id: str
    raw_key: str | None = None
    status: str = word()
    payer: str | None = None
    product: str | None = None
    currency: str = word(3)
    amount: Decimal = money()
    discount_forever: Decimal = money()
    discount_limited: Decimal = money()
    discount_ends_at: datetime | None = maybe_time()
    interval: str = word(24)
    metered: bool = False
    started_at: datetime = time()
    trial_end_at: datetime | None = maybe_time()
    current_period_end: datetime | None = maybe_time()
    cancel_requested_at: datetime | None = maybe_time()
    cancel_at_period_end: bool = False
    ended_at: datetime | None = maybe_time()
    provider_status: str | None = None


class SubscriptionChange(SQLModel, table=True):
    """The fields of a subscription that changed, before and after."""

    __tablename__ = "subscription_change"
    id: int | None = row_id()
    subscription_id: int = owned_by("subscription", index=True)
    run_id: int | None = Field(default=None, sa_type=RowId)
    changed_at: datetime = time(index=True)
    old: dict[str, Any] = Field(sa_type=JSON)
    new: dict[str, Any] = Field(sa_type=JSON)


class Payout(SQLModel, table=True):
    """Money on its way to the user's bank. See `tracker.records.Payout`."""

    __tablename__ = "payout"
    __table_args__ = (UniqueConstraint("connection_id", "resource", "external_id"),)
    id: int | None = row_id()
    connection_id: int = owned_by("connection")
    resource: str
    external_id: str
    raw_key: str | None = None
    status: str = word()
    amount: Decimal = money()
    currency: str = word(3)
    fee: Decimal | None = maybe_money()
    created_at: datetime = time(index=True)
    arrives_at: datetime | None = maybe_time()
    itemised: bool = False  # the provider can list what is inside
    itemised_at: datetime | None = maybe_time()  # when that list was read
    settled_as: str | None = maybe_word()  # the status that its earnings know of
    estimated: bool = False
    provider_status: str | None = None


class PayoutItem(SQLModel, table=True):
    """One earning inside a payout."""

    __tablename__ = "payout_item"
    __table_args__ = (
        UniqueConstraint("connection_id", "resource", "external_id"),
        Index("ix_payout_item_connection_id_earning_ref", "connection_id", "earning_ref"),
        Index("ix_payout_item_payout_ref", "connection_id", "payout_ref", "currency", "amount"),  # as of earnings
    )
    id: int | None = row_id()
    connection_id: int = owned_by("connection")
    resource: str
    external_id: str
    payout_ref: str
    earning_ref: str
    amount: Decimal = money()
    currency: str = word(3)


class ExchangeRate(SQLModel, table=True):
    """A reference rate that the bundled history does not have: units of `quote` for one `base`."""

    __tablename__ = "exchange_rate"
    base: str = Field(primary_key=True, sa_type=String(3))
    quote: str = Field(primary_key=True, sa_type=String(3))
    day: date = Field(primary_key=True)
    rate: str
    source: str
    fetched_at: datetime = time()


class DirtyMonth(SQLModel, table=True):
    """A month of a connection whose roll-up is older than its earnings; written with them, in one transaction."""

    __tablename__ = "dirty_month"
    connection_id: int = owned_by("connection", key=True)
    month: int = Field(primary_key=True)


class MonthlyIncome(SQLModel, table=True):
    """The roll-up: earnings of one connection grouped by everything a report can ask for quickly.

    It carries all three months of a group (earned, approved, paid), so that one table serves every basis.
    """

    __tablename__ = "monthly_income"
    __table_args__ = (
        Index("ix_monthly_income_connection_id_earned_month", "connection_id", "earned_month"),
        Index("ix_monthly_income_earned_month", "earned_month"),
    )
    id: int | None = row_id()
    connection_id: int = owned_by("connection")
    earned_month: int
    approved_month: int | None = None
    paid_month: int | None = None
    stream_id: int = Field(sa_type=RowId)
    program: str | None = None
    currency: str = word(3)
    kind: str = word(24)
    status: str = word()
    settlement: str = word()
    recurrence: str = word()
    estimated: bool = False
    paired: bool = False
    converted: bool = True
    earnings: int = 0
    net: Decimal = money()
    reporting_net: Decimal | None = maybe_money()


class DailyIncome(SQLModel, table=True):
    """The roll-up by the day earned, which the user's time zone cuts: coarser than that by month in all else.

    It leaves out what belongs in no column of a report.
    """

    __tablename__ = "daily_income"
    __table_args__ = (
        Index("ix_daily_income_connection_id_earned_month", "connection_id", "earned_month"),
        Index("ix_daily_income_earned_month_day", "earned_month", "day"),
    )
    id: int | None = row_id()
    connection_id: int = owned_by("connection")
    earned_month: int
    day: date
    stream_id: int = Field(sa_type=RowId)
    currency: str = word(3)
    verdict: str = word()
    recurrence: str = word()
    converted: bool = True
    earnings: int = 0
    net: Decimal = money()
    reporting_net: Decimal | None = maybe_money()


class Delivery(SQLModel, table=True):
    """A letter to one recipient for one period: sent once, whoever tries.

    `handed_over_at` is written before the mail server gets the text. Without `sent_at` nobody knows whether it arrived:
    such a letter is not sent again by itself.
    """

    __tablename__ = "delivery"
    __table_args__ = (UniqueConstraint("kind", "period", "recipient"),)
    id: int | None = row_id()
    kind: str = word()
    period: str = word(10)
    recipient: str
    message_id: str
    created_at: datetime = time()
    leased_until: datetime | None = maybe_time()
    leased_by: str | None = None
    tries: int = 0
    next_try_at: datetime | None = maybe_time()  # None: sent, given up, or to be decided by the user
    handed_over_at: datetime | None = maybe_time()
    sent_at: datetime | None = maybe_time()
    error: str | None = None
