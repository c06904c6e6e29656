"""Logging in at a provider from the pages: there and back, with a code that is typed in, and what may go wrong."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.web.conftest import send, words
from tests.web.test_connection_pages import slugs, trail
from tests.world import World
from tracker.demo.server import Sandbox

FORM = "/connections/add/daisycon"


@pytest.fixture
def sandbox(world: World) -> Iterator[Sandbox]:
    with Sandbox(now=world.now, seed=7) as one:
        yield one


def begin(one: httpx.Client, sandbox: Sandbox, **more: str) -> httpx.Response:
    """Fill in the form as somebody does who has an app at Daisycon, but no token."""
    keys = sandbox.credentials("daisycon")
    del keys["refresh_token"]
    typed = {f"credential.{name}": value for name, value in keys.items()}
    usual = {"do": "connect", "slug": "daisycon", "title": "Daisycon", "interval": "1h"}
    return send(one, FORM, **{**usual, **typed, "option.base_url": sandbox.url("daisycon"), **more})


def link(page: httpx.Response, words_of_it: str) -> str:
    found = re.search(rf'<a [^>]*href="([^"]+)"[^>]*>{words_of_it}', page.text)
    assert found, page.text
    return unescape(found[1])


def allowed(page: httpx.Response, answer: str = "Allow", way: str = "Log in at Daisycon") -> str:
    """Follow the link to the provider and its answer; where that sends the browser."""
    asked = httpx.get(link(page, way), timeout=20)
    assert asked.status_code == 200, asked.text
    return link(asked, answer)


def secrets(world: World, slug: str = "daisycon") -> tuple[dict[str, str], dict[str, str]]:
    ((credentials, tokens),) = world.ask("select credentials, tokens from connection_secret")
    return world.deps.vault.unseal(slug, credentials), world.deps.vault.unseal(slug, tokens)


def test_who_logs_in_is_sent_back_and_connected(inside: httpx.Client, world: World, sandbox: Sandbox) -> None:
    form = inside.get(FORM)
    assert "http://127.0.0.1" in form.text
    assert f"{FORM}/login</code>" in form.text  # what the app there must know
    page = begin(inside, sandbox, stream="Gear", since="2026-05-01")
    assert (page.status_code, slugs(world)) == (200, [])
    asked = parse_qs(urlsplit(link(page, "Log in at Daisycon")).query)
    assert (asked["response_type"], asked["code_challenge_method"]) == (["code"], ["S256"])
    assert asked["redirect_uri"] == [str(inside.base_url).rstrip("/") + f"{FORM}/login"]
    back = inside.get(allowed(page))
    assert (back.status_code, back.headers.get("location")) == (303, "/connections/daisycon")
    assert "Connected. Your key opens transactions." in words(inside.get("/connections/daisycon"))
    assert trail(world) == [("connection added", "daisycon")]
    assert world.ask("select title from stream") == [("Gear",)]
    kept, tokens = secrets(world)
    assert kept["refresh_token"] == tokens["refresh_token"]
    world.now += timedelta(hours=2)  # the access token is over, so that the refresh token is used
    sandbox.now = world.now
    assert world.sync("daisycon").outcome == "ok"
    assert world.earnings("daisycon")


def test_a_code_that_the_provider_shows_is_typed_in(inside: httpx.Client, world: World, sandbox: Sandbox) -> None:
    page = begin(inside, sandbox)
    shown = httpx.get(allowed(page, way="Log in there and have the code shown"), timeout=20)
    code = re.search("<code>(.+)</code>", shown.text)
    assert code
    assert typed(inside, page, code[1]).headers["location"] == "/connections/daisycon"
    assert slugs(world) == ["daisycon"]


def test_the_address_that_did_not_open_is_typed_in(inside: httpx.Client, world: World, sandbox: Sandbox) -> None:
    """The provider's answer leads to this machine, and the browser runs on another."""
    page = begin(inside, sandbox)
    assert typed(inside, page, f" {allowed(page)} ").headers["location"] == "/connections/daisycon"


def typed(one: httpx.Client, page: httpx.Response, answer: str) -> httpx.Response:
    state = re.search(r'name="state" value="([^"]+)"', page.text)
    assert state
    return send(one, f"{FORM}/login", FORM, state=state[1], answer=answer)


def test_who_refuses_may_think_again(inside: httpx.Client, world: World, sandbox: Sandbox) -> None:
    page = inside.get(allowed(begin(inside, sandbox), "Refuse"))
    assert (page.status_code, slugs(world)) == (400, [])
    assert "did not let us in. It says: " in words(page)
    assert inside.get(allowed(page)).headers["location"] == "/connections/daisycon"


@pytest.mark.parametrize("answer", ["no-such-code", "?state=another&code=x", "https://login.example/?nothing=x"])
def test_what_is_no_answer_to_this_login_is_refused(
    inside: httpx.Client, world: World, sandbox: Sandbox, answer: str
) -> None:
    page = typed(inside, begin(inside, sandbox), answer)
    assert (page.status_code, slugs(world)) == (400, [])
    assert inside.get(allowed(page)).status_code == 303


