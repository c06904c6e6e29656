"""The sandbox's socket side: a threaded, keep-alive HTTP/1.1 server on the loopback address."""

import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock
from typing import Any
from urllib.parse import unquote, urlsplit

from tracker.demo.exchange import Answer, Request, parse_query
from tracker.demo.faults import PAGE_OF_HTML, Fault, Trouble, bomb, huge

_LARGEST_BODY = 1_000_000
Handle = Callable[[Request], tuple[Answer, Fault | None]]


class Listener(ThreadingHTTPServer):
    """`handle` answers; `closing` ends every wait."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, port: int, handle: Handle, closing: Event) -> None:
        self.handle_exchange = handle
        self.closing = closing
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Kept connections end as well, so that nobody is answered by a provider that is gone."""
        super().server_close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle of a page is what tests do; anything else is a fault of ours."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Listener
    timeout = 60
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # head and body leave in one packet

    def do_GET(self) -> None:
        self._exchange()

    def do_POST(self) -> None:
        self._exchange()

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the terminal: the sandbox keeps its own, sanitised log."""

    def _exchange(self) -> None:
        length = self.headers.get("Content-Length") or "0"
        if not length.isdigit() or int(length) > _LARGEST_BODY:
            self.close_connection = True
            self._send(Answer(413, b"too large", content_type="text/plain"), {})
            return
        address = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=unquote(address.path),
            query=parse_query(address.query),
            headers={name.lower(): value for name, value in self.headers.items()}
            | {"host": self.headers.get("Host", "")},
            body=self.rfile.read(int(length)),
        )
        answer, fault = self.server.handle_exchange(request)
        if fault is None:
            self._send(answer, {})
        else:
            self._trouble(answer, fault)

    def _trouble(self, answer: Answer, fault: Fault) -> None:
        wait = {"Retry-After": str(fault.retry_after_s)} if fault.retry_after_s is not None else {}
        html = "text/html; charset=utf-8"
        if fault.trouble == Trouble.SERVER_ERROR:
            self._send(Answer(500, PAGE_OF_HTML, content_type=html), wait)
        elif fault.trouble == Trouble.UNAVAILABLE:
            self._send(Answer(503, PAGE_OF_HTML, content_type=html), wait)
        elif fault.trouble == Trouble.FORBIDDEN:
            self._send(Answer(403, PAGE_OF_HTML, content_type=html), wait)
        elif fault.trouble == Trouble.HTML:
            self._send(Answer(200, PAGE_OF_HTML, content_type=html), wait)
        elif fault.trouble == Trouble.TRUNCATED:
            self._send(Answer(200, answer.body[: max(1, len(answer.body) // 2)], answer.headers), wait)
        elif fault.trouble == Trouble.BODY:
            self._send(Answer(200, fault.body, answer.headers), wait)
        elif fault.trouble == Trouble.HUGE:
            self._stream(fault.size_bytes)
        elif fault.trouble == Trouble.GZIP_BOMB:
            self._send(Answer(200, bomb(fault.size_bytes), {"Content-Encoding": "gzip"}), wait)
        elif fault.trouble == Trouble.SLOW:
            self.server.closing.wait(fault.delay_s)
            self._send(answer, wait)
        elif fault.trouble == Trouble.RESET:
            self._reset(answer)
        else:
            self._send(answer, wait)

    def _send(self, answer: Answer, more: dict[str, str]) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in (answer.headers | more).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _stream(self, size_bytes: int) -> None:
        """No Content-Length: only a reader that counts finds out in time."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        try:
            for piece in huge(size_bytes):
                if self.server.closing.is_set():
                    return
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            self.wfile.flush()
        except OSError:
            self._drop()

    def _reset(self, answer: Answer) -> None:
        self.send_response(200)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body) + 1))
        self.end_headers()
        self.wfile.write(answer.body[: len(answer.body) // 2])
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._drop()

    def _drop(self) -> None:
        """Close at once; with a zero linger time the reader sees a reset."""
        self.close_connection = True
        self.rfile.close()
        self.connection.close()
