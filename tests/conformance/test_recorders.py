"""One suite for every tracker. A new one is one more line: an address in a folder, and what is read back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from bios_sweep.errors import InputError, TrackingError, WorkspaceBusyError
from bios_sweep.mirror.trackers import tracker_of
from bios_sweep.ports import Tracker
from bios_sweep.records.lock import DriverLock
from bios_sweep.records.reading import read_state
from bios_sweep.records.workspace import Workspace
from bios_sweep.vocabulary import Status
from tests.mirror.journals import KEYS, NAME, SWEEP, open_sweep, run_trial, tell_all


def mlflow_runs(folder: Path) -> dict[str, str]:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name(NAME)
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    return {run.data.tags.get("trial_key", run.data.tags["sweep_id"]): run.info.status for run in found}


def file_runs(folder: Path) -> dict[str, str]:
    lines = (folder / f"{SWEEP}.jsonl").read_text(encoding="utf-8").splitlines()
    runs = [json.loads(line) for line in lines]
    return {run["tags"].get("trial_key", run["tags"]["sweep_id"]): run["status"] for run in runs}


ADDRESSES: dict[str, tuple[str, Callable[[Path], dict[str, str]]]] = {
    "mlflow": ("sqlite:///{}/mlflow.db", mlflow_runs),
    "json lines": ("jsonl://{}", file_runs),
}


@pytest.fixture(params=ADDRESSES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "runs")


def tracker(kind: str, place: Path, workspace: Workspace) -> Tracker:
    return tracker_of(ADDRESSES[kind][0].format(place), workspace)


def seen(kind: str, place: Path) -> dict[str, str]:
    return ADDRESSES[kind][1](place)


def last_entry(workspace: Workspace) -> int:
    return read_state(workspace.journal_file(SWEEP)).seq


def test_a_sweep_is_followed_while_it_grows_and_whole_at_its_end(
    kind: str, place: Path, workspace: Workspace
) -> None:
    ours = tracker(kind, place, workspace)
    ours.check()
    recorder = ours.recorder(SWEEP, NAME)
    assert not ours.has(SWEEP, 1)
    recorder.start()
    tell_all(workspace)
    assert recorder.finish(60), recorder.problem
    assert recorder.problem == ""
    assert ours.has(SWEEP, last_entry(workspace))
    assert seen(kind, place) == dict.fromkeys([SWEEP, *KEYS], "FINISHED")
    assert str(place) in ours.link(SWEEP, f" tracking.uri={ours.uri}")


def test_bringing_a_sweep_over_again_changes_nothing(kind: str, place: Path, workspace: Workspace) -> None:
    tell_all(workspace)
    ours = tracker(kind, place, workspace)
    ours.recorder(SWEEP, NAME).sync()
    first = seen(kind, place)
    ours.recorder(SWEEP, NAME).sync()
    assert seen(kind, place) == first
    assert len(first) == 1 + len(KEYS)


def test_what_could_not_be_written_is_brought_over_later(
    kind: str, place: Path, workspace: Workspace
) -> None:
    tell_all(workspace)
    place.rmdir()
    place.write_text("a file where the folder should be")
    ours = tracker(kind, place, workspace)
    recorder = ours.recorder(SWEEP, NAME)
    recorder.start()
    assert not recorder.finish(1.0)
    assert recorder.problem
    with pytest.raises(TrackingError, match=r"nothing is lost.* run `bios-sweep sync`"):
        ours.recorder(SWEEP, NAME).sync()
    assert not ours.has(SWEEP, last_entry(workspace))
    place.unlink()
    place.mkdir()
    ours.recorder(SWEEP, NAME).sync()
    assert len(seen(kind, place)) == 1 + len(KEYS)


def test_an_interrupted_sweep_leaves_no_run_running(kind: str, place: Path, workspace: Workspace) -> None:
    ours = tracker(kind, place, workspace)
    with open_sweep(workspace) as journal:
        run_trial(journal, KEYS[0], status=Status.COMPLETED)
        journal.started(KEYS[1])
    ours.recorder(SWEEP, NAME).sync()
    assert seen(kind, place) == {SWEEP: "KILLED", KEYS[0]: "FINISHED", KEYS[1]: "KILLED"}


def test_one_recorder_at_a_time_writes_to_a_place(kind: str, place: Path, workspace: Workspace) -> None:
    ours = tracker(kind, place, workspace)
    tell_all(workspace)
    with DriverLock(workspace, SWEEP):
        live = ours.recorder(SWEEP, NAME)
        live.start()
        until(lambda: ours.has(SWEEP, last_entry(workspace)))
        with pytest.raises(WorkspaceBusyError, match="is mirroring to the same tracking store"):
            ours.recorder(SWEEP, NAME).sync()
        assert live.finish(30), live.problem


def until(holds: Callable[[], Any], seconds: float = 60.0) -> None:
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if holds():
            return
        pause.wait(0.05)
    pytest.fail("it did not come to hold")


def test_a_place_that_cannot_be_used_is_refused_before_anything_starts(
    kind: str, tmp_path: Path, workspace: Workspace
) -> None:
    with pytest.raises(InputError, match=r"^tracking\.uri: "):
        tracker(kind, tmp_path / "nowhere" / "deep", workspace).check()
    assert not (tmp_path / "nowhere").exists()
