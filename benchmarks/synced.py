"""Sync all accounts of the pretend providers into a real data folder: `python -m benchmarks.synced URL FOLDER STEP`.

STEP `add` makes the ledger and its connections, `first` reads them, `again` reads the past once more (`--since`).
Everything a sync does is in it. The ledger is checked against what the providers say it must hold.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from benchmarks.measured import Took, asked, peak_mb
from benchmarks.profiled import profiled
from benchmarks.shapes import NOW
from tracker import connections
from tracker.connect.pace import NoPace
from tracker.connect.session import http_session
from tracker.connections import Deps
from tracker.money import to_micros
from tracker.settings import Settings
from tracker.store.database import migrate, open_engine, reading
from tracker.store.writes import earning_change_t, earning_t
from tracker.sync import Report, sync
from tracker.vault import Vault

CREDENTIALS = {
    "awin": {"token": "benchmark-token", "publisher_id": "1"},
    "stripe": {"api_key": "rk_live_benchmark"},
    "woocommerce": {"consumer_key": "ck_benchmark", "consumer_secret": "cs_benchmark"},
}


def opened(folder: Path, database: str | None, months: int = 36, hours: int = 0) -> Deps:
    """The ledger in a folder, some hours after the pretend providers' now; our own limits of calls would wait."""
    url = database or f"sqlite:///{folder / 'tracker.db'}"
    settings = Settings(
        data_dir=folder, database_url=url, currency="EUR", time_zone="Europe/Berlin", backfill_months=months
    )
    engine = open_engine(settings.database_url)
    migrate(engine)
    now, http = NOW + timedelta(hours=hours), partial(http_session, allow_private=True)
    return Deps(engine=engine, settings=settings, vault=Vault.open(settings), pace=NoPace(), now=lambda: now, http=http)


def add_all(deps: Deps, url: str) -> None:
    for name, about in asked(url, "plan").items():
        provider = about["provider"]
        options = {"base_url": f"{url}/{name}"}
        connections.add(deps, provider, name, credentials=CREDENTIALS[provider], options=options)


def sync_all(deps: Deps, *, again: bool) -> list[Report]:
    since = datetime.combine(deps.settings.backfill_from(NOW.date()), time(), UTC)
    return [sync(deps, row.id, since=since if again else None) for row in connections.every(deps.engine)]


def check(deps: Deps, truth: dict[str, Any], outcomes: Sequence[str]) -> None:
    """The ledger holds every row once, to the cent, and no run met trouble."""
    query = select(earning_t.c.connection_id, earning_t.c.currency, func.count(), func.sum(earning_t.c.net)).group_by(
        earning_t.c.connection_id, earning_t.c.currency
    )
    names = {row.id: row.slug for row in connections.every(deps.engine)}
    held: dict[str, Any] = defaultdict(lambda: {"rows": 0, "net": {}})
    with reading(deps.engine) as conn:
        for connection_id, currency, rows, net in conn.execute(query):
            held[names[connection_id]]["rows"] += rows
            held[names[connection_id]]["net"][currency] = to_micros(net)
    wanted = {name: {"rows": one["rows"], "net": one["net"]} for name, one in truth.items() if one["rows"]}
    assert dict(held) == wanted, (held, wanted)
    assert list(outcomes) == ["ok"] * len(truth), outcomes


def check_changes(deps: Deps, reports: Sequence[Report]) -> None:
    """Every changed row is in the history, and nothing else is; no row is new."""
    changes = select(func.count(func.distinct(earning_change_t.c.earning_id)))
    with reading(deps.engine) as conn:
        noted = conn.execute(changes.where(earning_change_t.c.changed_at == deps.now())).scalar_one()
    assert noted == sum(report.changed for report in reports), (noted, reports)
    assert not any(report.new for report in reports), reports


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("step", choices=["add", "first", "again"])
    parser.add_argument("--database")
    parser.add_argument("--hours", type=int, default=0, help="how long after the first load")
    parser.add_argument("--profile", type=int, default=0, help="tell so many functions and statements")
    options = parser.parse_args()
    deps = opened(options.folder, options.database, hours=options.hours)
    if options.step == "add":
        add_all(deps, options.url)
        return print("{}")
    again = options.step == "again"
    with profiled(deps.engine, options.profile):
        begun = Took.now()
        reports = sync_all(deps, again=again)
        took, peak = Took.of(begun), peak_mb()
    check(deps, asked(options.url, "truth"), [report.outcome for report in reports])
    if again:
        check_changes(deps, reports)
    counts = {name: sum(getattr(report, name) for report in reports) for name in ("pages", "rows", "new", "changed")}
    print(json.dumps({"wall": took.wall, "cpu": took.cpu, "peak_mb": peak, **counts}))
    deps.engine.dispose()


if __name__ == "__main__":
    main()
