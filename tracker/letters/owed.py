"""What the letter says of money that waits, that was taken back, and that was paid out."""

from collections.abc import Iterator
from decimal import Decimal

from tracker.letters.document import Paragraph, Part, Row, Table
from tracker.letters.written import Written
from tracker.summary import Loss, Losses, MonthlySummary, Payouts, Sum

#: Rows of a table.
ROWS = 12


def pending(s: MonthlySummary, w: Written) -> Iterator[Part]:
    if not s.pending:
        return
    yield Table(
        w._("Not approved yet on %(day)s, from all months, in no total", day=w.day(s.made_at)),
        [w._("At"), w._("Earnings"), w._("Oldest from"), w._("Amount")],
        [
            Row([one.title, w.count(count), w.short_month(one.oldest), amount])
            for one in s.pending[:ROWS]
            for count, amount in w.sums(one.sum)
        ],
    )
    if rest := s.pending[ROWS:]:
        yield Paragraph(
            w.n(
                "And %(amount)s at %(count)s more connection.",
                "And %(amount)s at %(count)s more connections.",
                len(rest),
                amount=w.money(sum((one.sum.amount for one in rest), Decimal(0))),
            ),
            faint=True,
        )


# --- taken back ---


def losses(s: MonthlySummary, w: Written) -> Iterator[Part]:
    lost, day = s.losses, w.day(s.losses.since)
    if lost.largest:
        told = w.listed(_lost(lost, w))
        if lost.since_letter:
            yield Paragraph(w._("Since the last letter on %(day)s, %(losses)s.", day=day, losses=told))
        else:
            yield Paragraph(w._("Since %(day)s, %(losses)s.", day=day, losses=told))
        yield Paragraph(" ".join(_meaning(lost, w)), faint=True)
        yield _largest(lost, w)
    elif not s.empty and lost.since_letter:
        yield Paragraph(w._("Since the last letter on %(day)s, nothing was declined or reversed.", day=day))
    elif not s.empty:
        yield Paragraph(w._("Since %(day)s, nothing was declined or reversed.", day=day))
    if lost.corrections:
        told = w.listed(
            _correction(kind, count, amount, w)
            for kind, sum_ in lost.corrections.items()
            for count, amount in w.sums(sum_)
        )
        yield Paragraph(w._("Already in the income of %(month)s: %(sums)s.", month=w.this_month, sums=told))


def _lost(lost: Losses, w: Written) -> Iterator[str]:
    """ "3 earnings (€20.00 and KES 500.00) were declined"."""
    if number := _number(lost.declined):
        yield w.n(
            "%(count)s earning (%(amounts)s) was declined",
            "%(count)s earnings (%(amounts)s) were declined",
            number,
            amounts=_amounts(lost.declined, w),
        )
    if number := _number(lost.reversed):
        yield w.n(
            "%(count)s earning (%(amounts)s) was reversed",
            "%(count)s earnings (%(amounts)s) were reversed",
            number,
            amounts=_amounts(lost.reversed, w),
        )


def _amounts(sum_: Sum, w: Written) -> str:
    return w.listed(amount for _, amount in w.sums(sum_))


def _number(sum_: Sum) -> int:
    return sum_.earnings + sum(one.earnings for one in sum_.unconverted)


def _meaning(lost: Losses, w: Written) -> Iterator[str]:
    if _number(lost.declined):
        yield w._("Declined: refused before approval, so no total ever had it.")
    if _number(lost.reversed):
        yield w._("Reversed: taken back after approval, so the month that it was earned in has become smaller.")


def _largest(lost: Losses, w: Written) -> Table:
    if _number(lost.declined) + _number(lost.reversed) == len(lost.largest):
        caption = w._("One by one, with the provider's own word where it has one")
    else:
        caption = w._("The largest of them, with the provider's own word where it has one")
    return Table(
        caption,
        [w._("What"), w._("Status"), w._("Earned"), w._("Amount")],
        [
            Row(
                [
                    _loss(one),
                    (_status(one, w), one.said or ""),
                    w.short_day(one.earned_at),
                    w.money(one.amount, one.currency),
                ]
            )
            for one in lost.largest
        ],
    )


def _loss(loss: Loss) -> str:
    what = loss.program or loss.product
    return f"{what}, {loss.title}" if what else loss.title


def _status(loss: Loss, w: Written) -> str:
    return w._("declined") if loss.status == "declined" else w._("reversed")


def _correction(kind: str, count: int, amount: str, w: Written) -> str:
    if kind == "refund":
        return w.n("%(count)s refund (%(amount)s)", "%(count)s refunds (%(amount)s)", count, amount=amount)
    if kind == "chargeback":
        return w.n("%(count)s chargeback (%(amount)s)", "%(count)s chargebacks (%(amount)s)", count, amount=amount)
    return w.n("%(count)s adjustment (%(amount)s)", "%(count)s adjustments (%(amount)s)", count, amount=amount)


# --- payouts ---


def payouts(s: MonthlySummary, w: Written) -> Iterator[Part]:
    if not s.received and not s.empty:
        yield Paragraph(w._("No payout is known to have arrived in %(month)s.", month=w.this_month))
    if s.received:
        yield _payouts(w._("Arrived in %(month)s", month=w.this_month), w._("Last on"), s.received, w)
    if s.failed:
        yield _payouts(w._("Failed: look at the provider's own site"), w._("Last on"), s.failed, w)
    if s.under_way:
        caption = w._("Announced or on the way on %(day)s", day=w.day(s.made_at))
        yield _payouts(caption, w._("Due by"), s.under_way, w)
    if every := (*s.received, *s.failed, *s.under_way):
        told = [w._("Payouts settle what was earned before; they are not income.")]
        if any(one.estimated for one in every):
            told.append(w._("Estimated ones were put together from the earnings that name them."))
        yield Paragraph(" ".join(told), faint=True)


def _payouts(caption: str, when: str, found: tuple[Payouts, ...], w: Written) -> Table:
    shown = found if len(found) <= ROWS else found[: ROWS - 1]
    rows = [
        Row(
            [
                w._("%(name)s, estimated", name=one.title) if one.estimated else one.title,
                w.count(one.payouts),
                w.short_day(one.last),
                w.money(one.amount, one.currency),
            ]
        )
        for one in shown
    ]
    if rest := found[len(shown) :]:
        more = w.n(
            "%(count)s more line: %(command)s",
            "%(count)s more lines: %(command)s",
            len(rest),
            command="tracker payouts",
        )
        rows.append(Row([more, w.count(sum(one.payouts for one in rest)), "", ""]))
    return Table(caption, [w._("From"), w._("Payouts"), when, w._("Amount")], rows)
