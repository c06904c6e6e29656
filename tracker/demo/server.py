"""The sandbox: the five providers of the demo, and networks for tests, in their documented shapes on one loopback port.

    with Sandbox(now=datetime(2026, 6, 15, 12, tzinfo=UTC), seed=7) as sandbox:
        token = sandbox.credentials("awin")["token"]
        requests.get(sandbox.url("awin") + "/accounts", headers={"Authorization": f"Bearer {token}"})

`url(provider)` stands for the provider's host (`https://api.awin.com`, `https://commissions.api.cj.com`,
`https://api.stripe.com`) or the root of the user's own site (WooCommerce, Ghost): the paths after it are the real ones.
`sandbox.now` is the clock; move it forward and statuses, payments and new rows follow. Equal seed, start and now give
equal bytes.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any

from tracker.demo.awin import PUBLISHER_ID, Awin
from tracker.demo.cj import Cj
from tracker.demo.exchange import Answer, Logged, Provider, Request, sanitised
from tracker.demo.facts import History
from tracker.demo.faults import Fault, Faults, Trouble
from tracker.demo.ghost import Ghost
from tracker.demo.history import tell
from tracker.demo.listener import Listener
from tracker.demo.networks import PLAYED
from tracker.demo.stripe import Stripe
from tracker.demo.woocommerce import WooCommerce
from tracker.errors import UsageError

_LOG_LIMIT = 100_000
_BODY_IN_LOG = 4_000
_history = lru_cache(maxsize=4)(tell)  # a history is only ever read, so sandboxes of one moment share it


class Sandbox:
    """Listens from `__enter__` (or `start()`) to `__exit__` (or `close()`).

    `now` is aware; `start` is the first day of the history, by default the first of the month two years before `now`:
    pass the same one again to meet the same rows in a later month. `awin_calls_per_minute` is 20 at Awin itself and
    `stripe_calls_per_second` 100 at Stripe; the defaults keep a demo short. `latency_s` is waited before every answer.
    `subscriptions_plugin` says whether the shop has WooCommerce Subscriptions. `unix_time` is what Ghost compares the
    times in a token with, besides `now`.
    """

    def __init__(
        self,
        *,
        now: datetime,
        seed: int = 7,
        faults: Iterable[Fault] = (),
        start: datetime | None = None,
        port: int = 0,
        rate_limits: bool = True,
        awin_calls_per_minute: int = 600,
        stripe_calls_per_second: int = 1000,
        latency_s: float = 0.0,
        subscriptions_plugin: bool = True,
        cj_page_limit: int = 250,
        unix_time: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if now.tzinfo is None:
            raise UsageError(
                "The sandbox's now has no time zone.", hint="Pass an aware datetime, such as datetime.now(UTC)."
            )
        self._seed = seed
        self._now = now.astimezone(UTC)
        self._history: History = _history(seed, self._now, start.astimezone(UTC) if start else None)
        self._port = port
        self._latency_s = latency_s
        self._faults = Faults([])
        for fault in faults:
            self.add(fault)
        self._log: deque[Logged] = deque(maxlen=_LOG_LIMIT)
        self._limits = (
            {"awin": (awin_calls_per_minute, 60.0), "stripe": (stripe_calls_per_second, 1.0)}
            | {name: network.rate for name, network in PLAYED.items()}
            if rate_limits
            else {}
        )
        self._calls: defaultdict[tuple[str, str], deque[float]] = defaultdict(deque)
        self._lock = Lock()
        self._monotonic = monotonic
        self._closing = Event()
        self._listener: Listener | None = None
        self._providers: dict[str, Provider] = self._build(subscriptions_plugin, cj_page_limit, unix_time)

    def _build(
        self, subscriptions_plugin: bool, cj_page_limit: int, unix_time: Callable[[], float]
    ) -> dict[str, Provider]:
        history, cj, woo = self._history, self.credentials("cj"), self.credentials("woocommerce")
        return {
            "awin": Awin(history, self.credentials("awin")["token"]),
            "cj": Cj(history, cj["personal_access_token"], cj["publisher_cid"], cj_page_limit),
            "stripe": Stripe(history, self.credentials("stripe")["api_key"]),
            "woocommerce": WooCommerce(
                history, woo["consumer_key"], woo["consumer_secret"], subscriptions_plugin=subscriptions_plugin
            ),
            "ghost": Ghost(history, self.credentials("ghost")["admin_api_key"], unix_time),
            **{name: network(history, self.credentials(name)) for name, network in PLAYED.items()},
        }

    @property
    def now(self) -> datetime:
        return self._now

    @now.setter
    def now(self, moment: datetime) -> None:
        if not self._history.start <= moment <= self._history.horizon:
            raise UsageError(
                f"The sandbox has no history at {moment:%Y-%m-%d}.",
                hint=f"Stay between {self._history.start:%Y-%m-%d} and {self._history.horizon:%Y-%m-%d}.",
            )
        self._now = moment.astimezone(UTC)

    @property
    def providers(self) -> tuple[str, ...]:
        """Those of the demo's story; `url` and `credentials` also know the networks beside it."""
        return tuple(name for name in self._providers if name not in PLAYED)

    @property
    def history(self) -> History:
        """The facts behind the answers, for tests that compare."""
        return self._history

    @property
    def requests(self) -> list[Logged]:
        """The newest hundred thousand requests, oldest first."""
        return list(self._log)

    def forget_requests(self) -> None:
        self._log.clear()

    def url(self, provider: str) -> str:
        """The base address of a provider. Raises UsageError before the sandbox listens or for an unknown provider."""
        if provider not in self._providers:
            raise UsageError(
                f"The sandbox has no provider {provider!r}.", hint=f"It plays {', '.join(self._providers)}."
            )
        if self._listener is None:
            raise UsageError("The sandbox does not listen yet.", hint="Use it as a context manager or call start().")
        return f"http://127.0.0.1:{self._listener.port}/{provider}"

    def credentials(self, provider: str, *, lacking: Iterable[str] = ()) -> dict[str, str]:
        """Valid credentials, by the field names of the provider's connector.

        `lacking` names rights a restricted Stripe key shall not have: charge, dispute, payout, invoice, subscription,
        customer, plan, product, event, balance_transaction_source.
        """
        digest = blake2b(f"{self._seed}/{provider}".encode(), digest_size=48).hexdigest()
        if provider == "awin":
            return {"token": f"sandbox-{digest[:32]}", "publisher_id": str(PUBLISHER_ID)}
        if provider == "cj":
            return {"personal_access_token": f"sandbox{digest[:40]}", "publisher_cid": "5551200"}
        if provider == "stripe":
            rights = "-".join(lacking)
            return {"api_key": "rk_live_" + digest[:40] + (f"_without_{rights}" if rights else "")}
        if provider == "woocommerce":
            return {"consumer_key": f"ck_{digest[:40]}", "consumer_secret": f"cs_{digest[40:80]}"}
        if provider == "ghost":
            return {"admin_api_key": f"{digest[:24]}:{digest[24:88]}"}
        if provider in PLAYED:
            return PLAYED[provider].keys(digest)
        raise UsageError(f"The sandbox has no provider {provider!r}.")

    def fail(self, provider: str, trouble: Trouble | str, **details: Any) -> Fault:
        """From now on `trouble` strikes. The details are the fields of `Fault`, such as path, times and skip."""
        return self.add(Fault(provider, Trouble(trouble), **details))

    def add(self, fault: Fault) -> Fault:
        if fault.provider == "awin" and fault.trouble in (Trouble.ENDLESS, Trouble.REPEATED_CURSOR):
            raise UsageError("Awin has no pages.", hint="Use another provider for faults of paging.")
        self._faults.add(fault)
        return fault

    def heal(self) -> None:
        """Forget all faults."""
        self._faults.clear()

    def start(self) -> "Sandbox":
        self._listener = Listener(self._port, self.handle, self._closing)
        Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, name="sandbox", daemon=True).start()
        return self

    def close(self) -> None:
        self._closing.set()
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None

    def __enter__(self) -> "Sandbox":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def handle(self, full: Request) -> tuple[Answer, Fault | None]:
        """One request whose path still starts with the provider's name, and what the listener must do to its answer."""
        name, _, rest = full.path.lstrip("/").partition("/")
        provider = self._providers.get(name)
        if provider is None:
            return Answer(404, b'{"error": "no such provider"}'), None
        request = Request(full.method, f"/{rest}", full.query, full.headers, full.body)
        if self._latency_s:
            self._closing.wait(self._latency_s)
        fault = self._faults.next_for(name, request.path)
        answer = self._answer(name, provider, request, fault)
        body = request.body[:_BODY_IN_LOG].decode("utf-8", "replace")
        self._log.append(Logged(name, request.method, request.path, sanitised(request.query), answer.status, body))
        return answer, fault

    def _answer(self, name: str, provider: Provider, request: Request, fault: Fault | None) -> Answer:
        if self._over_limit(name, provider.caller(request)) or (fault and fault.trouble == Trouble.RATE_LIMITED):
            return provider.throttled()
        if fault is None:
            return provider.answer(request, self._now)
        if fault.trouble == Trouble.ERROR_BODY:
            return provider.error_in_200()
        if fault.trouble in (Trouble.REPEATED_CURSOR, Trouble.ENDLESS):
            return provider.looping(request, self._now, fault.struck if fault.trouble == Trouble.ENDLESS else 0)
        return provider.answer(request, self._now)

    def _over_limit(self, name: str, caller: str) -> bool:
        if name not in self._limits:
            return False
        most, per_s = self._limits[name]
        with self._lock:
            calls, at = self._calls[name, caller], self._monotonic()
            while calls and calls[0] <= at - per_s:
                calls.popleft()
            if len(calls) >= most:
                return True
            calls.append(at)
        return False
