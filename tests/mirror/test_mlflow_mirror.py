"""The mirror against real MLflow stores: SQLite files and one real server that is killed on the way."""

from __future__ import annotations

import itertools
import json
import logging
import math
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from bios_sweep.errors import InputError, TrackingError, WorkspaceBusyError
from bios_sweep.mirror import content as mirror_content
from bios_sweep.mirror.cursor import read_cursor
from bios_sweep.mirror.mlflow.moved import bring_home
from bios_sweep.mirror.mlflow.server import serve_ui
from bios_sweep.mirror.mlflow.shared_view import is_ours, shared_view
from bios_sweep.mirror.mlflow.tracker import check_tracking, default_tracking_uri, ui_link
from bios_sweep.records.chain import end_file
from bios_sweep.records.lock import DriverLock
from bios_sweep.records.workspace import Workspace
from bios_sweep.secrecy import masked
from bios_sweep.vocabulary import Failure, Status
from tests.damage import moved
from tests.mirror.journals import (
    KEYS,
    NAME,
    PLAN,
    SWEEP,
    TABLE,
    conclude,
    curve,
    make_plan,
    mirror,
    new_workspace,
    open_sweep,
    result,
    run_trial,
    tell_all,
    tell_little,
)


def follow_once(workspace: Workspace, uri: str | None = None, sweep_id: str = SWEEP) -> None:
    """What a driver's life does to MLflow: start, catch up, end."""
    recorder = mirror(workspace, uri, sweep_id)
    recorder.start()
    assert recorder.finish(30), recorder.problem


def dump(uri: str, *, ids: bool = False) -> dict[str, Any]:
    """All that MLflow holds on the experiment, run by run; with `ids` even what is chosen by chance."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(NAME)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    names = {run.info.run_id: run.data.tags.get("trial_key", run.data.tags["sweep_id"]) for run in runs}
    assert len(set(names.values())) == len(names), "one run per trial and per sweep"
    content = {names[run.info.run_id]: _dump_run(client, run, names) for run in runs}
    if ids:
        content["ids"] = {name: run_id for run_id, name in names.items()}
        content["updated"] = experiment.last_update_time
    tags = {name: _named(text, names) for name, text in experiment.tags.items()}
    return {**content, "experiment": tags}


def _named(text: str, names: dict[str, str]) -> str:
    """A text whose links lead to runs by name: MLflow's ids are chosen by chance."""
    for run_id, name in names.items():
        text = text.replace(run_id, name)
    return text


def _dump_run(client: MlflowClient, run: Any, names: dict[str, str]) -> dict[str, Any]:
    tags = {name: _named(text, names) for name, text in run.data.tags.items()}
    if mirror_content.PARENT in tags:
        assert tags[mirror_content.PARENT] in names.values()
    history = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    return {
        "info": (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time),
        "params": dict(run.data.params),
        "tags": tags,
        "points": {
            name: sorted((point.step, point.value, point.timestamp) for point in points)
            for name, points in history.items()
        },
        "inputs": sorted(
            (item.dataset.name, item.dataset.digest, item.dataset.source, item.tags[0].value)
            for item in run.inputs.dataset_inputs
        ),
        "artifacts": sorted(_artifacts(client, run.info.run_id)),
    }


def _artifacts(client: MlflowClient, run_id: str, folder: str | None = None) -> Iterator[str]:
    for item in client.list_artifacts(run_id, folder):
        if item.is_dir:
            yield from _artifacts(client, run_id, item.path)
        else:
            yield item.path


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        yield


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> tuple[Workspace, dict[str, Any]]:
    """A workspace with a whole sweep, and what MLflow holds after mirroring it undisturbed."""
    workspace = new_workspace(tmp_path_factory.mktemp("told") / "runs", empty_store)
    tell_all(workspace)
    mirror(workspace).sync()
    return workspace, dump(default_tracking_uri(workspace))


def copy_of(told: Workspace, folder: Path, empty_store: Path) -> Workspace:
    """The same sweep in a workspace of its own, not mirrored yet."""
    workspace = new_workspace(folder, empty_store)
    shutil.copytree(told.sweep_dir(SWEEP), workspace.sweep_dir(SWEEP))
    shutil.copytree(told.trials, workspace.trials)
    for cursor in workspace.sweep_dir(SWEEP).glob("mirror-*.json"):
        cursor.unlink()
    moved(workspace.journal_file(SWEEP), told.root, workspace.root)
    return workspace


