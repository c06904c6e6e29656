"""Serving the application from a thread of this process, until it is told to stop."""

import errno
import ipaddress
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Sequence
from threading import Thread
from typing import cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from tracker import accounts
from tracker.connections import Deps
from tracker.errors import ConfigError
from tracker.settings import Settings

#: Requests in hand at once, and seconds that they may still take when the process stops.
CONCURRENT_MAX, GRACE_S = 200, 3
#: Seconds in which the head of a request must have come whole, so that few who send nothing do not keep all others out.
HEAD_S = 20.0


def listen(deps: Deps) -> socket.socket:
    """The socket of the settings' address. Raises ConfigError when it is taken, not ours, or open to all."""
    settings = deps.settings
    address = ipaddress.ip_address(settings.web_host)
    if not address.is_loopback and not accounts.any_user(deps.engine):
        raise ConfigError(
            f"{address} can be reached from outside, and nobody has set a password yet.",
            hint="Set one first: tracker password. Or take TRACKER_WEB_HOST=127.0.0.1.",
        )
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    try:
        bound = socket.create_server((str(address), settings.web_port), family=family, backlog=128)
    except OSError as error:
        where, change = f"{_shown(settings.web_host)}:{settings.web_port}", "Set TRACKER_WEB_PORT to another port"
        if error.errno == errno.EADDRINUSE:
            what = f"port {settings.web_port} is taken: another program, or another tracker, answers at {where}."
            raise ConfigError(what, hint=f"{change}, or leave the pages out with --no-web.") from None
        what = f"the pages cannot be served at {where}: {error.strerror}."
        raise ConfigError(what, hint=f"{change}, or TRACKER_WEB_HOST to an address of this machine.") from None
    # Passed on to every connection: asyncio does so only for sockets that name their protocol, and without it an answer
    # of two parts takes 40 ms longer.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


def address_of(settings: Settings, bound: socket.socket) -> str:
    """Where a browser on this machine finds the pages."""
    host = ipaddress.ip_address(settings.web_host)
    shown = "127.0.0.1" if host.is_unspecified else str(host)
    return f"http://{_shown(shown)}:{bound.getsockname()[1]}"


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class _Timely(H11Protocol):
    """One connection, which ends when neither a request is in hand nor the head of the next one came in time."""

    _timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override] # as the protocol has it
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        cycle = cast(RequestResponseCycle | None, self.cycle)
        if cycle is not None and not cycle.response_complete:
            self._stop()
        elif self._timer is None:
            self._timer = self.loop.call_later(HEAD_S, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Pages:
    """The running server. `X-Forwarded-…` is believed of proxies on this machine and of those that are named only."""

    def __init__(self, app: ASGIApp, bound: socket.socket, proxies: Sequence[str] = ()) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                access_log=False,  # addresses carry tokens
                log_config=None,
                server_header=False,
                forwarded_allow_ips=["127.0.0.1", "::1", *proxies],
                limit_concurrency=CONCURRENT_MAX,
                timeout_graceful_shutdown=GRACE_S,
                lifespan="off",
                loop="asyncio",
                http=_Timely,
                ws="none",
            )
        )
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [bound]}, name="pages", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests; those in hand may end."""
        self._server.should_exit = True
        self._thread.join(GRACE_S + 1)
