"""`tracker payouts`: money that providers sent to the bank, and whether the earnings inside explain it."""

from tracker import connections, reports
from tracker.cli import asked
from tracker.cli.columns import Line, Written, laid_out, show, terminal_width
from tracker.cli.ground import open_ledger, out, print_json
from tracker.reports import PayoutLine

#: What a table for people shows at most.
SHOWN = 50


def payouts(
    first: asked.FromDay = None,
    last: asked.ToDay = None,
    connection: asked.Slug = None,
    as_json: asked.Json = False,
) -> None:
    """Payouts, the newest first, each with the earnings inside and the difference. Payouts are never income."""
    days = asked.days(first, last)
    deps = open_ledger()
    owner = connections.find(deps.engine, connection).id if connection else None
    rows = reports.payouts(deps.engine, deps.settings, first=days[0], last=days[1], connection_id=owner)
    if as_json:
        print_json(rows)
    elif not rows:
        out.print("No payouts in that time. Read your connections: tracker sync")
    else:
        show(table(rows[:SHOWN], Written(deps.settings.locale, deps.settings.zone), terminal_width()))
        if len(rows) > SHOWN:
            out.print(f"These are the newest {SHOWN} of {len(rows):,}. All of them: --json; fewer: --from, --to")


def table(rows: list[PayoutLine], written: Written, width: int | None) -> list[Line]:
    lines = [
        Line(
            [
                written.day(row.created_at),
                row.connection,
                row.status.replace("_", " ") + (", estimated" if row.estimated else ""),
                written.day(row.arrives_at),
                written.amount(row.amount, row.currency),
                row.currency,
                "?" if row.earnings is None else f"{row.earnings:,}",
                written.amount(row.difference, row.currency),
            ]
        )
        for row in rows
    ]
    header = ["made", "connection", "status", "arrives", "amount", "", "earnings inside", "unexplained"]
    return laid_out(header, lines, left=4, width=width)
