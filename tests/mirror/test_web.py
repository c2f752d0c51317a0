from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from bios_sweep.errors import InputError
from bios_sweep.mirror.mlflow.credentials import TOKEN
from bios_sweep.mirror.mlflow.rest import MlflowServer
from bios_sweep.mirror.mlflow.web import _same_server, check_server

SECRET = "a-token-of-ours"


@contextmanager
def server(answers: dict[str, str]) -> Iterator[tuple[int, list[str]]]:
    """Its port, and the credentials it was shown. answers: path -> where it redirects to; else it says OK."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization", ""))
            target = answers.get(self.path.partition("?")[0])
            self.send_response(302 if target else 200)
            if target:
                self.send_header("Location", target)
            self.end_headers()
            self.wfile.write(b"OK")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    listening = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield listening.server_port, seen
    finally:
        listening.shutdown()
        listening.server_close()


@pytest.fixture(autouse=True)
def signed_in(monkeypatch):
    monkeypatch.setenv(TOKEN, SECRET)


@pytest.mark.parametrize(
    "ask", [check_server, lambda uri: MlflowServer(uri).ask("health")], ids=["check", "read"]
)
def test_credentials_do_not_follow_a_redirect_to_another_host(ask):
    paths = ("/health", "/api/2.0/mlflow/health")
    with server({}) as (stranger, shown):
        to = f"http://localhost:{stranger}/health?token=secret"
        with server(dict.fromkeys(paths, to)) as (port, _), pytest.raises(InputError) as refused:
            ask(f"http://127.0.0.1:{port}")
    assert shown == []
    assert str(refused.value) == (
        f"the tracking server at http://127.0.0.1:{port} sends us on to http://localhost:{stranger}, where "
        "our credentials do not follow; if that is the server you mean, give its address"
    )


def test_a_redirect_on_the_same_server_is_followed_with_credentials():
    with server({"/health": "/mlflow/health"}) as (port, shown):
        check_server(f"http://127.0.0.1:{port}")
    assert shown == [f"Bearer {SECRET}"] * 3


@pytest.mark.parametrize(
    "before, after, same",
    [
        ("http://a/x", "https://a/x", True),
        ("http://a:5000/x", "https://a/x", True),
        ("http://a/x", "http://A:80/y", True),
        ("https://a/x", "http://a/x", False),
        ("https://a/x", "https://b/x", False),
        ("https://a/x", "https://a.b/x", False),
        ("http://a:5000/x", "http://a:5001/x", False),
    ],
)
def test_the_same_server_is_the_same_host_with_no_less_security(before, after, same):
    assert _same_server(before, after) is same
