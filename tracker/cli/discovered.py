"""What a key can see, as `tracker connector discover` and `tracker connection discover` show it."""

from itertools import groupby

import typer

from tracker.cli.ground import FAILED, out, print_json
from tracker.connect.connector import Connector
from tracker.discover import Found, Seen


def show(connector: Connector, seen: Seen, as_json: bool) -> None:
    """List by list. Ends with exit code 2 when nothing could be listed."""
    if as_json:
        print_json({"found": seen.found, "notes": seen.notes})
    else:
        for _, group in groupby(seen.found, key=lambda one: one.what):
            found = list(group)
            out.print(_headed(connector, found[0]), markup=False)
            width = max(len(one.id) for one in found)
            for one in found:
                out.print(f"  {one.id:{width}}  {one.title}".rstrip(), markup=False)
        for note in seen.notes:
            out.print(note, markup=False)
        if not seen.found and not seen.notes:
            out.print("The key is right, but sees nothing.")
    if seen.notes and not seen.found:
        raise typer.Exit(FAILED)


def _headed(connector: Connector, one: Found) -> str:
    if not one.fills:
        return one.what
    flag = "--credential" if one.fills in connector.credentials else "--option"
    return f"{one.what}, for {flag} {one.fills}=…"
