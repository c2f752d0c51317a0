"""A door in front of a real tracking server, which lets every request through until it is told otherwise."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

HOPS = {"connection", "transfer-encoding", "content-length", "date", "server"}  # each side's own
HTML = b"<!doctype html><title>Another service</title><p>Welcome."
SECONDS = 60


@dataclass
class Front:
    """What stands at `url`. status: answered to everything; 0 lets through. body: of such an answer.

    only: a piece of the path, so that other requests are let through all the same. lost: as many requests
    to make a run are done behind the door, and their answers never come.
    """

    url: str
    status: int = 0
    body: bytes = b"refused"
    only: str = ""
    lost: int = 0

    def says(self, status: int, body: bytes = b"refused", only: str = "") -> None:
        """Answer so from now on."""
        self.status, self.body, self.only = status, body, only

    def lets_through(self) -> None:
        """Be no hindrance any more."""
        self.says(0)


@contextmanager
def front_of(url: str) -> Iterator[Front]:
    """A front of the server at `url`."""
    behind = urlsplit(url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if front.status and front.only in self.path:
                self.answer(front.status, [("Content-Type", "text/html")], front.body)
                return
            server = http.client.HTTPConnection(behind.hostname or "", behind.port, timeout=SECONDS)
            try:
                server.request(self.command, self.path, sent, dict(self.headers))
                answer = server.getresponse()
                content = answer.read()
            except OSError:
                self.close_connection = True  # as a door would whose house is gone
                return
            finally:
                server.close()
            if front.lost and self.path.endswith("/runs/create"):
                front.lost -= 1
                self.close_connection = True
                return
            self.answer(answer.status, answer.getheaders(), content)

        def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in HOPS:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            with suppress(OSError):  # who asked may be dead by now
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    front = Front(f"http://127.0.0.1:{listening.server_port}")
    threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield front
    finally:
        listening.shutdown()
        listening.server_close()
