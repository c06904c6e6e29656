"""impact.com: actions of a media partner, changed in place until they lock, and invoices with what they are paid by.

Source: integrations.impact.com, partner API 16: "List Actions", "List invoices", "List all joined programs", "List
media properties", "Pagination", "Rate limits", "Status codes and errors".
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tracker.connect.auth import basic
from tracker.connect.connector import Connector, Credential, Discover, Option, Rate, Resource, make
from tracker.connect.fields import (
    Field,
    Row,
    country,
    currency,
    first_of,
    money,
    one_of,
    only_if,
    optional,
    text,
    timestamp,
)
from tracker.connect.paging import next_link
from tracker.connect.plans import Axis, Reread, created_since, date_windows, iso_z
from tracker.records import Earning, Kind, Payout, PayoutStatus, Program, Settlement, Status

_STATES = {"PENDING": Status.PENDING, "APPROVED": Status.APPROVED, "REVERSED": Status.DECLINED}
_LINES = {"PENDING": Settlement.SCHEDULED, "OVERDUE": Settlement.SCHEDULED, "PAID": Settlement.PAID}

_MEMORY = timedelta(days=3 * 365 - 1)  # of updates: three years
_state, _line_status = one_of("State", _STATES), one_of("Status", _LINES)
_locking, _cleared = optional(timestamp("LockingDate")), optional(timestamp("ClearedDate"))
_due, _paid = optional(timestamp("DueDate")), optional(timestamp("PaidDate"))


def amount(name: str, now: Field) -> Field:
    """The amount or, once an action is reversed and its amount zero, what was lost by that."""
    change, first = optional(money(f"Delta{name}")), optional(money(f"Intended{name}"))

    def read(row: Row) -> Decimal | None:
        value: Decimal | None = now.read(row)
        if value or _state.read(row) is not Status.DECLINED:
            return value
        lost: Decimal = -(change.read(row) or Decimal(0))
        return lost if lost > 0 else first.read(row) or value

    return Field.of(read)


def settlement(row: Row) -> Settlement:
    """impact.com fills in the date when the commission is credited to the account's balance."""
    return Settlement.PAID if _cleared.read(row) else Settlement.UNPAID


def invoice_status(row: Row) -> PayoutStatus:
    """Each line is paid by itself; the invoice is when all of them are."""
    lines = [_line_status.read(line) for line in row["LineItems"]]
    return PayoutStatus.PAID if lines and set(lines) == {Settlement.PAID} else PayoutStatus.PENDING


def arrives_at(row: Row) -> datetime | None:
    days = [_paid.read(line) or _due.read(line) for line in row["LineItems"]]
    return max((day for day in days if day), default=None)


def bonuses(row: Row) -> Iterator[Row]:
    """Lines of an invoice that are no action's. They have no id: two alike are told apart by their order."""
    alike: Counter[str] = Counter()
    for line in row["LineItems"]:
        if line["Description"] != "MEDIA_PAYOUT":
            key = f"{row['Id']}:{line['CampaignId']}:{line['EventMonthYear']}"
            alike[key] += 1
            yield {**line, "key": f"{key}:{alike[key]}", "Currency": row["Currency"], "Invoice": row["Id"]}


def event_month(row: Row) -> datetime:
    """ "12021" is January 2021. Noon, so that it is the same month in every time zone."""
    word = row["EventMonthYear"]
    return datetime(int(word[-4:]), int(word[:-4]), 1, 12, tzinfo=UTC)


