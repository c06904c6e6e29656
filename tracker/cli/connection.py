"""`tracker connection`: accounts at providers."""

from collections.abc import Callable, Mapping
from datetime import datetime, time
from typing import Annotated, Any

import typer
from rich.table import Table

from tracker import connections, discover, tending, trial
from tracker.cli import discovered, inbound
from tracker.cli.credentials import CredentialFile, Credentials, completed, given
from tracker.cli.ground import (
    FAILED,
    fail,
    jsonable,
    know_own_providers,
    open_ledger,
    out,
    parse_day,
    parse_pairs,
    print_json,
)
from tracker.cli.schedule import Agenda
from tracker.connect import catalog
from tracker.errors import AuthRejected, ProviderError, RightMissing, TrackerError, UsageError
from tracker.hours import interval_text, read_interval, read_quiet
from tracker.records import Role
from tracker.store.database import reading

app = typer.Typer(help="Accounts at providers: add, try out, pause, remove.", no_args_is_help=True)
Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The connection's short name.")]
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]
Every = Annotated[
    str | None, typer.Option(metavar="INTERVAL", help="How often it is synced: 30m, 6h, 1d. Every hour at first.")
]
Quiet = Annotated[
    str | None,
    typer.Option(metavar="HH:MM-HH:MM", help="No scheduled sync begins then, in your time zone. none: at any time."),
]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="Such as base_url=https://shop.example"),
]


@app.command()
def add(
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="See `tracker connector list`.")],
    slug: Annotated[str, typer.Option(metavar="SLUG", help="A short name of your own for it.")],
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="How it is called in reports.")] = None,
    credential: Credentials = None,
    credential_file: CredentialFile = None,
    option: Options = None,
    role: Annotated[
        str | None,
        typer.Option(metavar="ROLE", help="cash: its rows are the money. enrichment: another connection counts it."),
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The income stream its earnings belong to; by default one of its own."),
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="Read the past from this day on.")] = None,
    every: Every = None,
    quiet: Quiet = None,
    as_json: Json = False,
) -> None:
    """Connect an account. Its credentials are sealed before they are stored.

    An id that you do not know is looked up when you leave it empty, if the provider can tell what your key sees. To
    list it first: tracker connector discover PROVIDER.
    """
    know_own_providers()
    connector = catalog.find(provider)
    if role is not None and role not in list(Role):
        raise UsageError(f"--role: {role[:20]!r} is not a role.", hint="Choose cash or enrichment.")
    agreed = _agreed(every, quiet)
    deps = open_ledger()
    start = datetime.combine(parse_day(since, "--since"), time(), deps.settings.zone) if since else None
    options = parse_pairs(option or (), "--option")
    keys = given(credential_file, credential)
    connections.check(connector, keys, options, asked_for=False)
    with reading(deps.engine) as conn:
        connections.check_slug(conn, slug)
    row = connections.add(
        deps,
        provider,
        slug,
        credentials=_completed(deps, provider, keys, options),
        options=options,
        title=title,
        role=role,
        stream=stream,
        since=start,
        **agreed,
    )
    if as_json:
        print_json(_shown(row))
        return
    following = f"tracker connection test {row.slug}, then tracker sync {row.slug}"
    if connector.imported:
        following = f"tracker import FILE --connection {row.slug}"
    out.print(f"Added {row.slug} ({connector.title}). Next: {following}", markup=False)
    if connector.warning:
        out.print(f"Note: {connector.warning}", markup=False)


def _completed(
    deps: connections.Deps, provider: str, keys: Mapping[str, str], options: Mapping[str, str]
) -> dict[str, str]:
    """What was not given is asked for, looked up, or brought by a login."""
    connector = catalog.find(provider)
    login = connector.auth.login
    return completed(
        connector,
        keys,
        lambda whole: discover.before(deps, provider, whole, options),
        (lambda whole, ask: trial.refresh_token_of(deps, login, whole, options, ask)) if login else None,
    )


def _agreed(every: str | None, quiet: str | None) -> dict[str, Any]:
    """The schedule in the words of `connections.add` and `edit`, without what was not given."""
    agreed: dict[str, Any] = {}
    if every is not None:
        agreed["interval_s"] = _read("--every", read_interval, every)
    if quiet is not None:
        agreed["quiet"] = "" if quiet.strip().lower() == "none" else _read("--quiet", read_quiet, quiet)
    return agreed


