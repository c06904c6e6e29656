"""`tracker schedule`: what runs when, in local time, and why something waits."""

from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from tracker import connections, jobs
from tracker import schedule as rows
from tracker.cli.ground import open_ledger, out, print_json
from tracker.connections import Deps
from tracker.hours import interval_text
from tracker.store.database import reading


class Agenda:
    """How the schedule stands at one moment, in words."""

    def __init__(self, deps: Deps) -> None:
        self.now, self._zone = deps.now(), deps.settings.zone
        with reading(deps.engine) as conn:
            self._since = rows.running_since(conn)
            self.ticked_at = rows.last_turn(conn, jobs.CLOCK)

    def standing(self, row: Any) -> rows.Standing:
        return rows.standing(row, self.now, self._since)

    def at(self, moment: datetime | None) -> str:
        """The time of day, and on another day its date."""
        if moment is None:
            return "never"
        local = moment.astimezone(self._zone)
        today = local.date() == self.now.astimezone(self._zone).date()
        return f"{local:%H:%M}" if today else f"{local:%Y-%m-%d %H:%M}"

    def state(self, row: Any) -> str:
        """What a connection does or waits for, in few words."""
        state, at, _ = self.standing(row)
        words = {
            "paused": "paused",
            "running": f"running since {self.at(at)}" if at else "running",
            "queued": "waits for its turn",
            "due": "due now",
            "waiting": f"next {self.at(at)}",
            "trying again": f"next try {self.at(at)}",
            "closed": f"read no more, up to {self.at(at)}" if at else "read no more",
            "imported": f"from files, up to {self.at(at)}" if at else "from files, none yet",
        }
        return words[state]

    def reason(self, row: Any) -> str | None:
        """Why a connection is paused or tried again, and what to do; None where all is well."""
        if row.paused_at:
            return connections.why_paused(row)
        if not row.last_error:
            return None
        again = self.standing(row).state == "trying again"
        return f"{row.slug}: {self.state(row)}{', because' if again else '; the last try failed:'} {row.last_error}"

    @property
    def clock(self) -> str:
        alive = self.ticked_at and abs(self.now - self.ticked_at) <= jobs.SILENCE_MAX
        if alive:
            return "A clock is running."
        last = f"was last seen {self.at(self.ticked_at)}" if self.ticked_at else "has never run"
        return f"No clock is running, so nothing is synced by itself (it {last}). Start one: tracker serve"


def schedule(as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """What runs when, in local time, and why something waits."""
    deps = open_ledger()
    agenda, every = Agenda(deps), connections.every(deps.engine)
    if as_json:
        print_json(_shown(deps, agenda, every))
        return
    out.print(f"Times are {deps.settings.time_zone}; now it is {agenda.now.astimezone(deps.settings.zone):%H:%M}.")
    table = Table("connection", "every", "quiet hours", "state", box=None, pad_edge=False)
    for row in every:
        interval = interval_text(row.interval_s) if row.next_sync_at else "–"
        table.add_row(row.slug, interval, row.quiet or "", agenda.state(row))
    if every:
        out.print(table)
    for row in every:  # below, because a reason is longer than a column
        if reason := agenda.reason(row):
            out.print(reason, markup=False)
    table = Table("job", "runs", "next", box=None, pad_edge=False)
    for job in jobs.JOBS:
        table.add_row(job.name, job.said, agenda.at(job.next_at(deps)))
    out.print(table)
    out.print(agenda.clock, markup=False)


def _shown(deps: Deps, agenda: Agenda, every: list[Any]) -> dict[str, Any]:
    found = []
    for row in every:
        state, at, why = agenda.standing(row)
        found.append(
            {
                "slug": row.slug, "state": state, "next_sync_at": None if row.paused_at else row.next_sync_at,
                "since": at if state in ("paused", "running") else None, "reason": why, "failures": row.failures,
                "interval_s": row.interval_s, "quiet": row.quiet,
            }
        )  # fmt: skip
    return {
        "now": agenda.now,
        "time_zone": deps.settings.time_zone,
        "clock_seen_at": agenda.ticked_at,
        "connections": found,
        "jobs": [{"name": job.name, "runs": job.said, "next_at": job.next_at(deps)} for job in jobs.JOBS],
    }
