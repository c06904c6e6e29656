"""Connecting a provider on pages: the catalogue, the guided form, the trial before anything is stored."""

import re

import httpx
import pytest

from tests.pretend import KEY, Reply
from tests.web.conftest import PASSWORD, send, words
from tests.web.test_connection_pages import FORM, slugs, trail
from tests.world import World
from tracker import accounts
from tracker.connect.session import http_session
from tracker.demo.server import Sandbox
from tracker.web.app import make_app
from tracker.web.listen import Pages, address_of, listen


def connect(one: httpx.Client, world: World, provider: str = "network", **more: str) -> httpx.Response:
    """Fill in the form as somebody does who has a key."""
    usual = {
        "do": "connect", "slug": provider, "title": provider.title(), "interval": "1h", "credential.key": KEY,
        "option.base_url": world.server.url,
    }  # fmt: skip
    return send(one, f"/connections/add/pretend-{provider}", **{**usual, **more})


# --- finding one ---


def test_a_ledger_without_connections_leads_to_the_catalogue(inside: httpx.Client) -> None:
    page = inside.get("/connections")
    assert 'href="/connections/add"' in page.text
    assert "Nothing is connected yet" in words(page)
    assert "/sample" not in page.text  # nobody here can play it


def test_the_catalogue_says_what_is_read_and_needed_and_is_searched_without_a_script(inside: httpx.Client) -> None:
    told = words(inside.get("/connections/add"))
    assert "Stripe payments Reads balance transactions, products," in told
    assert "Needs Restricted key." in told
    found = inside.get("/connections/add?q=affil+net").text
    assert ("/connections/add/awin" in found, "/connections/add/stripe" in found) == (
        False,
        False,
    )  # kinds are one word
    found = inside.get("/connections/add?q=AWIN").text
    assert ("/connections/add/awin" in found, "/connections/add/stripe" in found) == (True, False)
    assert "/connections/add/woocommerce" in inside.get("/connections/add?q=shop").text
    assert "Nothing is called that" in words(inside.get("/connections/add?q=<script>"))
    assert inside.get("/connections/add/nope").status_code == 404


def test_every_provider_has_a_form_with_its_own_fields(inside: httpx.Client, world: World) -> None:
    for listed in re.findall(r'href="(/connections/add/[^"]+)"', inside.get("/connections/add").text):
        page = inside.get(listed)
        assert page.status_code == 200, listed
        assert 'name="slug"' in page.text
    form = inside.get("/connections/add/woocommerce").text
    assert re.search(r'<input id="credential-consumer_secret"[^>]* type="password"[^>]*autocomplete="off"', form)
    assert "WooCommerce &gt; Settings &gt; Advanced" in form
    assert "Needed there: Read, by a user who may see orders (shop manager)." in form
    assert "<li>Products: Read</li>" in inside.get("/connections/add/stripe").text
    world.add("network")
    assert 'value="pretend-network"' in inside.get(FORM).text
    world.add("network", "pretend-network")
    assert 'value="pretend-network-2"' in inside.get(FORM).text


# --- connecting ---


def test_a_connection_is_tried_stored_and_shown(inside: httpx.Client, world: World) -> None:
    more = {"stream": "Gear", "since": "2026-05-01", "quiet": "22:00-06:00", "interval": "6h", "slug": "gear"}
    answer = connect(inside, world, title="Gear reviews", **more)
    assert answer.headers["location"] == "/connections/gear"
    row = world.connection("gear")
    assert (row.title, row.interval_s, row.quiet, row.role) == ("Gear reviews", 6 * 3600, "22:00-06:00", "cash")
    assert row.since.astimezone(world.deps.settings.zone).date().isoformat() == "2026-05-01"
    assert row.next_sync_at == world.now
    assert world.ask("select title from stream") == [("Gear",)]
    page = inside.get("/connections/gear")
    assert "Connected. Your key opens commissions." in words(page)
    assert KEY not in page.text
    assert trail(world) == [("connection added", "gear")]
    assert world.sync("gear").outcome == "ok"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"credential.key": "a-wrong-key"}, "refused the credentials"),
        ({"credential.key": ""}, "needs key"),
        ({"option.base_url": "http://shop.example"}, "must be reached by https"),
        ({"option.base_url": ""}, "your site's address"),
        ({"option.colour": "red"}, "has no option 'colour'"),
        ({"slug": "Bad Slug"}, "Not a slug"),
        ({"slug": "add"}, "Not a slug"),
        ({"interval": "1s"}, "Not an interval"),
        ({"quiet": "night"}, "Not quiet hours"),
        ({"since": "soon"}, "not a day"),
        ({"role": "boss"}, "not a role"),
        ({"title": "x" * 81}, "title is too long"),
    ],
)
def test_what_cannot_work_is_said_and_nothing_is_stored(
    inside: httpx.Client, world: World, typed: dict[str, str], told: str
) -> None:
    answer = connect(inside, world, **{"title": "My title <b>", **typed})
    assert answer.status_code == 400
    assert told in words(answer)
    assert "My title &lt;b&gt;" in answer.text or "title" in typed
    assert (KEY in answer.text, "a-wrong-key" in answer.text) == (False, False)
    assert slugs(world) == []
    assert trail(world) == []


def test_a_key_that_lacks_a_right_connects_only_when_that_is_wanted(inside: httpx.Client, world: World) -> None:
    world.provider.answers["/contracts"] = lambda asked: Reply.json({}, 403)
    answer = connect(inside, world, "bank")
    assert (answer.status_code, slugs(world)) == (400, [])
    assert "not readable contracts" in words(answer)
    assert "readable movements" in words(answer)
    again = sealed(answer)
    assert connect(inside, world, "bank", do="anyway", **{"credential.key": "", **again}).status_code == 303
    assert slugs(world) == ["bank"]


