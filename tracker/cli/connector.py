"""`tracker connector`: providers we can read, and tools for who writes one."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tracker.cli.credentials import CredentialFile, Credentials, completed, given
from tracker.cli.ground import FAILED, err, know_own_providers, now, open_ledger, out, parse_pairs, print_json
from tracker.connect import catalog
from tracker.errors import UsageError

app = typer.Typer(help="Providers that can be connected, and tools for writing a connector.", no_args_is_help=True)
Slug = Annotated[str, typer.Argument(metavar="PROVIDER", help="The provider's short name.")]
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """All providers with what each reads."""
    know_own_providers()
    found = [(slug, catalog.find(slug)) for slug in catalog.slugs()]
    if as_json:
        print_json(
            [
                {"slug": slug, "title": one.title, "kind": one.kind, "resources": [r.name for r in one.resources]}
                for slug, one in found
            ]
        )
    else:
        table = Table("provider", "title", "kind", "reads", box=None, pad_edge=False)
        for slug, connector in found:
            table.add_row(slug, connector.title, connector.kind, ", ".join(r.name for r in connector.resources))
        out.print(table)
        out.print("What one needs: tracker connector show PROVIDER")
    if faults := list(catalog.faults()):
        for fault in faults:
            err.print(f"✗ {fault}", markup=False)
        raise typer.Exit(FAILED)


@app.command()
def show(slug: Slug, as_json: Json = False) -> None:
    """What a provider needs, and where to find it."""
    know_own_providers()
    connector = catalog.find(slug)
    if as_json:
        print_json(
            {
                "slug": slug,
                "title": connector.title,
                "kind": connector.kind,
                "docs": connector.docs,
                "warning": connector.warning,
                "base_url": connector.base_url,
                "credentials": connector.credentials,
                "options": connector.options,
                "resources": [{"name": one.name, "right": one.right} for one in connector.resources],
            }
        )
        return
    lines = [f"{connector.title} ({connector.kind})  {connector.docs}"]
    if connector.warning:
        lines.append(f"Note: {connector.warning}")
    for name, credential in connector.credentials.items():
        kind = "secret" if credential.secret else "id"
        maybe = "" if credential.required else ", may be left out"
        lines.append(_line(f"credential {name} ({kind}{maybe})", credential.label, credential.help))
    options = {name: (option.default, option.label, option.help) for name, option in connector.options.items()}
    options.setdefault("base_url", (connector.base_url, "Address to read from", ""))
    for name, (default, label, text) in options.items():
        lines.append(_line(f"option {name}{f' (default {default})' if default else ''}", label, text))
    for resource in connector.resources:
        lines.append(f"  reads {resource.name}{f', needs the right: {resource.right}' if resource.right else ''}")
    for line in lines:
        out.print(line, markup=False)


def _line(what: str, label: str, text: str) -> str:
    return f"  {what}: {label}{f' ({text})' if text else ''}"


@app.command()
def discover(
    slug: Slug,
    credential: Credentials = None,
    credential_file: CredentialFile = None,
    option: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="An option of the provider.")] = None,
    as_json: Json = False,
) -> None:
    """List the accounts, sites and programmes that a key can see, before it is connected.

    Nothing is stored. Ids that you do not know yet may be left out.
    """
    from tracker import discover
    from tracker.cli import discovered

    deps = open_ledger()
    connector = catalog.find(slug)
    options = parse_pairs(option or (), "--option")
    discover.check_can_tell(connector)
    keys = completed(connector, given(credential_file, credential), leave_out={one.fills for one in connector.discover})
    discovered.show(connector, discover.before(deps, slug, keys, options), as_json)


@app.command()
def new(slug: Slug) -> None:
    """Write a connector and a sample to start from."""
    from tracker.connect import workbench

    for path in workbench.begin(slug, Path.cwd()):
        out.print(f"Wrote {path.relative_to(Path.cwd())}", markup=False)
    out.print(
        f"Next: edit them, then pytest tests/test_connectors.py --accept -k {slug}, then tracker connector check {slug}"
    )


@app.command()
def check(
    slug: Slug,
    accept: Annotated[bool, typer.Option("--accept", help="First write what the samples give now.")] = False,
) -> None:
    """Say what a connector still lacks."""
    from tracker.connect import workbench
    from tracker.connect.declared import folder

    know_own_providers()
    connector = catalog.find(slug)
    own = folder.file_of(slug)
    samples = own.with_suffix("") if own else Path("tests/connectors") / slug
    if accept:
        for file in workbench.accept(connector, samples):
            out.print(f"Wrote {file}. Read it: every value must be right.", markup=False)
    found = list(workbench.faults(connector, samples))
    for fault in found:
        out.print(f"✗ {fault}", markup=False)
    if found:
        raise typer.Exit(FAILED)
    out.print(f"✓ {slug} is complete")


@app.command()
def record(
    connection: Annotated[str, typer.Argument(metavar="SLUG", help="A connection with real credentials.")],
    resource: Annotated[str, typer.Argument(metavar="RESOURCE", help="One of its provider's resources.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The sample to write.")],
    days: Annotated[int, typer.Option(min=1, max=366, help="How far back to read.")] = 40,
) -> None:
    """Record a sample from a real account, without secrets and people.

    Read it before you share it.
    """
    from tracker import connections, trial
    from tracker.connect import replay

    deps = open_ledger()
    row = connections.find(deps.engine, connection)
    known = [one.name for one in catalog.find(row.provider).resources]
    if resource not in known:
        raise UsageError(f"{row.provider} has no resource {resource!r}.", hint=f"Choose one of {', '.join(known)}.")
    if file.exists():
        raise UsageError(f"{file} is there already.", hint="Give a new name.")
    moment = now()
    sample = trial.record(deps, row, resource, since=moment - timedelta(days=days))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(replay.dump(sample))
    out.print(f"Wrote {file} with {len(sample.exchanges)} exchanges. Read it before you share it.", markup=False)