# --- what is there ---------------------------------------------------------------------------------


def test_a_child_holds_settings_curve_data_and_flat_tags(told):
    content = told[1][KEYS[1]]
    assert content["info"][:2] == ("learning_rate x2 seed 0", "FINISHED")
    assert content["params"]["learning_rate"] == "0.002"
    assert content["params"]["seed"] == "0"
    settings = PLAN.baseline.settings.to_dict()
    assert {name for name, value in settings.items() if value is not None} < set(content["params"])
    wanted = {
        "kind": "trial",
        "trial_key": KEYS[1],
        "sweep_id": SWEEP,
        "mlflow.parentRunId": SWEEP,
        "arm": "learning_rate x2",
        "factor": "learning_rate",
        "level": "0.002",
        "seed": "0",
        "stage": "screening",
        "status": "completed",
        "attempt": "2",
        f"sweep.{SWEEP}": "learning_rate x2",
    }
    assert wanted.items() <= content["tags"].items()
    assert [(step, value) for step, value, _ in content["points"]["eval_loss"]] == [
        (point.step, point.eval_loss) for point in curve(2.1)
    ]
    assert [step for step, *_ in content["points"]["train_loss"]] == [5, 10]
    assert set(content["points"]) == {*mirror_content.CURVES, "wall_seconds", "tokens"}
    assert content["inputs"] == [
        ("docs", "a" * 16, '{"uri": "docs.jsonl"}', "training"),
        ("docs", "b" * 16, '{"uri": "docs.jsonl"}', "evaluation"),
    ]


def test_a_diverged_trial_is_an_outcome_and_has_no_point_that_is_no_number(told):
    content = told[1][KEYS[3]]
    assert content["info"][1] == "FINISHED"
    assert (content["tags"]["status"], content["tags"]["cause"]) == ("diverged", "loss is not a number")
    assert [step for step, *_ in content["points"]["eval_loss"]] == [0, 5]


def test_what_an_ended_trial_wrote_down_is_an_artifact_of_its_run(workspace):
    folder = workspace.trial_dir(KEYS[0])
    with open_sweep(workspace) as journal:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "stderr.txt").write_text("KeyError: 'label'\nlogged in with password=hunt3r\n")
        run_trial(journal, KEYS[0], status=Status.FAILED, cause="no space left")
        journal.closed("done")
    follow_once(workspace)
    client = MlflowClient(default_tracking_uri(workspace))
    [run] = client.search_runs(["1"], f"tags.trial_key = '{KEYS[0]}'")
    text = client.download_artifacts(run.info.run_id, "log.txt")
    assert Path(text).read_text() == (
        "==> stderr.txt, attempt 1 <==\nKeyError: 'label'\nlogged in with password=***\n\n"
    )


def test_a_failed_trial_says_why_until_it_is_run_again(workspace):
    with open_sweep(workspace) as journal:
        run_trial(journal, KEYS[0], status=Status.FAILED, cause="no space left")
        journal.closed("done")
        follow_once(workspace)
        failed = dump(default_tracking_uri(workspace))[KEYS[0]]
        run_trial(journal, KEYS[0])
        journal.closed("done")
    follow_once(workspace)
    finished = dump(default_tracking_uri(workspace))[KEYS[0]]
    assert (failed["info"][1], failed["tags"]["cause"]) == ("FAILED", "no space left")
    assert failed["tags"]["failure"] == Failure.STORAGE
    assert (finished["info"][1], finished["tags"]["attempt"]) == ("FINISHED", "2")
    assert len(finished["points"]["eval_loss"]) == 3
    assert (finished["tags"]["cause"], finished["tags"]["failure"]) == ("none", "none")


