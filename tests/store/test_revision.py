"""Whoever keeps a figure learns of every write to the ledger, of this process or another."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from tests.world import make_ledger
from tracker.store.database import reading
from tracker.store.revision import Revision
from tracker.store.tables import metadata

setting_t = metadata.tables["setting"]
WRITE = """
import sys
from sqlalchemy import create_engine, text
with create_engine(sys.argv[1]).begin() as conn:
    conn.execute(text("INSERT INTO setting (name, value) VALUES ('elsewhere', 'x')"))
"""


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_ledger(database_url)
    yield engine
    engine.dispose()


def test_it_moves_with_every_write_and_with_nothing_else(engine: Engine) -> None:
    revision = Revision(engine)
    before = revision.now()
    with reading(engine) as conn:
        conn.execute(setting_t.select()).all()
    assert revision.now() == before
    with engine.begin() as conn:
        conn.execute(insert(setting_t).values(name="a", value="1"))
        assert revision.now() == before  # not seen by anybody yet
    after = revision.now()
    assert after != before
    assert revision.now() == after


def test_a_write_of_another_process_moves_it(engine: Engine) -> None:
    revision = Revision(engine)
    before = revision.now()
    url = engine.url.render_as_string(hide_password=False)
    subprocess.run([sys.executable, "-c", WRITE, url], check=True, timeout=60, cwd=Path(__file__).parents[2])
    assert revision.now() != before


def test_it_goes_on_after_the_connections_were_closed(engine: Engine) -> None:
    revision = Revision(engine)
    revision.now()
    engine.dispose()
    before = revision.now()
    with engine.begin() as conn:
        conn.execute(insert(setting_t).values(name="a", value="1"))
    assert revision.now() != before
