"""Who may open what: every address of the application, asked as nobody, as a viewer and as an owner.

The addresses are those that the application itself knows, so that none can be forgotten here.
"""

import re
from typing import NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from tests.web.conftest import PASSWORD, Browser, origin, send
from tests.world import World
from tracker import accounts, tokens
from tracker.web.api.problems import PREFIX
from tracker.web.app import make_app

#: Before anybody is known: the way in, and where providers call.
OPEN = {"/login", "/logout", "/setup", "/in/{token}"}
#: What a viewer may change: what is their own.
OWN = {"/logout", "/settings/profile", "/settings/password", "/settings/sessions/end", "/settings/sessions/end-others"}
#: What a viewer does not even see.
HIDDEN = re.compile(r"/connections/add|/settings/(?!profile$)")
#: What stands in an address in place of its parts: there is no such thing, so that nothing can happen to it.
PARTS = {
    "period": "2026-05",
    "month": "2026-05",
    "earning_id": "1",
    "payout_id": "1",
    "row_id": "1",
    "rule_id": "1",
    "user_id": "999",
    "token_id": "1",
}


class Route(NamedTuple):
    method: str
    path: str

    @property
    def address(self) -> str:
        return re.sub(r"{(\w+)}", lambda part: PARTS.get(part[1], "x"), self.path)


def routes_of(app: FastAPI) -> list[Route]:
    found = [(one.path, sorted(one.methods or {"mount"})) for one in iter_route_contexts(app.routes)]
    return [Route(method, path or "") for path, methods in found for method in methods]


@pytest.fixture
def routes(world: World) -> list[Route]:
    found = routes_of(make_app(world.deps))
    assert {one.path for one in found if one.method == "mount"} == {PREFIX, "/static"}
    known = [one for one in found if one.method != "mount"]
    assert {one.method for one in known} == {"GET", "POST"}
    assert len(known) > 80
    return known


def changes(routes: list[Route]) -> list[Route]:
    """What changes something, but for the way in."""
    return [one for one in routes if one.method == "POST" and one.path not in OPEN]


def form_token(one: httpx.Client, path: str) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', one.get(path).text)
    assert found
    return found[1]


def post(one: httpx.Client, route: Route, token: str, sender: str | None = None) -> httpx.Response:
    return one.post(route.address, data={"form_token": token}, headers={"Origin": sender or origin(one)})


def test_nobody_gets_further_than_the_login(routes: list[Route], inside: httpx.Client, browser: Browser) -> None:
    nobody = browser()
    token = form_token(nobody, "/login")
    for one in routes:
        if one.path not in OPEN:
            answer = nobody.get(one.address) if one.method == "GET" else post(nobody, one, token)
            assert (one, answer.status_code, answer.headers.get("location")) == (one, 303, "/login")


def test_a_viewer_looks_and_changes_only_what_is_their_own(
    routes: list[Route], viewer: httpx.Client, world: World
) -> None:
    token = form_token(viewer, "/settings/profile")
    before = world.dump()
    for one in changes(routes):
        if one.path not in OWN:
            answer = post(viewer, one, token)
            assert (one, answer.status_code) == (one, 403)
            assert "Only an owner may do that" in answer.text
    assert world.dump() == before
    for one in routes:
        if one.method == "GET" and one.path not in OPEN:
            status = viewer.get(one.address).status_code
            hidden = HIDDEN.match(one.path) is not None
            assert (one, status == 403, status < 500) == (one, hidden, True)


def test_no_change_is_made_by_a_form_that_is_not_ours(routes: list[Route], inside: httpx.Client, world: World) -> None:
    token = form_token(inside, "/settings/profile")
    before = world.dump()
    for one in [*changes(routes), Route("POST", "/login"), Route("POST", "/logout"), Route("POST", "/setup")]:
        without = [post(inside, one, ""), post(inside, one, "0" * 64), post(inside, one, token, "https://evil.example")]
        assert (one, [answer.status_code for answer in without]) == (one, [403] * 3)
        assert all("Please try again" in answer.text for answer in without)
    assert world.dump() == before


def test_an_owner_may_open_every_page(routes: list[Route], inside: httpx.Client) -> None:
    for one in routes:
        if one.method == "GET" and one.path not in OPEN:
            status = inside.get(one.address).status_code
            assert (one, status in (200, 303, 400, 404)) == (one, True)


def test_a_form_without_its_fields_is_never_a_fault(routes: list[Route], inside: httpx.Client) -> None:
    token = form_token(inside, "/settings/profile")
    for one in changes(routes):
        answer = post(inside, one, token)
        assert (one, answer.status_code in (200, 303, 400, 404)) == (one, True)


