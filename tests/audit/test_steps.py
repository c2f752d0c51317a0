"""Exports with a row per step, parents of other runs, charts: one row per run, or what to export instead."""

from __future__ import annotations

import pytest

from tests.audit.conftest import BETTER, csv_of, kinds, runs_of, words

LR = ("--baseline", "lr=2e-4")


def stepped(rows, steps=(100, 200, 300)):
    """Every run at every step, worse the earlier it is."""
    return [
        {
            **run,
            "run_name": f"r{number}",
            "step": step,
            "eval_loss": float(run["eval_loss"]) + (300 - step) / 100,
        }
        for number, run in enumerate(rows)
        for step in steps
    ]


@pytest.mark.parametrize("without", [(), ("run_name",), ("seed",)])
def test_the_last_step_of_each_run_is_its_outcome(audited, without):
    rows = [{k: v for k, v in row.items() if k not in without} for row in stepped(runs_of(BETTER))]
    answer = audited(csv_of(rows), *LR)
    assert answer["counts"]["planned"] == 20
    assert "a row per step: the last of each of 20 runs is its outcome" in answer["notes"]
    expected = "screening only" if "seed" in without else "refine (unconfirmed)"
    assert words(answer) == {"learning_rate": expected}


def test_a_run_that_ended_early_has_no_outcome(audited):
    rows = [row for row in stepped(runs_of(BETTER)) if not (row["run_name"] == "r3" and row["step"] == 300)]
    answer = audited(csv_of(rows), *LR)
    assert answer["counts"]["failed"] == 1
    assert any("1 of 20 runs ended before step 300" in note for note in answer["notes"])


def test_cells_that_a_step_did_not_measure_are_filled_from_earlier_ones(audited):
    rows = stepped(runs_of(BETTER))
    rows += [{**row, "step": 310, "eval_loss": ""} for row in rows if row["step"] == 300]
    assert words(audited(csv_of(rows), *LR)) == {"learning_rate": "refine (unconfirmed)"}


@pytest.mark.parametrize(
    "rows, sentence",
    [
        ([{"step": s, "eval_loss": 2 - s / 10} for _ in range(2) for s in range(4)],
         "has a row per step, and no column says which run a row belongs to"),
        ([{"trial_id": "a", "training_iteration": s, "eval_loss": 2 - s} for s in range(4)],
         "is the course of one run (a row per training_iteration), and one run compares nothing"),
        ([{"step": s, **{f"{r} - loss{end}": 2 for r in "ab" for end in ("", "__MIN")}} for s in range(3)],
         "it is the export of a chart: a row per step and a column for each of 2 runs"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_apart_says_what_to_export(refused, rows, sentence):
    told = refused(csv_of(rows))
    assert sentence in told
    assert "export the table of runs (a row per run, with its settings, seed and final metric)" in told


def test_a_chart_is_compared_by_the_names_of_its_runs(audited):
    rows = [{"step": s, "a - loss": 5 - s, "b - loss": 6 - s} for s in range(3)]
    answer = audited(csv_of(rows), "--arm", "Name", "--baseline", "a")
    assert words(answer) == {"arm": "screening only"}


def test_a_number_of_epochs_that_differs_between_runs_is_no_step(audited):
    rows = [{**run, "run_name": run["lr"], "epoch": place} for place, run in enumerate(runs_of(BETTER))]
    assert audited(csv_of(rows), *LR)["counts"]["planned"] == 20


@pytest.mark.parametrize("seeded", [True, False])
def test_a_parent_run_holds_others_and_is_no_run(audited, seeded):
    rows = [
        {"run_id": f"r{n}", "status": "FINISHED", "params.lr": run["lr"], "params.seed": run["seed"],
         "metrics.eval_loss": run["eval_loss"], "tags.mlflow.parentRunId": "top"}
        for n, run in enumerate(runs_of(BETTER))
    ]  # fmt: skip
    rows.append({"run_id": "top", "status": "FINISHED"} | ({} if seeded else {"params.seed": ""}))
    answer = audited(csv_of(rows), *LR)
    assert "1 parent run holds others and is set aside" in answer["notes"]
    assert answer["counts"]["planned"] == 20


def test_running_crashed_and_pruned_runs_are_set_aside_and_counted(audited):
    rows = [{**run, "state": "COMPLETE"} for run in runs_of(BETTER, seeds=range(8))]
    for row, state in zip((9, 18, 27), ("RUNNING", "crashed", "PRUNED"), strict=True):
        rows[row]["state"] = state
    answer = audited(csv_of(rows), *LR)
    assert answer["counts"] == {"planned": 32, "completed": 29, "diverged": 0, "failed": 3}
    assert "failed_runs" in kinds(answer)


def test_a_failed_run_without_a_seed_does_not_stop_the_others(audited):
    rows = [{**run, "state": "finished"} for run in runs_of(BETTER)]
    rows.append({"lr": "8e-4", "seed": "", "eval_loss": "", "state": "failed"})
    answer = audited(csv_of(rows), *LR)
    assert any("1 run without seed and without outcome set aside" in note for note in answer["notes"])
