"""Stripe's rows, one by one: amounts, people, corrections, and what a subscription costs."""

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.stripe import EXPONENTS, connector, keep_no_people, listed_price, payout_amount, priced
from tracker.connect.fields import Row, minor
from tracker.connect.normalise import normalise, prepare
from tracker.connect.rows import encode
from tracker.errors import DataError
from tracker.records import Kind

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)

#: docs.stripe.com/currencies: zero-decimal and three-decimal currencies; ISK and UGX are sent with two decimals.
TABLE = {
    0: "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF",
    2: "EUR USD GBP NOK ISK UGX HUF TWD",
    3: "BHD JOD KWD OMR TND",
}
DECIMALS = {code: places for places, codes in TABLE.items() for code in codes.split()}


@given(st.sampled_from(sorted(DECIMALS)), st.integers(-(10**12), 10**12))
def test_minor_units_are_those_of_stripes_table(code: str, units: int) -> None:
    found = minor("amount", "currency", EXPONENTS).read({"amount": units, "currency": code.lower()})
    assert found == Decimal(units).scaleb(-DECIMALS[code])


@pytest.mark.parametrize("code", ["huf", "twd"])
def test_a_payout_in_whole_units_is_refused_when_it_has_a_fraction(code: str) -> None:
    assert payout_amount({"amount": 1000, "currency": code}) == 10
    with pytest.raises(DataError, match="whole number"):
        payout_amount({"amount": 1045, "currency": code})


def sale(**more: Any) -> Row:
    who = {
        "name": "Ina Anker",
        "email": "ina.anker@post.example",
        "phone": "+49 421 0",
        "address": {"city": "Bremen", "country": "DE"},
    }
    charge = {
        "id": "ch_1",
        "object": "charge",
        "amount": 1900,
        "balance_transaction": "txn_1",
        "billing_details": who,
        "currency": "usd",
        "customer": {"id": "cus_1", "object": "customer", "email": "ina.anker@post.example"},
        "description": "Order of Ina Anker",
        "metadata": {"buyer": "Ina Anker"},
        "payment_intent": {"id": "pi_1", "object": "payment_intent", "receipt_email": "ina.anker@post.example"},
        "payment_method_details": {
            "card": {"country": "AT", "last4": "4242"},
            "paypal": {"payer_email": "ina.anker@post.example"},
        },
        "receipt_email": "ina.anker@post.example",
        "a_new_field": "Ina Anker",
    }
    row = {
        "id": "txn_1",
        "amount": 1751,
        "available_on": 1_781_000_000,
        "created": 1_780_000_000,
        "currency": "eur",
        "fee": 0,
    }
    return row | {"net": 1751, "reporting_category": "charge", "status": "available", "source": charge, **more}


def records_of(name: str, row: Row) -> list[Any]:
    resource = connector.resource(name)
    prepared = prepare(resource, encode(row), str.upper, lambda row: row)
    if prepared.fault:
        raise prepared.fault
    return normalise(resource, prepared.row, {}, NOW)


@pytest.mark.parametrize("behind", ["charge", "refund", "dispute"])
def test_of_a_payer_only_customer_id_and_country_are_kept(behind: str) -> None:
    row = sale(description="Charge for ina.anker@post.example")
    if behind != "charge":
        row["source"] = {"id": "re_1", "object": behind, "amount": 1, "currency": "usd", "charge": row["source"]}
        row["source"] |= {"evidence": {"customer_name": "Ina Anker"}, "payment_intent": "pi_1"}
    prepared = prepare(connector.resource("balance_transactions"), encode(row), str.upper, lambda row: row)
    for word in (b"Ina", b"ina.anker", b"4242", b"Bremen", b"421"):
        assert word not in prepared.kept
    (found,) = records_of("balance_transactions", row)
    assert (found.payer, found.country, found.gateway_ref, found.payment_ref) == ("cus_1", "DE", "ch_1", "pi_1")


@pytest.mark.parametrize("source", ["ch_1", "re_1", None, sale()["source"], {"id": "po_1", "object": "payout"}])
def test_to_shrink_a_row_again_changes_nothing(source: Any) -> None:
    once = sale(source=source)
    keep_no_people(once)
    twice = sale(source=once["source"])
    keep_no_people(twice)
    assert twice == once


