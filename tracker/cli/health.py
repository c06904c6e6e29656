"""`tracker health`: whether the tracker of this machine or container does its work; for health checks."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from tracker.cli.ground import opened, out, print_json
from tracker.errors import TrackerError
from tracker.jobs import Health, health_of
from tracker.settings import load_settings
from tracker.store.database import open_engine


def health(as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """Whether the database answers, the clock runs and connections are synced. Exit code 0: well, 1: not."""
    try:
        settings = load_settings()
        engine = open_engine(settings.database_url)  # as it is: a check makes and migrates nothing
        opened.callback(engine.dispose)
        found = health_of(engine, datetime.now(UTC), settings.zone)
    except TrackerError as error:
        found = Health(problem=str(error))
    if as_json:
        print_json({"ok": found.problem is None, **found._asdict()})
    else:
        out.print(f"not well: {found.problem}" if found.problem else "well", markup=False)
    if found.problem:
        raise typer.Exit(1)
