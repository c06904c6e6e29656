"""`tracker token`: keys to the API for scripts and other programs."""

from datetime import datetime, time, timedelta
from typing import Annotated

import typer

from tracker import audit, tokens
from tracker.cli.asked import choice
from tracker.cli.ground import err, open_ledger, out, parse_day, print_json
from tracker.errors import UsageError
from tracker.tokens import Scope

app = typer.Typer(help="Keys to the API for scripts and other programs.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="What it is for, in a few words.")]
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]
#: Who did it, in the audit trail.
ACTOR = "command line"


@app.command("add")
def add_token(
    name: Name,
    scope: Annotated[str, typer.Option(metavar="WORD", help="read, or write, which reads as well.")] = Scope.READ,
    until: Annotated[
        str | None, typer.Option(metavar="DAY", help="Its last day; without it the token is good until it is revoked.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it, this one time: the tracker keeps its digest only."""
    wanted = choice(scope, Scope, "--scope")
    day = parse_day(until, "--until") if until else None
    deps = open_ledger()
    after = datetime.combine(day + timedelta(days=1), time(), deps.settings.zone) if day else None
    text = tokens.make_for_owner(deps.engine, name, wanted, deps.now(), expires_at=after)
    audit.record(deps.engine, deps.now(), actor=ACTOR, action="token made", subject=f"{name} ({wanted})")
    if as_json:
        print_json({"name": name, "scope": wanted, "expires_at": after, "token": text})
        return
    out.print(text, markup=False)  # alone, so that it can be piped to where it is kept
    err.print("Keep it now, it is not shown again. To end it: tracker token revoke NAME", markup=False)


@app.command("list")
def list_tokens(as_json: Json = False) -> None:
    """All tokens: what each may do, and in which hour it was used last."""
    deps = open_ledger()
    found = tokens.every(deps.engine)
    if as_json:
        print_json(found)
        return
    from rich.table import Table

    def shown(moment: datetime | None, never: str) -> str:
        return f"{moment.astimezone(deps.settings.zone):%Y-%m-%d %H:%M}" if moment else never

    table = Table("token", "scope", "user", "made", "good until", "last used", box=None, pad_edge=False)
    for one in found:
        over = one.expires_at is not None and one.expires_at <= deps.now()
        until = shown(one.expires_at, "revoked") + (", over" if over else "")
        times = (shown(one.created_at, ""), until, shown(one.last_used_at, "never"))
        table.add_row(one.name, one.scope, one.user, *times)
    out.print(table if found else "No tokens. Make one: tracker token add NAME")


@app.command("revoke")
def revoke_token(name: Name, as_json: Json = False) -> None:
    """End a token at once."""
    deps = open_ledger()
    known = {one.name: one.id for one in tokens.every(deps.engine)}
    if name not in known:
        told = ", ".join(list(known)[:20])
        raise UsageError(
            f"no token is called {name[:60]!r}.", hint=f"There are: {told}." if told else "There is none at all."
        )
    tokens.revoke(deps.engine, known[name])
    audit.record(deps.engine, deps.now(), actor=ACTOR, action="token revoked", subject=name)
    if as_json:
        print_json({"name": name, "revoked": True})
    else:
        out.print(f"Revoked {name}: it lets nobody in any more.", markup=False)
