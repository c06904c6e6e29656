"""`tracker backup`: the whole ledger in one file."""

from pathlib import Path
from typing import Annotated

import typer

from tracker.backup import backup as write
from tracker.cli.columns import several
from tracker.cli.ground import open_ledger, out, print_json


def backup(
    file: Annotated[Path, typer.Argument(help="Where to, such as tracker-2026-06-30.backup")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Write the whole ledger into one file, also while syncs run.

    Your own providers and statement profiles go with it. The key file is not inside: keep a copy apart.
    """
    deps = open_ledger()
    manifest = write(deps.engine, file, deps.now(), data_dir=deps.settings.data_dir, force=force)
    if as_json:
        rows = {name: part.rows for name, part in manifest.tables.items()}
        print_json(
            {
                "file": str(file),
                "revision": manifest.revision,
                "rows": rows,
                "files": list(manifest.files),
                "bytes": file.stat().st_size,
            }
        )
        return
    files = f" and {several(len(manifest.files), 'file')} of your own" if manifest.files else ""
    out.print(f"Wrote {file}: {manifest.rows:,} rows{files}, {file.stat().st_size / 1e6:.1f} MB.", markup=False)
    where = "TRACKER_KEYS" if deps.settings.keys is not None else str(deps.settings.key_file)
    out.print(
        f"Credentials in it are sealed, and the key is not in it: keep a copy of {where} in another place. Without it "
        "credentials must be entered again.",
        markup=False,
    )
