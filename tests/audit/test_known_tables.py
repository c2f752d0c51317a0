"""Tables of the kinds that people export, each with what is right for it: a word, or the sentence that helps.

Their structure is as trackers and people write it; all numbers are ours.
"""

from __future__ import annotations

import random

import pytest

from tests.audit.conftest import BETTER, WORSE, csv_of, renamed, runs_of, words

THREE = {"1e-4": 0.03, "2e-4": 0.0, "4e-4": 0.03}
DATES = {"datetime_start": "2026-01-01 10:00:00", "duration": "0 days 00:05:00"}
MLFLOW = {"experiment_id": "1", "status": "FINISHED", "artifact_uri": "file:D:/Work Files/mlruns/1"}
RAY = {"done": "True", "training_iteration": 10, "time_total_s": 31.2, "node_ip": "10.0.0.5"}


def search(count: int = 24) -> list[dict[str, object]]:
    """A search: every run has settings of its own."""
    draw = random.Random(5)
    return [
        {
            "trial_number": number,
            "lrate": 10 ** draw.uniform(-5, -3),
            "wdecay": 10 ** draw.uniform(-6, -3),
            "optimizer": draw.choice(["Adam", "AdamW", "Ranger"]),
            "llm_layer": draw.randint(1, 4),
            "loss": 23 + draw.random(),
        }
        for number in range(count)
    ]


def grid() -> list[dict[str, object]]:
    """Two settings that cross, both under names that nobody knows."""
    cells = {f"{gate} {tilt}": more + most for gate, more in (("0.1", 0.0), ("0.2", 0.04), ("0.4", 0.09))
             for tilt, most in (("3", 0.0), ("7", 0.05))}  # fmt: skip
    rows = runs_of(cells, "cell")
    return [
        {"gate": str(row["cell"]).split()[0], "tilt": str(row["cell"]).split()[1], **row, "cell": ""}
        for row in rows
    ]


def together() -> list[dict[str, object]]:
    """A rate under another name that moves with the batch size."""
    rate = {"32": "1e-4", "64": "2e-4", "128": "4e-4"}
    return [
        {"lrate": rate[str(run["batch_size"])], **run}
        for run in runs_of({"32": 0.01, "64": 0.0, "128": -0.1}, "batch_size", metric="test_loss")
    ]


def frame(model: str = "enc-base") -> list[dict[str, object]]:
    """Optuna's trials_dataframe of a grid over a rate and a model, one run of each."""
    rows = renamed(runs_of(THREE, "params_learning_rate", seeds=[0]), eval_loss="value", seed="number")
    states = ("COMPLETE", "RUNNING", "COMPLETE")
    return [
        {**row, **DATES, "params_model_name": name, "state": state}
        for name in (model, "enc-small")
        for row, state in zip(rows, states if name == model else ("COMPLETE",) * 3, strict=True)
    ]


def nested() -> list[dict[str, object]]:
    """MLflow's search_runs of a parent and its nested runs."""
    rows = renamed(
        runs_of({lr: -more for lr, more in WORSE.items()}, "params.lr", metric="metrics.rougeL"),
        seed="params.seed",
    )
    children = [
        {"run_id": f"c{n}", **MLFLOW, **row, "tags.mlflow.parentRunId": "p"} for n, row in enumerate(rows)
    ]
    return [*children, {"run_id": "p", **MLFLOW}]


def chart(name: str) -> str:
    """A chart of W&B: a row per step, columns per run; name: of a run, by rank and seed."""
    runs = [name.format(rank, seed) for rank in (8, 16) for seed in range(3)]
    names = [f"{run} - eval/loss{end}" for run in runs for end in ("", "__MIN", "__MAX")]
    return csv_of({"Step": step, **dict.fromkeys(names, 2.4 - step / 100)} for step in (50, 100))


def runs_table() -> list[dict[str, object]]:
    """W&B's table of runs: settings without a prefix, two metrics, a crashed run."""
    rows = [
        {"Name": f"w{run['weight_bits']}", "State": "finished", "Created": "2025-12-13", "Runtime": 45, **run,
         "test_acc": f"{80 - 20 * float(str(run['test_loss'])):.2f}"}
        for run in runs_of({"8": 0.0, "4": 0.3, "2": 0.9}, "weight_bits", metric="test_loss")
    ]  # fmt: skip
    return [*rows, {**rows[0], "State": "crashed", "seed": 99, "test_loss": "", "test_acc": ""}]


