"""Further tables of the kinds that people bring: other trackers, names, directions, crashes, confounding.

Each comes to the word that it carries, or is answered by the sentence that helps.
"""

from __future__ import annotations

import json
import math
import random

import pytest

from bios_sweep.cli.main import main
from tests.audit.conftest import WORSE, csv_of, flaw, renamed, runs_of, words

LR = ("--baseline", "lr=2e-4")
CONFIRM, OPEN = {"learning_rate": "confirm"}, {"learning_rate": "inconclusive"}
RUNS = runs_of(WORSE)
NESTED = [
    {"run_id": f"k{n}", "status": "FINISHED", "params.lr": run["lr"], "params.seed": run["seed"],
     "metrics.eval_loss": run["eval_loss"], "tags.mlflow.parentRunId": "p"}
    for n, run in enumerate(RUNS)
]  # fmt: skip
RAY = [
    {"eval_loss": run["eval_loss"], "training_iteration": 10, "done": True, "trial_id": f"a_{n:05d}",
     "config/train_loop_config/lr": run["lr"], "config/train_loop_config/seed": run["seed"]}
    for n, run in enumerate(RUNS)
]  # fmt: skip


def levels(column, table, metric="eval_loss", **more):
    """Runs of five seeds; effects and further columns per level."""
    rows = runs_of(table, column, metric=metric)
    return [{**row, **{name: own[row[column]] for name, own in more.items()}} for row in rows]


def marked(rows, **cells):
    """The rows with other cells at some places: column -> place -> cell."""
    return [
        {**row, **{name: own[place] for name, own in cells.items() if place in own}}
        for place, row in enumerate(rows)
    ]


def incumbents():
    """A search of ten points, two of which ran at four seeds."""
    draw = random.Random(3)
    points = [
        {"lr": 10 ** draw.uniform(-5, -3), "momentum": draw.choice([0.8, 0.9, 0.95]), "seed": 0}
        for _ in range(10)
    ]
    again = [{**points[place], "seed": seed} for place in (3, 5) for seed in (1, 2, 3)]
    return [{**point, "val_error": 0.2 + draw.random() / 10} for point in (*points, *again)]


def decimal_commas():
    rows = [(run["lr"], run["seed"], run["eval_loss"]) for run in RUNS]
    lines = (f"{float(lr):.4f};{seed};{loss}".replace(".", ",") for lr, seed, loss in rows)
    return "\n".join(["lr;seed;val_loss", *lines]) + "\n"


def of_models(column, values):
    rows = runs_of(WORSE, "params_lr")
    rows = [{**row, column: value, "state": "COMPLETE"} for value in values for row in rows]
    return renamed(rows, seed="params_seed", eval_loss="value")


def course():
    rows = (
        {"eval_loss": float(run["eval_loss"]) + (3 - step) / 10, "training_iteration": step,
         "trial_id": f"a{n}", "config": {"lr": float(run["lr"]), "seed": run["seed"]}}
        for n, run in enumerate(RUNS) for step in (1, 2, 3)
    )  # fmt: skip
    return "\n".join(map(json.dumps, rows)) + "\n"


def chart(name):
    columns = {
        f"{name.format(rate, seed)} - val/loss": (WORSE[rate], random.Random(seed).gauss(0, 0.01))
        for rate in ("1e-4", "2e-4", "4e-4")
        for seed in range(3)
    }
    draw = random.Random(1)
    return csv_of(
        {"Step": step, **{n: 2 - step / 100 + e + b + draw.gauss(0, 0.002) for n, (e, b) in columns.items()}}
        for step in (10, 20, 30)
    )


def by_epochs(**reached):
    sizes = {32: 0.03, 64: 0.0, 128: 0.03}
    return levels(
        "batch_size", sizes, **{name: dict(zip(sizes, own, strict=True)) for name, own in reached.items()}
    )


