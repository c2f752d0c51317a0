"""A workspace of any name has its tracking store inside, and runs that can be read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from bios_sweep.mirror.mlflow.schema import sqlite_address, sqlite_file
from bios_sweep.mirror.mlflow.tracker import default_tracking_uri
from bios_sweep.records.workspace import Workspace

NAMES = (
    "a b",
    "a?b",
    "a%20b #1",
    "50%",
    "x[1] {y}$&;",
    'it\'s "é" \U0001f680',
    "back\\slash",
    "a=b,c",
    "end ",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_address_of_a_store_names_its_file_to_sqlalchemy_and_to_us(name, tmp_path):
    from sqlalchemy.engine import make_url  # slow, and only the tracker has it

    workspace = Workspace(tmp_path / name)
    address = default_tracking_uri(workspace)
    assert Path(str(make_url(address).database)) == workspace.store
    assert sqlite_file(address) == workspace.store
    assert sqlite_file(str(make_url(address))) == workspace.store


def test_the_address_of_a_plain_path_is_as_it_always_was():
    assert sqlite_address(Path("/data/runs/mlflow.db")) == "sqlite:////data/runs/mlflow.db"


def test_a_store_is_made_in_a_folder_whose_name_has_a_quote(tmp_path, monkeypatch):
    """MLflow writes the current folder into a statement of its own; `it's` ended it."""
    from mlflow.tracking import MlflowClient

    from bios_sweep.mirror.mlflow.ready import ready_store

    folder = tmp_path / 'it\'s "here"'
    folder.mkdir()
    monkeypatch.chdir(folder)
    address = sqlite_address(folder / "mlflow.db")
    ready_store(address)
    client = MlflowClient(address)
    client.create_experiment("mine")
    assert {one.name for one in client.search_experiments()} == {"Default", "mine"}
