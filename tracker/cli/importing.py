"""`tracker import`: statements from files, for what has no API and for the time before one."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tracker.cli.columns import several
from tracker.cli.ground import PARTIAL, open_ledger, out, parse_pairs, print_json
from tracker.connections import Deps
from tracker.errors import TrackerError, UsageError
from tracker.money import plain
from tracker.months import read_month
from tracker.records import Role
from tracker.statements import custom, importing
from tracker.statements.headers import recognise
from tracker.statements.importing import Report
from tracker.statements.preview import Preview, outline, preview
from tracker.statements.profiles import shelf
from tracker.statements.profiles.dates import ORDERS
from tracker.statements.profiles.profile import Profile
from tracker.statements.reading import Opened, open_file
from tracker.statements.statement import Asked, Statement, settle

#: Names of one list in a message.
NAMED = 10


def import_(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="CSV, TSV or XLSX, also packed.")] = None,
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="See --profiles. Recognised by itself.")] = None,
    connection: Annotated[
        str | None, typer.Option(metavar="SLUG", help="The connection it belongs to; made when it is not there.")
    ] = None,
    stream: Annotated[
        str | None, typer.Option(metavar="NAME", help="The income stream of a connection that is made.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(metavar="NAME", help="Such as utf-8 or cp1252.")] = None,
    decimal: Annotated[str | None, typer.Option(metavar="MARK", help="The decimal mark: . or ,")] = None,
    dates: Annotated[str | None, typer.Option(metavar="ORDER", help="DMY, MDY or YMD.")] = None,
    currency: Annotated[str | None, typer.Option(metavar="CODE", help="Where the file does not say it.")] = None,
    month: Annotated[str | None, typer.Option(metavar="MONTH", help="Where the rows have no date: 2026-03.")] = None,
    map_: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=FIELD", help="For a table that no profile knows; may be repeated."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="The same for all rows of such a table.")
    ] = None,
    unique: Annotated[
        list[str] | None, typer.Option("--id", metavar="COLUMN", help="The column with the id of each row, if any.")
    ] = None,
    save_profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Keep what --map says, for the next file.")
    ] = None,
    profiles: Annotated[bool, typer.Option("--profiles", help="List the statements that are known.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Import without showing and asking first.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="For scripts: without --yes what was understood, with it how it went.")
    ] = False,
) -> None:
    """Import a statement that you downloaded. To import it again, or one that overlaps, adds nothing twice.

    Exit code 0: all well, 1: rows in quarantine, 2: failed, 64: it is no statement, or more must be said about it.
    """
    deps = open_ledger()
    if profiles:
        _list(as_json)
        return
    if file is None:
        raise UsageError("name a file.", hint="tracker import FILE; `tracker import --profiles` lists what is known.")
    asked = _asked(decimal, dates, currency, month)
    opened = open_file(file, encoding)
    known = _profiles(opened, profile, map_, set_, unique, save_profile)
    statement = settle(opened, recognise(opened, known, shelf.own_slugs()), asked)
    row = importing.find_connection(deps, statement.profile, connection)
    if not yes:
        options = dict(row.options) if row else {"account": connection or statement.profile.slug}
        found = preview(statement, options, deps.now())
        if as_json:
            print_json(found)
            return
        _show(deps, statement, found, row, connection)
        if not found.records:
            raise UsageError("nothing in it can be imported.", hint="Each line above says why.")
        if not typer.confirm("Import it?", err=True):
            raise TrackerError("nothing was imported.")
    elif not as_json:
        _head(outline(statement))
    if row is None:
        row = importing.make_connection(deps, statement.profile, connection, stream=stream)
    report = _run(deps, row, statement, live=out.is_terminal and not as_json)
    if as_json:
        print_json(report)
    else:
        out.print(line(report), markup=False)
    raise typer.Exit(PARTIAL if report.quarantined else 0)


def _asked(decimal: str | None, dates: str | None, currency: str | None, month: str | None) -> Asked:
    from tracker.cli.asked import code

    if decimal not in (None, ".", ","):
        raise UsageError(f"--decimal: {decimal[:10]!r} is no decimal mark.", hint="Give . or ,")
    if dates is not None and dates.upper() not in ORDERS:
        raise UsageError(f"--dates: {dates[:10]!r} is no order.", hint=f"Choose one of {', '.join(ORDERS)}.")
    said = f"{read_month(month, '--month'):06d}" if month else ""
    return Asked(
        decimal=decimal,
        dates=dates.upper() if dates else None,
        currency=code(currency),
        month=f"{said[:4]}-{said[4:]}" if said else None,
    )


def _profiles(
    opened: Opened,
    profile: str | None,
    map_: list[str] | None,
    set_: list[str] | None,
    unique: list[str] | None,
    save_profile: str | None,
) -> list[Profile]:
    """The profiles that come into question."""
    if not map_:
        if set_ or unique or save_profile:
            raise UsageError("--set, --id and --save-profile go with --map.", hint='Such as --map "Date=earned_at"')
        return [shelf.find(profile)] if profile else shelf.every()
    if profile or not save_profile:
        raise UsageError(
            "--map makes a profile of its own.",
            hint="Name it with --save-profile NAME and leave --profile out: its rows are understood by it ever after.",
        )
    columns: dict[str, list[str]] = {}
    for pair in map_:
        column, equals, field = pair.rpartition("=")
        if not equals or not column.strip() or not field.strip():
            raise UsageError(
                f"--map: {pair[:60]!r} is not COLUMN=FIELD.", hint='Example: --map "Booking date=booked_on"'
            )
        columns.setdefault(field.strip(), []).append(column.strip())
    text = custom.propose(opened, save_profile, columns, parse_pairs(set_ or (), "--set"), unique or ())
    made, file = custom.keep(save_profile, text)
    out.print(f"Saved the profile {made.slug} as {file}", markup=False)
    return [made]


def _run(deps: Deps, row: Any, statement: Statement, *, live: bool) -> Report:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out, transient=True, disable=not live) as shown:
        task = shown.add_task(row.slug, total=None, told="reading …")
        return importing.import_statement(
            deps, row, statement, lambda report: shown.update(task, told=f"{report.rows:,} rows")
        )


def line(report: Report) -> str:
    """One line about an import."""
    if report.rows == report.unchanged:
        told = f"{report.slug}: nothing new in {several(report.rows, 'row')}"
    else:
        told = f"{report.slug}: {several(report.rows, 'row')}: {report.new:,} new, {report.changed:,} changed"
    if report.skipped:
        told += f", {several(report.skipped, 'sum')} left out"
    if report.quarantined:
        told += f", {report.quarantined:,} in quarantine (tracker quarantine list)"
    return told


# --- what was understood ---


def _head(found: Preview) -> None:
    how = f"{found.encoding}, {found.delimiter}" if found.encoding else f"sheet {', '.join(found.sheets)}"
    lines = [("statement", f"{found.title} ({found.profile})"), ("read as", how)]
    lines.append(("written", f"decimal mark {found.decimal or '.'}, dates {found.dates}"))
    if found.currency:
        lines.append(("currency", found.currency))
    if found.left_out:
        more = f" and {len(found.left_out) - NAMED} more" if len(found.left_out) > NAMED else ""
        lines.append(("not kept", f"{', '.join(found.left_out[:NAMED])}{more}"))
    for name, told in lines:
        out.print(f"{name:10} {told}", markup=False)


def _show(deps: Deps, statement: Statement, found: Preview, row: Any, slug: str | None) -> None:
    _head(found)
    if found.first and found.last:
        zone = deps.settings.zone
        period = f"{found.first.astimezone(zone):%Y-%m-%d} to {found.last.astimezone(zone):%Y-%m-%d}"
        out.print(f"{'period':10} {period}", markup=False)
    sums = f", {several(found.skipped, 'sum')} left out" if found.skipped else ""
    out.print(f"{'rows':10} {found.rows:,}{sums}", markup=False)
    for what, amounts in found.sums.items():
        told = ", ".join(f"{plain(amount)} {code}" for code, amount in sorted(amounts.items()))
        out.print(f"{what:10} {told}", markup=False)
    table = Table("line", "what", "day", "amount", box=None, pad_edge=False)
    for one in found.shown:
        table.add_row(one.place.split(" of ")[0], one.what, one.at, f"{plain(one.amount)} {one.currency}")
    out.print(table)
    for fault in found.first_faults:
        out.print(f"✗ {fault}", markup=False)
    if found.faults:
        out.print(f"{several(found.faults, 'row')} would go to quarantine.")
    if statement.profile.note:
        out.print(f"Note: {statement.profile.note}", markup=False)
    if row is not None:
        out.print(f"It goes to the connection {row.slug}.", markup=False)
        return
    beside = ""
    if importing.role_of(deps, statement.profile) == Role.ENRICHMENT:
        beside = " Its rows do not count by themselves, because another connection reports this money."
    out.print(f"It goes to a new connection, {slug or statement.profile.slug}.{beside}", markup=False)


def _list(as_json: bool) -> None:
    found = shelf.every()
    own = shelf.own_slugs()
    if as_json:
        print_json([{"slug": one.slug, "title": one.title, "kind": one.kind, "own": one.slug in own} for one in found])
        return
    table = Table("profile", "statement", "kind", box=None, pad_edge=False)
    for one in found:
        table.add_row(one.slug, one.title, "your own" if one.slug in own else one.kind)
    out.print(table)
    out.print("Another table: tracker import FILE --map COLUMN=FIELD … --save-profile NAME (docs/statements.md)")
