"""The pages about earnings: every figure leads to its rows, a row to its story, and rows leave as files."""

import csv
import io
import json
import re
from datetime import timedelta
from html import unescape

import httpx
import openpyxl
import pytest

from tests.pretend import KEY, earning
from tests.web.conftest import Browser, send, words
from tests.world import World
from tracker.exports.formats import Form


@pytest.fixture
def filled(world: World) -> World:
    """Sixty commissions, one a day, every fifth approved, and an order with a name that is markup."""
    world.add("network")
    world.add("shop")
    for number in range(60):
        at = world.now - timedelta(days=number, hours=1)
        status = "pending" if number % 5 else "approved"
        row = earning(f"c{number}", at, program=f"p{number % 2}", status=status, email="kim@example.com")
        world.provider.put("/commissions", row)
    sold = {"kind": "sale", "status": "approved", "settlement": "paid", "currency": "USD"}
    world.provider.put("/orders", earning("w1", world.now, product="Course <A>", order_ref="=1+1", net="-7.5", **sold))
    for slug in ("network", "shop"):
        world.sync(slug)
    return world


def ids(page: httpx.Response) -> list[int]:
    return [int(one) for one in re.findall(r'<a href="/earnings/(\d+)">', page.text)]


def link(page: httpx.Response, rel: str) -> str:
    found = re.search(rf'<a rel="{rel}" href="([^"]+)"', page.text)
    assert found, page.text
    return unescape(found[1])


def by_name(world: World, *names: str) -> list[int]:
    every = world.earnings()
    return [every[name].id for name in names]


def trail(world: World) -> list[tuple[str, ...]]:
    return world.ask("select actor, action, subject from audit_event where action != 'logged in' order by id")


# --- the list ---


def test_the_list_shows_what_fits_and_what_it_comes_to(inside: httpx.Client, filled: World) -> None:
    page = inside.get("/earnings")
    told = words(page)
    assert page.status_code == 200
    assert "61 earnings" in told
    assert "EUR 120.00 480.00 60" in told
    assert "USD -7.50 – 1" in told
    assert 'href="/earnings?counted=no&amp;currency=EUR"' in page.text
    counted = words(inside.get("/earnings?counted=yes&connection=network"))
    assert "Currency In totals Earnings EUR 120.00 12" in counted
    assert "Not in totals" not in counted
    waiting = words(inside.get("/earnings?status=pending"))
    assert "Currency Not in totals Earnings EUR 480.00 48 Sorted by" in waiting
    assert "Course &lt;A&gt;" in page.text
    assert "style=" not in page.text
    assert len(ids(page)) == 50


def test_pages_lead_on_and_back(inside: httpx.Client, filled: World) -> None:
    first = inside.get("/earnings")
    second = inside.get(link(first, "next"))
    assert len(ids(first) + ids(second)) == len({*ids(first), *ids(second)}) == 61
    assert 'rel="next"' not in second.text
    assert ids(inside.get(link(second, "prev"))) == ids(first)
    oldest = inside.get("/earnings?sort=oldest")
    assert ids(oldest) == (ids(first) + ids(second))[:-51:-1]
    assert "sort=oldest" in link(oldest, "next")
    smallest = inside.get("/earnings?sort=smallest&counted=yes")
    assert ids(smallest)[0] == by_name(filled, "w1")[0]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("status=approved&connection=network", 12),
        ("month=2026-05", 31),
        ("from=2026-06-14&to=2026-06-15", 3),
        ("q=c17", 1),
        ("q=course", 1),
        ("kind=sale&settlement=paid&currency=USD&counted=yes&stream=shop", 1),
        ("program=p1&min=10&max=10", 30),
        ("recurrence=other&counted=yes", 13),
        ("until=2026-06-14T12:00:00%2B02:00&status=approved&connection=network", 11),
        ("status=&q=", 61),
    ],
)
def test_every_filter_is_an_address(inside: httpx.Client, filled: World, query: str, count: int) -> None:
    page = inside.get(f"/earnings?{query}")
    assert f"{count} earning{'' if count == 1 else 's'}" in words(page)


