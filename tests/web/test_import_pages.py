"""Pages that import statements: send a file, look at what was understood, import it."""

import http.client
import re
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from tests.web.conftest import origin, send, words
from tests.world import World
from tracker.statements.profiles import shelf

FILES = Path(__file__).parent.parent / "statements" / "files"
OWN = b"When,What,Total,Note\n2026-03-01,Course,19.00,x\n2026-03-02,Book,7.50,y\n"


def post_file(one: httpx.Client, name: str, content: bytes, **fields: str) -> httpx.Response:
    token = re.search(r'name="form_token" value="([0-9a-f]{64})"', one.get("/import").text)
    assert token
    data = {"form_token": token[1], **fields}
    return one.post("/import", data=data, files={"file": (name, content)}, headers={"Origin": origin(one)})


def settled(one: httpx.Client, address: str) -> httpx.Response:
    """The page of a file once it is read, or imported."""
    deadline = monotonic() + 30
    while 'http-equiv="refresh"' in (page := one.get(address)).text:
        assert monotonic() < deadline
        sleep(0.02)
    return page


@pytest.fixture(autouse=True)
def own_profiles(world: World) -> None:
    shelf.look_in(world.folder / "statements")


def test_a_file_is_shown_before_it_is_imported_and_adds_nothing_twice(inside: httpx.Client, world: World) -> None:
    content = (FILES / "gumroad-sales.csv").read_bytes()
    for expected in ("new,", "Nothing new in"):
        answer = post_file(inside, "gumroad-sales.csv", content)
        assert answer.status_code == 303, answer.text
        address = answer.headers["location"]
        seen = words(settled(inside, address))
        assert "This was understood" in seen
        assert "gumroad-sales" in seen
        before = world.ask("SELECT count(*) FROM earning")
        assert send(inside, f"{address}/take", address).status_code == 303
        assert expected in words(settled(inside, address))
        if expected == "new,":
            assert before == [(0,)]
        else:
            assert before == world.ask("SELECT count(*) FROM earning")
    assert list((world.folder / "uploads").iterdir()) == []
    assert world.ask("SELECT action FROM audit_event")[-1] == ("statement imported",)


def test_an_unknown_table_is_told_column_by_column(inside: httpx.Client, world: World) -> None:
    address = post_file(inside, "courses.csv", OWN).headers["location"]
    page = settled(inside, address)
    assert "Tell which column is what" in words(page)
    assert ("Tell below which column is what." in words(page), "--map" in words(page)) == (True, False)
    columns = {"column0": "earned_at", "column1": "product", "column2": "net"}
    refused = send(inside, f"{address}/columns", address, record="earning", name="courses", column1="product")
    assert refused.status_code == 400
    assert "No column is the day" in words(refused)
    made = send(
        inside, f"{address}/columns", address, record="earning", name="courses", currency="eur", id0="yes", **columns
    )
    assert made.status_code == 303, words(made)
    assert "This was understood" in words(settled(inside, address))
    send(inside, f"{address}/take", address)
    assert "2 rows: 2 new" in words(settled(inside, address))
    assert world.ask("SELECT net, product FROM earning ORDER BY net") == [(7_500_000, "Book"), (19_000_000, "Course")]
    again = post_file(inside, "courses-2.csv", OWN).headers["location"]
    assert "This was understood" in words(settled(inside, again))


def test_what_is_no_statement_is_refused_and_dropped(inside: httpx.Client, world: World) -> None:
    address = post_file(inside, "../../etc/<i>x.pdf", b"%PDF-1.7 ...").headers["location"]
    page = settled(inside, address)
    assert "is a PDF, not a table" in words(page)
    assert "<i>" not in page.text
    assert send(inside, f"{address}/take", address).status_code == 400
    assert send(inside, f"{address}/drop", address).headers["location"] == "/import"
    assert inside.get(address).status_code == 404
    assert list((world.folder / "uploads").iterdir()) == []


def test_only_owners_import(inside: httpx.Client, viewer: httpx.Client, browser: object, world: World) -> None:
    assert "Only an owner may import." in words(viewer.get("/import"))
    nobody = httpx.post(f"{inside.base_url}/import", files={"file": ("x.csv", b"a" * 300_000)})
    assert nobody.status_code == 413
    assert world.ask("SELECT count(*) FROM audit_event WHERE action LIKE 'statement%'") == [(0,)]
    for address in ("/import/" + "a" * 22, "/import/..%2f..%2fx", "/import/x"):
        assert inside.get(address).status_code == 404


def test_a_statement_of_many_megabytes_is_taken_but_not_more_than_that(inside: httpx.Client) -> None:
    rows = b"".join(b"2026-03-%02d,Row %d,1.00,%d\n" % (1 + n % 28, n, n) for n in range(20_000))
    answer = post_file(inside, "long.csv", b"When,What,Total,Note\n" + rows)
    assert answer.status_code == 303
    asked = http.client.HTTPConnection("127.0.0.1", inside.base_url.port or 0, timeout=30)
    cookies = "; ".join(f"{name}={value}" for name, value in inside.cookies.items())
    asked.request("POST", "/import", headers={"Cookie": cookies, "Content-Length": "200000001"})
    assert asked.getresponse().status == 413
    asked.close()


def test_a_second_reading_heeds_what_is_said(inside: httpx.Client) -> None:
    address = post_file(inside, "courses.csv", OWN).headers["location"]
    settled(inside, address)
    assert send(inside, f"{address}/read", address, currency="XXQ1").status_code == 400
    assert send(inside, f"{address}/read", address, month="2026-99").status_code == 400
    assert send(inside, f"{address}/read", address, profile="gumroad-sales").status_code == 303
    assert "needs" in words(settled(inside, address))
