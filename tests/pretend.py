"""Pretend providers: a loopback server whose answers a test sets, and the connectors that read it."""

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from tracker.connect.auth import bearer
from tracker.connect.connector import Connector, Credential, Option, Resource, make
from tracker.connect.fields import currency, interval, money, one_of, optional, timestamp
from tracker.connect.fields import text as words
from tracker.connect.paging import cursor, page_number
from tracker.connect.plans import (
    ChangeFeed,
    Full,
    NewestFirst,
    PerPayout,
    Snapshot,
    WebhookOnly,
    created_since,
    iso_z,
    replace_window,
    updated_since,
)
from tracker.connect.webhook import body_hmac
from tracker.errors import AuthRejected, ProviderError, Unavailable
from tracker.records import (
    Earning,
    Invoice,
    Kind,
    Payout,
    PayoutItem,
    PayoutStatus,
    Recurrence,
    Role,
    Settlement,
    Status,
    Subscription,
    SubscriptionStatus,
)

KEY = "pretend-key/with+signs=4711"
START = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
SIZE = 3  # rows a page

# --- the server ---


class Asked(msgspec.Struct, frozen=True):
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


class Reply(msgspec.Struct):
    """`body` may be an iterator of pieces, which are sent without a Content-Length until the connection closes."""

    body: bytes | Iterable[bytes] = b""
    status: int = 200
    headers: dict[str, str] = {}

    @classmethod
    def json(cls, document: object, status: int = 200, **headers: str) -> "Reply":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(msgspec.json.encode(document), status, named)


Row = dict[str, Any]


