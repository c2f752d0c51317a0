"""A sweep of a notebook over a function defined in it, on Ray: its kernel is killed, and it is run again."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from mlflow import MlflowClient
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

import bios_sweep
from bios_sweep.mirror.mlflow.tracker import default_tracking_uri
from bios_sweep.records.reading import read_journal
from bios_sweep.records.workspace import Workspace

pytestmark = pytest.mark.slow
PATIENCE_SECONDS = 240
CELLS = (
    "import math, os, random, time\nimport bios_sweep\nOPTIMUM = math.log10(4e-3)\n",
    """
def loss(learning_rate):
    return 1 + 0.2 * (math.log10(learning_rate) - OPTIMUM) ** 2

def train(settings, seed, report):
    noise = random.Random(seed).gauss(0, 0.002)
    for step in (0, 5, 10):
        time.sleep(float(os.environ["PAUSE"]))
        report(loss(settings.learning_rate) + 1 / (1 + step) + noise, step=step)
    return loss(settings.learning_rate) + noise
""",
    """
sweep = bios_sweep.run(
    train,
    baseline={"learning_rate": 1e-3, "max_steps": 10, "batch_size": 4},
    factors={"learning_rate": {"multiply": [0.25, 0.5, 2, 4, 8]}},
    metric="eval_loss",
    seeds=[0, 1, 2, 3, 4],
    overrides=["cluster=EXECUTOR", "tracking=sqlite"],
    workspace="runs",
)
""",
    "sweep",
    "print(sweep.verdicts[0], sweep.to_pandas().shape)",
)


def notebook(executor: str) -> nbformat.NotebookNode:
    texts = [cell.replace("EXECUTOR", executor) for cell in CELLS]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in texts])


def paused(seconds: str) -> dict[str, str]:
    """The environment of a kernel whose function waits so long at each step; no part of what it computes."""
    return {**os.environ, "PAUSE": seconds}


def client(folder: Path, book: nbformat.NotebookNode) -> NotebookClient:
    where = {"metadata": {"path": str(folder)}}
    return NotebookClient(book, timeout=PATIENCE_SECONDS, kernel_name="python3", resources=where)


def ended(workspace: Path) -> list[str]:
    """Keys of the trials that ended, by all drivers of the workspace."""
    journals = workspace.glob("sweeps/*/journal.jsonl")
    return [entry.fields["key"] for path in journals for entry in read_journal(path) if entry.kind == "ended"]


def kill_after(count: int, workspace: Path, manager: KernelManager) -> None:
    """SIGKILL to the kernel once so many trials have ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(ended(workspace)) < count and time.monotonic() < deadline:
        time.sleep(0.05)  # waiting for another process, not for luck
    os.kill(manager.provisioner.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def survived(tmp_path_factory) -> tuple[Path, int, nbformat.NotebookNode]:
    """The folder, how many trials had ended when the kernel was killed, and the notebook that ran again."""
    folder = tmp_path_factory.mktemp("notebook")
    first = client(folder, notebook("ray"))
    first.create_kernel_manager()
    killer = threading.Thread(target=kill_after, args=(4, folder / "runs", first.km))
    killer.start()
    with pytest.raises(DeadKernelError):
        first.execute(env=paused("0.2"))
    killer.join()
    before = len(ended(folder / "runs"))
    again = notebook("ray")
    client(folder, again).execute(env=paused("0.2"))
    return folder, before, again


def test_the_kernel_died_in_the_middle_and_the_second_went_on(survived):
    folder, before, _ = survived
    sweep = bios_sweep.open(folder / "runs")
    assert 4 <= before < len(sweep.trials)
    assert sweep.summary.stage == "done"


def test_nothing_ran_to_its_end_twice(survived):
    folder, _, _ = survived
    keys = ended(folder / "runs")
    assert sorted(keys) == sorted(trial["trial_key"] for trial in bios_sweep.open(folder / "runs").trials)
    assert len(set(keys)) == len(keys)


def test_the_verdict_is_that_of_an_undisturbed_notebook(survived, tmp_path):
    folder, _, _ = survived
    client(tmp_path, notebook("inline")).execute(env=paused("0"))
    found, other = (bios_sweep.open(place / "runs") for place in (folder, tmp_path))
    assert found.verdicts == other.verdicts
    assert str(found.verdicts[0].verdict) == "refine"
    values = [{t["trial_key"]: t["value"] for t in view.trials} for view in (found, other)]
    assert values[0] == values[1]


def test_mlflow_has_every_trial_once(survived):
    folder, _, _ = survived
    client = MlflowClient(default_tracking_uri(Workspace(folder / "runs")))
    experiments = [e.experiment_id for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs(experiments, "tags.kind = 'trial'")
    assert Counter(run.data.tags["trial_key"] for run in runs) == Counter(ended(folder / "runs"))
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_the_notebook_shows_the_sweep(survived):
    _, _, book = survived
    shown = book.cells[3].outputs[0]["data"]
    assert "learning_rate: refine" in shown["text/plain"]
    assert "<b>train-" in shown["text/html"]
