"""Logging in at a provider in a real browser: over to its page, and back with leave to read."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.driven import Serving, needs_a_browser, serving
from tests.browser.test_first_run import home_of, set_up
from tests.browser.test_pages import seen
from tracker.demo.server import Sandbox

needs_a_browser()
#: The browser looks for an icon of the provider's page.
NO_ICON = "Failed to load resource: the server responded with a status of 404 (Not Found)"


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path) as one:
        yield one


def test_a_user_allows_the_tracker_to_read_and_comes_back(tracker: Serving, tour: Open) -> None:
    """The session goes along on the way back from another site, and no rule of ours stands in the way there."""
    address = tracker.start(setup=True)
    window = tour(home_of(address))
    set_up(window, address)
    page = window.page
    with Sandbox(now=datetime.now(UTC)) as sandbox:
        keys = sandbox.credentials("daisycon")
        page.goto(window.home + "/connections/add/daisycon")
        expect(page.get_by_text(window.home + "/connections/add/daisycon/login")).to_be_visible()
        for label, name in (
            ("Client id", "client_id"),
            ("Client secret", "client_secret"),
            ("Publisher id", "publisher_id"),
        ):
            page.get_by_label(label).fill(keys[name])
        faults = seen(window, "the form")
        page.get_by_text("More: short name, schedule, options").click()
        page.get_by_label("Address of its API").fill(sandbox.url("daisycon"))
        page.get_by_role("button", name="Go on to the login").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Log in at Daisycon")
        page.get_by_text("It shows a code").click()
        faults += seen(window, "the login")
        assert faults == [], "\n".join(faults)
        page.get_by_role("link", name="Log in at Daisycon").click()
        expect(page.get_by_text("An app wants to read your transactions.")).to_be_visible()
        page.get_by_role("link", name="Allow").click()
        page.wait_for_url(window.home + "/connections/daisycon")
        expect(page.get_by_text("Connected. Your key opens transactions.")).to_be_visible()
        expect(page.locator("h1 .tag")).to_have_text("all well", timeout=60_000)
    assert window.faults == [NO_ICON]
