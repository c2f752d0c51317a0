"""A driver killed without grace: the same command finishes, with nothing lost and nothing double."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient

import bios_sweep
from bios_sweep.mirror.mlflow.tracker import default_tracking_uri
from bios_sweep.records.reading import read_journal
from bios_sweep.records.workspace import Workspace

SWEEP = ["sweeps=demo", "model=planted", "cluster=ray", "model.planted.pause_seconds=0.15"]
PATIENCE_SECONDS = 120


def start_driver(workspace: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "bios_sweep", "run", *SWEEP, "tracking=sqlite", f"workspace={workspace}"]
    log = (workspace.parent / "driver.log").open("a")
    return subprocess.Popen(
        command,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=workspace.parent,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # also where the suite ignores it
    )


def states_in_mlflow(workspace: Path, kind: str) -> Counter:
    client = MlflowClient(default_tracking_uri(Workspace(workspace)))
    experiments = [e.experiment_id for e in client.search_experiments() if e.name != "Default"]
    return Counter(run.info.status for run in client.search_runs(experiments, f"tags.kind = '{kind}'"))


def wait_for_ended(workspace: Path, count: int, driver: subprocess.Popen) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and driver.poll() is None:
        journals = list(workspace.glob("sweeps/*/journal.jsonl"))
        if journals and sum(entry.kind == "ended" for entry in read_journal(journals[0])) >= count:
            return
        time.sleep(0.05)  # waiting for another process, not for luck
    pytest.fail(
        f"the driver did not end {count} trials; it said: {(workspace.parent / 'driver.log').read_text()}"
    )


@pytest.fixture(scope="module")
def survived(tmp_path_factory) -> Path:
    """A workspace whose first driver was killed with kill -9 in the middle; the second finished."""
    workspace = tmp_path_factory.mktemp("kills") / "runs"
    first = start_driver(workspace)
    wait_for_ended(workspace, 5, first)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = start_driver(workspace)
    assert second.wait(PATIENCE_SECONDS) == 0, (workspace.parent / "driver.log").read_text()
    return workspace


def test_the_sweep_finishes_with_the_numbers_of_an_undisturbed_one(survived, tmp_path, capsys):
    from bios_sweep.cli.main import main

    undisturbed = ["run", "sweeps=demo", "model=planted", "model.planted.pause_seconds=0.15"]
    assert (
        main([*undisturbed, "cluster=inline", f"workspace={tmp_path}", "model.planted.pause_seconds=0"]) == 0
    )
    capsys.readouterr()
    one = {(t["arm"], t["seed"]): t["value"] for t in bios_sweep.open(survived).trials}
    other = {(t["arm"], t["seed"]): t["value"] for t in bios_sweep.open(tmp_path).trials}
    assert one == other


def test_every_planned_trial_has_exactly_one_finished_run(survived):
    client = MlflowClient(default_tracking_uri(Workspace(survived)))
    experiments = [e.experiment_id for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs(experiments, "tags.kind = 'trial'", max_results=1000)
    assert {run.info.status for run in runs} == {"FINISHED"}
    planned = {trial["trial_key"] for trial in bios_sweep.open(survived).trials}
    assert Counter(run.data.tags["trial_key"] for run in runs) == dict.fromkeys(planned, 1)


def test_finished_trials_were_not_trained_again(survived):
    entries = read_journal(next(survived.glob("sweeps/*/journal.jsonl")))
    ended: set[str] = set()
    for entry in entries:
        if entry.kind == "started":
            assert entry.fields["key"] not in ended
        if entry.kind == "ended":
            ended.add(entry.fields["key"])
    assert len(ended) >= 21


def test_status_afterwards_counts_everything_once(survived, capsys):
    from bios_sweep.cli.main import main

    assert main(["status", f"workspace={survived}", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["planned"] == status["completed"] + status["diverged"] + status["failed"]
    assert status["running"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
def test_a_signal_to_the_whole_process_group_ends_cleanly_and_the_next_run_goes_on(number, tmp_path, capsys):
    """As `timeout`, Slurm, systemd and a terminal that goes do it: Ray's own processes are in that group."""
    from bios_sweep.cli.main import main

    workspace = tmp_path / "runs"
    driver = start_driver(workspace)
    wait_for_ended(workspace, 3, driver)
    os.killpg(driver.pid, number)
    assert driver.wait(PATIENCE_SECONDS) == 128 + number, (tmp_path / "driver.log").read_text()
    journal = read_journal(next(workspace.glob("sweeps/*/journal.jsonl")))
    assert journal[-1].fields["reason"] == "stopped"
    assert "RUNNING" not in states_in_mlflow(workspace, "trial") + states_in_mlflow(workspace, "sweep")
    again = [word for word in SWEEP if not word.startswith("cluster")]
    assert main(["run", *again, "cluster=inline", "tracking=sqlite", f"workspace={workspace}"]) == 0
    assert set(states_in_mlflow(workspace, "trial")) == {"FINISHED"}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("seconds", [4, 6, 8])
def test_a_signal_while_ray_starts_ends_by_that_signal(seconds, number, tmp_path):
    """Not by an abort inside Ray. By a handler of ours (143), or by none before there is one (-15)."""
    driver = start_driver(tmp_path / "runs")
    with suppress(subprocess.TimeoutExpired):
        driver.wait(seconds)
    os.killpg(driver.pid, number)
    assert driver.wait(PATIENCE_SECONDS) in (128 + number, -number), (tmp_path / "driver.log").read_text()
