"""The subscriptions of the sandbox's history: a newsletter membership and a small software product, month by month.

A contract is played from its first day to its end: trial, renewals, failed and retried charges, a price rise, upgrades,
prorations, cancellations. Nothing depends on "now"; the providers decide what is visible yet.
"""

import random
from datetime import datetime, timedelta

from tracker.demo.chance import SEASON, chance, child, later, moment, months, token
from tracker.demo.facts import Contract, Invoice, Line, Payment, Person, Plan
from tracker.demo.people import person

_MEMBERSHIP, _SOFTWARE = "prod_TrailLetters01", "prod_Wegmarke0001"
_LETTERS, _WEGMARKE = "Trail Letters", "Wegmarke route planner"

MEMBER_PLANS = {
    ("EUR", "month"): Plan("price_1LettersMonthEUR", _MEMBERSHIP, _LETTERS, "Monthly", 600, "EUR", "month"),
    ("EUR", "year"): Plan("price_1LettersYearEUR", _MEMBERSHIP, _LETTERS, "Yearly", 6000, "EUR", "year"),
    ("USD", "month"): Plan("price_1LettersMonthUSD", _MEMBERSHIP, _LETTERS, "Monthly", 700, "USD", "month"),
    ("USD", "year"): Plan("price_1LettersYearUSD", _MEMBERSHIP, _LETTERS, "Yearly", 7000, "USD", "year"),
}
SOFTWARE_PLANS = {
    "solo": Plan("price_1WegmarkeSolo2023", _SOFTWARE, _WEGMARKE, "Solo", 900, "EUR", "month"),
    "solo-new": Plan("price_1WegmarkeSolo2025", _SOFTWARE, _WEGMARKE, "Solo", 1200, "EUR", "month"),
    "solo-usd": Plan("price_1WegmarkeSoloUSD", _SOFTWARE, _WEGMARKE, "Solo", 1300, "USD", "month"),
    "guide": Plan("price_1WegmarkeGuide", _SOFTWARE, _WEGMARKE, "Guide", 2900, "EUR", "month"),
    "guide-usd": Plan("price_1WegmarkeGuideUSD", _SOFTWARE, _WEGMARKE, "Guide", 3200, "USD", "month"),
    "solo-year": Plan("price_1WegmarkeSoloYear", _SOFTWARE, _WEGMARKE, "Solo", 9900, "EUR", "year"),
}
#: The month of the history in which the software's small plan becomes dearer.
PRICE_RISE = 13
_RETRIES = (timedelta(days=3), timedelta(days=8), timedelta(days=15))


class Story:
    """What the two products gather while they are played."""

    def __init__(self, seed: int, start: datetime, horizon: datetime) -> None:
        self.seed, self.start, self.horizon = seed, start, horizon
        self.people: list[Person] = []
        self.contracts: list[Contract] = []
        self.rise = later(start, PRICE_RISE)

    def newcomer(self, rng: random.Random, joined: datetime) -> Person:
        self.people.append(person(rng, len(self.people) + 1, joined))
        return self.people[-1]


def play(story: Story) -> None:
    for number, first in months(story.start, story.horizon):
        season = SEASON[first.month - 1]
        rng = chance(story.seed, "members", number)
        for _ in range(62 if number == 0 else int((9 + number * 0.4) * season)):
            joined = moment(rng, first)
            who = story.newcomer(rng, joined)
            plan = MEMBER_PLANS["USD" if who.country == "US" else "EUR", "year" if rng.random() < 0.25 else "month"]
            _contract(story, child(rng), who, plan, joined, "ghost", churn=0.035)
        rng = chance(story.seed, "software", number)
        for _ in range(44 if number == 0 else int((9 + number * 0.35) * (1.5 - season / 2))):
            joined = moment(rng, first)
            who = story.newcomer(rng, joined)
            _contract(
                story,
                child(rng),
                who,
                _software_plan(story, rng, who, joined),
                joined,
                "software",
                churn=0.05,
                trial=number > 0,
            )


def _software_plan(story: Story, rng: random.Random, who: Person, joined: datetime) -> Plan:
    size = rng.choices(("solo", "guide", "solo-year"), (0.68, 0.2, 0.12))[0]
    if who.country == "US":
        return SOFTWARE_PLANS["guide-usd" if size == "guide" else "solo-usd"]
    return SOFTWARE_PLANS["solo-new" if size == "solo" and joined >= story.rise else size]


def _contract(
    story: Story,
    rng: random.Random,
    who: Person,
    plan: Plan,
    joined: datetime,
    via: str,
    *,
    churn: float,
    trial: bool = False,
) -> None:
    contract = Contract(
        id=f"sub_1{token(rng, 22)}",
        item_id=f"si_{token(rng, 14)}",
        person=who,
        started=joined,
        via=via,
        segments=[(joined, plan)],
        periods=[],
        invoices=[],
    )
    if via == "software" and rng.random() < 0.1:
        contract.discount_percent = 20
        contract.discount_ends = None if rng.random() < 0.5 else later(joined, 6)
    story.contracts.append(contract)
    anchor = joined
    if trial:
        contract.trial_end = anchor = joined + timedelta(days=14)
        contract.periods.append((joined, anchor))
        _bill(
            rng,
            contract,
            joined,
            "subscription_create",
            [Line(f"Trial period for {plan.product}", 0, plan, joined, anchor)],
        )
        if rng.random() < 0.42:
            contract.cancel_requested = joined + timedelta(days=rng.randrange(1, 14), hours=3)
            contract.ended, contract.cancel_reason = anchor, "cancellation_requested"
            return
    _renew(story, rng, contract, anchor, churn)


