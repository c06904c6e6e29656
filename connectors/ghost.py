"""Ghost: the paid members of the user's own publication. Their money is in Stripe; Ghost names tiers and subscriptions.

Source: docs.ghost.org/admin-api and the code of TryGhost/Ghost (`services/auth/api-key/admin.js`,
`models/stripe-customer-subscription.js`, `MemberBREADService.js`). Amounts are in Stripe's minor units.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

import jwt

from tracker.connect.auth import Credentials, Request, signed
from tracker.connect.connector import Connector, Credential, Option, Rate, Resource, make
from tracker.connect.fields import Row, currency, flag, get, interval, minor, money, one_of, optional, text, timestamp
from tracker.connect.paging import page_number
from tracker.connect.plans import Snapshot
from tracker.connect.webhook import ghost
from tracker.errors import AuthRejected, DataError, ProviderError, Unavailable
from tracker.records import Role, Subscription, SubscriptionStatus

_KEY = re.compile(r"([0-9A-Za-z]{1,64}):((?:[0-9A-Fa-f]{2}){16,64})", re.ASCII)
_LIFE = timedelta(minutes=5)  # the longest that Ghost takes
#: Where Stripe's minor units differ from ISO 4217.
_EXPONENTS = {"ISK": 2, "MGA": 0, "UGX": 2}
_STATUSES = {
    "incomplete": SubscriptionStatus.INCOMPLETE,
    "incomplete_expired": SubscriptionStatus.EXPIRED,
    "trialing": SubscriptionStatus.TRIALING,
    "active": SubscriptionStatus.ACTIVE,
    "past_due": SubscriptionStatus.PAST_DUE,
    "unpaid": SubscriptionStatus.UNPAID,
    "paused": SubscriptionStatus.PAUSED,
    "canceled": SubscriptionStatus.CANCELED,
}


def sign(request: Request, credentials: Credentials, now: datetime) -> None:
    """A token of five minutes, made of the key: `id:secret`, the secret in hexadecimal."""
    key = _KEY.fullmatch(credentials["admin_api_key"].strip())
    if not key:
        raise AuthRejected(
            "this is no Admin API key of Ghost.",
            hint="It looks like 6489…:3f9c…, an id, a colon and 64 hexadecimal digits; "
            "the Content API key beside it has no colon.",
        )
    issued = int(now.timestamp())
    claims = {"iat": issued, "exp": issued + int(_LIFE.total_seconds()), "aud": "/admin/"}
    token = jwt.encode(claims, bytes.fromhex(key[2]), algorithm="HS256", headers={"kid": key[1]})
    request.headers["Authorization"] = f"Ghost {token}"


def explain(status: int, answer: Any) -> ProviderError | None:
    """Ghost says 401 as well when the clocks differ, and 400 when it cannot read the token at all."""
    words = str(get(answer, "errors.0.message") or "")
    if status == 401 and re.search("expired|maxAge", words):
        return AuthRejected(
            f'the publication finds the signature too old. It says: "{words[:100]}"',
            hint="Set the clock of this machine, or that of the site.",
        )
    if status == 400 and get(answer, "errors.0.code") in ("INVALID_JWT", "MISSING_ADMIN_API_KID"):
        return AuthRejected(f'the publication does not take the key. It says: "{words[:100]}"', hint="Make a new one.")
    return None


def refused(errors: object) -> ProviderError:
    words = str(get({"errors": errors}, "errors.0.message") or "an error without words")
    return Unavailable(f'the publication answered with an error: "{words[:100]}"', hint="It is tried again later.")


# --- subscriptions of a member ---------------------------------------------------------------------------------------


def subscriptions(member: Row) -> Iterator[Row]:
    """Most members only read the newsletter and have none. A complimentary one pays nothing and is left out."""
    found = member.get("subscriptions") or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise DataError("is not a list of subscriptions", field="subscriptions")
    for one in found:
        price = one.get("price") or one.get("plan")
        if one.get("id") and not (get(price, "nickname") == "Complimentary" and not get(price, "amount")):
            yield {**one, "price": price, "member": member}


def tier(row: Row) -> str | None:
    """The tier's name stands in the subscription, or in the member's list of tiers, or is in the price's own name."""
    held = row["member"].get("tiers") or []
    wanted = get(row, "price.tier.tier_id")
    names = (get(row, "tier.name"), *(one.get("name") for one in held if wanted and one.get("id") == wanted))
    return next((str(name) for name in names if name), None) or get(row, "price.nickname") or None


def payer(row: Row) -> str:
    """Stripe's customer, so that it is the same one in a connection to Stripe."""
    return str(get(row, "customer.id") or row["member"]["id"])


_amount = minor("price.amount", "price.currency", _EXPONENTS)
_off = minor("offer.amount", "price.currency", _EXPONENTS)
_percent = money("offer.amount")


def discount(row: Row) -> Decimal:
    """Off for good. Offers for the first payment or some months do not count in Ghost's own figures either."""
    offer = row.get("offer") or {}
    if offer.get("duration") != "forever" or row.get("discount_end"):
        return Decimal(0)
    amount: Decimal = _amount.read(row)
    if offer.get("type") == "percent":
        return amount * cast(Decimal, _percent.read(row)) / 100
    if offer.get("type") == "fixed":
        return min(amount, cast(Decimal, _off.read(row)))
    raise DataError(f"unknown kind of offer: {str(offer.get('type'))[:40]!r}")


_OF_SUBSCRIPTION = ("customer.name", "customer.email", "default_payment_card_last4", "attribution")

connector = Connector(
    title="Ghost",
    kind="membership",
    docs="https://docs.ghost.org/admin-api/",
    credentials={
        "admin_api_key": Credential(
            "Admin API key", help="Settings > Integrations > Add custom integration; 6489…:3f9c…, with a colon"
        )
    },
    options={
        "base_url": Option("Address of the publication", help="https://letters.example, without /ghost", required=True)
    },
    auth=signed(sign),
    headers={"Accept-Version": "v5.0"},
    rates=(Rate(4),),
    role=Role.ENRICHMENT,
    failure="errors",
    refused=refused,
    message=("errors.0.message", "errors.0.context"),
    explain=explain,
    webhook=ghost(),
    warning="Ghost has no read-only keys: this key can also change members and posts. It is only ever used to read.",
    resources=(
        Resource(
            name="members",
            path="/ghost/api/admin/members/",
            rows="members",
            params={"order": "id asc"},
            plan=Snapshot(),
            paging=page_number(size=("limit", 100), total="meta.pagination.pages"),
            right="an Admin API key of a custom integration",
            row_id=text("id"),
            drop=(
                *("uuid", "email", "name", "note", "geolocation", "avatar_image", "unsubscribe_url", "attribution"),
                *("labels", "newsletters", "email_suppression", "email_recipients", "last_seen_at", "commenting"),
                *(f"subscriptions.*.{name}" for name in _OF_SUBSCRIPTION),
            ),
            makes=(
                make(
                    Subscription,
                    parts=subscriptions,
                    external_id=text("id"),
                    status=one_of("status", _STATUSES),
                    currency=currency("price.currency"),
                    amount=_amount,
                    discount_forever=discount,
                    interval=interval("price.interval"),
                    started_at=timestamp("start_date"),
                    payer=payer,
                    product=tier,
                    trial_end_at=optional(timestamp("trial_end_at")),
                    current_period_end=optional(timestamp("current_period_end")),
                    cancel_at_period_end=flag("cancel_at_period_end"),
                    provider_status=text("status"),
                ),
            ),
        ),
    ),
)
