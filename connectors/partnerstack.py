"""PartnerStack, the partner's side: rewards of all programmes, changed in place, and the payouts that were withdrawn.

Source: docs.partnerstack.com, "Partner API" (authentication, pages, times, errors) and the reference of "List Rewards"
and "List Payouts".
"""

from datetime import datetime, timedelta
from decimal import Decimal

from tracker.connect.auth import bearer
from tracker.connect.connector import Connector, Credential, Option, Rate, Resource, make
from tracker.connect.fields import Row, currency, epoch, get, minor, one_of, optional, text
from tracker.connect.paging import cursor
from tracker.connect.plans import Windows, created_since, unix
from tracker.records import Earning, Kind, Payout, PayoutItem, PayoutStatus, Program, Settlement, Status

_STATUSES = {
    "hold": Status.PENDING,
    "pending": Status.PENDING,
    "approved": Status.APPROVED,
    "declined": Status.DECLINED,
    "paid": Status.APPROVED,
}
#: Where the money of a reward is: a second word beside its status.
_PAYMENTS = {
    "pending": Settlement.UNPAID,
    "available": Settlement.UNPAID,  # until the user withdraws it
    "merging": Settlement.UNPAID,
    "failed": Settlement.UNPAID,
    "expired": Settlement.UNPAID,
    "in_transit": Settlement.SCHEDULED,
    "withdrawn": Settlement.PAID,
    "paid_externally": Settlement.PAID,
    "paid_and_refunded": Settlement.PAID,
}
#: The reference lists no words; only "successful" stands in an example. Any other waits in quarantine.
_PAYOUTS = {
    "pending": PayoutStatus.PENDING,
    "processing": PayoutStatus.IN_TRANSIT,
    "in_transit": PayoutStatus.IN_TRANSIT,
    "successful": PayoutStatus.PAID,
    "failed": PayoutStatus.FAILED,
    "canceled": PayoutStatus.CANCELED,
    "cancelled": PayoutStatus.CANCELED,
}
_MS = Decimal("0.001")

_statuses = {name: one_of(name, _STATUSES) for name in ("reward_status", "status")}
_payment = optional(one_of("payment_status", _PAYMENTS))
_payout = optional(text("payout_id"))
_named, _default = optional(currency("currency")), currency("$.currency")
_amount = minor("amount", "currency"), minor("amount", "$.currency")
_sale = optional(minor("transaction.amount", "transaction.currency"))
_sent, _withdrawn = (optional(epoch(name, unit_s=_MS)) for name in ("sent_at", "withdrawal_date"))


def named(row: Row) -> str | None:
    """The reference says "cents (USD)" of an amount, and names a currency beside it: the option tells which holds."""
    code: str | None = _named.read(row) if get(row, "$.amounts") == "named" else None
    return code


def unit(row: Row) -> str:
    code: str = named(row) or _default.read(row)
    return code


def amount(row: Row) -> Decimal:
    value: Decimal = _amount[named(row) is None].read(row)
    return value


def in_money(row: Row) -> bool:
    """A reward may be something else than money; then its amount is null."""
    return "amount" not in row or row["amount"] is not None


def said(row: Row) -> str:
    """Where the status of a reward stands: some answers name it without its prefix."""
    return "reward_status" if row.get("reward_status") else "status"


def words(row: Row) -> list[str]:
    """The status and, once there is one, where the money is."""
    return [word for word in (row.get(said(row)), row.get("payment_status")) if word]


def status(row: Row) -> Status:
    found: Status = _statuses[said(row)].read(row)
    return Status.DECLINED if row.get("payment_status") in ("expired", "paid_and_refunded") else found


def settlement(row: Row) -> Settlement:
    """A reward that a company marks as paid was paid by another way."""
    found: Settlement = _payment.read(row) or Settlement.UNPAID
    return Settlement.PAID if row.get(said(row)) == "paid" else found


def arrives_at(row: Row) -> datetime | None:
    time: datetime | None = _sent.read(row) or _withdrawn.read(row)
    return time


