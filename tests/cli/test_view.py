"""`bios_sweep.open`: the read-only view of a sweep."""

from __future__ import annotations

import pytest

import bios_sweep
from bios_sweep.cli.main import main
from bios_sweep.errors import InputError, StorageError

DEMO = ("run", "sweeps=demo", "model=planted", "cluster=inline", "--json")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """One finished sweep; the tests only read it."""
    root = tmp_path_factory.mktemp("view") / "runs"
    assert main([*DEMO, f"workspace={root}"]) == 0
    return root


def test_trials_are_the_rows_of_the_results_table(workspace):
    trials = bios_sweep.open(workspace, "demo").trials
    baseline = [row for row in trials if row["arm"] == "baseline" and row["stage"] == "screening"]
    assert [row["seed"] for row in baseline] == [0, 1, 2]
    assert {row["status"] for row in trials} <= {"completed", "diverged"}
    assert all(isinstance(row["value"], float) for row in trials if row["status"] == "completed")


def test_curves_rise_in_steps_and_end_at_the_trials_value(workspace):
    sweep = bios_sweep.open(workspace, "demo")
    (row,) = [row for row in sweep.trials if row["arm"] == "baseline" and row["seed"] == 0]
    curve = [point for point in sweep.curves if point["arm"] == "baseline" and point["seed"] == 0]
    assert [point["step"] for point in curve] == [0, 20, 40, 60, 80, 100]
    assert curve[-1]["eval_loss"] == row["value"]
    assert curve[0]["eval_loss"] == 3.0


def test_verdicts_are_one_per_factor(workspace):
    verdicts = bios_sweep.open(str(workspace), "demo").verdicts
    assert [verdict.factor for verdict in verdicts] == ["learning_rate", "lora_rank"]


def test_tuned_defaults_serve_only_what_was_confirmed_or_refined(workspace):
    sweep = bios_sweep.open(workspace, "demo")
    reached = {verdict.factor: verdict.verdict for verdict in sweep.verdicts}
    assert sweep.tuned_defaults is not None
    for factor, verdict in reached.items():
        assert (factor in sweep.tuned_defaults.values) == (verdict in ("confirm", "refine"))


def test_the_latest_sweep_opens_without_a_name_and_any_by_its_id(workspace):
    latest = bios_sweep.open(workspace)
    assert latest.sweep_id.startswith("demo-")
    assert bios_sweep.open(workspace, latest.sweep_id).verdicts == latest.verdicts


def test_a_view_changes_nothing(workspace):
    def stamps():
        return {path: path.stat().st_mtime_ns for path in workspace.rglob("*")}

    before = stamps()
    sweep = bios_sweep.open(workspace, "demo")
    assert sweep.trials
    assert sweep.curves
    assert sweep.verdicts
    assert sweep.tuned_defaults
    assert stamps() == before


def test_an_unknown_sweep_is_refused_with_what_is_there(workspace, tmp_path):
    with pytest.raises(InputError, match=r"no sweep 'dmeo'; there are demo-"):
        bios_sweep.open(workspace, "dmeo")
    with pytest.raises(InputError, match="no sweep yet; start one with"):
        bios_sweep.open(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_sweep_that_has_only_a_plan_is_empty_not_an_error(workspace, tmp_path):
    folder = tmp_path / "runs/sweeps" / bios_sweep.open(workspace).sweep_id
    folder.mkdir(parents=True)
    plan = workspace / "sweeps" / folder.name / "plan.json"
    (folder / "plan.json").write_text(plan.read_text())
    sweep = bios_sweep.open(tmp_path / "runs", "demo")
    assert (sweep.trials, sweep.curves, sweep.tuned_defaults) == ([], [], None)


@pytest.mark.parametrize("content", ["{", "{}", '{"study": {"name": "demo"}, "command": ""}'])
def test_a_damaged_plan_is_told_by_its_path(tmp_path, content):
    folder = tmp_path / "runs/sweeps/demo-12345678"
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(content)
    with pytest.raises(StorageError, match=r"demo-12345678/plan\.json"):
        bios_sweep.open(tmp_path / "runs", "demo")
