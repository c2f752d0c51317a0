"""Nodes, workers and drivers lost in the middle of a sweep: nothing is lost, nothing double, no number moves.

The nodes are logical ones on this machine (`nodes.py`), with working directories and an environment of
their own. When something happens is counted in measurements, so that it lands inside trials however fast
the machine is; what and when is drawn from a seed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

import bios_sweep
from bios_sweep.cli.main import main
from bios_sweep.mirror.mlflow.tracker import default_tracking_uri
from bios_sweep.records.reading import read_journal
from bios_sweep.records.replay import Entry
from bios_sweep.records.workspace import Workspace
from bios_sweep.vocabulary import Failure
from tests.e2e.nodes import Nodes, bare_environment

pytestmark = pytest.mark.slow

CONFIG = Path(__file__).parent / "conf"
SWEEP = ["--config-dir", str(CONFIG), "sweeps=lost_nodes", "model=planted"]
TRIALS, MEASUREMENTS = 24, 6  # per trial, the untouched model's included
PATIENCE_SECONDS = 150


@dataclass
class Sweep:
    """A sweep on nodes, its driver, and what happens to them."""

    nodes: Nodes
    workspace: Path
    options: tuple[str, ...] = ()
    pause_seconds: float = 0.1
    tracking: str = "sqlite"
    driver: subprocess.Popen | None = None

    @property
    def log(self) -> str:
        return (self.workspace.parent / "driver.log").read_text()

    def start(self) -> None:
        """Start a driver, or one that takes over."""
        command = [sys.executable, "-m", "bios_sweep", "run", *SWEEP, "cluster=existing"]
        command += [f"cluster.address={self.nodes.address}", "cluster.preinstalled=true"]
        command += ["cluster.cpus_per_trial=1", "cluster.gpus_per_trial=0", f"tracking={self.tracking}"]
        command += [f"workspace={self.workspace}", f"model.planted.pause_seconds={self.pause_seconds}"]
        with (self.workspace.parent / "driver.log").open("a") as log:
            self.driver = subprocess.Popen(
                [*command, *self.options],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.workspace.parent,
                env=bare_environment(),
                start_new_session=True,
            )

    def kill_driver(self) -> None:
        """Without grace; the next driver takes over at once."""
        assert self.driver is not None
        self.driver.kill()
        self.driver.wait()
        self.start()

    def worker(self, choice: random.Random) -> int:
        """Process id of one of the workers that started a trial last."""
        workers = [entry.fields["worker"] for entry in self.entries() if entry.kind == "started"][-4:]
        return int(choice.choice(workers).rpartition(":")[2])

    def entries(self) -> tuple[Entry, ...]:
        journals = list(self.workspace.glob("sweeps/*/journal.jsonl"))
        return read_journal(journals[0]) if journals else ()

    def wait_for(self, measured: int, workers: int = 1) -> None:
        """Until so many measurements were made, and so many workers have begun trials."""
        assert self.driver is not None
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and self.driver.poll() is None:
            entries = self.entries()
            begun = {entry.fields["worker"] for entry in entries if entry.kind == "started"}
            if len(begun) >= workers and sum(entry.kind == "measured" for entry in entries) >= measured:
                return
            time.sleep(0.05)  # waiting for another process, not for luck
        pytest.fail(f"the driver did not come to {measured} measurements; it said: {self.log}")

    def finish(self) -> None:
        assert self.driver is not None
        assert self.driver.wait(PATIENCE_SECONDS) == 0, self.log


Happening = Callable[[Sweep, random.Random], None]


def kill_a_worker(sweep: Sweep, choice: random.Random) -> None:
    with suppress(ProcessLookupError):  # it may have died with its node
        os.kill(sweep.worker(choice), signal.SIGKILL)


def tell_a_worker_to_leave(sweep: Sweep, choice: random.Random) -> None:
    with suppress(ProcessLookupError):
        os.kill(sweep.worker(choice), signal.SIGTERM)


def draw(seed: int) -> list[tuple[int, Happening]]:
    """Two nodes are lost (the second after another has come), the driver is killed, and two things more."""
    choice = random.Random(seed)
    first, second, third = sorted(choice.sample(range(4, 100), 3))
    more = [choice.choice([kill_a_worker, tell_a_worker_to_leave]) for _ in range(2)]
    happenings: list[tuple[int, Happening]] = [
        (first, lambda sweep, _: sweep.nodes.kill(0)),
        (second, lambda sweep, _: sweep.nodes.add(2)),
        (third, lambda sweep, _: sweep.nodes.kill(1)),
        (choice.randrange(4, 100), lambda sweep, _: sweep.kill_driver()),
        *((choice.randrange(4, 120), happening) for happening in more),
    ]
    return sorted(happenings, key=lambda item: item[0])


def let_happen(sweep: Sweep, schedule: list[tuple[int, Happening]], choice: random.Random) -> None:
    sweep.start()
    for count, happening in schedule:
        sweep.wait_for(count)
        happening(sweep, choice)
    sweep.finish()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sweep in this process, where nothing happens."""
    workspace = tmp_path_factory.mktemp("undisturbed") / "runs"
    assert main(["run", *SWEEP, "cluster=inline", "tracking=none", f"workspace={workspace}"]) == 0
    return workspace


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweep]:
    """The least schedule: a node is killed and one is added. Killed drivers are in `test_kills` too."""
    folder = tmp_path_factory.mktemp("cluster")
    choice = random.Random(0)
    with Nodes(folder, cpus=[1, 1]) as nodes:
        storage = f"cluster.storage={folder / 'storage'}"
        sweep = Sweep(nodes, folder / "runs", (storage,), tracking="none")
        sweep.start()
        sweep.wait_for(choice.randrange(8, 60), workers=2)
        nodes.kill(0)
        nodes.add(1)
        sweep.finish()
        yield sweep


