"""Credentials from the command line, a file, a prompt or a pipe; ids that the provider can list are looked up."""

import json
import sys
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tracker.cli.ground import err, parse_pairs
from tracker.connect.connector import Connector, Credential
from tracker.discover import Found, Seen
from tracker.errors import UsageError

Credentials = Annotated[
    list[str] | None,
    typer.Option(
        "--credential",
        metavar="NAME=VALUE",
        help="Asked for without echo when left out. Beware: the shell keeps a history.",
    ),
]
CredentialFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help='A JSON file with the credentials: {"name": "value"}.')
]
Look = Callable[[Mapping[str, str]], Seen]
#: A refresh token for credentials and somebody who opens an address and answers with the code that is shown there.
LogIn = Callable[[Mapping[str, str], Callable[[str], str]], str]
FILE_MAX = LINE_MAX = 100_000
_CHOICES_MAX = 10  # in a message


def given(path: Path | None, pairs: list[str] | None) -> dict[str, str]:
    return _from_file(path) | parse_pairs(pairs or (), "--credential")


def completed(
    connector: Connector, given: Mapping[str, str], look: Look | None = None, log_in: LogIn | None = None,
    *, leave_out: Collection[str] = (),
) -> dict[str, str]:  # fmt: skip
    """With the required credentials that were not given: asked for without echo, or a line each of piped input.

    What is left empty and the provider can list is looked up with `look`; what is in `leave_out` is not asked for.
    Where the provider shows somebody who logs in a code, `log_in` makes a refresh token of it.
    """
    whole = dict(given)
    listed = {one.fills for one in connector.discover} if look else set()
    login = connector.auth.login if log_in and sys.stdin.isatty() else None
    for name, wanted in connector.credentials.items():
        logs_in = login is not None and login.shown_at and name == login.fills
        if login and name == login.client_secret and not wanted.required and name not in whole:
            whole[name] = _asked(wanted, empty="Enter leaves it out")
        if name in whole or not wanted.required or name in leave_out:
            continue
        empty = "Enter logs you in" if logs_in else "Enter looks it up" if name in listed else ""
        whole[name] = _asked(wanted, empty=empty)
        if logs_in and log_in and not whole[name].strip():
            whole[name] = log_in(whole, partial(_code, connector.title))
        if look and name in listed and not whole[name].strip():
            del whole[name]
            whole[name] = _looked_up(name, wanted, look(whole))
    return whole


def _asked(wanted: Credential, empty: str = "") -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline(LINE_MAX)
    hint = "; ".join(filter(None, (wanted.help, empty)))
    label = f"{wanted.label} ({hint})" if hint else wanted.label
    default = "" if empty else None
    told: str = typer.prompt(label, default=default, show_default=False, hide_input=wanted.secret, err=True)
    return told


def _code(title: str, address: str) -> str:
    err.print(f"Open this address, allow the tracker to read, and copy the code that {title} shows:", markup=False)
    err.print(address, markup=False, soft_wrap=True)
    return _asked(Credential("Code"))


def _looked_up(name: str, wanted: Credential, seen: Seen) -> str:
    """The only one there is, or the user's choice. Raises UsageError where there is none, or nobody to choose."""
    found = seen.choices(name)
    if not found:
        raise UsageError(f"your key sees nothing that could be the {wanted.label}.", hint=" ".join(seen.notes))
    if len(found) == 1:
        err.print(f"{wanted.label}: {_told(found[0])}, the only one that your key can see.", markup=False)
        return found[0].id
    if not sys.stdin.isatty():
        told = ", ".join(_told(one) for one in found[:_CHOICES_MAX])
        more = f" and {len(found) - _CHOICES_MAX} more" if len(found) > _CHOICES_MAX else ""
        raise UsageError(f"your key can see {told}{more}.", hint=f"Choose one: --credential {name}=…")
    for one in found:
        err.print(f"  {_told(one)}", markup=False)
    return _asked(wanted)


def _told(one: Found) -> str:
    return f"{one.id} ({one.title})" if one.title else one.id


def _from_file(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        with path.open(encoding="utf-8") as file:
            found = json.loads(file.read(FILE_MAX))
    except OSError as error:
        raise UsageError(f"--credential-file: cannot read {path}: {error.strerror}.") from None
    except ValueError:
        raise UsageError(f"--credential-file: {path} is not JSON.", hint='Expected {"name": "value", …}.') from None
    if not isinstance(found, dict) or not all(isinstance(value, str | int) for value in found.values()):
        raise UsageError(
            f"--credential-file: {path} does not hold names with values.", hint='Expected {"name": "value", …}.'
        )
    return {str(name): str(value) for name, value in found.items()}
