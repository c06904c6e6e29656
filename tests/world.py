"""A world to sync in: a ledger, a clock and one provider that plays all the pretend ones, over real HTTP."""

import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import requests
from sqlalchemy import Engine, event, select, text, update

from tests.pretend import KEY, PROVIDERS, START, Provider, Server
from tracker import connections, schedule
from tracker.connect import catalog
from tracker.connect.declared import folder as own_providers
from tracker.connect.pace import Pace
from tracker.connect.session import http_session
from tracker.settings import Settings
from tracker.store import tables
from tracker.store.database import migrate, open_engine, reading
from tracker.store.writes import connection_t, earning_t
from tracker.sync import Report, sync
from tracker.vault import Vault


class Unhurried(Pace):
    """Waits for nothing."""

    def wait(self, bucket: str, rates: object, *, at_most_s: float) -> None:
        return


class Killed(BaseException):
    """Ends a run as kill -9 does: nothing more is written."""


class World:
    """A ledger, a clock and a provider that plays them all. `with World(url, folder) as world:`"""

    def __init__(self, database_url: str, folder: Path, provider: Provider | None = None) -> None:
        self.now = START
        self.provider = provider or Provider()
        self.server = Server(self.provider.answer)
        self.folder = folder
        folder.mkdir(exist_ok=True, parents=True)
        register(folder)
        settings = Settings(
            data_dir=folder, currency="EUR", time_zone="Europe/Berlin", database_url=database_url, backfill_months=2
        )
        self.engine = make_ledger(database_url)
        self.slept: list[float] = []
        self.sessions: list[requests.Session] = []
        self.deps = connections.Deps(
            engine=self.engine, settings=settings, vault=Vault.open(settings), pace=Unhurried(), now=lambda: self.now,
            sleep=self.slept.append, http=self._http,
        )  # fmt: skip

    def _http(self) -> requests.Session:
        self.sessions.append(http_session(allow_private=True))
        return self.sessions[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for session in self.sessions:
            session.close()
        self.server.close()
        self.engine.dispose()
        unregister(self.folder)

    def add(self, provider: str, slug: str | None = None, **more: Any) -> Any:
        more.setdefault("credentials", {"key": KEY})
        more.setdefault("options", {"base_url": self.server.url})
        return connections.add(self.deps, f"pretend-{provider}", slug or provider, **more)

    def sync(self, slug: str, **more: Any) -> Report:
        return sync(self.deps, connections.find(self.engine, slug).id, **more)

    def connection(self, slug: str) -> Any:
        return connections.find(self.engine, slug)

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)

    def free(self, slug: str) -> None:
        """Give back the lease of a run that was killed inside this process, whose number is not dead."""
        with self.engine.begin() as conn:
            conn.execute(update(connection_t).where(connection_t.c.slug == slug).values(leased_until=None))

    def killed_at(self, statement: int, slug: str) -> bool:
        """Sync, but die at the given statement. Answers whether it came to that."""
        count = 0

        def watch(*arguments: object) -> None:
            nonlocal count
            count += 1
            if count >= statement:
                raise Killed

        event.listen(self.engine, "before_cursor_execute", watch)
        try:
            self.sync(slug)
        except Killed:
            return True
        finally:
            event.remove(self.engine, "before_cursor_execute", watch)
            self.free(slug)
        return False

    def earnings(self, slug: str | None = None) -> dict[str, Any]:
        query = select(earning_t).order_by(earning_t.c.id)
        if slug:
            query = query.where(earning_t.c.connection_id == self.connection(slug).id)
        with reading(self.engine) as conn:
            return {row.external_id: row for row in conn.execute(query)}

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with reading(self.engine) as conn:
            return [tuple(row) for row in conn.execute(text(query))]

    def dump(self, *names: str, without: Iterable[str] = ()) -> dict[str, list[tuple[Any, ...]]]:
        """The rows of tables as text, in order, without columns that a database or a run numbers itself."""
        left_out = {"id", "run_id", "batch_id", "position", *without}
        found = {}
        with reading(self.engine) as conn:
            for name in names or [table.name for table in tables.metadata.sorted_tables]:
                table = tables.metadata.tables[name]
                columns = [column for column in table.c if column.name not in left_out]
                found[name] = sorted(tuple(map(str, row)) for row in conn.execute(select(*columns)))
        return found


_templates: dict[str, bytes] = {}


def make_ledger(database_url: str) -> Engine:
    """An empty ledger; a second one on SQLite is a copy of the first."""
    engine = open_engine(database_url)
    path = Path(engine.url.database or "")
    if engine.dialect.name == "sqlite" and "sqlite" in _templates and not path.exists():
        path.write_bytes(_templates["sqlite"])
        return engine
    migrate(engine)
    if engine.dialect.name == "sqlite":
        engine.dispose()  # the last connection puts its journal into the file
        _templates["sqlite"] = path.read_bytes()
    return engine


def register(folder: Path) -> None:
    """Make the pretend providers known in this process, as an installed package would."""
    info = folder / "pretend-1.0.dist-info"
    info.mkdir(exist_ok=True)
    lines = "".join(f"pretend-{name} = tests.pretend:{name}\n" for name in PROVIDERS)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pretend\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[tracker.connectors]\n{lines}")
    sys.path.insert(0, str(folder))
    forget_catalog()


def unregister(folder: Path) -> None:
    sys.path.remove(str(folder))
    forget_catalog()


def forget_catalog() -> None:
    catalog.forget()
    own_providers.forget()


def dead_process() -> str:
    """A lease holder on this machine whose process is gone."""
    import subprocess

    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return schedule.holder().rpartition(":")[0] + f":{process.pid}:0"


GROUPED = """
select connection_id, earned_month, approved_month, paid_month, stream_id, program, currency, kind, status, settlement,
       recurrence, estimated, paired, reporting_net is not null, count(*), sum(net), sum(reporting_net)
from earning group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
"""
ROLLED_UP = """
select connection_id, earned_month, approved_month, paid_month, stream_id, program, currency, kind, status, settlement,
       recurrence, estimated, paired, converted, earnings, net, reporting_net from monthly_income
"""


def same_sums(world: World) -> None:
    def plain(rows: list[tuple[Any, ...]]) -> list[tuple[str, ...]]:
        return sorted(tuple(str(int(v)) if isinstance(v, bool) else str(v) for v in row) for row in rows)

    assert plain(world.ask(GROUPED)) == plain(world.ask(ROLLED_UP))