def test_the_parent_holds_question_aggregates_verdict_and_files(told):
    content = told[1][SWEEP]
    assert content["info"][:2] == (SWEEP, "FINISHED")
    assert content["tags"]["mlflow.note.content"] == TABLE
    counts = {name: content["tags"][name] for name in ("planned", "completed", "diverged", "failed")}
    assert counts == {"planned": "4", "completed": "3", "diverged": "1", "failed": "0"}
    assert content["params"]["seeds"] == "[0, 1]"
    assert content["params"]["budget.hold"] == "examples"
    assert content["points"] == {}, "each would be a chart of one dot above the curves"
    assert content["tags"]["effect.learning_rate"] == "0.4 percent"
    assert content["artifacts"] == ["arms.json", "figures/effect.png", "report.md"]
    assert told[1][KEYS[0]]["artifacts"] == ["adapter/adapter_model.safetensors"]


def test_the_arms_are_a_table_of_the_sweep_s_run(told):
    client = MlflowClient(default_tracking_uri(told[0]))
    [run] = client.search_runs(["1"], "tags.kind = 'sweep'")
    table = json.loads(Path(client.download_artifacts(run.info.run_id, "arms.json")).read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [(row["arm"], row["completed"]) for row in rows] == [("baseline", 2), ("learning_rate x2", 1)]
    means = [row["mean eval_loss"] for row in rows]
    assert means == [pytest.approx(2.0), None], "a mean of survivors would flatter"
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [{"path": "arms.json", "type": "table"}]


def test_the_experiment_s_note_lists_every_sweep_whichever_is_mirrored_last(workspace):
    later = make_plan("later", (4.0,))
    with open_sweep(workspace) as journal:
        conclude(workspace, journal, f"{SWEEP}: confirm")
    with open_sweep(workspace, later) as journal:
        conclude(workspace, journal, f"{later.sweep_id}: refine")
    for sweep_id in (later.sweep_id, SWEEP):
        mirror(workspace, sweep_id=sweep_id).sync()
    note = dump(default_tracking_uri(workspace))["experiment"]["mlflow.note.content"].splitlines()
    assert note[0] == f"{later.sweep_id}: refine"
    listed = [line for line in note if line.startswith("- ")]
    assert [line.split(":")[0] for line in listed] == [f"- {later.sweep_id}", f"- {SWEEP}"]
    assert f"[files](#/experiments/1/runs/{SWEEP}/artifacts)" in listed[1]


def test_a_moved_workspace_finds_its_files_and_its_place(told, tmp_path):
    moved = Workspace(shutil.copytree(told[0].root, tmp_path / "else where" / "runs"))
    bring_home(moved)
    uri = default_tracking_uri(moved)
    assert read_cursor(moved, SWEEP, uri)["experiment_id"] == "1"
    client = MlflowClient(uri)
    [run] = client.search_runs(["1"], "tags.kind = 'sweep'")
    assert Path(client.download_artifacts(run.info.run_id, "report.md")).read_text().startswith("# ")
    assert unquote(run.info.artifact_uri).startswith(f"file://{moved.root}/mlartifacts/")
    assert unquote(client.get_experiment("1").artifact_location).endswith("/else where/runs/mlartifacts")


def test_a_view_of_an_earlier_version_is_replaced_and_a_person_s_own_stays():
    _, ours = shared_view(SWEEP, 1)
    state = json.loads(json.loads(ours)["state"])
    earlier = json.dumps({"state": json.dumps({"searchFilter": "", "groupBy": None})})
    of_a_person = json.dumps({"state": json.dumps({**state, "viewMaximized": False})})
    assert [is_ours(text, ours) for text in (earlier, of_a_person, "{}")] == [True, False, False]


def test_the_parent_holds_what_a_step_of_each_timed_arm_takes(workspace):
    with open_sweep(workspace) as journal:
        mirror(workspace).sync()
        assert not [name for name in parent_tags(workspace) if name.startswith("timing.")]
        timing = {"arms": ["baseline", "batch_size=4"], "seconds": [[0.2, 0.1], [0.8, 0.4]]}
        journal.timed({**timing, "hardware": "a cpu, 1 thread"})
        journal.closed("stopped")
    mirror(workspace).sync()
    assert {name: text for name, text in parent_tags(workspace).items() if name.startswith("timing.")} == {
        "timing.hardware": "a cpu, 1 thread",
        "timing.baseline": "400 ms per step",
        "timing.batch_size 4": "200 ms per step",
    }


def parent_tags(workspace: Workspace) -> dict[str, str]:
    return dump(default_tracking_uri(workspace))[SWEEP]["tags"]


def test_the_experiment_s_first_line_is_the_verdict_of_the_latest_sweep(workspace):
    later = make_plan("later", (4.0,))
    with open_sweep(workspace) as journal:
        conclude(workspace, journal, "first: confirm")
    with open_sweep(workspace, later) as journal:
        conclude(workspace, journal, "second: refine")
    for sweep_id in (SWEEP, later.sweep_id, SWEEP):
        mirror(workspace, sweep_id=sweep_id).sync()
    note = dump(default_tracking_uri(workspace))["experiment"]["mlflow.note.content"]
    assert note.splitlines()[0] == "second: refine"


def test_each_claim_s_effect_has_a_name_of_its_own_and_the_run_its_own_verdict(workspace):
    claims = [
        {"factor": "batch_size", "claim": claim, "effect_percent": effect}
        for claim, effect in (("balanced", 0.1), ("speed", -0.6))
    ]
    with open_sweep(workspace) as journal:
        journal.verdict({"headline": f"{SWEEP}: confirm", "markdown": TABLE, "verdicts": claims})
        journal.closed("done")
        content = mirror_content.parent_content(journal.state, alive=False)
    shown = {name: text for name, text in content.tags.items() if name.startswith("effect")}
    assert list(shown.values()) == ["0.1 percent", "-0.6 percent"]
    assert ["balanced" in key for key in shown] == [True, False]
    assert content.tags["verdict"] == f"{SWEEP}: confirm"


def test_a_sweep_s_run_has_what_the_ledger_remembers_of_it(workspace):
    look = {"factor": "batch_size", "claim": "speed", "cell": "", "word": "confirm", "seeds": [0, 1]}
    with open_sweep(workspace) as journal:
        journal.verdict({"headline": "h", "markdown": TABLE, "verdicts": [], "looks": [look]})
        journal.closed("done")
        content = mirror_content.parent_content(journal.state, alive=False)
    assert json.loads(content.tags["look.batch_size speed"]) == look


def test_texts_too_long_for_a_tag_are_cut_with_a_pointer_to_the_report(workspace):
    with open_sweep(workspace) as journal:
        journal.verdict({"headline": "long", "markdown": "| row |\n" * 5000, "verdicts": []})
        journal.closed("done")
    mirror(workspace).sync()
    note = dump(default_tracking_uri(workspace))[SWEEP]["tags"]["mlflow.note.content"]
    assert len(note) <= mirror_content.TAG_LIMIT
    assert note.endswith("report.md)")


# --- the same content, whatever happens on the way -------------------------------------------------


def test_nothing_new_changes_nothing(told):
    workspace, _ = told
    uri = default_tracking_uri(workspace)
    before = dump(uri, ids=True)
    stored = workspace.store.read_bytes()
    follow_once(workspace)
    assert workspace.store.read_bytes() == stored, "with nothing new the store is not even opened"
    mirror(workspace).sync()
    assert dump(uri, ids=True) == before
    assert workspace.store.read_bytes() == stored, "a full comparison writes nothing either"


@pytest.mark.parametrize("way", ["driver", "sync"])
def test_a_mirror_begun_anew_after_every_entry_gives_the_same_content(told, tmp_path, empty_store, way):
    original, content = told
    workspace = copy_of(original, tmp_path / "runs", empty_store)
    journal = workspace.journal_file(SWEEP)
    lines = journal.read_bytes().splitlines(keepends=True)
    end_file(journal).unlink()
    for count in range(1, len(lines) + 1):
        journal.write_bytes(b"".join(lines[:count]))
        if way == "driver":
            follow_once(workspace)
        else:
            mirror(workspace).sync()
    assert dump(default_tracking_uri(workspace)) == content


class Killed(BaseException):
    """Ends the mirror in the middle, as kill -9 would: nothing of ours may catch it."""


def test_a_mirror_killed_after_any_call_is_made_whole_by_the_next(tmp_path, empty_store, monkeypatch):
    original = new_workspace(tmp_path / "original", empty_store)
    tell_little(original)
    calls = itertools.count(1)
    last_call = [math.inf]

    def cut_off(method):
        def call(*args, **kwargs):
            answer = method(*args, **kwargs)
            if next(calls) >= last_call[0]:
                raise Killed
            return answer

        return call

    writes = ("create_experiment", "create_run", "log_batch", "log_inputs", "log_artifact", "set_terminated")
    for name in (*writes, "update_run", "set_experiment_tag"):
        monkeypatch.setattr(MlflowClient, name, cut_off(getattr(MlflowClient, name)))
    mirror(original).sync()
    content = dump(default_tracking_uri(original))
    total = next(calls) - 1
    assert total > 12
    for number in range(1, total + 1):
        workspace = copy_of(original, tmp_path / str(number), empty_store)
        calls, last_call[0] = itertools.count(1), number
        with pytest.raises(Killed):
            mirror(workspace).sync()
        last_call[0] = math.inf
        mirror(workspace).sync()
        assert dump(default_tracking_uri(workspace)) == content, f"killed after call {number}"


@pytest.mark.parametrize("way", ["late", "repeated"])
def test_a_run_made_although_its_answer_was_lost_leaves_no_double(
    told, tmp_path, empty_store, monkeypatch, way
):
    """Late: the first of two calls is done after the second. Repeated: a library under us calls twice."""
    original, content = told
    workspace = copy_of(original, tmp_path / "runs", empty_store)
    create, lost = MlflowClient.create_run, []

    def unlucky(client, *args, **kwargs):
        if way == "late" and kwargs["tags"]["kind"] not in [kind for kind, _ in lost]:
            lost.append((kwargs["tags"]["kind"], lambda: create(client, *args, **kwargs)))
            raise MlflowException("the server did not answer in time")
        run = create(client, *args, **kwargs)
        for _, call in lost[-1:] if way == "late" else [("", lambda: create(client, *args, **kwargs))]:
            call()
        return run

    monkeypatch.setattr(MlflowClient, "create_run", unlucky)
    follow_once(workspace)
    monkeypatch.undo()
    uri = default_tracking_uri(workspace)
    client = MlflowClient(uri)
    (experiment,) = [found for found in client.search_experiments() if found.name == NAME]
    made = client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL)
    assert len(made) > len(content) - 1, "there was a double"
    if way == "repeated":  # nothing told the mirror that anything was wrong
        mirror(workspace).sync()
    assert dump(uri) == content


