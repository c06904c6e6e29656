"""Stripe: the ledger of an account, its payouts, and what Billing knows of invoices and subscriptions.

Amounts are integers in the smallest unit of their currency, with exceptions of Stripe's own. The ledger is signed: a
refund, a dispute or a fee is a row of its own. Both shapes of the API are read, before 2025-03-31 ("basil") and since.
Values that are put together from several places of a row stand in it under names that begin with "$".

Source: docs.stripe.com/api (balance transactions, payouts, invoices, subscriptions, events, versioning),
docs.stripe.com/reports/reporting-categories and docs.stripe.com/currencies.
"""

import re
from datetime import date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from functools import partial
from typing import Any

from tracker import records
from tracker.connect.auth import Credentials, Request, Scheme, Tokens
from tracker.connect.connector import Connector, Credential, Details, Make, Option, Rate, Resource, make
from tracker.connect.fields import Row, currency, epoch, get, interval, minor, money, one_of, optional, path, text
from tracker.connect.paging import cursor
from tracker.connect.plans import ChangeFeed, Full, PerPayout, created_since, unix
from tracker.connect.webhook import timestamped
from tracker.errors import DataError, Unavailable
from tracker.records import Kind, PayoutStatus, Recurrence, Status, SubscriptionStatus

#: Where Stripe's minor units are not those of ISO 4217.
EXPONENTS = {"ISK": 2, "UGX": 2, "MGA": 0}

_CATEGORIES = {
    Kind.SALE: "charge",
    Kind.REFUND: "refund refund_failure charge_failure partial_capture_reversal platform_earning_refund",
    Kind.CHARGEBACK: "dispute dispute_reversal",
    Kind.FEE: "fee tax network_cost",
    Kind.COMMISSION: "platform_earning",
    Kind.PAYOUT: "payout payout_reversal",
    Kind.TRANSFER: "transfer transfer_reversal connect_collection_transfer",
    Kind.TOP_UP: "topup topup_reversal",
}
_KINDS = {category: kind for kind, categories in _CATEGORIES.items() for category in categories.split()}
_CONTRACTS = {status.value.replace("expired", "incomplete_expired"): status for status in SubscriptionStatus}

_pages = cursor("starting_after", last_row="id", more="has_more", size=("limit", 100))
_amount, _net, _made = minor("amount", "currency", EXPONENTS), minor("net", "currency", EXPONENTS), epoch("created")
_follow = partial(
    ChangeFeed, path="/v1/events", since="created[gte]", form=unix, memory=timedelta(30), id="data.object.id", at=_made
)
_sold, _available = optional(minor("source.amount", "source.currency", EXPONENTS)), epoch("available_on")


def ask(request: Request, credentials: Credentials, tokens: Tokens) -> None:
    """Key, account, and only expansions that the pinned version knows: others are refused with status 400."""
    request.headers["Authorization"] = f"Bearer {credentials['api_key']}"
    if credentials.get("account_id"):
        request.headers["Stripe-Account"] = credentials["account_id"]
    version = request.headers["Stripe-Version"]
    if version < "2025-09-30":  # a discount held its coupon itself
        request.params = {name: value.removesuffix(".source.coupon") for name, value in request.params.items()}
    if version < "2025-03-31":  # an invoice named its payment itself
        request.params = {name: value for name, value in request.params.items() if not value.endswith("payments")}


def identifier(value: Any) -> str | None:
    """The id of something that Stripe sends as its id or, expanded, as an object."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) and found else None


def listed(name: str, made: Make, **more: Any) -> Resource:
    """A listing in Stripe's usual form."""
    usual: dict[str, Any] = {"path": f"/v1/{name}", "rows": "data", "paging": _pages, "row_id": text("id")}
    return Resource(**{"name": name, "makes": (made,)} | usual | more)


_KEPT = "id object amount amount_captured amount_refunded captured created currency disputed reason refunded status"


