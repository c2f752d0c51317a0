"""A hub of this machine, empty caches, and the embedded model as a repository of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bios_sweep.assets import base_model_path
from tests.hub.server import Hub, served

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE")


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[Hub]:
    for name in (*OFFLINE, "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    with served(Hub()) as there:
        monkeypatch.setenv("HF_ENDPOINT", there.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "5")
        yield there


@pytest.fixture(scope="session")
def model_files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in base_model_path().iterdir() if path.is_file()}
