"""The command `tracker`: one module per noun, registered here."""

import sys
from importlib import import_module
from importlib.metadata import version
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from tracker.cli.ground import FAILED, USAGE, err, fail, opened
from tracker.errors import TrackerError

#: Every command with its line in `tracker --help`. The module of that name is imported when it is called, because all
#: together take seconds; it has a Typer group `app`, or else a function named as the command.
COMMANDS = {
    "connection": "Accounts at providers: add, try out, pause, remove.",
    "connector": "Providers that can be connected, and tools for writing a connector.",
    "sync": "Pull what is new from the providers.",
    "serve": "Sync on schedule, in one process.",
    "demo": "Five invented providers on this machine: connect, sync and report.",
    "income": "Income by month: recurring and one-off, pending, declined, reversed.",
    "earnings": "Single earnings, and why each is counted or not.",
    "payouts": "Money sent to your bank, and the earnings inside.",
    "mrr": "Monthly recurring revenue and how it moved in a month.",
    "stream": "Your income streams.",
    "rule": "Which earnings belong to which stream.",
    "program": "Programs of affiliate networks, and which of them pay again and again.",
    "override": "Decide by hand what an earning is.",
    "quarantine": "Rows that could not be understood: kept, shown, tried again.",
    "rebuild": "Make all figures again from the rows that were kept.",
    "rates": "Reference rates between currencies.",
    "doctor": "What is wrong, and what to do next.",
    "backup": "Write the whole ledger into one file.",
    "restore": "Put a backup into an empty ledger.",
    "key": "Change the key that seals credentials.",
}


class Commands(TyperGroup):
    """The commands by name alone, until one of them is called."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = {name: TyperCommand(name, help=text) for name, text in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, found, rest = super().resolve_command(ctx, args)
        return name, found and load(found.name or ""), rest


def load(name: str) -> Any:
    """The command itself."""
    module = import_module(f"tracker.cli.{name}")
    if hasattr(module, "app"):
        group = typer.main.get_group(module.app)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False)
    alone.command(name)(getattr(module, name))
    return typer.main.get_command(alone)


app = typer.Typer(
    cls=Commands,
    name="tracker",
    help="All your income in one exact ledger: affiliate networks, billing and shops, recurring apart from one-off.",
    no_args_is_help=True,
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
    """The entry point: every trouble that is not a bug ends in one line and an exit code."""
    try:
        with opened:
            code = app(standalone_mode=False)
    except TrackerError as error:
        fail(error)
    except KeyboardInterrupt:
        err.print("tracker: stopped; what was written is safe.")
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None
    except Exception as error:  # click comes inside typer, so its errors are told by what they can do
        if hasattr(error, "show"):
            error.show()
            raise SystemExit(USAGE) from None
        if type(error).__name__ == "Abort":
            err.print("tracker: stopped.")
            raise SystemExit(130) from None
        if "sqlalchemy" in sys.modules and (told := _database_said(error)):
            err.print(f"tracker: the database answered: {told}", markup=False)
            raise SystemExit(FAILED) from None
        raise
    raise SystemExit(code if isinstance(code, int) else 0)


def _database_said(error: Exception) -> str:
    from sqlalchemy.exc import DBAPIError

    return str(error.orig).strip().splitlines()[0] if isinstance(error, DBAPIError) else ""