def keep_no_people(row: Row) -> None:
    """Shrink the object behind a row: its facts, the charge it is about and, of the payer, customer id and country."""
    source, object_id = row.get("source"), identifier(row.get("source"))
    if isinstance(source, dict) and "origin" in source:
        return  # done before
    if isinstance(source, dict) and source.get("object") in ("charge", "refund", "dispute"):
        charge = source if source["object"] == "charge" else source.get("charge")
        billed = get({"charge": charge}, "charge.billing_details.address.country")
        origin = identifier(get({"charge": charge}, "charge.balance_transaction"))
        row["source"] = {name: source[name] for name in _KEPT.split() if name in source} | {
            "charge": identifier(charge),
            "payment_intent": identifier(source.get("payment_intent")),
            "customer": identifier(get({"charge": charge}, "charge.customer")),
            "country": billed or get({"charge": charge}, "charge.payment_method_details.card.country"),
            "origin": origin if origin != row.get("id") else None,
        }
    elif object_id and object_id.startswith(("ch_", "py_")):
        row["source"] = {"id": object_id, "charge": object_id}
    else:
        row["source"] = object_id


def kind(row: Row) -> Kind:
    category = str(row.get("reporting_category"))
    if re.search("reserve|minimum_balance", f"{row.get('type')} {category}"):
        return Kind.RESERVE
    return _KINDS.get(category, Kind.UNKNOWN)


def sale_amount(row: Row) -> Decimal | None:
    """In the currency of the charge, signed as the row is."""
    amount: Decimal | None = _sold.read(row)
    return amount.copy_negate() if amount and row["amount"] < 0 else amount


def tax(row: Row) -> Decimal | None:
    """Tax on Stripe's fee, which `fee` contains."""
    parts = [_amount.read(part) for part in row.get("fee_details") or () if part.get("type") == "tax"]
    return sum(parts, Decimal(0)) if parts else None


def payout_amount(row: Row) -> Decimal:
    """HUF and TWD are paid out in whole units, still written with two decimals: others are refused, not guessed."""
    amount: Decimal = _amount.read(row)
    if str(row["currency"]).upper() in ("HUF", "TWD") and amount % 1:
        raise DataError(f"a payout of {row['amount']} is no whole number of {row['currency']}")
    return amount


_ABOUT_PEOPLE = """
    customer_address customer_email customer_name customer_phone customer_shipping customer_tax_ids custom_fields
    description footer hosted_invoice_url invoice_pdf last_finalization_error metadata shipping_details
    subscription_details parent.subscription_details.metadata lines.data.*.description lines.data.*.metadata
"""


def day(unix_time: Any) -> date | None:
    moment: datetime | None = optional(epoch("at")).read({"at": unix_time})
    return moment.date() if moment else None


def is_recurring(line: Row) -> bool:
    types = (get(line, "parent.type"), line.get("type"))
    return "subscription_item_details" in types or "subscription" in types or bool(get(line, "price.recurring"))


def payments(row: Row) -> list[Row]:
    """A part for each payment of an invoice: a list of payments since basil, one payment intent or charge before.

    What is paid for tells the subscription's line that reaches furthest: prorations end with the running period. The
    invoice's own period is the one before.
    """
    listed = get(row, "payments.data")
    paid = [part["payment"] for part in listed] if isinstance(listed, list) else [row]
    refs = [identifier(part.get("payment_intent")) or identifier(part.get("charge")) for part in paid]
    lines: list[Row] = get(row, "lines.data") or []
    line = max(lines, key=lambda line: (is_recurring(line), get(line, "period.end") or 0, line["amount"]), default={})
    price = line.get("price") or get(line, "pricing.price_details") or {}
    contract = identifier(get(row, "parent.subscription_details.subscription")) or identifier(row.get("subscription"))
    recurring = contract and (row.get("billing_reason") != "manual" or is_recurring(line))
    found = {
        "$subscription": contract,
        "$recurrence": Recurrence.RECURRING if recurring else Recurrence.ONE_OFF,
        "$product": identifier(price.get("product")),
        # Since basil the line has only the price's id, unless it was expanded.
        "$rhythm": (price.get("recurring") or get(price, "price.recurring") or line.get("plan")) if recurring else None,
        "$start": day(get(line, "period.start")) if recurring else None,
        "$end": day(get(line, "period.end")) if recurring else None,
    }
    return [{**row, **found, "$payment": ref} for ref in dict.fromkeys(refs) if ref]


