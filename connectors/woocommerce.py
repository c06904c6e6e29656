"""WooCommerce: the orders of the user's own shop, their refunds and, with WooCommerce Subscriptions, the subscriptions.

Source: woocommerce.github.io/woocommerce-rest-api-docs (v3), and the code of woocommerce/woocommerce (REST controllers,
`class-wc-rest-authentication.php`) and of WooCommerce Subscriptions where the documentation is silent. Plain dates are
in the site's own zone: only their `_gmt` twins are read. Filters by date leave out both ends.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from tracker.connect.auth import Credentials, Request, Scheme, Tokens, basic, query
from tracker.connect.connector import Connector, Credential, Details, Option, Rate, Resource, make
from tracker.connect.fields import (
    Row,
    as_text,
    country,
    currency,
    get,
    interval,
    money,
    one_of,
    optional,
    text,
    timestamp,
)
from tracker.connect.fields import parse_time as parsed
from tracker.connect.paging import Pager, Pages, Step
from tracker.connect.plans import Snapshot, iso_naive, updated_since
from tracker.connect.webhook import body_hmac
from tracker.errors import AuthRejected, DataError, NotFound, ProviderError, RightMissing, Unavailable, UnexpectedData
from tracker.records import Earning, Invoice, Kind, Recurrence, Settlement, Status, Subscription, SubscriptionStatus

# --- asking -----------------------------------------------------------------------------------------------------------

_PER_PAGE = 100
_as_header = basic("consumer_key", "consumer_secret")
_as_parameters = query(consumer_key="consumer_key", consumer_secret="consumer_secret")  # noqa: S106 - names of fields


def authenticate(request: Request, credentials: Credentials, tokens: Tokens) -> None:
    """Some servers keep the Authorization header from PHP; WooCommerce then takes the keys as parameters."""
    (_as_parameters if request.options.get("auth") == "query" else _as_header)(request, credentials, tokens)


def last_page_first(start: Step | None) -> Pages:
    """Pages from the last to the first, after one row that tells how many there are.

    An order that changes leaves its window, and all behind it move one place up. Read forwards, one of them would slip
    onto a page already read and be lost; read backwards, it comes twice.
    """
    if start is None or start.params["per_page"] == "1":
        page = yield Step({"page": "1", "per_page": "1"})
        total = page.headers.get("X-WP-Total", "")
        if not total.isdecimal():
            raise UnexpectedData(
                "the shop does not say how many rows there are.",
                hint="A cache or proxy in front of it must let the header X-WP-Total pass.",
            )
        last = -(-int(total) // _PER_PAGE) if int(total) > len(page.rows) else 0
    else:
        last = int(start.params["page"])
    for number in range(last, 0, -1):
        yield Step({"page": str(number), "per_page": str(_PER_PAGE)})


def explain(status: int, answer: Any) -> ProviderError | None:
    """WooCommerce says 401 for a key without rights too, and for a key that never reached it."""
    said = answer if isinstance(answer, dict) else {}
    code, words = (str(said.get(name) or "") for name in ("code", "message"))
    if status == 404 and code == "rest_no_route":
        return NotFound(
            "the site has no such address (rest_no_route).", hint="The plugin that answers there is not active."
        )
    if status == 401 and code.startswith("woocommerce_rest_cannot_"):
        return AuthRejected(
            f"the shop does not know the key, or did not get it ({code}).",
            hint="Compare the consumer key. If it is right, the web server drops the Authorization header: "
            "set the option auth=query.",
        )
    if status == 401 and "read permission" in words:
        return RightMissing(
            "the key was made without the permission Read.", hint="Change it in WooCommerce > Settings > Advanced."
        )
    return None


def refused(code: object) -> ProviderError:
    return Unavailable(f"the shop answered with an error ({str(code)[:60]}).", hint="It is tried again later.")


def no_plugin(error: ProviderError) -> bool:
    return isinstance(error, NotFound) and "rest_no_route" in error.message


# --- people -----------------------------------------------------------------------------------------------------------

_STRIPE = ("_stripe_intent_id", "_stripe_fee", "_stripe_currency")
_WOOPAYMENTS = ("_intent_id", "_wcpay_transaction_fee")
_PAYPAL = ("_ppcp_paypal_fees", "PayPal Transaction Fee")
_META = frozenset({"_subscription_renewal", *_STRIPE, *_WOOPAYMENTS, *_PAYPAL})
_PEOPLE = (
    *("shipping", "customer_ip_address", "customer_user_agent", "customer_note", "order_key", "payment_url", "_links"),
    *("payment_method_title", "payment_details", "refunds.*.reason", "full_refunds.*.reason"),
    *(f"{lines}.*.meta_data" for lines in ("line_items", "shipping_lines", "fee_lines", "coupon_lines")),
    *("full_refunds.*.meta_data", "full_refunds.*.line_items.*.meta_data"),
)


def tidy(row: Row) -> None:
    """Plugins add fields of people to the address and to `meta_data`: only what is read stays."""
    if isinstance(row.get("billing"), dict):
        row["billing"] = {name: row["billing"][name] for name in ("country", "email") if name in row["billing"]}
    if isinstance(row.get("meta_data"), list):
        row["meta_data"] = [item for item in row["meta_data"] if isinstance(item, dict) and item.get("key") in _META]


def payer(row: Row) -> str | None:
    """The customer's number, or the stand-in of a guest's address."""
    customer = row.get("customer_id")
    return f"c{as_text(customer)}" if customer not in (None, 0, "0", "") else get(row, "billing.email") or None


def product(row: Row) -> str | None:
    names = [as_text(item["name"]) for item in row.get("line_items") or () if item.get("name")]
    return None if not names else names[0] if len(names) == 1 else f"{names[0]} + {len(names) - 1} more"


# --- orders -----------------------------------------------------------------------------------------------------------

_STATUSES = {
    "pending": Status.PENDING,
    "on-hold": Status.PENDING,
    "processing": Status.APPROVED,
    "completed": Status.APPROVED,
    "cancelled": Status.DECLINED,
    "failed": Status.DECLINED,
}
_NO_ORDERS = frozenset({"trash", "auto-draft", "checkout-draft", "draft", "new"})
_word = text("status")
_total, _tax = money("total"), optional(money("total_tax"))
_paid_at = optional(timestamp("date_paid_gmt"))
_taken_back = money("refund.amount")
_noted = money("noted")


def is_order(row: Row) -> bool:
    return str(row.get("status")) not in _NO_ORDERS


def meta(row: Row, key: str) -> Any:
    """A plugin's value beside the order; None when it is absent or empty."""
    return next((item.get("value") for item in row.get("meta_data") or () if item.get("key") == key), None) or None