def test_a_filter_that_is_chosen_can_be_removed(inside: httpx.Client, filled: World) -> None:
    page = inside.get("/earnings?connection=network&status=approved")
    assert 'href="/earnings?status=approved"' in page.text
    assert 'href="/earnings?connection=network"' in page.text
    assert '<option value="approved" selected>' in page.text


def test_a_reference_can_also_be_searched_as_a_text(inside: httpx.Client, filled: World) -> None:
    page = inside.get("/earnings?q=c1")
    assert "Found by its reference." in words(page)
    assert ids(page) == by_name(filled, "c1")
    assert "11 earnings" in words(inside.get("/earnings?q=%2Ac1%2A"))


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("min=1%2C50&q=boots", "min: not an amount: '1,50'."),
        ("stream=nothing", "no stream is called 'nothing'."),
        ("after=nowhere", "this place is not of this search."),
        ("until=yesterday", "not a moment: 'yesterday'."),
        ("until=2026-06-14T12:00:00", "not a moment"),
        ("since=yesterday", "not what became of earnings: 'yesterday'."),
        ("sort=best", "sort: 'best' is none of"),
        ("from=2026-06-02&to=2026-06-01", "from is after to."),
    ],
)
def test_what_cannot_be_asked_for_is_said_beside_what_was_typed(
    inside: httpx.Client, filled: World, query: str, told: str
) -> None:
    page = inside.get(f"/earnings?{query}")
    assert page.status_code == 400
    assert told.lower() in words(page).lower()
    if "boots" in query:
        assert 'value="boots"' in page.text


def test_an_empty_ledger_says_how_earnings_come(inside: httpx.Client) -> None:
    assert "No earnings yet" in words(inside.get("/earnings"))
    assert "No earning fits" in words(inside.get("/earnings?status=approved"))


# --- one ---


def test_an_earning_tells_its_story(inside: httpx.Client, filled: World) -> None:
    (number,) = by_name(filled, "c5")
    page = inside.get(f"/earnings/{number}")
    told = words(page)
    assert page.status_code == 200
    for part in ("€10.00", "commission", "It counts: in June 2026", "Nothing speaks for repetition.", "no rule fits"):
        assert part in told
    assert '"id": "c5"' in unescape(page.text)
    assert "kim@example.com" not in page.text
    assert KEY not in page.text
    waiting = words(inside.get(f"/earnings/{by_name(filled, 'c1')[0]}"))
    assert "It is in no total. It waits for the provider's approval." in waiting


def test_what_is_not_there_is_a_page_that_says_so(inside: httpx.Client, filled: World) -> None:
    assert inside.get("/earnings/999999").status_code == 404
    assert inside.get("/earnings/99999999999999999999").status_code == 400
    assert inside.get("/earnings/first").status_code == 400


# --- deciding ---


def test_chosen_rows_are_decided_together_and_taken_back(inside: httpx.Client, filled: World) -> None:
    view = "/earnings?status=pending&sort=oldest"
    chosen = by_name(filled, "c1", "c2")
    choice = {"earning": [str(one) for one in chosen], "recurrence": "recurring", "stream": "shop"}
    done = send(inside, view.replace("/earnings", "/earnings/override"), view, **choice)  # type: ignore[arg-type] # a list
    assert (done.status_code, done.headers["location"]) == (303, view)
    assert "2 earnings are decided." in words(inside.get(view))
    row = filled.earnings()["c1"]
    assert (row.recurrence, row.recurrence_by, row.stream_id) == (
        "recurring",
        "override",
        filled.connection("shop").stream_id,
    )
    cleared = send(inside, "/earnings/override", "/earnings", earning=str(chosen[0]), clear="yes")
    assert cleared.headers["location"] == "/earnings"
    assert filled.earnings()["c1"].recurrence_by == "default"
    assert filled.earnings()["c2"].recurrence_by == "override"
    told = [("owner", "earnings overridden", subject) for subject in (
        f"recurring, shop: {chosen[0]}, {chosen[1]}", f"cleared: {chosen[0]}")]  # fmt: skip
    assert trail(filled) == told


