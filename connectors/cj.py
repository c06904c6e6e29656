"""CJ Affiliate: commissions of a publisher by GraphQL. Corrections are appended as signed records.

Source: developers.cj.com, "Commission Detail" (reference and schema), and docs.cj.com, "GraphQL API".
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from tracker.connect.auth import bearer
from tracker.connect.connector import Connector, Credential, Option, Rate, Resource, make
from tracker.connect.fields import (
    Field,
    Row,
    as_text,
    country,
    currency,
    flag,
    money,
    one_of,
    only_if,
    optional,
    text,
    timestamp,
)
from tracker.connect.paging import cursor
from tracker.connect.plans import Axis, Reread, date_windows, iso_z
from tracker.connect.rows import encode
from tracker.errors import AuthRejected, ProviderError, UnexpectedData
from tracker.records import Earning, Kind, Program, Settlement, Status

_ARGUMENTS = ("sincePostingDate", "beforePostingDate", "sinceLockingDate", "beforeLockingDate", "sinceCommissionId")

# Both sets of amounts, so that a change of the option `currency` needs no new read. Nothing about the shopper's device.
_RECORD = (
    "commissionId original originalActionId actionStatus validationStatus correctionReason actionType actionTrackerId "
    "actionTrackerName advertiserId advertiserName aid publisherId websiteId websiteName shopperId orderId country "
    "coupon clickDate eventDate postingDate lockingDate lockingMethod reviewedStatus source saleAmountPubCurrency "
    "saleAmountUsd pubCommissionAmountPubCurrency pubCommissionAmountUsd"
)
_ANSWER = "data.publisherCommissions"


def query(values: Mapping[str, str]) -> bytes:
    """The body of a request. Should CJ want the bare GraphQL text, only this and the content type change."""
    arguments: dict[str, str | list[str]] = {"forPublishers": [values["publisher_cid"]]}
    arguments |= {name: values[name] for name in _ARGUMENTS if name in values}
    if "commissionIds" in values:
        arguments["commissionIds"] = values["commissionIds"].split(",")
    written = ", ".join(f"{name}: {encode(value).decode()}" for name, value in arguments.items())
    # All four of the envelope: CJ's own example leaves out maxCommissionId, and without it no second page can be asked.
    fields = f"count limit maxCommissionId payloadComplete records {{ {_RECORD} }}"
    return encode({"query": f"{{ publisherCommissions({written}) {{ {fields} }} }}"})


def refused(errors: object) -> ProviderError:
    """What stands in `errors`, which CJ also sends with status 200."""
    found = errors if isinstance(errors, list) else [errors]
    words = "; ".join(str(error.get("message") if isinstance(error, dict) else error) for error in found[:3])[:200]
    # "Invalid Syntax: offending token" is about the query, not about the access token.
    if re.search(r"authenticat|authori[sz]|token", words, re.IGNORECASE) and "syntax" not in words.lower():
        return AuthRejected(
            f'CJ refused the credentials. It says: "{words}"',
            hint="Make a new personal access token, and check that the company id belongs to it.",
        )
    return UnexpectedData(f'CJ refused the query. It says: "{words}"')


def word(dotted: str, words: Mapping[str, Any]) -> Field:
    """One of the given lower-case words in any case: CJ's schema has both, and open clients have met both for one."""
    known = one_of(dotted, words)
    return Field(dotted, lambda value: known.read({dotted: as_text(value).lower()}))


_STATUSES = {"new": Status.PENDING, "extended": Status.PENDING, "locked": Status.APPROVED, "closed": Status.APPROVED}
_VALIDATIONS = {"pending": None, "accepted": None, "automated": None, "declined": Status.DECLINED}
_ACTIONS = dict.fromkeys(("sim_sale", "sim_lead", "item_sale", "item_lead", "imp", "click"), Kind.COMMISSION) | {
    "perf_inc": Kind.BONUS,
    "bonus": Kind.BONUS,
}
# The purchase was undone. The other reasons say that the commission had not been due.
_REFUNDS = frozenset({"RETURNED_MERCHANDISE", "CANT_SHIP_OR_SOLD_OUT", "BOOKING_CANCELED"})

_action_status = word("actionStatus", _STATUSES)
_validation = optional(word("validationStatus", _VALIDATIONS))
_action_type = text("actionType")
_original, _locking = flag("original"), timestamp("lockingDate")
_currency = optional(currency("$.currency"))
_net, _net_usd = money("pubCommissionAmountPubCurrency"), money("pubCommissionAmountUsd")
_sale, _sale_usd = optional(money("saleAmountPubCurrency")), optional(money("saleAmountUsd"))