def payout_id(row: Row) -> str:
    """Rewards name a payout by a number, which the example of the list of payouts does not show."""
    return str(row.get("id") or row["key"])


def milliseconds(time: datetime) -> str:
    return f"{unix(time)}000"


def look_back(days: int) -> Windows:
    """There is no filter for what has changed, and no largest window."""
    return created_since("min_created", until="max_created", look_back=timedelta(days=days), form=milliseconds)


connector = Connector(
    title="PartnerStack",
    kind="affiliate",
    docs="https://docs.partnerstack.com/docs/partner-api",
    base_url="https://api.partnerstack.com",
    credentials={"api_key": Credential("API key", help="dash.partnerstack.com, your menu > Settings > API keys")},
    options={
        "currency": Option("Currency of rewards that name none", help="such as USD", default="USD"),
        "amounts": Option(
            "Currency that amounts are in",
            help="named: the one beside them; account: always the option currency",
            default="named",
            choices=("named", "account"),
        ),
        "base_url": Option("Address of the API", help="only for tests and proxies"),
    },
    auth=bearer("api_key"),
    rates=(Rate(60, 60),),  # no number is published
    payouts="read",
    resources=(
        Resource(
            name="rewards",
            path="/api/v2/rewards",
            params={"order_by": "created_at"},  # else what is new would move the rows between pages
            rows="data.items",
            paging=cursor("starting_after", last_row="key", more="data.has_more", size=("limit", 250)),
            # A reward is approved in the month after its sale, and withdrawn when the user likes.
            plan=look_back(365),
            right="a key of a partner's user; a company's keys are refused here",
            row_id=text("key"),
            # The description is the company's text with the customer's name in it.
            drop=("customer.email", "customer.name", "customer.shared_id", "description", "created_by_name"),
            # PartnerStack recommends the e-mail address to companies that have no number for a customer.
            pseudonymise=("customer.key", "customer_key"),
            makes=(
                make(
                    Program,
                    when=lambda row: bool(get(row, "company.key") and get(row, "company.name")),
                    external_id=text("company.key"),
                    title=text("company.name"),
                ),
                make(
                    Earning,
                    when=in_money,
                    external_id=text("key"),
                    kind=lambda row: Kind.BONUS if get(row, "source.type") == "bonus" else Kind.COMMISSION,
                    status=status,
                    settlement=settlement,
                    net=amount,
                    currency=unit,
                    sale_amount=_sale,
                    sale_currency=optional(currency("transaction.currency")),
                    earned_at=epoch("created_at", unit_s=_MS),
                    program=optional(text("company.key")),
                    product=optional(text("transaction.product_key")),
                    payer=optional(text("customer.key")),
                    sub_id=optional(text("customer.sub_ids.0")),
                    order_ref=lambda row: get(row, "source.key") if get(row, "source.type") == "transaction" else None,
                    provider_status=lambda row: ", ".join(words(row)),
                ),
                make(
                    PayoutItem,
                    when=lambda row: in_money(row) and _payout.read(row) is not None,
                    external_id=text("key"),
                    payout_ref=_payout,
                    earning_ref=text("key"),
                    amount=amount,
                    currency=unit,
                ),
            ),
        ),
        Resource(
            name="payouts",
            path="/api/v2/payouts",
            params={"order_by": "created_at"},
            rows="data.items",
            paging=cursor("starting_after", last_row="key", more="data.has_more", size=("limit", 250)),
            plan=look_back(90),
            right="a key of a partner's user; a company's keys are refused here",
            row_id=text("key"),
            drop=("provider",),  # whose account the money goes to
            makes=(
                make(
                    Payout,
                    external_id=payout_id,
                    status=one_of("status", _PAYOUTS),
                    amount=amount,
                    currency=unit,
                    created_at=epoch("created_at", unit_s=_MS),
                    arrives_at=arrives_at,
                    provider_status=text("status"),
                ),
            ),
        ),
    ),
)
