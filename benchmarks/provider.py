"""Pretend Awin, Stripe and WooCommerce on loopback, in a process of their own: `python -m benchmarks.provider ROWS`.

45 % of the rows are Awin's, 40 % Stripe's and 15 % WooCommerce's, over 36 months. A page has 500 rows, the shop's 100:
Awin gives one window as one answer, so there are as many accounts as it takes. Pages are made before the clock runs and
lie in a file. Besides what the connectors read there are `/-/plan`, `/-/phase/<name>`, `/-/truth` and `/-/asked`.
"""

import argparse
import json
import socketserver
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from itertools import pairwise
from typing import IO, Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

from dateutil.relativedelta import relativedelta

from benchmarks.shapes import NOW, SHAPES, Place, Row, awin_id, stripe_id
from tracker.connect.plans import iso_naive, unix, windows

SHARES = {"awin": 45, "stripe": 40, "woocommerce": 15}  # percent
PAGE = {"awin": 500, "stripe": 500, "woocommerce": 100}  # rows
DAYS = {"awin": 31, "stripe": 31, "woocommerce": 30}  # the connectors' windows
#: What differs from the first answers: nothing, the newest hundredth, a hundredth over all pages.
PHASES = ("first", "newest", "spread")


class Account:
    """One connection's rows in order of time, in full pages: page p of P lies in window p * W // P."""

    def __init__(self, provider: str, number: int, first: int, rows: int, months: int, charges: int = 0) -> None:
        self.provider, self.name, self.first, self.rows = provider, f"{provider}-{number}", first, rows
        self.size = PAGE[provider]
        self.pages = -(-rows // self.size)
        start = NOW.replace(day=1, hour=0) - relativedelta(months=months)
        found = list(windows(start, NOW, DAYS[provider], aligned=True))
        self.bounds = [int(low.timestamp()) for low, _ in found] + [int(NOW.timestamp())]
        form = unix if provider == "stripe" else iso_naive
        shift = relativedelta(seconds=1 if provider == "woocommerce" else 0)  # its filter leaves out the start itself
        self.asked_as = {form(low - shift): window for window, (low, _) in enumerate(found)}
        self.shape = partial(SHAPES[provider], **({"charges": charges} if charges else {}))
        #: The first page of each window, and one more number at the end.
        self.begins = [-(-window * self.pages // len(found)) for window in range(len(found) + 1)]

    def count(self, page: int) -> int:
        return min(self.size, self.rows - page * self.size)

    def window_of(self, page: int) -> int:
        return page * (len(self.bounds) - 1) // self.pages

    def row(self, index: int, phase: str) -> Row:
        """The row at a place in the account's order of time."""
        page = index // self.size
        window = self.window_of(page)
        before, after = self.begins[window] * self.size, self.begins[window + 1] * self.size
        low, high = self.bounds[window], self.bounds[window + 1]
        at = low + (high - low) * (index - before) // (after - before)
        return self.shape(Place(self.first + index, self.rows, at, self.changed(index, phase)))

    def changed(self, index: int, phase: str) -> bool:
        if phase == "spread":
            return index % 100 == 37
        return phase == "newest" and index >= self.rows - self.rows // 100


class Plan(NamedTuple):
    accounts: list[Account]

    @classmethod
    def of(cls, rows: int, months: int, connections: int | None) -> "Plan":
        """Shares of the rows; as few accounts as the windows of Awin allow, or just so many with equal rows."""
        counts = {provider: rows * share // 100 for provider, share in SHARES.items()}
        accounts: list[Account] = []
        for provider, count in counts.items():
            number = 1
            if connections is not None:
                number = max(connections * SHARES[provider] // 100, 1)
                count = rows // connections * number
            elif provider == "awin":
                number = -(-count // (PAGE[provider] * (months * 30 // 31)))
            edges = [count * one // number for one in range(number + 1)]
            charges = counts["stripe"] if provider == "woocommerce" and connections is None else 0
            accounts += [
                Account(provider, one, low, high - low, months, charges)
                for one, (low, high) in enumerate(pairwise(edges), start=1)
            ]
        return cls(accounts)


class Listing:
    """All pages of a plan in one phase, made at once and kept in a file."""

    def __init__(self, plan: Plan, file: IO[bytes]) -> None:
        self.accounts = {account.name: account for account in plan.accounts}
        self.file = file
        self.asked: Counter[str] = Counter()
        self.turn("first")

    def turn(self, phase: str) -> None:
        """Make the answers of a phase, and what the ledger must hold after it."""
        self.phase = phase
        self.places: dict[tuple[str, int], tuple[int, int]] = {}
        self.truth: dict[str, Any] = {}
        self.file.seek(0)
        self.file.truncate()
        for name, account in self.accounts.items():
            sums: Counter[str] = Counter()
            for page in range(account.pages):
                start = page * account.size
                rows = [account.row(index, phase) for index in range(start, start + account.count(page))]
                for row in rows:
                    sums[row.currency] += row.micros
                body = self.body(account, page, rows)
                self.places[name, page] = (self.file.tell(), len(body))
                self.file.write(body)
            changed = sum(account.changed(index, phase) for index in range(account.rows))
            self.truth[name] = {"rows": account.rows, "changed": changed, "net": dict(sums)}
        self.file.flush()

    @staticmethod
    def body(account: Account, page: int, rows: list[Row]) -> bytes:
        if account.provider != "stripe":
            return f"[{','.join(row.text for row in rows)}]".encode()
        more = page > account.begins[account.window_of(page)]  # the newest first, so the window ends with its oldest
        listed = ",".join(row.text for row in reversed(rows))
        return f'{{"object":"list","url":"/v1/x","has_more":{str(more).lower()},"data":[{listed}]}}'.encode()

    def stored(self, account: Account, page: int) -> bytes:
        place, length = self.places[account.name, page]
        with open(self.file.name, "rb", buffering=0) as file:
            file.seek(place)
            return file.read(length)

    def answer(self, address: str) -> tuple[bytes, str]:
        """The body and an extra header. Raises KeyError for what no connector here asks."""
        parts = urlsplit(address)
        name, _, path = parts.path[1:].partition("/")
        query = dict(parse_qsl(parts.query))
        if name == "-":
            return self.about(path), ""
        self.asked[name] += 1
        account = self.accounts[name]
        return getattr(self, account.provider)(account, path, query)  # type: ignore[no-any-return]

    def awin(self, account: Account, path: str, query: dict[str, str]) -> tuple[bytes, str]:
        if "ids" in query:
            first = awin_id(account.first)
            rows = [account.row(int(one) - first, self.phase) for one in query["ids"].split(",")]
            return self.body(account, 0, rows), ""
        if not path.endswith("/transactions/") or query["dateType"] != "transaction":
            return b"[]", ""  # no programmes, and nothing validated or amended since
        window = account.asked_as[query["startDate"]]
        low, high = account.begins[window : window + 2]
        return (self.stored(account, low) if high > low else b"[]"), ""

    def stripe(self, account: Account, path: str, query: dict[str, str]) -> tuple[bytes, str]:
        if path == "v1/balance_transactions":
            low, high = account.begins[account.asked_as[query["created[gte]"]] :][:2]
            if after := query.get("starting_after"):
                high = (int(after[len(stripe_id(0)) - 15 :]) - account.first) // account.size
            if high > low:
                return self.stored(account, high - 1), ""
        return b'{"object":"list","has_more":false,"data":[]}', ""

    def woocommerce(self, account: Account, path: str, query: dict[str, str]) -> tuple[bytes, str]:
        if not path.endswith("/orders"):
            return b"[]", "X-WP-Total: 0\r\n"
        low, high = account.begins[account.asked_as[query["modified_after"]] :][:2]
        total = f"X-WP-Total: {sum(map(account.count, range(low, high)))}\r\n"
        if high == low:
            return b"[]", total
        if query["per_page"] == "1":
            return self.body(account, low, [account.row(low * account.size, self.phase)]), total
        return self.stored(account, low + int(query["page"]) - 1), total

    # --- about the benchmark itself ---

    def about(self, path: str) -> bytes:
        found: Any
        if path == "plan":
            found = {
                name: {"provider": one.provider, "pages": self.addresses(one)} for name, one in self.accounts.items()
            }
        elif path == "asked":
            found, self.asked = dict(self.asked), Counter()
        else:
            if path != "truth" and (phase := path.removeprefix("phase/")) != self.phase:
                self.turn(phase)
            found = self.truth
        return json.dumps(found).encode()

    def addresses(self, account: Account) -> list[str]:
        """Every page once, as a reader would ask for it who knew all pages beforehand."""
        windows_of = {window: text for text, window in account.asked_as.items()}
        found = []
        for page in range(account.pages):
            window = account.window_of(page)
            asked = quote(windows_of[window])
            if account.provider == "awin":
                found.append(f"/publishers/1/transactions/?dateType=transaction&startDate={asked}")
            elif account.provider == "stripe":
                behind = stripe_id(account.first + (page + 1) * account.size)
                after = f"&starting_after={behind}" if page + 1 < account.begins[window + 1] else ""
                found.append(f"/v1/balance_transactions?created[gte]={asked}{after}")
            else:
                number = page - account.begins[window] + 1
                found.append(f"/wp-json/wc/v3/orders?modified_after={asked}&per_page=100&page={number}")
        return found


class Handler(socketserver.StreamRequestHandler):
    """Just enough HTTP/1.1 with keep-alive: the benchmarks are to measure the reader."""

    disable_nagle_algorithm = True
    listing: Listing
    latency_s = 0.0

    def handle(self) -> None:
        while line := self.rfile.readline(65_536):
            while self.rfile.readline(65_536) not in (b"\r\n", b""):
                pass
            arrived = time.monotonic()
            try:
                (body, header), status = self.listing.answer(line.split(b" ")[1].decode()), "200 OK"
            except (KeyError, ValueError, IndexError) as error:
                body, header, status = json.dumps(repr(error)).encode(), "", "404 Not Found"
            if self.latency_s and not line.startswith(b"GET /-/"):
                time.sleep(max(0.0, arrived + self.latency_s - time.monotonic()))
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{header}\r\n"
            self.connection.sendall(head.encode() + body)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Print the address when all is ready; end when standard input does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int)
    parser.add_argument("--months", type=int, default=36)
    parser.add_argument("--connections", type=int, help="so many accounts with equal rows")
    parser.add_argument("--latency-ms", type=int, default=0, help="every answer takes that long")
    options = parser.parse_args()
    plan = Plan.of(options.rows, options.months, options.connections)
    with tempfile.NamedTemporaryFile(prefix="tracker-bench-") as file:
        Handler.listing, Handler.latency_s = Listing(plan, file), options.latency_ms / 1000
        with Server(("127.0.0.1", 0), Handler) as server:
            import threading

            threading.Thread(target=server.serve_forever, daemon=True).start()
            print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
            sys.stdin.read()
            server.shutdown()


if __name__ == "__main__":
    main()
