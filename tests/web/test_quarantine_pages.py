"""Pages about rows that nobody understood."""

from datetime import timedelta

import httpx
import pytest

from tests.pretend import earning
from tests.web.conftest import send, words
from tests.world import World
from tracker import quarantine
from tracker.web.pages import quarantine as pages


def put(world: World, *row_ids: str, status: str) -> None:
    updated = (world.now - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for row_id in row_ids:
        world.provider.put("/commissions", earning(row_id, updated=updated, status=status))
    world.sync("network")


def test_an_empty_quarantine_says_so(inside: httpx.Client) -> None:
    assert "The quarantine is empty" in words(inside.get("/quarantine"))


def test_a_row_is_shown_with_its_error_and_as_it_came(inside: httpx.Client, world: World) -> None:
    world.add("network")
    put(world, "c1", status="<b>odd</b>")
    listed = inside.get("/quarantine")
    assert "1 row waits." in words(listed)
    assert "<b>odd" not in listed.text
    (row,), _ = quarantine.held(world.engine)
    single = inside.get(f"/quarantine/{row.id}")
    assert "unknown word" in words(single)
    assert '"status": "<b>odd</b>"' in words(single).replace("&lt;", "<")


def test_numbers_of_a_row_stand_as_they_came() -> None:
    came = '{ "net": 10.50, "id": 12345678901234567890, "tiny": 1e-7 }'
    assert pages.readable(came.encode()).split() == came.split()
    assert pages.readable(b"no <json> \xff") == "no <json> \ufffd"


def test_pages_of_the_quarantine_give_every_row_once(
    inside: httpx.Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "SHOWN", 2)
    world.add("network")
    put(world, "c1", "c2", "c3", "c4", "c5", status="odd")
    seen, address = [], "/quarantine"
    for _ in range(3):
        page = inside.get(address)
        seen += [name for name in ("c1", "c2", "c3", "c4", "c5") if f"<code>{name}</code>" in page.text]
        address = "/quarantine" + page.text.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
    assert sorted(seen) == ["c1", "c2", "c3", "c4", "c5"]
    assert address == "/quarantine"


def test_rows_are_tried_again_by_owners_only(inside: httpx.Client, viewer: httpx.Client, world: World) -> None:
    world.add("network")
    put(world, "c1", status="odd")
    assert "Try all of them again" not in viewer.get("/quarantine").text
    assert send(viewer, "/quarantine/retry", "/quarantine").status_code == 403
    (row,), _ = quarantine.held(world.engine)
    assert row.tries == 1
    answer = send(inside, "/quarantine/retry", "/quarantine")
    assert (answer.status_code, answer.headers["location"]) == (303, "/quarantine")
    assert "Of 1 row that was tried again, 0 is understood now." in words(inside.get("/quarantine"))
    assert send(inside, "/quarantine/retry", f"/quarantine/{row.id}", ids=str(row.id)).status_code == 303
    (row,), _ = quarantine.held(world.engine)
    assert row.tries == 3
    assert world.ask("SELECT actor, action, subject FROM audit_event WHERE action LIKE 'quarantine%' ORDER BY id") == [
        ("owner", "quarantine tried again", "all"),
        ("owner", "quarantine tried again", str(row.id)),
    ]


def test_a_row_that_is_gone_is_no_fault(inside: httpx.Client) -> None:
    assert inside.get("/quarantine/77").status_code == 404
    assert inside.get("/quarantine/x").status_code == 400
    assert send(inside, "/quarantine/retry", "/quarantine", ids="77").status_code == 400
    assert inside.get("/quarantine?connection=nobody").status_code == 400
