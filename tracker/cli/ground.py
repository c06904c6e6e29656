"""What every command stands on: the opened ledger, output for people and for scripts, exit codes.

Exit codes: 0 all well, 1 partial (rows in quarantine), 2 something failed, 64 wrong usage.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from rich.console import Console

from tracker.errors import TrackerError, UsageError
from tracker.money import plain

if TYPE_CHECKING:
    from tracker.connections import Deps
    from tracker.settings import Settings

PARTIAL, FAILED, USAGE, INTERRUPTED = 1, 2, 64, 130
STOPPED = "tracker: stopped; what was written is safe."
#: Seconds that a provider may still take to answer when everything else has stopped.
PATIENCE_S = 5.0


class Output(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # `run` ends quietly, as it does for plain output


#: For people: tables and progress. Plain text when the output is no terminal.
out = Output(highlight=False, soft_wrap=not sys.stdout.isatty())
err = Console(stderr=True, highlight=False, soft_wrap=True)


#: What `run` closes at the end: the databases that commands opened.
opened = ExitStack()


def now() -> datetime:
    return datetime.now(UTC)


def open_ledger(settings: "Settings | None" = None) -> "Deps":
    """The ledger of this installation, at the newest version and in the currency and time zone of the settings.

    Raises ConfigError.
    """
    from tracker.launch import open_ledger
    from tracker.settings import load_settings
    from tracker.store.database import database_errors

    deps = open_ledger(settings or load_settings())
    opened.callback(deps.engine.dispose)
    opened.enter_context(database_errors(deps.engine))
    return deps


def know_own_providers() -> None:
    """Let the catalogue find the providers in the data folder: for commands that need no ledger."""
    from tracker.connect.declared import folder
    from tracker.settings import load_settings

    folder.look_in(load_settings().data_dir)


def print_json(value: object) -> None:
    sys.stdout.write(json.dumps(jsonable(value), ensure_ascii=False) + "\n")


def jsonable(value: Any) -> Any:
    """Amounts as decimal strings in major units, times as ISO 8601 with offset, unknown as null."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(name): jsonable(item) for name, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return jsonable(asdict(value))
    if isinstance(value, msgspec.Struct):
        return jsonable(msgspec.structs.asdict(value))
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [jsonable(item) for item in value]
    return value


def parse_day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{name}: not a day: {text[:40]!r}.", hint="Write it as 2026-06-30.") from None


def parse_pairs(pairs: Iterable[str], name: str) -> dict[str, str]:
    """`k=v` texts as a mapping."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"{name}: expected name=value.", hint=f"Example: {name} token=…")
        found[key.strip()] = value
    return found


def fail(error: TrackerError) -> NoReturn:
    """One line about what is wrong and what to do next, and the exit code for it."""
    err.print(f"tracker: {error}", markup=False)
    raise SystemExit(USAGE if isinstance(error, UsageError) else FAILED)
