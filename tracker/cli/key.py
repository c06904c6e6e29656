"""`tracker key`: the key that seals credentials."""

import typer

from tracker import keyring
from tracker.cli.ground import open_ledger, out

app = typer.Typer(help="The key that seals credentials.", no_args_is_help=True)


@app.command()
def rotate() -> None:
    """Put a new key first and seal all credentials with it. Running processes go on."""
    count = keyring.rotate(open_ledger())
    out.print(f"A new key seals from now on; {count} sealed texts use it. Keep a fresh copy of the key file.")
    out.print("When all is well: tracker key retire")


@app.command()
def reseal() -> None:
    """Seal all credentials with the first key, after you put a new one first in TRACKER_KEYS."""
    out.print(f"{keyring.reseal(open_ledger())} sealed texts use the first key.")


@app.command()
def retire() -> None:
    """Drop the old keys, once nothing needs them. Backups from before need them still: keep the old copy with those."""
    out.print(f"{keyring.retire(open_ledger())} old keys were dropped. Keep a fresh copy of the key file.")
