"""`tracker password`: the way in for whoever has this machine."""

import sys

import typer

from tracker import accounts, audit, tokens
from tracker.cli.ground import now, open_ledger, out
from tracker.errors import UsageError


def password() -> None:
    """Set the owner's password, which is asked for or read from piped input, and log everybody out.

    API tokens stay good: `tracker token revoke` ends them.
    """
    deps = open_ledger()
    name = accounts.set_password(deps.engine, asked(), now())
    audit.record(deps.engine, now(), actor="command line", action="password reset", subject=name)
    out.print(f"Set. Log in as {name}; other browsers are logged out.", markup=False)
    good = tokens.good(deps.engine, accounts.find_user(deps.engine, name), now())
    if good:
        counted = "1 API token stays" if len(good) == 1 else f"{len(good)} API tokens stay"
        out.print(f"{counted} good: see tracker token list, and end one with tracker token revoke NAME.", markup=False)


def asked() -> str:
    """A new password, typed twice without echo or piped in as one line. Raises UsageError for none."""
    if sys.stdin.isatty():
        return str(typer.prompt("New password", hide_input=True, confirmation_prompt=True, err=True))
    word = sys.stdin.readline(10_000).rstrip("\r\n")
    if not word:
        raise UsageError("there is no password.", hint="Type it in a terminal, or pipe it in as one line.")
    return word
