"""A column per seed, a row per metric, means in place of runs: as runs where they are told."""

from __future__ import annotations

import pytest

from bios_sweep.audit.shapes import arms_and_seeds
from tests.audit.conftest import WORSE, csv_of, renamed, runs_of, words

LR = ("--baseline", "lr=2e-4")
RUNS = runs_of(WORSE, seeds=range(3))


def wide(*names):
    """A column per seed and metric; each name has a place for the seed."""
    cells = {(run["lr"], run["seed"]): run["eval_loss"] for run in RUNS}
    return csv_of(
        {"lr": lr, **{name.format(seed): cells[lr, seed] for name in names for seed in range(3)}}
        for lr in WORSE
    )


@pytest.mark.parametrize("name", ["seed_{}", "Seed {}", "s{}"])
def test_a_column_per_seed_is_a_run_per_cell(audited, name):
    answer = audited(wide(name), *LR, "--value", "eval_loss")
    assert answer["verdicts"] == audited(csv_of(RUNS), *LR)["verdicts"]
    assert "a column per seed" in answer["notes"][0]


@pytest.mark.parametrize(
    "name", ["eval_loss_seed_{}", "eval_loss_s{}", "eval_loss (seed {})", "eval_loss/seed={}"]
)
def test_columns_of_seeds_tell_their_metric(audited, name):
    assert audited(wide(name), *LR)["judged_on"] == "eval_loss, smaller is better"


def test_columns_of_seeds_of_several_metrics_or_of_none_are_asked_about(audited, refused):
    assert "name one with --value: eval_loss, acc" in refused(wide("eval_loss_s{}", "acc_s{}"), *LR)
    answer = audited(wide("eval_loss_s{}", "acc_s{}"), *LR, "--value", "eval_loss")
    assert words(answer) == {"learning_rate": "confirm"}
    assert "does not say which way is better" in refused(wide("seed_{}"), *LR)


def test_a_row_per_metric_is_judged_on_the_one_that_is_named(audited, refused):
    rows = [
        {**run, "metric": name} for run in renamed(RUNS, eval_loss="value") for name in ("eval_loss", "f1")
    ]
    assert "keep the rows of one, as --value eval_loss does" in refused(csv_of(rows), *LR)
    answer = audited(csv_of(rows), *LR, "--value", "eval_loss")
    assert answer["judged_on"] == "eval_loss, smaller is better"
    assert words(answer) == {"learning_rate": "confirm"}


def test_means_are_no_runs(audited, refused):
    means = [{"lr": lr, "eval_loss_mean": 1.2 + more, "eval_loss_std": 0.01} for lr, more in WORSE.items()]
    answer = audited(csv_of(means), *LR)
    assert words(answer) == {"learning_rate": "screening only"}
    assert "eval_loss_mean looks like a mean over runs" in str(answer["notes"])
    for written in ("1.21 \u00b1 0.01", "1.21 +/- 0.01", "1.21 (0.01)"):
        rows = [{"lr": lr, "eval_loss": written} for lr in WORSE]
        assert "is a mean with its spread; give the runs, a row per seed" in refused(csv_of(rows), *LR)


@pytest.mark.parametrize("name", ["config/train_loop_config/seed", "config.training.seed"])
def test_a_seed_goes_by_the_end_of_its_path(audited, name):
    answer = audited(csv_of(renamed(RUNS, seed=name, lr="config/train_loop_config/lr")), *LR)
    assert answer["columns"]["seed"] == name
    assert words(answer) == {"learning_rate": "confirm"}


def test_a_rate_that_was_logged_is_no_setting(audited):
    rows = [{**run, "train/learning_rate": f"{number}e-9"} for number, run in enumerate(RUNS)]
    assert audited(csv_of(rows), *LR)["columns"]["settings"] == {"learning_rate": "lr"}


def named(runs, name="lr{lr}_s{seed}", **more):
    """Runs whose names alone tell the seed."""
    return [
        {"run_name": name.format(**run), **more, **{key: cell for key, cell in run.items() if key != "seed"}}
        for run in runs
    ]


def test_names_that_tell_the_seed_may_come_again_for_another_model(audited):
    rows = [
        {key: cell for key, cell in row.items() if key != "lr"}
        for model in ("enc-a", "enc-b")
        for row in named(RUNS, model_name=model)
    ]
    answer = audited(csv_of(rows), "--arm", "run_name", "--baseline", "lr2e-4")
    assert "arm and seed of every run are read from its name (lr1e-4_s0: seed 0)" in answer["notes"]
    assert {verdict["verdict"] for verdict in answer["verdicts"]} == {"confirm"}
    assert answer["seeds"] == [0, 1, 2]


def test_names_beside_settings_tell_the_seed(audited):
    answer = audited(csv_of(named(RUNS)), *LR)
    assert answer["verdicts"] == audited(csv_of(RUNS), *LR)["verdicts"]
    assert "the seed of every run is read from its name (lr1e-4_s0: seed 0)" in answer["notes"]


@pytest.mark.parametrize("name, arms", [("{}-s{}", 6), ("{}-seed{}", 2)])
def test_a_scale_that_doubles_is_no_seed(name, arms):
    names = [name.format(one, scale) for one in ("lora", "dora") for scale in (1, 2, 4)]
    told = arms_and_seeds(names, [()] * len(names))
    assert len(set(names if told is None else told[0])) == arms
