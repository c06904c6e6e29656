"""What slips and strangers send: nothing of it is a fault, and no secret goes where it was not given for."""

import re
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.conftest import Browser, origin, send, words
from tests.web.test_import_pages import post_file
from tests.web.test_rights import PARTS, Route, form_token, routes_of
from tests.world import World
from tracker.web.app import make_app

HUGE = str(2**63)
#: Parameters of addresses, of all pages together.
NAMES = (
    "from", "to", "month", "basis", "stream", "connection", "program", "product", "status", "settlement", "recurrence",
    "kind", "currency", "sub_id", "min", "max", "q", "counted", "sort", "after", "before", "form", "period", "place",
    "part", "months", "policy", "products", "position", "token", "closer",
)  # fmt: skip
ODD = (
    "", "0", "-1", HUGE, "9" * 400, "1e999999", "NaN", "٣", "²", "2026-13", "0000-00", "9999-12", "2026-02-30", "\0",
    "\ufffd", "%", "*" * 200, "_", "'", "../../etc/passwd", "\r\nX: y", "\u202e", "1.2.3", "all", "yes", "xlsx", "XXX",
)  # fmt: skip


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if getattr(request, "param", "") == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'tracker.db'}"


# --- odd requests ---


def test_no_odd_address_is_a_fault(inside: httpx.Client, world: World) -> None:
    world.add("network")
    world.sync("network")
    pages = [one for one in routes_of(make_app(world.deps)) if one.method == "GET"]
    texts = st.one_of(st.sampled_from(ODD), st.text(max_size=30))
    known = {**PARTS, "slug": "network"}

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
    @given(st.sampled_from(pages), st.dictionaries(st.sampled_from(NAMES), texts, max_size=3), st.none() | texts)
    def ask(page: Route, asked: dict[str, str], part: str | None) -> None:
        def filled(place: re.Match[str]) -> str:
            text = known.get(place[1], "x") if part is None else part
            return "".join(f"%{byte:02x}" for byte in text.encode(errors="replace"))

        clean = {name: text.encode(errors="replace").decode() for name, text in asked.items()}
        answer = inside.get(re.sub(r"{(\w+)}", filled, page.path), params=clean)
        assert (page, answer.status_code < 500) == (page, True)

    ask()


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_a_nul_is_refused_before_a_database_sees_it(inside: httpx.Client, world: World) -> None:
    for address in ("/connections/a%00b", "/streams/%00", "/earnings?q=a%00", "/import/%00", "/api/v1/earnings?q=%00"):
        assert (address, inside.get(address).status_code) == (address, 400)
    token = form_token(inside, "/settings/profile")
    for path, field in (
        ("/login", "name"), ("/settings/profile", "name"), ("/settings/users", "name"), ("/streams", "name"),
        ("/settings/tokens", "name"), ("/quarantine/retry", "connection"), ("/settings/mail", "smtp_user"),
    ):  # fmt: skip
        answer = inside.post(path, data={"form_token": token, field: "a\0b"}, headers={"Origin": origin(inside)})
        assert (path, answer.status_code) == (path, 400)


def test_a_number_that_no_database_holds_is_refused(inside: httpx.Client) -> None:
    for address in (f"/quarantine/{HUGE}", f"/quarantine?before={HUGE}", f"/settings/trail?before={HUGE}"):
        assert (address, inside.get(address).status_code) == (address, 400)
    for path in (f"/settings/users/{HUGE}/remove", f"/settings/users/-{HUGE}/role", f"/settings/tokens/{HUGE}/revoke"):
        assert (path, send(inside, path, "/settings/profile").status_code) == (path, 400)
    assert send(inside, "/quarantine/retry", "/quarantine", ids=HUGE).status_code == 400


def test_a_rule_for_a_stream_that_is_gone_is_a_page_that_is_not_there(inside: httpx.Client) -> None:
    assert send(inside, "/streams/gone/rules/new", "/streams", stream="gone", program="x").status_code == 404


