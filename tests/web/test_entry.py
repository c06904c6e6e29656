"""The way in: first run, login, sessions, and what strangers get."""

import re
import socket
from datetime import timedelta
from urllib.parse import quote

import httpx
import pytest

from tests.web.conftest import PASSWORD, SETUP_TOKEN, Browser, origin, send, words
from tests.world import World
from tracker import accounts, audit
from tracker.errors import ConfigError
from tracker.settings import load_settings
from tracker.web import listen as listening
from tracker.web.app import make_app
from tracker.web.guard import Window
from tracker.web.listen import Pages, address_of, listen

SETUP = f"/setup?token={SETUP_TOKEN}"


def set_up(one: httpx.Client, **more: str) -> httpx.Response:
    fields = {"name": "Eva", "password": PASSWORD, "again": PASSWORD, **more}
    return send(one, "/setup", SETUP, token=SETUP_TOKEN, **fields)


def is_inside(one: httpx.Client) -> bool:
    answer = one.get("/")
    assert answer.status_code in (200, 303)
    return answer.status_code == 200


# --- first run ---


def test_the_owner_is_set_up_once_with_the_printed_token(browser: Browser, world: World) -> None:
    one = browser()
    page = one.get(SETUP).text
    assert '<option value="EUR" selected>' in page
    assert '<option value="Europe/Berlin" selected>' in page
    answer = set_up(one, currency="NOK", time_zone="Europe/Oslo", locale="nb")
    assert (answer.status_code, answer.headers["location"]) == (303, "/welcome")
    assert is_inside(one)
    next_step = one.get("/welcome").text
    assert '<html lang="nb">' in next_step
    assert 'href="/connections/add"' in next_step
    found = world.deps.settings
    assert (found.currency, found.time_zone, found.locale) == ("NOK", "Europe/Oslo", "nb")
    assert world.ask('select name, role from "user"') == [("Eva", "owner")]
    assert PASSWORD not in str(world.dump())
    other = browser()
    assert other.get(SETUP).status_code == 404
    assert not is_inside(other)


@pytest.mark.parametrize("path", ["/setup", "/setup?token=", "/setup?token=guessed", f"{SETUP}x", "/setup?token=%ff"])
def test_without_the_token_there_is_no_set_up(browser: Browser, world: World, path: str) -> None:
    one = browser()
    assert one.get(path).status_code == 404
    assert send(one, "/setup", SETUP, token="guessed", name="x", password=PASSWORD, again=PASSWORD).status_code == 404
    assert world.ask('select count(*) from "user"') == [(0,)]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"password": "short", "again": "short"}, "too short: at least 10"),
        ({"password": "x" * 201, "again": "x" * 201}, "too long: at most 200"),
        ({"again": "another password"}, "not the same"),
        ({"name": "  "}, "A name has 1 to 64"),
        ({"currency": "EURO"}, "Expected an ISO 4217 code such as EUR."),
        ({"time_zone": "Mars/Base"}, "Expected an IANA time zone such as Europe/Berlin."),
    ],
)
def test_what_will_not_do_is_said_and_can_be_corrected(
    browser: Browser, world: World, fields: dict[str, str], told: str
) -> None:
    one = browser()
    answer = set_up(one, **fields)
    assert answer.status_code == 400
    assert told in answer.text
    assert "x" * 201 not in answer.text
    assert world.ask('select count(*) from "user"') == [(0,)]
    assert set_up(one).headers["location"] == "/welcome"


@pytest.mark.parametrize(
    ("asked", "locale", "currency"),
    [
        ("nb-NO,nb;q=0.9,en;q=0.8", "nb", "NOK"),
        ("de-CH,de;q=0.9", "de_CH", "CHF"),
        ("de", "de", "EUR"),
        ("en-GB", "en_GB", "GBP"),
        ("fr-FR,en;q=0.5", "en", "EUR"),
        ("", "en", "EUR"),
    ],
)
def test_the_first_page_guesses_by_what_the_browser_asks_for(
    browser: Browser, asked: str, locale: str, currency: str
) -> None:
    page = browser().get(SETUP, headers={"Accept-Language": asked}).text
    assert f'<html lang="{locale[:2]}">' in page
    assert f'<option value="{locale}" selected>' in page
    assert f'<option value="{currency}" selected>' in page


def test_what_the_machine_decides_is_told_on_the_first_page(browser: Browser, world: World) -> None:
    environ = {"TRACKER_DATA_DIR": str(world.folder), "TRACKER_CURRENCY": "SEK", "TZ": "UTC"}
    world.deps.settings = load_settings(environ)
    one = browser()
    page = one.get(SETUP).text
    assert "Decided by TRACKER_CURRENCY." in page
    assert 'name="currency"' not in page
    assert "/static/setup.js" in page  # the machine does not know its zone, and the browser may
    assert set_up(one, time_zone="Europe/Oslo", currency="USD").status_code == 303
    assert (world.deps.settings.currency, world.deps.settings.time_zone) == ("SEK", "Europe/Oslo")


