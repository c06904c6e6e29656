"""The command `tracker`: one module per noun, registered here."""

import os
import sys
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from traceback import walk_tb
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from tracker.cli.ground import FAILED, INTERRUPTED, STOPPED, USAGE, err, fail, opened
from tracker.errors import TrackerError

#: Every command with its line in `tracker --help`. The module of that name is imported when it is called, because all
#: together take seconds; it has a Typer group `app`, or else a function named as the command.
COMMANDS = {
    "connection": "Accounts at providers: add, try out, pause, remove.",
    "connector": "Providers that can be connected; tools to write a connector.",
    "sync": "Pull what is new from the providers.",
    "import": "Statements from files: CSV, TSV, XLSX.",
    "serve": "Sync on schedule and serve the pages, in one process.",
    "password": "Set the password of the pages, also a forgotten one.",
    "user": "Who may see the pages: owners and viewers.",
    "token": "Keys to the API for scripts and other programs.",
    "schedule": "What runs when, in local time, and why something waits.",
    "health": "Whether the clock runs and syncs happen; for health checks.",
    "demo": "Invented providers on this machine: connect, sync and report.",
    "income": "Income by month: recurring, one-off, pending, reversed.",
    "earnings": "Single earnings, and why each is counted or not.",
    "export": "Earnings as CSV, XLSX, JSON or a beancount or hledger journal.",
    "payouts": "Money sent to your bank, and the earnings inside.",
    "mrr": "Monthly recurring revenue and how it moved in a month.",
    "letter": "The monthly letter: what came in and what is open.",
    "stream": "Your income streams.",
    "rule": "Which earnings belong to which stream.",
    "program": "Programs of affiliate networks, and which of them recur.",
    "override": "Decide by hand what an earning is.",
    "quarantine": "Rows that could not be understood: kept, shown, tried again.",
    "rebuild": "Make all figures again from the rows that were kept.",
    "rates": "Reference rates between currencies.",
    "doctor": "What is wrong, and what to do next.",
    "backup": "Write the whole ledger into one file.",
    "restore": "Put a backup into an empty ledger.",
    "key": "Change the key that seals credentials.",
}

#: Where a command's name is no name for a module.
MODULES = {"import": "importing"}


class Commands(TyperGroup):
    """The commands by name alone, until one of them is called."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = {name: TyperCommand(name, help=text) for name, text in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, found, rest = super().resolve_command(ctx, args)
        return name, found and load(found.name or ""), rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # `head` has seen enough, which typer would call a failure
            _drop_output()
            return 0


def load(name: str) -> Any:
    """The command itself."""
    module = import_module(f"tracker.cli.{MODULES.get(name, name)}")
    if hasattr(module, "app"):
        module.app.rich_markup_mode = None
        group = typer.main.get_group(module.app)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name)(getattr(module, name, None) or getattr(module, f"{name}_"))
    return typer.main.get_command(alone)


app = typer.Typer(
    cls=Commands,
    name="tracker",
    help="All your income in one exact ledger: affiliate networks, billing and shops, recurring apart from one-off.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"income-tracker {version('income-tracker')}")
        raise typer.Exit


@app.callback()
def main(
    shown: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    pass


def run() -> None:
    """The entry point: every trouble ends in one line and an exit code."""
    try:
        with opened:
            code = app(standalone_mode=False)
        sys.stdout.flush()
    except TrackerError as error:
        fail(error)
    except BrokenPipeError:
        _drop_output()
        raise SystemExit(0) from None
    except OSError as error:
        _drop_output()
        name = f" ({error.filename})" if error.filename else ""
        err.print(f"tracker: {error.strerror or type(error).__name__}{name}.", markup=False)
        raise SystemExit(FAILED) from None
    except Exception as error:
        raise SystemExit(_told(error)) from None
    if code == INTERRUPTED:  # typer's word for Ctrl-C
        err.print(STOPPED, markup=False)
    raise SystemExit(code if isinstance(code, int) else 0)


def _told(error: Any) -> int:
    """Say what an error of the command line itself, or a bug, is about. Answers the exit code."""
    name = type(error).__name__  # click comes inside typer, so its errors are known by name and by what they can do
    if name == "Abort":
        err.print("\ntracker: stopped.")
        return INTERRUPTED
    if name == "NoArgsIsHelpError":
        err.print(str(error), markup=False)
        return USAGE
    if hasattr(error, "format_message"):
        path = error.ctx.command_path if getattr(error, "ctx", None) else "tracker"
        err.print(f"tracker: {error.format_message().rstrip('.')}. See: {path} --help", markup=False)
        return USAGE
    if os.environ.get("TRACKER_LOG_LEVEL", "").upper() == "DEBUG":
        raise error
    *_, (frame, line) = walk_tb(error.__traceback__)
    place = f"{frame.f_globals.get('__name__')}, line {line}"
    err.print(  # not its message, which may quote anything
        f"tracker: a fault of the tracker itself ({name} in {place}). What was written is safe. "
        "Please report it; with TRACKER_LOG_LEVEL=DEBUG it tells more.",
        markup=False,
    )
    return FAILED


def _drop_output() -> None:
    """Nobody reads on: what is still to be written must not fail once more when the process ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
