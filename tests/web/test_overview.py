"""The page `/`: figures that lead to their rows, ways to look at them, what needs a hand, and what is new."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest
from sqlalchemy import event

from tests.pretend import Reply, earning
from tests.web.conftest import Browser, send, words
from tests.world import World
from tracker import connections, overrides, streams
from tracker.revalue import _WAY, _Made, _Way, revalue, setting_t
from tracker.store import writes

PATH = "/commissions"
BERLIN = ZoneInfo("Europe/Berlin")


def put(world: World, row_id: str, at: str, net: str, **more: str) -> None:
    there = datetime.fromisoformat(at).replace(tzinfo=BERLIN).astimezone(UTC)
    world.provider.put(PATH, earning(row_id, there, net=net, **{"status": "approved", **more}))


@pytest.fixture
def world(world: World) -> World:
    revalue(world.engine, world.deps.settings)  # as every start does: the ledger notes its time zone
    return world


@pytest.fixture
def filled(world: World) -> World:
    put(world, "a", "2026-06-10 12:00", "1234.50", recurrence="recurring")
    put(world, "b", "2026-06-11 12:00", "65.50")
    put(world, "c", "2026-05-11 12:00", "1000.00")
    put(world, "d", "2026-06-12 12:00", "80.00", status="pending")
    world.add("network")
    world.sync("network")
    return world


def links(page: httpx.Response) -> set[str]:
    return {link.replace("&amp;", "&") for link in re.findall(r'href="([^"]+)"', page.text)}


def test_the_page_tells_figures_their_basis_and_how_fresh_they_are(inside: httpx.Client, filled: World) -> None:
    said = words(inside.get("/"))
    for told in (
        "June 2026 so far €1,300.00 95% of it is recurring.",
        "€80.00 more was earned and waits for the provider's approval.",
        "Same days of last month €1,000.00 +300.00 (+30.0%)",
        "Same days a year ago no data",
        "Read up to Jun 15, 2026",
        "Network 1,234.50 65.50 1,300.00 80.00 +300.00 (+30.0%)",
        "Waiting for validation €80.00 1 earning",
        "Approved €2,300.00 3 earnings",
        "Paid this month nothing",
        "By the day earned, in EUR",
        "Jun 2026 so far 1,234.50 65.50 1,300.00 May 2026 – 1,000.00 1,000.00 Apr 2026 no data",
        "How fresh 1 connection is network Jun 15, 2026",
    ):
        assert told in said, told
    assert "Needs a hand" not in said


def test_every_figure_leads_to_its_rows(inside: httpx.Client, filled: World) -> None:
    found = links(inside.get("/"))
    assert {
        "/earnings?month=2026-06&counted=yes",
        "/earnings?month=2026-05&counted=yes",
        "/streams/network",
        "/earnings?month=2026-06&counted=yes&stream=network",
        "/earnings?month=2026-06&counted=yes&stream=network&recurrence=recurring",
        "/earnings?month=2026-06&counted=yes&stream=network&recurrence=other",
        "/earnings?month=2026-06&counted=pending&stream=network",
        "/earnings?month=2026-06&counted=pending",
        "/earnings?month=2026-05&counted=yes&recurrence=other",
        "/earnings?counted=pending",
        "/earnings?status=approved&settlement=unpaid&counted=yes",
        "/connections/network",
    } <= found
    assert "/earnings?month=2026-04&counted=yes" not in found  # nothing is known of it
    several = links(inside.get("/?from=2026-04&to=2026-05&basis=approved"))
    assert "/earnings?from=2026-04-01&to=2026-05-31&counted=yes&basis=approved" in several
    assert "/earnings?month=2026-05&counted=yes&basis=approved" in several


def test_every_figure_is_the_sum_of_the_page_that_it_leads_to(inside: httpx.Client, filled: World) -> None:
    put(filled, "e", "2026-06-12 12:00", "3.25", status="declined")
    put(filled, "f", "2026-05-30 12:00", "20.00", recurrence="recurring")
    filled.sync("network")
    found = 0
    for address in ("/", "/?period=3-months", "/?basis=approved", "/streams", "/streams/network"):
        figures = re.findall(r'href="(/earnings\?[^"]+)">€?([\d,]+\.\d\d)<', inside.get(address).text)
        for link, figure in figures:
            assert f"EUR {figure} " in words(inside.get(link.replace("&amp;", "&"))), f"{address}: {link}: {figure}"
        found += len(figures)
    assert found > 25


def test_what_a_month_is_held_against_leads_to_just_those_earnings(inside: httpx.Client, filled: World) -> None:
    put(filled, "late", "2026-05-15 20:00", "7.00")  # later in the day than it is now
    filled.sync("network")
    (before,) = (link for link in links(inside.get("/")) if "until=" in link)
    assert before == "/earnings?month=2026-05&counted=yes&until=2026-05-15T10%3A00%3A00%2B00%3A00"
    page = inside.get(before)
    assert "1 earning All that fits, in each currency Currency In totals Earnings EUR 1,000.00 1" in words(page)
    assert "Earlier than May 15, 2026" in words(page)
    whole = links(inside.get("/?period=last-month"))
    assert not any("until=" in link for link in whole)


def test_figures_say_so_while_they_are_mixed(inside: httpx.Client, filled: World) -> None:
    assert "brought in line" not in inside.get("/").text
    changed = filled.deps.settings.model_copy(update={"currency": "USD"})
    with filled.engine.begin() as conn:
        way = _Way(_Made(changed.currency, changed.time_zone, None), everything=True, after=2)
        writes.upsert(conn, setting_t, [{"name": _WAY, "value": msgspec.json.encode(way).decode()}], ("name",))
    for path in ("/", "/streams", "/streams/network", "/earnings", "/payouts"):
        assert "exchange rates: 50% done. Until all are, figures are mixed." in words(inside.get(path)), path


def test_period_basis_and_currency_can_be_chosen(inside: httpx.Client, filled: World) -> None:
    page = inside.get("/?period=last-month&basis=approved&currency=USD")
    said = words(page)
    assert "May 2026 $" in said
    assert "By the day approved, in USD" in said
    assert "These are worth what they are at the reference rate of today." in said
    assert {"/?period=12-months&basis=approved&currency=USD", "/?basis=approved&currency=USD"} <= links(page)
    assert re.search(r'<option value="approved" selected>', page.text)
    assert 'name="from" type="month" value="2026-05"' in page.text
    assert "Apr 2026 to Jun 2026 so far €2,300.00" in words(inside.get("/?period=3-months"))
    assert "March 2026 €0.00" in words(inside.get("/?from=2026-03&to=2026-03&basis=&currency="))


@pytest.mark.parametrize(
    "query",
    ["period=x", "from=2026-13", "from=2026-06&to=2026-01", "from=2027-01", "basis=x", "currency=1", "from=0001-01"],
)
def test_a_way_to_look_that_cannot_be_meant_is_refused(inside: httpx.Client, filled: World, query: str) -> None:
    page = inside.get(f"/?{query}")
    assert page.status_code == 400
    assert "This cannot be done" in page.text


def test_the_table_of_the_chart_holds_the_exact_numbers(inside: httpx.Client, filled: World) -> None:
    page = inside.get("/").text
    figure = page[page.index("<figure") : page.index("</figure>")]
    assert 'data-chart="stacked" data-currency="EUR" data-newest-first' in figure
    assert re.findall(r'data-series="([^"]+)"', figure) == ["recurring", "other"]
    assert re.findall(r'data-value="([^"]+)"', figure)[:4] == ["1234.5", "65.5", "0", "1000"]
    assert re.findall(r'fill-(\w+) w-(\d+)"', figure)[:4] == [
        ("recurring", "94"), ("other", "5"), ("recurring", "0"), ("other", "76"),
    ]  # fmt: skip


def test_a_write_is_on_the_next_page(inside: httpx.Client, filled: World) -> None:
    assert "€1,300.00" in words(inside.get("/"))
    put(filled, "e", "2026-06-13 12:00", "100.00", updated="2026-06-15T10:00:05Z")
    filled.later(seconds=10)
    filled.sync("network")
    assert "€1,400.00" in words(inside.get("/"))


def test_news_stay_for_a_visit_and_are_each_users_own(
    inside: httpx.Client, viewer: httpx.Client, filled: World
) -> None:
    assert "Since you last looked" not in words(inside.get("/"))  # the first time everything would be new
    filled.later(hours=2)
    put(filled, "d", "2026-06-12 12:00", "80.00", status="approved", updated="2026-06-15T11:00:00Z")
    put(filled, "e", "2026-06-15 12:30", "7.00", updated="2026-06-15T11:00:00Z")
    put(filled, "f", "2026-06-15 12:30", "3.00", status="pending", updated="2026-06-15T11:00:00Z")
    filled.sync("network")
    page = inside.get("/")
    assert "Since you last looked, 2 hours ago New €10.00 2 earnings" in words(page)
    assert "Approved €80.00 1 earning The largest €80.00" in words(page)
    assert any(re.fullmatch(r"/earnings/\d+", link) for link in links(page))
    new, approved = (next(link for link in links(page) if f"since={what}" in link) for what in ("new", "approved"))
    rows = words(inside.get(new))
    assert "New since Jun 15, 2026 12:00 PM" in rows
    assert "2 earnings" in rows
    assert "Together, at the rates of the days: €10.00." in rows
    said = inside.get(approved)
    assert "Approved since Jun 15, 2026 12:00 PM" in words(said)
    assert "€80.00" in words(said)
    assert "€7.00" not in words(said)
    assert "/earnings" in links(said)  # without this filter
    file = inside.get(approved.replace("/earnings?", "/earnings/export?form=csv&")).text
    assert (len(file.splitlines()), "80.00" in file) == (2, True)
    filled.later(minutes=20)
    assert "New €10.00" in words(inside.get("/"))
    filled.later(minutes=20)
    assert "New €10.00" in words(inside.get("/"))
    assert "New €10.00" not in words(viewer.get("/"))
    filled.later(minutes=31)
    assert "Since you last looked" not in words(inside.get("/"))


@pytest.mark.parametrize("cookie", ["1.x.0.0", "1.0.0", "9" * 40, "1.999999999999999999.0.999999999999999999", "…", ""])
def test_a_cookie_that_somebody_made_up_does_no_harm(inside: httpx.Client, filled: World, cookie: str) -> None:
    inside.cookies.set("tracker_seen", cookie.encode("ascii", "xmlcharrefreplace").decode())
    assert inside.get("/").status_code == 200


def test_what_fails_stands_on_top_with_where_it_is_mended(inside: httpx.Client, world: World) -> None:
    world.provider.put(PATH, earning("odd", status="strange"))
    put(world, "a", "2026-06-10 12:00", "10.00")
    world.add("network")
    world.sync("network")
    world.add("bank")
    world.provider.always("/movements", Reply.json({"message": "<script>alert(1)</script>"}, 403))
    world.sync("bank")
    world.add("shop")
    connections.pause(world.deps, "shop")
    page = inside.get("/")
    said = words(page)
    assert "<script>" not in page.text
    top = said.index("Needs a hand")
    assert top < said.index("June 2026 so far")
    assert "Pretend Shop paused never read to the end You paused it." in said
    assert "1 row not understood commissions" in said
    assert "bank was never read to the end, so something may be missing." in said
    assert {"/connections/bank", "/connections/shop", "/quarantine?connection=network"} <= links(page)


def test_a_stream_of_which_nothing_waits_stands_beside_one_of_which_something_does(
    inside: httpx.Client, filled: World
) -> None:
    streams.add_stream(filled.deps, "Shop")
    overrides.override(filled.deps, [filled.earnings("network")["a"].id], stream="shop")
    said = words(inside.get("/"))
    assert "Shop 1,234.50 – 1,234.50 – " in said
    assert "Network – 65.50 65.50 80.00 -934.50 (-93.4%)" in said


def test_names_that_providers_give_are_only_text(inside: httpx.Client, world: World) -> None:
    put(world, "a", "2026-06-10 12:00", "10.00")
    world.add("network", stream='<img src=x onerror="alert(1)">')
    world.sync("network")
    page = inside.get("/")
    assert "<img" not in page.text
    assert '<img src=x onerror="alert(1)">' in words(page)


# --- a ledger without income ---


def test_an_empty_ledger_leads_to_the_first_provider_or_to_sample_data(inside: httpx.Client) -> None:
    page = inside.get("/")
    assert "Nothing here yet" in words(page)
    assert "/connections/add" in links(page)
    assert '<form method="post" action="/sample">' in page.text
    assert re.search(r'name="form_token" value="[0-9a-f]{64}"', page.text)


def test_an_empty_overview_is_worked_out_once(inside: httpx.Client, world: World) -> None:
    asked: list[str] = []
    event.listen(world.engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
    assert "Nothing here yet" in words(inside.get("/"))
    assert sum(statement.startswith("SELECT dirty_month") for statement in asked) == 1


def test_a_viewer_of_an_empty_ledger_is_not_asked_to_connect_anything(viewer: httpx.Client) -> None:
    page = viewer.get("/")
    assert "No provider is connected. An owner can do that." in words(page)
    assert "/sample" not in page.text


def test_a_connection_without_income_is_no_reason_to_connect_it_again(inside: httpx.Client, world: World) -> None:
    world.add("network")
    said = words(inside.get("/"))
    assert "network is connected, but nothing was earned" in said


def test_the_overview_is_for_users_only(browser: Browser, filled: World) -> None:
    answer = browser().get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


# --- what comes with the page ---


def test_every_width_that_a_bar_can_have_is_in_the_stylesheet(inside: httpx.Client) -> None:
    css = inside.get("/static/pages.css").text
    assert [f".w-{part} {{ width: {part}%; }}" in css for part in range(101)] == [True] * 101


def test_no_style_sheet_or_script_of_ours_names_another_machine(inside: httpx.Client, filled: World) -> None:
    page = inside.get("/").text
    parts = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page))
    assert {"/static/chart.js", "/static/vendor/chart.umd.min.js", "/static/overview.css"} <= parts
    for part in parts - {"/static/vendor/chart.umd.min.js", "/static/icon.svg"}:
        assert "://" not in inside.get(part).text


def test_the_page_with_all_it_loads_is_light(inside: httpx.Client, filled: World) -> None:
    page = inside.get("/")
    parts = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text))
    loaded = [inside.get(part) for part in parts]
    assert len(page.content) + sum(int(one.headers["content-length"]) for one in loaded) < 150_000


def test_what_a_browser_has_is_not_sent_again(inside: httpx.Client) -> None:
    first = inside.get("/static/pages.css")
    assert (first.headers["content-encoding"], first.headers["cache-control"]) == ("gzip", "no-cache")
    again = inside.get("/static/pages.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = inside.get("/static/pages.css", headers={"Accept-Encoding": "identity"})
    assert plain.text == first.text
    assert "content-encoding" not in plain.headers
    assert inside.get("/static/%2e%2e/app.py").status_code == 404
    assert inside.get("/static/nothing.css").status_code == 404
    assert inside.head("/static/pages.css").content == b""
    assert inside.get("/static/chart.js").headers["content-type"].startswith("text/javascript")


def test_a_page_with_a_form_token_is_not_compressed(inside: httpx.Client, filled: World) -> None:
    page = inside.get("/")
    assert "form_token" in page.text
    assert "content-encoding" not in page.headers
    assert send(inside, "/logout", "/").headers["location"] == "/login"