def test_before_the_first_run_the_pages_say_where_to_begin(browser: Browser) -> None:
    one = browser()
    assert one.get("/").headers["location"] == "/login"
    assert "set-up address" in one.get("/login").text


# --- login ---


def test_logging_in_and_out(inside: httpx.Client, browser: Browser, world: World) -> None:
    assert is_inside(inside)
    copied = browser()
    copied.cookies.set("tracker_session", inside.cookies["tracker_session"])
    assert is_inside(copied)
    assert send(inside, "/logout", "/").headers["location"] == "/login"
    assert not is_inside(copied)  # ended in the ledger, not only forgotten by the browser
    assert world.ask("select count(*) from session") == [(0,)]


def test_a_login_leads_on_to_the_page_that_was_asked_for(inside: httpx.Client, browser: Browser) -> None:
    one = browser()
    asked = "/earnings?month=2026-05&q=%C3%A9"
    assert one.get(asked).headers["location"] == "/login"
    one.get("/connections/x/progress", headers={"Sec-Fetch-Dest": "empty"})  # a script's question is no page
    send(one, "/login", name="owner", password="wrong")
    assert send(one, "/login", name="owner", password=PASSWORD).headers["location"] == asked
    assert "tracker_wanted" not in one.cookies


@pytest.mark.parametrize(
    "asked", ["//evil.example", "/\\evil.example", "https://evil.example", "/a b", "/x" * 600, "é"]
)
def test_a_login_leads_nowhere_else(inside: httpx.Client, browser: Browser, asked: str) -> None:
    """Whoever set the cookie: another program of the machine, or an address that somebody was sent."""
    one = browser()
    one.cookies.set("tracker_wanted", quote(asked))
    assert send(one, "/login", name="owner", password=PASSWORD).headers["location"] == "/"


def test_a_session_is_kept_as_a_digest_and_ends_after_thirty_days(inside: httpx.Client, world: World) -> None:
    assert inside.cookies["tracker_session"] not in str(world.dump())
    world.later(days=29)
    assert is_inside(inside)
    world.later(days=2)
    assert not is_inside(inside)


def test_a_new_password_ends_every_session(inside: httpx.Client, world: World) -> None:
    assert accounts.set_password(world.engine, "quite another one", world.now) == "owner"
    assert not is_inside(inside)
    assert send(inside, "/login", name="owner", password=PASSWORD).status_code == 400
    assert send(inside, "/login", name="owner", password="quite another one").status_code == 303


def test_a_login_does_not_say_who_exists(inside: httpx.Client, browser: Browser) -> None:
    def refusal(name: str) -> str:
        answer = send(browser(), "/login", name=name, password="wrong password")
        assert answer.status_code == 400
        return re.sub(r'value="[^"]*"', "", answer.text)

    assert refusal("owner") == refusal("nobody")
    assert "Name or password is wrong." in refusal("x" * 64)


def test_refused_logins_stand_in_the_trail_counted_and_without_what_was_typed_for_a_name(
    inside: httpx.Client, browser: Browser, world: World
) -> None:
    guessing = browser(sender="198.51.100.9")
    for name in ("owner", "my secret pass phrase", "owner", "another one", "owner"):
        assert send(guessing, "/login", name=name, password="wrong password").status_code == 400
    assert send(browser(sender="198.51.100.10"), "/login", name="owner", password="x").status_code == 400
    world.later(minutes=61)
    assert send(guessing, "/login", name="owner", password="wrong password").status_code == 400
    refused = [row[2:] for row in world.ask("select id, action, actor, sender, subject from audit_event order by id")][
        1:
    ]
    assert refused == [
        ("owner", "198.51.100.9", "3"),
        ("unknown name", "198.51.100.9", "2"),
        ("owner", "198.51.100.10", "1"),
        ("owner", "198.51.100.9", "1"),
    ]
    told = words(inside.get("/settings/trail"))
    assert "login refused 3 times owner · 198.51.100.9" in told
    assert "login refused 2 times unknown name · 198.51.100.9" in told
    assert "login refused owner · 198.51.100.10" in told
    assert "pass phrase" not in str(world.dump())
    assert [row.action for row in audit.trail(world.engine, 1)] == ["login refused"]


