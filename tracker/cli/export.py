"""`tracker export`: earnings as a file for spreadsheets, programs and double-entry journals."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tracker.cli.ground import err, now, open_ledger
from tracker.errors import UsageError
from tracker.exports import formats
from tracker.exports.formats import Form
from tracker.filters import Filter, one_of


def export(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help=f"{', '.join(Form)}.")],
    file: Annotated[Path | None, typer.Argument(help="Where to; else to the output.")] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="DAY", help="First day.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DAY", help="Last day, included.")] = None,
    month: Annotated[str | None, typer.Option(metavar="MONTH", help="Such as 2026-06.")] = None,
    basis: Annotated[str | None, typer.Option(help="Which date counts: earned, approved or paid.")] = None,
    stream: Annotated[str | None, typer.Option(metavar="SLUG", help="Only this stream.")] = None,
    connection: Annotated[str | None, typer.Option(metavar="SLUG", help="Only this connection.")] = None,
    program: Annotated[str | None, typer.Option(help="Its id or title; * is any text.")] = None,
    product: Annotated[str | None, typer.Option(help="Its id or title; * is any text.")] = None,
    status: Annotated[str | None, typer.Option(help="pending, approved, declined or reversed.")] = None,
    settlement: Annotated[str | None, typer.Option(help="unpaid, scheduled or paid.")] = None,
    recurrence: Annotated[str | None, typer.Option(help="recurring, one_off, instalment or variable.")] = None,
    kind: Annotated[str | None, typer.Option(help="commission, sale, refund, fee, …")] = None,
    currency: Annotated[str | None, typer.Option(metavar="CODE", help="Only earned in this currency.")] = None,
    sub_id: Annotated[str | None, typer.Option(help="* is any text.")] = None,
    least: Annotated[str | None, typer.Option("--min", metavar="AMOUNT", help="At least so much.")] = None,
    most: Annotated[str | None, typer.Option("--max", metavar="AMOUNT", help="At most so much.")] = None,
    q: Annotated[str | None, typer.Option("--search", metavar="TEXT", help="A reference, or part of a text.")] = None,
    counted: Annotated[str | None, typer.Option(help="yes: only what is in totals; no: only what is not.")] = None,
) -> None:
    """Earnings that fit, in order of time: CSV, XLSX, JSON, or a beancount or hledger journal."""
    chosen = one_of(form, Form, "FORMAT")
    given = {
        "from": first, "to": last, "month": month, "basis": basis, "stream": stream, "connection": connection,
        "program": program, "product": product, "status": status, "settlement": settlement, "recurrence": recurrence,
        "kind": kind, "currency": currency, "sub_id": sub_id, "min": least, "max": most, "q": q, "counted": counted,
    }  # fmt: skip
    wanted = Filter.parse({name: text for name, text in given.items() if text is not None})
    if file is None and chosen is Form.XLSX and sys.stdout.isatty():
        raise UsageError("a workbook is nothing for a terminal.", hint="Name a file: tracker export xlsx earnings.xlsx")
    deps = open_ledger()
    pieces = formats.export(deps.engine, deps.settings, wanted, chosen, now())
    if file is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return
    if file.exists():
        raise UsageError(f"{file.name} is there already.", hint="Name another file, or remove it first.")
    try:
        with file.open("xb") as out:
            for piece in pieces:
                out.write(piece)
    except BaseException:  # half a file is taken for a whole one
        file.unlink(missing_ok=True)
        raise
    err.print(f"Written: {file}", markup=False)
