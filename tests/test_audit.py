"""The audit trail in the ledger, on both databases."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from tracker import audit
from tracker.store.database import migrate, open_engine


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    migrate(engine)
    yield engine
    engine.dispose()


def test_an_event_is_kept_whatever_the_length_of_its_words(engine: Engine, now: datetime) -> None:
    audit.record(engine, now, actor="a" * 300, action="b" * 300, subject="c" * 300, sender="d" * 300)
    audit.record(engine, now, actor="tracker serve", action="ledger restored")
    second, first = audit.trail(engine, 10)
    assert (first.actor, first.action, first.subject, first.sender) == ("a" * 80, "b" * 40, "c" * 200, "d" * 64)
    assert (first.at, second.sender, second.subject) == (now, None, "")


def test_the_trail_is_read_from_any_event_in_both_directions(engine: Engine, now: datetime) -> None:
    for number in range(6):
        audit.record(engine, now + timedelta(minutes=number), actor="owner", action=f"deed {number}")

    def deeds(limit: int, **place: int) -> list[int]:
        return [int(row.action.removeprefix("deed ")) for row in audit.trail(engine, limit, **place)]

    ids = {int(row.action.removeprefix("deed ")): row.id for row in audit.trail(engine, 10)}
    assert (deeds(10), deeds(2)) == ([5, 4, 3, 2, 1, 0], [5, 4])
    assert (deeds(2, before=ids[3]), deeds(9, before=ids[0])) == ([2, 1], [])
    assert (deeds(2, after=ids[2]), deeds(9, after=ids[5])) == ([4, 3], [])
