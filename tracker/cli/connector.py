"""`tracker connector`: providers we can read, and tools for who writes one."""

from typing import Annotated

import typer
from rich.table import Table

from tracker.cli.ground import out, print_json
from tracker.connect import catalog

app = typer.Typer(help="Providers that can be connected, and tools for writing a connector.", no_args_is_help=True)


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """All providers with what each reads."""
    found = [(slug, catalog.find(slug)) for slug in catalog.slugs()]
    if as_json:
        print_json(
            [
                {"slug": slug, "title": c.title, "kind": c.kind, "resources": [r.name for r in c.resources]}
                for slug, c in found
            ]
        )
        return
    table = Table("provider", "title", "kind", "reads", box=None, pad_edge=False)
    for slug, connector in found:
        table.add_row(slug, connector.title, connector.kind, ", ".join(r.name for r in connector.resources))
    out.print(table)
    out.print("What one needs: tracker connector show PROVIDER")


@app.command()
def show(slug: str) -> None:
    """The credentials and options of a provider, and where to find them."""
    connector = catalog.find(slug)
    out.print(f"{connector.title} ({connector.kind})  {connector.docs}", markup=False)
    if connector.warning:
        out.print(f"Note: {connector.warning}", markup=False)
    for name, credential in connector.credentials.items():
        kind = "secret" if credential.secret else "id"
        out.print(
            f"  credential {name} ({kind}{'' if credential.required else ', may be left out'}): {credential.label}. {credential.help}",
            markup=False,
        )
    for name, option in connector.options.items():
        default = f" (default {option.default})" if option.default else ""
        out.print(f"  option {name}{default}: {option.label}. {option.help}", markup=False)
    out.print(
        f"  option base_url{f' (default {connector.base_url})' if connector.base_url else ''}: the address to read from.",
        markup=False,
    )
    for resource in connector.resources:
        out.print(
            f"  reads {resource.name}{f', needs the right: {resource.right}' if resource.right else ''}", markup=False
        )
