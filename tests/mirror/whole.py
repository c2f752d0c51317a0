"""Whether an MLflow store has a sweep whole: nothing missing, nothing double."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient

from bios_sweep.mirror.content import child_content
from bios_sweep.records.reading import read_journal
from bios_sweep.records.replay import replay
from bios_sweep.records.workspace import Workspace


def check_whole(workspace: Path, url: str) -> int:
    """A finished run per trial with every point of its curve, once, below the sweep's own; how many."""
    place = Workspace(workspace)
    sweep_id = place.find_sweep()
    state = replay(read_journal(place.journal_file(sweep_id)))
    client = MlflowClient(url)
    experiment = client.get_experiment_by_name(state.facts["scenario"])
    runs = client.search_runs([experiment.experiment_id], f"tags.`sweep.{sweep_id}` != ''", max_results=1000)
    runs = [run for run in runs if "trial_key" in run.data.tags]  # the sweep's own run is among them
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
