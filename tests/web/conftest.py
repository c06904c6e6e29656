"""The pages over a ledger, asked by real HTTP on a port that the system chooses."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from html import unescape
from pathlib import Path

import httpx
import pytest
from sqlalchemy import insert, select

from tests.world import World
from tracker import accounts
from tracker.accounts import user_t
from tracker.web.app import make_app
from tracker.web.listen import Pages, address_of, listen

PASSWORD = "a long password"
SETUP_TOKEN = "the-token-that-serve-prints"
Browser = Callable[..., httpx.Client]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite: pages are the same on both. A module whose statements are its own asks for both."""
    return f"sqlite:///{tmp_path / 'tracker.db'}"


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[World]:
    with World(database_url, tmp_path / "data") as world:
        world.deps.settings = world.deps.settings.model_copy(update={"web_port": 0})
        yield world


@pytest.fixture
def served(world: World) -> Iterator[str]:
    """The address of the running application."""
    bound = listen(world.deps)
    pages = Pages(make_app(world.deps, setup_token=SETUP_TOKEN), bound)
    yield address_of(world.deps.settings, bound)
    pages.stop()


@pytest.fixture
def browser(served: str) -> Iterator[Browser]:
    """Opens browsers; with a `scheme` or `sender` it is a proxy on this machine that passes requests on."""
    with ExitStack() as stack:

        def open_one(scheme: str = "http", sender: str = "203.0.113.5") -> httpx.Client:
            headers = {"X-Forwarded-Proto": scheme, "X-Forwarded-For": sender}
            return stack.enter_context(httpx.Client(base_url=served, headers=headers, timeout=60))

        yield open_one


@pytest.fixture
def inside(browser: Browser, world: World) -> httpx.Client:
    """A browser in which the owner is logged in."""
    accounts.add_owner(world.engine, "owner", PASSWORD, world.now)
    one = browser()
    assert send(one, "/login", name="owner", password=PASSWORD).headers["location"] == "/"
    return one


@pytest.fixture
def viewer(inside: httpx.Client, browser: Browser, world: World) -> httpx.Client:
    """A browser in which somebody is logged in who may look but not change."""
    with world.engine.begin() as conn:
        (owner,) = conn.execute(select(user_t)).mappings().all()
        conn.execute(insert(user_t).values({**owner, "id": None, "name": "guest", "role": "viewer"}))
    one = browser()
    assert send(one, "/login", name="guest", password=PASSWORD).headers["location"] == "/"
    return one


def words(page: httpx.Response) -> str:
    """What a reader sees, without tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def send(one: httpx.Client, path: str, source: str | None = None, **fields: str) -> httpx.Response:
    """Fill in the form of a page (`source`, or that of the same address) and send it, as a browser does."""
    page = one.get(source or path)
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', page.text)
    assert found, page.text
    return one.post(path, data={"form_token": found[1], **fields}, headers={"Origin": origin(one)})


def origin(one: httpx.Client) -> str:
    return str(one.base_url.copy_with(scheme=one.headers["X-Forwarded-Proto"])).rstrip("/")