def meta_text(*keys: str) -> Callable[[Row], str | None]:
    """The first of the values that is there, as text."""

    def read(row: Row) -> str | None:
        found = next((value for key in keys if (value := meta(row, key)) is not None), None)
        return None if found is None else as_text(found)

    return read


_gateway_ref = optional(text("transaction_id"))
_payment_ref = meta_text("_stripe_intent_id", "_intent_id")  # Stripe's own plugin, WooPayments
_subscription_ref = meta_text("_subscription_renewal")


def status(row: Row) -> Status:
    """A refunded order stays approved, because its refunds take it back. Plugins add words of their own."""
    word = _word.read(row)
    if word == "refunded":
        return Status.APPROVED if row.get("refunds") else Status.REVERSED
    return _STATUSES.get(word) or (Status.APPROVED if _paid_at.read(row) else Status.PENDING)


def settlement(row: Row) -> Settlement:
    """Whether the buyer has paid: into the gateway or the shop's bank account."""
    paid = _paid_at.read(row) or _word.read(row) in ("processing", "completed")
    return Settlement.PAID if paid else Settlement.UNPAID


def is_renewal(row: Row) -> bool:
    return _subscription_ref(row) is not None or row.get("created_via") == "subscription"


def kind(row: Row) -> Kind:
    return Kind.SUBSCRIPTION_PAYMENT if is_renewal(row) else Kind.SALE


def recurrence(row: Row) -> Recurrence | None:
    """The first payment of a subscription looks like any sale. WooCommerce Deposits marks the later parts of a plan."""
    by_deposits = row.get("created_via") == "wc_deposits"
    return Recurrence.RECURRING if is_renewal(row) else Recurrence.INSTALMENT if by_deposits else None


def fee(row: Row) -> Decimal | None:
    """What the gateway kept, where its plugin notes it in the order's own currency."""
    unit, paypal = row.get("currency"), meta(row, "_ppcp_paypal_fees")
    paypal_unit = get(paypal, "paypal_fee.currency_code")
    noted = (
        (meta(row, "_stripe_fee"), meta(row, "_stripe_currency")),
        (meta(row, "_wcpay_transaction_fee"), unit),
        (get(paypal, "paypal_fee.value"), paypal_unit),
        (meta(row, "PayPal Transaction Fee"), paypal_unit or unit),
    )
    value = next((value for value, its_unit in noted if value and str(its_unit).upper() == unit), None)
    if value is None:
        return None
    amount = Decimal(str(value))
    # Plugins add fees up in floating point: 0.9400000000000001.
    exact = amount if amount == round(amount, 6) else round(amount, 6)
    return cast(Decimal, _noted.read({"noted": exact}))