def test_trials_in_flight_of_a_dead_driver_are_killed_and_finish_when_taken_up(workspace):
    uri = default_tracking_uri(workspace)
    with open_sweep(workspace) as journal:
        journal.started(KEYS[0])
        journal.measured(KEYS[0], curve(2.0)[0])
        with DriverLock(workspace, SWEEP):
            mirror(workspace).sync()
            assert _statuses(uri) == {SWEEP: "RUNNING", KEYS[0]: "RUNNING"}
        mirror(workspace).sync()
        assert _statuses(uri) == {SWEEP: "KILLED", KEYS[0]: "KILLED"}
        again = dump(uri, ids=True)
        mirror(workspace).sync()
        assert dump(uri, ids=True) == again
        journal.started(KEYS[0])
        with DriverLock(workspace, SWEEP):
            mirror(workspace).sync()
        assert _statuses(uri) == {SWEEP: "RUNNING", KEYS[0]: "RUNNING"}
        run_trial(journal, KEYS[0])
        journal.closed("done")
    follow_once(workspace)
    assert _statuses(uri) == {SWEEP: "FINISHED", KEYS[0]: "FINISHED"}
    content = dump(uri)[KEYS[0]]
    assert len(content["points"]["eval_loss"]) == 3
    assert content["info"][3] >= content["info"][2]


