"""The pages about streams: how they stand, what one is made of, and rules that show first what they would move."""

import re
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from sqlalchemy import insert

from tests.pretend import earning
from tests.web.conftest import Browser, send, words
from tests.world import World
from tracker import rules, streams
from tracker.ledger import program_t
from tracker.rules import Rule
from tracker.web.pages import streams as pages


@pytest.fixture
def filled(world: World) -> World:
    world.add("network")
    world.add("shop")
    for number in range(6):
        at = world.now - timedelta(days=number)
        row = earning(f"c{number}", at, program=f"p{number % 2}", product="E-Book", status="approved")
        world.provider.put("/commissions", row)
    world.provider.put("/orders", earning("w1", kind="sale", status="approved", product="Course <A>"))
    for slug in ("network", "shop"):
        world.sync(slug)
    with world.engine.begin() as conn:
        conn.execute(insert(program_t), [
            {"connection_id": 1, "external_id": f"p{number}", "title": f"Program {number}", "recurring": False}
            for number in (0, 1)
        ])  # fmt: skip
    return world


def trail(world: World) -> list[tuple[str, ...]]:
    return world.ask("select action, subject from audit_event order by id")


def held(world: World) -> dict[str, int]:
    return {row["title"]: row["earnings"] for row in streams.every_stream(world.engine)}


def test_the_list_tells_share_recurrence_and_months(inside: httpx.Client, filled: World) -> None:
    page = inside.get("/streams")
    assert page.status_code == 200
    assert "Network highest in Jun 2026: €60.00 60.00 86% 0% not known yet" in words(page)
    assert "All 70.00" in words(page)
    assert page.text.count("<svg") == 2
    assert 'href="/earnings?stream=network&amp;from=2025-07-01&amp;to=2026-06-30&amp;counted=yes"' in page.text
    assert "style=" not in page.text


def test_a_stream_opens_to_its_months_programs_and_products(inside: httpx.Client, filled: World) -> None:
    page = inside.get("/streams/network")
    told = words(page)
    assert "Network €60.00 counted from July 2025 to June 2026" in told
    assert "Jun 2026 so far – 60.00 60.00" in told
    assert "Pretend Network Program 0 3 30.00" in told
    assert "E-Book 6 60.00" in told
    assert "/earnings?stream=network&month=2026-06&counted=yes" in page.text.replace("&amp;", "&")
    assert "connection=network&amp;program=%3Dp1" in page.text
    assert "Everything that no rule takes, of network" in told
    assert "May 2025" in words(inside.get("/streams/network?months=24"))
    assert "Course &lt;A&gt;" in inside.get("/streams/shop").text


def test_a_stream_of_many_programs_and_products_is_read_page_by_page(
    inside: httpx.Client, filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "SHOWN", 1)
    world = filled
    world.provider.put(
        "/commissions", earning("g", world.now, program="p0", product="Guide", status="approved", net="1")
    )
    world.sync("network")
    first = inside.get("/streams/network")
    assert "Pretend Network Program 0 4 31.00" in words(first)
    assert "Program 1 3" not in words(first)
    assert "1 more Further →" in words(first)
    second = inside.get("/streams/network?source_page=2")
    assert "Pretend Network Program 1 3 30.00" in words(second)
    assert "E-Book 6 60.00" in words(second)  # each table has its own pages
    assert 'href="?source_page=2&amp;product_page=2#products"' in second.text.replace("products=yes&amp;", "")
    assert "Guide 1 1.00" in words(inside.get("/streams/network?product_page=2"))
    assert inside.get("/streams/network?source_page=0").status_code == 400


def test_what_waits_and_cannot_be_converted_is_named(inside: httpx.Client, filled: World) -> None:
    for name, currency in (("w1", "EUR"), ("w2", "KES")):
        filled.provider.put("/commissions", earning(name, filled.now, currency=currency, status="pending", net="3"))
    filled.sync("network")
    told = words(inside.get("/streams/network"))
    assert "€3.00 more waits for approval, in 2 earnings. Show them Not in this sum" in told
    assert "KES 3.00 (1 earning)." in told.replace("\xa0", " ")