def test_who_has_to_wait_adds_nothing_to_the_trail(inside: httpx.Client, browser: Browser, world: World) -> None:
    guessing = browser(sender="198.51.100.9")
    answers = {send(guessing, "/login", name="owner", password="wrong password").status_code for _ in range(14)}
    assert answers == {400, 429}
    assert [row.subject for row in audit.trail(world.engine, 1)] == ["10"]


def test_too_many_tries_of_one_sender_have_to_wait(inside: httpx.Client, browser: Browser, world: World) -> None:
    guessing = browser(sender="198.51.100.9")
    answers = [send(guessing, "/login", name="owner", password=f"guess number {n}").status_code for n in range(10)]
    assert answers == [400] * 10
    refused = send(guessing, "/login", name="owner", password=PASSWORD)
    assert (refused.status_code, int(refused.headers["retry-after"])) == (429, 901)
    assert "Wait 16 minutes" in refused.text
    assert send(browser(), "/login", name="owner", password=PASSWORD).status_code == 303  # another sender may
    world.later(minutes=16)
    assert send(guessing, "/login", name="owner", password=PASSWORD).status_code == 303


def test_who_has_many_addresses_is_one_sender(inside: httpx.Client, browser: Browser) -> None:
    def status(sender: str) -> int:
        return send(browser(sender=sender), "/login", name="owner", password="a guess of many").status_code

    assert [status(f"2001:db8:1:2:{n:x}::1") for n in range(10)] == [400] * 10
    assert status("2001:db8:1:2:ffff::9") == 429
    assert status("2001:db8:1:3::1") == 400


def test_a_window_forgets_the_longest_silent_and_is_not_fooled_by_the_clock(world: World) -> None:
    window, now = Window(1, timedelta(minutes=1), keys=2), world.now
    assert [window.wait_s(key, now) for key in ("a", "b", "a", "c", "b", "a")] == [0, 0, 61, 0, 0, 0]
    assert window.wait_s("a", now - timedelta(hours=1)) == 0


# --- forms and cookies ---


def test_a_form_of_another_site_or_of_nobody_is_refused(inside: httpx.Client, browser: Browser) -> None:
    page = inside.get("/")
    found = re.search(r'name="form_token" value="(\w+)"', page.text)
    assert found
    token, here = {"form_token": found[1]}, origin(inside)
    refused = [
        inside.post("/logout", data=token, headers={"Origin": "https://evil.example"}),
        inside.post("/logout", data=token, headers={"Origin": "null", "Sec-Fetch-Site": "cross-site"}),
        inside.post("/logout", data=token, headers={"Origin": here, "Sec-Fetch-Site": "same-site"}),
        inside.post("/logout", data=token, headers={"Origin": here + "0"}),
        inside.post("/logout", data={"form_token": "0" * 64}, headers={"Origin": here}),
        inside.post("/logout", data={}, headers={"Origin": here}),
        browser().post("/logout", data=token, headers={"Origin": here}),
    ]
    assert [one.status_code for one in refused] == [403] * 7
    assert is_inside(inside)
    own = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}  # as browsers send it from pages without a referrer
    assert inside.post("/logout", data=token, headers=own).status_code == 303


def test_cookies_are_out_of_reach_and_secure_behind_tls(browser: Browser, world: World) -> None:
    accounts.add_owner(world.engine, "owner", PASSWORD, world.now)
    for scheme in ("http", "https"):
        one = browser(scheme)
        page = one.get("/login")
        one.cookies.update({"tracker_visit": page.cookies.get("tracker_visit") or visit_of(page)})
        found = re.search(r'name="form_token" value="(\w+)"', page.text)
        assert found
        answer = one.post(
            "/login",
            data={"form_token": found[1], "name": "owner", "password": PASSWORD},
            headers={"Origin": origin(one), "Cookie": f"tracker_visit={visit_of(page)}"},
        )
        cookies = [
            cookie.lower() for cookie in [*answer.headers.get_list("set-cookie"), *page.headers.get_list("set-cookie")]
        ]
        assert any(cookie.startswith("tracker_session=") and "max-age=2592000" in cookie for cookie in cookies)
        for cookie in cookies:
            if "max-age=0" not in cookie:
                assert "httponly" in cookie
                assert "samesite=lax" in cookie
                assert ("secure" in cookie) == (scheme == "https")


def visit_of(page: httpx.Response) -> str:
    found = re.search(r"tracker_visit=([\w-]+)", page.headers["set-cookie"])
    assert found
    return found[1]


# --- the guard ---