def test_the_api_takes_tokens_only_and_a_reading_one_changes_nothing(inside: httpx.Client, world: World) -> None:
    user = world.ask('select id from "user"')[0][0]
    reading = {"Authorization": "Bearer " + tokens.make(world.engine, user, "reads", "read", world.now)}
    mounted = next(one for one in make_app(world.deps).routes if getattr(one, "path", "") == PREFIX)
    api: FastAPI = mounted.app  # type: ignore[attr-defined]
    known = [one for one in routes_of(api) if one.path != "/openapi.json"]
    assert len(known) > 25
    for one in known:
        assert (one, inside.request(one.method, PREFIX + one.address).status_code) == (one, 401)  # whatever its cookie
        if one.method == "GET":
            assert (one, inside.get(PREFIX + one.address, headers=reading).status_code in (200, 404)) == (one, True)
    before = world.dump()
    for one in known:
        if one.method != "GET":
            status = inside.request(one.method, PREFIX + one.address, headers=reading).status_code
            assert (one, status) == (one, 403)
    assert world.dump() == before


# --- rights end at once ---


def add_second(world: World) -> int:
    return accounts.add_user(world.engine, "second", PASSWORD, "owner", world.now)


def test_who_is_removed_is_out_at_once_with_every_token(inside: httpx.Client, browser: Browser, world: World) -> None:
    user = add_second(world)
    bearer = {"Authorization": "Bearer " + tokens.make(world.engine, user, "script", "write", world.now)}
    other = browser()
    send(other, "/login", name="second", password=PASSWORD)
    assert other.get("/settings/users").status_code == 200
    assert other.get(f"{PREFIX}/me", headers=bearer).status_code == 200
    assert send(inside, f"/settings/users/{user}/remove", "/settings/users").status_code == 303
    assert other.get("/settings/users").headers["location"] == "/login"
    assert other.get(f"{PREFIX}/me", headers=bearer).status_code == 401


def test_another_role_holds_with_the_next_request(inside: httpx.Client, browser: Browser, world: World) -> None:
    user = add_second(world)
    bearer = {"Authorization": "Bearer " + tokens.make(world.engine, user, "script", "write", world.now)}
    other = browser()
    send(other, "/login", name="second", password=PASSWORD)
    assert other.get("/settings/users").status_code == 200
    assert other.get(f"{PREFIX}/me", headers=bearer).json()["scope"] == "write"
    assert send(inside, f"/settings/users/{user}/role", "/settings/users", role="viewer").status_code == 303
    assert other.get("/settings/users").status_code == 403
    assert other.get(f"{PREFIX}/me", headers=bearer).json()["scope"] == "read"


def test_a_session_that_somebody_planted_is_not_the_one_that_is_logged_in(browser: Browser, world: World) -> None:
    accounts.add_owner(world.engine, "owner", PASSWORD, world.now)
    one = browser()
    one.cookies.set("tracker_session", "planted")
    send(one, "/login", name="owner", password=PASSWORD)
    assert accounts.visitor(world.engine, "planted", world.now) is None
    given = {cookie.value for cookie in one.cookies.jar if cookie.name == "tracker_session"} - {"planted"}
    assert [accounts.visitor(world.engine, token or "", world.now) is not None for token in given] == [True]


def test_who_gives_up_being_an_owner_is_led_to_what_they_still_see(inside: httpx.Client, world: World) -> None:
    second, me = add_second(world), accounts.find_user(world.engine, "owner")
    for user, role, place in ((second, "viewer", "/settings/users"), (second, "owner", "/settings/users"),
                              (me, "owner", "/settings/users"), (me, "viewer", "/settings")):  # fmt: skip
        answer = send(inside, f"/settings/users/{user}/role", "/settings/users", role=role)
        assert (user, role, answer.headers["location"]) == (user, role, place)


def test_a_password_that_was_mistyped_is_given_to_nobody(inside: httpx.Client, world: World) -> None:
    user = add_second(world)
    mistyped = {"password": "another long password", "again": "another long passwort"}
    assert send(inside, f"/settings/users/{user}/password", "/settings/users", **mistyped).status_code == 400
    assert accounts.recognise(world.engine, "second", PASSWORD) == user
    given = {"name": "third", "role": "viewer", **mistyped}
    assert send(inside, "/settings/users", **given).status_code == 400
    assert {row.name for row in accounts.every_user(world.engine, world.now)} == {"owner", "second"}
