"""The scenarios of the labelled histories: subscriptions, purchases, prices in parts, programs without payers.

Amounts are in cents before fees. The weights at the end are the mix that docs/recurrence.md describes.
"""

import random
from calendar import monthrange
from collections.abc import Callable
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from benchmarks.payments import (
    AS_OF,
    INSTALMENT,
    ONE_OFF,
    RECURRING,
    Draft,
    Plan,
    dunned,
    first_day,
    lifetime,
    settled,
    subscribe,
)

PLAN_PRICES = [
    499,
    500,
    700,
    900,
    999,
    1000,
    1200,
    1500,
    1900,
    2000,
    2400,
    2500,
    2900,
    2999,
    3900,
    4900,
    5900,
    7900,
    9900,
]
PRODUCT_PRICES = [
    *(1700, 1900, 2700, 2900, 3700, 3900, 4700, 4900, 6700, 7900, 9700, 9900, 12900, 14900, 19700, 19900, 24900, 29700),
    *(29900, 39700, 39900, 49700, 49900, 59900, 60000, 69700, 79900, 90000, 99700, 99900, 120000, 149700, 199700),
]


def _constant(cents: int) -> Callable[[int], int]:
    return lambda number: cents


def _plan_price(draft: Draft) -> int:
    """A subscription price. A third of the products were also bought at once: a year, a lifetime, something else."""
    rng, offer = draft.rng, draft.offer
    cents = offer.choice(PLAN_PRICES)
    if offer.random() < 0.33:
        year = cents * offer.choice([80, 90, 96, 100, 100, 102, 110, 120]) // 10
        draft.full_prices.append(offer.choice([year, year, cents * 24, offer.choice(PRODUCT_PRICES)]))
    if rng.random() < 0.5:
        endings = (lifetime(rng, 0.12) for _ in range(rng.randint(1, 8)))
        draft.endings.extend(count for count in endings if count > 1)
    return cents


# Recurring


def _monthly(draft: Draft) -> None:
    cents = _plan_price(draft)
    subscribe(draft, Plan(months=1), first_day(draft.rng), _constant(cents))


def _month_end(draft: Draft) -> None:
    """Due on the 29th to 31st; one provider in four lets the day drift to the shortest month's."""
    rng, cents = draft.rng, _plan_price(draft)
    start = first_day(rng).replace(day=1)
    start = start.replace(day=min(rng.choice([29, 30, 31, 31]), monthrange(start.year, start.month)[1]))
    if rng.random() < 0.25:
        day, contract = start, draft.contract() if draft.refs == "contract" else None
        for _ in range(lifetime(rng, 0.04)):
            draft.add(settled(rng, day, False, 0.04), cents, RECURRING, contract)
            day += relativedelta(months=1)
    else:
        subscribe(draft, Plan(months=1), start, _constant(cents))


def _price_rise(draft: Draft) -> None:
    rng, cents = draft.rng, _plan_price(draft)
    at = sorted(rng.sample(range(2, 24), rng.randint(1, 2)))
    steps = [round(cents * rng.uniform(1.08, 1.4) / 100) * 100 - 1 for _ in at]

    def price(number: int) -> int:
        return [cents, *steps][sum(number >= turn for turn in at)]

    subscribe(draft, Plan(months=1, payments=rng.randint(6, 36)), first_day(rng, date(2025, 9, 1)), price)


def _dunning(draft: Draft) -> None:
    subscribe(draft, Plan(months=1, dunning=0.18), first_day(draft.rng), _constant(_plan_price(draft)))


def _skips(draft: Draft) -> None:
    subscribe(draft, Plan(months=1, skip=0.14, churn=0.03), first_day(draft.rng), _constant(_plan_price(draft)))


def _pause(draft: Draft) -> None:
    """Stops for two to six months and comes back, on the old day or a new one."""
    rng, cents = draft.rng, _plan_price(draft)
    contract = draft.contract()
    days = subscribe(
        draft,
        Plan(months=1, payments=rng.randint(3, 14)),
        first_day(rng, date(2025, 10, 1)),
        _constant(cents),
        contract,
    )
    if days:
        again = days[-1] + relativedelta(months=rng.randint(3, 7))
        again += timedelta(days=0 if rng.random() < 0.5 else rng.randint(1, 27))
        subscribe(draft, Plan(months=1, payments=rng.randint(1, 14)), again, _constant(cents), contract)