def test_an_answer_serves_once_and_only_who_began(
    inside: httpx.Client, viewer: httpx.Client, world: World, sandbox: Sandbox
) -> None:
    back = allowed(begin(inside, sandbox))
    assert viewer.get(back).status_code == 403
    assert inside.get(back.replace("/daisycon/", "/awin/")).status_code == 400
    assert inside.get(re.sub("state=[^&]+", "state=another", back)).status_code == 400
    assert slugs(world) == []
    assert inside.get(back).status_code == 303
    again = inside.get(back)
    assert (again.status_code, slugs(world)) == (400, ["daisycon"])
    assert "This login is over" in words(again)


def test_a_login_that_took_too_long_is_begun_again(inside: httpx.Client, world: World, sandbox: Sandbox) -> None:
    back = allowed(begin(inside, sandbox))
    world.now += timedelta(minutes=30)
    assert inside.get(back).status_code == 400
    assert slugs(world) == []


def test_what_is_missing_is_asked_for_before_anybody_logs_in(inside: httpx.Client, sandbox: Sandbox) -> None:
    page = begin(inside, sandbox, **{"credential.client_id": ""})
    assert page.status_code == 400
    assert "Daisycon needs client_id" in words(page)
    assert "refresh_token" not in words(page)


def test_a_wrong_id_is_corrected_without_another_login(inside: httpx.Client, world: World, sandbox: Sandbox) -> None:
    """The refresh token has changed meanwhile, and the new one is used."""
    back = allowed(begin(inside, sandbox, **{"credential.publisher_id": "1"}))
    form = inside.get(back)
    assert (form.status_code, slugs(world)) == (400, [])
    assert "You are logged in at Daisycon." in words(form)
    assert "not readable transactions" in words(form)
    held = re.search(r'name="held" value="([^"]+)"', form.text)
    assert held
    world.now += timedelta(minutes=29)
    wrong = begin(inside, sandbox, held=held[1], **{"credential.publisher_id": "2"})
    held = re.search(r'name="held" value="([^"]+)"', wrong.text)
    assert held
    assert begin(inside, sandbox, held=held[1]).headers["location"] == "/connections/daisycon"
    world.now = sandbox.now = world.now + timedelta(hours=1)
    assert world.sync("daisycon").outcome == "ok"


def test_a_connection_whose_login_was_lost_logs_in_anew(inside: httpx.Client, world: World, sandbox: Sandbox) -> None:
    assert inside.get(allowed(begin(inside, sandbox))).status_code == 303
    inside.get(allowed(begin(inside, sandbox, slug="other")))  # the token of the first login dies
    world.now = sandbox.now = world.now + timedelta(hours=1)
    assert world.sync("daisycon").outcome != "ok"
    assert "needs new keys" in words(inside.get("/connections/daisycon"))
    page = send(inside, "/connections/daisycon/login", "/connections/daisycon")
    back = inside.get(allowed(page))
    assert back.headers["location"] == "/connections/daisycon"
    assert "You are logged in, and it is read now." in words(inside.get("/connections/daisycon"))
    assert trail(world)[-1] == ("credentials replaced", "daisycon")
    assert world.sync("daisycon").outcome == "ok"


def test_a_token_that_was_used_up_by_the_trial_is_not_lost(
    inside: httpx.Client, world: World, sandbox: Sandbox
) -> None:
    """The provider hands out the next one, and is in trouble when it is asked for rows."""
    assert inside.get(allowed(begin(inside, sandbox))).status_code == 303
    _, tokens = secrets(world)
    world.now = sandbox.now = world.now + timedelta(hours=1)
    sandbox.fail("daisycon", "server_error", path="publishers", times=None)
    typed_now = {"credential.refresh_token": tokens["refresh_token"]}
    answer = send(inside, "/connections/daisycon/credentials", "/connections/daisycon", **typed_now)
    assert answer.headers["location"] == "/connections/daisycon"
    sandbox.heal()
    world.now = sandbox.now = world.now + timedelta(hours=1)
    assert world.sync("daisycon").outcome == "ok"


def test_another_id_is_stored_without_another_login(inside: httpx.Client, world: World, sandbox: Sandbox) -> None:
    """The refresh token of the login was replaced by the first sync after it, and only the newest one is good."""
    back = allowed(begin(inside, sandbox))
    assert inside.get(back).status_code == 303
    world.now = sandbox.now = world.now + timedelta(hours=1)
    assert world.sync("daisycon").outcome == "ok"
    own = {"credential.publisher_id": sandbox.credentials("daisycon")["publisher_id"]}
    answer = send(inside, "/connections/daisycon/credentials", "/connections/daisycon", **own)
    assert answer.headers.get("location") == "/connections/daisycon"
    world.now = sandbox.now = world.now + timedelta(hours=1)
    assert world.sync("daisycon").outcome == "ok"


def test_only_providers_with_a_login_have_one(inside: httpx.Client, world: World) -> None:
    world.add("network")
    assert send(inside, "/connections/network/login", "/connections/network").status_code == 404
    assert "Log in at" not in words(inside.get("/connections/network"))


def test_logins_that_nobody_finishes_do_not_pile_up(inside: httpx.Client, sandbox: Sandbox) -> None:
    first = allowed(begin(inside, sandbox))
    for _ in range(50):
        begin(inside, sandbox)
    assert inside.get(first).status_code == 400


def test_no_secret_stands_in_the_address_of_the_login(inside: httpx.Client, sandbox: Sandbox) -> None:
    page: Any = begin(inside, sandbox)
    assert sandbox.credentials("daisycon")["client_secret"] not in page.text
