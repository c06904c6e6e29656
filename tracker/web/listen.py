"""Serving the application from a thread of this process, until it is told to stop."""

import errno
import ipaddress
import socket
from threading import Thread

import uvicorn
from starlette.types import ASGIApp

from tracker import accounts
from tracker.connections import Deps
from tracker.errors import ConfigError
from tracker.settings import Settings

#: Requests in hand at once, and seconds that they may still take when the process stops.
CONCURRENT_MAX, GRACE_S = 200, 3


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


class Pages:
    """The running server. `X-Forwarded-…` is believed of a proxy on this machine only."""

    def __init__(self, app: ASGIApp, bound: socket.socket) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                access_log=False,  # addresses carry tokens
                log_config=None,
                server_header=False,
                forwarded_allow_ips="127.0.0.1,::1",
                limit_concurrency=CONCURRENT_MAX,
                timeout_graceful_shutdown=GRACE_S,
                lifespan="off",
                loop="asyncio",
                http="h11",
                ws="none",
            )
        )
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [bound]}, name="pages", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests; those in hand may end."""
        self._server.should_exit = True
        self._thread.join(GRACE_S + 1)
