"""Flags and operands, as argparse takes them: said once, for whatever verbs have them."""

from __future__ import annotations

from pathlib import Path

from bios_sweep.cli.actions import ACTIONS
from bios_sweep.vocabulary import Goal

VIEWS = ("job", "hydra", "all")  # of --cfg
SHELLS = ("bash", "zsh", "fish")
GOALS = tuple(goal.value for goal in Goal)  # plain text, for argparse writes them by their repr


def _switch(words: str) -> dict[str, object]:
    return {"action": "store_true", "help": words}


def _value(metavar: str | None, words: str, **more: object) -> dict[str, object]:
    return {"metavar": metavar, "help": words, **more}


def _choice(choices: tuple[str, ...], words: str, **more: object) -> dict[str, object]:
    return {"choices": choices, "help": words, **more}


# what a verb's operands are: how its usage shows them, and argparse's words for each
OPERANDS: dict[str, tuple[str, dict[str, dict[str, object]]]] = {
    "overrides": (
        "[overrides]",
        {"overrides": _value("override", "a Hydra override: key=value or group=name", nargs="*")},
    ),
    "words": ("[WORD...]", {"words": _value("WORD", "what the answer is about", nargs="*")}),
    "place": (
        "[WORKSPACE|SWEEP|ARCHIVE] [workspace=DIR]",
        {"words": _value("PLACE", "a folder, a sweep's name or id, or a .tar.gz or .zip", nargs="*")},
    ),
    "shell": ("bash|zsh|fish", {"shell": _choice(SHELLS, "which shell", nargs="?")}),
    "trial": (
        "[TRIAL] [overrides]",
        {
            "words": _value(
                "TRIAL",
                "a key or how it begins, or arm and seed; without one all are listed. Beside it overrides, "
                "such as workspace=DIR",
                nargs="*",
            )
        },
    ),
    "arm": (
        "[ARM] [overrides]",
        {
            "words": _value(
                "ARM",
                "a variation as `plan` names it, or its level; without one it is about the whole sweep. "
                "Beside it overrides, such as workspace=DIR",
                nargs="*",
            )
        },
    ),
    "action": (
        f"{'|'.join(ACTIONS)} MODEL_OR_FILE...",
        {
            "action": _choice(tuple(ACTIONS), "what to do"),
            "operands": _value(
                "MODEL_OR_FILE",
                "a folder with config.json or a Hugging Face id; merge and diff take tuned-defaults files, "
                "refit workspaces and tables of runs",
                nargs="*",
            ),
        },
    ),
}

