"""What is booked in a journal of double entry: income against what providers owe, payouts against the bank.

Booked is what counts in the tracker's totals, so a journal's income is the tracker's, to the millionth, in the
currencies as earned. What a provider owes is the sum of its earnings less its payouts; what was reversed after it was
paid lowers it, as the provider does with its next payment.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from tracker.exports.about import About, Row
from tracker.money import plain
from tracker.months import day_of
from tracker.records import PayoutStatus, Settlement
from tracker.reports import PayoutLine
from tracker.store.reads import Basis

#: Of a text in a journal.
WORDS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """One transaction: `amount` goes from the account `credit` to `debit`, which are paths of slugs."""

    day: date
    payee: str
    words: str
    debit: tuple[str, ...]
    credit: tuple[str, ...]
    amount: Decimal
    currency: str
    notes: dict[str, str]


@dataclass(slots=True)
class Left:
    """What was not booked, by the reason."""

    earnings: Counter[str] = field(default_factory=Counter)
    payouts: Counter[str] = field(default_factory=Counter)


def bookings(rows: Iterable[Row], about: About, left: Left) -> Iterator[Booking]:
    """Earnings and payouts together, in order of their days as far as the rows are. `left` fills meanwhile."""
    sent = sorted(_payouts(about, left), key=lambda one: one.day)
    at = 0
    for row in rows:
        if row["counted"] is not True:
            left.earnings[str(row["counted"])] += 1
            continue
        if about.wanted.basis is Basis.PAID and row["settlement"] != Settlement.PAID:
            left.earnings["not_paid"] += 1
            continue
        booking = _earning(row, about)
        while at < len(sent) and sent[at].day < booking.day:
            yield sent[at]
            at += 1
        yield booking
    yield from sent[at:]


def _earning(row: Row, about: About) -> Booking:
    what = row["program"] or row["product"]
    notes = {
        "id": f"{row['connection']}/{row['external_id']}",
        "recurrence": row["recurrence"],
        "settlement": row["settlement"],
        **{name: row[name] for name in ("order_ref", "payout_ref", "sub_id") if row[name]},
        **{name: plain(row[name]) or "" for name in ("gross", "fee", "tax") if row[name] is not None},
    }
    return Booking(
        day=day_of(_moment(row, about.wanted.basis), about.zone), payee=row["connection"],
        words=f"{row['kind'].replace('_', ' ')}{f', {what}' if what else ''}",
        debit=("assets", "receivable", row["connection"]),
        credit=("income", row["stream_slug"] or "none", row["connection"]),
        amount=row["net"], currency=row["currency"], notes=notes,
    )  # fmt: skip


def _moment(row: Row, basis: Basis) -> datetime:
    """The date that the filter's months go by."""
    validated = row["validated_at"] or row["earned_at"]
    moments = {Basis.EARNED: row["earned_at"], Basis.APPROVED: validated, Basis.PAID: row["paid_at"] or validated}
    found: datetime = moments[basis]
    return found


def _payouts(about: About, left: Left) -> Iterator[Booking]:
    for one in about.payouts or ():
        if one.status == PayoutStatus.PAID:
            yield _payout(one, about)
        else:
            left.payouts[one.status] += 1


def _payout(one: PayoutLine, about: About) -> Booking:
    notes = {"id": f"{one.connection}/{one.external_id}", **({"estimated": "yes"} if one.estimated else {})}
    if one.fee is not None:
        notes["fee"] = plain(one.fee) or ""
    return Booking(
        day=day_of(one.arrives_at or one.created_at, about.zone), payee=one.connection, words="payout",
        debit=("assets", "bank"), credit=("assets", "receivable", one.connection),
        amount=one.amount, currency=one.currency, notes=notes,
    )  # fmt: skip


def heading(about: About) -> list[str]:
    """Lines on top of a journal, for people."""
    made = about.made_at.astimezone(about.zone)
    lines = [
        f"Earnings of the income tracker, made {made:%Y-%m-%d %H:%M} {about.zone.key}",
        f"Asked for: {about.asked}",
        "Booked is what counts in totals: approved income, once. Amounts are net, in the currency earned.",
    ]
    if about.payouts is None:
        lines.append("Payouts are not in it: the filter asks for less than whole connections.")
    return [one_line(line) for line in lines]


def ending(left: Left) -> list[str]:
    """Lines at the end: what was left out."""
    told = []
    for noun, counts in (("earnings", left.earnings), ("payouts", left.payouts)):
        if counts:
            parts = ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in sorted(counts.items()))
            told.append(f"Left out {noun}: {parts}.")
    return told


def one_line(text: str) -> str:
    """Without line breaks and control characters, which would end a line of the journal early."""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in text)).strip()[:WORDS_MAX]
