"""A model that nothing here knows is asked of the hub: of a real server, by Hugging Face's own variables."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from bios_sweep import defaults
from bios_sweep.cli.main import main
from bios_sweep.defaults.hub import LARGEST
from bios_sweep.errors import ModelError

CONFIG = {
    "model_type": "llama", "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8,
}  # fmt: skip
ANSWERS = {
    "/org/new/resolve/main/config.json": (200, json.dumps(CONFIG)),
    "/org/moved/resolve/main/config.json": (307, "/org/new/resolve/main/config.json"),
    "/org/gated/resolve/main/config.json": (401, ""),
    "/org/broken/resolve/main/config.json": (503, ""),
    "/org/page/resolve/main/config.json": (200, "<html>"),
    "/org/huge/resolve/main/config.json": (200, " " * (LARGEST + 1)),
}


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub does, and notes what it was asked."""

    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization")))
        code, text = ANSWERS.get(self.path, (404, ""))
        self.send_response(code)
        if code == 307:
            self.send_header("Location", text)
            text = ""
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def hub(address, monkeypatch, tmp_path) -> str:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", address + "/")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    Hub.asked = []
    return address


@pytest.mark.parametrize("name", ["org/new", "org/moved"])
def test_a_model_that_is_on_the_hub_alone_is_recommended_for(hub, name):
    settings = defaults.recommend(name, tokens=10_000_000)
    assert f"{settings.learning_rate:.4g}" == "0.0004908"
    assert settings.shape.origin == f"{hub}/{name}/resolve/main/config.json"
    assert settings.shape.lora_parameters_per_rank == 704_512


def test_a_token_is_sent_over_https_alone(hub):
    defaults.recommend("org/new")
    assert Hub.asked == [("/org/new/resolve/main/config.json", None)]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("org/none", "the hub does not have it;"),
        ("org/gated", "the hub does not have it, or shows it to those who may see it alone (HF_TOKEN)"),
        ("org/broken", "the hub answered with HTTP 503"),
        ("org/huge", "the hub answered with more than a config.json"),
        ("org/page", "/org/page/resolve/main/config.json: is not JSON"),
    ],
)
def test_what_the_hub_answers_instead_is_told(hub, name, told):
    with pytest.raises(ModelError) as error:
        defaults.recommend(name)
    assert told in str(error.value)


def test_a_hub_that_is_away_or_must_not_be_asked_is_told(hub, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert main(["defaults", "show", "org/new"]) == 2
    assert "the hub cannot be reached ([Errno 111] Connection refused)" in capsys.readouterr().err
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["defaults", "show", "org/new"]) == 2
    assert "the hub was not asked (HF_HUB_OFFLINE is set)" in capsys.readouterr().err


def test_neither_a_known_model_nor_a_path_is_asked_of_the_hub(hub):
    defaults.recommend("meta-llama/Llama-3.1-8B")
    for name in ("./nowhere", "org/../secret", "a/b/c", "org/x?y=z"):
        with pytest.raises(ModelError, match="no such folder"):
            defaults.recommend(name)
    assert Hub.asked == []
