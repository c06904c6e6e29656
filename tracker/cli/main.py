"""The command `tracker`: one module per noun, registered here."""

import sys
from importlib.metadata import version

import typer
from sqlalchemy.exc import DBAPIError

from tracker.cli import connection, connector, sync
from tracker.cli.ground import FAILED, USAGE, err, fail
from tracker.errors import TrackerError

app = typer.Typer(
    name="tracker",
    help="All your income in one exact ledger: affiliate networks, billing and shops, recurring apart from one-off.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(connection.app, name="connection")
app.add_typer(connector.app, name="connector")
app.command("sync")(sync.sync)


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
        code = app(standalone_mode=False)
    except TrackerError as error:
        fail(error)
    except DBAPIError as error:
        err.print(f"tracker: the database answered: {str(error.orig).strip().splitlines()[0]}", markup=False)
        raise SystemExit(FAILED) from None
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
        raise
    raise SystemExit(code if isinstance(code, int) else 0)