def _read(name: str, read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except UsageError as error:
        error.message = f"{name}: {error.message}"
        raise


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
    agenda = Agenda(deps)
    table = Table("connection", "provider", "role", "last complete sync", "state", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.slug, row.provider, row.role, _local(row.as_of, deps) or "never", agenda.state(row))
    out.print(table)
    for row in rows:  # below, because a reason is longer than a column
        if reason := agenda.reason(row):
            out.print(reason, markup=False)


def _local(moment: datetime | None, deps: connections.Deps) -> str:
    return f"{moment.astimezone(deps.settings.zone):%Y-%m-%d %H:%M}" if moment else ""


@app.command()
def show(slug: Slug, as_json: Json = False) -> None:
    """One connection: its options, how far it is read, its newest runs."""
    deps = open_ledger()
    row = connections.find(deps.engine, slug)
    story = connections.story(deps.engine, row.id)
    if as_json:
        print_json({**_shown(row), **story})
        return
    options = [("option", f"{name}={value}") for name, value in row.options.items()]
    hidden = {"options", "next_sync_at", "last_error", "paused_reason"}
    if row.next_sync_at is None and row.paused_at is None:  # fed by files: nothing reads it by itself
        hidden.add("interval_s")
    for name, value in [*_shown(row).items(), *options]:
        if value not in (None, "") and name not in hidden:
            text = _local(value, deps) if isinstance(value, datetime) else jsonable(value)
            if name == "interval_s":
                name, text = "every", interval_text(value)
            out.print(f"{name.replace('_', ' '):14} {text}", markup=False)
    agenda = Agenda(deps)
    out.print(f"{'state':14} {agenda.state(row)}", markup=False)
    if reason := agenda.reason(row):
        out.print(f"{'':14} {reason}", markup=False)
    for place in story["resources"]:
        read = ", ".join(f"{axis} {mark}" for axis, mark in place["state"].items()) or "not read yet"
        more = "; the next sync goes on in the middle" if place["unfinished"] else ""
        out.print(f"{'resource':14} {place['resource']}: {read}{more}", markup=False)
    for run in story["runs"]:
        told = f"{run['rows']:,} rows, {run['new']:,} new, {run['changed']:,} changed"
        quarantined = f", {run['quarantined']:,} in quarantine" if run["quarantined"] else ""
        outcome = run["outcome"] or "running or killed"
        started = _local(run["started_at"], deps)
        out.print(f"{'run':14} {started} {outcome}: {told}{quarantined}. {run['message'] or ''}", markup=False)


def _shown(row: Any) -> dict[str, Any]:
    names = (
        "slug",
        "provider",
        "title",
        "role",
        "options",
        "as_of",
        "interval_s",
        "quiet",
        "next_sync_at",
        "paused_at",
        "paused_reason",
        "last_error",
        "failures",
    )
    return {name: getattr(row, name) for name in names}


@app.command("test")
def try_out(slug: Slug, as_json: Json = False) -> None:
    """Prove the credentials with the cheapest calls; name a missing right."""
    deps = open_ledger()
    row = connections.find(deps.engine, slug)
    try:
        tried = trial.try_out(deps, row)
    except ProviderError as error:
        if isinstance(error, AuthRejected) and not isinstance(error, RightMissing):
            error.hint = f"{error.hint} Then: tracker connection credentials {slug}".strip()
        if as_json:
            print_json(
                {"slug": slug, "ok": False, "resources": [], "error": type(error).__name__, "message": str(error)}
            )
        fail(error)
    well = all(item.readable for item in tried)
    if as_json:
        print_json({"slug": slug, "ok": well, "resources": tried, "error": None, "message": None})
    else:
        for item in tried:
            mark = "[green]✓[/]" if item.readable else "[red]✗[/]"
            out.print(f"{mark} {item.resource}", end="")
            out.print(f"  {item.problem}" if item.problem else "", markup=False)
        out.print(f"All well. Next: tracker sync {slug}" if well else "Give the key the missing right and test again.")
    if not well:
        raise typer.Exit(FAILED)


@app.command("discover")
def discover_(slug: Slug, as_json: Json = False) -> None:
    """List the accounts, sites and programmes that a connection's key can see."""
    deps = open_ledger()
    seen = discover.connected(deps, slug)
    discovered.show(catalog.find(connections.find(deps.engine, slug).provider), seen, as_json)


def _say(deps: connections.Deps, slug: str, told: str, as_json: bool) -> None:
    if as_json:
        print_json(_shown(connections.find(deps.engine, slug)))
    else:
        out.print(told, markup=False)


@app.command()
def edit(slug: Slug, every: Every = None, quiet: Quiet = None, option: Options = None, as_json: Json = False) -> None:
    """Change how often and when a connection is synced, or its options."""
    agreed = _agreed(every, quiet)
    if not agreed and not option:
        hint = "Give --every 6h, --quiet 22:00-06:00, --quiet none or --option name=value."
        raise UsageError("there is nothing to change.", hint=hint)
    deps = open_ledger()
    if option:
        connections.replace_options(deps, slug, parse_pairs(option, "--option"))
        told = f"What was read before is read with them again by: tracker rebuild --connection {slug}"
        if not (as_json and agreed):
            _say(deps, slug, f"{slug} has other options. {told}", as_json)
    if not agreed:
        return
    connections.edit(deps, slug, **agreed)
    row = connections.find(deps.engine, slug)
    quiet_told = f", but not from {row.quiet.replace('-', ' to ')}" if row.quiet else ""
    state = Agenda(deps).state(row)
    _say(deps, slug, f"{slug} is synced every {interval_text(row.interval_s)}{quiet_told}: {state}.", as_json)


@app.command()
def pause(slug: Slug, as_json: Json = False) -> None:
    """Leave a connection out of every sync until it is resumed."""
    deps = open_ledger()
    connections.pause(deps, slug)
    _say(deps, slug, f"{slug} is paused. Go on with: tracker connection resume {slug}", as_json)


@app.command()
def resume(slug: Slug, as_json: Json = False) -> None:
    """Let a paused connection sync again."""
    deps = open_ledger()
    connections.resume(deps, slug)
    _say(deps, slug, f"{slug} is due now: tracker sync {slug}", as_json)


@app.command("credentials")
def credentials_(
    slug: Slug, credential: Credentials = None, credential_file: CredentialFile = None, as_json: Json = False
) -> None:
    """Replace the credentials, for example of a key that was revoked."""
    deps = open_ledger()
    row = connections.find(deps.engine, slug)
    connector = catalog.find(row.provider)
    keys = given(credential_file, credential)
    connections.check(connector, keys, row.options, asked_for=False)
    whole = _completed(deps, row.provider, keys, row.options)
    connections.replace_credentials(deps, slug, whole)
    _say(deps, slug, f"Stored. Next: tracker connection test {slug}", as_json)


@app.command()
def reread(
    slug: Slug,
    from_: Annotated[str, typer.Option("--from", metavar="DATE", help="The first day, in your time zone.")],
    as_json: Json = False,
) -> None:
    """Let the next sync read again what came since a day. Nothing counts twice."""
    deps = open_ledger()
    tending.reread(deps, slug, parse_day(from_, "--from"))
    _say(deps, slug, f"{slug} is due now and reads again from {from_}: tracker sync {slug}", as_json)


@app.command()
def remove(
    slug: Slug,
    keep_earnings: Annotated[
        bool, typer.Option("--keep-earnings", help="Forget the credentials and read no more; what came from it stays.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a connection with all that was read from it, or without."""
    deps = open_ledger()
    connections.find(deps.engine, slug)
    asked = f"Remove {slug} and every earning that came from it?"
    if keep_earnings:
        asked = f"Forget the credentials of {slug} and read it no more?"
    if not yes and not typer.confirm(asked, err=True):
        raise TrackerError("nothing was removed.")
    if keep_earnings:
        count = tending.close(deps, slug)
        _say(deps, slug, f"{slug} is read no more. Its {count:,} earnings are kept.", as_json)
        return
    count = connections.remove(deps, slug)
    if as_json:
        print_json({"slug": slug, "removed": True, "earnings": count})
    else:
        out.print(f"Removed {slug} with {count:,} earnings.", markup=False)


app.command("inbound")(inbound.command)
