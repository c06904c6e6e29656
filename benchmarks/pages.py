"""How long the pages take over many earnings: `python -m benchmarks.pages [--earnings 1000000]`.

The application of `tracker serve` answers over loopback HTTP in one process, as it does for a browser, and another
process asks it over eight connections at once. The measure is a bare FastAPI page with one query on the same ledger,
served and asked in the same way. A page is `hot` while nothing is written and `cold` right after something was.
"""

import argparse
import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlencode, urlsplit

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from jinja2 import Template
from sqlalchemy import select, update
from starlette.types import ASGIApp

from benchmarks.asking import CONNECTIONS, Asker
from benchmarks.income import fill, multiply
from benchmarks.measured import PATIENCE_S, ROOT
from tests.rows import Ledger
from tracker import accounts
from tracker.connect.pace import Pace
from tracker.connections import Deps
from tracker.revalue import revalue
from tracker.store import rollup
from tracker.store.database import reading
from tracker.store.writes import connection_t
from tracker.vault import Vault
from tracker.web.app import make_app
from tracker.web.listen import Pages, address_of, listen

NOW = datetime(2026, 6, 15, 12, 34, tzinfo=UTC)
REQUESTS, COLD, WRITE_S = 2_000, 30, 0.5
P50_MS, P99_MS, BARE_TIMES, WEIGHT_KB = 25.0, 100.0, 3.0, 250.0
PASSWORD = "a long password"  # noqa: S105 - of a ledger that is made up
#: What is asked beside the overview itself: another way to look at it.
ALSO = {"by the day paid": "/?basis=paid", "12 months in dollars": "/?period=12-months&currency=USD"}


def loaded(address: str, path: str, cookie: str = "", requests: int = REQUESTS) -> list[float]:
    """Milliseconds of every answer, in order, asked by a process of its own."""
    command = [sys.executable, "-m", "benchmarks.asking", address, path, cookie, str(requests)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=True)
    return sorted(second * 1000 for second in json.loads(done.stdout))


def p50(found: list[float]) -> float:
    return statistics.median(found)


def p99(found: list[float]) -> float:
    return sorted(found)[int(len(found) * 0.99)]


# --- serving ---


@contextmanager
def served(deps: Deps, app: ASGIApp) -> Iterator[str]:
    bound = listen(deps)
    pages = Pages(app, bound)
    try:
        yield address_of(deps.settings, bound)
    finally:
        pages.stop()


def bare(deps: Deps) -> FastAPI:
    """As little as a page can be that asks the ledger something."""
    app, page = FastAPI(), Template("<!doctype html><title>Bare</title><p>{{ title }}</p>", autoescape=True)

    @app.get("/")
    def show() -> HTMLResponse:
        with reading(deps.engine) as conn:
            title = conn.execute(select(connection_t.c.title).where(connection_t.c.id == 1)).scalar_one()
        return HTMLResponse(page.render(title=title))

    return app


def logged_in(address: str) -> str:
    """The cookies of the owner's browser."""
    browser = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE_S)
    kept: dict[str, str] = {}

    def send(method: str, path: str, body: str | None = None) -> str:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in kept.items())}
        headers |= {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        browser.request(method, path, body, headers)
        answer = browser.getresponse()
        text = answer.read().decode()
        for line in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = line.partition(";")[0].partition("=")
            kept[name] = value
        return text

    token = re.search(r'name="form_token" value="(\w+)"', send("GET", "/login"))
    assert token
    send("POST", "/login", urlencode({"form_token": token[1], "name": accounts.OWNER, "password": PASSWORD}))
    send("GET", "/")
    browser.close()
    return "; ".join(f"{name}={value}" for name, value in kept.items() if value.strip('"'))


# --- what is measured ---


def told(what: str, value: str, target: str = "") -> None:
    print(f"  {what:52}{value:>12}  {f'(target {target})' if target else ''}".rstrip(), flush=True)


def weigh(address: str, cookie: str, path: str) -> float:
    """Kilobytes of a page with all that a browser loads for it, as they go over the line."""
    with Asker(address, cookie) as one:
        _, page = one.get(path)
        parts = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.decode()))
        assert parts
        return (len(page) + sum(len(one.get(part)[1]) for part in parts)) / 1000


