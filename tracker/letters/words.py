"""The letter in words. Its sentences stand in this folder and nowhere else, in English, with their translations in
`languages`; what they tell comes from the summary.
"""

from collections.abc import Iterator
from decimal import Decimal

from tracker.figures.comparison import portion
from tracker.letters import attention, earned, owed
from tracker.letters.document import Document, Paragraph, Part, Section
from tracker.letters.written import Written
from tracker.months import label
from tracker.summary import MonthlySummary, Trouble


def document(summary: MonthlySummary, *, late: bool) -> Document:
    w = Written(summary)
    title = w._("Your income in %(month)s", month=w.this_month)
    return Document(
        language=w.language,
        sender=w._("Income tracker"),
        subject=w._("%(title)s (this letter comes late)", title=title) if late else title,
        title=title,
        opening=list(_opening(summary, w, late)),
        sections=[Section(heading, told) for heading, parts in _sections(summary, w) if (told := list(parts))],
        footer=list(_footer(summary, w)),
    )


def _sections(s: MonthlySummary, w: Written) -> Iterator[tuple[str, Iterator[Part]]]:
    yield w._("Income by stream"), earned.by_stream(s, w)
    yield w._("Compared with other months"), earned.compared(s, w)
    yield w._("Recurring revenue from subscriptions"), earned.mrr(s, w)
    yield w._("Waiting for validation"), owed.pending(s, w)
    yield w._("Taken back"), owed.losses(s, w)
    yield w._("Payouts to your bank"), owed.payouts(s, w)
    yield w._("Connections to look after"), attention.connections(s, w)
    yield w._("Rows that nobody understood"), attention.quarantine(s, w)


def _opening(s: MonthlySummary, w: Written, late: bool) -> Iterator[Paragraph]:
    yield Paragraph(" ".join(_headline(s, w)))
    day = w.day(s.made_at)
    if late:
        yield Paragraph(
            w._("This letter comes late, on %(day)s: the tracker was not running when it was due.", day=day)
        )
    if not s.over:
        yield Paragraph(w._("%(month)s is not over yet: this is what is known on %(day)s.", month=w.month, day=day))
    if stale := [one.title for one in s.troubled if one.trouble is not Trouble.EARLY]:
        yield Paragraph(
            w.n(
                "Some of this may be out of date, because %(names)s is not being read: see below.",
                "Some of this may be out of date, because %(names)s are not being read: see below.",
                len(stale),
                names=w.listed(stale, 4),
            )
        )


def _headline(s: MonthlySummary, w: Written) -> Iterator[str]:
    total = s.total.total.amount
    if s.empty:
        yield w._("There is nothing to tell yet, because no income has been read.")
        if s.as_of:
            yield w._("Your connections are there; read them with: %(command)s", command="tracker sync")
        else:
            command = "tracker connection add PROVIDER --slug NAME"
            yield w._("Connect a first provider with: %(command)s", command=command)
    elif s.nothing:
        yield w._("No income is known of %(month)s.", month=w.this_month)
        if s.begins and s.month < s.begins:
            yield w._("Your ledger begins in %(month)s.", month=w.month_named(s.begins))
        if waiting := sum((one.sum.amount for one in s.pending), Decimal(0)):
            yield w._("%(amount)s is waiting for validation.", amount=w.money(waiting))
    elif not s.total.earnings:
        sums = w.unconverted(s.unconverted)
        yield w._(
            "What you earned in %(month)s is in currencies without a rate: %(sums)s.", month=w.this_month, sums=sums
        )
    elif total < 0:
        yield w._(
            "%(month)s stands at %(total)s: more was taken back than was earned.",
            month=w.this_month,
            total=w.money(total),
        )
    elif s.over:
        yield from _earned(s, w)
    else:
        yield from _earned_so_far(s, w)


def _earned(s: MonthlySummary, w: Written) -> Iterator[str]:
    figure = s.total.total
    values = {"total": w.money(figure.amount), "month": w.month, "before": w.month_beside(s.last_month.month)}
    change = figure.last_month.amount
    more = None if change is None else w.rounded(change)
    values["difference"] = w.money(abs(more or Decimal(0)))
    if more is None:
        earned = w._("You earned %(total)s in %(month)s", **values)
    elif more > 0:
        earned = w._("You earned %(total)s in %(month)s, %(difference)s more than in %(before)s", **values)
    elif more < 0:
        earned = w._("You earned %(total)s in %(month)s, %(difference)s less than in %(before)s", **values)
    else:
        earned = w._("You earned %(total)s in %(month)s, just as much as in %(before)s", **values)
    yield _with_share(earned, s, w)
    if (year := figure.last_year.before) is not None:
        month = w.month_beside(s.last_year.month)
        yield w._("A year earlier, in %(month)s, it was %(amount)s.", month=month, amount=w.money(year))


def _earned_so_far(s: MonthlySummary, w: Written) -> Iterator[str]:
    figure = s.total.total
    yield _with_share(
        w._("You have earned %(total)s in %(month)s so far", total=w.money(figure.amount), month=w.month), s, w
    )
    if (before := figure.last_month.before) is not None:
        month = w.month_beside(s.last_month.month)
        yield w._("All of %(month)s came to %(amount)s.", month=month, amount=w.money(before))


def _with_share(earned: str, s: MonthlySummary, w: Written) -> str:
    """The sentence, and after it how much of that is recurring, where it makes sense."""
    share = portion(s.total.recurring.amount, s.total.total.amount)
    if share is None or not 0 <= share <= 1:  # refunds of one kind can exceed it
        return f"{earned}."
    if share == 0:
        recurring = w._("none of it is recurring")
    elif share == 1:
        recurring = w._("all of it is recurring")
    else:
        recurring = w._("%(share)s of it is recurring", share=w.share(share))
    return f"{earned}; {recurring}."


def _footer(s: MonthlySummary, w: Written) -> Iterator[Paragraph]:
    yield Paragraph(
        w._(
            "How this was counted: by the day on which it was earned (basis: %(basis)s), in the time zone %(zone)s. "
            "What is approved counts, after the provider's fees and with refunds subtracted. Other currencies are "
            "converted to %(currency)s at the reference rate of the day. Amounts are rounded one by one, so a sum may "
            "miss by a cent.",
            basis=s.basis,
            zone=s.time_zone,
            currency=s.currency,
        )
    )
    command = f"tracker income --from {label(s.month)} --to {label(s.month)}"
    yield Paragraph(w._("The same figures by hand: %(command)s", command=command))
    if s.as_of:
        never = w._("never")  # not inside of the f-string, where sentences are not collected from
        read = w.listed(f"{slug} {w.minute(time) if time else never}" for slug, time in s.as_of.items())
        yield Paragraph(w._("Last read: %(connections)s.", connections=read))
