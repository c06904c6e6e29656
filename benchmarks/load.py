"""How long a first load, an identical re-sync and one with 1 % of changed rows take: `python -m benchmarks.load`.

Every figure stands beside the floor of this machine (`benchmarks/floor.py`), measured in the same run, and each is a
process of its own. The ledger is checked against the providers after every step.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measured import asked, provider, run
from tests.services import Keeper, fresh_database, server_url

#: What is measured: its name, the providers' phase, the step, the hours since the first load, and what is promised.
STEPS = (
    ("first load", "first", "first", 0, 5.0),
    ("identical re-sync", "first", "again", 1, 1.0),
    ("1 % changed, in the newest pages", "newest", "again", 2, 1.5),
    ("1 % changed, in all pages", "spread", "again", 3, 1.5),
)
MEMORY_MB = 120.0
POSTGRES_TIMES = 2.0


@contextmanager
def postgres() -> Iterator[str]:
    """An empty database on a server that is started for this run."""
    with ExitStack() as stack:
        keeper = Keeper()
        stack.callback(keeper.close)
        yield stack.enter_context(fresh_database(server_url(keeper.folder, "postgres")))


def floor(url: str, times: int, truth: dict[str, Any]) -> dict[str, float]:
    """The median of some runs, so that one that was disturbed does not set the measure."""
    found = []
    for _ in range(times):
        with tempfile.TemporaryDirectory(prefix="tracker-bench-") as folder:
            took = run("floor", url, f"{folder}/floor.db")
        sums: dict[str, dict[str, int]] = {}
        for account, currency, net in took["net"]:
            sums.setdefault(account, {})[currency] = net
        assert sums == {name: one["net"] for name, one in truth.items() if one["rows"]}
        found.append(took)
    return {name: median(took[name] for took in found) for name in ("wall", "cpu", "rows")}


def ours(url: str, folder: Path, database: str | None, base: dict[str, float], profile: int, steps: int) -> list[Any]:
    """Go through the steps on one ledger and print a line for each."""
    folder.mkdir()
    where = ["--database", database] if database else []
    run("synced", url, str(folder), "add", *where)
    found = []
    for number, (name, phase, step, hours, most) in enumerate(STEPS[:steps]):
        asked(url, f"phase/{phase}")
        more = [*where, "--profile", str(profile)] if profile and number == 0 else where
        took = run("synced", url, str(folder), step, "--hours", str(hours), *more)
        found.append(took)
        line(name, took, base, f"target {most:g} ×" if database is None else "")
    return found


def line(name: str, took: dict[str, float], base: dict[str, float], note: str = "") -> None:
    peak = f"{took['peak_mb']:8.0f} MB" if "peak_mb" in took else " " * 11
    print(
        f"  {name:34}{took['wall']:8.2f} s{took['cpu']:8.2f} s{took['wall'] / base['wall']:8.2f} ×"
        f"{took['cpu'] / base['cpu']:7.2f} ×{peak}  {note}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--memory-rows", type=int, default=0, help="load so many as well, and compare the peak memory")
    parser.add_argument("--no-postgres", action="store_true", help="SQLite only")
    parser.add_argument("--first-only", action="store_true", help="the first load only")
    parser.add_argument("--floors", type=int, default=3, help="how often the floor is measured; its median counts")
    parser.add_argument(
        "--profile",
        type=int,
        default=0,
        help="tell so many functions and statements of the first load; its figures are slower by that",
    )
    options = parser.parse_args()
    steps = 1 if options.first_only else len(STEPS)
    with tempfile.TemporaryDirectory(prefix="tracker-bench-") as name:
        folder = Path(name)
        with provider(options.rows) as url:
            truth = asked(url, "truth")
            base = floor(url, options.floors, truth)
            print(
                f"{options.rows:,} rows, {len(truth)} accounts{'':19}wall     cpu     of floor: wall  cpu  peak memory"
            )
            line("the floor of this machine", base, base, f"{base['rows'] / base['wall']:,.0f} rows/s")
            print("SQLite")
            on_sqlite = ours(url, folder / "sqlite", None, base, options.profile, steps)
            if not options.no_postgres:
                print("PostgreSQL")
                asked(url, "phase/first")
                with postgres() as database:
                    on_postgres = ours(url, folder / "postgres", database, base, options.profile, steps)
                times = on_postgres[0]["wall"] / on_sqlite[0]["wall"]
                print(f"  first load, PostgreSQL to SQLite: {times:.2f} × (target {POSTGRES_TIMES:g} ×)")
        if options.memory_rows:
            with provider(options.memory_rows) as url:
                base = floor(url, 1, asked(url, "truth"))
                line(
                    f"the floor, {options.memory_rows:,} rows", base, base, f"{base['rows'] / base['wall']:,.0f} rows/s"
                )
                (big,) = ours(url, folder / "big", None, base, 0, 1)
            peaks = f"{on_sqlite[0]['peak_mb']:.0f} MB at {options.rows:,}, {big['peak_mb']:.0f} MB at "
            print(f"  peak memory: {peaks}{options.memory_rows:,} rows (target {MEMORY_MB:.0f} MB at both)")


if __name__ == "__main__":
    main()