def test_one_is_decided_on_its_own_page(inside: httpx.Client, filled: World) -> None:
    (number,) = by_name(filled, "c1")
    path = f"/earnings/{number}"
    assert send(inside, f"{path}/override", path, recurrence="variable").headers["location"] == path
    assert "You said so." in words(inside.get(path))
    wrong = send(inside, f"{path}/override", path)
    assert wrong.status_code == 400
    assert "say what is to change" in words(wrong).lower()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"recurrence": "recurring"}, "no earning is chosen"),
        ({"earning": "1"}, "say what is to change"),
        ({"earning": "1", "stream": "nothing"}, "no stream is called"),
        ({"earning": "1", "recurrence": "often"}, "is no recurrence"),
    ],
)
def test_a_decision_that_cannot_be_meant_changes_nothing(
    inside: httpx.Client, filled: World, fields: dict[str, str], told: str
) -> None:
    before = filled.dump("earning")
    wrong = send(inside, "/earnings/override?status=pending", "/earnings", **fields)
    assert wrong.status_code == 400
    assert told in words(wrong).lower()
    assert "48 earnings" in words(wrong)
    assert filled.dump("earning") == before
    assert trail(filled) == []


def test_a_viewer_may_look_and_take_along_but_not_decide(viewer: httpx.Client, filled: World) -> None:
    (number,) = by_name(filled, "c1")
    for path in ("/earnings", f"/earnings/{number}"):
        page = viewer.get(path)
        assert page.status_code == 200
        assert "override" not in page.text
    assert viewer.get("/earnings/export?form=csv").status_code == 200
    for path in ("/earnings/override", f"/earnings/{number}/override"):
        refused = send(viewer, path, "/earnings", earning=str(number), recurrence="recurring")
        assert refused.status_code == 403
    assert filled.earnings()["c1"].recurrence_by == "default"


def test_nobody_sees_anything_without_logging_in(browser: Browser, inside: httpx.Client, filled: World) -> None:
    one = browser()
    for path in ("/earnings", "/earnings/1", "/earnings/export?form=csv"):
        assert one.get(path).headers["location"] == "/login"


# --- taking them along ---


def test_an_export_holds_what_the_page_shows_whole(inside: httpx.Client, filled: World) -> None:
    page = inside.get("/earnings?connection=network")
    addresses = [unescape(one) for one in re.findall(r'href="(/earnings/export[^"]+)"', page.text)]
    assert len(addresses) == len(Form)
    files = {address.rpartition("form=")[2]: inside.get(address) for address in addresses}
    for form, answer in files.items():
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert re.fullmatch(
            r'attachment; filename="earnings-2026-06-15\.[a-z]+"', answer.headers["content-disposition"]
        )
        assert answer.content, form
    assert len(list(csv.reader(io.StringIO(files["csv"].text)))) == 61
    assert len(json.loads(files["json"].text)["earnings"]) == 60
    assert openpyxl.load_workbook(io.BytesIO(files["xlsx"].content))["Earnings"].max_row == 61
    for journal in ("beancount", "hledger"):
        assert files[journal].text.count("10.00 EUR") == 12 * 2


def test_an_export_runs_no_formula(inside: httpx.Client, filled: World) -> None:
    row = next(csv.DictReader(io.StringIO(inside.get("/earnings/export?form=csv&connection=shop").text)))
    assert (row["order_ref"], row["net"]) == ("'=1+1", "-7.50")


@pytest.mark.parametrize("query", ["form=pdf", "form=csv&min=x", "form=csv&stream=nothing"])
def test_an_export_that_cannot_be_made_is_a_page_that_says_so(inside: httpx.Client, query: str) -> None:
    page = inside.get(f"/earnings/export?{query}")
    assert page.status_code == 400
    assert "content-disposition" not in page.headers