# argparse's words for each flag; one that a verb has to itself is under `VERB FLAG`
FLAGS = {
    "--to": _choice(
        ("slurm", "kuberay", "rayjob"),
        "an sbatch file, a KubeRay RayJob, or a `ray job submit`; its options are submit.NAME=VALUE",
        required=True,
    ),
    "--model": _value("MODEL", "a folder, a name of the hub (ORG/NAME), or embedded"),
    "--data": _value("DATA", "a file, a folder, a pattern, a data set of the hub (ORG/NAME), or embedded"),
    "--doubt": _value(
        "SETTING", "whose default is in question: learning_rate, batch_size, lora_rank, max_steps, or all"
    ),
    "--hardware": _value("WHERE", "here, cpu, gpu, inline, or the address HEAD:PORT of a Ray cluster"),
    "--download": _switch("what is not in the local cache may be fetched from the hub"),
    "init --yes": _switch("take what is usual for all that no flag says; ask nothing"),
    "--out": _value(
        "FILE", "the file to write (sweeps/mine.yaml)", type=Path, default=Path("sweeps/mine.yaml")
    ),
    "--force": _switch("write over a file that is there"),
    "--dry-run": _switch("print it; write and send nothing"),
    "--send": _switch("submit it too (sbatch, kubectl or ray must be here)"),
    "--file": _value("FILE", "where to write it; by default named by the sweep", type=Path),
    "--json": _switch("print JSON"),
    "--cfg": _choice(VIEWS, "print the configuration and do nothing; job: the values that would be used"),
    "--info": _switch("print where files were looked for and what was chosen, and do nothing"),
    "--hydra-help": _switch("what of Hydra's command line works here"),
    "--line": _value("TEXT", "print the words that may stand at the end of this command line"),
    "--next": _switch(
        "run what `suggest` writes after the latest sweep; a sweep that is not done is ended first"
    ),
    "--resume": _value(
        "SWEEP", "go on with this sweep and with no other; refused where what it stands on has changed"
    ),
    "--full": _switch("print all that the report says: bounds, claims, scope, every note"),
    "--yes": _switch("take it away; without it nothing is changed"),
    "--older": _value(
        "DAYS",
        "adapters go where no sweep of the last DAYS days keeps them, prepared data that nobody used (30)",
        type=float,
        default=30.0,
    ),
    "--now": _switch("end at once, without waiting for the next measurements"),
    "--config-dir": _value(
        "DIR", "a folder with config groups of your own (DIR/sweeps/*.yaml, DIR/model/*.yaml, ...)", type=Path
    ),
    "--markdown": _switch("print a short Markdown summary of a sweep, for a pipeline's page"),
    "--detach": _switch("go behind once the first trial may begin; the terminal may be closed then"),
    "--watch": _switch("show it as it goes on, until it ends"),
    "--follow": _switch("go on with what is written, until the trial ends"),
    "--lines": _value("N", "the last N lines of each file", type=int),
    "--all": _switch("over all scenarios: how often the defaults hold"),
    "--sweep": _value("NAME", "a sweep's name or id; the latest by default"),
    "--from-csv": _value(
        "FILE",
        "audit a table of runs (CSV or JSON lines): our results.csv, W&B, MLflow, Optuna, Ray",
        type=Path,
    ),
    "--from-mlflow": _value("EXPERIMENT", "audit the runs of an MLflow experiment (name or id)"),
    "--tracking-uri": _value("URI", "where that experiment is (MLFLOW_TRACKING_URI)"),
    "--arm": _value("COL", "the column of arms; without one, arms are the distinct settings"),
    "--seed": _value("COL", "the column of seeds"),
    "--value": _value("COL", "the column of the metric to judge by"),
    "--baseline": _value("NAME", "the default's arm, or its settings: learning_rate=0.0002,batch_size=128"),
    "--direction": _choice(("minimize", "maximize"), "which way the metric is better"),
    "--setting": _value(
        "COL", "a column that is a setting, whatever it looks like (repeatable)", action="append"
    ),
    "--outcome": _value(
        "COL", "a column that tells what came out and decides nothing (repeatable)", action="append"
    ),
    "--context": _value(
        "COL", "a column whose values are judged one at a time, such as a model (repeatable)", action="append"
    ),
    "--noise": _value(
        "NOISE",
        "noise of one trial, percent of the loss, of a score points; by default that of earlier sweeps",
        type=float,
    ),
    "--evaluation-error": _value(
        "PERCENT",
        "standard error of a gain over other evaluation sets; by default as earlier sweeps saw it",
        type=float,
    ),
    "--sweeps": _value("N", "sweeps to simulate per effect (200)", type=int, default=200),
    "--seconds-per-trial": _value(
        "S", "how long the baseline's trial takes; by default as earlier trials of the model", type=float
    ),
    "--port": _value(None, "port of the MLflow server (5000)", type=int, default=5000),
    "--examples": _value("N", "training examples, where known", type=int),
    "--goal": _choice(GOALS, "what matters most", default=Goal.BALANCED),
    "--method": _value(None, "what is trained: lora, dora, qlora or full (lora)", default="lora"),
    "--alpha-rule": _value(
        "RULE", "how alpha grows with the rank: constant, rank or sqrt_rank (constant)", default="constant"
    ),
    "--profile": _choice(GOALS, "the same as --goal", dest="goal", default=Goal.BALANCED),
    "--tokens": _value("N", "completion tokens of the training data, where known", type=int),
    "--parameters": _value(
        "N", "parameters of the model, where known: they tell tuned values of one hidden size apart", type=int
    ),
    "--family": _value("TYPE", "a config's model_type, such as llama; with --hidden-size no config is read"),
    "--hidden-size": _value("N", "width of the model, instead of its config's", type=int),
    "--objective": _choice(
        ("supervised", "preference"),
        "preference training (DPO) takes a lower rate and rank",
        default="supervised",
    ),
    "--defaults": _value(
        "FILE",
        "a tuned-defaults file, before BIOS_DEFAULTS, pyproject.toml and installed packages",
        type=Path,
    ),
    "defaults --to": _value("TOOL", "a trainer, such as trl; without it the error lists them"),
    "--gpus": _value("N", "GPUs that share an optimizer step (1)", type=int, default=1),
    "--micro-batch": _value("N", "examples per GPU and pass; by default up to 8", type=int),
    "-o": _value("FILE", "the file to write", type=Path, dest="output"),
    "--margin": _value(
        "PERCENT",
        "refit: the saving over the old rule that matters, percent of the loss (0.5)",
        type=float,
        default=0.5,
    ),
    "defaults --from-mlflow": _value(
        "EXPERIMENT",
        "refit: finished sweeps of an MLflow experiment (name, id, or a pattern with *; repeatable)",
        action="append",
        default=[],
    ),
    "--newest": _switch("merge: of two entries for one key keep the later"),
}
