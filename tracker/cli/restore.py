"""`tracker restore`: a ledger out of a backup."""

from pathlib import Path
from typing import Annotated

import typer

from tracker import keyring
from tracker.backup import restore as put_back
from tracker.cli.columns import several
from tracker.cli.ground import open_ledger, out, print_json
from tracker.store.database import reading


def restore(
    file: Annotated[Path, typer.Argument(help="A file made by `tracker backup`.")],
    force: Annotated[bool, typer.Option("--force", help="Replace everything that is in the ledger.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Put a backup into an empty ledger, on SQLite or PostgreSQL. Stop other tracker processes before."""
    deps = open_ledger()
    manifest = put_back(deps.engine, file, data_dir=deps.settings.data_dir, force=force)
    with reading(deps.engine) as conn:
        lost = keyring.sealed_elsewhere(conn, deps.vault)
    if as_json:
        told = {"rows": manifest.rows, "made_at": manifest.made_at, "revision": manifest.revision, "sealed": lost}
        print_json({**told, "files": list(manifest.files)})
        return
    files = f" and {several(len(manifest.files), 'file')} of your own" if manifest.files else ""
    out.print(f"Restored {manifest.rows:,} rows{files}, as of {manifest.made_at:%Y-%m-%d %H:%M} UTC.", markup=False)
    if lost:
        out.print(
            f"The keys here do not open the credentials of {', '.join(lost)}: put the key file of the backup in place, "
            "or enter them again with `tracker connection credentials`.",
            markup=False,
        )
