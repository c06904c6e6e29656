"""A real browser, and the tracker as the process that a user starts."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from time import monotonic
from typing import Literal
from urllib.parse import urlsplit

import axe_playwright_python
import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Page, Request

ROOT = Path(__file__).parents[2]
PASSWORD = "a long password"
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
#: What is looked at: the best practices of WCAG 2.2, levels A and AA.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
Scheme = Literal["light", "dark"]
DESKTOP, PHONE = (1280, 900), (360, 740)


def chromium() -> str | None:
    """The installed Chromium or Chrome: comes in no wheel."""
    return next(filter(None, map(shutil.which, CHROMIUMS)), None)


def needs_a_browser() -> None:
    """Leaves a module of tests out where there is none."""
    if chromium() is None:
        told = "no Chromium or Chrome, so the pages are not tried in a browser. On Debian: sudo apt install chromium"
        pytest.skip(told, allow_module_level=True)


class Serving:
    """`tracker serve` on a port that the system chooses."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TRACKER_")},
            "TRACKER_DATA_DIR": str(folder),
            "TRACKER_WEB_PORT": "0",
            "TRACKER_ALLOW_PRIVATE_NETWORKS": "true",
            "PYTHONPATH": str(ROOT),
            **settings,
        }
        self._lines: Queue[str | None] = Queue()  # None when there is no more
        self._process: subprocess.Popen[str] | None = None

    def command(self, *words: str, stdin: str = "", code: int = 0) -> str:
        """Run `tracker …` to its end."""
        done = subprocess.run(
            self._words(*words), env=self.environ, input=stdin, text=True, capture_output=True, timeout=180
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    def demo(self) -> None:
        """Two years of invented income, and an owner. The sandbox is gone then: nothing is read again for a while."""
        self.command("demo")
        self.command("password", stdin=f"{PASSWORD}\n{PASSWORD}\n")
        with closing(sqlite3.connect(self.folder / "tracker.db")) as ledger, ledger:
            ledger.execute("UPDATE connection SET next_sync_at = datetime('now', '+50 minutes')")

    def start(self, *, setup: bool = False) -> str:
        """Answers where the pages are; with `setup` the address at which to set the first password."""
        self._process = subprocess.Popen(
            self._words("serve"), env=self.environ, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        Thread(target=self._listen, daemon=True).start()
        said, deadline = "", monotonic() + 60
        wanted = re.compile(r"http://127\.0\.0\.1:\d+/" + (r"setup\S+" if setup else ""))
        while not (found := wanted.search(said)):
            line = None
            with suppress(Empty):
                line = self._lines.get(timeout=max(0.1, deadline - monotonic()))
            assert line is not None, f"tracker serve did not start:\n{said}"
            said += line
        return found[0]

    def _words(self, *words: str) -> list[str]:
        return [sys.executable, "-c", "from tracker.cli.main import run; run()", *words]

    def _listen(self) -> None:
        if self._process and self._process.stdout:
            for line in self._process.stdout:
                self._lines.put(line)
            self._lines.put(None)

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._process.kill()
            self._process.communicate()


class Tour:
    """A browser window that remembers all it asked for and everything that went wrong in it."""

    def __init__(self, context: BrowserContext, home: str) -> None:
        self.home, self.asked, self.faults = home.rstrip("/"), list[str](), list[str]()
        self.page: Page = context.new_page()
        self.page.on("request", self._asked)
        self.page.on("console", self._said)
        self.page.on("pageerror", self._failed)

    def _asked(self, request: Request) -> None:
        self.asked.append(request.url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(message.text)

    def _failed(self, error: Error) -> None:
        self.faults.append(str(error))

    def go(self, path: str) -> None:
        answer = self.page.goto(self.home + path)
        assert answer is not None
        assert answer.status == 200, f"{path}: {answer.status}"

    def elsewhere(self) -> list[str]:
        """Requests to anything but the tracker."""
        host = urlsplit(self.home).netloc
        return [
            url for url in self.asked if urlsplit(url).scheme not in ("data", "blob") and urlsplit(url).netloc != host
        ]

    def log_in(self) -> None:
        self.page.goto(self.home + "/login")
        self.page.fill("#name", "owner")
        self.page.fill("#password", PASSWORD)
        self.page.click("main button")
        self.page.wait_for_url(self.home + "/")

    def violations(self, only: str = "") -> list[str]:
        """What axe-core finds on this page, small things apart; with `only` by one of its rules."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE)
        what = {"type": "rule", "values": [only]} if only else {"type": "tag", "values": RULES}
        found = self.page.evaluate(
            "what => axe.run(document, {runOnly: what, resultTypes: ['violations'], iframes: false})", what
        )
        return [
            f"{one['id']} ({one['impact']}): {one['nodes'][0]['target']} {one['nodes'][0]['html'][:150]}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical", "moderate")
        ]

    def become(self, size: tuple[int, int], scheme: Scheme) -> None:
        """Another screen, without loading the page again."""
        width, height = size
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.emulate_media(color_scheme=scheme)
        self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def too_wide(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Serving]:
    one = Serving(folder, **settings)
    try:
        yield one
    finally:
        one.stop()
