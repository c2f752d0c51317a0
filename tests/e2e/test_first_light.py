"""The whole way, on the real model, real text, a real Ray and a real MLflow store; small numbers of steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

import bios_sweep
from bios_sweep.cli.main import main
from bios_sweep.defaults import read_tuned
from bios_sweep.mirror.mlflow.tracker import default_tracking_uri
from bios_sweep.records.workspace import Workspace

SMALL = [
    "baseline.batch_size=8",
    "budget.max_steps=6",
    "budget.measurements=2",
    "data.eval_examples=32",
    "decision.confirmation_seeds=2",
    "seeds=[0,1,2]",
]

pytestmark = pytest.mark.figures


def run_sweep(*arguments: str) -> int:
    return main(["run", *SMALL, *arguments])


@pytest.fixture(scope="module")
def finished(tmp_path_factory, ray_session):
    """A learning-rate and rank study over Ray, mirrored to SQLite."""
    workspace = tmp_path_factory.mktemp("first-light")
    factors = "sweeps.factors={learning_rate:{multiply:[0.5,2]},lora_rank:{values:[8,64]}}"
    assert run_sweep("sweeps=defaults", "~sweeps.factors", f"+{factors}", f"workspace={workspace}") == 0
    return workspace


def runs_of(workspace: Path, kind: str) -> list:
    client = MlflowClient(default_tracking_uri(Workspace(workspace)))
    experiments = [item.experiment_id for item in client.search_experiments() if item.name != "Default"]
    return client.search_runs(experiments, f"tags.kind = '{kind}'", max_results=1000)


def test_one_command_ends_with_a_verdict_per_factor(finished):
    sweep = bios_sweep.open(finished)
    assert [verdict.factor for verdict in sweep.verdicts] == ["learning_rate", "lora_rank"]
    counts = sweep.summary.counts
    assert counts.planned == counts.completed + counts.diverged + counts.failed
    assert counts.failed == 0
    assert counts.waiting == 0


def test_training_on_real_text_improves_on_the_untouched_model(finished):
    curves = bios_sweep.open(finished).curves
    starts = {point["eval_loss"] for point in curves if point["step"] == 0}
    ends = [point["eval_loss"] for point in curves if point["fraction"] == 1.0]
    assert len(starts) == 1  # the untouched model is one model, whatever the arm and the seed
    assert max(ends) < starts.pop()


def test_the_loss_per_evaluation_example_is_kept(finished):
    sweep = bios_sweep.open(finished)
    trial = sweep.trials[0]
    with np.load(finished / "trials" / trial["trial_key"] / "eval.npz") as kept:
        assert len(kept["nats"]) == 32
        assert kept["nats"].sum() / kept["tokens"].sum() == pytest.approx(trial["value"], abs=1e-9)


def test_mlflow_holds_one_finished_run_per_trial_below_one_sweep(finished):
    sweep = bios_sweep.open(finished)
    trials, parents = runs_of(finished, "trial"), runs_of(finished, "sweep")
    assert {run.info.status for run in [*trials, *parents]} == {"FINISHED"}
    assert sorted(run.data.tags["trial_key"] for run in trials) == sorted(
        t["trial_key"] for t in sweep.trials
    )
    assert len(parents) == 1
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} == {parents[0].info.run_id}
    assert float(trials[0].data.params["learning_rate"]) > 0
    assert trials[0].inputs.dataset_inputs
    assert "learning_rate" in parents[0].data.tags["mlflow.note.content"]


def test_the_tuned_defaults_carry_the_verdicts(finished):
    sweep = bios_sweep.open(finished)
    tuned = read_tuned(sweep.folder / "bios_defaults.json")
    assert {name: item.verdict for name, item in tuned.evidence.items()} == {
        verdict.factor: verdict.verdict for verdict in sweep.verdicts
    }
    assert tuned.key.family == "llama"


def test_the_figures_and_the_adapter_of_the_recommended_arm_are_kept(finished):
    sweep = bios_sweep.open(finished)
    assert (sweep.folder / "figures" / "effects.png").stat().st_size > 5000
    adapters = {path.parent.name for path in (finished / "trials").glob("*/adapter")}
    arms = {trial["trial_key"]: trial["arm"] for trial in sweep.trials}
    assert len({arms[key] for key in adapters}) == 1


def test_the_same_study_inline_gives_the_same_losses_to_the_bit(finished, tmp_path):
    factors = "+sweeps.factors={learning_rate:{multiply:[0.5]}}"
    code = run_sweep(
        "sweeps=defaults",
        "~sweeps.factors",
        factors,
        "seeds=[0,1]",
        "decision.confirmation_seeds=0",
        "cluster=inline",
        "tracking=none",
        f"workspace={tmp_path}",
    )
    assert code == 0
    over_ray = {trial["trial_key"]: trial["value"] for trial in bios_sweep.open(finished).trials}
    inline = {trial["trial_key"]: trial["value"] for trial in bios_sweep.open(tmp_path).trials}
    assert len(inline) == 4
    assert {key: over_ray[key] for key in inline} == inline


def test_the_baseline_run_again_under_another_name_has_an_effect_of_exactly_zero(tmp_path, capsys):
    code = run_sweep(
        "sweeps=aa", "seeds=[0,1]", "cluster=inline", "tracking=none", f"workspace={tmp_path}", "--json"
    )
    verdict = json.loads(capsys.readouterr().out)["verdicts"][0]
    assert code == 0
    assert (verdict["effect_percent"], verdict["lower"], verdict["upper"]) == (0.0, 0.0, 0.0)
    assert len(list((tmp_path / "trials").glob("*/result.json"))) == 4  # it did run twice per seed