def code(row: Row) -> str:
    """The currency of the account by the option, else US dollars: CJ's answers name none."""
    return _currency.read(row) or "USD"


def net(row: Row) -> Decimal:
    amount: Decimal = (_net if _currency.read(row) else _net_usd).read(row)
    return amount


def sale(row: Row) -> Decimal | None:
    amount: Decimal | None = (_sale if _currency.read(row) else _sale_usd).read(row)
    return amount


def kind(row: Row) -> Kind:
    """A restated record is no original either, but has a positive amount: the commission anew."""
    amount = net(row)
    if amount > 0 or (_original.read(row) and not amount):
        return _ACTIONS.get(_action_type.read(row).lower(), Kind.UNKNOWN)
    return Kind.REFUND if row.get("correctionReason") in _REFUNDS else Kind.ADJUSTMENT


def status(row: Row) -> Status:
    """There is no declined action: `validationStatus` says so, or the corrections that make the action's sum zero."""
    found: Status = _validation.read(row) or _action_status.read(row)
    return found


def settlement(row: Row) -> Settlement:
    """CJ calls a commission closed when it is made ready for payment; nothing tells when the money is sent."""
    due = status(row) is Status.APPROVED
    return Settlement.PAID if due and row["actionStatus"].lower() == "closed" else Settlement.UNPAID


connector = Connector(
    title="CJ Affiliate",
    kind="affiliate",
    docs="https://developers.cj.com/graphql/reference/Commission%20Detail",
    base_url="https://commissions.api.cj.com",
    credentials={
        "personal_access_token": Credential(
            "Personal access token", help="developers.cj.com/account/personal-access-tokens"
        ),
        "publisher_cid": Credential("Company id (CID)", help="the number beside your account's name", secret=False),
    },
    options={
        "currency": Option(
            "Currency of your CJ account", help="such as EUR; left out, CJ's US dollar amounts are read"
        ),
        "base_url": Option("Address of the API", help="only for tests and proxies"),
    },
    auth=bearer("personal_access_token"),
    rates=(Rate(20, 60),),  # 25 a minute at CJ's older APIs; none is published for this one
    failure="errors",
    refused=refused,
    message=("errors.0.message", "message"),
    corrections="appended",
    resources=(
        Resource(
            name="commissions",
            path="/query",
            method="POST",
            body=query,
            rows=f"{_ANSWER}.records",
            paging=cursor(
                "sinceCommissionId", next=f"{_ANSWER}.maxCommissionId", complete=f"{_ANSWER}.payloadComplete"
            ),
            plan=date_windows(
                31,
                # Every correction has a posting date of its own, also to a sale of long ago or one reported late.
                Axis(
                    name="posting",
                    since="sincePostingDate",
                    until="beforePostingDate",
                    overlap=timedelta(days=1),
                ),
                # Locking makes no new record. The batch runs for hours after the locking date.
                Axis(
                    name="locking",
                    since="sinceLockingDate",
                    until="beforeLockingDate",
                    overlap=timedelta(days=3),
                    backfill=False,
                ),
                form=iso_z,
                # Extending moves the locking date, and closing has no date at all.
                reread=Reread(param="commissionIds", chunk=100, at_most=1_000),
            ),
            right="a token of a user with access to this company id",
            row_id=text("commissionId"),
            makes=(
                make(Program, external_id=text("advertiserId"), title=text("advertiserName")),
                make(
                    Earning,
                    external_id=text("commissionId"),
                    kind=kind,
                    status=status,
                    settlement=settlement,
                    net=net,
                    currency=code,
                    sale_amount=sale,
                    sale_currency=lambda row: code(row) if sale(row) is not None else None,
                    earned_at=timestamp("eventDate"),
                    # The locking date is a plan until the commission is locked, and an advertiser may move it once.
                    validated_at=only_if(_locking, _action_status, Status.APPROVED),
                    program=text("advertiserId"),
                    product=optional(text("actionTrackerName")),
                    country=country("country"),
                    sub_id=optional(text("shopperId")),
                    order_ref=optional(text("orderId")),
                    origin_ref=text("originalActionId"),  # of all records of an action, the first included
                    provider_status=text("actionStatus"),
                ),
            ),
        ),
    ),
)