def test_a_stream_is_added_described_renamed_and_moved(inside: httpx.Client, filled: World) -> None:
    made = send(inside, "/streams", name="E-Book", business_model="digital product", delivery="one_to_many")
    assert made.headers["location"] == "/streams/e-book"
    assert "Digital product: e-book, theme, plugin · Made once, sold to many" in words(inside.get("/streams/e-book"))
    changed = send(inside, "/streams/e-book", name="My guide", business_model="own way", delivery="")
    assert changed.headers["location"] == "/streams/my-guide"
    assert "own way" in inside.get("/streams/my-guide").text
    send(inside, "/streams/my-guide/move", "/streams", way="up")
    send(inside, "/streams/my-guide/move", "/streams", way="up")
    assert [title for _, title in streams.names(filled.engine)] == ["My guide", "Network", "Shop"]
    send(inside, "/streams/network/move", "/streams", way="down")
    assert [title for _, title in streams.names(filled.engine)] == ["My guide", "Shop", "Network"]
    done = ["stream added", "stream changed", "stream moved", "stream moved", "stream moved"]
    assert [action for action, _ in trail(filled)[-5:]] == done


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/streams", {"name": ""}),
        ("/streams", {"name": "network"}),
        ("/streams/network", {"name": "Shop"}),
        ("/streams/network", {"name": "Network", "delivery": "by hand"}),
        ("/streams/network/remove", {"into": ""}),
        ("/streams/network/remove", {"into": "nowhere"}),
    ],
)
def test_what_cannot_be_meant_is_said_on_the_page(
    inside: httpx.Client, filled: World, path: str, fields: dict[str, str]
) -> None:
    answer = send(inside, path, path.removesuffix("/remove"), **fields)
    assert answer.status_code == 400
    assert 'class="problem"' in answer.text
    assert [title for _, title in streams.names(filled.engine)] == ["Network", "Shop"]


def test_a_stream_goes_into_another(inside: httpx.Client, filled: World) -> None:
    answer = send(inside, "/streams/network/remove", "/streams/network", into="shop")
    assert answer.headers["location"] == "/streams"
    assert "The stream is gone. 6 earnings moved." in inside.get("/streams").text
    assert held(filled) == {"Shop": 7}


def test_a_rule_shows_what_would_move_and_is_saved_after_that(inside: httpx.Client, filled: World) -> None:
    query = urlencode({"stream": "shop", "program": "Program 1", "position": "1"})
    page = inside.get(f"/streams/shop/rules/new?{query}")
    told = words(page)
    assert "3 earnings would go to another stream. Nothing is saved yet." in told
    assert "Network Shop 3 €30.00" in told
    assert "The newest 3 of them" in told
    assert page.text.count('<a href="/earnings/') == 3
    assert held(filled) == {"Network": 6, "Shop": 1}
    assert rules.every_rule(filled.engine) == []
    hidden = dict(
        re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text[page.text.index("moves") :])
    )
    token = hidden.pop("form_token")
    assert token
    answer = send(inside, "/streams/shop/rules/new", **hidden)
    assert answer.headers["location"] == "/streams/shop"
    assert held(filled) == {"Network": 3, "Shop": 4}
    assert "Saved. 3 earnings moved." in inside.get("/streams/shop").text
    assert trail(filled)[-1] == ("rule added", "shop: rule 1")


def test_a_rule_is_changed_moved_and_removed(inside: httpx.Client, filled: World) -> None:
    first, _ = rules.save(filled.deps, Rule(stream="shop", program="p1"))
    rules.save(filled.deps, Rule(stream="network", product="E-*"))
    path = f"/streams/shop/rules/{first}"
    assert 'value="p1"' in inside.get(path).text
    tried = inside.get(f"{path}?stream=shop&program=p*&position=1")
    assert "Network Shop 3 €30.00" in words(tried)
    assert send(inside, path, stream="shop", program="p*", position="2").headers["location"] == "/streams/shop"
    assert held(filled) == {"Network": 6, "Shop": 1}
    assert [rule["position"] for rule in rules.every_rule(filled.engine) if rule["id"] == first] == [2]
    send(inside, path, stream="shop", program="p*", position="1")
    asked = inside.get(f"{path}/remove")
    assert "6 earnings would go to another stream." in words(asked)
    assert held(filled) == {"Network": 0, "Shop": 7}
    assert send(inside, f"{path}/remove").headers["location"] == "/streams/shop"
    assert held(filled) == {"Network": 6, "Shop": 1}
    assert [action for action, _ in trail(filled)[-3:]] == ["rule changed", "rule changed", "rule removed"]


