"""Pages about connections: how each stands, everything that is done with one, and the sample data."""

import re
from datetime import timedelta
from pathlib import Path

import httpx
from sqlalchemy import update

from tests.pretend import KEY, Reply, earning
from tests.web.conftest import PASSWORD, send, words
from tests.world import World
from tracker import accounts, audit, connections, inbound, sample, schedule
from tracker.cli import sampling
from tracker.store.writes import connection_t, run_t
from tracker.web.app import make_app
from tracker.web.listen import Pages, address_of, listen

FORM = "/connections/add/pretend-network"


def slugs(world: World) -> list[str]:
    return [row.slug for row in connections.every(world.engine)]


def trail(world: World) -> list[tuple[str, str]]:
    return [(row.action, row.subject) for row in audit.trail(world.engine, 50) if row.action != "logged in"][::-1]


# --- how it stands ---


def test_the_list_says_how_each_stands_and_what_to_do(inside: httpx.Client, world: World) -> None:
    for slug in ("network", "shop", "bank", "feed"):
        world.add(slug)
    world.sync("network")
    connections.pause(world.deps, "shop")
    world.provider.key = "another"
    world.sync("bank")
    world.provider.key = KEY
    world.provider.answers["/sales"] = lambda asked: Reply(b"", 503)
    world.sync("feed")
    page = inside.get("/connections")
    told = words(page)
    assert re.search(r"Pretend Network all well Next time in [\w ]+\. network · last read just now", told)
    assert "Pretend Shop paused You paused it." in told
    assert re.search(r"Pretend Bank needs new keys 127\.0\.0\.1 refused the credentials", told)
    assert 'href="/connections/bank#credentials"' in page.text
    assert re.search(r"Pretend Feed failing .* is in trouble \(503\)\. .* Next try in", told)
    assert "No clock is running" in told
    assert 'data-moving="no"' in page.text


def test_a_page_shows_resources_runs_and_what_came(inside: httpx.Client, world: World) -> None:
    world.add("network")
    world.provider.put("/commissions", earning("c1", world.now - timedelta(days=1)))
    world.provider.put("/commissions", earning("c2", world.now - timedelta(days=1), status="odd"))
    world.sync("network")
    page = inside.get("/connections/network")
    told = words(page)
    assert "1 earning" in told
    assert 'href="/earnings?connection=network"' in page.text
    assert 'href="/quarantine?connection=network"' in page.text
    assert re.search(r"commissions Jun \d+, 2026", told)
    assert "partly understood" in told
    assert inside.get("/connections/nope").status_code == 404
    assert inside.get("/connections/nope/progress").status_code == 404


def test_a_run_that_goes_on_is_followed(inside: httpx.Client, world: World) -> None:
    world.add("network")
    page = inside.get("/connections/network")
    assert 'data-live="/connections/network/progress" data-moving="yes"' in page.text
    assert '<noscript><meta http-equiv="refresh"' in page.text
    assert "refresh" not in inside.get("/connections/network?still=yes").text  # for whoever fills in a form of it
    told: list[str] = []

    def look(step: object) -> None:
        world.later(seconds=2)
        told.append(inside.get("/connections/network/progress").text)

    for number in range(9):
        world.provider.put("/commissions", earning(f"c{number}", world.now - timedelta(days=number)))
    world.sync("network", progress=look)
    assert all('data-moving="yes" data-look="running"' in one for one in told)
    rows = [int(re.search(r'data-now="rows">(\d+)', one)[1]) for one in told]  # type: ignore[index]
    assert rows == sorted(rows)
    assert 0 < rows[-1] <= 9
    after = inside.get("/connections/network/progress").text
    assert ('data-moving="no"' in after, "It is not being read just now." in after) == (True, True)
    assert "<html" not in after
    assert world.ask("select rows from sync_run") == [(9,)]


