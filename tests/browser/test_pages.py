"""Every page in a real browser: usable by everybody, on every screen, and asking no other machine for anything."""

import re
from typing import Any

import pytest
from playwright.sync_api import StorageState, expect

from tests.browser.conftest import STATEMENT, Open
from tests.browser.driven import DESKTOP, PHONE, Scheme, Tour, needs_a_browser

needs_a_browser()
#: Pages, with what the links of a list lead on to: the first of them is looked at as well, of the settings all.
PAGES = {
    "/": "",
    "/welcome": "",
    "/streams": r"/streams/[a-z0-9-]+",
    "/streams/shop": r"/streams/shop/rules/\d+",
    "/earnings": r"/earnings/\d+",
    "/payouts": r"/payouts/\d+",
    "/subscriptions": "",
    "/subscriptions/customers": "",
    "/subscriptions/list": "",
    "/connections": r"/connections/(?!add)[a-z0-9-]+",
    "/connections/add": "",
    "/connections/add/awin": "",
    "/quarantine": r"/quarantine/\d+",
    "/letters": r"/letters/\d{4}-\d\d",
    "/import": "",
    "/settings": r"/settings/[a-z-]+",
}
#: The last one stays, for what is looked at next. In the dark only colours differ, and they are the same on a phone.
FORMS: list[tuple[tuple[int, int], Scheme]] = [(PHONE, "light"), (DESKTOP, "dark"), (DESKTOP, "light")]


def look(tour: Tour, path: str) -> list[str]:
    """What is wrong with a page, on any screen: all that axe-core knows in light, the contrast in dark as well."""
    tour.page.goto(tour.home + path)
    return seen(tour, path)


def seen(tour: Tour, name: str) -> list[str]:
    found = []
    for size, scheme in FORMS:
        tour.become(size, scheme)
        found += tour.violations("color-contrast" if scheme == "dark" else "")
        if (by := tour.too_wide()) > 0:
            found.append(f"{by} pixels too wide")
    if (headings := tour.page.locator("h1").count()) != 1:
        found.append(f"{headings} main headings")
    return [f"{name}: {fault}" for fault in dict.fromkeys(found)]


def deeper(tour: Tour, path: str) -> list[str]:
    """Where the links of a page lead on to."""
    addresses = tour.page.eval_on_selector_all("main a[href]", "links => links.map(one => one.getAttribute('href'))")
    found = [one for one in dict.fromkeys(addresses) if re.fullmatch(PAGES[path], one)]
    assert found, f"{path} leads nowhere"
    return found if path == "/settings" else found[:1]


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_a_serious_fault(home: str, tour: Open, owner: StorageState, path: str) -> None:
    window = tour(home, state=owner)
    faults = look(window, path)
    for one in deeper(window, path) if PAGES[path] else []:
        faults += look(window, one)
    assert not faults, "\n".join(faults)
    assert window.faults == []
    assert window.elsewhere() == []


def test_pages_before_the_login_have_no_serious_fault(home: str, tour: Open) -> None:
    window = tour(home)
    faults = look(window, "/login") + look(window, "/nothing-here")
    assert not faults, "\n".join(faults)
    assert all("404 (Not Found)" in fault for fault in window.faults)
    assert window.elsewhere() == []


def test_a_statement_that_is_looked_at_before_it_is_imported_has_no_serious_fault(
    home: str, tour: Open, owner: StorageState
) -> None:
    window = tour(home, state=owner)
    window.go("/import")
    window.page.set_input_files("input[type=file]", STATEMENT)
    window.page.click("main form button")
    window.page.wait_for_url(re.compile(r"/import/.+"))
    expect(window.page.get_by_text("This was understood")).to_be_visible()  # comes by itself once the file is read
    faults = seen(window, "/import/…")
    assert not faults, "\n".join(faults)
    assert window.faults == []


@pytest.mark.parametrize(("language", "overview"), [("de", "Übersicht"), ("nb", "Oversikt")])
def test_pages_of_every_language_fit_a_phone(
    home: str, tour: Open, owner: StorageState, language: str, overview: str
) -> None:
    window = tour(home, PHONE, language=language, state=owner)
    for path in PAGES:
        window.go(path)
        assert window.page.get_attribute("html", "lang") == language
        assert window.page.locator("header nav a").first.inner_text() == overview
        assert window.too_wide() <= 0, path
        if path == "/settings":
            for one in deeper(window, path):
                window.go(one)
                assert window.too_wide() <= 0, one
    assert window.faults == []
    assert window.elsewhere() == []


