"""`tracker override`: your own word about one earning."""

from typing import Annotated

import typer

from tracker import streams
from tracker.classify import reason
from tracker.cli.ground import open_ledger, out, print_json


def override(
    earning: Annotated[str, typer.Argument(help="connection/external_id, or its id.")],
    recurrence: Annotated[str | None, typer.Option(help="recurring, one_off, instalment or variable.")] = None,
    stream: Annotated[str | None, typer.Option(help="A stream's name.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take your decisions about it back.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Decide by hand what an earning is. Your word wins over the provider's and over every rule."""
    row = streams.override(open_ledger(), earning, recurrence=recurrence, stream=stream, clear=clear)
    why = reason(row.recurrence_by, row.recurrence_reason)
    if as_json:
        print_json(
            {"id": row.id, "external_id": row.external_id, "recurrence": row.recurrence, "recurrence_reason": why,
             "stream": row.stream}
        )  # fmt: skip
    else:
        out.print(f"{row.external_id}: {row.recurrence} ({why}), in the stream {row.stream}.", markup=False)
