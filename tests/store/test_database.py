"""The database: made by migrations, and honest about being locked, full, read-only, damaged or absent."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from tests.pretend import START, earning
from tests.world import World
from tracker.errors import ConfigError
from tracker.store import database, tables
from tracker.store.database import database_errors, migrate, open_engine, reading


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(f"sqlite:///{tmp_path}/tracker.db", tmp_path / "data") as world:
        world.add("network")
        for number in range(9):
            world.provider.put("/commissions", earning(f"c{number}", net="1"))
        yield world


def test_migrations_make_just_the_tables_of_the_code(database_url: str) -> None:
    engine = open_engine(database_url)
    migrate(engine)
    with engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, tables.metadata) == []
    migrate(engine)
    engine.dispose()


def test_every_constraint_has_a_name(database_url: str) -> None:
    engine = open_engine(database_url)
    migrate(engine)
    inspector = inspect(engine)
    for table in tables.metadata.tables:
        names = [inspector.get_pk_constraint(table)["name"]]
        names += [key["name"] for key in inspector.get_foreign_keys(table)]
        names += [constraint["name"] for constraint in inspector.get_unique_constraints(table)]
        assert all(names), table
    engine.dispose()


def test_several_processes_may_migrate_at_once(database_url: str) -> None:
    engines = [open_engine(database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, engines))
    with engines[0].connect() as conn:
        assert conn.execute(text("select count(*) from alembic_version")).scalar() == 1
    for engine in engines:
        engine.dispose()


@pytest.mark.parametrize("url", ["mysql://u:geheim@h/d", "nonsense geheim", "sqlite+nothing://geheim"])
def test_an_address_that_is_none_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_engine(url)
    assert "geheim" not in str(refused.value)


# --- weather ---


def test_a_locked_database_says_so_and_the_next_sync_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 30)
    world.engine.dispose()
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); "
         "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()", world.engine.url.database or ""],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(ConfigError, match=r"database is locked\. Another process is writing"):
        world.sync("network")
    holder.communicate(timeout=10)
    assert world.sync("network").outcome == "ok"
    assert len(world.earnings()) == 9


def test_a_lock_in_the_middle_of_a_run_ends_in_its_report(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 30)
    world.engine.dispose()
    other = sqlite3.connect(world.engine.url.database or "", isolation_level=None, check_same_thread=False)

    def lock(told: object) -> None:
        if not other.in_transaction:
            other.execute("BEGIN IMMEDIATE")

    report = world.sync("network", progress=lock)
    other.rollback()
    assert report.outcome == "failed"
    assert "database is locked" in str(report.message)
    assert "What was written before is safe" in str(report.message)
    other.close()
    world.later(minutes=13)  # not even the end of the run could be written: the lease runs out
    assert world.sync("network").outcome == "ok"
    assert len(world.earnings()) == 9
    assert world.ask("select outcome, error from sync_run order by id")[0] == ("failed", "Killed")


def test_a_full_disk_says_so_and_loses_nothing(world: World) -> None:
    for number in range(300):
        row = earning(f"d{number}", START - timedelta(hours=number), product=f"{number}" * 300)
        world.provider.put("/commissions", row)
    with world.engine.connect() as conn:
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        conn.exec_driver_sql(f"PRAGMA max_page_count = {pages + 30}")
    report = world.sync("network")
    assert report.outcome == "failed"
    assert "database or disk is full" in str(report.message)
    assert "Free some space" in str(report.message)
    kept = len(world.earnings())
    assert 0 < kept < 309
    with world.engine.connect() as conn:
        conn.exec_driver_sql("PRAGMA max_page_count = 1000000")
    world.later(minutes=13)
    assert world.sync("network").outcome == "ok"
    assert len(world.earnings()) == 309
    assert world.ask("select sum(earnings), sum(net) from monthly_income") == [(309, 3_009_000_000)]


def test_a_read_only_ledger_says_so(world: World, tmp_path: Path) -> None:
    world.sync("network")
    world.engine.dispose()
    path = tmp_path / "tracker.db"
    engine = open_engine(f"sqlite:///file:{path}?mode=ro&uri=true")
    world.deps.engine = engine
    with pytest.raises(ConfigError, match=r"readonly database\. Check that the folder exists and that you may write"):
        world.sync("network")
    engine.dispose()
    world.deps.engine = world.engine
    assert len(world.earnings()) == 9


@pytest.mark.parametrize("path", ["no/such/folder/tracker.db", "a-file/tracker.db"])
def test_a_folder_that_cannot_hold_the_database_is_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "a-file").write_text("")
    with pytest.raises(ConfigError) as refused:
        migrate(open_engine(f"sqlite:///{tmp_path}/{path}"))
    assert path in str(refused.value)
    assert "unable to open database file. Check that the folder exists" in str(refused.value)


def test_a_damaged_file_asks_for_the_backup(tmp_path: Path) -> None:
    (tmp_path / "tracker.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ConfigError, match="restore a backup"):
        migrate(open_engine(f"sqlite:///{tmp_path}/tracker.db"))


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(ConfigError) as refused:
        migrate(open_engine("postgresql://me:geheim@127.0.0.1:1/ledger?connect_timeout=2"))
    assert "the database 127.0.0.1 answered" in str(refused.value)
    assert "TRACKER_DATABASE_URL" in str(refused.value)
    assert "geheim" not in str(refused.value)


def test_readers_do_not_wait_for_a_writer(database_url: str) -> None:
    engine = open_engine(database_url)
    migrate(engine)
    done = threading.Event()

    def read() -> None:
        with reading(engine) as conn:
            conn.execute(text("select count(*) from earning")).scalar()
        done.set()

    with engine.begin() as conn:
        conn.execute(text("insert into setting (name, value) values ('a', 'b')"))
        thread = threading.Thread(target=read)
        thread.start()
        assert done.wait(5)
    thread.join()
    engine.dispose()


def test_another_fault_of_the_database_is_passed_on_in_one_line(database_url: str) -> None:
    engine = open_engine(database_url)
    with pytest.raises(ConfigError, match="nowhere") as refused, database_errors(engine), engine.connect() as conn:
        conn.execute(text("select * from nowhere"))
    assert "\n" not in str(refused.value)
    engine.dispose()


def test_a_database_of_a_newer_tracker_is_left_alone_and_said_so(database_url: str) -> None:
    engine = open_engine(database_url)
    migrate(engine)
    with engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="newer tracker"):
        migrate(engine)
    engine.dispose()