def test_a_stopped_sweep_leaves_nothing_running(workspace):
    with open_sweep(workspace) as journal:
        recorder = mirror(workspace)
        recorder.start()
        journal.started(KEYS[0])
        _until(lambda: read_cursor(workspace, SWEEP, default_tracking_uri(workspace)).get("seq") == 3)
        assert _statuses(default_tracking_uri(workspace)) == {SWEEP: "RUNNING", KEYS[0]: "RUNNING"}
        journal.closed("stopped")
        assert recorder.finish(30), recorder.problem
    content = dump(default_tracking_uri(workspace))
    assert _statuses(default_tracking_uri(workspace)) == {SWEEP: "KILLED", KEYS[0]: "KILLED"}
    assert (content[SWEEP]["tags"]["status"], content[KEYS[0]]["tags"]["status"]) == (
        "stopped",
        "interrupted",
    )


def test_a_store_that_was_deleted_is_filled_again(told, tmp_path, empty_store):
    original, content = told
    workspace = copy_of(original, tmp_path / "runs", empty_store)
    follow_once(workspace)
    shutil.copy(empty_store, workspace.store)
    mirror(workspace).sync()
    assert dump(default_tracking_uri(workspace)) == content


def _statuses(uri: str) -> dict[str, str]:
    return {name: run["info"][1] for name, run in dump(uri).items() if name != "experiment"}


