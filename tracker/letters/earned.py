"""What the letter says of income: by stream, against other months, and of subscriptions."""

from collections.abc import Iterator

from tracker.figures.comparison import StreamIncome, portion, together
from tracker.figures.mrr import Move
from tracker.letters.document import Bar, Command, Paragraph, Part, Row, Table
from tracker.letters.written import Written
from tracker.summary import MonthlySummary

#: Lines of a table; a publisher may have hundreds of streams. The smallest are told together.
STREAMS = 15


def by_stream(s: MonthlySummary, w: Written) -> Iterator[Part]:
    if s.streams:
        yield from _bar(s, w)
        rows = [*_lines(s, w), (w._("Total"), s.total)]
        other = w._("One-off") if _only_one_off(s) else w._("Other")
        yield Table(
            w._("Income in %(month)s, in %(currency)s", month=w.this_month, currency=s.currency),
            [w._("Stream"), w._("Recurring"), other, w._("Total")],
            [
                Row([name, *(w.amount(f.amount) for f in (line.recurring, line.other, line.total))], line is s.total)
                for name, line in rows
            ],
        )
        yield from _parts_of_other(s, w)
    yield from _in_no_total(s, w)
    if s.unconverted:
        yield Paragraph(
            w._(
                "Not in these figures, because no rate to %(currency)s is known: %(sums)s. Set one with:",
                currency=s.currency,
                sums=w.unconverted(s.unconverted),
            )
        )
        yield Command("tracker rates set CURRENCY DAY RATE")


def _only_one_off(s: MonthlySummary) -> bool:
    return not (s.total.instalment or s.total.variable)


def _bar(s: MonthlySummary, w: Written) -> Iterator[Part]:
    recurring, other = s.total.recurring.amount, w.money(s.total.other.amount)
    share = portion(recurring, s.total.total.amount)
    if share is not None and 0 <= share <= 1:
        rest = w._("%(amount)s one-off", amount=other) if _only_one_off(s) else w._("%(amount)s other", amount=other)
        yield Bar(round(share * 100), w._("%(amount)s recurring", amount=w.money(recurring)), rest)


def _lines(s: MonthlySummary, w: Written) -> list[tuple[str, StreamIncome]]:
    shown = STREAMS if len(s.streams) <= STREAMS else STREAMS - 1
    lines = [(one.stream or w._("without a name"), one) for one in s.streams[:shown]]
    if rest := s.streams[shown:]:
        lines.append((w.n("%(count)s more stream", "%(count)s more streams", len(rest)), together(rest)))
    return lines


def _parts_of_other(s: MonthlySummary, w: Written) -> Iterator[Part]:
    if _only_one_off(s):
        return
    told = []
    if s.total.one_off:
        told.append(w._("%(amount)s one-off", amount=w.money(s.total.one_off)))
    if s.total.instalment:
        told.append(w._("%(amount)s instalments", amount=w.money(s.total.instalment)))
    if s.total.variable:
        told.append(w._("%(amount)s ads and royalties", amount=w.money(s.total.variable)))
    yield Paragraph(w._("Other is all that does not recur: %(parts)s.", parts=w.listed(told)), faint=True)


def _in_no_total(s: MonthlySummary, w: Written) -> Iterator[Part]:
    told = []
    if s.waiting:
        told.append(w._("%(amount)s is not approved yet", amount=w.money(s.waiting)))
    if s.estimated:
        told.append(w._("%(amount)s is only estimated by the provider", amount=w.money(s.estimated)))
    if told:
        parts = w.listed(told)
        yield Paragraph(
            w._("Also earned in %(month)s, but in no total: %(parts)s.", month=w.month, parts=parts), faint=True
        )
    if s.costs:
        sums = w.listed(
            w.n(
                "%(amount)s (%(count)s commission)",
                "%(amount)s (%(count)s commissions)",
                one.earnings,
                amount=w.money(-one.amount, one.currency),
            )
            for one in s.costs
        )
        yield Paragraph(
            w._(
                "You owe or have paid %(sums)s to the affiliates of your own programme for %(month)s: a cost, in no "
                "total.",
                sums=sums,
                month=w.month,
            )
        )