def results(workspace: Path) -> dict[tuple[str, int], dict]:
    """All that must not depend on what happened, by arm and seed."""
    found = {}
    for trial in bios_sweep.open(workspace).trials:
        result = Workspace(workspace).read_result(trial["trial_key"])
        assert result is not None
        values = result.to_dict()
        kept = {
            name: values[name] for name in ("status", "curve", "final", "wall_seconds", "tokens", "cause")
        }
        checkpoint = Workspace(workspace).trial_dir(trial["trial_key"]) / "checkpoint.jsonl"
        found[trial["arm"], trial["seed"]] = {**kept, "checkpoint": checkpoint.read_bytes()}
    return found


def require_one_finished_run_per_trial(sweep: Sweep) -> None:
    client = MlflowClient(default_tracking_uri(Workspace(sweep.workspace)))
    experiments = [e.experiment_id for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs(experiments, "tags.kind = 'trial'", max_results=1000)
    planned = {trial["trial_key"] for trial in bios_sweep.open(sweep.workspace).trials}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert Counter(run.data.tags["trial_key"] for run in runs) == dict.fromkeys(planned, 1)


def require_whole(sweep: Sweep, undisturbed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Same results to the bit, the counts add up, nothing trained again that had ended."""
    assert results(sweep.workspace) == results(undisturbed)
    assert len(results(undisturbed)) == TRIALS
    if sweep.tracking != "none":
        require_one_finished_run_per_trial(sweep)
    capsys.readouterr()
    assert main(["status", f"workspace={sweep.workspace}", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["planned"] == status["completed"] + status["diverged"] + status["failed"] == TRIALS
    assert status["failed"] == status["running"] == 0
    ended: set[str] = set()
    for entry in sweep.entries():
        assert entry.kind != "started" or entry.fields["key"] not in ended
        ended |= {entry.fields["key"]} if entry.kind == "ended" else set()


def test_a_lost_node_changes_nothing(survived, undisturbed, capsys):
    require_whole(survived, undisturbed, capsys)


def test_the_journal_tells_that_it_was_a_node_and_counts_the_tries(survived):
    retried = [entry.fields for entry in survived.entries() if entry.kind == "retried"]
    assert [(fields["failure"], fields["cause"]) for fields in retried] == [
        (Failure.NODE_LOST, "its node died")
    ]
    result = Workspace(survived.workspace).read_result(retried[0]["key"])
    assert result.attempts == 2


def test_what_has_ended_lies_in_the_workspace_and_no_longer_in_the_storage(survived):
    storage = survived.workspace.parent / "storage"
    assert storage.is_dir()
    assert not list(storage.rglob("files.json"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_ten_random_schedules_of_kills_change_nothing(seed, undisturbed, tmp_path, capsys):
    options = (f"cluster.storage={tmp_path / 'storage'}",) if seed % 2 else ()
    with Nodes(tmp_path, cpus=[2, 2]) as nodes:
        sweep = Sweep(nodes, tmp_path / "runs", options)
        let_happen(sweep, draw(seed), random.Random(seed))
        require_whole(sweep, undisturbed, capsys)
        kinds = {entry.fields["failure"] for entry in sweep.entries() if entry.kind == "retried"}
        assert kinds <= {Failure.NODE_LOST, Failure.WORKER_LOST, Failure.PREEMPTED}


@pytest.mark.slow
def test_all_nodes_lost_and_one_that_comes_back(undisturbed, tmp_path, capsys):
    with Nodes(tmp_path, cpus=[1, 1]) as nodes:
        sweep = Sweep(nodes, tmp_path / "runs")
        let_happen(
            sweep,
            [
                (20, lambda sweep, _: sweep.nodes.kill(0)),
                (20, lambda sweep, _: sweep.nodes.kill(1)),
                (20, lambda sweep, _: sweep.nodes.add(2)),
            ],
            random.Random(0),
        )
        require_whole(sweep, undisturbed, capsys)


@pytest.mark.slow
def test_a_node_that_stalls_for_40_seconds_loses_its_trials_and_is_not_heard_late(
    undisturbed, tmp_path, capsys
):
    """Its raylet and its workers stand still. The rest of the sweep outlasts that, by the pause."""

    def stall(sweep: Sweep, _: random.Random) -> None:
        raylet = sweep.nodes.raylet(0)
        asleep = [raylet, *(child for child in children_of(raylet))]
        for process in asleep:
            os.kill(process, signal.SIGSTOP)
        time.sleep(40)
        for process in asleep:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    with Nodes(tmp_path, cpus=[1, 1]) as nodes:
        sweep = Sweep(nodes, tmp_path / "runs", pause_seconds=0.6)
        let_happen(sweep, [(10, stall)], random.Random(0))
        require_whole(sweep, undisturbed, capsys)
    retried = [entry.fields for entry in sweep.entries() if entry.kind == "retried"]
    assert [fields["failure"] for fields in retried] == [Failure.WORKER_LOST]
    assert retried[0]["cause"].startswith("no sign of life for ")


@pytest.mark.slow
def test_a_head_that_is_killed_ends_the_driver_and_the_next_cluster_goes_on(undisturbed, tmp_path, capsys):
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with Nodes(tmp_path / "first", cpus=[2]) as nodes:
        sweep = Sweep(nodes, tmp_path / "runs")
        sweep.start()
        sweep.wait_for(20)
        nodes.kill_head()
        assert sweep.driver is not None
        assert sweep.driver.wait(PATIENCE_SECONDS) == 4
        assert "the head of the Ray cluster" in sweep.log
    with Nodes(tmp_path / "second", cpus=[2]) as nodes:
        sweep.nodes = nodes
        sweep.start()
        sweep.finish()
        require_whole(sweep, undisturbed, capsys)


def children_of(process: int) -> list[int]:
    """Process ids of the children, by Linux."""
    found = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in found]
