"""The sandbox's history: two years of one blogger and creator, and the months after that a test can move on to.

A pure function of the seed, the start and the first "now". "Pfad und Papier" is a hiking blog: six reviews that earn
commissions, a newsletter with paying members, a small route planner sold by subscription, a shop with an e-book, a
template pack, a course and a member area, and now and then a donation. All names are invented.
"""

import random
from datetime import datetime

from tracker.demo import billing_story, networks_story, shop_story
from tracker.demo.chance import chance, later, moment, months
from tracker.demo.facts import Contract, History, Member, Payment, Person
from tracker.demo.ledger_story import keep_books
from tracker.demo.people import person

MONTHS = 24
#: How far a test can move the clock beyond the first "now".
AHEAD = 4  # months


def first_day(now: datetime) -> datetime:
    """The first of the month two years before `now`: the history's default start."""
    return later(now.replace(day=1, hour=0, minute=0, second=0, microsecond=0), -MONTHS)


def tell(seed: int, now: datetime, start: datetime | None = None) -> History:
    """Everything that happens until `AHEAD` months after `now`. `now` and `start` are in UTC."""
    now = now.replace(microsecond=0)  # all facts have whole seconds
    start = start or first_day(now)
    horizon = later(now.replace(day=1, hour=0, minute=0, second=0, microsecond=0), AHEAD + 1)
    story = billing_story.Story(seed, start, horizon)
    billing_story.play(story)
    shop = shop_story.play(seed, start, horizon)
    invoices = [invoice for contract in story.contracts for invoice in contract.invoices]
    payments: list[Payment] = [attempt for invoice in invoices for attempt in invoice.attempts] + shop.payments
    payments = sorted(
        (payment for payment in payments if payment.created < horizon),
        key=lambda payment: (payment.created, payment.id),
    )
    ledger = keep_books(seed, start, horizon, now, payments)
    return History(
        seed=seed,
        start=start,
        horizon=later(now, AHEAD),
        programmes=list(networks_story.PROGRAMMES),
        sales=networks_story.sales(seed, start, horizon),
        actions=networks_story.actions(seed, start, horizon),
        people=sorted(story.people + shop.people, key=lambda who: (who.joined, who.customer_id)),
        contracts=sorted(story.contracts, key=lambda contract: (contract.started, contract.id)),
        invoices=sorted(invoices, key=lambda invoice: (invoice.created, invoice.id)),
        payments=payments,
        refunds=sorted(ledger.refunds, key=lambda refund: (refund.created, refund.id)),
        disputes=sorted(ledger.disputes, key=lambda dispute: (dispute.created, dispute.id)),
        movements=ledger.movements,
        settlements=ledger.settlements,
        orders=shop.orders,
        shop_contracts=sorted(shop.contracts, key=lambda contract: contract.id),
        members=_members(story),
    )


def _members(story: billing_story.Story) -> list[Member]:
    """The newsletter's readers: a few pay, a few are guests of the house, most read for free."""
    found: list[Member] = []
    for contract in story.contracts:
        if contract.via == "ghost":
            rng = chance(story.seed, "member", contract.id)
            found.append(_member(rng, contract.person, contract.started, contract=contract))
    for number, first in months(story.start, story.horizon):
        rng = chance(story.seed, "readers", number)
        for place in range(int(10 + number * 0.8)):
            joined = moment(rng, first)
            who = person(rng, 900_000 + number * 1000 + place, joined)
            found.append(_member(rng, who, joined, comped=rng.random() < 0.03))
    return sorted(found, key=lambda member: (member.joined, member.id))


def _member(
    rng: random.Random, who: Person, joined: datetime, *, comped: bool = False, contract: Contract | None = None
) -> Member:
    raw = f"{rng.getrandbits(128):032x}"
    uuid = "-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:]))
    return Member(f"{rng.getrandbits(96):024x}", uuid, who, joined, comped, contract)
