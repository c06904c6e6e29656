"""`tracker stream`: your income streams."""

from typing import Annotated, Any

import typer
from rich.table import Table

from tracker import rules, streams
from tracker.cli.ground import open_ledger, out, print_json
from tracker.cli.rule import told
from tracker.errors import UsageError
from tracker.money import decimals, plain

app = typer.Typer(help="Your income streams.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]
Name = Annotated[str, typer.Argument(help="A stream's name.")]


@app.command("list")
def list_streams(as_json: Json = False) -> None:
    """All streams with what belongs to them: the sum is what is approved or pending and counts."""
    found = streams.every_stream(open_ledger().engine)
    if as_json:
        print_json(found)
        return
    if not found:
        out.print("No streams yet: each connection brings its own, or make one with `tracker stream add NAME`.")
        return
    table = Table("stream", "connections", "rules", "earnings", "net", box=None, pad_edge=False)
    for row in found:
        table.add_row(row["title"], ", ".join(row["connections"]), str(row["rules"]), f"{row['earnings']:,}", _net(row))
    out.print(table)


def _net(row: dict[str, Any]) -> str:
    return ", ".join(
        f"{plain(round(net, decimals(currency)))} {currency}" for currency, net in row["net"].items() if net
    )


@app.command("add")
def add_stream(
    name: Name,
    business_model: Annotated[str | None, typer.Option(help="Such as affiliate, membership, digital product.")] = None,
    delivery: Annotated[str | None, typer.Option(help="one_to_one or one_to_many.")] = None,
) -> None:
    """Make a stream."""
    if delivery not in (None, "one_to_one", "one_to_many"):
        raise UsageError(f"--delivery: {delivery[:20]!r}.", hint="Choose one_to_one or one_to_many.")
    slug = streams.add_stream(open_ledger(), name, business_model, delivery)
    out.print(f"Made {slug}. Next: tracker rule add --stream {slug} --program '…'", markup=False)


@app.command("rename")
def rename_stream(name: Name, to: Annotated[str, typer.Argument(help="Its new name.")]) -> None:
    """Give a stream another name. What belongs to it stays."""
    out.print(f"It is called {to} now ({streams.rename_stream(open_ledger(), name, to)}).", markup=False)


@app.command("show")
def show_stream(name: Name, as_json: Json = False) -> None:
    """One stream with its connections and rules."""
    engine = open_ledger().engine
    with engine.connect() as conn:
        slug = streams.find_stream(conn, name).slug
    row = next(row for row in streams.every_stream(engine) if row["slug"] == slug)
    own = [rule for rule in rules.every_rule(engine) if rule["stream"] == row["title"]]
    if as_json:
        print_json({**row, "rules": own})
        return
    out.print(f"{row['title']} ({slug}): {row['earnings']:,} earnings, {_net(row) or 'nothing yet'}", markup=False)
    for connection in row["connections"]:
        out.print(f"  all of {connection} that no rule takes", markup=False)
    for rule in own:
        out.print(f"  {told(rule)}", markup=False)


@app.command("remove")
def remove_stream(
    name: Name, into: Annotated[str | None, typer.Option(help="The stream that gets what belongs to it.")] = None
) -> None:
    """Remove a stream; its earnings, connections and rules go to another."""
    moved = streams.remove_stream(open_ledger(), name, into)
    out.print(f"Removed {name}." + (f" {moved:,} earnings belong to {into} now." if into else ""), markup=False)
