"""The letter in English. Its sentences stand in this folder and nowhere else; what they tell comes from the summary."""

from collections.abc import Iterator
from decimal import Decimal

from tracker.figures.comparison import portion
from tracker.letters import attention, earned, owed
from tracker.letters.document import Document, Paragraph, Section
from tracker.letters.written import Written, listed
from tracker.months import label
from tracker.summary import MonthlySummary, Trouble

_SECTIONS = (
    ("Income by stream", earned.by_stream),
    ("Compared with other months", earned.compared),
    ("Recurring revenue from subscriptions", earned.mrr),
    ("Waiting for validation", owed.pending),
    ("Taken back", owed.losses),
    ("Payouts to your bank", owed.payouts),
    ("Connections to look after", attention.connections),
    ("Rows that nobody understood", attention.quarantine),
)


def document(summary: MonthlySummary, *, late: bool) -> Document:
    w = Written(summary)
    sections = ((heading, list(parts(summary, w))) for heading, parts in _SECTIONS)
    title = f"Your income in {w.this_month}"
    return Document(
        subject=f"{title} (this letter comes late)" if late else title,
        title=title,
        opening=list(_opening(summary, w, late)),
        sections=[Section(heading, parts) for heading, parts in sections if parts],
        footer=list(_footer(summary, w)),
    )


def _opening(s: MonthlySummary, w: Written, late: bool) -> Iterator[Paragraph]:
    yield Paragraph(" ".join(_headline(s, w)))
    if late:
        yield Paragraph(f"This letter comes late, on {w.day(s.made_at)}: the tracker was not running when it was due.")
    if not s.over:
        yield Paragraph(f"{w.month} is not over yet: this is what is known on {w.day(s.made_at)}.")
    if stale := [one.title for one in s.troubled if one.trouble is not Trouble.EARLY]:
        verb = "is" if len(stale) == 1 else "are"
        yield Paragraph(
            f"Some of this may be out of date, because {listed(stale, 4)} {verb} not being read: see below."
        )


def _headline(s: MonthlySummary, w: Written) -> Iterator[str]:
    total = s.total.total.amount
    if s.empty:
        yield "There is nothing to tell yet, because no income has been read."
        if s.as_of:
            yield "Your connections are there; read them with: tracker sync"
        else:
            yield "Connect a first provider with: tracker connection add PROVIDER --slug NAME"
    elif s.nothing:
        yield f"No income is known of {w.this_month}."
        if s.begins and s.month < s.begins:
            yield f"Your ledger begins in {w.month_named(s.begins)}."
        if waiting := sum((one.sum.amount for one in s.pending), Decimal(0)):
            yield f"{w.money(waiting)} is waiting for validation."
    elif not s.total.earnings:
        yield f"What you earned in {w.this_month} is in currencies without a rate: {w.unconverted(s.unconverted)}."
    elif total < 0:
        yield f"{w.this_month} stands at {w.money(total)}: more was taken back than was earned."
    else:
        yield from _earned(s, w)


def _earned(s: MonthlySummary, w: Written) -> Iterator[str]:
    figure, share = s.total.total, _recurring(s, w)
    total, before, year = w.money(figure.amount), figure.last_month, figure.last_year
    if not s.over:
        yield f"You have earned {total} in {w.this_month}{share}."
        if before.before is not None:
            yield f"All of {w.month_beside(s.last_month.month)} came to {w.money(before.before)}."
        return
    than = ""
    if before.amount is not None and (difference := w.rounded(before.amount)):
        word = "more" if difference > 0 else "less"
        than = f", {w.money(abs(difference))} {word} than in {w.month_beside(s.last_month.month)}"
    elif before.amount is not None:
        than = f", just as much as in {w.month_beside(s.last_month.month)}"
    yield f"You earned {total} in {w.month}{than}{share}."
    if year.before is not None:
        yield f"A year earlier, in {w.month_beside(s.last_year.month)}, it was {w.money(year.before)}."


def _recurring(s: MonthlySummary, w: Written) -> str:
    share = portion(s.total.recurring.amount, s.total.total.amount)
    if share is None or not 0 <= share <= 1:  # refunds of one kind can exceed it
        return ""
    told = {Decimal(0): "none", Decimal(1): "all"}.get(share, w.share(share))
    return f"; {told} of it is recurring"


def _footer(s: MonthlySummary, w: Written) -> Iterator[Paragraph]:
    yield Paragraph(
        f"How this was counted: by the day on which it was earned (basis: {s.basis}), in the time zone {s.time_zone}. "
        "What is approved counts, after the provider's fees and with refunds subtracted. Other currencies are "
        f"converted to {s.currency} at the reference rate of the day. Amounts are rounded one by one, so a sum may "
        "miss by a cent."
    )
    yield Paragraph(f"The same figures by hand: tracker income --from {label(s.month)} --to {label(s.month)}")
    if s.as_of:
        read = listed(f"{slug} {w.minute(time) if time else 'never'}" for slug, time in s.as_of.items())
        yield Paragraph(f"Last read: {read}.")
