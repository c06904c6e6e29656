"""`tracker quarantine`: rows that could not be understood, kept until they can."""

from typing import Annotated, Any

import typer
from rich.table import Table

from tracker import connections, quarantine
from tracker.cli.ground import PARTIAL, open_ledger, out, print_json

app = typer.Typer(help="Rows that could not be understood: kept, shown, tried again.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]
Only = Annotated[str | None, typer.Option("--connection", help="Only this connection's rows.")]
_SHOWN = ("id", "connection", "resource", "row_key", "error", "first_seen_at", "last_seen_at", "tries")


@app.command("list")
def list_(
    connection: Only = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="At most so many, the newest first.")
    ] = quarantine.SHOWN,
    as_json: Json = False,
) -> None:
    """The rows in quarantine, the newest first, and what is wrong with each."""
    deps = open_ledger()
    owner = connections.find(deps.engine, connection).id if connection else None
    rows, total = quarantine.held(deps.engine, owner, limit)
    if as_json:
        print_json([_shown(row) for row in rows])
        return
    if not rows:
        out.print("The quarantine is empty.")
        return
    table = Table("id", "connection", "resource", "row", "tries", "what is wrong", box=None, pad_edge=False)
    for row in rows:
        table.add_row(str(row.id), row.connection, row.resource, row.row_key or "?", str(row.tries), row.error[:120])
    out.print(table)
    more = f"{len(rows)} of {total} rows. " if total > len(rows) else ""
    out.print(f"{more}A row as it came: tracker quarantine show ID. After an update: tracker quarantine retry")


def _shown(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _SHOWN}


@app.command()
def show(
    row_id: Annotated[int, typer.Argument(metavar="ID", help="From `tracker quarantine list`.")], as_json: Json = False
) -> None:
    """One row as the provider sent it, without personal fields, and what is wrong with it."""
    row = quarantine.one(open_ledger().engine, row_id)
    payload = bytes(row.payload).decode("utf-8", "replace")
    if as_json:
        print_json({**_shown(row), "payload": payload})
        return
    for name, value in _shown(row).items():
        out.print(f"{name.replace('_', ' '):14} {value}", markup=False)
    out.print(payload, markup=False)


@app.command()
def retry(
    ids: Annotated[list[int] | None, typer.Argument(metavar="[ID]...", help="Rows; all when left out.")] = None,
    connection: Only = None,
    as_json: Json = False,
) -> None:
    """Try rows again with the connectors as they are now. Exit code 0: all are understood, 1: some are not."""
    deps = open_ledger()
    owner = connections.find(deps.engine, connection).id if connection else None
    results = quarantine.retry(deps, ids or (), owner)
    if as_json:
        print_json(results)
    elif not results:
        out.print("The quarantine is empty.")
    for found in () if as_json else results:
        out.print(line(found), markup=False)
    left = any(found.held or found.waiting or found.undecided for found in results)
    raise typer.Exit(PARTIAL if left else 0)


def line(found: quarantine.Tried) -> str:
    """One line about what trying again brought."""
    told = f"{found.slug}: {found.understood} of {found.tried} rows are understood now"
    if found.held:
        told += f", {found.held} are still not"
    if found.waiting:
        told += f", {found.waiting} are older versions of rows that wait"
    if found.undecided:
        told += f", {found.undecided} came twice with different content: name one by its id to make it count"
    return f"{told}."
