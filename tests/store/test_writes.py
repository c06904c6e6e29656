"""Writing in sets: every write can be repeated without harm, on both databases."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given
from sqlalchemy import select

from tests.pretend import START
from tests.world import World
from tracker.store import writes
from tracker.store.writes import CHUNK


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        world.add("network")
        yield world


def test_more_keys_than_one_list_may_hold_are_looked_up(world: World) -> None:
    keys = [f"k{number}" for number in range(3 * CHUNK + 7)]
    rows = [
        {"connection_id": 1, "resource": "r", "key": key, "digest": key.encode(), "batch_id": 1, "position": 0,
         "made": [key, "x"] if key == "k5" else None}
        for key in keys
    ]  # fmt: skip
    with world.engine.begin() as conn:
        writes.keep_rows(conn, rows)
        writes.keep_rows(conn, rows)
        known = writes.known_rows(conn, 1, "r", [*keys, "absent"])
        assert writes.known_rows(conn, 1, "r", []) == {}
        assert writes.known_rows(conn, 1, "other", keys) == {}
    assert set(known) == set(keys)
    assert known["k5"] == (b"k5", ["k5", "x"])
    assert known["k6"] == (b"k6", None)


def test_an_upsert_updates_all_but_what_is_kept(world: World) -> None:
    row = {"connection_id": 1, "external_id": "p", "title": "Old", "currency": None, "recurring": True}
    key = ("connection_id", "external_id")
    from tracker.ledger import program_t

    with world.engine.begin() as conn:
        writes.upsert(conn, program_t, [row], key)
        writes.upsert(conn, program_t, [row | {"title": "New", "recurring": False}], key, {"recurring"})
        writes.upsert(conn, program_t, [], key)
        assert conn.execute(select(program_t.c.title, program_t.c.recurring)).all() == [("New", True)]


def test_a_row_in_quarantine_counts_its_tries_and_leaves_once_it_is_understood(world: World) -> None:
    def held(error: str, hours: int) -> dict[str, object]:
        at = START + timedelta(hours=hours)
        return {
            "connection_id": 1, "resource": "r", "fingerprint": "f", "row_key": "k", "payload": b"{}", "error": error,
            "first_seen_at": at, "last_seen_at": at, "tries": 1,
        }  # fmt: skip

    with world.engine.begin() as conn:
        writes.quarantine(conn, [held("first", 0)])
        writes.quarantine(conn, [held("second", 1)])
        writes.quarantine(conn, [])
        [row] = conn.execute(select(writes.quarantine_t)).all()
        assert (row.error, row.tries, row.first_seen_at, row.last_seen_at) == (
            "second", 2, START, START + timedelta(hours=1)
        )  # fmt: skip
        writes.release(conn, 1, "other", ["k"])
        writes.release(conn, 1, "r", ["other"])
        assert len(conn.execute(select(writes.quarantine_t)).all()) == 1
        writes.release(conn, 1, "r", ["k", "other"])
        assert conn.execute(select(writes.quarantine_t)).all() == []


def test_a_page_is_as_before_only_with_the_same_bytes_and_revision(world: World) -> None:
    with world.engine.begin() as conn:
        writes.remember_page(conn, 1, "r", "p", b"a", 3)
        writes.remember_page(conn, 1, "r", "p", b"b", 4)
        seen = [writes.page_seen(conn, 1, "r", "p", *place) for place in ((b"b", 4), (b"a", 3), (b"b", 3), (b"a", 4))]
        assert seen == [True, False, False, False]
        assert not writes.page_seen(conn, 1, "r", "q", b"b", 4)


def test_a_lease_is_prolonged_only_by_its_holder(world: World) -> None:
    with world.engine.begin() as conn:
        assert not writes.touch_lease(conn, 1, "me", START)
        conn.execute(writes.connection_t.update().values(leased_by="me"))
        assert writes.touch_lease(conn, 1, "me", START)
        assert not writes.touch_lease(conn, 1, "you", START)


@given(rows=st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=3), max_size=5))
def test_a_batch_unpacks_to_the_rows_that_were_packed(rows: list[dict[str, object]]) -> None:
    import zstandard

    raw = [msgspec.json.encode(row) for row in rows]
    blob = zstandard.ZstdCompressor().compress(b"[" + b",".join(raw) + b"]")
    assert [bytes(row) for row in writes.unpack_batch(blob)] == raw


@given(items=st.lists(st.integers(), max_size=3 * CHUNK))
def test_chunks_keep_order_and_size(items: list[int]) -> None:
    parts = list(writes.chunks(items))
    assert [item for part in parts for item in part] == items
    assert all(0 < len(part) <= CHUNK for part in parts)
