"""A first run killed while MLflow makes its store: the same command finishes, and the store is complete."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from mlflow import MlflowClient

import bios_sweep
from bios_sweep.mirror.mlflow.schema import is_current
from bios_sweep.mirror.mlflow.tracker import default_tracking_uri
from bios_sweep.records.workspace import Workspace
from tests.mirror.births import begin, commanded, end

KILLS = 40
FIRST_SECONDS = 2.5  # a new store is made within them, begun with everything imported
PATIENCE_SECONDS = 60
WAYS = (
    (signal.SIGKILL,),
    (signal.SIGHUP,),
    (signal.SIGINT, signal.SIGINT),
    (signal.SIGTERM, signal.SIGTERM),
    (signal.SIGKILL,),
)


def words(workspace: Path) -> list[str]:
    planted = ["sweeps=demo", "model=planted", "cluster=inline"]
    return ["run", *planted, "tracking=sqlite", f"workspace={workspace}"]


def making(workspace: Path) -> bool:
    return (workspace / ".mlflow.db.new").exists() or (workspace / "mlflow.db").exists()


def killed_while_making(workspace: Path, seconds: float, ways: tuple[signal.Signals, ...]) -> bool:
    """Whether the kill fell into the making of the store, `seconds` after that began."""
    process = begin(commanded, words(workspace), workspace.parent / "first.log")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not making(workspace) and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.002)  # waiting for another process, not for luck
    process.join(seconds)
    unmade = not (workspace / "mlflow.db").exists()
    for way in ways:
        if process.is_alive():
            os.kill(process.pid or 0, way)
            process.join(0.05)
    end(process)
    return unmade


def seconds_to_make(folder: Path) -> float:
    workspace = folder / "runs"
    process = begin(commanded, words(workspace), folder / "first.log")
    while not making(workspace):
        process.join(0.002)
    start = time.monotonic()
    while not (workspace / "mlflow.db").exists():
        process.join(0.002)
    made = time.monotonic() - start
    assert end(process) == 0, (folder / "first.log").read_text()
    return made


@pytest.mark.slow
def test_no_kill_in_the_first_seconds_leaves_a_broken_store(tmp_path):
    """Evenly spread over the time that the making takes, and over the ways to end a process."""
    (tmp_path / "whole").mkdir()
    span = min(seconds_to_make(tmp_path / "whole"), FIRST_SECONDS)
    hits = 0
    for number in range(KILLS):
        folder = tmp_path / str(number)
        folder.mkdir()
        workspace = folder / "runs"
        hits += killed_while_making(workspace, span * number / KILLS, WAYS[number % len(WAYS)])
        store = workspace / "mlflow.db"
        assert not store.exists() or is_current(store)
        log = folder / "second.log"
        assert end(begin(commanded, words(workspace), log)) == 0, log.read_text()
        assert "half-migrated" not in log.read_text()
        assert {path.name for path in workspace.glob("*mlflow*")} <= {"mlflow.db", ".mlflow.db.lock"}
        assert_complete(workspace)
    assert hits >= KILLS // 2, f"only {hits} kills fell into the making of the store"


def assert_complete(workspace: Path) -> None:
    client = MlflowClient(default_tracking_uri(Workspace(workspace)))
    experiments = [one.experiment_id for one in client.search_experiments() if one.name != "Default"]
    runs = client.search_runs(experiments, "tags.kind = 'trial'", max_results=1000)
    assert {run.info.status for run in runs} == {"FINISHED"}
    planned = {trial["trial_key"] for trial in bios_sweep.open(workspace).trials}
    assert Counter(run.data.tags["trial_key"] for run in runs) == dict.fromkeys(planned, 1)
