"""`tracker connection inbound`: the secret address at which a provider tells that something is new."""

import ipaddress
import sys
from typing import Annotated

import typer

from tracker import connections, inbound
from tracker.cli.ground import open_ledger, out, print_json
from tracker.connect import catalog
from tracker.errors import UsageError
from tracker.settings import Settings


def command(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="The connection's short name.")],
    new: Annotated[bool, typer.Option("--new", help="Make another address; the old one ends at once.")] = False,
    secret: Annotated[
        bool, typer.Option("--secret", help="Store the secret that the provider signs with. Asked for without echo.")
    ] = False,
    off: Annotated[bool, typer.Option("--off", help="End the address.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Make the address for a provider's postbacks or webhooks and show it, once."""
    if new + secret + off > 1:
        raise UsageError("--new, --secret and --off are three things.", hint="Give one at a time.")
    deps = open_ledger()
    row = connections.find(deps.engine, slug)
    if off:
        ended = inbound.end_address(deps, slug)
        told = f"The address of {slug} is gone." if ended else f"{slug} has no address."
        _say({"slug": slug, "address": None}, told, as_json)
        return
    if secret:
        inbound.keep_secret(deps, slug, _asked())
        _say({"slug": slug, "signed": True}, f"Stored. What comes for {slug} unsigned is refused from now on.", as_json)
        return
    connector = catalog.find(row.provider)
    address = f"{public_address(deps.settings)}/in/{inbound.new_address(deps, slug, replace=new)}"
    lines = [
        address,
        f"Enter it at {connector.title} for postbacks or webhooks. It is shown only now: keep it secret.",
    ]
    if connector.webhook:
        need = "must" if inbound.needs_secret(connector) else "should"
        store = f"tracker connection inbound {slug} --secret"
        lines.append(f"{connector.title} signs what it sends, which {need} be checked: {store}")
    if not deps.settings.web_hosts:
        lines.append("Only this machine reaches that address. TRACKER_WEB_HOSTS names the one that others reach.")
    _say({"slug": slug, "address": address}, "\n".join(lines), as_json)


def _say(found: dict[str, object], told: str, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        out.print(told, markup=False)


def _asked() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Webhook secret", hide_input=True, err=True))
    return sys.stdin.readline(10_000)


def public_address(settings: Settings) -> str:
    """Where others find the pages: the first of the host names, by TLS, or this machine."""
    if settings.web_hosts:
        return f"https://{settings.web_hosts[0]}"
    host = ipaddress.ip_address(settings.web_host)
    shown = "127.0.0.1" if host.is_unspecified else f"[{host}]" if host.version == 6 else str(host)
    return f"http://{shown}:{settings.web_port}"
