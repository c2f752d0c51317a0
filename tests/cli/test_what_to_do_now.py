"""What a person is told to do now where a study came to nothing, through the command line."""

from __future__ import annotations

import json
import shlex

import pytest

from bios_sweep.cli.main import main

WORLD = ("sweeps=learning_rate", "model=planted", "cluster=inline", "workspace=ws", "tracking=none")
WORLD = (*WORLD, "decision.looks=[3]", "baseline.learning_rate=2e-4")
FALLS = "+model.planted.metrics.accuracy={{value: 0.6, noise_percent: 0.2, truth: {{learning_rate: {}}}}}"
KEEPS = "decision.metrics={eval_loss: {role: decides}, accuracy: {role: must not lose, margin_points: 1}}"


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*words, code=0):
        found = main(["run", *words, "--json"])
        out, err = capsys.readouterr()
        assert found == code, err
        (verdict,) = json.loads(out)["verdicts"]
        return verdict

    return call


def fails(cells, why="boom"):
    return f"+model.planted.fail={{{', '.join(f'{cell}: {why}' for cell in cells)}}}"


def every(arm):
    return [f"{arm}/{seed}" for seed in range(3)]


def test_where_every_level_diverged_levels_nearer_to_the_default_are_the_next_step(run):
    wide = ("model.planted.wall=1.2e-4", "baseline.learning_rate=1e-5")
    verdict = run(*WORLD, *wide, "sweeps.factors.learning_rate.multiply=[16,64]")
    assert verdict["advice"].endswith("Keep 0.00001: every other level that was tested diverged")
    step = verdict["now"]["step"]
    assert (step["kind"], step["levels"], step["trials"]) == ("levels nearer to the default", [4e-5], 3)
    assert "multiply=[4,16,64]" in step["command"]
    after = run(*shlex.split(step["command"])[2:])
    assert after["sentence"] != verdict["sentence"] == "every variation diverged"


def test_no_coarser_margin_is_advised_for_a_grid_that_ended_because_its_next_level_failed(run):
    verdict = run(*WORLD, fails(every("learning_rate x4"), "CUDA out of memory"), code=3)
    assert "x4 was not tested: it failed at every seed (out of memory)" in verdict["reasons"]
    assert "Use 0.0004: it is better" in verdict["advice"]
    assert verdict["now"].get("step") is None


def test_where_all_levels_failed_their_trials_are_the_next_step(run):
    cells = [cell for times in ("0.25", "0.5", "2", "4") for cell in every(f"learning_rate x{times}")]
    verdict = run(*WORLD, fails(cells), code=3)
    assert verdict["advice"].endswith("Keep 0.0002: trials of every other level failed")
    step = verdict["now"]["step"]
    assert (step["kind"], step["trials"]) == ("the failed trials again", 12)


def test_a_failed_baseline_and_a_single_seed_left_say_that_trials_failed(run):
    for cells in (every("baseline"), every("baseline")[:2]):
        verdict = run(*WORLD, fails(cells), f"workspace=ws{len(cells)}", code=3)
        assert verdict["advice"].endswith("trials failed, so that too little is left to compare")
        assert verdict["now"]["step"]["trials"] == len(cells)


def test_a_better_level_that_may_lose_what_must_not_be_lost_is_not_the_one_to_use(run):
    """The best loss lies at the end of the grid, where the accuracy is gone."""
    verdict = run(*WORLD, FALLS.format("{critical: 2e-4, cost: -6}"), KEEPS)
    assert verdict["reasons"] == ["edge: the best level x4 ends the grid"]
    assert verdict["now"]["costs"] == ["accuracy"]
    assert "Keep 0.0002: 0.0008 is better by 4." in verdict["advice"]
    assert verdict["advice"].endswith("and a loss that matters in accuracy is not excluded there")
    kept = run(*WORLD, FALLS.format("{critical: 8e-4, cost: -6}"), KEEPS)
    assert "Use 0.0008: it is better" in kept["advice"]


def test_a_guardrail_that_breaks_on_fresh_seeds_is_told_with_what_to_do(run):
    world = ("model.planted.truth.learning_rate={optimum: 4e-4, curvature: 2}",)
    verdict = run(*WORLD, *world, FALLS.format("{critical: 2e-4, cost: -6}"), KEEPS)
    assert verdict["reasons"][0].startswith("guardrail accuracy: -3.")
    assert "0.0004 is better on fresh seeds, and a loss that matters in accuracy" in verdict["advice"]
