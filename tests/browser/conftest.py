"""One Chromium for the tests of a process, and a ledger with two years of invented income behind real pages."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, StorageState, expect, sync_playwright

from tests.browser.driven import DESKTOP, FLAGS, ROOT, Scheme, Tour, chromium, serving
from tracker.cli.ground import PARTIAL

expect.set_options(timeout=15_000)
Open = Callable[..., Tour]
#: Two of its rows cannot be understood.
STATEMENT = ROOT / "tests" / "statements" / "files" / "gumroad-payouts.csv"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of a module, not longer: while it is open, this thread can run no other event loop."""
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield one
        one.close()


@pytest.fixture
def tour(browser: Browser) -> Iterator[Open]:
    """Opens windows; each has its own cookies, or begins with those of `state`."""
    opened = []

    def open_one(
        home: str,
        size: tuple[int, int] = DESKTOP,
        scheme: Scheme = "light",
        *,
        scripts: bool = True,
        language: str = "en-GB",
        state: StorageState | None = None,
    ) -> Tour:
        width, height = size
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            locale=language,
            timezone_id="Europe/Berlin",
            reduced_motion="reduce",
            java_script_enabled=scripts,
            storage_state=state,
        )
        context.set_default_timeout(15_000)
        opened.append(context)
        return Tour(context, home)

    yield open_one
    for context in opened:
        context.close()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The sandbox's providers and a statement, read once; an owner has a password."""
    folder: Path = tmp_path_factory.mktemp("demo")
    with serving(folder, TRACKER_CURRENCY="EUR", TRACKER_TIME_ZONE="Europe/Berlin") as one:
        one.demo()
        one.command("import", str(STATEMENT), "--yes", code=PARTIAL)
        yield one.start()


@pytest.fixture(scope="module")
def owner(browser: Browser, home: str) -> StorageState:
    """The cookies of somebody who logged in."""
    context = browser.new_context()
    Tour(context, home).log_in()
    state = context.storage_state()
    context.close()
    return state
