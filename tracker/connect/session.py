"""The HTTP session of a connection: what it retries by itself, its proxies, and what of the machine it leaves alone."""

import logging
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry


def http_session() -> requests.Session:
    """A session that retries only connecting: whether a request may be repeated is decided by the client."""
    # It prints whole addresses when it connects again, and some providers take the key nowhere but in the query.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    session = _Session()
    retry = Retry(total=None, connect=2, read=False, redirect=0, status=0, other=0, backoff_factor=0.2)
    session.mount("https://", HTTPAdapter(max_retries=retry))
    session.mount("http://", HTTPAdapter(max_retries=retry))
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