def test_a_file_may_have_a_long_name_in_any_script(inside: httpx.Client, world: World) -> None:
    for number, name in enumerate(("\N{MATHEMATICAL SCRIPT CAPITAL X}" * 100 + ".csv", "収" * 200 + ".csv"), 1):
        assert post_file(inside, name, b"When,Total\n2026-03-01,1.00\n").status_code == 303
        kept = [file for folder in (world.folder / "uploads").iterdir() for file in folder.iterdir()]
        assert (len(kept), {file.suffix for file in kept}) == (number, {".csv"})


def test_only_an_owner_may_send_more_than_a_form(inside: httpx.Client, viewer: httpx.Client) -> None:
    large = b"When,Total\n" + b"2026-03-01,1.00\n" * 20_000
    for path in ("/import", "/settings/backup/restore"):
        for one, expected in ((viewer, 413), (inside, 400)):
            data = {"form_token": form_token(inside, "/settings/profile") if one is inside else ""}
            sent = one.post(path, data=data, files={"wrong": ("x.csv", large)}, headers={"Origin": origin(one)})
            assert (path, sent.status_code) == (path, expected)


# --- secrets ---


def test_behind_tls_no_cookie_goes_without_it(inside: httpx.Client, browser: Browser) -> None:
    private = {"X-Forwarded-Proto": "https"}
    token = form_token(inside, "/settings/profile")
    answers = [
        inside.post("/settings/sessions/end-others", data={"form_token": token}, headers=private),
        inside.post("/logout", data={"form_token": token}, headers=private),
        browser("https").get("/login"),
    ]
    cookies = [cookie for one in answers for cookie in one.headers.get_list("set-cookie")]
    assert {cookie.partition("=")[0] for cookie in cookies} >= {"tracker_visit", "tracker_said", "tracker_session"}
    assert all(cookie.lower().count("; secure") == 1 for cookie in cookies)


def test_a_stored_mail_password_goes_to_no_other_server(inside: httpx.Client, world: World) -> None:
    own = {"smtp_host": "mail.example", "smtp_security": "tls", "smtp_user": "me", "letter_from": "t@example.com"}
    assert send(inside, "/settings/mail", **own, smtp_password="hush-4711").status_code == 303
    other = {**own, "smtp_host": "evil.example"}
    answer = send(inside, "/settings/mail", **other, smtp_password="")
    assert (answer.status_code, world.deps.settings.smtp_host) == (400, "mail.example")
    assert "is for another mail server" in words(answer)
    assert 'value="evil.example"' in answer.text
    assert send(inside, "/settings/mail", **{**own, "smtp_host": ""}).status_code in (303, 400)
    assert send(inside, "/settings/mail", **other, smtp_password="").status_code == 400
    assert send(inside, "/settings/mail", **own, smtp_password="hush-4711").status_code == 303
    assert send(inside, "/settings/mail", **{**own, "smtp_user": "you"}).status_code == 303  # the same server
    assert send(inside, "/settings/mail", **other, smtp_password="another").status_code == 303
    assert send(inside, "/settings/mail", **own, forget="yes").status_code == 303
    assert world.deps.settings.smtp_password is None


def test_stored_keys_go_to_no_other_server(inside: httpx.Client, world: World) -> None:
    world.add("network")
    page, before = "/connections/network", world.connection("network").options
    for address in ("https://evil.example", world.server.url.replace("127.0.0.1", "localhost"), "https://x:y"):
        asked = {"title": "Network", "interval": "1h", "option.base_url": address}
        answer = send(inside, f"{page}/edit", page, **asked)
        assert (address, answer.status_code) == (address, 400)
        assert "for another address" in words(answer)
    assert world.connection("network").options == before
    below = {"title": "Network", "interval": "1h", "option.base_url": f"{world.server.url}/api"}
    assert send(inside, f"{page}/edit", page, **below).status_code == 303
    assert world.connection("network").options["base_url"] == f"{world.server.url}/api"
