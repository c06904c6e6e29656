"""The affiliate half of the history: eight programmes of one network in EUR and GBP, five of another in USD."""

import random
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from tracker.demo.chance import SEASON, between, cents, chance, child, later, moment, months, next_pay_day
from tracker.demo.facts import NetworkAction, NetworkSale, Programme

_PACIFIC = ZoneInfo("America/Los_Angeles")

#: The sixth programme is the story's slow payer: it approves after a season and pays months later.
PROGRAMMES = (
    Programme(
        41107,
        "Fjordkiste Hosting",
        "EUR",
        "DE",
        ("review-hosting", "guide-move-blog", "newsletter"),
        0.16,
        60,
        180,
        Decimal("0.35"),
        45,
        6,
        0.10,
    ),
    Programme(
        41215,
        "Steinpfad Outdoor",
        "EUR",
        "DE",
        ("boots", "packing-list", "guide-huts"),
        0.27,
        35,
        240,
        Decimal("0.07"),
        60,
        8,
        0.13,
    ),
    Programme(
        52840,
        "Harbour & Hill Tents",
        "GBP",
        "GB",
        ("tent-guide", "packing-list"),
        0.14,
        45,
        320,
        Decimal("0.08"),
        30,
        10,
        0.09,
    ),
    Programme(
        60331,
        "Federpost Newsletter Software",
        "EUR",
        "AT",
        ("tools", "newsletter"),
        0.06,
        19,
        49,
        Decimal("0.30"),
        30,
        5,
        0.06,
        "month",
    ),
    Programme(
        60777,
        "Inkwell & Moth Writing App",
        "GBP",
        "GB",
        ("tools", "writing-desk"),
        0.07,
        39,
        89,
        Decimal("0.25"),
        30,
        5,
        0.07,
        "year",
    ),
    Programme(
        80012, "Wetterhut Reiseschutz", "EUR", "DE", ("guide-insurance",), 0.10, 45, 160, Decimal("0.18"), 85, 105, 0.08
    ),
    Programme(
        71904, "Glimmerwerk Lampen", "EUR", "DE", ("camp-light", "desk"), 0.10, 20, 110, Decimal("0.06"), 30, 7, 0.22
    ),
    Programme(
        73350,
        "Kettle & Crumb Camp Kitchen",
        "GBP",
        "GB",
        ("camp-kitchen", "recipes"),
        0.10,
        18,
        130,
        Decimal("0.06"),
        30,
        9,
        0.11,
    ),
)
DOLLAR_PROGRAMMES = (
    Programme(
        1500111,
        "Switchback Trail Shop",
        "USD",
        "US",
        ("boots-us", "john-muir-list"),
        0.34,
        40,
        260,
        Decimal("0.08"),
        0,
        0,
        0.10,
    ),
    Programme(
        1500222, "Copperleaf Hosting", "USD", "US", ("review-hosting-us",), 0.18, 48, 144, Decimal("0.45"), 0, 0, 0.12
    ),
    Programme(
        1500347, "Lantern VPN", "USD", "US", ("travel-wifi", "newsletter"), 0.20, 60, 120, Decimal("0.40"), 0, 0, 0.08
    ),
    Programme(
        1500410, "Marmot & Pine Books", "USD", "US", ("reading-list",), 0.18, 12, 60, Decimal("0.065"), 0, 0, 0.04
    ),
    Programme(1500588, "Tarn House Cabins", "USD", "CA", ("cabins",), 0.10, 180, 900, Decimal("0.05"), 0, 0, 0.18),
)
_DECLINED = ("Order cancelled", "Returned goods", "Duplicate order", "Breach of programme terms", "Failed credit check")
_CORRECTIONS = (
    "RETURNED_MERCHANDISE",
    "INVALID_CREDIT_CARD",
    "DUPLICATED_ORDER",
    "CANT_SHIP_OR_SOLD_OUT",
    "BOOKING_CANCELED",
)
_COUNTRIES = {
    "EUR": ("DE", "DE", "DE", "AT", "CH", "NL"),
    "GBP": ("GB", "GB", "GB", "IE"),
    "USD": ("US", "US", "US", "CA"),
}