@pytest.mark.parametrize(
    "query",
    [
        "stream=shop",
        "stream=shop&kind=gift",
        "stream=gone&program=x",
        "stream=shop&program=*",
    ],
)
def test_a_rule_that_cannot_be_meant_keeps_what_was_typed(inside: httpx.Client, filled: World, query: str) -> None:
    page = inside.get(f"/streams/shop/rules/new?{query}")
    assert page.status_code == 400
    assert 'class="problem"' in page.text
    assert "Save this rule" not in page.text
    fields = dict(parse_qsl(query))
    assert send(inside, "/streams/shop/rules/new", **fields).status_code == 400
    assert inside.get("/streams/shop/rules/new?stream=shop&program=x&position=first").status_code == 400


def test_a_program_is_marked_as_recurring_and_back(inside: httpx.Client, filled: World) -> None:
    fields = {"connection": "network", "program": "p1"}
    send(inside, "/streams/network/programs", "/streams/network", recurring="yes", **fields)
    assert "Recurring 50%" in words(inside.get("/streams/network"))
    send(inside, "/streams/network/programs", "/streams/network", recurring="no", **fields)
    assert "Recurring 0%" in words(inside.get("/streams/network"))
    assert trail(filled)[-2:] == [("program marked", "network/p1"), ("program unmarked", "network/p1")]
    unknown = send(inside, "/streams/network/programs", "/streams/network", connection="network", program="p9")
    assert unknown.status_code == 400


def test_viewers_look_and_change_nothing(inside: httpx.Client, viewer: httpx.Client, filled: World) -> None:
    rule, _ = rules.save(filled.deps, Rule(stream="shop", program="p1"))
    for path in ("/streams", "/streams/shop", f"/streams/shop/rules/{rule}"):
        page = viewer.get(path)
        assert page.status_code == 200
        assert page.text.count("<form") == page.text.count('action="/logout"') + page.text.count('method="get"')
    before = filled.dump("stream", "stream_rule", "earning", "program")
    changes = [
        ("/streams", {"name": "Mine"}),
        ("/streams/shop", {"name": "Mine"}),
        ("/streams/shop/move", {"way": "up"}),
        ("/streams/shop/remove", {"into": "network"}),
        ("/streams/shop/programs", {"connection": "network", "program": "p1", "recurring": "yes"}),
        ("/streams/shop/rules/new", {"stream": "shop", "program": "p0"}),
        (f"/streams/shop/rules/{rule}", {"stream": "shop", "program": "p0"}),
        (f"/streams/shop/rules/{rule}/remove", {}),
    ]
    for path, fields in changes:
        assert send(viewer, path, "/streams", **fields).status_code == 403
    assert filled.dump("stream", "stream_rule", "earning", "program") == before


def test_streams_are_for_users_and_unknown_ones_are_not_there(
    inside: httpx.Client, browser: Browser, filled: World
) -> None:
    for path in ("/streams/gone", "/streams/shop/rules/9", "/streams/gone/rules/new", "/streams/shop/rules/9/remove"):
        assert inside.get(path).status_code == 404
        assert browser().get(path).headers["location"] == "/login"
    rule, _ = rules.save(filled.deps, Rule(stream="shop", program="p1"))
    assert inside.get(f"/streams/network/rules/{rule}").status_code == 404
    assert send(inside, "/streams/gone", "/streams", name="Mine").status_code == 404


def test_the_best_month_of_a_stream_fills_the_height_of_its_picture(inside: httpx.Client, filled: World) -> None:
    heights = [int(one) for one in re.findall(r'<rect[^>]* height="(\d+)"', inside.get("/streams").text)]
    assert max(heights) == 24