connector = Connector(
    title="impact.com",
    kind="affiliate",
    docs="https://integrations.impact.com/impact-publisher/reference/list-actions-1",
    base_url="https://api.impact.com",
    credentials={
        "account_sid": Credential("Account SID", help="Settings > Technical > API", secret=False),
        "auth_token": Credential("Auth token", help="a read-only token with the scopes Actions and Invoices"),
    },
    options={"base_url": Option("Address of the API", help="only for tests and proxies")},
    headers={"IR-Version": "16"},  # else the version that is set in the account, whose fields may differ
    auth=basic("account_sid", "auth_token"),
    rates=(Rate(1_000, 3_600),),
    retry_after="X-RateLimit-Reset",
    message=("Errors.0.Message", "Message"),
    payouts="read",
    discover=(
        Discover(
            what="media properties",
            path="/Mediapartners/{account_sid}/MediaProperties",
            rows="MediaProperties",
            paging=next_link(path="@nextpageuri"),
            id=text("Id"),
            title=optional(text("Name")),
        ),
        Discover(
            what="programmes",
            path="/Mediapartners/{account_sid}/Campaigns",
            rows="Campaigns",
            paging=next_link(path="@nextpageuri"),
            id=text("CampaignId"),
            title=optional(text("CampaignName")),
        ),
    ),
    resources=(
        Resource(
            name="actions",
            path="/Mediapartners/{account_sid}/Actions",
            rows="Actions",
            paging=next_link(path="@nextpageuri", size=("PageSize", 10_000)),
            plan=date_windows(
                45,
                # Two windows back, because a brand may approve by hand, which is no update, long before the lock.
                Axis(name="event", since="ActionDateStart", until="ActionDateEnd", overlap=timedelta(days=89)),
                Axis(
                    name="update",
                    since="StartDate",
                    until="EndDate",
                    overlap=timedelta(days=1),
                    backfill=False,
                    memory=_MEMORY,
                ),
                # Locking is no update either, nor is clearing, which comes up to some months after it.
                Axis(
                    name="locking",
                    since="LockingDateStart",
                    until="LockingDateEnd",
                    overlap=timedelta(days=134),
                ),
                form=iso_z,
                reread=Reread(one="/Mediapartners/{account_sid}/Actions/{id}", at_most=50),
            ),
            right="a token with read access to Actions",
            row_id=text("Id"),
            drop=("CustomerCity", "CustomerArea", "CustomerRegion", "CustomerPostCode"),
            makes=(
                make(Program, external_id=text("CampaignId"), title=text("CampaignName")),
                make(
                    Earning,
                    external_id=text("Id"),
                    kind=Kind.COMMISSION,
                    status=_state,
                    settlement=settlement,
                    net=amount("Payout", money("Payout")),
                    currency=currency("Currency"),
                    sale_amount=amount("Amount", optional(money("Amount"))),
                    sale_currency=currency("Currency"),
                    earned_at=timestamp("EventDate"),
                    # The locking date is a plan until then; a brand may approve earlier, on a day that is not told.
                    validated_at=only_if(_locking, _state, Status.APPROVED),
                    paid_at=_cleared,
                    program=text("CampaignId"),
                    product=optional(text("ActionTrackerName")),
                    country=country("CustomerCountry"),
                    sub_id=first_of("SubId1", "SubId2", "SubId3", "SharedId"),
                    order_ref=optional(text("Oid")),
                    provider_status=text("State"),
                ),
            ),
        ),
        Resource(
            name="invoices",
            path="/Mediapartners/{account_sid}/Invoices",
            rows="Invoices",
            paging=next_link(path="@nextpageuri"),
            # A line is paid when the brand has paid, which can be months later.
            plan=created_since("StartDate", until="EndDate", look_back=timedelta(days=365)),
            right="a token with read access to Invoices",
            row_id=text("Id"),
            drop=("RecipientName", "DetailedLineItems"),
            makes=(
                make(
                    Payout,
                    external_id=text("Id"),
                    status=invoice_status,
                    amount=money("TotalAmount"),
                    currency=currency("Currency"),
                    created_at=timestamp("CreatedDate"),
                    arrives_at=arrives_at,
                    provider_status=lambda row: ", ".join(sorted({line["Status"] for line in row["LineItems"]})),
                ),
                make(
                    Earning,
                    parts=bonuses,
                    external_id=text("key"),
                    kind=one_of("Description", {"BONUS": Kind.BONUS}),
                    status=Status.APPROVED,
                    settlement=_line_status,
                    net=money("NetItemAmount"),
                    currency=currency("Currency"),
                    tax=optional(money("VatItemAmount")),
                    earned_at=event_month,
                    paid_at=_paid,
                    program=text("CampaignId"),
                    payout_ref=text("Invoice"),
                    provider_status=text("Status"),
                ),
            ),
        ),
    ),
)
