"""`tracker connection`: accounts at providers."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from tracker import connections
from tracker.cli.ground import FAILED, jsonable, open_ledger, out, parse_day, parse_pairs, print_json
from tracker.connect import catalog
from tracker.errors import TrackerError, UsageError
from tracker.records import Role

app = typer.Typer(help="Accounts at providers: add, try out, pause, remove.", no_args_is_help=True)
Slug = Annotated[str, typer.Argument(help="The connection's short name.")]
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]
FILE_MAX = 100_000


@app.command()
def add(
    provider: Annotated[str, typer.Argument(help="See `tracker connector list`.")],
    slug: Annotated[str, typer.Option(help="A short name of your own for it.")],
    title: Annotated[str | None, typer.Option(help="How it is called in reports.")] = None,
    credential: Annotated[
        list[str] | None, typer.Option(help="name=value; asked for when left out. Beware: the shell keeps a history.")
    ] = None,
    credential_file: Annotated[Path | None, typer.Option(help="A JSON file with the credentials.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="name=value, such as base_url=https://shop.example")] = None,
    role: Annotated[
        str | None, typer.Option(help="cash: its rows are the money. enrichment: another connection counts it.")
    ] = None,
    stream: Annotated[
        str | None, typer.Option(help="The income stream its earnings belong to; by default one of its own.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Read the past from this day on.")] = None,
    as_json: Json = False,
) -> None:
    """Add a connection. Its credentials are sealed before they are stored."""
    deps = open_ledger()
    connector = catalog.find(provider)
    if role is not None and role not in list(Role):
        raise UsageError(f"--role: {role[:20]!r} is not a role.", hint="Choose cash or enrichment.")
    credentials = _from_file(credential_file) | parse_pairs(credential or (), "--credential")
    for name, wanted in connector.credentials.items():
        if name not in credentials and wanted.required:
            hint = f" ({wanted.help})" if wanted.help else ""
            credentials[name] = typer.prompt(f"{wanted.label}{hint}", hide_input=wanted.secret)
    row = connections.add(
        deps,
        provider,
        slug,
        credentials=credentials,
        options=parse_pairs(option or (), "--option"),
        title=title,
        role=role,
        stream=stream,
        since=_midnight(since, deps) if since else None,
    )
    if as_json:
        print_json(_shown(row))
        return
    out.print(
        f"Added [bold]{row.slug}[/] ({connector.title}). "
        f"Next: tracker connection test {row.slug}, then tracker sync {row.slug}"
    )
    if connector.warning:
        out.print(f"Note: {connector.warning}", markup=False)


def _midnight(text: str, deps: connections.Deps) -> Any:
    from datetime import datetime, time

    return datetime.combine(parse_day(text, "--since"), time(), deps.settings.zone)


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


@app.command("list")
def list_(as_json: Json = False) -> None:
    """All connections and how fresh they are."""
    deps = open_ledger()
    rows = connections.every(deps.engine)
    if as_json:
        print_json([_shown(row) for row in rows])
        return
    if not rows:
        out.print(
            "No connections yet. Add one: tracker connection add PROVIDER --slug NAME "
            "(providers: tracker connector list)"
        )
        return
    table = Table("connection", "provider", "role", "last complete sync", "state", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.slug, row.provider, row.role, _local(row.as_of, deps) or "never", _state(row, deps))
    out.print(table)


def _local(time: Any, deps: connections.Deps) -> str:
    return f"{time.astimezone(deps.settings.zone):%Y-%m-%d %H:%M}" if time else ""


def _state(row: Any, deps: connections.Deps) -> str:
    if row.paused_at:
        return f"paused: {row.paused_reason}"
    if row.last_error:
        return f"next try {_local(row.next_sync_at, deps)}, because {row.last_error}"
    return f"next sync {_local(row.next_sync_at, deps)}" if row.next_sync_at else ""


@app.command()
def show(slug: Slug, as_json: Json = False) -> None:
    """One connection with its options, how far each resource is read, and its newest runs."""
    deps = open_ledger()
    row = connections.find(deps.engine, slug)
    story = connections.story(deps.engine, row.id)
    if as_json:
        print_json({**_shown(row), **story})
        return
    for name, value in _shown(row).items():
        if value not in (None, {}, ""):
            out.print(f"{name.replace('_', ' '):18} {jsonable(value)}", markup=False)
    for place in story["resources"]:
        read = ", ".join(f"{axis} {time}" for axis, time in place["state"].items()) or "not read yet"
        out.print(f"{'resource':18} {place['resource']}: {read}", markup=False)
    for run in story["runs"]:
        told = f"{run['rows']} rows, {run['new']} new, {run['changed']} changed, {run['quarantined']} in quarantine."
        started = _local(run["started_at"], deps)
        out.print(f"{'run':18} {started} {run['outcome']}: {told} {run['message'] or ''}", markup=False)


def _shown(row: Any) -> dict[str, Any]:
    names = (
        "slug",
        "provider",
        "title",
        "role",
        "options",
        "as_of",
        "next_sync_at",
        "paused_at",
        "paused_reason",
        "last_error",
        "failures",
    )
    return {name: getattr(row, name) for name in names}


@app.command("test")
def try_out(slug: Slug, as_json: Json = False) -> None:
    """Prove the credentials with the cheapest calls and name a right that is missing."""
    deps = open_ledger()
    row = connections.find(deps.engine, slug)
    tried = connections.try_out(deps, row)
    well = all(item.readable for item in tried)
    if as_json:
        print_json({"slug": slug, "ok": well, "resources": tried})
    else:
        for item in tried:
            mark = "[green]✓[/]" if item.readable else "[red]✗[/]"
            out.print(f"{mark} {item.resource}", end="")
            out.print(f"  {item.problem}" if item.problem else "", markup=False)
        out.print("All well: tracker sync " + slug if well else "Give the key the missing right and test again.")
    if not well:
        raise typer.Exit(FAILED)


@app.command()
def pause(slug: Slug) -> None:
    """Leave a connection out of every sync until it is resumed."""
    connections.pause(open_ledger(), slug, "you paused it")
    out.print(f"{slug} is paused. Go on with: tracker connection resume {slug}")


@app.command()
def resume(slug: Slug) -> None:
    """Let a paused connection sync again."""
    connections.resume(open_ledger(), slug)
    out.print(f"{slug} is due now: tracker sync {slug}")


@app.command("credentials")
def credentials_(
    slug: Slug,
    credential: Annotated[list[str] | None, typer.Option(help="name=value; asked for when left out.")] = None,
    credential_file: Annotated[Path | None, typer.Option(help="A JSON file with the credentials.")] = None,
) -> None:
    """Replace a connection's credentials, for example after a key was revoked."""
    deps = open_ledger()
    row = connections.find(deps.engine, slug)
    given = _from_file(credential_file) | parse_pairs(credential or (), "--credential")
    for name, wanted in catalog.find(row.provider).credentials.items():
        if name not in given and wanted.required:
            given[name] = typer.prompt(wanted.label, hide_input=wanted.secret)
    connections.replace_credentials(deps, slug, given)
    out.print(f"Stored. Next: tracker connection test {slug}")


@app.command()
def remove(slug: Slug, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Remove a connection with all that was read from it."""
    deps = open_ledger()
    connections.find(deps.engine, slug)
    if not yes and not typer.confirm(f"Remove {slug} and every earning that came from it?"):
        raise TrackerError("nothing was removed.")
    count = connections.remove(deps, slug)
    out.print(f"Removed {slug} with {count} earnings.")
