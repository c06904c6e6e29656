"""What the letter says of income: by stream, against other months, and of subscriptions."""

from collections.abc import Iterator

from tracker.figures.comparison import StreamIncome, portion, together
from tracker.figures.mrr import Move
from tracker.letters.document import Bar, Command, Paragraph, Part, Row, Table
from tracker.letters.written import Written, listed
from tracker.summary import MonthlySummary

#: Lines of a table; a publisher may have hundreds of streams. The smallest are told together.
STREAMS = 15


def by_stream(s: MonthlySummary, w: Written) -> Iterator[Part]:
    if s.streams:
        yield from _bar(s, w)
        rows = [*_lines(s, w), ("Total", s.total)]
        yield Table(
            f"Income in {w.this_month}, in {s.currency}",
            ["Stream", "Recurring", _other(s).capitalize(), "Total"],
            [
                Row([name, *(w.amount(f.amount) for f in (line.recurring, line.other, line.total))], line is s.total)
                for name, line in rows
            ],
        )
        yield from _parts_of_other(s, w)
    if s.waiting or s.estimated:
        parts = [f"{w.money(s.waiting)} is not approved yet"] if s.waiting else []
        parts += [f"{w.money(s.estimated)} is only estimated by the provider"] if s.estimated else []
        yield Paragraph(f"Also earned in {w.month}, but in no total: {listed(parts)}.", faint=True)
    if s.costs:
        told = [f"{w.money(-one.amount, one.currency)} ({w.several(one.earnings, 'commission')})" for one in s.costs]
        yield Paragraph(
            f"You owe or have paid {listed(told)} to the affiliates of your own programme for {w.month}: a cost, in no "
            "total."
        )
    if s.unconverted:
        left_out = w.unconverted(s.unconverted)
        yield Paragraph(f"Not in these figures, because no rate to {s.currency} is known: {left_out}. Set one with:")
        yield Command("tracker rates set CURRENCY DAY RATE")


def _bar(s: MonthlySummary, w: Written) -> Iterator[Part]:
    recurring, other = s.total.recurring.amount, s.total.other.amount
    share = portion(recurring, s.total.total.amount)
    if share is not None and 0 <= share <= 1:
        yield Bar(round(share * 100), f"{w.money(recurring)} recurring", f"{w.money(other)} {_other(s)}")


def _lines(s: MonthlySummary, w: Written) -> list[tuple[str, StreamIncome]]:
    shown = STREAMS if len(s.streams) <= STREAMS else STREAMS - 1
    lines = [(one.stream or "without a name", one) for one in s.streams[:shown]]
    if rest := s.streams[shown:]:
        lines.append((f"{w.count(len(rest))} more streams", together(rest)))
    return lines


def _other(s: MonthlySummary) -> str:
    return "other" if s.total.instalment or s.total.variable else "one-off"


def _parts_of_other(s: MonthlySummary, w: Written) -> Iterator[Part]:
    if _other(s) == "other":
        kinds = {"one-off": s.total.one_off, "instalments": s.total.instalment, "ads and royalties": s.total.variable}
        told = listed(f"{w.money(amount)} {name}" for name, amount in kinds.items() if amount)
        yield Paragraph(f"Other is all that does not recur: {told}.", faint=True)


# --- against other months ---


def compared(s: MonthlySummary, w: Written) -> Iterator[Part]:
    """A month that still runs is not compared: it would seem to have lost what is only still to come."""
    if not s.over or not s.streams:
        return
    befores = [one for one in (s.last_month, s.last_year) if one.known]
    if befores:
        figures = [(name, line.total) for name, line in _lines(s, w)]
        figures += [("All recurring", s.total.recurring), (f"All {_other(s)}", s.total.other)]
        rows = [
            Row([name, *(w.change(figure.against(before is s.last_year)) for before in befores)])
            for name, figure in figures
        ]
        whole = [w.change(s.total.total.against(before is s.last_year)) for before in befores]
        yield Table(
            f"How much more or less {w.month} was, in {s.currency}",
            ["Stream", *(f"than {w.short_month(one.month)}" for one in befores)],
            [*rows, Row(["Total", *whole], strong=True)],
        )
    if any(one.missing for one in befores):
        yield Paragraph("No data: nothing is known of the stream so early, and the totals are without it.", faint=True)
    for one in (s.last_month, s.last_year):
        month = w.month_named(one.month)
        if not one.known:
            yield Paragraph(f"Your ledger does not reach back to {month}.", faint=True)
        if one.unconverted:
            yield Paragraph(
                f"In {month} without a rate, and so left out: {w.unconverted(one.unconverted)}.", faint=True
            )


# --- subscriptions ---


def mrr(s: MonthlySummary, w: Written) -> Iterator[Part]:
    if s.mrr is None:
        return
    balance, moves = s.mrr.balance, s.mrr.movements
    when = f"At the end of {w.month}" if s.over else "Now"
    yield Paragraph(
        f"{when}: {w.money(balance.total)} a month from {w.several(balance.customers, 'customer')} (MRR). That is the "
        "price of all subscriptions for one month, which is not what came in."
    )
    lines = (
        ("At the start", moves.start, None),
        ("New", moves.new, Move.NEW),
        ("Upgraded", moves.expansion, Move.EXPANSION),
        ("Came back", moves.reactivation, Move.REACTIVATION),
        ("Downgraded", -moves.contraction, Move.CONTRACTION),
        ("Left", -moves.churn, Move.CHURN),
        ("Exchange rates", moves.fx, None),
        ("At the end" if s.over else "Now", moves.end, None),
    )
    customers = {0: moves.customers_at_start, len(lines) - 1: moves.customers_at_end}
    rows = []
    for index, (name, amount, move) in enumerate(lines):
        count = moves.count(move) if move else customers.get(index)
        if index in customers or w.rounded(amount):
            cells = [name, "" if count is None else w.count(count), w.amount(amount)]
            rows.append(Row(cells, strong=index == len(lines) - 1))
    yield Table(f"How it moved in {w.this_month}, in {s.currency}", ["", "Customers", "A month"], rows)
    if left_out := sorted({*balance.unconverted, *moves.unconverted}):
        yield Paragraph(f"Subscriptions in {listed(left_out)} are not in it: no rate is known.", faint=True)