# --- against other months ---


def compared(s: MonthlySummary, w: Written) -> Iterator[Part]:
    """A month that still runs is not compared: it would seem to have lost what is only still to come."""
    if not s.over or not s.streams:
        return
    befores = [one for one in (s.last_month, s.last_year) if one.known]
    if befores:
        figures = [(name, line.total) for name, line in _lines(s, w)]
        other = w._("All one-off") if _only_one_off(s) else w._("All other")
        figures += [(w._("All recurring"), s.total.recurring), (other, s.total.other)]
        rows = [
            Row([name, *(w.change(figure.against(before is s.last_year)) for before in befores)])
            for name, figure in figures
        ]
        whole = [w.change(s.total.total.against(before is s.last_year)) for before in befores]
        yield Table(
            w._("How much more or less %(month)s was, in %(currency)s", month=w.month, currency=s.currency),
            [w._("Stream"), *(w._("than %(month)s", month=w.short_month(one.month)) for one in befores)],
            [*rows, Row([w._("Total"), *whole], strong=True)],
        )
    if any(one.missing for one in befores):
        yield Paragraph(
            w._("No data: nothing is known of the stream so early, and the totals are without it."), faint=True
        )
    for one in (s.last_month, s.last_year):
        month = w.month_named(one.month)
        if not one.known:
            yield Paragraph(w._("Your ledger does not reach back to %(month)s.", month=month), faint=True)
        if one.unconverted:
            sums = w.unconverted(one.unconverted)
            yield Paragraph(
                w._("In %(month)s without a rate, and so left out: %(sums)s.", month=month, sums=sums), faint=True
            )


# --- subscriptions ---


def mrr(s: MonthlySummary, w: Written) -> Iterator[Part]:
    if s.mrr is None:
        return
    balance, moves, total = s.mrr.balance, s.mrr.movements, w.money(s.mrr.balance.total)
    if s.over:
        told = w.n(
            "At the end of %(month)s: %(amount)s a month from %(count)s customer (MRR).",
            "At the end of %(month)s: %(amount)s a month from %(count)s customers (MRR).",
            balance.customers,
            month=w.month,
            amount=total,
        )
    else:
        told = w.n(
            "Now: %(amount)s a month from %(count)s customer (MRR).",
            "Now: %(amount)s a month from %(count)s customers (MRR).",
            balance.customers,
            amount=total,
        )
    meaning = w._("That is the price of all subscriptions for one month, which is not what came in.")
    yield Paragraph(f"{told} {meaning}")
    lines = (
        (w._("At the start"), moves.start, None),
        (w._("New"), moves.new, Move.NEW),
        (w._("Upgraded"), moves.expansion, Move.EXPANSION),
        (w._("Came back"), moves.reactivation, Move.REACTIVATION),
        (w._("Downgraded"), -moves.contraction, Move.CONTRACTION),
        (w._("Left"), -moves.churn, Move.CHURN),
        (w._("Exchange rates"), moves.fx, None),
        (w._("At the end") if s.over else w._("Now"), moves.end, None),
    )
    customers = {0: moves.customers_at_start, len(lines) - 1: moves.customers_at_end}
    rows = []
    for index, (name, amount, move) in enumerate(lines):
        count = moves.count(move) if move else customers.get(index)
        if index in customers or w.rounded(amount):
            cells = [name, "" if count is None else w.count(count), w.amount(amount)]
            rows.append(Row(cells, strong=index == len(lines) - 1))
    caption = w._("How it moved in %(month)s, in %(currency)s", month=w.this_month, currency=s.currency)
    yield Table(caption, ["", w._("Customers"), w._("A month")], rows)
    if left_out := sorted({*balance.unconverted, *moves.unconverted}):
        yield Paragraph(
            w._("Subscriptions in %(currencies)s are not in it: no rate is known.", currencies=w.listed(left_out)),
            faint=True,
        )
