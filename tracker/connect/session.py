"""The HTTP session of a connection: where it may go, what it retries by itself, its proxies, and what it leaves alone.

An address that somebody types in must not lead to this machine or into the network around it, where other programs
trust whoever asks. So a name is looked up, the addresses behind it are checked, and one of just those is connected to:
nothing changes between look and step, and where a redirect leads is checked as well. What is behind a proxy, only the
proxy can see; what can be seen from here is refused there too.
"""

import ipaddress
import logging
import socket
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util import Retry

from tracker.errors import UsageError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Public by their numbers, but answered by the cloud around a machine: Azure's platform, and what RFC 6890 sets aside.
_CLOUD = tuple(map(ipaddress.IPv4Network, ("168.63.129.16/32", "192.0.0.0/24")))
#: All that is handed out of IPv6 (RFC 4291 2.4), but for what is there for examples (RFC 9637). Python's own lists lack
#: the site-local addresses of old, and grow with its versions.
_GIVEN, _EXAMPLES = ipaddress.IPv6Network("2000::/3"), ipaddress.IPv6Network("3fff::/20")
#: IPv6 addresses that stand for the IPv4 address in their last four bytes (RFC 6052, RFC 4291 2.5.5.1).
_CARRIERS = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/96", "::/96")))


def http_session(*, allow_private: bool = False) -> requests.Session:
    """A session that retries only connecting: whether a request may be repeated is decided by the client.

    Requests raise UsageError for an address that is not public, unless that is allowed.
    """
    # It prints whole addresses when it connects again, and some providers take the key nowhere but in the query.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    session = _Session()
    retry = Retry(total=None, connect=2, read=False, redirect=0, status=0, other=0, backoff_factor=0.2)
    adapter = HTTPAdapter if allow_private else _PublicOnly
    session.mount("https://", adapter(max_retries=retry))
    session.mount("http://", adapter(max_retries=retry))
    session.headers["User-Agent"] = "income-tracker/0.1 (self-hosted)"
    return session


def as_given(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Given as `auth`, so that a .netrc on the machine never replaces the connection's own credentials."""
    return request


class _Session(requests.Session):
    """Looks up the machine's proxies and certificates once for each host, not for each request."""

    def __init__(self) -> None:
        super().__init__()
        self._surroundings: dict[tuple[Any, ...], Any] = {}

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        parts = urlsplit(url)
        place = (parts.scheme, parts.netloc, stream)
        if place not in self._surroundings:
            self._surroundings[place] = super().merge_environment_settings(url, proxies, stream, verify, cert)
        return dict(self._surroundings[place])


# --- where it may go ---


def is_public(text: str) -> bool:
    """Whether an IP address is one of the open internet: not this machine's, a network's own, or a cloud's."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        address = _carried(address) or address
    if isinstance(address, ipaddress.IPv6Address):
        return address.is_global and address in _GIVEN and address not in _EXAMPLES
    odd = address.is_multicast or address.is_reserved or any(address in network for network in _CLOUD)
    return address.is_global and not odd


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if any(address in network for network in _CARRIERS) and int(address) > 1:  # "::" and "::1" are what they say
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a name. Raises UsageError when one of them is not public, OSError when there is none."""
    found = list(dict.fromkeys(str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    if inner := next((one for one in found if not is_public(one)), None):
        named = host if host == inner else f"{host} ({inner})"
        raise UsageError(
            f"the address {named} is on this machine or in a private network, where connections may not go.",
            hint="If it is your own site, allow it: TRACKER_ALLOW_PRIVATE_NETWORKS=true, or the same in tracker.toml.",
        )
    return found


class _Checked(HTTPConnection):
    """Connects to an address that was looked up once and found public."""

    def _new_conn(self) -> socket.socket:
        name, trouble = self.host, None
        try:
            found = addresses_of(name, self.port)
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(name, self, socket.gaierror(str(error))) from error
        for address in found:
            self.host = address
            try:
                return super()._new_conn()
            except (NewConnectionError, ConnectTimeoutError) as error:
                trouble = error
            finally:
                self.host = name  # what a certificate is checked against
        raise trouble or NewConnectionError(self, "no address")


class _CheckedTls(_Checked, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Checked


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _CheckedTls


class _PublicOnly(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        if select_proxy(request.url or "", proxies):
            parts = urlsplit(request.url or "")
            with suppress(OSError, UnicodeError):  # a machine behind a proxy may know no names itself
                addresses_of(parts.hostname or "", parts.port or 443)
        return super().get_connection_with_tls_context(request, verify, proxies, cert)