def test_what_is_paused_while_it_is_read_is_read_to_the_end_and_not_again(inside: httpx.Client, world: World) -> None:
    world.add("network")
    told: list[str] = []

    def pause(step: object) -> None:
        if not told:
            told.append(send(inside, "/connections/network/pause", "/connections/network").headers["location"])
            told.append(words(inside.get("/connections/network")))

    world.provider.put("/commissions", earning("c1", world.now - timedelta(days=1)))
    assert world.sync("network", progress=pause).outcome == "ok"
    assert "It is being read." in told[1]
    assert told[1].count("It is paused once this run has ended.") == 2  # the notice, and the page
    page = words(inside.get("/connections/network"))
    assert ("paused You paused it" in page.replace(" Go on", ""), "Go on" in page, "Sync now" in page) == (
        True,
        True,
        False,
    )
    assert len(world.earnings()) == 1


def test_a_run_that_was_killed_is_not_shown_as_going_on(inside: httpx.Client, world: World) -> None:
    row = world.add("network")
    with world.engine.begin() as conn:
        conn.execute(run_t.insert().values(connection_id=row.id, started_at=world.now - timedelta(hours=2)))
        later = {"next_sync_at": world.now + timedelta(hours=1)}
        conn.execute(update(connection_t).where(connection_t.c.id == row.id).values(later))
    told = words(inside.get("/connections/network"))
    assert "broken off" in told
    assert "all well" in told


# --- what is done with one ---


def test_a_connection_is_synced_paused_and_resumed_by_buttons(inside: httpx.Client, world: World) -> None:
    world.add("network")
    world.sync("network")
    assert world.connection("network").next_sync_at > world.now
    assert send(inside, "/connections/network/sync", "/connections").headers["location"] == "/connections/network"
    assert world.connection("network").next_sync_at == world.now
    send(inside, "/connections/network/pause", "/connections")
    assert world.connection("network").paused_reason == "you paused it."
    refused = send(inside, "/connections/network/sync", "/connections")
    assert (refused.status_code, "is paused" in words(refused)) == (400, True)
    send(inside, "/connections/network/resume", "/connections")
    assert world.connection("network").paused_at is None
    asked = ["connection asked for a sync", "connection paused", "connection resumed"]
    assert trail(world) == [(action, "network") for action in asked]


def test_title_schedule_and_options_are_changed_together_or_not_at_all(inside: httpx.Client, world: World) -> None:
    world.add("network")
    changes = {"title": "Gear <i>", "interval": "6h", "quiet": "22:00-06:00", "option.base_url": world.server.url}
    page = "/connections/network"
    assert send(inside, f"{page}/edit", page, **changes).headers["location"] == page
    row = world.connection("network")
    assert (row.title, row.interval_s, row.quiet) == ("Gear <i>", 6 * 3600, "22:00-06:00")
    assert "Gear &lt;i&gt;" in inside.get(page).text
    for wrong in ({"quiet": "x"}, {"interval": "x"}, {"option.base_url": "http://shop.example"}, {"option.odd": "1"}):
        answer = send(inside, f"{page}/edit", page, **{**changes, "title": "Other", **wrong})
        assert (answer.status_code, world.connection("network").title) == (400, "Gear <i>")
    assert send(inside, f"{page}/edit", page, **{**changes, "title": ""}).status_code == 400
    assert trail(world) == [("connection changed", "network")]