def licensed(row: Row) -> list[Row]:
    found = get(row, "items.data")
    items = [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
    return [item for item in items if get(item, "price.recurring.usage_type") != "metered"]


def needs_items(row: Row) -> bool:
    """Whether discounts or tiers of an item, or further items, did not come: they lie too deep for the listing."""
    return get(row, "items.has_more") is True or any(
        isinstance(get(item, "discounts.0"), str)
        or (get(item, "price.billing_scheme") == "tiered" and not get(item, "price.tiers"))
        for item in licensed(row)
    )


def listed_price(item: Row) -> Decimal:
    """The price of all units of an item, in minor units with their fraction."""
    price, quantity = item["price"], Decimal(1 if item.get("quantity") is None else item["quantity"])
    if price.get("billing_scheme") == "tiered":
        return tiered_price(price, quantity)
    if bundle := price.get("transform_quantity"):
        rounding = {"up": ROUND_CEILING, "down": ROUND_FLOOR}[bundle["round"]]
        quantity = (quantity / bundle["divide_by"]).to_integral_value(rounding)
    exact = price.get("unit_amount_decimal")
    unit = price.get("unit_amount") if exact is None else exact
    if unit is None:
        raise DataError(f"price {price.get('id')} has no amount")
    return Decimal(unit) * quantity


def tiered_price(price: Row, quantity: Decimal) -> Decimal:
    """Graduated: each unit at the price of its own tier. Volume: all units at the price of the last one's tier."""
    graduated = {"graduated": True, "volume": False}[price["tiers_mode"]]
    total, low = Decimal(0), Decimal(0)
    for tier in price.get("tiers") or ():
        top = quantity if tier["up_to"] is None else min(quantity, Decimal(tier["up_to"]))
        unit = Decimal(tier.get("unit_amount_decimal") or tier.get("unit_amount") or 0)
        flat = Decimal(tier.get("flat_amount_decimal") or tier.get("flat_amount") or 0)
        here = (top - low if graduated else quantity) * unit + flat
        total, low = total + here, top
        if top == quantity:
            return total if graduated else here
    raise DataError(f"the tiers of price {price.get('id')} do not reach {quantity} units")


def discounts(holder: Row) -> list[tuple[Row, Row]]:
    """Discounts of a subscription or an item, each with its coupon. Before basil one stood in `discount`, in full."""
    found = holder.get("discounts") or []
    if isinstance(holder.get("discount"), dict) and all(isinstance(one, str) for one in found):
        found = [holder["discount"]]
    pairs = [(one, get({"of": one}, "of.source.coupon") or get({"of": one}, "of.coupon")) for one in found]
    if not all(isinstance(coupon, dict) for _, coupon in pairs):
        raise DataError("a discount came without its coupon", hint="The key may lack the right to read coupons.")
    return pairs


def taken_off(holder: Row, price: Decimal, unit: str) -> dict[str, Decimal]:
    """Minor units that the discounts, one after the other, take off a price, by the coupon's duration."""
    off = {"forever": Decimal(0), "once": Decimal(0), "repeating": Decimal(0)}
    for _, coupon in discounts(holder):
        left = price - sum(off.values())
        if coupon.get("percent_off") is not None:
            off[coupon["duration"]] += left * coupon["percent_off"] / 100
        elif coupon.get("currency") == unit:
            off[coupon["duration"]] += min(left, Decimal(coupon["amount_off"]))
        else:
            raise DataError(f"coupon {coupon.get('id')} is in {coupon.get('currency')}, the subscription in {unit}")
    return off


def priced(row: Row) -> list[Row]:
    """The row with what its licensed items cost per interval and what their discounts take off: major units, without
    tax where its rate is known. Discounts of items come before those of the subscription.
    """
    items, fixed = row["items"]["data"], licensed(row)
    sums = dict.fromkeys(("price", "forever", "once", "repeating"), Decimal(0))
    left = untaxed_left = Decimal(0)
    for item in fixed:
        rates = item.get("tax_rates") or row.get("default_tax_rates") or ()
        included = sum(rate["percentage"] for rate in rates if rate.get("inclusive") is True)
        price, share = listed_price(item), Decimal(100) / (100 + included)
        off = taken_off(item, price, row["currency"])
        left, untaxed_left = left + price - sum(off.values()), untaxed_left + (price - sum(off.values())) * share
        for name, cents in {"price": price, **off}.items():
            sums[name] += cents * share
    for name, cents in taken_off(row, left, row["currency"]).items():
        sums[name] += cents * untaxed_left / left if left else 0
    cent: Decimal = minor("cents", "currency", EXPONENTS).read({"cents": 1, "currency": row["currency"]})
    amounts = {name: (cents * cent).quantize(Decimal("0.000001"), ROUND_HALF_EVEN) for name, cents in sums.items()}
    rhythms = [item["price"]["recurring"] for item in fixed or items]
    if len({(rhythm["interval"], rhythm.get("interval_count")) for rhythm in rhythms}) != 1:
        raise DataError("its items are billed at no common interval")
    period_end = min(filter(None, (held.get("current_period_end") for held in (row, *items))), default=None)
    limited = [pair for held in (row, *fixed) for pair in discounts(held) if pair[1]["duration"] != "forever"]
    ends = [period_end if coupon["duration"] == "once" else discount.get("end") for discount, coupon in limited]
    found = {
        "$price": amounts["price"],
        "$forever": amounts["forever"],
        "$limited": amounts["once"] + amounts["repeating"],
        "$limited_until": max(filter(None, ends), default=None),
        "$rhythm": rhythms[0],
        "$metered": len(fixed) < len(items),
        "$product": identifier(get((fixed or items)[0], "price.product")),
        "$period_end": period_end,
    }
    return [{**row, **found}]


def subscription_status(row: Row) -> SubscriptionStatus:
    """A subscription whose collection is paused keeps its status at Stripe, but brings in nothing."""
    status: SubscriptionStatus = one_of("status", _CONTRACTS).read(row)
    running = status in (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE, SubscriptionStatus.TRIALING)
    return SubscriptionStatus.PAUSED if running and row.get("pause_collection") else status


def ends_with_period(row: Row) -> bool:
    """Newer subscriptions are given a date to end on."""
    until, end = row.get("cancel_at"), row["$period_end"]
    return row.get("cancel_at_period_end") is True or bool(until and end and until <= end)


connector = Connector(
    title="Stripe",
    kind="payments",
    docs="https://docs.stripe.com/api",
    base_url="https://api.stripe.com",
    credentials={
        "api_key": Credential("Restricted key", help="Dashboard > Developers > API keys; it begins with rk_live_"),
        "account_id": Credential("Connected account", help="only for platforms: acct_…", secret=False, required=False),
    },
    options={
        "api_version": Option("API version", help="change only for tests", default="2026-06-24.dahlia"),
        "base_url": Option("Address of the API", help="only for tests and proxies"),
    },
    headers={"Stripe-Version": "{api_version}"},
    auth=Scheme(ask),
    rates=(Rate(20),),
    failure="error",
    refused=lambda error: Unavailable(f'Stripe answered with an error: "{str(get(error, "message"))[:200]}"'),
    message=("error.message",),
    payouts="read",
    webhook=timestamped("Stripe-Signature"),
    warning="A key that begins with rk_test_ or sk_test_ reads test data, which then counts as income.",
    resources=(
        listed(
            "balance_transactions",
            make(
                records.Earning,
                external_id=text("id"),
                kind=kind,
                status=one_of("status", {"pending": Status.PENDING, "available": Status.APPROVED}),
                net=_net,
                currency=currency("currency"),
                earned_at=_made,
                gross=_amount,
                fee=minor("fee", "currency", EXPONENTS),
                tax=tax,
                sale_amount=sale_amount,
                sale_currency=optional(currency("source.currency")),
                validated_at=lambda row: _available.read(row) if row["status"] == "available" else None,
                payer=optional(text("source.customer")),
                country=optional(text("source.country")),  # two letters, as Stripe says
                gateway_ref=optional(text("source.charge")),
                payment_ref=optional(text("source.payment_intent")),
                origin_ref=optional(text("source.origin")),
                provider_status=text("status"),
            ),
            params={"expand[]": "data.source"},
            # Nothing tells that a row became available. Stripe holds money back for at most 31 days.
            plan=created_since("created[gte]", until="created[lt]", days=31, look_back=timedelta(days=35), form=unix),
            right="Balance transaction sources, Charges and Refunds, Disputes, Payouts: Read",
            tidy=keep_no_people,
            drop=("description",),  # names the payer in some accounts
        ),
        listed(
            "products",
            make(records.Program, external_id=text("id"), title=text("name")),
            plan=Full(),
            right="Products: Read",
            drop=("description", "images", "metadata"),
        ),
        listed(
            "payouts",
            make(
                records.Payout,
                external_id=text("id"),
                status=one_of("status", {status.value: status for status in PayoutStatus}),
                amount=payout_amount,
                currency=currency("currency"),
                created_at=_made,
                arrives_at=optional(epoch("arrival_date")),
                itemised=lambda row: row["automatic"] is True and row.get("reconciliation_status") == "completed",
                provider_status=text("status"),
            ),
            plan=_follow(params={"type": "payout.*"}, one="/v1/payouts/{id}"),
            right="Payouts, Events: Read",
            drop=("description", "destination", "metadata", "statement_descriptor"),
        ),
        listed(
            "payout_items",
            make(
                records.PayoutItem,
                # A payout's own row is none of its items; that of an earlier payout which came back is one.
                when=lambda row: row["type"] != "payout" or identifier(row["source"]) != row["$payout"],
                external_id=text("id"),
                payout_ref=text("$payout"),
                earning_ref=text("id"),
                amount=_net,
                currency=currency("currency"),
            ),
            path="/v1/balance_transactions",
            plan=PerPayout(param="payout"),
            right="Balance transaction sources: Read",
            drop=("description",),
        ),
        listed(
            "invoices",
            make(
                records.Invoice,
                parts=payments,
                external_id=lambda row: f"{row['id']}:{row['$payment']}",
                payment_ref=text("$payment"),
                recurrence=path("$recurrence"),
                subscription_ref=optional(text("$subscription")),
                interval=optional(interval("$rhythm.interval", "$rhythm.interval_count")),
                product=optional(text("$product")),
                payer=lambda row: identifier(row.get("customer")),
                period_start=optional(path("$start")),
                period_end=optional(path("$end")),
            ),
            # Followed by events, not by date: an invoice may be paid weeks after it was made.
            plan=_follow(
                params={"type": "invoice.paid"},
                list_params={"expand[]": "data.payments"},
                one="/v1/invoices/{id}",
                one_params={"expand[]": "payments"},
            ),
            right="Invoices, Events: Read",
            drop=tuple(_ABOUT_PEOPLE.split()),
        ),
        listed(
            "subscriptions",
            make(
                records.Subscription,
                parts=priced,
                external_id=text("id"),
                status=subscription_status,
                currency=currency("currency"),
                amount=money("$price"),
                interval=interval("$rhythm.interval", "$rhythm.interval_count"),
                started_at=epoch("start_date"),
                payer=lambda row: identifier(row.get("customer")),
                product=optional(text("$product")),
                discount_forever=money("$forever"),
                discount_limited=money("$limited"),
                discount_ends_at=optional(epoch("$limited_until")),
                metered=path("$metered"),
                trial_end_at=optional(epoch("trial_end")),
                current_period_end=optional(epoch("$period_end")),
                cancel_requested_at=optional(epoch("canceled_at")),
                cancel_at_period_end=ends_with_period,
                ended_at=optional(epoch("ended_at")),
                provider_status=text("status"),
            ),
            plan=_follow(
                params={"type": "customer.subscription.*"},
                list_params={"expand[]": "data.discounts.source.coupon", "status": "all"},
                one="/v1/subscriptions/{id}",
                one_params={"expand[]": "discounts.source.coupon"},
            ),
            details=Details(
                path="/v1/subscription_items?subscription={id}",
                params={"expand[0]": "data.discounts.source.coupon", "expand[1]": "data.price.tiers", "limit": "100"},
                into="items",
                when=needs_items,
            ),
            right="Subscriptions, Prices, Coupons, Events: Read",
            drop=("cancellation_details.comment", "description", "items.data.*.metadata", "metadata"),
        ),
    ),
)
