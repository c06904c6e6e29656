"""`tracker password`: the way in for whoever has this machine."""

import sys

import typer

from tracker import accounts
from tracker.cli.ground import now, open_ledger, out
from tracker.errors import UsageError


def password() -> None:
    """Set the owner's password, which is asked for or read from piped input, and log everybody out."""
    deps = open_ledger()
    if sys.stdin.isatty():
        word = typer.prompt("New password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        word = sys.stdin.readline(10_000).rstrip("\r\n")
        if not word:
            raise UsageError("there is no password.", hint="Type it in a terminal, or pipe it in as one line.")
    name = accounts.set_password(deps.engine, word, now())
    out.print(f"Set. Log in as {name}; other browsers are logged out.", markup=False)