def _four_weekly(draft: Draft) -> None:
    subscribe(draft, Plan(days=28, churn=0.12), first_day(draft.rng), _constant(_plan_price(draft)))


def _weekly(draft: Draft) -> None:
    rng = draft.rng
    plan = Plan(days=draft.offer.choice([7, 14]), churn=0.15)
    subscribe(draft, plan, first_day(rng), _constant(_plan_price(draft)))


def _quarterly(draft: Draft) -> None:
    rng = draft.rng
    months = draft.offer.choices([3, 6, 2], [60, 25, 15])[0]
    subscribe(
        draft, Plan(months=months, churn=0.02), first_day(rng, date(2025, 9, 1)), _constant(_plan_price(draft) * months)
    )


def _annual(draft: Draft) -> None:
    """Three years of history show three payments of those who came early and stayed."""
    rng, cents = draft.rng, _plan_price(draft) * 10
    risen = cents if rng.random() < 0.7 else round(cents * rng.uniform(1.05, 1.3) / 100) * 100
    turn = rng.randint(1, 2)
    subscribe(
        draft,
        Plan(months=12, churn=0.008, skip=0),
        first_day(rng, date(2025, 3, 1)),
        lambda number: cents if number < turn else risen,
    )


def _upgrade(draft: Draft) -> None:
    """A change of plan in mid-term: the difference at once, or a new billing day with the rest credited."""
    rng, old = draft.rng, _plan_price(draft)
    new = rng.choice([price for price in PLAN_PRICES if price > old] or [old * 2])
    contract = draft.contract()
    before = Plan(months=1, payments=rng.randint(2, 12))
    start = first_day(rng, date(2025, 6, 1))
    days = subscribe(draft, before, start, _constant(old), contract)
    if not days:
        return
    switch = days[-1] + timedelta(days=rng.randint(3, 26))
    due = before.due(days[-1], 1)
    unused = (due - switch).days / (due - days[-1]).days
    reference = contract if draft.refs == "contract" else None
    after = Plan(months=1, payments=rng.randint(1, 18))
    if rng.random() < 0.6:
        draft.add(switch, max(1, round((new - old) * unused)), RECURRING, reference)
        subscribe(draft, after, due, _constant(new), contract)
    else:
        draft.add(switch, max(1, round(new - old * unused)), RECURRING, reference)
        subscribe(draft, after, after.due(switch, 1), _constant(new), contract)


def _calendar_billing(draft: Draft) -> None:
    """Billed on the first of the month, the first month in part."""
    rng, cents = draft.rng, _plan_price(draft)
    start = first_day(rng)
    first = start.replace(day=1) + relativedelta(months=1)
    contract = draft.contract()
    part = (first - start).days / monthrange(start.year, start.month)[1]
    draft.add(start, max(1, round(cents * part)), RECURRING, contract if draft.refs == "contract" else None)
    subscribe(draft, Plan(months=1), first, _constant(cents), contract)


def _two_plans(draft: Draft) -> None:
    """Two subscriptions of one payer to one product: seats, or two sites."""
    rng, cents = draft.rng, _plan_price(draft)
    other = cents if rng.random() < 0.4 else rng.choice(PLAN_PRICES)
    plans = [Plan(months=1, churn=0.03), Plan(months=rng.choice([1, 1, 1, 12]), churn=0.03)]
    for plan, price in zip(plans, (cents, other), strict=True):
        subscribe(draft, plan, first_day(rng), _constant(price))


def _plan_and_purchases(draft: Draft) -> None:
    rng, cents = draft.rng, _plan_price(draft)
    days = subscribe(
        draft, Plan(months=1, payments=rng.randint(4, 30)), first_day(rng, date(2025, 9, 1)), _constant(cents)
    )
    if days:
        for _ in range(rng.randint(1, 5)):
            price = rng.choice([price for price in PRODUCT_PRICES if price != cents])
            draft.add(days[0] + timedelta(days=rng.randint(0, 500)), price, ONE_OFF)