def net(row: Row) -> Decimal:
    """Tax stays inside, as in the gateway's row for the same money; it stands in `tax` as well."""
    return cast(Decimal, _total.read(row)) - (fee(row) or 0)


# --- refunds ---------------------------------------------------------------------------------------------------------


def has_refunds(row: Row) -> bool:
    return bool(row.get("refunds")) and isinstance(row.get("id"), int)


def refunds(row: Row) -> Iterator[Row]:
    """The order once for each of its refunds, with the refund in it. The order's own short list has no dates."""
    short, full = row.get("refunds") or [], row.get("full_refunds") or []
    if not is_order(row) or not short:
        return
    if not isinstance(short, list) or not isinstance(full, list):
        raise DataError("is not a list of refunds", field="refunds")
    if lost := ids(short) - ids(full):
        raise DataError(f"the refund {min(lost)} came without details", field="refunds")
    yield from ({**row, "refund": refund} for refund in full)


def ids(found: list[Any]) -> set[str]:
    return {str(refund.get("id")) if isinstance(refund, dict) else "without an id" for refund in found}


def refund_id(row: Row) -> str:
    return f"{as_text(row['id'])}:refund:{as_text(row['refund']['id'])}"


def taken_back(row: Row) -> Decimal:
    """`amount` is positive here, although the order's short list has a negative `total`."""
    return -abs(cast(Decimal, _taken_back.read(row)))


def by_gateway(read: Callable[[Row], str | None]) -> Callable[[Row], str | None]:
    """A refund made by hand is unknown to the gateway: it must not be paired with a row there."""
    return lambda row: read(row) if row["refund"].get("refunded_payment") is True else None


# --- subscriptions ----------------------------------------------------------------------------------------------------

_SUBSCRIPTION_STATUSES = {
    "pending": SubscriptionStatus.INCOMPLETE,
    "active": SubscriptionStatus.ACTIVE,
    "on-hold": SubscriptionStatus.PAUSED,
    "pending-cancel": SubscriptionStatus.ACTIVE,
    "cancelled": SubscriptionStatus.CANCELED,
    "expired": SubscriptionStatus.EXPIRED,
    "switched": SubscriptionStatus.CANCELED,
}
_subscription_status = one_of("status", _SUBSCRIPTION_STATUSES)
_ENDED = (SubscriptionStatus.CANCELED, SubscriptionStatus.EXPIRED)


def date_gmt(*names: str) -> Callable[[Row], datetime | None]:
    """The first date that is set. Old versions leave out `_gmt`, but write UTC too; an absent date is "" or 0."""

    def read(row: Row) -> datetime | None:
        found = (row.get(f"{name}_gmt") or row.get(name) for name in names)
        value = next((value for value in found if value and value != "0"), None)
        return None if value is None else parsed(value)

    return read


_trial_end, _next_payment = date_gmt("trial_end_date"), date_gmt("next_payment_date")
_start, _end, _cancelled = date_gmt("start_date"), date_gmt("end_date", "cancelled_date"), date_gmt("cancelled_date")


def subscription_status(row: Row) -> SubscriptionStatus:
    """A subscription on trial is `active`, and its first payment is due when the trial ends."""
    found: SubscriptionStatus = _subscription_status.read(row)
    trial_end = _trial_end(row) if row["status"] == "active" else None
    return SubscriptionStatus.TRIALING if trial_end and trial_end == _next_payment(row) else found


def without_tax(row: Row) -> Decimal:
    """Per interval. Shipping stays inside; the tax on it is part of `total_tax`."""
    return cast(Decimal, _total.read(row)) - (_tax.read(row) or 0)


def cancels(row: Row) -> bool:
    return row.get("status") == "pending-cancel"


def ended_at(row: Row) -> datetime | None:
    """The `end_date` of a running subscription is a plan, not a fact."""
    return _end(row) if _subscription_status.read(row) in _ENDED else None


