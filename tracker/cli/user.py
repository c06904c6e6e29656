"""`tracker user`: who may see the pages, for whoever has this machine."""

from typing import Annotated

import typer
from rich.table import Table

from tracker import accounts, audit
from tracker.cli.ground import open_ledger, out, print_json
from tracker.cli.password import asked
from tracker.connections import Deps

app = typer.Typer(help="Who may see the pages: owners and viewers.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The name to log in with.")]
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Every user."""
    deps = open_ledger()
    users = accounts.every_user(deps.engine, deps.now())
    if as_json:
        names = ("name", "role", "language", "created_at", "browsers")
        print_json([{name: getattr(user, name) for name in names} for user in users])
        return
    if not users:
        out.print("There are none yet. Set a password first: tracker password")
        return
    table = Table("Name", "Role", "Since", "Logged in")
    for user in users:
        table.add_row(user.name, user.role, f"{user.created_at:%Y-%m-%d}", str(user.browsers or "-"))
    out.print(table)


@app.command()
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="owner, who may change everything, or viewer.")] = accounts.VIEWER,
) -> None:
    """Add a user, whose password is asked for or read from piped input."""
    deps = open_ledger()
    accounts.add_user(deps.engine, name, asked(), role, deps.now())
    _note(deps, "user added", f"{name.strip()} ({role})")
    out.print(f"{name.strip()} may log in as {role}.", markup=False)


@app.command()
def password(name: Name) -> None:
    """Give a user another password, and log them out everywhere."""
    deps = open_ledger()
    accounts.reset_password(deps.engine, accounts.find_user(deps.engine, name), asked())
    _note(deps, "password reset", name.strip())
    out.print(f"Set. {name.strip()} is logged out everywhere.", markup=False)


@app.command()
def role(name: Name, to: Annotated[str, typer.Argument(help="owner or viewer.")]) -> None:
    """Make a user an owner or a viewer. There is always an owner."""
    deps = open_ledger()
    accounts.set_role(deps.engine, accounts.find_user(deps.engine, name), to)
    _note(deps, "role changed", f"{name.strip()} ({to})")
    out.print(f"{name.strip()} is {to} now.", markup=False)


@app.command()
def remove(name: Name) -> None:
    """Remove a user with their API tokens."""
    deps = open_ledger()
    accounts.remove_user(deps.engine, accounts.find_user(deps.engine, name))
    _note(deps, "user removed", name.strip())
    out.print(f"{name.strip()} can no longer log in.", markup=False)


def _note(deps: Deps, action: str, subject: str) -> None:
    audit.record(deps.engine, deps.now(), actor="command line", action=action, subject=subject)
