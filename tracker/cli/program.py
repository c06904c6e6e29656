"""`tracker program`: offers of advertisers, and which of them pay again and again."""

from typing import Annotated

import typer
from rich.table import Table

from tracker import streams
from tracker.cli.ground import open_ledger, out, print_json

app = typer.Typer(help="Programs of affiliate networks.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]


@app.command("list")
def list_programs(
    connection: Annotated[str | None, typer.Option(help="Only this connection's programs.")] = None,
    marked: Annotated[bool, typer.Option("--marked", help="Only those marked as recurring.")] = False,
    as_json: Json = False,
) -> None:
    """Programs, the busiest first."""
    found, total = streams.every_program(open_ledger().engine, connection, marked=marked)
    if as_json:
        print_json([{name: row[name] for name in _PROGRAM} for row in found])
        return
    table = Table("connection", "program", "title", "earnings", "marked", box=None, pad_edge=False)
    for row in found:
        marked_as = "recurring" if row["recurring"] else ""
        table.add_row(row["connection"], row["program"], row["title"], f"{row['earnings']:,}", marked_as)
    out.print(table if found else "No programs.")
    if total > len(found):
        out.print(f"{len(found)} of {total}. Narrow it with --connection.")


_PROGRAM = ("connection", "program", "title", "recurring", "earnings")
Owner = Annotated[str, typer.Argument(metavar="CONNECTION")]
ProgramName = Annotated[str, typer.Argument(help="Its id at the provider, or its title.")]


@app.command()
def mark(connection: Owner, program: ProgramName) -> None:
    """Say that a program's commissions come again and again."""
    count = streams.mark_program(open_ledger(), connection, program, True)
    out.print(f"{program} is recurring. {count:,} earnings were decided anew.", markup=False)


@app.command()
def unmark(connection: Owner, program: ProgramName) -> None:
    """Take the mark back."""
    count = streams.mark_program(open_ledger(), connection, program, False)
    out.print(f"{program} is not marked. {count:,} earnings were decided anew.", markup=False)
