"""A page that was worked out is shown again while the ledger is as it was, and for a minute at most."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Engine, insert

from tests.pretend import START
from tests.world import make_ledger
from tracker.store.revision import Revision
from tracker.store.tables import metadata
from tracker.web.remembered import AGE, Remembered


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = make_ledger(f"sqlite:///{tmp_path}/t.db")
    yield engine
    engine.dispose()


class Made:
    """Counts how often a value was made."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> int:
        self.times += 1
        return self.times


def write(engine: Engine, name: str) -> None:
    with engine.begin() as conn:
        conn.execute(insert(metadata.tables["setting"]).values(name=name, value="1"))


def test_it_is_made_again_after_a_write_and_after_a_minute(engine: Engine) -> None:
    kept, make = Remembered(Revision(engine)), Made()
    assert [kept.get("a", START, make) for _ in range(3)] == [1, 1, 1]
    write(engine, "x")
    assert kept.get("a", START, make) == 2
    assert kept.get("a", START + AGE - timedelta(seconds=1), make) == 2
    assert kept.get("a", START + AGE, make) == 3
    assert kept.get("a", START, make) == 4  # the clock was set back
    assert kept.get("b", START, make) == 5


def test_what_is_written_while_it_is_made_is_not_missed(engine: Engine) -> None:
    kept, make = Remembered(Revision(engine)), Made()

    def slow() -> int:
        write(engine, "meanwhile")
        return make()

    assert kept.get("a", START, slow) == 1
    assert kept.get("a", START, make) == 2


def test_many_who_ask_at_once_get_what_one_of_them_made(engine: Engine) -> None:
    kept, make, together = Remembered(Revision(engine)), Made(), Barrier(8)

    def ask() -> int:
        together.wait(10)
        return kept.get("a", START, make)

    with ThreadPoolExecutor(8) as pool:
        answers = [one.result(30) for one in [pool.submit(ask) for _ in range(8)]]
    assert answers == [1] * 8


def test_only_so_many_are_kept(engine: Engine) -> None:
    kept, make = Remembered(Revision(engine), most=2), Made()
    assert [kept.get(key, START, make) for key in "abacab"] == [1, 2, 1, 3, 1, 4]


def test_a_failure_is_not_kept(engine: Engine) -> None:
    kept, make = Remembered(Revision(engine)), Made()
    with pytest.raises(ZeroDivisionError):
        kept.get("a", START, lambda: 1 // 0)
    assert kept.get("a", START, make) == 1
