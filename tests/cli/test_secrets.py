"""Secrets planted everywhere, then looked for everywhere: workspace, store, output, logs."""

from __future__ import annotations

import base64
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bios_sweep.cli.main import main
from bios_sweep.mirror.mlflow.credentials import TOKEN
from tests.cli.leaky import SECRET_VARIABLES

USER = "some.one"
URI_PASSWORD = "uRi/p@ss w0rd"
SECRETS = {
    TOKEN: "mlflow-t0ken-0123456789",
    "HF_TOKEN": "hf_" + "AbCdEfGh" * 4,
    "AWS_SECRET_ACCESS_KEY": "wJalr/XUtn+FEMI/K7MDENG=",
}
FUNCTION = ("method=python", "method.callable=tests.cli.leaky:careless", "baseline.learning_rate=0.001")
SMALL = (
    *("sweeps=learning_rate", "sweeps.factors.learning_rate.multiply=[2]"),
    *("budget.max_steps=10", "seeds=[0,2]"),
)


class Gate(ThreadingHTTPServer):
    """Stands before a tracking server and lets nobody in without one of the headers."""

    def __init__(self, target: str, headers: Iterable[str]) -> None:
        super().__init__(("127.0.0.1", 0), GateHandler)
        self.target = target
        self.headers = set(headers)
        self.let_in: set[str] = set()
        self.refused = 0


class GateHandler(BaseHTTPRequestHandler):
    server: Gate

    def do_GET(self) -> None:
        self._pass_on()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _pass_on(self) -> None:
        header = self.headers.get("Authorization", "")
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if header not in self.server.headers:
            self.server.refused += 1
            self._answer(401, b"{}")
            return
        self.server.let_in.add(header)
        kind = {"Content-Type": self.headers.get("Content-Type", "application/json")}
        request = urllib.request.Request(
            self.server.target + self.path, content or None, kind, method=self.command
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                self._answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            self._answer(error.code, error.read())

    def _answer(self, code: int, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@contextmanager
def gate(target: str, *headers: str) -> Iterator[Gate]:
    server = Gate(target, headers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def spellings(secret: str) -> set[str]:
    return {secret, quote(secret), quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}


def leaks(secrets: Iterable[str], folders: Iterable[Path], texts: Mapping[str, str]) -> list[str]:
    """Where a secret is, in any spelling; empty when nowhere. The secret itself is not said."""
    wanted = [spelling.encode() for secret in secrets for spelling in spellings(secret)]
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    contents = {str(file): file.read_bytes() for file in files}
    contents |= {name: text.encode() for name, text in texts.items()}
    return [place for place, content in contents.items() if any(secret in content for secret in wanted)]


@pytest.fixture
def planted(monkeypatch) -> dict[str, str]:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    assert set(SECRETS) == set(SECRET_VARIABLES)
    return {**SECRETS, "uri": URI_PASSWORD, "pair": f"{USER}:{URI_PASSWORD}"}


@pytest.mark.parametrize("cluster", ["inline", pytest.param("ray", marks=pytest.mark.slow)])
def test_planted_secrets_are_found_nowhere_afterwards(
    cluster, tracking_server, planted, tmp_path, capfd, caplog, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    workspace = tmp_path / "runs"
    with gate(tracking_server.url, basic(USER, URI_PASSWORD)) as door:
        address = f"127.0.0.1:{door.server_address[1]}"
        uri = f"http://{USER}:{quote(URI_PASSWORD, safe='')}@{address}"
        place = (f"workspace={workspace}", f"tracking.uri='{uri}'")
        with caplog.at_level("DEBUG"):
            code = main(["run", *SMALL, *FUNCTION, f"cluster={cluster}", *place])
        assert code == 3, "the trials at seed 2 fail"
        assert main(["sync", *place]) == 0
        assert main(["report", "--json", *place]) == 3
        assert main(["status", "--json", *place]) in (0, 3)
        assert door.let_in == {basic(USER, URI_PASSWORD)}
        assert door.refused == 0
    output = capfd.readouterr()
    said = {"stdout": output.out, "stderr": output.err, "logs": caplog.text, "store": tracking_server.dump()}
    assert "401 for https://***@hub.example/x with *** *** ***" in said["store"], "the failure itself is told"
    assert "the environment is *** *** ***" in next(workspace.glob("trials/*/stdout.txt")).read_text()
    assert address in output.out
    assert leaks(planted.values(), [tmp_path, tracking_server.folder], said) == []


def test_the_search_for_secrets_finds_them(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file.bin").write_bytes(b"\0x" + quote("a/secret", safe="").encode())
    encoded = base64.b64encode(b"me:a/secret").decode()
    found = leaks(["a/secret", "me:a/secret"], [tmp_path], {"log": f"Basic {encoded}", "clean": "a secret"})
    assert found == [str(tmp_path / "deep" / "file.bin"), "log"]


def test_a_token_of_the_environment_lets_in_and_a_wrong_one_is_refused_before_the_start(
    tracking_server, planted, tmp_path, capfd, monkeypatch
):
    run = ["run", *SMALL, "model=planted", "tracking=sqlite", f"workspace={tmp_path / 'runs'}"]
    with gate(tracking_server.url, f"Bearer {SECRETS[TOKEN]}") as door:
        uri = f"tracking.uri=http://127.0.0.1:{door.server_address[1]}"
        assert main([*run, uri, "--json"]) == 0
        monkeypatch.setenv(TOKEN, "a-wrong-t0ken")
        assert main([*run, uri]) == 2
    output = capfd.readouterr()
    assert f"refuses the credentials (401); set {TOKEN}" in output.err
    assert "a-wrong-t0ken" not in output.out + output.err
    assert json.loads(output.out[output.out.index("{") :])["counts"]["failed"] == 0
    assert leaks(planted.values(), [tmp_path], {"said": output.out + output.err}) == []


@pytest.mark.parametrize(
    "override",
    [
        "model.name=x-{HF_TOKEN}",
        "+model.secret={AWS_SECRET_ACCESS_KEY}",
        "tracking.uri=http://me:{HF_TOKEN}/x@127.0.0.1:9",
        "tracking.uri=postgresql://me:{HF_TOKEN}@127.0.0.1/x",
        "tracking.uri=http://me:{HF_TOKEN}@127.0.0.1:9",
        "sweeps.question=[{HF_TOKEN}",
        "sweeps={HF_TOKEN}",
    ],
)
def test_a_secret_in_a_refused_override_is_not_repeated(override, planted, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["run", *SMALL, "model=planted", "tracking=sqlite", override.format(**SECRETS), "--debug"]
    assert main(words) == 2
    said = capfd.readouterr()
    assert leaks(planted.values(), [tmp_path], {"stdout": said.out, "stderr": said.err}) == []
    assert not (tmp_path / "bios_runs" / "sweeps").exists()