def cold(deps: Deps, address: str, cookie: str, path: str, times: int = COLD) -> list[float]:
    """Milliseconds of answers that nothing was kept of, because something is written before each."""
    took = []
    with Asker(address, cookie) as one:
        for number in range(times + 1):
            with deps.engine.begin() as conn:
                conn.execute(update(connection_t).where(connection_t.c.id == 1).values(failures=number % 2))
            took.append(one.get(path)[0] * 1000)
    return took[1:]


@contextmanager
def written_to(deps: Deps) -> Iterator[None]:
    """Something is written again and again, as by a sync that reads page after page."""
    done = Event()

    def write() -> None:
        number = 0
        while not done.wait(WRITE_S):
            number += 1
            with deps.engine.begin() as conn:
                conn.execute(update(connection_t).where(connection_t.c.id == 1).values(failures=number % 2))

    thread = Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def measure(deps: Deps) -> dict[str, float]:
    """Print the figures of the overview, and answer the main ones."""
    with served(deps, bare(deps)) as address:
        plain = loaded(address, "/")
    with served(deps, make_app(deps)) as address:
        cookie = logged_in(address)
        hot = loaded(address, "/", cookie)
        with written_to(deps):
            busy = loaded(address, "/", cookie)
        weight = weigh(address, cookie, "/")
        fresh = cold(deps, address, cookie, "/")
        others = {what: cold(deps, address, cookie, path, 5) for what, path in ALSO.items()}
    ratio = p50(hot) / p50(plain)
    told(f"bare page with one query, {CONNECTIONS} connections, p50", f"{p50(plain):.1f} ms")
    told("                                         p99", f"{p99(plain):.1f} ms")
    told(f"overview, hot, {CONNECTIONS} connections, p50", f"{p50(hot):.1f} ms", f"{P50_MS:g} ms")
    told("                                         p99", f"{p99(hot):.1f} ms", f"{P99_MS:g} ms")
    told("                                         p50 of the bare page's", f"{ratio:.1f} ×", f"{BARE_TIMES:g} ×")
    told("overview, written to every half second, p50", f"{p50(busy):.1f} ms")
    told("                                         p99", f"{p99(busy):.1f} ms")
    told("overview, cold, one connection, p50", f"{p50(fresh):.1f} ms")
    told("                                worst", f"{max(fresh):.1f} ms")
    for what, found in others.items():
        told(f"overview, cold, {what}, p50", f"{p50(found):.1f} ms")
    told("weight of the overview, compressed, scripts included", f"{weight:.0f} kB", f"{WEIGHT_KB:g} kB")
    return {"p50": p50(hot), "p99": p99(hot), "ratio": ratio, "weight": weight}


def made(ledger: Ledger, count: int) -> Deps:
    """The ledger filled, with its owner."""
    settings = ledger.settings.model_copy(update={"web_port": 0})
    revalue(ledger.engine, settings)  # as opening a ledger does: it notes the time zone of the days
    fill(ledger, count // 10)
    with ledger.engine.begin() as conn:
        multiply(conn)
        rollup.rebuild(conn)
    accounts.add_owner(ledger.engine, accounts.OWNER, PASSWORD, NOW)
    clock: Callable[[], datetime] = lambda: NOW  # noqa: E731
    return Deps(engine=ledger.engine, settings=settings, vault=Vault.open(settings), pace=Pace(), now=clock)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--earnings", type=int, default=1_000_000)
    parser.add_argument("--database", help="the address of an empty database; by default a temporary SQLite file")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="tracker-bench-") as folder,
        Ledger(options.database or f"sqlite:///{folder}/tracker.db", Path(folder), time_zone="Europe/Berlin") as ledger,
    ):
        deps = made(ledger, options.earnings)
        print(f"{options.earnings:,} earnings")
        measure(deps)


if __name__ == "__main__":
    main()
