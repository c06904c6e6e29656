"""The pages of the settings: what is changed, who may, and what never shows."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.post_office import PostOffice
from tests.pretend import earning
from tests.web.conftest import PASSWORD, Browser, send, words
from tests.world import World
from tracker import accounts, audit, backups, connections, stored, tending, tokens
from tracker.settings import load_settings

PARTS = ("profile", "figures", "mail", "letter", "schedule", "users", "tokens", "backup", "keys", "trail", "about")
ANOTHER = "another long password"


def actions(world: World) -> list[tuple[str, str, str]]:
    return [(row.actor, row.action, row.subject) for row in audit.trail(world.engine, 20)]


# --- rights ---


@pytest.mark.parametrize("part", ["", *(f"/{part}" for part in PARTS)])
def test_owners_see_every_part_viewers_their_profile_and_strangers_none(
    inside: httpx.Client, viewer: httpx.Client, browser: Browser, part: str
) -> None:
    page = inside.get(f"/settings{part}")
    assert page.status_code == 200
    assert len(re.findall(r"<h1", page.text)) == 1
    assert viewer.get(f"/settings{part}").status_code == (200 if part in ("", "/profile") else 403)
    assert browser().get(f"/settings{part}").headers["location"] == "/login"


@pytest.mark.parametrize(
    "path",
    [
        "figures", "mail", "mail/test", "letter", "schedule", "users", "users/1/role", "users/1/password",
        "users/1/remove", "tokens", "tokens/1/revoke", "backup", "backup/remove", "backup/restore", "backup/plan",
        "backup/take-back", "keys/rotate", "keys/retire",
    ],
)  # fmt: skip
def test_a_viewer_changes_nothing_but_their_profile(viewer: httpx.Client, world: World, path: str) -> None:
    before = world.dump(without=["token_digest"])
    assert send(viewer, f"/settings/{path}", "/settings/profile").status_code == 403
    assert world.dump(without=["token_digest"]) == before
    assert "/settings/users" not in viewer.get("/settings").text


# --- figures ---


def test_another_currency_is_taken_up_at_once_and_every_earning_follows(inside: httpx.Client, world: World) -> None:
    world.provider.put("/commissions", earning("c1", world.now, net="10.00", currency="USD", status="approved"))
    world.add("network")
    world.sync("network")
    answer = send(
        inside, "/settings/figures", currency="USD", time_zone="America/New_York", locale="en_US", backfill_months="12"
    )
    assert answer.headers["location"] == "/settings/figures"
    assert "Saved." in inside.get("/settings/figures").text
    assert world.earnings()["c1"].reporting_net == 10
    found = world.deps.settings
    assert (found.currency, found.time_zone, found.locale, found.backfill_months) == (
        "USD",
        "America/New_York",
        "en_US",
        12,
    )
    page = inside.get("/settings/figures").text
    assert '<option value="USD" selected>' in page
    assert '<option value="America/New_York" selected>' in page
    assert actions(world)[0] == ("owner", "settings changed", "backfill_months, currency, locale, time_zone")
    told = words(inside.get("/settings/trail"))
    assert "settings changed Months that a new connection reads back, Currency, Language and country, Time zone" in told


def test_what_will_not_do_is_said_beside_its_field_and_what_was_typed_stays(inside: httpx.Client, world: World) -> None:
    answer = send(inside, "/settings/figures", currency="EURO", time_zone="Mars/Base", locale="en", backfill_months="7")
    assert answer.status_code == 400
    assert "'EURO' is not allowed. Expected an ISO 4217 code such as EUR." in words(answer)
    assert "'Mars/Base' is not allowed." in words(answer)
    assert 'value="7"' in answer.text
    assert stored.stored_fields(world.engine) == frozenset()


def test_what_environment_or_file_decide_is_told_and_sends_nothing(inside: httpx.Client, world: World) -> None:
    environ = {"TRACKER_DATA_DIR": str(world.folder), "TRACKER_CURRENCY": "SEK", "TRACKER_SMTP_PASSWORD": "hush-4711"}
    (world.folder / "tracker.toml").write_text('letter_day = 9\ntime_zone = "Europe/Oslo"\n')
    world.deps.settings = load_settings(environ)
    page = inside.get("/settings/figures")
    assert "Decided by TRACKER_CURRENCY. Change it there." in words(page)
    assert f"Decided by {world.folder}/tracker.toml: time_zone. Change it there." in words(page)
    assert 'name="currency"' not in page.text
    assert send(inside, "/settings/figures", locale="de").status_code == 303
    assert (world.deps.settings.currency, world.deps.settings.locale) == ("SEK", "de")
    assert send(inside, "/settings/figures", currency="USD", locale="de").status_code == 303  # forged: left out
    assert world.deps.settings.currency == "SEK"
    english = {"Accept-Language": "en"}
    page = inside.get("/settings/mail", headers=english)
    assert "Decided by TRACKER_SMTP_PASSWORD" in words(page)
    assert "hush-4711" not in page.text
    assert "Decided by" in words(inside.get("/settings/letter", headers=english))


# --- mail and letter ---


@pytest.fixture
def office() -> Iterator[PostOffice]:
    with PostOffice() as office:
        yield office


def test_a_mail_server_is_set_proved_and_its_password_never_shown(
    inside: httpx.Client, world: World, office: PostOffice
) -> None:
    given = {
        "smtp_host": "127.0.0.1",
        "smtp_security": "none",
        "smtp_port": str(office.port),
        "letter_from": "t@example.com",
    }
    assert "still missing: Mail server, Sender and Who gets it." in words(inside.get("/settings/mail"))
    assert send(inside, "/settings/mail", **given, smtp_user="", smtp_password="").status_code == 303
    assert (
        send(
            inside, "/settings/letter", letter_to="me@example.com\nyou@example.com", letter_day="5", letter_hour="9"
        ).status_code
        == 303
    )
    assert world.deps.settings.letter_to == ("me@example.com", "you@example.com")
    assert send(inside, "/settings/mail/test", "/settings/mail").status_code == 303
    assert "The mail server took the test mail to me@example.com and you@example.com." in words(
        inside.get("/settings/mail")
    )
    assert [mail.recipient for mail in office.mails] == ["me@example.com", "you@example.com"]
    assert b"A test mail of your income tracker" in office.mails[0].text
    assert send(inside, "/settings/mail", **given, smtp_user="me", smtp_password="hush-4711").status_code == 303
    page = inside.get("/settings/mail").text
    assert "One is stored, and sealed." in page
    assert "hush-4711" not in page + str(world.dump())
    assert send(inside, "/settings/mail", **given, smtp_user="me", smtp_password="").status_code == 303
    password = world.deps.settings.smtp_password
    assert password
    assert password.get_secret_value() == "hush-4711"  # an empty field keeps it
    assert send(inside, "/settings/mail", **given, smtp_user="", forget="yes").status_code == 303
    assert world.deps.settings.smtp_password is None
    assert "hush" not in str(actions(world))


def test_a_mail_server_that_is_not_there_is_named(inside: httpx.Client, world: World, office: PostOffice) -> None:
    office.answers["RCPT"] = "550 no such box"
    given = {
        "smtp_host": "127.0.0.1",
        "smtp_security": "none",
        "smtp_port": str(office.port),
        "letter_from": "t@example.com",
    }
    send(inside, "/settings/mail", **given)
    send(inside, "/settings/letter", letter_to="me@example.com", letter_day="3", letter_hour="8")
    answer = send(inside, "/settings/mail/test", "/settings/mail")
    assert answer.status_code == 400
    assert "refused the recipient me@example.com: 550 no such box." in words(answer)
    assert ('Check "Who gets it"' in words(answer), "TRACKER_" in words(answer)) == (True, False)
    assert re.search(r'href="/settings/mail" aria-current="true"', answer.text)  # the address is another one


def test_mail_in_the_open_to_another_machine_is_refused(inside: httpx.Client, world: World) -> None:
    answer = send(inside, "/settings/mail", smtp_host="mail.example", smtp_security="none", smtp_password="hush-4711")
    assert answer.status_code == 400
    assert "'none' is not allowed." in words(answer)
    assert 'value="mail.example"' in answer.text
    assert "hush-4711" not in answer.text


# --- schedule ---


def test_the_schedule_shows_every_connection_and_changes_the_times_of_all(inside: httpx.Client, world: World) -> None:
    page = words(inside.get("/settings/schedule"))
    assert "Nothing is connected yet" in page
    assert "from day 3 of the month, 8:00" in page
    assert "daily at 5:30" in page
    for slug in ("network", "shop", "feed"):
        world.add(slug)
    world.sync("network")
    connections.edit(world.deps, "network", interval_s=6 * 3600, quiet="22:00-06:00")
    tending.close(world.deps, "feed")
    page = words(inside.get("/settings/schedule"))
    assert re.search(r"Pretend Network 6 hours 22:00-06:00 \w+ \d", page)
    assert re.search(r"Pretend Shop 1 hour – about to be read", page)
    assert re.search(r"Pretend Feed – – read no more", page)
    assert send(inside, "/settings/schedule", do="interval", interval="12h").status_code == 303
    assert "Saved for all 2 connections." in words(inside.get("/settings/schedule"))
    assert send(inside, "/settings/schedule", do="quiet", quiet="23:00-05:00").status_code == 303
    agreed = "select interval_s, quiet from connection where slug != 'feed'"
    assert world.ask(agreed) == [(12 * 3600, "23:00-05:00")] * 2
    for wrong in ({"do": "quiet", "quiet": "at night"}, {"do": "interval", "interval": "1s"}, {"do": ""}):
        answer = send(inside, "/settings/schedule", **wrong)
        assert (answer.status_code, 'role="alert"' in answer.text) == (400, True)
    assert world.ask(agreed) == [(12 * 3600, "23:00-05:00")] * 2
    assert send(inside, "/settings/schedule", do="quiet", quiet="").status_code == 303
    assert world.ask(agreed) == [(12 * 3600, None)] * 2
    assert [one[1:] for one in actions(world)][:3] == [
        ("schedule changed", "quiet "),
        ("schedule changed", "quiet 23:00-05:00"),
        ("schedule changed", "interval_s 43200"),
    ]


# --- people ---


def test_users_are_added_changed_and_removed(inside: httpx.Client, browser: Browser, world: World) -> None:
    given = {"name": "Ole", "role": "viewer", "password": PASSWORD, "again": PASSWORD}
    assert send(inside, "/settings/users", **{**given, "again": "x"}).status_code == 400
    assert send(inside, "/settings/users", **given).status_code == 303
    assert "Ole may log in now." in words(inside.get("/settings/users"))
    ole = accounts.find_user(world.engine, "Ole")
    his = browser()
    assert send(his, "/login", name="Ole", password=PASSWORD).status_code == 303
    reset = {"password": ANOTHER, "again": ANOTHER}
    assert send(inside, f"/settings/users/{ole}/password", "/settings/users", **reset).status_code == 303
    assert his.get("/").headers["location"] == "/login"
    assert send(his, "/login", name="Ole", password=ANOTHER).status_code == 303
    me = accounts.find_user(world.engine, "owner")
    for refused in (f"/settings/users/{me}/remove", f"/settings/users/{me}/role"):
        answer = send(inside, refused, "/settings/users", role="viewer")
        assert (answer.status_code, "Owner is the only owner." in words(answer)) == (400, True)
    assert send(inside, f"/settings/users/{ole}/role", "/settings/users", role="owner").status_code == 303
    assert his.get("/settings/about").status_code == 200
    assert send(inside, f"/settings/users/{ole}/remove", "/settings/users").status_code == 303
    assert his.get("/").headers["location"] == "/login"
    assert [one[1:] for one in actions(world)][:3] == [
        ("user removed", "Ole"),
        ("role changed", "Ole (owner)"),
        ("logged in", ""),
    ]
    assert ANOTHER not in str(world.dump())


def test_a_profile_is_ones_own_and_speaks_at_once(viewer: httpx.Client, inside: httpx.Client, world: World) -> None:
    assert send(viewer, "/settings/profile", name="Gast", language="nb").status_code == 303
    assert '<html lang="nb">' in viewer.get("/settings/profile").text
    assert '<html lang="en">' in inside.get("/settings/profile").text
    answer = send(viewer, "/settings/profile", name="owner", language="")
    assert (answer.status_code, "Det finnes allerede en bruker som heter owner." in words(answer)) == (400, True)
    assert send(viewer, "/settings/profile", name="Gast", language="fr").status_code == 400


def test_a_password_is_changed_with_the_old_one_and_guesses_have_to_wait(
    viewer: httpx.Client, browser: Browser, world: World
) -> None:
    other = browser()
    assert send(other, "/login", name="guest", password=PASSWORD).status_code == 303
    change = {"old": PASSWORD, "new": ANOTHER, "again": ANOTHER}
    assert send(viewer, "/settings/password", "/settings/profile", **{**change, "again": "x"}).status_code == 400
    assert send(viewer, "/settings/password", "/settings/profile", **change).status_code == 303
    assert viewer.get("/settings/profile").status_code == 200
    assert other.get("/").headers["location"] == "/login"
    answers = [send(viewer, "/settings/password", "/settings/profile", **change) for _ in range(9)]
    assert "The old password is wrong." in words(answers[0])
    assert answers[0].text.index('action="/settings/profile"') < answers[0].text.index("The old password is wrong.")
    assert "Too many tries. Wait 16 minutes" in words(answers[-1])


def test_a_new_password_ends_ones_own_tokens_where_that_is_asked_for(
    inside: httpx.Client, viewer: httpx.Client, world: World
) -> None:
    change = {"old": PASSWORD, "new": ANOTHER, "again": ANOTHER}
    assert "API token as well" not in words(inside.get("/settings/profile"))
    me, guest = accounts.find_user(world.engine, "owner"), accounts.find_user(world.engine, "guest")
    for user, name in ((me, "spreadsheet"), (me, "script"), (guest, "theirs")):
        tokens.make(world.engine, user, name, "read", world.now)
    tokens.make(world.engine, me, "over", "read", world.now, expires_at=world.now + timedelta(minutes=1))
    world.later(minutes=2)
    assert "End my 2 API tokens as well" in words(inside.get("/settings/profile"))
    assert send(inside, "/settings/password", "/settings/profile", **change).status_code == 303
    assert len(tokens.every(world.engine)) == 4
    back = {"old": ANOTHER, "new": PASSWORD, "again": PASSWORD, "tokens_too": "yes"}
    assert send(inside, "/settings/password", "/settings/profile", **{**back, "old": "x"}).status_code == 400
    assert len(tokens.every(world.engine)) == 4
    assert send(inside, "/settings/password", "/settings/profile", **back).status_code == 303
    assert "logged out. 3 API tokens are ended." in words(inside.get("/settings/profile"))
    assert [one.name for one in tokens.every(world.engine)] == ["theirs"]
    assert actions(world)[0] == ("owner", "tokens revoked", "owner")
    reset = {"password": ANOTHER, "again": ANOTHER}
    assert send(inside, f"/settings/users/{guest}/password", "/settings/users", **reset).status_code == 303
    assert "1 API token of theirs stays good." in words(inside.get("/settings/users"))


def test_browsers_are_listed_and_logged_out(inside: httpx.Client, browser: Browser, world: World) -> None:
    second, third = browser(), browser()
    for one in (second, third):
        assert send(one, "/login", name="owner", password=PASSWORD).status_code == 303
    page = inside.get("/settings/profile").text
    assert page.count("this browser") == 1
    (ref, _) = re.findall(r'name="ref" value="(\w+)"', page)
    assert send(inside, "/settings/sessions/end", "/settings/profile", ref=ref).status_code == 303
    assert [one.get("/").status_code for one in (inside, second, third)].count(200) == 2
    assert send(inside, "/settings/sessions/end-others", "/settings/profile").status_code == 303
    assert [one.get("/").status_code for one in (inside, second, third)] == [200, 303, 303]


def test_a_token_is_shown_once_and_revoked(inside: httpx.Client, world: World) -> None:
    answer = send(inside, "/settings/tokens", name="spreadsheet", scope="read", until="2099-12-31")
    found = re.search(r"itk_[\w-]+", answer.text)
    assert found
    assert "itk_" not in inside.get("/settings/tokens").text
    (token,) = tokens.every(world.engine)
    assert (token.name, token.scope, token.user) == ("spreadsheet", "read", "owner")
    assert f"{token.expires_at:%Y-%m-%d %H:%M}" == "2099-12-31 22:59"  # the end of the day in Berlin
    for wrong in ({"name": "spreadsheet"}, {"name": "x", "until": "soon"}, {"name": "x", "scope": "all"}):
        assert send(inside, "/settings/tokens", **wrong).status_code == 400
    assert send(inside, f"/settings/tokens/{token.id}/revoke", "/settings/tokens").status_code == 303
    assert tokens.every(world.engine) == []
    assert found[0] not in str(actions(world))


# --- upkeep ---


def test_a_backup_is_made_downloaded_uploaded_and_put_back_at_the_next_start(
    inside: httpx.Client, world: World
) -> None:
    assert send(inside, "/settings/backup").status_code == 303
    (made,) = backups.every(world.deps.settings)
    page = inside.get("/settings/backup")
    assert made.name in page.text
    answer = inside.get(f"/settings/backup/file/{made.name}")
    assert answer.headers["content-disposition"] == f'attachment; filename="{made.name}"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content == backups.path_of(world.deps.settings, made.name).read_bytes()
    for wrong in ("..%2ftracker.key", "tracker.key", "%2e%2e", "nothing"):
        assert inside.get(f"/settings/backup/file/{wrong}").status_code == 404
    world.later(minutes=1)
    token = re.search(r'name="form_token" value="(\w+)"', page.text)
    assert token
    headers = {"Origin": str(inside.base_url).rstrip("/")}
    data = {"form_token": token[1]}
    for content, status in ((b"no backup", 400), (answer.content, 303)):
        sent = inside.post(
            "/settings/backup/restore", data=data, files={"file": ("x.backup", content)}, headers=headers
        )
        assert sent.status_code == status
    uploaded = backups.every(world.deps.settings)[0].name
    assert uploaded.startswith("uploaded-")
    assert send(inside, "/settings/backup/plan", "/settings/backup", name=uploaded).status_code == 303
    assert "A restore waits" in words(inside.get("/settings/backup"))
    for part in ("", *(f"/{part}" for part in PARTS if part != "backup")):
        assert f"A restore waits: when the tracker starts next, {uploaded} takes" in words(
            inside.get(f"/settings{part}")
        )
    assert send(inside, "/settings/backup/remove", "/settings/backup", name=uploaded).status_code == 400
    assert send(inside, "/settings/backup/take-back", "/settings/backup").status_code == 303
    assert backups.planned(world.deps.settings) is None
    assert "A restore waits" not in words(inside.get("/settings/users"))
    assert send(inside, "/settings/backup/remove", "/settings/backup", name=uploaded).status_code == 303
    told = [action for _, action, _ in actions(world)]
    assert told[:4] == ["backup removed", "restore taken back", "restore planned", "backup uploaded"]
    assert "backup downloaded" in told


def test_where_other_processes_use_the_ledger_it_is_put_back_in_the_terminal(
    inside: httpx.Client, world: World
) -> None:
    send(inside, "/settings/backup")
    (made,) = backups.every(world.deps.settings)
    world.deps.settings = world.deps.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    assert "tracker restore --force" in inside.get("/settings/backup").text
    answer = send(inside, "/settings/backup/plan", "/settings/backup", name=made.name)
    assert (answer.status_code, backups.planned(world.deps.settings)) == (400, None)


def test_the_key_is_changed_and_old_ones_dropped(inside: httpx.Client, world: World) -> None:
    world.add("network")
    key_file = Path(world.deps.settings.key_file)
    before = key_file.read_text()
    assert send(inside, "/settings/keys/rotate", "/settings/keys").status_code == 303
    assert "1 sealed text uses it" in words(inside.get("/settings/keys"))
    assert key_file.read_text() != before
    assert send(inside, "/settings/keys/retire", "/settings/keys").status_code == 303
    page = inside.get("/settings/keys")
    assert "1 old key is dropped." in words(page)
    secrets = [line for line in key_file.read_text().splitlines() if not line.startswith("#")]
    assert not [line for line in secrets if line in page.text]
    assert [action for _, action, _ in actions(world)][:2] == ["old keys dropped", "key rotated"]


def test_the_trail_is_paged_the_newest_first(inside: httpx.Client, world: World) -> None:
    for number in range(120):
        audit.record(
            world.engine, world.now, actor="owner", action=f"step {number}", subject="<b>", sender="203.0.113.5"
        )
    first = inside.get("/settings/trail")
    assert "step 119" in first.text
    assert "step 69" not in first.text
    assert "<b>" not in first.text
    older = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert older
    second = inside.get(older[1])
    assert "step 69" in second.text
    newer = re.search(r'rel="prev" href="([^"]+)"', second.text)
    assert newer
    assert "step 119" in inside.get(newer[1]).text


def test_about_tells_version_place_and_health_without_a_password(inside: httpx.Client, world: World) -> None:
    page = inside.get("/settings/about")
    assert str(world.folder) in page.text
    assert "No clock is running (never seen)" in words(page)
    assert "disk space" not in page.text
    closer = inside.get("/settings/about?closer=yes")
    assert "disk space" in closer.text
    assert "No mail is set up" in closer.text
    url = "postgresql+psycopg://joe:hush-4711@db.example/tracker"
    world.deps.settings = world.deps.settings.model_copy(update={"database_url": url})
    assert "hush-4711" not in inside.get("/settings/about").text


def test_another_process_has_the_change_with_its_next_look(inside: httpx.Client, world: World) -> None:
    other = msgspec.structs.replace(world.deps)
    assert (
        send(inside, "/settings/letter", letter_to="me@example.com", letter_day="5", letter_hour="9").status_code == 303
    )
    with other.engine.begin() as conn:
        stored.take_up(other, conn)
    assert other.settings.letter_day == 5
