"""Pictures of all pages over invented income: `make screenshots`. With ARGS=docs those of the docs are made anew."""

import shutil
import sys
from base64 import b64decode
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, StorageState, sync_playwright

from tests.browser.conftest import STATEMENT
from tests.browser.driven import FLAGS, PHONE, ROOT, Scheme, Tour, chromium, serving
from tracker.cli.ground import PARTIAL

ALL, DOCS = ROOT / "build" / "screenshots", ROOT / "docs" / "screenshots"
#: Where pages are: an address, or an address and a link there.
PAGES: dict[str, tuple[str, ...]] = {
    "overview": ("/",),
    "welcome": ("/welcome",),
    "streams": ("/streams",),
    "stream": ("/streams/newsletter",),
    "rule": ("/streams/shop", "main a[href*='/rules/']"),
    "earnings": ("/earnings",),
    "earning": ("/earnings?status=approved&connection=stripe", "main tbody th a"),
    "payouts": ("/payouts",),
    "payout": ("/payouts", "main a[href^='/payouts/']"),
    "subscriptions": ("/subscriptions",),
    "subscription-list": ("/subscriptions/list",),
    "connections": ("/connections",),
    "connection": ("/connections/stripe",),
    "catalogue": ("/connections/add",),
    "connect": ("/connections/add/awin",),
    "letters": ("/letters",),
    "letter": ("/letters", "main tbody tr:nth-child(2) th a"),
    "import": ("/import",),
    "settings": ("/settings",),
    **{
        f"settings-{part}": (f"/settings/{part}",)
        for part in [
            "profile",
            "figures",
            "mail",
            "letter",
            "schedule",
            "users",
            "tokens",
            "backup",
            "keys",
            "trail",
            "about",
        ]
    },
}
#: Pages that have something to show once there are rows that nobody understood.
TROUBLED: dict[str, tuple[str, ...]] = {
    "overview-troubled": ("/",),
    "quarantine": ("/quarantine",),
    "quarantined": ("/quarantine", "main a[href^='/quarantine/']"),
}
WINDOW = (1060, 900)
#: How much of a page is shown, in pixels, where it is more than the window does.
TALL = {"overview-light": 1500, "overview-dark": 1500}
FORMS: dict[str, tuple[tuple[int, int], Scheme]] = {
    "light": (WINDOW, "light"),
    "dark": (WINDOW, "dark"),
    "phone": (PHONE, "light"),
}
CHOSEN = ("overview-light", "overview-phone", "subscriptions-dark", "earning-light", "connect-light", "letter-light")
CHOSEN_MAX, CHOSEN_ALL_MAX = 90_000, 500_000  # bytes


def main(*, docs: bool) -> None:
    path = chromium()
    if path is None:
        sys.exit("No Chromium or Chrome is installed, so there are no pictures.")
    shutil.rmtree(ALL, ignore_errors=True)
    ALL.mkdir(parents=True)
    with (
        TemporaryDirectory() as data,
        serving(Path(data)) as tracker,
        sync_playwright() as playwright,
    ):
        tracker.demo()
        home = tracker.start()
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        state = _enter(browser, home)
        shoot(browser, home, state, PAGES)
        tracker.command("import", str(STATEMENT), "--yes", code=PARTIAL)
        shoot(browser, home, state, TROUBLED)
        browser.close()
    print(f"{len(list(ALL.iterdir()))} pictures in {ALL}")
    if docs:
        choose()


def _enter(browser: Browser, home: str) -> StorageState:
    """A first picture, and the cookies of the owner."""
    context = browser.new_context(viewport={"width": WINDOW[0], "height": WINDOW[1]}, locale="en-GB")
    window = Tour(context, home)
    window.go("/login")
    take(window, ALL / "login-light.webp", *WINDOW)
    window.log_in()
    state = context.storage_state()
    context.close()
    return state


def shoot(browser: Browser, home: str, state: StorageState, pages: dict[str, tuple[str, ...]]) -> None:
    """The upper part of every page."""
    for form, ((width, height), scheme) in FORMS.items():
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            locale="en-GB",
            timezone_id="Europe/Berlin",
            reduced_motion="reduce",
            storage_state=state,
        )
        window = Tour(context, home)
        for name, (address, *links) in pages.items():
            window.go(address)
            for link in links:
                window.go(window.page.locator(link).first.get_attribute("href") or "")
            window.page.wait_for_load_state("networkidle")
            picture = f"{name}-{form}"
            take(window, ALL / f"{picture}.webp", width, TALL.get(picture, height))
        context.close()


def take(window: Tour, file: Path, width: int, height: int) -> None:
    """As WebP, which Playwright itself does not offer: half as large as JPEG for what is mostly text."""
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    wanted = {"format": "webp", "quality": 80, "clip": clip, "captureBeyondViewport": True}
    session = window.page.context.new_cdp_session(window.page)
    file.write_bytes(b64decode(session.send("Page.captureScreenshot", wanted)["data"]))
    session.detach()


def choose() -> None:
    """Put some of them into the docs."""
    shutil.rmtree(DOCS, ignore_errors=True)
    DOCS.mkdir()
    for name in CHOSEN:
        shutil.copy(ALL / f"{name}.webp", DOCS)
    sizes = {file.name: file.stat().st_size for file in sorted(DOCS.iterdir())}
    print(f"In {DOCS}: {', '.join(f'{name} {size // 1000} kB' for name, size in sizes.items())}")
    if max(sizes.values()) > CHOSEN_MAX or sum(sizes.values()) > CHOSEN_ALL_MAX:
        sys.exit(f"Too large: up to {CHOSEN_MAX} bytes each and {CHOSEN_ALL_MAX} together.")


if __name__ == "__main__":
    main(docs="docs" in sys.argv[1:])
