"""A real `mlflow server` over a real PostgreSQL: crashes of the database and of the server during a sweep."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient

from bios_sweep.cli.main import main
from bios_sweep.records.journal import read_journal
from bios_sweep.records.mirror_content import child_content
from bios_sweep.records.replay import replay
from bios_sweep.records.workspace import Workspace
from tests import postgres

pytestmark = [
    pytest.mark.xdist_group("tracking_server"),
    pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing() or "there is one"),
]
EXPERIMENT = "planted | planted | lora"


def sweep(workspace: Path, url: str, *more: str, pause: float = 0.02) -> int:
    """A planted sweep of 15 trials and their confirmation; `pause` seconds before each measurement."""
    return main(
        [
            "run",
            *("sweeps=learning_rate", "model=planted", "budget=demo", "tracking=sqlite"),
            *(f"workspace={workspace}", f"tracking.uri={url}", f"model.planted.pause_seconds={pause}"),
            *more,
        ]
    )


@contextmanager
def meanwhile(workspace: Path, *steps: tuple[int, Callable[[], None]]) -> Iterator[None]:
    """Each step (journal lines to wait for, what to do then), in order, beside a running sweep."""
    threads = threading.Thread(target=_take, args=(workspace, steps))
    threads.start()
    yield
    threads.join(120)
    assert not threads.is_alive(), "the sweep was over before all that was to happen had happened"


def _take(workspace: Path, steps: tuple[tuple[int, Callable[[], None]], ...]) -> None:
    deadline = time.monotonic() + 100
    for lines, act in steps:
        while (
            sum(file.read_bytes().count(b"\n") for file in workspace.glob("sweeps/*/journal.jsonl")) < lines
        ):
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)
        act()


def _lines_written(workspace: Path) -> int:
    return sum(file.read_bytes().count(b"\n") for file in workspace.glob("sweeps/*/journal.jsonl"))


def check_whole(workspace: Path, url: str) -> int:
    """Nothing missing, nothing double: a finished run per trial with every point of its curve, once."""
    place = Workspace(workspace)
    sweep_id = place.find_sweep()
    state = replay(read_journal(place.journal_file(sweep_id)))
    client = MlflowClient(url)
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id], f"tags.`sweep.{sweep_id}` != ''", max_results=1000)
    assert sorted(run.data.tags["trial_key"] for run in runs) == sorted(state.trials)
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        content = child_content(state, state.trials[run.data.tags["trial_key"]], "", alive=False)
        there = sorted(
            (name, point.step, point.value, point.timestamp)
            for name in run.data.metrics
            for point in client.get_metric_history(run.info.run_id, name)
        )
        assert there == sorted((p.key, p.step, p.value, p.timestamp) for p in content.points)
        assert content.params.items() <= run.data.params.items()
        assert run.inputs.dataset_inputs
    (parent,) = client.search_runs(
        [experiment.experiment_id], f"tags.sweep_id = '{sweep_id}' and tags.kind = 'sweep'"
    )
    assert parent.info.status == "FINISHED"
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {parent.info.run_id}
    assert {item.path for item in client.list_artifacts(parent.info.run_id)} >= {"report.md", "report.html"}
    return len(runs)


def test_a_database_that_crashes_during_a_sweep_loses_and_doubles_nothing(tracking_server, tmp_path, caplog):
    database, runs = tracking_server.database, tmp_path / "runs"
    with (
        caplog.at_level(logging.WARNING),
        meanwhile(
            runs,
            (15, database.restart),
            (40, database.restart),
            (60, database.stop),
            (90, database.start),
        ),
    ):
        assert sweep(runs, tracking_server.url) == 0
    assert "does not follow, tried again" in caplog.text, "the crashes did not reach the mirror"
    assert check_whole(runs, tracking_server.url) > 15
    assert "postgresql" in tracking_server.store