# --- several sweeps, several mirrors ---------------------------------------------------------------


def test_a_reusing_sweep_adds_its_tag_to_the_child_and_nothing_else(told, tmp_path, empty_store):
    workspace = copy_of(told[0], tmp_path / "runs", empty_store)
    uri = default_tracking_uri(workspace)
    follow_once(workspace)
    before = dump(uri)
    second = make_plan("second", (0.5,))
    shared = [trial.key for trial in second.trials if trial.arm == "baseline"]
    own = [trial.key for trial in second.trials if trial.arm != "baseline"]
    with open_sweep(workspace, second) as journal:
        for key in shared:
            journal.reused(result(key, loss=2.0 if key == KEYS[0] else 2.2))
        for key in own:
            run_trial(journal, key)
        conclude(workspace, journal)
    follow_once(workspace, sweep_id=second.sweep_id)
    after = dump(uri)
    assert set(after) - set(before) == {second.sweep_id, *own}
    for key in shared:
        added = dict(after[key]["tags"].items() - before[key]["tags"].items())
        assert added == {f"sweep.{second.sweep_id}": "baseline"}
        assert {**after[key], "tags": None} == {**before[key], "tags": None}
    for sweep_id in (SWEEP, second.sweep_id):
        mirror(workspace, sweep_id=sweep_id).sync()
    assert dump(uri) == after


def test_a_reused_trial_that_this_store_never_saw_is_brought_over_whole(workspace):
    with open_sweep(workspace) as journal:
        journal.reused(result(KEYS[0]))
        journal.closed("stopped")
    follow_once(workspace)
    content = dump(default_tracking_uri(workspace))[KEYS[0]]
    assert content["info"][1] == "FINISHED"
    assert len(content["points"]["eval_loss"]) == 3
    assert content["params"]["lora_rank"] == "4"


def test_a_trial_left_by_one_sweep_and_finished_by_another_stays_finished(workspace):
    uri = default_tracking_uri(workspace)
    other = make_plan("other", (0.5,))
    with open_sweep(workspace) as journal:
        journal.started(KEYS[0])
        journal.measured(KEYS[0], curve(2.0)[0])
    mirror(workspace).sync()
    with open_sweep(workspace, other) as journal:
        run_trial(journal, KEYS[0])
        journal.closed("stopped")
    follow_once(workspace, sweep_id=other.sweep_id)
    finished = dump(uri)
    assert finished[KEYS[0]]["info"][1] == "FINISHED"
    assert len(finished[KEYS[0]]["points"]["eval_loss"]) == 3
    assert finished[KEYS[0]]["tags"]["sweep_id"] == SWEEP
    for sweep_id in (SWEEP, other.sweep_id):
        mirror(workspace, sweep_id=sweep_id).sync()
    assert dump(uri) == finished