def _renew(story: Story, rng: random.Random, contract: Contract, anchor: datetime, churn: float) -> None:
    """Bill period after period until the customer leaves, the card fails for good, or the horizon is reached."""
    step = 12 if contract.segments[0][1].interval == "year" else 1
    if step == 12:
        churn *= 6
    for turn in range(60):
        start, end = later(anchor, step * turn), later(anchor, step * (turn + 1))
        if start >= story.horizon:
            return
        plan = contract.segments[-1][1]
        if plan is SOFTWARE_PLANS["solo"] and start >= story.rise:
            plan = SOFTWARE_PLANS["solo-new"]
            contract.segments.append((start, plan))
        elif plan.nickname == "Guide" and turn > 2 and rng.random() < 0.012:
            plan = SOFTWARE_PLANS[
                "solo-usd" if plan.currency == "USD" else "solo-new" if start >= story.rise else "solo"
            ]
            contract.segments.append((start, plan))
        contract.periods.append((start, end))
        price = f"at {plan.amount / 100:.2f} {plan.currency} / {plan.interval}"
        first = turn == 0 and not contract.trial_end
        invoice = _bill(
            rng,
            contract,
            start,
            "subscription_create" if first else "subscription_cycle",
            [Line(f"1 × {plan.product} ({price})", plan.amount, plan, start, end)],
        )
        if invoice.given_up:
            contract.overdue.append((invoice.attempts[0].created, invoice.given_up))
            contract.ended, contract.cancel_reason = invoice.given_up, "payment_failed"
            return
        if len(invoice.attempts) > 1 and invoice.paid:
            contract.overdue.append((invoice.attempts[0].created, invoice.paid))
        if contract.via == "software" and plan.nickname == "Solo" and plan.interval == "month" and rng.random() < 0.02:
            _upgrade(rng, contract, start, end)
        if rng.random() < churn:
            asked = start + (end - start) * rng.uniform(0.2, 0.95)
            contract.cancel_requested = asked.replace(microsecond=0)
            contract.ended, contract.cancel_reason = end, "cancellation_requested"
            return


def _upgrade(rng: random.Random, contract: Contract, start: datetime, end: datetime) -> None:
    """To the larger plan in the middle of a period: one invoice of two prorated lines, charged at once."""
    old = contract.segments[-1][1]
    new = SOFTWARE_PLANS["guide-usd" if old.currency == "USD" else "guide"]
    at = (start + (end - start) * rng.uniform(0.25, 0.75)).replace(microsecond=0)
    left = (end - at) / (end - start)
    lines = [
        Line(f"Unused time on {old.product} {old.nickname}", -round(old.amount * left), old, at, end, proration=True),
        Line(f"Remaining time on {new.product} {new.nickname}", round(new.amount * left), new, at, end, proration=True),
    ]
    contract.segments.append((at, new))
    _bill(rng, contract, at, "subscription_update", lines)


def _bill(rng: random.Random, contract: Contract, at: datetime, reason: str, lines: list[Line]) -> Invoice:
    subtotal = sum(line.amount for line in lines)
    discounted = contract.discount_percent and (contract.discount_ends is None or at < contract.discount_ends)
    discount = subtotal * contract.discount_percent // 100 if discounted else 0
    invoice = Invoice(
        id=f"in_1{token(rng, 22)}",
        contract=contract,
        number=f"{contract.person.customer_id[4:12].upper()}-{len(contract.invoices) + 1:04d}",
        created=at,
        reason=reason,
        lines=lines,
        discount=discount,
        total=subtotal - discount,
        finalized=at if reason != "subscription_cycle" else at + timedelta(hours=1),
        attempts=[],
        paid=None,
        given_up=None,
    )
    contract.invoices.append(invoice)
    if not invoice.total:
        invoice.paid = invoice.finalized
        return invoice
    luck = rng.random()
    failures = 0 if reason != "subscription_cycle" or luck < 0.955 else 4 if luck < 0.963 else rng.randrange(1, 3)
    intent = f"pi_3{token(rng, 22)}"
    debit = contract.via == "ghost" and contract.person.number % 9 == 0 and contract.person.country != "US"
    for attempt in range(min(failures + 1, 4)):
        when = invoice.finalized + (_RETRIES[attempt - 1] if attempt else timedelta(seconds=4))
        ok = attempt == failures
        invoice.attempts.append(
            Payment(
                id=f"{'py' if debit else 'ch'}_3{token(rng, 22)}",
                intent=intent,
                created=when,
                amount=invoice.total,
                currency=lines[-1].plan.currency,
                person=contract.person,
                description="Subscription creation" if reason == "subscription_create" else "Subscription update",
                ok=ok,
                failure=None if ok else rng.choice(("card_declined", "expired_card", "insufficient_funds")),
                debit=debit,
                invoice=invoice,
            )
        )
        if ok:
            invoice.paid = when
    if not invoice.paid:
        invoice.given_up = invoice.attempts[-1].created + timedelta(hours=1)
    return invoice
