"""`tracker income`: what came in by month, recurring apart from one-off."""

from dataclasses import asdict
from decimal import Decimal
from itertools import groupby
from typing import Annotated, Any

import typer

from tracker import reports
from tracker.cli import asked
from tracker.cli.columns import Line, Written, freshness, laid_out, several, show, terminal_width, write_csv
from tracker.cli.ground import err, open_ledger, print_json
from tracker.figures.income import AMOUNTS, IncomeRow, summed
from tracker.months import label, month_of
from tracker.reports import Income
from tracker.settings import Settings
from tracker.store.reads import Basis, By

COLUMNS = ("month", "group", *AMOUNTS, "earnings")
#: Shown even when nothing is in them.
_ALWAYS = ("recurring", "one_off", "total")


def income(
    first: asked.From = None,
    last: asked.To = None,
    by: Annotated[str, typer.Option(metavar="WORD", help=f"Group by {', '.join(By)}.")] = By.STREAM,
    basis: Annotated[
        str, typer.Option(metavar="WORD", help="Which date counts: earned, approved or paid.")
    ] = Basis.EARNED,
    currency: asked.Currency = None,
    as_json: asked.Json = False,
    as_csv: asked.Csv = False,
) -> None:
    """Income by month: recurring and one-off, and what is pending, declined, reversed or estimated beside it."""
    asked.one_form(as_json, as_csv)
    group, date = asked.choice(by, By, "--by"), asked.choice(basis, Basis, "--basis")
    code = asked.code(currency)
    deps = open_ledger()
    months = asked.months(first, last, month_of(deps.now(), deps.settings.zone))
    report = reports.income(
        deps.engine, deps.settings, first=months[0], last=months[1], by=group, basis=date, currency=code
    )
    if as_json:
        print_json(told(report))
    elif as_csv:
        write_csv(COLUMNS, [row_told(row) for row in report.rows])
        for line in (*_costs(report, Written("en")), *_unconverted(report, Written("en"))):
            err.print(line, markup=False)
    else:
        show(table(report, deps.settings, terminal_width()))


def told(report: Income) -> dict[str, Any]:
    """The report for scripts, which rely on these names."""
    return {
        "currency": report.currency,
        "basis": report.basis,
        "time_zone": report.time_zone,
        "from": label(report.first),
        "to": label(report.last),
        "as_of": report.as_of,
        "rows": [row_told(row) for row in report.rows],
        "costs": [{**asdict(one), "month": label(one.month)} for one in report.costs],
        "unconverted": [asdict(one) for one in report.unconverted],
    }


def row_told(row: IncomeRow) -> dict[str, Any]:
    return {**asdict(row), "month": label(row.month)}


def table(report: Income, settings: Settings, width: int | None) -> list[Line]:
    """The report for people: under each month with its sum the groups, then the sum of all; what it stands on below."""
    written = Written(settings.locale, settings.zone)
    if not report.rows:
        return [Line([line]) for line in (*_nothing(report), *_costs(report, written), *_unconverted(report, written))]
    whole = summed(report.rows)
    names = [name for name in AMOUNTS if name in _ALWAYS or any(getattr(row, name) for row in report.rows)]

    def cells(title: str, row: IncomeRow) -> list[str]:
        return [title, *(written.amount(getattr(row, name), report.currency) for name in names)]

    lines: list[Line] = []
    for month, rows in groupby(report.rows, key=lambda row: row.month):
        own = list(rows)
        lines.append(Line(cells(written.month(month), summed(own)), "bold"))
        lines += [Line(cells(f"  {row.group or 'not known'}", row)) for row in own]
    if report.first != report.last:
        lines.append(Line(cells("all months", whole), "bold"))
    header = [f"by {report.by}", *(name.replace("_", "-") for name in names)]
    below = [
        f"{report.currency}, months by the day {report.basis} in {report.time_zone}, at the reference rates of "
        f"the days earned. Total: {several(whole.earnings, 'earning')}; pending and what follows it are not in it.",
        *_costs(report, written),
        freshness(report.as_of, written),
        *_unconverted(report, written),
    ]
    return [*laid_out(header, lines, width=width), Line([""]), *(Line([line], "dim") for line in below)]


def _nothing(report: Income) -> list[str]:
    if not report.as_of:
        return ["Nothing here yet. Add a connection: tracker connection add PROVIDER --slug NAME, then: tracker sync"]
    if report.empty:
        return ["Nothing here yet. Read your connections: tracker sync"]
    return [f"No income from {label(report.first)} to {label(report.last)}. Try another --from, or: tracker sync"]


def _costs(report: Income, written: Written) -> list[str]:
    if not report.costs:
        return []
    sums: dict[str, Decimal] = {}
    for one in report.costs:
        sums[one.currency] = sums.get(one.currency, Decimal(0)) - one.amount
    number = several(sum(one.earnings for one in report.costs), "commission")
    parts = " and ".join(written.money(amount, currency) for currency, amount in sums.items())
    return [f"Costs, in none of these figures: {parts} ({number}) for the affiliates of your own programmes."]


def _unconverted(report: Income, written: Written) -> list[str]:
    if not report.unconverted:
        return []
    parts = [
        f"{written.money(one.net, one.currency)} ({several(one.earnings, 'earning')})" if one.earnings else one.currency
        for one in report.unconverted
    ]
    return [f"Not in these figures, because no rate to {report.currency} is known: {', '.join(parts)}."]