def test_many_mirrors_at_once_do_as_one(told, tmp_path, empty_store):
    original, content = told
    workspace = copy_of(original, tmp_path / "runs", empty_store)
    mirrors = [mirror(workspace) for _ in range(4)]
    threads = [threading.Thread(target=recorder.sync) for recorder in mirrors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert dump(default_tracking_uri(workspace)) == content


def test_sync_leaves_a_live_mirror_alone(workspace):
    with open_sweep(workspace) as journal, DriverLock(workspace, SWEEP):
        recorder = mirror(workspace)
        recorder.start()
        run_trial(journal, KEYS[0])
        _until(lambda: read_cursor(workspace, SWEEP, default_tracking_uri(workspace)).get("seq", 0) > 0)
        with pytest.raises(WorkspaceBusyError, match=f"process {os.getpid()} .sweep {SWEEP}. is mirroring"):
            mirror(workspace).sync()
        assert recorder.finish(30)


def _until(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


# --- a real server ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server_place(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Workspace:
    return new_workspace(tmp_path_factory.mktemp("server") / "runs", empty_store)


def test_a_server_killed_and_back_in_the_middle_misses_and_doubles_nothing(
    told, tmp_path, empty_store, server_place, caplog
):
    original, content = told
    workspace = copy_of(original, tmp_path / "runs", empty_store)
    journal = workspace.journal_file(SWEEP)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:7]))
    end_file(journal).unlink()
    server = serve_ui(server_place, default_tracking_uri(server_place))
    uri = server.url
    try:
        check_tracking(uri)
        recorder = mirror(workspace, uri)
        recorder.start()
        _until(lambda: read_cursor(workspace, SWEEP, uri).get("seq") == 7)
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        with caplog.at_level(logging.WARNING):
            with journal.open("ab") as file:
                file.writelines(lines[7:])
            _until(lambda: recorder.problem != "")
        assert "does not follow, tried again" in caplog.text
        assert not mirror_finishes_at_once(workspace, uri)
        with pytest.raises(InputError, match=f"{uri} cannot be reached"):
            check_tracking(uri)
        server = serve_ui(server_place, default_tracking_uri(server_place), int(uri.rpartition(":")[2]))
        assert recorder.finish(60), recorder.problem
        assert recorder.problem == ""
        assert dump(uri) == content
        before = dump(uri, ids=True)
        mirror(workspace, uri).sync()
        assert dump(uri, ids=True) == before
        client = MlflowClient(uri)
        run_id = before["ids"][SWEEP]
        assert Path(client.download_artifacts(run_id, "figures/effect.png")).read_bytes() == b"a picture"
    finally:
        server.stop()
    with pytest.raises(
        TrackingError, match=r"cannot be reached.*; nothing is lost, run `bios-sweep sync` when it answers"
    ):
        mirror(workspace, uri).sync()


def mirror_finishes_at_once(workspace: Workspace, uri: str) -> bool:
    """A second mirror on the same store waits for the first and gives up when told to."""
    recorder = mirror(workspace, uri)
    recorder.start()
    return recorder.finish(0.2)


def test_a_server_is_only_started_over_a_store_that_is_there(workspace):
    with pytest.raises(InputError, match="is a server already"):
        serve_ui(workspace, "http://me:secret@127.0.0.1:9")
    with pytest.raises(InputError, match="no tracking store yet; run a sweep first"):
        serve_ui(workspace, f"sqlite:///{workspace.root}/none.db")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"port {port} cannot be used"):
            serve_ui(workspace, default_tracking_uri(workspace), port)


# --- addresses -------------------------------------------------------------------------------------


def test_secrets_in_addresses_are_never_shown():
    assert masked("http://me:pass%40word@host:5000/x?token=abc&a=1") == "http://***@host:5000/x?token=***&a=1"
    assert (
        masked("failed: http://me:p@ss@host/api (see http://host/)")
        == "failed: http://***@host/api (see http://host/)"
    )
    assert masked("sqlite:////tmp/a@b/mlflow.db") == "sqlite:////tmp/a@b/mlflow.db"
    with pytest.raises(InputError) as caught:
        check_tracking("http://me:secret@127.0.0.1:9")
    assert "secret" not in str(caught.value)
    assert "http://***@127.0.0.1:9 cannot be reached" in str(caught.value)


def test_secrets_stay_out_of_a_failing_mirror_s_words_and_files(workspace, caplog):
    uri = f"http://me:secret@127.0.0.1:{_unused_port()}"
    with open_sweep(workspace) as journal:
        journal.closed("stopped")
    with caplog.at_level(logging.DEBUG, logger="bios_sweep"), pytest.raises(TrackingError) as caught:
        mirror(workspace, uri).sync()
    assert "secret" not in str(caught.value)
    assert "secret" not in caplog.text
    assert not list(workspace.sweep_dir(SWEEP).glob("mirror-*.json"))