def test_every_answer_keeps_browsers_strict(browser: Browser, inside: httpx.Client) -> None:
    plain, private = browser(), browser("https")
    answers = [
        inside.get("/"), plain.get("/"), plain.get("/login"), plain.get("/nothing"), plain.get("/static/pages.css"),
        plain.get("/static/../app.py"), plain.get("/in/x"), plain.post("/login", content=b"x" * 300_000),
        plain.get("/", headers={"Host": "evil.example"}), plain.delete("/"),
    ]  # fmt: skip
    assert [one.status_code for one in answers] == [200, 303, 200, 404, 200, 404, 404, 413, 400, 405]
    for one in answers:
        policy = one.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "unsafe" not in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert one.headers["x-content-type-options"] == "nosniff"
        assert one.headers["referrer-policy"] == "no-referrer"
        assert "strict-transport-security" not in one.headers
        assert "server" not in one.headers
        assert "<script" not in one.text
        assert not re.search(r'\s(style|on\w+)="', one.text)
    assert answers[0].headers["cache-control"] == "no-store"
    assert private.get("/login").headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 303), ("127.0.0.1:8765", 303), ("[::1]:8765", 303), ("LOCALHOST.:1", 303),
        ("evil.example", 400), ("localhost.evil.example", 400), ("127.0.0.1.nip.example", 400), ("", 400),
    ],
)  # fmt: skip
def test_only_known_names_are_answered(browser: Browser, host: str, status: int) -> None:
    assert browser().get("/", headers={"Host": host}).status_code == status


def test_a_fault_is_one_line_without_its_reason(
    browser: Browser, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    one = browser()
    with world.engine.begin() as conn:
        conn.exec_driver_sql('alter table "user" rename to hidden')
    answer = one.get("/login")
    assert (answer.status_code, answer.text) == (503, "The ledger cannot be reached just now. Try again soon.\n")
    assert "nosniff" in answer.headers["x-content-type-options"]
    assert "page failed" in capsys.readouterr().out


# --- where it listens ---


def test_a_public_address_needs_a_password_first(world: World) -> None:
    world.deps.settings = world.deps.settings.model_copy(update={"web_host": "192.0.2.7"})
    with pytest.raises(ConfigError, match=r"nobody has set a password yet\. Set one first: tracker password\."):
        listen(world.deps)
    accounts.set_password(world.engine, PASSWORD, world.now)
    with pytest.raises(
        ConfigError, match=r"cannot be served at 192\.0\.2\.7:0: .* TRACKER_WEB_HOST to an address of this"
    ):
        listen(world.deps)
    world.deps.settings = world.deps.settings.model_copy(update={"web_host": "::"})
    with listen(world.deps) as bound:
        assert address_of(world.deps.settings, bound) == f"http://127.0.0.1:{bound.getsockname()[1]}"


def test_who_sends_nothing_keeps_nobody_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HEAD_S", 0.4)
    whole = b"GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with listen(world.deps) as bound:
        pages = Pages(make_app(world.deps), bound)
        for sent in (b"", whole[:20], whole + whole[:20]):
            with socket.create_connection(bound.getsockname(), timeout=20) as one:
                one.sendall(sent)
                answer = b"".join(iter(lambda: one.recv(65_536), b""))  # until the other side closes
            assert answer.startswith(b"HTTP/1.1 200") == sent.startswith(whole)
        pages.stop()


def test_a_port_that_is_taken_is_named_with_the_way_out(world: World) -> None:
    with listen(world.deps) as taken:
        port = taken.getsockname()[1]
        world.deps.settings = world.deps.settings.model_copy(update={"web_port": port})
        with pytest.raises(ConfigError, match=rf"port {port} is taken: .* Set TRACKER_WEB_PORT .* --no-web\."):
            listen(world.deps)


def test_a_proxy_elsewhere_is_believed_only_when_it_is_named(world: World) -> None:
    def is_private(*proxies: str) -> bool:
        """Whether a browser behind a proxy with TLS gets a cookie for TLS alone."""
        with listen(world.deps) as bound:
            pages = Pages(make_app(world.deps), bound, proxies)
            address = address_of(world.deps.settings, bound)
            elsewhere = httpx.HTTPTransport(local_address="127.0.0.2")
            with httpx.Client(base_url=address, transport=elsewhere, headers={"X-Forwarded-Proto": "https"}) as one:
                cookie = one.get("/login").headers["set-cookie"]
            pages.stop()
        return "; secure" in cookie.lower()

    assert not is_private()
    assert not is_private("127.0.0.3", "10.0.0.0/8")
    assert is_private("127.0.0.2")
    assert is_private("127.0.0.0/29")


def test_a_page_is_asked_for_without_its_body(inside: httpx.Client, browser: Browser) -> None:
    answer = browser().head("/login")
    assert (answer.status_code, answer.content) == (200, b"")
    assert inside.head("/").status_code == 200
    assert inside.head("/logout").status_code == 405