def sealed(answer: httpx.Response) -> dict[str, str]:
    """The typed keys in a form, as only the tracker can open them."""
    found = re.search(r'name="held" value="([^"]+)"', answer.text)
    assert found, answer.text
    return {"held": found[1]}


def test_nobody_types_a_key_twice_and_a_sealed_form_is_no_use_to_others(inside: httpx.Client, world: World) -> None:
    closed = world.server.url.rpartition(":")[0] + ":1"
    answer = connect(inside, world, **{"option.base_url": closed})
    assert (answer.status_code, slugs(world)) == (400, [])
    assert "cannot be reached" in words(answer)
    assert "Connect anyway" in answer.text
    assert KEY not in answer.text
    again = {"credential.key": "", **sealed(answer)}
    for wrong in ({"held": "x"}, {"held": again["held"][:-4] + "AAAA"}):
        assert "needs key" in words(connect(inside, world, **{**again, **wrong}))
    assert "needs key" in words(connect(inside, world, "shop", **again))  # of another provider
    world.later(minutes=31)
    assert "needs key" in words(connect(inside, world, **again))
    world.later(minutes=-31)
    assert connect(inside, world, **again).headers["location"] == "/connections/network"
    assert world.sync("network").outcome == "ok"


def test_a_provider_that_cannot_be_reached_is_connected_anyway(inside: httpx.Client, world: World) -> None:
    world.provider.answers["/commissions"] = lambda asked: Reply(b"", 503)
    answer = connect(inside, world)
    assert (answer.status_code, slugs(world), "Connect anyway" in answer.text) == (400, [], True)
    assert connect(inside, world, do="anyway").status_code == 303
    assert slugs(world) == ["network"]


def test_a_refused_key_is_not_kept_and_cannot_be_stored(inside: httpx.Client, world: World) -> None:
    answer = connect(inside, world, **{"credential.key": "a-wrong-key"})
    assert "Connect anyway" not in answer.text
    again = {"credential.key": "", **(sealed(answer) if 'name="held"' in answer.text else {})}
    assert "needs key" in words(connect(inside, world, **again))


def test_ids_are_found_and_chosen_or_filled_in(inside: httpx.Client, world: World) -> None:
    with Sandbox(now=world.now, rate_limits=False) as sandbox:
        usual = {"slug": "awin", "title": "Awin", "interval": "1h", "option.base_url": sandbox.url("awin")}
        key = {"credential.token": sandbox.credentials("awin")["token"]}
        answer = send(inside, "/connections/add/awin", do="find", **usual, **key)
        assert answer.status_code == 200
        assert "Publisher accounts : Pfad und Papier" in words(answer)
        assert f'<option value="{sandbox.credentials("awin")["publisher_id"]}"' in answer.text
        assert key["credential.token"] not in answer.text
        assert slugs(world) == []
        answer = send(inside, "/connections/add/awin", do="connect", **usual, **sealed(answer))  # the id is still empty
        assert answer.headers["location"] == "/connections/awin"
        page = send(inside, "/connections/awin/ids", "/connections/awin")
        assert "Pfad und Papier" in words(page)


def test_a_key_that_is_refused_while_ids_are_looked_up_is_forgotten(inside: httpx.Client, world: World) -> None:
    with Sandbox(now=world.now, rate_limits=False) as sandbox:
        usual = {"slug": "awin", "title": "Awin", "interval": "1h", "option.base_url": sandbox.url("awin")}
        answer = send(inside, "/connections/add/awin", do="find", **usual, **{"credential.token": "a-wrong-key"})
        assert (answer.status_code, "a-wrong-key" in answer.text) == (400, False)
        again = send(inside, "/connections/add/awin", do="find", **usual, **sealed(answer))
        assert "needs token" in words(again)


def test_an_address_inside_the_network_is_refused_with_the_setting_that_allows_it(
    inside: httpx.Client, world: World
) -> None:
    world.deps.http = http_session
    for address in (world.server.url, "https://169.254.169.254", "https://192.168.0.7", "https://[::1]:8443"):
        answer = connect(inside, world, **{"option.base_url": address})
        assert (answer.status_code, slugs(world)) == (400, [])
        assert "TRACKER_ALLOW_PRIVATE_NETWORKS=true" in words(answer)
        assert "Connect anyway" not in answer.text
    assert world.provider.asked == []


def test_the_clock_looks_at_once_when_something_is_connected(world: World) -> None:
    accounts.add_owner(world.engine, "owner", PASSWORD, world.now)
    woken: list[str] = []
    with listen(world.deps) as bound:
        pages = Pages(make_app(world.deps, wake=lambda: woken.append("now")), bound)
        headers = {"X-Forwarded-Proto": "http"}
        with httpx.Client(base_url=address_of(world.deps.settings, bound), headers=headers, timeout=60) as one:
            send(one, "/login", name="owner", password=PASSWORD)
            assert woken == []
            assert connect(one, world).status_code == 303
        pages.stop()
    assert woken == ["now"]


def test_a_fault_in_another_field_costs_no_key(inside: httpx.Client, world: World) -> None:
    answer = connect(inside, world, slug="no slug!")
    assert (answer.status_code, slugs(world)) == (400, [])
    again = {"credential.key": "", **sealed(answer)}
    assert connect(inside, world, **again).headers["location"] == "/connections/network"