RANKS = [
    {
        "run_name": f"r{rank}_a{alpha}",
        "r": rank,
        "lora_alpha": alpha,
        "eval_acc": 0.7 + rank / 1000 + alpha / 9000,
    }
    for rank in (4, 8, 16)
    for alpha in (rank, 2 * rank)
]
NAMED = [
    {"name": f"lr_{number}e4", "baseline_wer": 1.0, "final_wer": wer, "elapsed_min": 9.5, "phase": "lr"}
    for number, wer in ((1, 0.281), (3, 0.205), (5, 0.236))
]
RATES = [{"learning_rate": lr, "accuracy": acc, "macro_f1": acc} for lr, acc in ((1e-5, 0.62), (5e-5, 0.63))]
TRIALS = renamed(runs_of(WORSE, "config/lr"), seed="config/seed")
COURSE = [
    {"eval_loss": 2 - step / 10, "training_iteration": step, "trial_id": "ab_0", **DATES}
    for step in (1, 2, 3)
]
VALUES = renamed(runs_of(WORSE, "params_lr"), seed="params_seed", eval_loss="value")
OWN_SEEDS = [{**run, "seed": 100 + 37 * n} for n, run in enumerate(runs_of(WORSE, shift=0.0))]

LR = ("--baseline", "lr=2e-4")
WORD = {  # a table, its flags, and the word of each setting (and context)
    "a grid over names that nobody knows": (
        grid(), ("--baseline", "gate=0.1,tilt=3"),
        {"gate": "confirm", "tilt": "confirm", "gate + tilt": "confirm"},
    ),
    "a rate that moves with the batch": (
        together(), ("--baseline", "batch_size=64"),
        {"learning_rate + batch_size": "inconclusive"},
    ),
    "an Optuna grid over two models": (
        frame(), ("--direction", "minimize", "--baseline", "learning_rate=2e-4"),
        {"learning_rate, params_model_name=enc-base": "inconclusive",
         "learning_rate, params_model_name=enc-small": "screening only"},
    ),
    "nested runs of MLflow": (nested(), ("--value", "rougeL", *LR), {"learning_rate": "confirm"}),
    "a table of runs of W&B": (
        runs_table(), ("--value", "test_acc", "--baseline", "weight_bits=8"), {"weight_bits": "confirm"},
    ),
    "names and two rates of errors": (
        NAMED, ("--arm", "name", "--value", "final_wer", "--baseline", "lr_3e4"), {"arm": "screening only"},
    ),
    "one run of every rate": (RATES, ("--baseline", "lr=5e-5"), {"learning_rate": "screening only"}),
    "results of Ray": ([{**row, **RAY} for row in TRIALS], LR, {"learning_rate": "confirm"}),
    "a maximised study": (
        VALUES, ("--direction", "maximize", *LR), {"learning_rate": "inconclusive"},  # 8e-4 ends the grid
    ),
    "a seed for every run": (OWN_SEEDS, LR, {"learning_rate": "confirm"}),
}  # fmt: skip

SENTENCE = {  # a table, its flags, and what is said in place of an answer
    "a search": (search(), (), "which of the 24 combinations of settings is the default?"),
    "a search without a repeat": (search(), (), "no combination was run twice"),
    "an Optuna study without a direction": (VALUES, LR, "the name 'value' does not say which way is better"),
    "two metrics of MLflow": (
        [{**row, "metrics.rouge2": 0.2} for row in nested()], (), "name it with --value COL: metrics.rougeL",
    ),
    "a default that never ran": (
        nested(), ("--value", "rougeL", "--baseline", "lr=3e-4"),
        'no run has \'lr=3e-4\'; the nearest are "learning_rate=0.0004" (5 runs)',
    ),
    "a rank with two alphas": (
        RANKS, ("--baseline", "r=8,lora_alpha=16"),
        "are both lora_rank 16 and differ in lora_alpha (16 and 32), which follows lora_rank in one of them; "
        "say --setting lora_alpha",
    ),
    "names without a setting": (NAMED, (), "name the arms' column with --arm COL, such as --arm name"),
    "the course of one trial": (COURSE, (), "is the course of one run (a row per training_iteration)"),
}  # fmt: skip


@pytest.mark.parametrize("name", WORD)
def test_a_known_table_comes_to_the_word_that_it_carries(audited, name):
    rows, flags, expected = WORD[name]
    assert words(audited(csv_of(rows), *flags, "decision.purpose=publish")) == expected


@pytest.mark.parametrize("name", SENTENCE)
def test_a_known_table_that_lacks_something_is_answered_by_what_it_lacks(refused, name):
    rows, flags, sentence = SENTENCE[name]
    assert sentence in refused(csv_of(rows), *flags)


def test_a_chart_says_what_to_export(refused):
    assert "it is the export of a chart" in refused(chart("lora_r{}_{}"), "--baseline", "lora_r8_0")


def test_a_better_level_is_told_and_not_served(audited):
    answer = audited(
        csv_of([{**row, **RAY} for row in renamed(runs_of(BETTER, "config/lr"), seed="config/seed")]), *LR
    )
    assert words(answer) == {"learning_rate": "refine (unconfirmed)"}
    assert answer["served"] == {}
