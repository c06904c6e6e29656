"""What the letter says of money that waits, that was taken back, and that was paid out."""

from collections.abc import Iterator
from decimal import Decimal

from tracker.letters.document import Paragraph, Part, Row, Table
from tracker.letters.written import Written, listed
from tracker.summary import Loss, Losses, MonthlySummary, Payouts, Sum

#: Rows of a table.
ROWS = 12


def pending(s: MonthlySummary, w: Written) -> Iterator[Part]:
    if not s.pending:
        return
    yield Table(
        f"Not approved yet on {w.day(s.made_at)}, from all months, in no total",
        ["At", "Earnings", "Oldest from", "Amount"],
        [
            Row([one.title, w.count(count), w.short_month(one.oldest), amount])
            for one in s.pending[:ROWS]
            for count, amount in w.sums(one.sum)
        ],
    )
    if rest := s.pending[ROWS:]:
        amount = sum((one.sum.amount for one in rest), Decimal(0))
        yield Paragraph(f"And {w.money(amount)} at {w.several(len(rest), 'more connection')}.", faint=True)


# --- taken back ---


def losses(s: MonthlySummary, w: Written) -> Iterator[Part]:
    lost = s.losses
    since = f"Since the last letter on {w.day(lost.since)}" if lost.since_letter else f"Since {w.day(lost.since)}"
    if not lost.largest:
        if not s.empty:
            yield Paragraph(f"{since}, nothing was declined or reversed.")
    else:
        told = [f"{_counted(sum_, w)} {word}" for sum_, word in _words(lost.declined, lost.reversed)]
        yield Paragraph(f"{since}, {listed(told)}.")
        yield Paragraph(" ".join(_meaning(lost)), faint=True)
        whole = _number(lost.declined) + _number(lost.reversed) == len(lost.largest)
        yield Table(
            f"{'One by one' if whole else 'The largest of them'}, with the provider's own word where it has one",
            ["What", "Status", "Earned", "Amount"],
            [
                Row(
                    [
                        _loss(one),
                        (one.status, one.said or ""),
                        w.short_day(one.earned_at),
                        w.money(one.amount, one.currency),
                    ]
                )
                for one in lost.largest
            ],
        )
    if lost.corrections:
        told = [
            f"{w.several(count, kind)} ({amount})"
            for kind, sum_ in lost.corrections.items()
            for count, amount in w.sums(sum_)
        ]
        yield Paragraph(f"Already in the income of {w.this_month}: {listed(told)}.")


def _words(declined: Sum, reversed_: Sum) -> Iterator[tuple[Sum, str]]:
    for sum_, word in ((declined, "declined"), (reversed_, "reversed")):
        if _number(sum_):
            yield sum_, f"{'was' if _number(sum_) == 1 else 'were'} {word}"


def _counted(sum_: Sum, w: Written) -> str:
    """ "3 earnings (€20.00 and KES 500.00)"."""
    return f"{w.several(_number(sum_), 'earning')} ({listed(amount for _, amount in w.sums(sum_))})"


def _number(sum_: Sum) -> int:
    return sum_.earnings + sum(one.earnings for one in sum_.unconverted)


def _loss(loss: Loss) -> str:
    what = loss.program or loss.product
    return f"{what}, {loss.title}" if what else loss.title


def _meaning(lost: Losses) -> Iterator[str]:
    if _number(lost.declined):
        yield "Declined: refused before approval, so no total ever had it."
    if _number(lost.reversed):
        yield "Reversed: taken back after approval, so the month that it was earned in has become smaller."


# --- payouts ---


def payouts(s: MonthlySummary, w: Written) -> Iterator[Part]:
    if not s.received and not s.empty:
        yield Paragraph(f"No payout is known to have arrived in {w.this_month}.")
    if s.received:
        yield _payouts(f"Arrived in {w.this_month}", "Last on", s.received, w)
    if s.failed:
        yield _payouts("Failed: look at the provider's own site", "Last on", s.failed, w)
    if s.under_way:
        yield _payouts(f"Announced or on the way on {w.day(s.made_at)}", "Due by", s.under_way, w)
    if s.received or s.failed or s.under_way:
        estimated = any(one.estimated for one in (*s.received, *s.failed, *s.under_way))
        more = " Estimated ones were put together from the earnings that name them." if estimated else ""
        yield Paragraph(f"Payouts settle what was earned before; they are not income.{more}", faint=True)


def _payouts(caption: str, when: str, found: tuple[Payouts, ...], w: Written) -> Table:
    shown = found if len(found) <= ROWS else found[: ROWS - 1]
    rows = [
        Row(
            [
                f"{one.title}, estimated" if one.estimated else one.title,
                w.count(one.payouts),
                w.short_day(one.last),
                w.money(one.amount, one.currency),
            ]
        )
        for one in shown
    ]
    if rest := found[len(shown) :]:
        rows.append(
            Row(
                [f"{w.count(len(rest))} more lines: tracker payouts", w.count(sum(one.payouts for one in rest)), "", ""]
            )
        )
    return Table(caption, ["From", "Payouts", when, "Amount"], rows)
