"""Fixtures of the room of trackers."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from bios_sweep.records.workspace import Workspace
from tests.mirror.journals import new_workspace


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty tracking store: making one takes seconds, copying it none."""
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def workspace(tmp_path: Path, empty_store: Path) -> Workspace:
    return new_workspace(tmp_path / "runs", empty_store)