BEST = incumbents()[5]
GPUS = {"32": 1, "64": 2, "128": 4}
RANKS = {8: 0.03, 16: 0.0, 32: 0.03}
SHARES = [{**run, "eval_loss": 0.8 - float(str(run["eval_loss"])) / 4} for run in RUNS]
FOLDS = renamed(RUNS, seed="params.fold")
RISEN, GAIN = renamed(SHARES, eval_loss="value"), renamed(RUNS, eval_loss="improvement")
STATES = {3: "crashed", 8: "killed", 13: "running"}
DONE = dict.fromkeys(range(20), "finished")
ENDED = range(15, 20)  # the runs of the largest rate
WORD = {  # a table, its flags, and the word of each setting (and context)
    "decimal commas": (decimal_commas(), LR, CONFIRM),
    "a search whose two best ran again": (
        incumbents(), ("--baseline", f"momentum={BEST['momentum']},lr={BEST['lr']}"),
        {"learning_rate": "screening only", "learning_rate + momentum": "screening only"},
    ),
    "two models of Optuna": (
        of_models("params_model_name", ("a/base", "a/large")), ("--direction", "minimize", *LR),
        {"learning_rate, params_model_name=a/base": "confirm",
         "learning_rate, params_model_name=a/large": "confirm"},
    ),
    "two data sets as attributes": (
        of_models("user_attrs_dataset", ("gsm8k", "mmlu")), ("--direction", "minimize", *LR),
        {"learning_rate, user_attrs_dataset=gsm8k": "confirm",
         "learning_rate, user_attrs_dataset=mmlu": "confirm"},
    ),
    "folds that are named as seeds": (FOLDS, ("--seed", "params.fold", *LR), CONFIRM),
    "folds that are not": (FOLDS, LR, {"learning_rate": "screening only"}),
    "MLflow's page as a table": (
        [{"Run ID": f"{n:032x}", "Name": f"fox-{n}", "Source Name": "t.py", "User": "ann", **run}
         for n, run in enumerate(RUNS)], LR, CONFIRM,
    ),
    "a chart whose names tell the seeds": (
        chart("lr{}-seed{}"), ("--baseline", "lr2e-4"), {"arm": "confirm"},
    ),
    "the same, asked for by its runs": (
        chart("lr{} s{}"), ("--arm", "Name", "--baseline", "lr2e-4"), {"arm": "confirm"},
    ),
    "names of runs that tell the seeds": (
        [{"run_name": f"lr{run['lr']}_s{run['seed']}", "eval_loss": run["eval_loss"]} for run in RUNS],
        ("--arm", "run_name", "--baseline", "lr2e-4"), {"arm": "confirm"},
    ),
    "a setting that nobody knows": (renamed(RUNS, lr="eta"), ("--baseline", "eta=2e-4"), {"eta": "confirm"}),
    "a text that is a setting": (
        levels("recipe", {"plain": 0.0, "mixed": 0.03, "long": -0.03}), ("--baseline", "recipe=plain"),
        {"recipe": "refine (unconfirmed)"},
    ),
    "a truth value": (
        levels("use_packing", {"false": 0.0, "true": 0.03}), ("--baseline", "use_packing=false"),
        {"use_packing": "confirm"},
    ),
    "more devices for more examples": (
        levels("bsz", {"32": 0.03, "64": 0.0, "128": 0.03}, gpus=GPUS), ("--baseline", "bsz=64"),
        {"batch_size + gpus": "inconclusive"},
    ),
    "states of W&B": (marked(RUNS, State=DONE | STATES), LR, CONFIRM),
    "an alpha that follows the rank": (
        levels("r", RANKS, lora_alpha={8: 16, 16: 32, 32: 64}), ("--baseline", "r=16"),
        {"lora_rank": "confirm"},
    ),
    "another alpha rule from some rank on": (
        levels("r", RANKS, use_rslora={8: False, 16: False, 32: True}), ("--baseline", "r=16"),
        {"lora_rank": "inconclusive", "lora_rank + alpha_rule": "inconclusive"},
    ),
    "a rate that falls with the rank": (
        levels("r", RANKS, lr={8: "4e-4", 16: "2e-4", 32: "1e-4"}), ("--baseline", "r=16"),
        {"learning_rate + lora_rank": "inconclusive"},
    ),
    "scores before and after": (
        [{"exp": f"lr{n}", "bleu_before": 3.1, "bleu_after": b} for n, b in ((1, 30.1), (2, 31), (4, 29))],
        ("--arm", "exp", "--value", "bleu_after", "--baseline", "lr2"), {"arm": "screening only"},
    ),
    "means of runs": (
        [{"lr": lr, "accuracy_mean": 0.8 - more, "accuracy_std": 0.01} for lr, more in WORSE.items()], LR,
        {"learning_rate": "screening only"},
    ),
    "two seeds that differ by the same": (
        [{"lr": lr, "seed": seed, "accuracy": 0.8 - more + 0.002 * seed} for lr, more in WORSE.items()
         for seed in (0, 1)], LR, {"learning_rate": "screening only"},
    ),
    "a study whose default was enqueued four times": (
        [{"number": n, "value": 1.1 + n / 1000, "params_lr": 10 ** (-5 + n / 4), "state": "COMPLETE"}
         for n in range(6)]
        + [{"number": n, "value": 1 + n / 1000, "params_lr": 2e-4, "state": "COMPLETE"}
           for n in range(6, 10)],
        ("--direction", "minimize", *LR), {"learning_rate": "screening only"},
    ),
    "settings of Ray within settings": (RAY, LR, CONFIRM),
    "results of Ray, a row per report": (course(), LR, CONFIRM),
    "single trials that a scheduler stopped": (marked(RAY, training_iteration={2: 3, 17: 3}), LR, CONFIRM),
    "levels that a scheduler stopped": (
        marked(RAY, training_iteration=dict.fromkeys([*range(5), *range(15, 20)], 3)), LR, OPEN,
    ),
    "a score as a name of Optuna's": (
        RISEN, ("--direction", "maximize", *LR, "decision.margin_absolute=0.005"), CONFIRM,
    ),
    "a parent with its best child's numbers": (
        [{"run_id": "p", "params.lr": "2e-4", "metrics.eval_loss": 1.1, "status": "FINISHED"}, *NESTED], LR,
        CONFIRM,
    ),
    "children of children": (
        [{"run_id": "p", "status": "FINISHED"},
         *({"run_id": f"m{lr}", "params.lr": lr, "metrics.eval_loss": 1.2, "tags.mlflow.parentRunId": "p"}
           for lr in WORSE),
         *({**row, "tags.mlflow.parentRunId": f"m{row['params.lr']}"} for row in NESTED)], LR, CONFIRM,
    ),
    "crashed children": (marked(NESTED, status={2: "FAILED", 9: "KILLED", 14: "RUNNING"}), LR, OPEN),
    "a crashed child that ran again": (
        [*marked(NESTED, status={2: "FAILED"}), {**NESTED[2], "run_id": "again"}], LR, CONFIRM,
    ),
    "children that tell the same": (
        [{**row, "metrics.eval_loss": 1.5} for row in NESTED], LR, {"learning_rate": "screening only"},
    ),
    "a seed of its own for each run": (
        [{**run, "seed": 12345678901234567890 + 7 * n} for n, run in enumerate(runs_of(WORSE, shift=0.005))],
        LR, CONFIRM,
    ),
    "batch sizes at three epochs": (
        by_epochs(num_train_epochs=(3, 3, 3), global_step=(1800, 900, 450)), ("--baseline", "batch_size=64"),
        {"batch_size": "confirm"},
    ),
    "batch sizes at other epochs": (
        by_epochs(num_train_epochs=(1, 3, 5)), ("--baseline", "batch_size=64"),
        {"batch_size + epochs": "inconclusive"},
    ),
    "epochs that one size did not reach": (
        by_epochs(epoch=(1.7, 3.0, 3.0)), ("--baseline", "batch_size=64"), {"batch_size": "inconclusive"},
    ),
    "no number at one level": (marked(RUNS, eval_loss=dict.fromkeys(ENDED, "nan")), LR, CONFIRM),
    "no memory at one level": (
        marked(RUNS, eval_loss=dict.fromkeys(ENDED, ""), status=DONE | dict.fromkeys(ENDED, "OOM")),
        LR, CONFIRM,
    ),
    "no number at the default": (marked(RUNS, eval_loss={6: "NaN"}), LR, OPEN),
    **{f"a metric called {name}": (renamed(SHARES, eval_loss=name), LR, CONFIRM)
       for name in ("exact_match", "pass@1", "win_rate", "auc_roc")},
    **{f"a metric called {name}": (renamed(RUNS, eval_loss=name), LR, CONFIRM)
       for name in ("perplexity", "neg_log_likelihood", "log_loss", "bits_per_byte", "eval_wer")},
}  # fmt: skip