class Provider:
    """Lists of rows by path, in the order of their making, and answers in their place by path."""

    def __init__(self) -> None:
        self.shelves: dict[str, dict[str, Row]] = {}
        self.answers: dict[str, Callable[[Asked], Reply]] = {}
        self.asked: list[Asked] = []
        self.key = KEY

    def put(self, path: str, row: Row) -> Row:
        self.shelves.setdefault(path, {})[str(row["id"])] = row
        return row

    def always(self, path: str, reply: Reply) -> None:
        self.answers[path] = lambda asked: reply

    def page(self, asked: Asked) -> bytes:
        body = self.listing(asked).body
        assert isinstance(body, bytes)
        return body

    def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        if asked.headers.get("authorization") != f"Bearer {self.key}":
            return Reply.json({"message": f"bad key {asked.headers.get('authorization')}"}, 401)
        if own := self.answers.get(asked.path):
            return own(asked)
        return self.listing(asked)

    def listing(self, asked: Asked) -> Reply:
        """Rows updated in [since, until] or inside a payout, a page by cursor or number; newest first if asked."""
        shelf, _, one = asked.path[1:].partition("/")
        if one:
            row = self.shelves.get(f"/{shelf}", {}).get(one)
            return Reply.json(row) if row else Reply.json({"message": "no such thing"}, 404)
        found = list(self.shelves.get(asked.path, {}).values())
        if payout := asked.query.get("payout"):
            found = [row for row in found if payout in row["payouts"]]
        if since := asked.query.get("since"):
            found = [row for row in found if row["updated"] >= since]
        if until := asked.query.get("until"):
            found = [row for row in found if row["updated"] <= until]
        if asked.query.get("order") == "newest":
            found.sort(key=lambda row: row["at"], reverse=True)
        size = int(asked.query.get("limit", 1_000_000))
        if number := asked.query.get("page"):
            start = (int(number) - 1) * size
        else:
            ids = [str(row["id"]) for row in found]
            start = ids.index(asked.query["cursor"]) + 1 if asked.query.get("cursor") in ids else 0
        page = found[start : start + size]
        more = start + size < len(found)
        pages = -(-len(found) // size) or 1
        return Reply.json({"rows": page, "next": str(page[-1]["id"]) if more else None, "pages": pages})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Server"

    def do_GET(self) -> None:
        self._reply(b"")

    def do_POST(self) -> None:
        self._reply(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _reply(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.answer(Asked(parts.path, dict(parse_qsl(parts.query)), headers, body))
        self.send_response_only(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        if isinstance(reply.body, bytes):
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
            return
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for piece in reply.body:
                self.wfile.write(piece)
        except OSError:
            return  # the reader had enough

    def log_message(self, format: str, *args: object) -> None:
        return


class Server(ThreadingHTTPServer):
    """Answers on a free loopback port."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # a reader that goes away, or refuses our certificate, is what some tests are about

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()


# --- the connectors ---

_REFS = (
    "program", "product", "payer", "order_ref", "gateway_ref", "payment_ref", "origin_ref", "subscription_ref",
    "payout_ref",
)  # fmt: skip
_refs: dict[str, Any] = {name: optional(words(name)) for name in _REFS}
_earning = make(
    Earning,
    external_id=words("id"),
    kind=one_of("kind", {str(kind): kind for kind in Kind}),
    status=one_of("status", {str(status): status for status in Status}),
    settlement=one_of("settlement", {str(word): word for word in Settlement}),
    net=money("net"),
    currency=currency("currency"),
    earned_at=timestamp("at"),
    validated_at=optional(timestamp("validated")),
    provider_status=words("status"),
    recurrence=optional(one_of("recurrence", {str(word): word for word in Recurrence})),
    **_refs,
)
_subscription = make(
    Subscription,
    external_id=words("id"),
    status=one_of("status", {str(status): status for status in SubscriptionStatus}),
    currency=currency("currency"),
    amount=money("amount"),
    interval=interval("interval"),
    started_at=timestamp("at"),
    payer=optional(words("payer")),
)
_by_cursor = cursor("cursor", next="next", size=("limit", SIZE))


def _resource(name: str, plan: Any, made: Any = _earning, **more: Any) -> Resource:
    usual = {"path": f"/{name}", "rows": "rows", "row_id": words("id"), "makes": (made,), "paging": _by_cursor}
    return Resource(name=name, plan=plan, **{**usual, **more})


def _refused(error: object) -> ProviderError:
    said = str(error)
    return AuthRejected(f"refused: {said}") if "key" in said else Unavailable(f"The provider says: {said}")


def _connector(title: str, kind: Any, *resources: Resource, **more: Any) -> Connector:
    usual: dict[str, Any] = {
        "docs": "https://pretend.example/docs", "credentials": {"key": Credential("Key")}, "auth": bearer("key"),
        "rates": (), "failure": "error", "refused": _refused, "resources": resources,
        "options": {"base_url": Option("Address")},
    }  # fmt: skip
    return Connector(title=title, kind=kind, **{**usual, **more})


#: Changes rows in place, pages inside 31-day windows.
network = _connector(
    "Pretend Network",
    "affiliate",
    _resource(
        "commissions",
        updated_since("since", until="until", days=31),
        right="commissions:read",
        drop=("email",),
        pseudonymise=("customer",),
    ),
)
#: Appends corrections, lists payouts and what is inside them, subscriptions and invoices.
bank = _connector(
    "Pretend Bank",
    "payments",
    _resource("movements", created_since("since", look_back=timedelta(days=2)), params={"order": "newest"}),
    _resource("contracts", Full(), _subscription),
    _resource(
        "invoices",
        Full(),
        make(
            Invoice,
            external_id=words("id"),
            payment_ref=words("payment_ref"),
            recurrence=one_of("recurrence", {str(word): word for word in Recurrence}),
            subscription_ref=optional(words("subscription_ref")),
        ),
    ),
    _resource(
        "payouts",
        Full(),
        make(
            Payout,
            external_id=words("id"),
            status=one_of("status", {str(status): status for status in PayoutStatus}),
            amount=money("net"),
            currency=currency("currency"),
            created_at=timestamp("at"),
            arrives_at=optional(timestamp("arrives")),
            itemised=True,
        ),
    ),
    _resource(
        "items",
        PerPayout(param="payout"),
        make(
            PayoutItem,
            external_id=lambda row: f"{row['$payout']}:{row['id']}",
            payout_ref=words("$payout"),
            earning_ref=words("id"),
            amount=money("net"),
            currency=currency("currency"),
        ),
        path="/movements",
        row_id=words("id"),
    ),
    corrections="appended",
    payouts="read",
)
#: Orders that a bank may report as well.
shop = _connector("Pretend Shop", "shop", _resource("orders", updated_since("since")))
#: A full list of members every time.
club = _connector(
    "Pretend Club",
    "membership",
    _resource("members", Snapshot(), _subscription, paging=page_number(size=("limit", SIZE), total="pages")),
    role=Role.ENRICHMENT,
)
#: Restates the last days.
ads = _connector(
    "Pretend Ads",
    "advertising",
    _resource("days", replace_window("since", "until", days=10, look_back=timedelta(days=9), form=iso_z)),
    recurrence=Recurrence.VARIABLE,
)
#: The newest row first, without a date filter.
feed = _connector(
    "Pretend Feed",
    "marketplace",
    _resource("sales", NewestFirst(time=timestamp("at"), rescan=timedelta(days=2)), params={"order": "newest"}),
)
#: A feed of changes that remembers thirty days.
changes = _connector(
    "Pretend Changes",
    "billing",
    _resource(
        "charges",
        ChangeFeed(
            path="/events", params={}, since="since", form=iso_z, memory=timedelta(days=30), id="about",
            at=timestamp("updated"), one="/charges/{id}",
        ),
    ),
)  # fmt: skip
_conversions = _resource("conversions", WebhookOnly(), rows="", drop=("email",), pseudonymise=("payer",))
#: Tells of conversions by postback only, and signs nothing.
caller = _connector("Pretend Caller", "affiliate", _conversions)
#: The same, signed.
signer = _connector("Pretend Signer", "affiliate", _conversions, webhook=body_hmac("X-Signature"))
PROVIDERS = ("network", "bank", "shop", "club", "ads", "feed", "changes", "caller", "signer")


def earning(row_id: str, at: datetime = START - timedelta(days=3), **more: Any) -> Row:
    """A row of any of the lists of money; its time of change is its time unless given."""
    usual = {
        "id": row_id, "kind": "commission", "status": "pending", "settlement": "unpaid", "net": "10.00",
        "currency": "EUR", "at": iso_z(at), "updated": iso_z(at),
    }  # fmt: skip
    return usual | more


def contract(row_id: str, at: datetime = START - timedelta(days=40), **more: Any) -> Row:
    usual = {
        "id": row_id, "status": "active", "currency": "EUR", "amount": "9.00", "interval": "month", "at": iso_z(at),
        "updated": iso_z(at),
    }  # fmt: skip
    return usual | more


def drip(piece: bytes, pause_s: float, done: threading.Event) -> Iterator[bytes]:
    """A piece every `pause_s`, for three seconds at most."""
    for _ in range(int(3 / pause_s)):
        if done.wait(pause_s):
            return
        yield piece