def sales(seed: int, start: datetime, horizon: datetime) -> list[NetworkSale]:
    """Between 60 and 120 commissions a month that change in place, oldest first."""
    found: list[NetworkSale] = []
    renewals: defaultdict[datetime, int] = defaultdict(int)
    for number, first in months(start, horizon):
        rng = chance(seed, "sales", number)
        target = int(max(60, min(120, (58 + 1.9 * number) * SEASON[first.month - 1])))
        for _ in range(max(20, target - renewals[first])):
            programme = rng.choices(PROGRAMMES, [p.share for p in PROGRAMMES])[0]
            at = moment(rng, first)
            basket = between(rng, programme.low, programme.high)
            own = child(rng)
            found.append(_sale(own, programme, at, basket))
            for again in _renewals(own, programme, at, horizon):
                renewals[again.replace(day=1, hour=0, minute=0, second=0)] += 1
                found.append(_sale(own, programme, again, basket, found[-1]))
        if first.month == 1:
            found.append(_bonus(rng, first + timedelta(days=9, hours=10)))
    found = sorted(
        (sale for sale in found if sale.occurred < horizon),
        key=lambda sale: (sale.occurred, sale.order or "", sale.sale),
    )
    return [
        replace(sale, id=914_400_000 + 37 * place, payment_id=_payment_id(sale)) for place, sale in enumerate(found)
    ]


def _payment_id(sale: NetworkSale) -> int:
    """One payment for each pay day and currency."""
    if not sale.paid:
        return 0
    return (
        550_000
        + ((sale.paid.year - 2020) * 24 + sale.paid.month * 2 + (sale.paid.day >= 15)) * 10
        + (sale.programme.currency == "GBP")
    )


def _renewals(rng: random.Random, programme: Programme, at: datetime, horizon: datetime) -> list[datetime]:
    if not programme.renewal:
        return []
    step, stay = (1, 0.88) if programme.renewal == "month" else (12, 0.6)
    found: list[datetime] = []
    while rng.random() < stay and len(found) < 30:
        found.append(later(at, step * (len(found) + 1)) + timedelta(minutes=rng.randrange(180)))
    return [due for due in found if due < horizon]


