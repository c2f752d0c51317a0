"""The workspace and its lock."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from bios_sweep.errors import InputError, StorageError, WorkspaceBusyError
from bios_sweep.records.earlier import seconds_per_example
from bios_sweep.records.journal import Journal
from bios_sweep.records.lock import DriverLock, live_owner
from bios_sweep.records.sweep_state import sweep_facts
from bios_sweep.records.workspace import Workspace
from bios_sweep.study.trials import Measurement, TrialResult
from bios_sweep.vocabulary import Status
from tests.records.plans import make_plan

RESULT = TrialResult(
    key="k1",
    status=Status.COMPLETED,
    curve=(Measurement(step=0, fraction=0.0, examples=0, tokens=0, eval_loss=2.5),),
    final={"eval_loss": 2.5},
    wall_seconds=1.25,
    tokens=320,
    provenance={"host": "here"},
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "runs")


def test_paths_are_absolute_wherever_the_workspace_was_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    workspace = Workspace("runs")
    assert workspace.root == tmp_path / "runs"
    assert workspace.trial_dir("k1") == tmp_path / "runs/trials/k1"
    assert workspace.journal_file("demo-0") == tmp_path / "runs/sweeps/demo-0/journal.jsonl"
    assert workspace.data_file("a" * 64).name == "a" * 16 + ".jsonl"


def test_naming_a_workspace_creates_nothing(workspace):
    assert workspace.sweeps() == ()
    assert workspace.read_result("k1") is None
    assert not workspace.stop_requested()
    assert live_owner(workspace) is None
    assert not workspace.root.exists()


def test_a_result_comes_back_as_it_was(workspace):
    workspace.write_result(RESULT)
    assert workspace.read_result("k1") == RESULT
    assert [path.name for path in workspace.trial_dir("k1").iterdir()] == ["result.json"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"key": "k1"}', '{"key": "k1", "curve": 3, "final": {}}']
)
def test_a_damaged_result_counts_as_not_run_with_a_warning(workspace, caplog, content):
    path = workspace.trial_dir("k1") / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with caplog.at_level(logging.WARNING):
        assert workspace.read_result("k1") is None
    assert f"{path}: cannot be understood" in caplog.text


def test_a_result_of_another_trial_counts_as_not_run(workspace, caplog):
    workspace.write_result(RESULT)
    (workspace.trials / "k1").rename(workspace.trials / "k2")
    assert workspace.read_result("k2") is None
    assert "belongs to trial k1" in caplog.text


TIMING = {"seconds": [[0.1, 0.2], [0.3, 0.4]], "hardware": "a cpu, 1 thread"}


def test_a_timing_comes_back_as_it_was(workspace):
    assert workspace.read_timing("t1") is None
    workspace.write_timing("t1", TIMING)
    assert workspace.read_timing("t1") == TIMING
    assert workspace.read_timing("t2") is None
    assert workspace.timing_file("t1") == workspace.root / "timings" / "t1.json"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"seconds": [[0.1]]}',
        '{"hardware": "cpu", "seconds": []}',
        '{"hardware": "cpu", "seconds": [[0.1, 0.2], [0.1]]}',
        '{"hardware": "cpu", "seconds": [[0.1], [0.0]]}',
        '{"hardware": "cpu", "seconds": [["fast"]]}',
        '{"hardware": "cpu", "seconds": 3}',
    ],
)
def test_a_damaged_timing_is_taken_again_with_a_warning(workspace, caplog, content):
    path = workspace.timing_file("t1")
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with caplog.at_level(logging.WARNING):
        assert workspace.read_timing("t1") is None
    assert f"{path}: cannot be understood" in caplog.text


def test_the_latest_sweep_of_a_name_is_found(workspace):
    for number, sweep_id in enumerate(("demo-00000001", "demo-00000002", "demo-two-00000003")):
        workspace.write_plan(sweep_id, {"sweep_id": sweep_id})
        os.utime(workspace.sweep_dir(sweep_id) / "plan.json", (number, number + 1))
    assert workspace.sweeps() == ("demo-two-00000003", "demo-00000002", "demo-00000001")
    assert workspace.find_sweep() == "demo-two-00000003"
    assert workspace.find_sweep("demo") == "demo-00000002"
    assert workspace.find_sweep("demo-00000001") == "demo-00000001"
    workspace.write_plan("demo-00000001", {"again": True})
    assert workspace.find_sweep("demo") == "demo-00000001"


def test_a_sweep_that_is_not_there_is_refused_with_what_is(workspace):
    with pytest.raises(InputError, match=r"no sweep yet; start one with `bios-sweep run"):
        workspace.find_sweep()
    workspace.write_plan("demo-00000001", {})
    with pytest.raises(InputError, match=r"no sweep 'dem'; there are demo-00000001"):
        workspace.find_sweep("dem")


def test_a_plan_comes_back_and_a_damaged_one_is_refused_with_its_path(workspace):
    workspace.write_plan("demo-00000001", {"arms": [1, 2]})
    assert workspace.read_plan("demo-00000001") == {"arms": [1, 2]}
    path = workspace.sweep_dir("demo-00000001") / "plan.json"
    for content in ("{", "[1]"):
        path.write_text(content)
        with pytest.raises(StorageError, match=str(path)):
            workspace.read_plan("demo-00000001")


def test_the_speed_of_a_model_is_read_from_its_own_journals_only(workspace):
    plan = make_plan()
    scenario = plan.study.scenario
    with Journal(workspace.journal_file("mine-00000001")) as journal:
        journal.opened(sweep_facts(plan))
        journal.planned(plan.trials)
        journal.started(plan.trials[0].key)
        journal.ended(TrialResult(key=plan.trials[0].key, status=Status.COMPLETED))
    other = workspace.journal_file("other-00000002")
    other.parent.mkdir()
    other.write_text('{"seq": 1, "kind": "opened", "facts": {}}\nof another model, and damaged\n')
    other_model = replace(scenario, model=replace(scenario.model, fingerprint="f" * 64))
    assert seconds_per_example(workspace, scenario, bool)[1] == 1
    assert seconds_per_example(workspace, other_model, bool) is None


def test_the_speed_of_a_model_is_that_of_such_a_device_and_of_the_same_data_where_there_is_some(workspace):
    plan = make_plan()
    scenario = plan.study.scenario
    other_data = replace(scenario.data, fingerprint="d" * 64)
    for place, (device, facts) in enumerate(
        (
            ("slow", plan),
            ("fast", replace(plan, study=replace(plan.study, scenario=replace(scenario, data=other_data)))),
        )
    ):
        trial = plan.trials[place]
        with Journal(workspace.journal_file(f"mine-0000000{place}")) as journal:
            journal.opened(sweep_facts(facts))
            journal.planned([trial])
            journal.started(trial.key)
            told = TrialResult(key=trial.key, status=Status.COMPLETED, provenance={"device": device})
            journal.ended(told)
    seen = []
    assert (
        seconds_per_example(workspace, scenario, lambda name: not seen.append(name))[1] == 1
    )  # that of its data
    assert set(seen) == {"slow", "fast"}
    assert seconds_per_example(workspace, scenario, "fast".__eq__)[1] == 1  # of the model, on such a device
    assert seconds_per_example(workspace, scenario, "other".__eq__) is None


def test_a_stop_is_asked_for_seen_and_cleared(workspace):
    workspace.request_stop()
    assert workspace.stop_requested()
    workspace.clear_stop()
    workspace.clear_stop()
    assert not workspace.stop_requested()


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "runs").write_text("a file where the folder belongs")
    workspace = Workspace(tmp_path / "runs")
    with pytest.raises(StorageError, match=str(workspace.trial_dir("k1"))):
        workspace.write_result(RESULT)
    with pytest.raises(StorageError, match="cannot be written"), DriverLock(workspace, "demo-00000001"):
        pass


def test_a_second_driver_is_told_who_has_the_workspace(workspace):
    with DriverLock(workspace, "demo-00000001"):
        with pytest.raises(WorkspaceBusyError) as caught, DriverLock(workspace, "other-00000002"):
            pass
        owner = live_owner(workspace)
    assert caught.value.exit_code == 75
    for part in (f"process {os.getpid()}", "sweep demo-00000001", "bios-sweep status", "bios-sweep stop"):
        assert part in str(caught.value)
    assert owner is not None
    assert (owner.pid, owner.sweep_id) == (os.getpid(), "demo-00000001")
    assert live_owner(workspace) is None
    with DriverLock(workspace, "other-00000002"):
        pass


def test_looking_for_the_owner_does_not_keep_a_driver_out(workspace):
    with DriverLock(workspace, "demo-00000001"):
        left_behind = workspace.owner_file.read_text()
    workspace.owner_file.write_text(left_behind)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        looks = pool.apply_async(_look_often, (workspace,))
        for _ in range(50):
            with DriverLock(workspace, "demo-00000001"):
                pass
        assert looks.get(timeout=30)


def test_a_killed_driver_is_taken_over(workspace):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    driver = context.Process(target=_drive, args=(workspace, ready))
    driver.start()
    assert ready.wait(30)
    owner = live_owner(workspace)
    assert owner is not None
    assert owner.pid == driver.pid
    os.kill(driver.pid, signal.SIGKILL)
    driver.join()
    assert workspace.owner_file.exists()
    assert live_owner(workspace) is None
    with DriverLock(workspace, "demo-00000001"):
        assert json.loads(workspace.owner_file.read_text())["pid"] == os.getpid()


def _drive(workspace, ready):
    with DriverLock(workspace, "demo-00000001"):
        ready.set()
        signal.pause()


def _look_often(workspace):
    for _ in range(200):
        live_owner(workspace)
    return True