def test_new_keys_are_tried_before_they_replace_the_old(inside: httpx.Client, world: World) -> None:
    world.add("network", credentials={"key": "an-old-key"})
    assert world.sync("network").outcome == "failed"
    page = "/connections/network"
    assert re.search(r'<details class="chore" id="credentials" open>', inside.get(page).text)
    answer = send(inside, f"{page}/credentials", page, **{"credential.key": "a-wrong-key"})
    assert (answer.status_code, "refused the credentials" in words(answer)) == (400, True)
    assert ("a-wrong-key" in answer.text, "an-old-key" in answer.text) == (False, False)
    assert world.connection("network").paused_at is not None
    assert send(inside, f"{page}/credentials", page, **{"credential.key": KEY}).status_code == 303
    assert world.connection("network").paused_at is None
    assert world.sync("network").outcome == "ok"
    world.provider.answers["/commissions"] = lambda asked: Reply(b"", 503)
    assert send(inside, f"{page}/credentials", page, **{"credential.key": "other"}).status_code == 400
    assert send(inside, f"{page}/credentials", page, untested="yes", **{"credential.key": ""}).status_code == 303
    del world.provider.answers["/commissions"]
    assert world.sync("network").outcome == "ok"  # what was left empty stayed
    assert trail(world) == [("credentials replaced", "network")] * 2


def test_the_keys_are_tested_on_the_page(inside: httpx.Client, world: World) -> None:
    world.add("network")
    answer = send(inside, "/connections/network/test", "/connections/network")
    assert "readable commissions" in words(answer)
    assert re.search(
        r'id="test" open>\s*<summary>Test the keys</summary>\s*<div class="body" tabindex="-1" autofocus>', answer.text
    )
    world.provider.key = "another"
    answer = send(inside, "/connections/network/test", "/connections/network")
    assert (answer.status_code, "refused the credentials" in words(answer)) == (400, True)


def test_income_since_a_day_is_read_again(inside: httpx.Client, world: World) -> None:
    world.add("network")
    world.sync("network")
    page = "/connections/network"
    world.provider.put("/commissions", earning("missed", world.now - timedelta(days=20)))
    day = (world.now - timedelta(days=25)).date()
    assert send(inside, f"{page}/reread", page, day=day.isoformat()).headers["location"] == page
    assert world.connection("network").next_sync_at == world.now
    assert world.sync("network").new == 1
    for wrong in ("", "soon", "2040-01-01"):
        assert send(inside, f"{page}/reread", page, day=wrong).status_code == 400
    assert trail(world) == [("connection read again", "network")]


def test_an_address_for_postbacks_is_shown_once_renewed_and_ended(inside: httpx.Client, world: World) -> None:
    world.add("signer")
    page = "/connections/signer"
    first = re.search(r"/in/([\w-]{43})", send(inside, f"{page}/inbound", page, do="make").text)
    assert first
    assert inbound.connection_at(world.engine, first[1]) is not None
    assert "/in/" not in inside.get(page).text
    assert send(inside, f"{page}/inbound", page, do="make").status_code == 400
    second = re.search(r"/in/([\w-]{43})", send(inside, f"{page}/inbound", page, do="renew").text)
    assert second
    assert inbound.connection_at(world.engine, first[1]) is None
    send(inside, f"{page}/inbound", page, do="secret", secret="a-signing-secret")
    assert "a-signing-secret" not in inside.get(page).text
    send(inside, f"{page}/inbound", page, do="end")
    assert inbound.connection_at(world.engine, second[1]) is None
    made = ("inbound address made", "signer")
    assert trail(world) == [made, made, ("inbound secret stored", "signer"), ("inbound address ended", "signer")]


def test_a_connection_is_removed_without_or_with_its_earnings(inside: httpx.Client, world: World) -> None:
    world.add("network")
    world.provider.put("/commissions", earning("c1", world.now - timedelta(days=1)))
    world.sync("network")
    page = "/connections/network"
    assert send(inside, f"{page}/remove", page).status_code == 400
    send(inside, f"{page}/remove", page, data="keep")
    assert schedule.standing(world.connection("network"), world.now, {}).state == "closed"
    told = words(inside.get(page))
    assert "It is read no more. Its 1 earning is kept." in told
    assert "Read it again with new keys" in told
    assert "Sync now" not in told
    assert len(world.earnings()) == 1
    assert send(inside, f"{page}/remove", page, data="remove").headers["location"] == "/connections"
    assert (slugs(world), world.earnings()) == ([], {})
    assert trail(world) == [("connection closed", "network"), ("connection removed", "network")]