def test_a_correction_names_the_ledger_row_of_its_charge_where_stripe_sends_it() -> None:
    charge = sale()["source"]
    for behind, origin in (({**charge}, "txn_1"), ("ch_1", None)):
        refund = {"id": "re_1", "object": "refund", "amount": 475, "currency": "usd", "charge": behind}
        row = sale(id="txn_2", amount=-437, net=-437, reporting_category="refund", source=refund)
        (found,) = records_of("balance_transactions", row)
        assert (found.kind, found.origin_ref, found.gateway_ref) == (Kind.REFUND, origin, "ch_1")
        assert (found.sale_amount, found.sale_currency) == (Decimal("-4.75"), "USD")
    (found,) = records_of("balance_transactions", sale())
    assert found.origin_ref is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PLACES = {
    "balance_transactions": ["id", "source", "fee_details", "status", "amount", "available_on", "reporting_category"],
    "payouts": ["automatic", "amount", "currency", "status", "arrival_date"],
    "payout_items": ["$payout", "type", "source", "net"],
    "invoices": ["payments", "lines", "parent", "subscription", "payment_intent", "charge", "billing_reason"],
    "subscriptions": ["items", "discounts", "discount", "default_tax_rates", "cancel_at", "current_period_end"],
}


@given(st.data())
def test_any_row_makes_records_or_is_refused_with_a_reason(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(PLACES)))
    row = sale(items={"data": [item()]}, start_date=1_780_000_000, automatic=True, type="charge")
    row |= {place: data.draw(JSON) for place in data.draw(st.lists(st.sampled_from(PLACES[name]), max_size=3))}
    with suppress(DataError):
        assert all(record.external_id for record in records_of(name, row))


# --- what a subscription costs


def item(unit: int | str | None = 600, quantity: int = 1, **price: Any) -> Row:
    recurring = {"interval": "month", "interval_count": 1, "usage_type": "licensed"}
    return {
        "quantity": quantity,
        "price": {"id": "price_1", "unit_amount_decimal": unit, "recurring": recurring, **price},
    }


def cost(*items: Row, **more: Any) -> list[Decimal]:
    """List price, discount for good, discount for a time."""
    (row,) = priced({"currency": "eur", "items": {"data": list(items)}, **more})
    return [row["$price"], row["$forever"], row["$limited"]]


def discount(duration: str, percent: Any = None, off: int | None = None) -> Row:
    coupon = {
        "id": "c",
        "duration": duration,
        "percent_off": percent,
        "amount_off": off,
        "currency": "eur" if off else None,
    }
    return {"source": {"coupon": coupon}, "end": None}


@given(
    st.integers(0, 10**6),
    st.integers(0, 5_000),
    st.lists(st.integers(1, 2_000), max_size=4, unique=True),
    st.booleans(),
)
def test_tiers_of_one_price_cost_as_much_as_no_tiers(
    unit: int, quantity: int, tops: list[int], graduated: bool
) -> None:
    tiers = [{"up_to": top, "unit_amount": unit} for top in [*sorted(tops), None]]
    mode = "graduated" if graduated else "volume"
    tiered = item(None, quantity, billing_scheme="tiered", tiers_mode=mode, tiers=tiers)
    assert listed_price(tiered) == unit * quantity == listed_price(item(unit, quantity))


def test_tiers_that_end_too_early_are_refused() -> None:
    with pytest.raises(DataError, match="do not reach 6 units"):
        listed_price(
            item(None, 6, billing_scheme="tiered", tiers_mode="volume", tiers=[{"up_to": 5, "unit_amount": 1}])
        )


@given(
    st.integers(0, 10**7),
    st.lists(
        st.tuples(st.sampled_from(["forever", "once", "repeating"]), st.integers(0, 100), st.integers(1, 10**5)),
        max_size=4,
    ),
)
def test_discounts_never_take_more_than_the_price(unit: int, found: list[tuple[str, int, int]]) -> None:
    discounts = [discount(word, percent) if percent else discount(word, None, off) for word, percent, off in found]
    price, forever, limited = cost(item(unit), discounts=discounts)
    assert forever >= 0 <= limited
    assert forever + limited <= price + Decimal("0.000002")
    assert price == Decimal(unit) / 100


def test_tax_inside_a_price_is_no_income() -> None:
    vat = [{"inclusive": True, "percentage": Decimal("19.0")}]
    assert cost(item(1190), default_tax_rates=vat) == [10, 0, 0]
    assert cost({**item(1190), "tax_rates": vat}, item(500)) == [15, 0, 0]
    fixed = discount("forever", None, 119)
    assert cost(item(1190), default_tax_rates=vat, discounts=[fixed]) == [10, 1, 0]
    assert cost({**item(1190), "discounts": [fixed]}, default_tax_rates=vat) == [10, 1, 0]


def test_a_fraction_of_a_cent_survives_a_large_quantity() -> None:
    assert cost(item("0.0333", 1000)) == [Decimal("0.333"), 0, 0]
    assert cost(item("0.333333333333", 1)) == [Decimal("0.003333"), 0, 0]
