"""What browsers, strangers and other sites are not allowed, line by line: the second fence behind each first one."""

import asyncio
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
from starlette.types import Message, Receive, Scope, Send

from tests.pretend import earning
from tests.web.conftest import PASSWORD, SETUP_TOKEN, Browser, origin, send, words
from tests.web.test_connecting_pages import connect, sealed
from tests.web.test_rights import form_token
from tests.world import World
from tracker import accounts
from tracker.web import site
from tracker.web.app import make_app
from tracker.web.guard import Guard, Window
from tracker.web.listen import Pages, address_of, listen

OURS = {"'self'", "'none'"}


@contextmanager
def standing(
    world: World, setup_token: str | None = None, routes: Mapping[str, Callable[[], object]] | None = None
) -> Iterator[tuple[httpx.Client, site.Site]]:
    """A browser before pages of its own, and what they stand on."""
    app = make_app(world.deps, setup_token=setup_token)
    for path, answer in (routes or {}).items():
        app.get(path)(answer)
    with listen(world.deps) as bound:
        pages = Pages(app, bound)
        headers = {"X-Forwarded-Proto": "http", "X-Forwarded-For": "203.0.113.77"}
        with httpx.Client(base_url=address_of(world.deps.settings, bound), headers=headers, timeout=60) as one:
            yield one, app.state.site
        pages.stop()


def policy(answer: httpx.Response) -> dict[str, set[str]]:
    """Directives of the Content-Security-Policy, by name."""
    parts = [part.split() for part in answer.headers["content-security-policy"].split(";")]
    return {name: set(sources) for name, *sources in parts}


# --- what browsers are told ---


def test_a_page_loads_nothing_from_elsewhere_and_sends_nothing_there(browser: Browser) -> None:
    one = browser()
    for path in ("/login", "/nothing", "/static/pages.css", "/api/v1/me"):
        found = policy(one.get(path))
        assert (path, found["default-src"], found["base-uri"], found["frame-ancestors"]) == (path, *[{"'none'"}] * 3)
        assert {"script-src", "style-src", "form-action"} <= found.keys()  # the last has no default
        assert (path, set.union(*found.values()) - OURS) == (path, set())


def test_no_other_site_may_frame_hold_or_read_a_page(browser: Browser) -> None:
    told = browser().get("/login").headers
    assert told["x-frame-options"] == "DENY"
    assert told["cross-origin-opener-policy"] == "same-origin"
    assert told["cross-origin-resource-policy"] == "same-origin"
    assert {part.strip() for part in told["permissions-policy"].split(",")} >= {"camera=()", "microphone=()"}


def test_cookies_are_for_our_own_pages_and_no_script(inside: httpx.Client, browser: Browser) -> None:
    answers = [
        browser().get("/login"),
        send(inside, "/settings/sessions/end-others", "/settings/profile"),
        send(inside, "/login", "/settings/profile", name="owner", password=PASSWORD),
    ]
    given = [cookie.lower() for one in answers for cookie in one.headers.get_list("set-cookie")]
    set_ones = [cookie for cookie in given if "max-age=0" not in cookie]
    assert {cookie.partition("=")[0] for cookie in set_ones} == {"tracker_visit", "tracker_said", "tracker_session"}
    assert [cookie for cookie in set_ones if "; httponly" not in cookie or "; samesite=lax" not in cookie] == []


def test_a_notice_is_said_once(inside: httpx.Client) -> None:
    send(inside, "/settings/sessions/end-others", "/settings/profile")
    pages = [inside.get("/settings/profile").text for _ in range(2)]
    assert ["other browsers are logged out" in page for page in pages] == [True, False]


# --- logging in ---


def test_who_is_logged_in_is_not_asked_again(inside: httpx.Client) -> None:
    assert inside.get("/login").headers["location"] == "/"


def test_who_logs_in_again_leaves_no_session_behind(inside: httpx.Client, world: World) -> None:
    before = inside.cookies["tracker_session"]
    assert send(inside, "/login", "/settings/profile", name="owner", password=PASSWORD).status_code == 303
    assert accounts.visitor(world.engine, before, world.now) is None
    assert inside.get("/settings/profile").status_code == 200
    assert world.ask("select count(*) from session") == [(1,)]


def test_guesses_of_many_senders_together_have_to_wait(world: World) -> None:
    accounts.add_owner(world.engine, "owner", PASSWORD, world.now)
    with standing(world) as (one, made):
        assert [made.all_tries.wait_s("", world.now) for _ in range(200)] == [0] * 200
        assert send(one, "/login", name="owner", password=PASSWORD).status_code == 429
        world.later(minutes=16)
        assert send(one, "/login", name="owner", password=PASSWORD).status_code == 303


# --- forms ---


def leave(one: httpx.Client, token: str) -> int:
    return one.post("/logout", data={"form_token": token}, headers={"Origin": origin(one)}).status_code


def test_a_form_is_good_in_the_browser_that_got_it_only(inside: httpx.Client, browser: Browser) -> None:
    other = browser()
    theirs = form_token(other, "/login")
    assert leave(inside, theirs) == 403
    assert leave(inside, form_token(inside, "/")) == 303


def test_a_form_from_before_the_login_is_no_good_after_it(browser: Browser, world: World) -> None:
    accounts.add_owner(world.engine, "owner", PASSWORD, world.now)
    one = browser()
    before = form_token(one, "/login")
    assert send(one, "/login", name="owner", password=PASSWORD).status_code == 303
    after = form_token(one, "/")
    assert [leave(one, token) for token in (before, after)] == [403, 303]


def test_nobody_can_work_out_a_form_from_its_cookie(world: World) -> None:
    """The key is drawn anew by each process that serves pages."""
    tokens = {site.form_token(make_app(world.deps).state.site, "visit") for _ in range(2)}
    assert len(tokens) == 2
    assert all(re.fullmatch("[0-9a-f]{64}", token) for token in tokens)