ACTS = ("sync", "pause", "resume", "test", "ids", "edit", "credentials", "reread", "inbound", "remove")


def test_a_viewer_looks_and_changes_nothing(viewer: httpx.Client, world: World) -> None:
    world.add("network")
    page = viewer.get("/connections/network")
    assert (page.status_code, "<form" in page.text.partition("<main")[2]) == (200, False)
    assert viewer.get("/connections/add/awin").status_code == 403
    assert viewer.get("/welcome").headers["location"] == "/"
    for act in ACTS:
        assert send(viewer, f"/connections/network/{act}", "/connections").status_code == 403
    assert send(viewer, FORM, "/connections", **{"credential.key": KEY}).status_code == 403
    for path in ("/sample", "/sample/remove"):
        assert send(viewer, path, "/connections").status_code == 403
    assert slugs(world) == ["network"]
    assert trail(world) == []


def test_nobody_gets_in_without_a_login_or_from_another_site(
    inside: httpx.Client, browser: "object", world: World
) -> None:
    world.add("network")
    stranger = browser()  # type: ignore[operator]
    for path in ("/connections", "/connections/add", FORM, "/connections/network", "/connections/network/progress"):
        assert stranger.get(path).headers["location"] == "/login"
    for path in (*(f"/connections/network/{act}" for act in ACTS), FORM, "/sample", "/sample/remove"):
        assert inside.post(path, data={"do": "anyway"}).status_code == 403  # a form that nobody was given
    assert world.connection("network").paused_at is None


# --- sample data ---


def test_sample_data_is_made_and_removed_by_two_clicks(world: World, tmp_path: Path) -> None:
    accounts.add_owner(world.engine, "owner", PASSWORD, world.now)
    bound = listen(world.deps)
    started = []
    pages = Pages(make_app(world.deps, play=lambda: started.append(sampling.play(world.deps))), bound)
    try:
        with httpx.Client(base_url=address_of(world.deps.settings, bound), timeout=60) as one:
            one.headers["X-Forwarded-Proto"] = "http"
            send(one, "/login", name="owner", password=PASSWORD)
            for path in ("/welcome", "/connections"):
                assert "Look around with sample data" in words(one.get(path))
            assert send(one, "/sample", "/connections").headers["location"] == "/connections"
            page = one.get("/connections")
            assert "This is sample data" in words(page)
            assert len(sample.slugs(world.engine)) == 5
            started[0].join(120)
            assert "This is sample data" in words(one.get("/"))
            page = one.get("/connections/stripe")
            assert "Sample data, read once." in words(page)
            assert not [one for one in ("Change it", "Pause", "Read every") if one in words(page)]
            assert "The sample data is read. Look at the overview" in words(one.get("/connections"))
            assert send(one, "/sample", "/connections").status_code == 400
            assert send(one, "/sample/remove", "/connections").headers["location"] == "/connections"
            assert "This is sample data" not in words(one.get("/connections"))
    finally:
        pages.stop()
    assert slugs(world) == []
    assert trail(world) == [("sample data added", ""), ("sample data removed", "")]


def test_every_resource_stands_on_the_page_once_and_intervals_are_told_in_words(
    inside: httpx.Client, world: World
) -> None:
    world.add("network")
    world.sync("network")
    page = inside.get("/connections/network")
    assert len(re.findall(r">\s*commissions\s*<", page.text)) == 1
    lengths = [re.sub(r"\s+", " ", one).strip() for one in re.findall(r"<option[^>]*>([^<]*)</option>", page.text)]
    assert {"30 minutes", "1 hour", "3 hours", "1 day", "7 days"} <= set(lengths)


def test_a_provider_that_lists_no_ids_is_not_asked_for_them(inside: httpx.Client, world: World) -> None:
    world.add("network")
    assert send(inside, "/connections/network/ids", "/connections/network").status_code == 400
    assert trail(world) == []
