"""Rows as Awin, Stripe and WooCommerce send them, made from a row's number: the material of the load benchmarks.

The same number makes the same row in every process. On average a row has about 890 bytes in the mix of `provider.py`.
Shapes: help.awin.com "Get List of Transactions"; docs.stripe.com/api/balance_transactions with the charge behind a row
and the charge's invoice expanded; woocommerce.github.io/woocommerce-rest-api-docs, Orders.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

NOW = datetime(2026, 6, 15, 10, tzinfo=UTC)
CURRENCIES = ("EUR", "USD", "GBP")
_NOW = int(NOW.timestamp())
_DAY = 86_400


class Row(NamedTuple):
    """`text` is the row in JSON; `micros` is what the ledger must make of it: its net amount in millionths."""

    text: str
    currency: str
    micros: int


class Place(NamedTuple):
    """Where a row stands: `number` among `rows` of its provider, in order of time (unix seconds)."""

    number: int
    rows: int
    at: int
    changed: bool


def iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()[:19]


def awin_id(number: int) -> int:
    return 1_900_000_000 + number


def awin(place: Place) -> Row:
    """Pending for two months, a twentieth declined, paid after four; 40 advertisers with 400 commissions each."""
    number, _, at, changed = place
    advertiser = 7000 + number % 40
    unit = CURRENCIES[advertiser % 3]
    cents = 120 + number // 40 % 400 * 23 + 10 * changed
    age = (_NOW - at) // _DAY
    status = "declined" if number % 20 == 7 else "approved" if age > 60 or changed else "pending"
    paid = status == "approved" and age > 120
    validated = f'"{iso(min(at + 40 * _DAY, _NOW))}"' if status != "pending" else "null"
    text = (
        f'{{"id":{awin_id(number)},"url":"https://blog.example/review/{number % 900}","advertiserId":{advertiser},'
        f'"publisherId":189069,"commissionStatus":"{status}","commissionAmount":'
        f'{{"amount":{cents / 100:.2f},"currency":"{unit}"}},"saleAmount":{{"amount":{cents / 8:.2f},'
        f'"currency":"{unit}"}},"ipHash":"-48217344{number}","customerCountry":"{("DE", "GB", "US")[number % 3]}",'
        f'"clickRefs":{{"clickRef":"page-{number % 300}"}},"clickDate":"{iso(at - 1691)}","transactionDate":'
        f'"{iso(at)}","validationDate":{validated},"type":"Commission group transaction","declineReason":null,'
        f'"amended":false,"amendReason":null,"clickDevice":"Windows","transactionDevice":"Windows",'
        f'"publisherUrl":"https://blog.example/review/{number % 900}?reader=kim","advertiserCountry":"DE",'
        f'"orderRef":"A-{number}","transactionParts":[{{"commissionGroupId":{number % 7},"commissionGroupName":'
        f'"Group {number % 7}","amount":{cents / 8:.2f},"commissionAmount":{cents / 100:.2f}}}],'
        f'"paidToPublisher":{str(paid).lower()},"paymentId":{(550_000 + at // (30 * _DAY)) if paid else 0}}}'
    )
    return Row(text, unit, cents * 10_000)


def stripe_id(number: int) -> str:
    return f"txn_3PbenchK{number:015d}"


def charge_id(number: int) -> str:
    return f"ch_3PbenchK{number:015d}"


def is_charge(number: int) -> bool:
    """Every 25th row is a refund of the charge three rows before."""
    return number % 25 != 24


def stripe(place: Place) -> Row:
    """Two thirds of the charges are monthly payments of subscribers, one third are bought once."""
    number, rows, at, changed = place
    month = max(rows // 36, 1)
    bought = number if is_charge(number) else number - 3
    buyer = bought % month
    customer = f"cus_B{buyer:06d}" if buyer % 3 else f"cus_O{bought:010d}"
    unit = CURRENCIES[buyer % 3 if buyer % 2 else buyer // 2 % 3]
    cents = 900 + buyer % 40 * 250
    fee = cents * 15 // 1000 + 25 + changed
    status = "available" if at + 7 * _DAY <= _NOW or changed else "pending"
    charge = (
        f'{{"id":"{charge_id(bought)}","object":"charge","amount":{cents},"amount_captured":{cents},'
        f'"amount_refunded":0,"balance_transaction":"{stripe_id(bought)}","billing_details":{{"address":{{"city":'
        f'"Bremen","country":"DE","line1":"Am Kai {number % 90}"}},"email":"buyer{buyer}@post.example"}},'
        f'"captured":true,"currency":"{unit.lower()}","customer":"{customer}","disputed":false,"invoice":{{"id":"in_3P{bought:012d}",'
        f'"object":"invoice","amount_paid":{cents},"billing_reason":"subscription_cycle","number":"R-{bought}"}},'
        f'"payment_intent":"pi_3PbenchK{bought:015d}","payment_method_details":{{"card":{{"brand":"visa","country":"DE"}},'
        f'"type":"card"}},"refunded":false,"status":"succeeded"}}'
    )
    if is_charge(number):
        kind, gross, source = "charge", cents, charge
    else:
        kind, gross, fee = "refund", -cents, int(changed)
        source = (
            f'{{"id":"re_3PbenchK{number:015d}","object":"refund","amount":{cents},"charge":{charge},"currency":'
            f'"{unit.lower()}","payment_intent":"pi_3PbenchK{bought:015d}","status":"succeeded"}}'
        )
    text = (
        f'{{"id":"{stripe_id(number)}","object":"balance_transaction","amount":{gross},"available_on":{at + 7 * _DAY},'
        f'"created":{at},"currency":"{unit.lower()}","description":null,"exchange_rate":null,"fee":{fee},"fee_details":'
        f'[{{"amount":{fee},"currency":"{unit.lower()}","description":"Stripe processing fees","type":"stripe_fee"}}],'
        f'"net":{gross - fee},"reporting_category":"{kind}","source":{source},"status":"{status}","type":"{kind}"}}'
    )
    return Row(text, unit, (gross - fee) * 10_000)


def order_id(number: int) -> int:
    return 10_000 + number


def woocommerce(place: Place, charges: int = 0) -> Row:
    """A quarter renew a subscription. Every second is paid through Stripe, if that has `charges` rows, and paired."""
    number, rows, at, changed = place
    unit = CURRENCIES[number % 3]
    cents = 1900 + number % 60 * 100 + 100 * changed
    fee = cents * 15 // 1000 + 25
    behind = number * charges // max(rows, 1)
    paired = charges > 0 and number % 2 == 0 and is_charge(behind)
    gateway = charge_id(behind) if paired else f"8AB{number:014d}"
    customer = 0 if number % 5 == 0 else 100 + number % 400
    renewal = (
        f',{{"id":{number + 1}2,"key":"_subscription_renewal","value":"{number % 500}"}}' if number % 4 == 1 else ""
    )
    made, paid = iso(at - 3600), iso(at - 3580)
    text = (
        f'{{"id":{order_id(number)},"parent_id":0,"number":"{order_id(number)}","order_key":"wc_order_{number}",'
        f'"created_via":"{"subscription" if renewal else "checkout"}","version":"9.8.5","status":'
        f'"{"processing" if changed else "completed"}","currency":"{unit}","date_created_gmt":"{made}",'
        f'"date_modified_gmt":"{iso(at)}","total":"{cents // 100}.{cents % 100:02d}","total_tax":"0.00",'
        f'"customer_id":{customer},"billing":{{"first_name":"Kim","last_name":"Reader","city":"Town","country":"DE",'
        f'"email":"guest{number % 700}@reader.example"}},"shipping":{{"city":"Town","country":"DE"}},"payment_method":'
        f'"{"stripe" if paired else "other"}","transaction_id":"{gateway}","date_paid_gmt":"{paid}",'
        f'"date_completed_gmt":"{paid}","meta_data":[{{"id":{number + 1}0,"key":"_stripe_fee","value":'
        f'"{fee // 100}.{fee % 100:02d}"}},{{"id":{number + 1}1,"key":"_stripe_currency","value":"{unit}"}}{renewal}],'
        f'"line_items":[{{"id":{number},"name":"Template pack {number % 25}","product_id":{number % 25},"quantity":1,'
        f'"total":"{cents // 100}.{cents % 100:02d}","meta_data":[]}}],"refunds":[]}}'
    )
    return Row(text, unit, (cents - fee) * 10_000)


SHAPES: dict[str, Callable[[Place], Row]] = {"awin": awin, "stripe": stripe, "woocommerce": woocommerce}
