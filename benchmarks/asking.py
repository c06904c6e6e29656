"""What asks the pages for their benchmark: `python -m benchmarks.asking ADDRESS PATH COOKIE REQUESTS`.

It knows nothing of the tracker, so that its process starts at once and does nothing else.
"""

import http.client
import json
import sys
import time
from threading import Thread
from urllib.parse import urlsplit

CONNECTIONS = 8
PATIENCE_S = 600


class Asker:
    """A browser's one connection, kept open."""

    def __init__(self, address: str, cookie: str) -> None:
        self._http = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE_S)
        self._headers = {"Cookie": cookie, "Accept-Encoding": "gzip"}

    def __enter__(self) -> "Asker":
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def get(self, path: str) -> tuple[float, bytes]:
        """Seconds until the whole answer was there, and the answer."""
        begun = time.perf_counter()
        self._http.request("GET", path, headers=self._headers)
        answer = self._http.getresponse()
        body = answer.read()
        took = time.perf_counter() - begun
        assert answer.status == 200, (path, answer.status, body[:200])
        return took, body


def load(address: str, path: str, cookie: str, requests: int) -> None:
    """Ask over all connections at once and print every duration in seconds."""
    took: list[float] = []

    def ask() -> None:
        with Asker(address, cookie) as one:
            one.get(path)
            took.extend(one.get(path)[0] for _ in range(requests // CONNECTIONS))

    threads = [Thread(target=ask) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(took))


if __name__ == "__main__":
    load(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
