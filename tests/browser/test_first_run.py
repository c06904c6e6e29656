"""From the address that `tracker serve` prints to a letter: what a new user does, in a real browser."""

import re
from collections.abc import Iterator
from csv import DictReader
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.driven import PASSWORD, Serving, Tour, needs_a_browser, serving
from tracker.demo.server import Sandbox

needs_a_browser()
#: What Chromium says of a form that is shown again with what was wrong.
REFUSED = "Failed to load resource: the server responded with a status of 400 (Bad Request)"
SECOND_LAST_BAR = """canvas => {
    const bars = Chart.getChart(canvas).getDatasetMeta(0).data;
    const {x, y, base} = bars.at(-2).getProps(["x", "y", "base"], true);
    canvas.scrollIntoView({block: "center"});
    const box = canvas.getBoundingClientRect();
    return [box.left + x, box.top + (y + base) / 2];
}"""


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path) as one:
        yield one


def set_up(window: Tour, address: str) -> None:
    """The set-up page."""
    page = window.page
    page.goto(address)
    page.get_by_label("Name").fill("owner")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password, once more").fill(PASSWORD)
    page.get_by_label("Language and country").select_option("en_GB")
    page.get_by_label("Currency").select_option("EUR")
    page.get_by_label("Time zone").select_option("Europe/Berlin")
    page.get_by_role("button", name="Set up").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What next?")


def home_of(address: str) -> str:
    return address.partition("/setup")[0]


def test_a_new_user_connects_a_provider_and_follows_the_money(tracker: Serving, tour: Open) -> None:
    address = tracker.start(setup=True)
    window = tour(home_of(address))
    set_up(window, address)
    with Sandbox(now=datetime.now(UTC), latency_s=0.02) as sandbox:
        connect(window, sandbox)
        watch(window)
    month, total = drill_down(window)
    earning = override(window)
    export(window, earning)
    read_the_letter(window, month, total)
    assert window.faults == [REFUSED]
    assert window.elsewhere() == []


def connect(window: Tour, sandbox: Sandbox) -> None:
    """The guided form, first with a key that the provider refuses."""
    page, key = window.page, sandbox.credentials("stripe")["api_key"]
    page.get_by_role("link", name="Connect your first provider").click()
    page.get_by_label("Name or kind").fill("stri")
    expect(page.locator("#providers > li:visible")).to_have_count(1)
    page.get_by_role("link", name="Connect Stripe").click()
    page.get_by_label("Restricted key").fill("rk_live_wrong")
    page.get_by_label("Read the past since").fill(f"{datetime.now(UTC) - timedelta(days=200):%Y-%m-%d}")
    page.get_by_text("More: short name, schedule, options").click()
    page.get_by_label("Address of its API").fill(sandbox.url("stripe"))
    page.get_by_role("button", name="Test and connect").click()
    expect(page.get_by_role("alert")).to_contain_text("refused the credentials")
    assert "rk_live_wrong" not in page.content()
    beside = page.context.new_page()
    beside.goto(window.home + "/connections")
    expect(beside.get_by_text("Nothing is connected yet")).to_be_visible()
    beside.close()
    page.get_by_label("Restricted key").fill(key)
    page.get_by_role("button", name="Test and connect").click()
    page.wait_for_url(window.home + "/connections/stripe")
    expect(page.get_by_text("Connected. Your key opens")).to_be_visible()
    assert key not in page.content()


def watch(window: Tour) -> None:
    """The page counts while rows come, and says when all is read."""
    rows = window.page.locator("[data-look=running] [data-now=rows]")
    expect(rows).to_have_text(re.compile(r"[1-9]"), timeout=30_000)
    expect(rows).not_to_have_text(rows.inner_text())
    window.page.get_by_text("Title, schedule, options").click()
    window.page.get_by_label("Title", exact=True).fill("My Stripe")
    expect(window.page.locator("h1 .tag")).to_have_text("all well", timeout=60_000)
    expect(window.page.get_by_label("Title", exact=True)).to_have_value("My Stripe")  # what is typed stays
    expect(window.page.get_by_text("Connected. Your key opens")).to_be_visible()  # and what was said
    assert any(url.endswith("/connections/stripe/progress") for url in window.asked)


def drill_down(window: Tour) -> tuple[str, str]:
    """From a bar of the overview, and from its link in the table, to the same earnings, which add up to it."""
    page = window.page
    page.get_by_role("link", name="Overview").click()
    row = page.locator("#months tbody tr").nth(1)  # the last full month; the newest comes first
    total, address = row.locator("td").last.inner_text(), row.locator("th a").get_attribute("href")
    page.mouse.click(*page.locator("#months canvas").evaluate(SECOND_LAST_BAR))
    page.wait_for_url(f"{window.home}{address}")
    expect(page.locator("table.totals tbody td").first).to_have_text(total)
    page.go_back()
    row.locator("th a").click()
    page.wait_for_url(f"{window.home}{address}")
    return str(re.search(r"month=([\d-]+)", page.url)[1]), total  # type: ignore[index]


def override(window: Tour) -> str:
    """Decide by hand what one earning is. Answers its id at the provider."""
    page = window.page
    page.locator("table.earnings tbody th a").first.click()
    expect(page.locator("h1")).not_to_have_text("Earnings")
    page.locator("#to-recurrence").select_option("variable")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("1 earning is decided.")).to_be_visible()
    expect(page.locator("[aria-labelledby=decided]")).to_contain_text("variable – You said so.")
    return page.locator("[aria-labelledby=earning] code").first.inner_text()


def export(window: Tour, earning: str) -> None:
    """What is shown can be taken along, with what was decided."""
    page = window.page
    page.get_by_role("link", name="All earnings").click()
    count = int(page.locator("#found").inner_text().split()[0].replace(",", ""))
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV").click()
    lines = list(DictReader(started.value.path().read_text("utf-8-sig").splitlines()))
    assert len(lines) == count > 100
    assert [one["external_id"] for one in lines if one["recurrence"] == "variable"] == [earning]


def read_the_letter(window: Tour, month: str, total: str) -> None:
    page = window.page
    page.get_by_role("link", name="Letters").click()
    page.locator(f"main a[href='/letters/{month}']").click()
    expect(page.frame_locator("iframe.letter").locator("body")).to_contain_text(total)


def test_sample_data_is_marked_and_gone_with_one_click(tracker: Serving, tour: Open) -> None:
    address = tracker.start(setup=True)
    window = tour(home_of(address))
    page = window.page
    set_up(window, address)
    page.get_by_role("button", name="Look around with sample data").click()
    banner = page.get_by_text("This is sample data")
    expect(banner).to_be_visible()
    expect(page.locator(".connection")).to_have_count(5)
    expect(page.locator(".connection", has_text="Awin").locator(".tag")).to_have_text("read no more", timeout=60_000)
    page.get_by_role("link", name="Overview").click()
    expect(banner).to_be_visible()
    expect(page.locator("#months canvas")).to_be_visible()
    page.get_by_role("button", name="Remove the sample data").click()
    expect(page.get_by_text("The sample data is gone")).to_be_visible()
    expect(banner).not_to_be_visible()
    page.goto(window.home + "/earnings")
    expect(page.get_by_text("No earnings yet")).to_be_visible()
    assert window.faults == []
    assert window.elsewhere() == []