def test_pages_work_without_a_script(home: str, tour: Open) -> None:
    window = tour(home, scripts=False)
    window.log_in()
    for path in PAGES:
        window.go(path)
        assert window.page.locator("h1").count() == 1
    window.go("/earnings")
    assert window.page.locator("main table tbody tr").count() > 10


def test_what_can_be_done_with_chosen_earnings_stays_in_sight(home: str, tour: Open, owner: StorageState) -> None:
    window = tour(home, PHONE, state=owner)
    window.go("/earnings")
    apply = window.page.get_by_role("button", name="Apply")
    boxes = window.page.locator("input[name=earning]")
    expect(apply).not_to_be_in_viewport()
    boxes.nth(0).check()
    boxes.nth(2).check()
    expect(apply).to_be_in_viewport()
    expect(window.page.locator("[data-count]")).to_have_text("(2)")
    boxes.nth(9).focus()  # hidden by nothing
    assert boxes.nth(9).evaluate("box => document.elementFromPoint(...['x', 'y'].map((one, at) =>"
        " box.getBoundingClientRect()[one] + 8)) === box")  # fmt: skip


def test_a_waterfall_says_where_its_scale_begins(home: str, tour: Open, owner: StorageState) -> None:
    window = tour(home, state=owner)
    window.go("/subscriptions")
    said = window.page.locator("#movements .begins")
    expect(said).to_be_visible()
    assert re.fullmatch(r"The scale begins at €\d[\d.]*K?, not at nothing\.", said.inner_text())


# --- the keyboard ---

FOCUSED = """() => {
    const one = document.activeElement, box = one.getBoundingClientRect(), style = getComputedStyle(one);
    const shown = box.width > 0 && box.right > 0 && box.left < innerWidth && box.bottom > 0 && box.top < innerHeight;
    const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    return {what: one.id || one.textContent.trim() || one.name || one.tagName, seen: shown && outlined};
}"""


def test_the_first_key_leads_past_the_navigation(home: str, tour: Open, owner: StorageState) -> None:
    window = tour(home, state=owner)
    window.go("/streams")
    window.page.keyboard.press("Tab")
    assert window.page.evaluate(FOCUSED) == {"what": "Skip to the page", "seen": True}
    window.page.keyboard.press("Enter")
    window.page.keyboard.press("Tab")
    assert window.page.evaluate("document.querySelector('main').contains(document.activeElement)")


@pytest.mark.parametrize(
    ("path", "action"),
    [
        ("/connections/add/stripe", "Test and connect"),
        ("/connections/stripe", "Sync now"),
        ("/streams", "Add"),
        ("/import", "Read it"),
        ("/settings/profile", "Save"),
    ],
)
def test_every_key_is_seen_where_it_leads_and_one_leads_to_the_main_action(
    home: str, tour: Open, owner: StorageState, path: str, action: str
) -> None:
    window = tour(home, state=owner)
    window.go(path)
    passed: list[dict[str, Any]] = []
    while action not in [one["what"] for one in passed]:
        assert len(passed) < 100, f"{action} is not reached: {[one['what'] for one in passed]}"
        window.page.keyboard.press("Tab")
        passed.append(window.page.evaluate(FOCUSED))
    # A date has several stops, the last of which is a picture in it.
    assert {one["what"] for one in passed} == {one["what"] for one in passed if one["seen"]}


def test_arrow_keys_tell_the_points_of_a_chart_and_enter_opens_one(home: str, tour: Open, owner: StorageState) -> None:
    window = tour(home, state=owner)
    window.go("/")
    rows = window.page.locator("#months tbody tr")
    months = [text.split("\n")[0].strip() for text in rows.locator("th a").all_inner_texts()]
    window.page.locator("#months canvas").focus()
    assert window.page.evaluate(FOCUSED)["seen"]
    live = window.page.locator("#months [aria-live]")
    window.page.keyboard.press("ArrowRight")
    assert live.inner_text().startswith(f"{months[-1]}: Recurring ")  # the table begins with the newest
    window.page.keyboard.press("End")
    assert live.inner_text().startswith(f"{months[0]}: Recurring ")
    window.page.keyboard.press("ArrowLeft")
    address = rows.nth(1).locator("th a").get_attribute("href")
    window.page.keyboard.press("Enter")
    window.page.wait_for_url(f"{window.home}{address}")