def _cancelled_early(draft: Draft) -> None:
    """Left within the year: the twin of a price paid in parts."""
    rng = draft.rng
    plan = Plan(months=1, payments=rng.choices(range(1, 13), [14, 14, 14, 10, 8, 8, 6, 5, 4, 4, 3, 10])[0])
    subscribe(draft, plan, first_day(rng, date(2026, 3, 1)), _constant(_plan_price(draft)))


def _varying_amounts(draft: Draft) -> None:
    """A commission converted daily, or usage-based billing: the days are regular, the amounts are not."""
    rng, cents = draft.rng, _plan_price(draft)
    spread = rng.choice([0.01, 0.02, 0.3])
    subscribe(
        draft,
        Plan(months=1, churn=0.03),
        first_day(rng),
        lambda number: max(1, round(cents * rng.uniform(1 - spread, 1 + spread))),
    )


# One-off


def _single(draft: Draft) -> None:
    draft.add(first_day(draft.rng), draft.offer.choice(PRODUCT_PRICES), ONE_OFF)


def _returning_buyer(draft: Draft) -> None:
    """The same product at the same price at irregular distances."""
    rng, cents = draft.rng, draft.offer.choice(PRODUCT_PRICES)
    day, mean = first_day(rng), rng.choice([10, 25, 45, 90, 150])
    for _ in range(rng.randint(2, 14)):
        draft.add(day, cents if rng.random() < 0.9 else cents * 2, ONE_OFF)
        day += timedelta(days=1 + round(rng.expovariate(1 / mean)))


def _shopper(draft: Draft) -> None:
    """Baskets of different amounts at irregular distances."""
    rng = draft.rng
    day, mean = first_day(rng), rng.choice([10, 25, 45, 90])
    for _ in range(rng.randint(2, 14)):
        draft.add(day, rng.randint(500, 20000), ONE_OFF)
        day += timedelta(days=1 + round(rng.gammavariate(1.5, mean / 1.5)))


def _refill_buyer(draft: Draft) -> None:
    """Coffee, ink, filters: bought again when used up, so nearly regularly; a tenth to a third of spread."""
    rng, cents = draft.rng, draft.offer.choice(PRODUCT_PRICES[:12])
    day, mean, spread = first_day(rng), rng.choice([14, 21, 28, 30, 35, 42, 60, 90]), rng.uniform(0.1, 0.35)
    for _ in range(rng.randint(3, 12)):
        draft.add(day, cents if rng.random() < 0.8 else cents * rng.randint(2, 3), ONE_OFF)
        day += timedelta(days=max(2, round(rng.gauss(mean, mean * spread))))


def _refunds(draft: Draft) -> None:
    draft.rng.choice([_monthly, _monthly, _returning_buyer, _shopper, _parts])(draft)


# Instalments