def test_a_field_of_a_form_holds_a_thousand_letters(inside: httpx.Client, world: World) -> None:
    answers = [send(inside, "/streams", name="x" * length) for length in (1000, 1001)]
    assert [one.status_code for one in answers] == [400, 400]
    assert ["This cannot be read" in one.text for one in answers] == [False, True]
    assert world.ask("select count(*) from stream") == [(0,)]


def test_a_notice_fits_into_a_cookie_and_a_forged_one_fills_no_page(inside: httpx.Client) -> None:
    assert re.findall("x{100,}", site.go("/", "x" * 3000).headers["set-cookie"]) == ["x" * 500]
    assert len(site.go("/", "日" * 3000).headers["set-cookie"]) < 4096
    inside.cookies.set("tracker_said", "x" * 3000)
    assert re.findall("x{100,}", inside.get("/settings/profile").text) == ["x" * 500]


def test_a_form_in_another_tab_stays_good(inside: httpx.Client) -> None:
    token = form_token(inside, "/streams")
    inside.get("/settings/profile")
    assert leave(inside, token) == 303


def test_a_sealed_form_is_no_use_to_another_owner(inside: httpx.Client, browser: Browser, world: World) -> None:
    closed = world.server.url.rpartition(":")[0] + ":1"
    answer = connect(inside, world, **{"option.base_url": closed})
    again = {"credential.key": "", **sealed(answer)}
    accounts.add_user(world.engine, "second", PASSWORD, "owner", world.now)
    other = browser()
    send(other, "/login", name="second", password=PASSWORD)
    assert "needs key" in words(connect(other, world, **again))
    assert connect(inside, world, **again).headers["location"] == "/connections/network"


# --- what is sent ---


def test_a_fault_of_our_own_is_told_without_its_reason(world: World) -> None:
    def fail() -> None:
        raise ZeroDivisionError("the reason")

    with standing(world, routes={"/boom": fail}) as (one, _):
        answer = one.get("/boom")
    assert (answer.status_code, answer.headers["x-content-type-options"]) == (500, "nosniff")
    assert answer.text == "A fault of the tracker itself; its log says more. What was written is safe.\n"


def test_who_sends_without_end_is_answered_before_the_end(served: str) -> None:
    place = urlsplit(served)
    head = b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with socket.create_connection((place.hostname, place.port), timeout=15) as one:
        one.sendall(head + piece * 17)  # a megabyte and a bit
        assert one.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_an_upload_that_does_not_say_its_length_ends_at_its_limit() -> None:
    sent = iter([{"type": "http.request", "body": b"x" * 600, "more_body": True} for _ in range(3)])
    taken, answered = [], []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive()).get("more_body"):
            taken.append(len(message["body"]))

    async def receive() -> Message:
        return next(sent)

    async def answer(message: Message) -> None:
        answered.append(message.get("status"))

    headers = [(b"host", b"localhost"), (b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "method": "POST", "path": "/import", "query_string": b"", "scheme": "http"}
    guard = Guard(app, hosts=(), uploads={"/import": 1000}, welcome=lambda given: True)
    asyncio.run(guard({**scope, "headers": headers}, receive, answer))
    assert (taken, answered[0]) == ([600], 500)


def test_a_window_is_over_when_its_time_is(world: World) -> None:
    window = Window(2, timedelta(minutes=1))
    waits = [window.wait_s("a", world.now + timedelta(seconds=second)) for second in (0, 20, 40, 59, 60, 61, 62)]
    assert waits == [0, 0, 21, 2, 0, 0, 59]


# --- the first run ---


def test_without_a_token_that_was_printed_there_is_no_first_run(world: World) -> None:
    with standing(world) as (one, made):
        assert [one.get(path).status_code for path in ("/setup", "/setup?token=", "/setup?token=None")] == [404] * 3
        answer = set_up(one, made, "")
    assert (answer.status_code, accounts.any_user(world.engine)) == (404, False)


def test_the_first_run_is_over_when_somebody_has_a_password(world: World) -> None:
    """`tracker password` may have made the owner after `tracker serve` printed the address."""
    with standing(world, setup_token=SETUP_TOKEN) as (one, made):
        assert one.get(f"/setup?token={SETUP_TOKEN}").status_code == 200
        accounts.set_password(world.engine, PASSWORD, world.now)
        assert one.get(f"/setup?token={SETUP_TOKEN}").status_code == 404
        answer = set_up(one, made, SETUP_TOKEN, currency="NOK")
    assert (answer.status_code, world.deps.settings.currency) == (404, "EUR")
    assert world.ask('select name from "user"') == [("owner",)]


def test_what_was_read_before_the_first_run_follows_its_currency(world: World) -> None:
    world.provider.put("/commissions", earning("c1", world.now, net="10.00", currency="USD", status="approved"))
    world.add("network")
    world.sync("network")
    with standing(world, setup_token=SETUP_TOKEN) as (one, made):
        one.get(f"/setup?token={SETUP_TOKEN}")
        assert set_up(one, made, SETUP_TOKEN, currency="USD", locale="nb").status_code == 303
    assert world.earnings()["c1"].reporting_net == 10
    assert world.ask('select language from "user"') == [("nb",)]


def set_up(one: httpx.Client, made: site.Site, token: str, **more: str) -> httpx.Response:
    """Send the form of the first run, which a stranger knows without seeing it."""
    given = {"token": token, "name": "Eva", "password": PASSWORD, "again": PASSWORD, **more}
    given["form_token"] = site.form_token(made, one.cookies["tracker_visit"])
    return one.post("/setup", data=given, headers={"Origin": origin(one)})