def _sale(
    rng: random.Random, programme: Programme, at: datetime, basket: Decimal, earlier: NetworkSale | None = None
) -> NetworkSale:
    outcome = rng.choices(
        ("approved", "declined", "deleted"), (1 - programme.declined - 0.015, programme.declined, 0.015)
    )[0]
    if earlier and rng.random() < 0.7:
        outcome = "approved"
    validated = at + timedelta(days=programme.validation_days + rng.randrange(-4, 5))
    if outcome != "approved":
        validated = at + timedelta(days=rng.randrange(6, programme.validation_days))
    validated = validated.replace(hour=6, minute=rng.randrange(20), second=0)
    commission = cents(basket * programme.rate)
    paid = taken_back = amended = None
    amended_sale = amended_commission = None
    if outcome == "approved":
        delay = programme.payment_days + rng.randrange(max(2, programme.payment_days // 3))
        paid = next_pay_day(validated + timedelta(days=delay))
        if rng.random() < 0.035:
            taken_back = (validated + timedelta(days=rng.randrange(9, 55))).replace(hour=6)
            paid = paid if paid < taken_back else None
        elif rng.random() < 0.05:
            amended = at + timedelta(days=rng.randrange(4, programme.validation_days - 5), hours=2)
            amended_sale = cents(basket * Decimal(rng.choice(("0.40", "0.50", "0.75"))))
            amended_commission = cents(amended_sale * programme.rate)
    sub_id = earlier.sub_id if earlier else rng.choice(programme.sub_ids) if rng.random() < 0.88 else None
    return NetworkSale(
        id=0,
        programme=programme,
        clicked=earlier.clicked if earlier else at - timedelta(seconds=int(rng.lognormvariate(8, 2)) % 2_500_000 + 30),
        occurred=at,
        sale=basket,
        commission=commission,
        sub_id=sub_id,
        second_sub_id="footer" if rng.random() < 0.1 else None,
        order=f"{programme.name[:2].upper()}-{rng.randrange(10**6, 10**7)}" if rng.random() < 0.9 else None,
        country=earlier.country if earlier else rng.choice(_COUNTRIES[programme.currency]),
        renewal=earlier is not None,
        validated=validated,
        outcome=outcome,
        reason=rng.choice(_DECLINED) if outcome == "declined" or taken_back else None,
        reversed=taken_back,
        paid=paid,
        amended=amended,
        amended_sale=amended_sale,
        amended_commission=amended_commission,
    )


def _bonus(rng: random.Random, at: datetime) -> NetworkSale:
    bonus = _sale(rng, PROGRAMMES[0], at, Decimal("0.00"))
    return replace(
        bonus,
        commission=Decimal("75.00"),
        sub_id=None,
        order=None,
        outcome="approved",
        validated=at + timedelta(hours=1),
        reason=None,
        paid=next_pay_day(at + timedelta(days=5)),
        amended=None,
        reversed=None,
        bonus=True,
    )


def actions(seed: int, start: datetime, horizon: datetime) -> list[NetworkAction]:
    """Between 30 and 60 new commissions a month that are corrected by further rows, in the order of posting."""
    found: list[dict[str, Any]] = []
    action_id = 880_010_000
    for number, first in months(start, horizon):
        rng = chance(seed, "actions", number)
        for _ in range(int(max(30, min(60, (30 + 0.8 * number) * SEASON[first.month - 1])))):
            action_id += 1
            programme = rng.choices(DOLLAR_PROGRAMMES, [p.share for p in DOLLAR_PROGRAMMES])[0]
            found += _action(rng, programme, moment(rng, first), action_id)
    found.sort(key=lambda row: (row["posted"], row["action_id"], row["sale"]))
    return [
        NetworkAction(id=2_995_000_000 + 11 * place, **row)
        for place, row in enumerate(found)
        if row["posted"] < horizon
    ]


def _action(rng: random.Random, programme: Programme, at: datetime, action_id: int) -> list[dict[str, Any]]:
    posted = (
        at
        + timedelta(minutes=rng.randrange(8, 180))
        + (timedelta(days=rng.randrange(3, 20)) if rng.random() < 0.04 else timedelta())
    )
    basket = between(rng, programme.low, programme.high)
    locking = locking_day(posted, 1)
    row: dict[str, Any] = {
        "action_id": action_id,
        "programme": programme,
        "original": True,
        "clicked": at - timedelta(seconds=int(rng.lognormvariate(8, 2)) % 2_500_000 + 30),
        "occurred": at,
        "posted": posted,
        "sale": basket,
        "commission": (basket * programme.rate).quantize(Decimal("0.001")),
        "sub_id": rng.choice(programme.sub_ids) if rng.random() < 0.9 else None,
        "order": f"{programme.name[0]}{rng.randrange(10**6, 10**7)}",
        "country": rng.choice(_COUNTRIES["USD"]),
        "locking": locking,
        "closed": locking + timedelta(days=9),
        "extended": None,
        "extended_locking": None,
        "open_ended": programme.name.startswith("Tarn"),
        "reason": None,
        "fully_corrected": None,
    }
    if rng.random() < 0.12:
        row["extended"], row["extended_locking"] = locking - timedelta(days=2), locking_day(posted, 2)
        row["closed"] = row["extended_locking"] + timedelta(days=9)
    if rng.random() >= programme.declined:
        return [row]
    # A locked commission is corrected no more, so every correction is posted before the locking date.
    corrected = posted + (locking - timedelta(days=1) - posted) * rng.uniform(0.2, 0.95)
    corrected = corrected.replace(microsecond=0)
    reason = rng.choice(_CORRECTIONS)
    back = row | {
        "original": False,
        "posted": corrected,
        "sale": -basket,
        "commission": -row["commission"],
        "reason": reason,
    }
    if rng.random() < 0.25:
        smaller = cents(basket * Decimal("0.6"))
        commission = (smaller * programme.rate).quantize(Decimal("0.001"))
        return [
            row,
            back,
            back
            | {
                "posted": corrected + timedelta(seconds=1),
                "sale": smaller,
                "commission": commission,
                "reason": "OTHER_REASON",
            },
        ]
    row["fully_corrected"] = back["fully_corrected"] = corrected
    return [row, back]


def locking_day(posted: datetime, months_later: int) -> datetime:
    """02:00 in US Pacific time on the 11th of a later month."""
    local = later(posted.astimezone(_PACIFIC), months_later)
    return local.replace(day=11, hour=2, minute=0, second=0, microsecond=0).astimezone(posted.tzinfo)
