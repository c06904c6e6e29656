"""`tracker rebuild`: make everything derived again from the kept rows."""

from typing import Annotated

import typer

from tracker import connections
from tracker.cli.ground import PARTIAL, open_ledger, out, print_json
from tracker.rebuild import Rebuilt
from tracker.rebuild import rebuild as rebuild_one
from tracker.store import rollup


def rebuild(
    connection: Annotated[str | None, typer.Option(help="Only this connection; all when left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One object per connection.")] = False,
) -> None:
    """Make all figures again from the rows that were kept, after a connector was corrected. Asks no provider.

    Your own decisions and the history of changes stay. Exit code 0: all well, 1: rows are in quarantine.
    """
    deps = open_ledger()
    rows = [connections.find(deps.engine, connection)] if connection else connections.every(deps.engine)
    results = []
    for row in rows:
        results.append(rebuild_one(deps, row.id))
        if not as_json:
            out.print(line(results[-1]), markup=False)
    if not connection:
        with deps.engine.begin() as conn:
            rollup.rebuild(conn)
    if as_json:
        print_json([{**_fields(found), "nothing_changed": found.nothing} for found in results])
    elif not results:
        out.print("There are no connections yet.")
    raise typer.Exit(PARTIAL if any(found.held for found in results) else 0)


def _fields(found: Rebuilt) -> dict[str, object]:
    return {name: getattr(found, name) for name in found.__struct_fields__}


def line(found: Rebuilt) -> str:
    """One line about what a rebuild changed."""
    told = f"{found.slug}: {found.rows:,} rows made again"
    if found.nothing:
        return f"{told}, nothing changed."
    parts = [
        f"{count:,} {what}"
        for count, what in (
            (found.made, "new earnings"),
            (found.changed, "earnings changed"),
            (found.withdrawn, "earnings withdrawn"),
            (found.released, "rows released from quarantine"),
            (found.held, "rows put into quarantine"),
            *((count, f"{name} changed") for name, count in found.others.items()),
        )
        if count
    ]
    columns = ", ".join(f"{name} {count:,}" for name, count in found.columns.items())
    return f"{told}: {', '.join(parts)}." + (f" By column: {columns}." if columns else "")