SENTENCE = {  # a table, its flags, and what is said in place of an answer
    "a search by Hyperopt": (
        [{"tid": n, "loss": 2 + math.sin(n), "lr": 10 ** (-5 + n / 8), "status": "ok"} for n in range(15)],
        (),
        "run your default and the best of these (learning_rate=0.0002371373706) at the same 5 seeds",
    ),
    "one curve of TensorBoard": (
        [{"Wall time": 1.7e9 + n, "Step": n * 10, "Value": 2 - n / 10} for n in range(9)], (),
        "no column says which run a row belongs to",
    ),
    "a chart of MLflow": (
        [{"Run": f"fox-{run}", "metric": "eval_loss", "step": step, "value": 2 - step / 100}
         for run in range(4) for step in (10, 20)], (), "such as --arm Run",
    ),
    "a chart whose names tell no seeds": (
        chart("fox-{}-{}"), (), "or give the runs' names as arms with --arm Name",
    ),
    "one seed for all": ([{**run, "seed": 42} for run in RUNS], LR, "a repeated seed is not a replicate"),
    "two objectives": (
        [{"number": n, "values_0": 1, "values_1": 2, "params_lr": lr} for n, lr in enumerate(WORSE)], LR,
        "(is it 'values_0' or 'values_1'?)",
    ),
    "a speed alone": (
        renamed(RUNS, eval_loss="eval_samples_per_second"), LR, "name the metric's column with --value",
    ),
    "a signed metric": (renamed(RUNS, eval_loss="eval_reward"), LR, "decision.margin_absolute: missing"),
    "a metric that nobody knows": (GAIN, LR, "name the metric's column with --value"),
    "the same, named": (GAIN, ("--value", "improvement", *LR), "does not say which way is better"),
    "the metric as of a sweep": (
        RUNS, ("decision.metric=eval_loss", *LR), "the metric is named by its column, --value eval_loss",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WORD)
def test_a_table_comes_to_the_word_that_it_carries(audited, name):
    rows, flags, expected = WORD[name]
    file = "t.jsonl" if isinstance(rows, str) and rows.startswith("{") else "t.csv"
    assert words(audited(rows if isinstance(rows, str) else csv_of(rows), *flags, name=file)) == expected


@pytest.mark.parametrize("name", SENTENCE)
def test_a_table_that_lacks_something_is_answered_by_what_it_lacks(refused, name):
    rows, flags, sentence = SENTENCE[name]
    assert sentence in refused(rows if isinstance(rows, str) else csv_of(rows), *flags)


def test_values_that_all_repeat_bound_nothing_and_a_metric_that_varies_is_named(audited):
    rows = [{**row, "metrics.eval_loss": 1.5, "metrics.f1": 1 - n / 100} for n, row in enumerate(NESTED)]
    answer = audited(csv_of(rows), *LR)
    assert "judge by one that varies with the seed: --value metrics.f1" in flaw(answer, "zero_variance")
    assert answer["audit"]["supports"] == ["a list of values to plan the next study by, and no verdict"]
    assert "find out why the seed changes nothing" in answer["audit"]["settle"]
    assert "values that repeat at every seed say nothing" in answer["verdicts"][0]["advice"]


def test_a_run_that_was_stopped_has_no_outcome_and_a_run_that_ends_where_it_will_has_one(audited):
    answer = audited(csv_of(marked(RAY, training_iteration={2: 3, 17: 3})), *LR)
    assert answer["counts"] == {"planned": 20, "completed": 18, "diverged": 0, "failed": 2}
    assert "2 runs ended before the others of the same settings (line 4)" in answer["notes"][-1]
    patience = marked(RAY, training_iteration={place: 3 + place for place in range(20)})
    assert audited(csv_of(patience), *LR)["counts"]["failed"] == 0


def test_a_run_that_the_table_calls_finished_counts_however_early_it_ended(audited):
    rows = [{**row, "state": "finished", "epoch": 2 if row["seed"] == 1 else 3} for row in RUNS]
    answer = audited(csv_of(rows), *LR)
    assert answer["counts"] == {"planned": 20, "completed": 20, "diverged": 0, "failed": 0}
    assert any("4 runs ended before the others of the same settings (line 3), by the column of epochs: "
               "finished, by the table's own word" in note for note in answer["notes"])  # fmt: skip
    unsaid = [{**row, "state": ""} for row in rows]
    assert audited(csv_of(unsaid), *LR)["counts"]["failed"] == 4


def test_the_course_of_a_run_that_the_table_calls_finished_counts_too(audited):
    rows = [json.loads(line) for line in course().splitlines()]
    rows = [{**row.pop("config"), **row, "state": "finished"} for row in rows]
    rows = [row for row in rows if row["training_iteration"] < 3 or row["trial_id"] != "a1"]
    answer = audited(csv_of(rows), *LR)
    assert answer["counts"]["completed"] == 20
    assert any("1 of 20 runs ended before training_iteration 3 (line 6) and are finished" in note
               for note in answer["notes"])  # fmt: skip


def test_what_a_level_spent_confounds_it_where_nothing_was_equal(audited):
    answer = audited(csv_of(WORD["levels that a scheduler stopped"][0]), *LR)
    assert "spent 0.3 times the iterations of the default" in flaw(answer, "unequal_budgets")
    assert "confounded with the number of iterations" in answer["verdicts"][0]["reasons"][0]
    assert answer["hold"] == "nothing"


def test_one_epoch_at_any_batch_size_is_one_budget_though_its_last_batch_is_not_full(audited):
    steps = {size: -(-1000 // size) for size in (64, 32, 8)}
    rows = runs_of({64: 0.0, 32: 0.0, 8: -0.06}, "batch_size")
    rows = [{**row, "global_step": steps[row["batch_size"]], "epoch": 1} for row in rows]
    answer = audited(csv_of(rows), "--baseline", "batch_size=64")
    assert answer["hold"] == "examples"
    assert "confounded" not in json.dumps(answer)
    assert answer["verdicts"][0]["best_level"] == 8


@pytest.mark.parametrize(
    "tokens, effect, confounded",
    [(1.03, 0.001, False), (1.03, -0.06, True), (0.97, 0.03, True), (0.97, -0.06, False)],
)
def test_a_budget_confounds_only_what_it_could_explain(audited, tokens, effect, confounded):
    rows = runs_of({16: 0.0, 32: 0.03, 64: effect}, "lora_rank")
    rows = [{**row, "tokens": 1e6 * (tokens if row["lora_rank"] == 64 else 1)} for row in rows]
    answer = audited(csv_of(rows), "--baseline", "lora_rank=16")
    told = " ".join(answer["verdicts"][0]["reasons"])
    assert ("confounded with the number of tokens" in told) == confounded
    supported = " ".join(answer["audit"]["supports"])
    assert ("a list of values to plan" in supported) == confounded
    assert "spent" in flaw(answer, "unequal_budgets")


def test_failed_runs_are_named_with_the_seeds_that_lack(audited):
    answer = audited(csv_of(WORD["crashed children"][0]), *LR)
    assert (
        "run baseline, learning_rate=0.0001, learning_rate=0.0004 again where they have no result"
        in (answer["audit"]["settle"])
    )


def test_a_default_that_diverged_is_not_kept_as_the_rate_to_use(audited):
    answer = audited(csv_of(WORD["no number at the default"][0]), *LR)
    assert "Use a lower rate than 0.0002: at it the default diverged" in answer["verdicts"][0]["advice"]


def test_a_flag_of_sweeps_is_answered_by_that_of_tables(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["report", "--from-csv", "t.csv", "--metric", "eval_loss"])
    assert ended.value.code == 2
    assert "of a table that is --value COL, the column of the metric" in capsys.readouterr().err
