"""The audit trail: who came in, what was done with accounts and data, by whom and from where; and never a secret."""

import re

import httpx
import pytest

from tests.post_office import PostOffice
from tests.pretend import START, earning
from tests.web.api_story import program, tell
from tests.web.conftest import PASSWORD, SETUP_TOKEN, Browser, send
from tests.web.test_import_pages import OWN, post_file, settled
from tests.world import World
from tracker import accounts, audit, backups, streams, tokens
from tracker.statements.profiles import shelf

ANOTHER = "another long password"


def trail(world: World) -> list[tuple[str, ...]]:
    """What was done since somebody logged in, or all of it where nobody has."""
    rows = world.ask("select actor, action, subject from audit_event where action != 'logged in' order by id")
    assert not [row for row in rows if PASSWORD in str(row) or ANOTHER in str(row) or "itk_" in str(row)]
    return rows


def test_who_comes_in_and_goes_is_kept_with_the_address_they_came_from(browser: Browser, world: World) -> None:
    one, other = browser(sender="203.0.113.5"), browser(sender="203.0.113.6")
    given = {"token": SETUP_TOKEN, "name": " Eva ", "password": PASSWORD, "again": PASSWORD}
    send(one, "/setup", f"/setup?token={SETUP_TOKEN}", **given)
    send(one, "/logout", "/settings/profile")
    send(other, "/login", name="Eva", password=PASSWORD)
    found = world.ask("select actor, action, subject, sender from audit_event order by id")
    assert found == [
        ("Eva", "owner set up", "", "203.0.113.5"),
        ("Eva", "logged out", "", "203.0.113.5"),
        ("Eva", "logged in", "", "203.0.113.6"),
    ]


def test_what_users_do_with_what_is_their_own_is_kept(viewer: httpx.Client, browser: Browser, world: World) -> None:
    here = "/settings/profile"
    send(viewer, here, name="guest", language="nb")
    second = browser()
    send(second, "/login", name="guest", password=PASSWORD)
    send(viewer, "/settings/sessions/end", here, ref=accounts.ref_of(second.cookies["tracker_session"]))
    send(viewer, "/settings/sessions/end", here, ref="0" * accounts.REF)  # there is none
    send(viewer, "/settings/sessions/end-others", here)
    send(viewer, "/settings/password", here, old=ANOTHER, new=PASSWORD, again=PASSWORD)
    send(viewer, "/settings/password", here, old=PASSWORD, new=ANOTHER, again=ANOTHER)
    told = ("profile changed", "session ended", "sessions ended", "password changed")
    assert trail(world) == [("guest", action, "guest") for action in told]


def test_what_is_done_to_users_and_tokens_is_kept(inside: httpx.Client, world: World) -> None:
    users = "/settings/users"
    send(inside, users, name="Ole", role="viewer", password=PASSWORD, again=PASSWORD)
    ole = accounts.find_user(world.engine, "Ole")
    send(inside, f"{users}/{ole}/password", users, password=ANOTHER, again=ANOTHER)
    send(inside, f"{users}/{ole}/role", users, role="owner")
    send(inside, f"{users}/{ole}/remove", users)
    send(inside, "/settings/tokens", name="script", scope="write")
    send(inside, f"/settings/tokens/{tokens.every(world.engine)[0].id}/revoke", "/settings/tokens")
    assert trail(world) == [
        ("owner", "user added", "Ole (viewer)"),
        ("owner", "password reset", "Ole"),
        ("owner", "role changed", "Ole (owner)"),
        ("owner", "user removed", "Ole"),
        ("owner", "token made", "script (write)"),
        ("owner", "token revoked", "script"),
    ]


def test_what_is_done_with_data_is_kept(inside: httpx.Client, world: World) -> None:
    for name in ("Reviews", "Books"):
        streams.add_stream(world.deps, name)
    send(inside, "/streams/books/remove", "/streams/books", into="reviews")
    send(inside, "/settings/backup")
    (made,) = backups.every(world.deps.settings)
    world.add("network")
    world.provider.put("/commissions", earning("c1", world.now, status="odd"))
    world.sync("network")
    send(inside, "/quarantine/retry", "/quarantine", connection="network")
    assert trail(world) == [
        ("owner", "stream removed", "books into reviews"),
        ("owner", "backup made", made.name),
        ("owner", "quarantine tried again", "network"),
    ]


def test_what_is_imported_is_kept(inside: httpx.Client, world: World) -> None:
    shelf.look_in(world.folder / "statements")
    address = post_file(inside, "courses.csv", OWN).headers["location"]
    settled(inside, address)
    columns = {"column0": "earned_at", "column2": "net", "id0": "yes", "currency": "EUR"}
    send(inside, f"{address}/columns", address, record="earning", name="courses", **columns)
    settled(inside, address)
    send(inside, f"{address}/take", address)
    settled(inside, address)
    assert [row[:2] for row in trail(world)] == [("owner", "statement profile made"), ("owner", "statement imported")]
    assert trail(world)[0][2] == "courses"
    assert trail(world)[1][2].startswith("courses.csv into ")


def test_what_is_mailed_is_kept(inside: httpx.Client, world: World) -> None:
    world.provider.put("/commissions", earning("c1", net="31.00", status="approved"))
    world.add("network")
    world.sync("network")
    world.later(days=18)
    month = f"{START:%Y-%m}"
    with PostOffice() as office:
        world.deps.settings = office.settings(world.deps.settings)
        send(inside, "/settings/mail/test", "/settings/mail")
        send(inside, f"/letters/{month}/send", f"/letters/{month}")
    assert trail(world) == [("owner", "test mail sent", "me@example.com"), ("owner", "letter sent", month)]


@pytest.mark.parametrize("scope", ["read", "write"])
def test_what_a_program_does_is_kept_under_its_tokens_name(served: str, world: World, scope: str) -> None:
    keys = tell(world)
    with program(served, keys.write if scope == "write" else keys.read) as one:
        (row,) = one.get("/quarantine?connection=network").json()["rows"]
        answer = one.post(f"/quarantine/{row['id']}/retry")
    kept = [("token writes", "quarantine tried again", str(row["id"]))]
    assert (answer.status_code, trail(world)) == ((200, kept) if scope == "write" else (403, []))


def test_the_trail_leads_on_and_back_and_has_two_ends(inside: httpx.Client, world: World) -> None:
    for number in range(60):
        audit.record(world.engine, world.now, actor="owner", action=f"deed {number}")

    def links(page: httpx.Response) -> list[str]:
        return re.findall(r'href="(/settings/trail\?(?:after|before)=\d+)"', page.text)

    newest = inside.get("/settings/trail")
    (older,) = links(newest)
    oldest = inside.get(older)
    (newer,) = links(oldest)
    assert ["before=" in older, "after=" in newer] == [True, True]
    assert [("deed 59" in page.text, "logged in" in page.text) for page in (newest, oldest)] == [
        (True, False), (False, True),
    ]  # fmt: skip
    assert "deed 59" in inside.get(newer).text