_listing = {"orderby": "id", "order": "asc"}
_pages = Pager(pages=last_page_first)
_created_at = timestamp("date_created_gmt")
_refunded_at = timestamp("refund.date_created_gmt")
#: What a refund has from its order.
_shared: dict[str, Any] = {
    "status": status,
    "settlement": settlement,
    "currency": currency("currency"),
    "product": product,
    "payer": payer,
    "country": country("billing.country"),
    "order_ref": optional(text("number")),
    "subscription_ref": _subscription_ref,
    "recurrence": recurrence,
    "provider_status": _word,
}

connector = Connector(
    title="WooCommerce",
    kind="shop",
    docs="https://woocommerce.github.io/woocommerce-rest-api-docs/",
    credentials={
        "consumer_key": Credential(
            "Consumer key", help="WooCommerce > Settings > Advanced > REST API > Add key, permission Read; ck_..."
        ),
        "consumer_secret": Credential("Consumer secret", help="shown once, together with the consumer key; cs_..."),
    },
    options={
        "base_url": Option("Address of the site", help="https://shop.example, without /wp-json", required=True),
        "auth": Option(
            "How the key is sent",
            help="query, if the web server drops the Authorization header",
            default="header",
            choices=("header", "query"),
        ),
    },
    auth=Scheme(authenticate),
    rates=(Rate(10), Rate(120, 60)),  # none in core; hosts and security plugins lock out who asks faster
    failure="code",
    refused=refused,
    explain=explain,
    webhook=body_hmac("X-WC-Webhook-Signature", encoding="base64"),
    resources=(
        Resource(
            name="orders",
            path="/wp-json/wc/v3/orders",
            params={**_listing, "dates_are_gmt": "true"},
            plan=updated_since("modified_after", until="modified_before", days=30, form=iso_naive, exclusive=True),
            paging=_pages,
            right="Read, by a user who may see orders (shop manager)",
            row_id=text("id"),
            drop=_PEOPLE,
            pseudonymise=("billing.email",),
            tidy=tidy,
            details=Details(
                path="/wp-json/wc/v3/orders/{id}/refunds",
                params={"per_page": str(_PER_PAGE)},
                into="full_refunds",
                when=has_refunds,
            ),
            makes=(
                make(
                    Earning,
                    when=is_order,
                    external_id=text("id"),
                    kind=kind,
                    net=net,
                    gross=_total,
                    fee=fee,
                    tax=_tax,
                    earned_at=_created_at,
                    validated_at=_paid_at,
                    paid_at=_paid_at,
                    gateway_ref=_gateway_ref,
                    payment_ref=_payment_ref,
                    **_shared,
                ),
                make(
                    Earning,
                    parts=refunds,
                    external_id=refund_id,
                    kind=Kind.REFUND,
                    net=taken_back,
                    gross=taken_back,
                    earned_at=_refunded_at,
                    paid_at=lambda row: _refunded_at.read(row) if settlement(row) is Settlement.PAID else None,
                    gateway_ref=by_gateway(_gateway_ref.read),
                    payment_ref=by_gateway(_payment_ref),
                    origin_ref=text("id"),
                    **_shared,
                ),
            ),
        ),
        Resource(
            name="subscriptions",
            path="/wp-json/wc/v3/subscriptions",
            params=_listing,
            plan=Snapshot(),
            paging=_pages,
            right="Read, by a user who may see orders (shop manager)",
            absent=no_plugin,
            row_id=text("id"),
            drop=_PEOPLE,
            pseudonymise=("billing.email",),
            tidy=tidy,
            makes=(
                make(
                    Subscription,
                    when=is_order,
                    external_id=text("id"),
                    status=subscription_status,
                    currency=currency("currency"),
                    amount=without_tax,
                    interval=interval("billing_period", "billing_interval"),
                    started_at=lambda row: _start(row) or _created_at.read(row),
                    payer=payer,
                    product=product,
                    trial_end_at=_trial_end,
                    current_period_end=lambda row: _end(row) if cancels(row) else _next_payment(row),
                    cancel_requested_at=_cancelled,
                    cancel_at_period_end=cancels,
                    ended_at=ended_at,
                    provider_status=_word,
                ),
                make(
                    Invoice,
                    when=lambda row: is_order(row) and row.get("parent_id") not in (None, 0, "0"),
                    external_id=lambda row: f"{as_text(row['id'])}:parent",
                    payment_ref=text("parent_id"),  # the first order names no subscription
                    recurrence=Recurrence.RECURRING,
                    subscription_ref=text("id"),
                    interval=interval("billing_period", "billing_interval"),
                    payer=payer,
                ),
            ),
        ),
    ),
)