@pytest.mark.parametrize(
    "uri, problem",
    [
        ("file:///tmp/mlruns", "is not supported; give http"),
        ("./mlruns", "is not supported"),
        ("databricks", "is not supported"),
        ("sqlite:///mlflow.db", "is relative .* write sqlite:////"),
        ("sqlite:////no/such/folder/mlflow.db", "folder /no/such/folder is missing"),
        ("http://no-such-host.invalid:5000", "cannot be reached"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_leaves_no_trace(uri, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    with pytest.raises(InputError, match=rf"tracking\.uri: .*{problem}"):
        check_tracking(uri)
    assert time.monotonic() - began < 10
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "mlflow.db").write_text("a letter")
    with pytest.raises(InputError, match="cannot be read as an SQLite database"):
        check_tracking(f"sqlite:///{tmp_path}/mlflow.db")
    check_tracking(f"sqlite:///{tmp_path}/new.db")
    assert not (tmp_path / "new.db").exists()


def test_a_silent_host_and_a_server_of_another_kind_are_refused(tmp_path):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        answers = threading.Thread(
            target=_answer_once, args=(listener, b"HTTP/1.0 200 OK\r\n\r\n<html>hello")
        )
        answers.start()
        with pytest.raises(InputError, match="answers, but not as an MLflow server does"):
            check_tracking(f"http://127.0.0.1:{port}")
        answers.join()
        answers = threading.Thread(target=_answer_once, args=(listener, b"HTTP/1.0 404 Not Found\r\n\r\n"))
        answers.start()
        with pytest.raises(InputError, match="answers 404 to /health"):
            check_tracking(f"http://127.0.0.1:{port}")
        answers.join()
        began = time.monotonic()
        with pytest.raises(InputError, match="cannot be reached"):
            check_tracking(f"http://127.0.0.1:{port}")
        assert time.monotonic() - began < 10


def test_the_workspace_s_own_store_may_be_missing_with_its_workspace(tmp_path):
    workspace = Workspace(tmp_path / "not" / "yet")
    check_tracking(default_tracking_uri(workspace), workspace)
    with pytest.raises(InputError, match="is missing"):
        check_tracking(default_tracking_uri(workspace))
    assert not (tmp_path / "not").exists()


def test_links_lead_to_training_runs_without_secrets():
    assert ui_link("http://127.0.0.1:5000/", "7") == (
        "http://127.0.0.1:5000/#/experiments/7/runs?workflowType=machine_learning"
    )
    assert ui_link("http://me:secret@h", "7", view="demo").endswith(
        "h/#/experiments/7/runs?workflowType=machine_learning&viewStateShareKey=demo&compareRunsMode=CHART"
    )
    assert "secret" not in ui_link("http://me:secret@h", "7")
    assert ui_link("http://h", "7", ["a", "b"]) == (
        "http://h/#/compare-runs?runs=%5B%22a%22%2C+%22b%22%5D&experiments=%5B%227%22%5D"
    )
    assert ui_link("http://h", "") == "http://h/#/experiments"


def test_a_saved_view_of_the_sweep_is_offered_where_mlflow_is_known_to_read_it(told):
    views = {name: text for name, text in told[1]["experiment"].items() if "sharedViewState" in name}
    if not mlflow.__version__.startswith("3.17."):
        assert views == {}
        return
    envelope = json.loads(views[f"mlflow.sharedViewState.{SWEEP}"])
    state = json.loads(envelope["state"])
    assert (type(envelope["name"]), type(envelope["createdAt"])) == (str, int)
    found = MlflowClient(default_tracking_uri(told[0])).search_runs(["1"], state["searchFilter"])
    assert {run.data.tags.get("trial_key", SWEEP) for run in found} == {*KEYS, SWEEP}
    assert found[-1].data.tags["kind"] == "sweep", "the latest start comes first here, the earliest there"


def test_the_mirror_joins_no_run_it_was_not_asked_to(told, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0" * 32)
    mirror(told[0]).sync()
    assert "MLFLOW_RUN_ID" not in os.environ


def _answer_once(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(answer)


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
