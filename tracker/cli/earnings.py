"""`tracker earnings`: single earnings, and why each is counted or not."""

from typing import Any

from tracker import connections, reports
from tracker.cli import asked
from tracker.cli.columns import Line, Written, laid_out, show, terminal_width, write_csv
from tracker.cli.ground import open_ledger, out, print_json
from tracker.reports import EARNING_COLUMNS

#: What a table for people shows at most.
SHOWN = 50


def earnings(
    first: asked.FromDay = None,
    last: asked.ToDay = None,
    connection: asked.Slug = None,
    as_json: asked.Json = False,
    as_csv: asked.Csv = False,
) -> None:
    """Single earnings in order of time: one JSON object per line, CSV, or the first fifty as a table."""
    asked.one_form(as_json, as_csv)
    days = asked.days(first, last)
    deps = open_ledger()
    owner = connections.find(deps.engine, connection).id if connection else None
    limit = None if as_json or as_csv else SHOWN + 1
    rows = reports.earnings(deps.engine, deps.settings, first=days[0], last=days[1], connection_id=owner, limit=limit)
    if as_json:
        for row in rows:
            print_json(row)
    elif as_csv:
        write_csv(EARNING_COLUMNS, rows)
    else:
        _table(list(rows), Written(deps.settings.locale, deps.settings.zone))


def _table(rows: list[dict[str, Any]], written: Written) -> None:
    if not rows:
        out.print("No earnings in that time. Read your connections: tracker sync")
        return
    lines = [
        Line(
            [
                written.day(row["earned_at"]),
                row["connection"],
                row["kind"].replace("_", " "),
                row["program"] or row["product"] or row["external_id"],
                row["recurrence"].replace("_", "-"),
                "counted" if row["counted"] is True else row["counted"].replace("_", " "),
                written.amount(row["net"], row["currency"]),
                row["currency"],
            ],
            "" if row["counted"] is True else "dim",
        )
        for row in rows[:SHOWN]
    ]
    header = ["earned", "connection", "kind", "what", "recurrence", "total", "net", ""]
    show(laid_out(header, lines, left=6, width=terminal_width()))
    if len(rows) > SHOWN:
        out.print(f"These are the first {SHOWN}. All of them: --json or --csv; fewer: --from, --to, --connection")