def _divided(rng: random.Random, full: int, parts: int) -> list[int]:
    """A price in parts: divided exactly with the cents in the first, rounded up, or an asking price per part."""
    way = rng.choices(["cents first", "rounded up", "asking price"], [30, 25, 45])[0]
    if way == "cents first":
        return [full - full // parts * (parts - 1)] + [full // parts] * (parts - 1)
    if way == "rounded up":
        return [-(-full // parts)] * parts
    part = round(full * rng.uniform(1.0, 1.18) / parts / 100) * 100
    return [max(100, part - rng.choice([0, 1, 10]))] * parts


_NUMBERS = ([2, 3, 4, 6, 10, 12], [14, 36, 14, 18, 6, 12])


def _parts(draft: Draft) -> None:
    """Half of the products are also sold at once. One buyer in seven chose another number of parts than the usual."""
    rng, offer = draft.rng, draft.offer
    full = offer.choice(PRODUCT_PRICES[9:])
    count = offer.choices(*_NUMBERS)[0]
    if offer.random() < 0.5:
        draft.full_prices.append(full)
    if rng.random() < 0.15:
        count = rng.choices(*_NUMBERS)[0]
    if rng.random() < 0.5:
        others = [count if rng.random() < 0.85 else rng.randint(2, count) for _ in range(rng.randint(1, 8))]
        draft.endings.extend(others)
    _pay_in_parts(draft, full, count, first_day(rng))


def _pay_in_parts(draft: Draft, full: int, count: int, start: date) -> None:
    rng = draft.rng
    plan = Plan(months=1) if rng.random() < 0.85 else Plan(days=rng.choice([14, 28]))
    reference = draft.contract() if draft.refs != "none" and rng.random() < 0.8 else None
    text = (
        draft.offer.choice(["Course ({}/{})", "Rate {} von {}", "payment {} of {}"])
        if draft.offer.random() < 0.3
        else None
    )
    paid = count if rng.random() < 0.95 else rng.randint(1, count)
    weekends = rng.random() < 0.35
    for number, cents in enumerate(_divided(draft.offer, full, count)[:paid]):
        due = plan.due(start, number)
        day: date | None = settled(rng, due, weekends, 0.04)
        if number and rng.random() < 0.05:
            day = dunned(rng, due) or due + timedelta(days=21)
        if day and due <= AS_OF:
            draft.add(day, cents, INSTALMENT, reference, text.format(number + 1, count) if text else None)


def _parts_and_purchases(draft: Draft) -> None:
    """A price in parts with an extra bought along, or bought later."""
    _parts(draft)
    if draft.rows:
        first = min(day for day, *_ in draft.rows)
        for _ in range(draft.rng.randint(1, 3)):
            later = draft.rng.choice([0, draft.rng.randint(1, 300)])
            draft.add(first + timedelta(days=later), draft.rng.choice(PRODUCT_PRICES[:10]) - 50, ONE_OFF)


# Commissions without a payer id: many buyers of one program in one group


def _anonymous_sales(draft: Draft) -> None:
    """A share of each basket, or a flat amount per sale."""
    rng = draft.rng
    draft.payer_known, draft.refs = False, rng.choice(["none", "payment"])
    flat, mean = rng.choice([None, None, 1500, 4000]), rng.uniform(4, 40)
    day = first_day(rng, date(2026, 1, 1))
    for _ in range(rng.randint(5, 40)):
        draft.add(day, flat or rng.randint(50, 6000), ONE_OFF)
        day += timedelta(days=round(rng.expovariate(1 / mean)))


def _anonymous_mixed(draft: Draft) -> None:
    """Recurring commission: referred customers of two or three plans, beside one-off commissions."""
    rng = draft.rng
    draft.payer_known, draft.refs = False, rng.choice(["none", "payment"])
    tiers = [price * 3 // 10 for price in rng.sample(PLAN_PRICES, rng.randint(1, 3))]
    for _ in range(rng.randint(1, 5)):
        subscribe(draft, Plan(months=1, churn=0.07), first_day(rng), _constant(rng.choice(tiers)))
    day = first_day(rng)
    for _ in range(rng.randint(0, 15)):
        draft.add(day, rng.choice([*tiers, 5000, rng.randint(50, 6000), rng.randint(50, 6000)]), ONE_OFF)
        day += timedelta(days=round(rng.expovariate(1 / 40)))


#: Each scenario with its share of the groups, in weights.
SCENARIOS: dict[str, tuple[Callable[[Draft], None], int]] = {
    "monthly": (_monthly, 12),
    "month end": (_month_end, 4),
    "price rise": (_price_rise, 4),
    "dunning": (_dunning, 4),
    "skipped months": (_skips, 3),
    "pause": (_pause, 3),
    "4-weekly": (_four_weekly, 4),
    "weekly and bi-weekly": (_weekly, 4),
    "quarterly, half-yearly": (_quarterly, 4),
    "annual": (_annual, 4),
    "upgrade in mid-term": (_upgrade, 4),
    "first month in part": (_calendar_billing, 2),
    "two plans": (_two_plans, 3),
    "plan and purchases": (_plan_and_purchases, 4),
    "cancelled early": (_cancelled_early, 8),
    "varying amounts": (_varying_amounts, 3),
    "single purchase": (_single, 12),
    "returning buyer": (_returning_buyer, 8),
    "shopper": (_shopper, 6),
    "refill buyer": (_refill_buyer, 4),
    "refunds between": (_refunds, 3),
    "instalments": (_parts, 15),
    "instalments and purchases": (_parts_and_purchases, 3),
    "anonymous sales": (_anonymous_sales, 3),
    "anonymous mixed": (_anonymous_mixed, 3),
}
