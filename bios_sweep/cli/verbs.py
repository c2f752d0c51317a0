"""The verbs and their flags, as data: what `--help` shows and `main` parses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bios_sweep.cli.defaults import ACTIONS
from bios_sweep.vocabulary import Goal


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A verb: the module whose `run(args) -> exit code` does it, its help, and the flags it takes.

    operands: what stands beside the flags, a name in `OPERANDS`.
    goes_on: what it does counts, not what it prints, so it succeeds also where nobody can read that.
    """

    module: str
    help: str
    examples: tuple[str, ...]
    flags: tuple[str, ...] = ("--config-dir", "--json")
    needs_extra: bool = False
    operands: str = "overrides"
    goes_on: bool = False


# what a verb's operands are: how its usage shows them, and argparse's words for each
OPERANDS: dict[str, tuple[str, dict[str, dict[str, object]]]] = {
    "overrides": (
        "[overrides]",
        {
            "overrides": {
                "nargs": "*",
                "metavar": "override",
                "help": "a Hydra override: key=value or group=name",
            }
        },
    ),
    "words": ("[WORD...]", {"words": {"nargs": "*", "metavar": "WORD", "help": "what the answer is about"}}),
    "action": (
        f"{'|'.join(ACTIONS)} MODEL_OR_FILE...",
        {
            "action": {"choices": ACTIONS, "help": "what to do"},
            "operands": {
                "nargs": "*",
                "metavar": "MODEL_OR_FILE",
                "help": "a folder with config.json or a Hugging Face id; merge and diff take tuned-defaults "
                "files, refit workspaces and tables of runs",
            },
        },
    ),
}

GOALS = tuple(goal.value for goal in Goal)  # plain text, for argparse writes them by their repr

VERBS = {
    "plan": Verb(
        module="bios_sweep.cli.plan",
        help="what would run, what differs from the baseline, what it costs; launches nothing",
        examples=(
            "bios-sweep plan sweeps=learning_rate",
            "bios-sweep plan sweeps=capacity model=local model.path=MODEL data=jsonl data.path=FILE",
            "bios-sweep plan sweeps=defaults seeds=[0,1,2] --json",
        ),
    ),
    "rehearse": Verb(
        module="bios_sweep.cli.rehearse",
        help="the chance of each verdict and the cost, by simulation; launches nothing",
        examples=(
            "bios-sweep rehearse sweeps=learning_rate --noise 0.2",
            "bios-sweep rehearse sweeps=capacity seeds=[0,1,2] --seconds-per-trial 90",
            "bios-sweep rehearse sweeps=defaults decision.gpu_hours=20 --seconds-per-trial 240",
        ),
        flags=("--config-dir", "--json", "--noise", "--sweeps", "--seconds-per-trial"),
    ),
    "run": Verb(
        module="bios_sweep.cli.run",
        help="run, resume or extend a sweep; ends with its verdicts",
        examples=(
            "bios-sweep run sweeps=demo",
            "bios-sweep run sweeps=learning_rate model=local model.path=MODEL data=jsonl data.path=FILE",
            "bios-sweep run sweeps=capacity cluster=local_gpu tracking.uri=http://127.0.0.1:5000",
            "bios-sweep run --next",
        ),
        flags=("--config-dir", "--json", "--next"),
        needs_extra=True,
        goes_on=True,
    ),
    "submit": Verb(
        module="bios_sweep.cli.submit",
        help="write the job that runs a sweep on Slurm, Kubernetes or a Ray cluster; sends it when told",
        examples=(
            "bios-sweep submit --to slurm sweeps=learning_rate submit.nodes=2 submit.gpus_per_node=4",
            "bios-sweep submit --to kuberay --dry-run sweeps=demo submit.image=IMAGE "
            "submit.claims={CLAIM: /mnt/bios} workspace=/mnt/bios/runs",
            "bios-sweep submit --to rayjob --send sweeps=demo submit.address=http://HEAD:8265 "
            "workspace=/shared/runs",
        ),
        flags=("--to", "--dry-run", "--send", "--file", "--config-dir", "--json"),
    ),
    "status": Verb(
        module="bios_sweep.cli.status",
        help="how far a sweep is, also while it runs",
        examples=("bios-sweep status", "bios-sweep status --sweep demo --json"),
        flags=("--config-dir", "--json", "--sweep"),
        needs_extra=True,
    ),
    "stop": Verb(
        module="bios_sweep.cli.stop",
        help="ask the running sweep to stop at its checkpoints; `run` goes on from there",
        examples=("bios-sweep stop", "bios-sweep stop --now workspace=./bios_runs"),
        flags=("--config-dir", "--json", "--now"),
        needs_extra=True,
    ),
    "report": Verb(
        module="bios_sweep.cli.report",
        help="the verdicts of a sweep, or what runs made elsewhere support",
        examples=(
            "bios-sweep report",
            "bios-sweep report --sweep demo --json",
            "bios-sweep report --all",
            "bios-sweep report --from-csv results.csv decision.margin_percent=1",
            "bios-sweep report --from-csv wandb.csv --value eval/loss --baseline lr=2e-4",
            "bios-sweep report --from-csv runs.csv --arm config --baseline default",
            "bios-sweep report --from-csv runs.jsonl --setting clip --outcome peak --context corpus",
            "bios-sweep report --from-mlflow my-experiment --tracking-uri http://127.0.0.1:5000",
        ),
        flags=(
            "--config-dir",
            "--json",
            "--sweep",
            "--all",
            "--from-csv",
            "--from-mlflow",
            "--tracking-uri",
            "--arm",
            "--seed",
            "--value",
            "--baseline",
            "--direction",
            "--setting",
            "--outcome",
            "--context",
        ),
    ),
    "suggest": Verb(
        module="bios_sweep.cli.suggest",
        help="write the sweep file of the smallest next study that would settle what is open",
        examples=("bios-sweep suggest", "bios-sweep suggest --sweep demo --json"),
        flags=("--config-dir", "--json", "--sweep"),
    ),
    "sync": Verb(
        module="bios_sweep.cli.sync",
        help="bring MLflow up to the journal, after a server was away or for another server",
        examples=("bios-sweep sync", "bios-sweep sync --sweep demo tracking.uri=http://127.0.0.1:5000"),
        flags=("--config-dir", "--json", "--sweep"),
        needs_extra=True,
    ),
    "ui": Verb(
        module="bios_sweep.cli.ui",
        help="start MLflow on 127.0.0.1 and print the link to the sweep",
        examples=("bios-sweep ui", "bios-sweep ui --sweep demo --port 5050"),
        flags=("--config-dir", "--sweep", "--port"),
        needs_extra=True,
    ),
    "keys": Verb(
        module="bios_sweep.cli.keys",
        help="the configuration keys about some words, with default and meaning",
        examples=("bios-sweep keys margin", "bios-sweep keys cluster gpu --json"),
        flags=("--json",),
        operands="words",
    ),
    "defaults": Verb(
        module="bios_sweep.cli.defaults",
        help="a model's settings with reasons, tuned or not; exported, compared, merged",
        examples=(
            "bios-sweep defaults show ./my-model",
            "bios-sweep defaults show meta-llama/Llama-3.1-8B --examples 50000 --json",
            "bios-sweep defaults export meta-llama/Llama-3.1-8B --to axolotl --gpus 4 -o axolotl.yaml",
            "bios-sweep defaults diff ./my-model --defaults tuned/bios_defaults.json",
            "bios-sweep defaults merge bios_runs -o bios_defaults.json",
            "bios-sweep defaults refit bios_runs old_runs.csv -o heuristics.json",
            "bios-sweep defaults refit --from-mlflow 'llama*' --tracking-uri http://127.0.0.1:5000",
        ),
        flags=(
            "--json",
            "--examples",
            "--tokens",
            "--parameters",
            "--family",
            "--hidden-size",
            "--goal",
            "--profile",
            "--method",
            "--objective",
            "--defaults",
            "--to",
            "--gpus",
            "--micro-batch",
            "-o",
            "--newest",
            "--margin",
            "--direction",
            "--from-mlflow",
            "--tracking-uri",
        ),
        operands="action",
    ),
}

FLAGS = {
    "--to": {
        "choices": ("slurm", "kuberay", "rayjob"),
        "required": True,
        "help": "an sbatch file, a KubeRay RayJob, or a `ray job submit`; its options are submit.NAME=VALUE",
    },
    "--dry-run": {"action": "store_true", "help": "print it; write and send nothing"},
    "--send": {"action": "store_true", "help": "submit it too (sbatch, kubectl or ray must be here)"},
    "--file": {"type": Path, "metavar": "FILE", "help": "where to write it; by default named by the sweep"},
    "--json": {"action": "store_true", "help": "print JSON"},
    "--next": {
        "action": "store_true",
        "help": "run what `suggest` writes after the latest sweep; a sweep that is not done is ended first",
    },
    "--now": {"action": "store_true", "help": "end at once, without waiting for the next measurements"},
    "--config-dir": {
        "type": Path,
        "metavar": "DIR",
        "help": "a folder with config groups of your own (DIR/sweeps/*.yaml, DIR/model/*.yaml, ...)",
    },
    "--all": {
        "action": "store_true",
        "help": "over all scenarios: how often the defaults hold",
    },
    "--sweep": {"metavar": "NAME", "help": "a sweep's name or id; the latest by default"},
    "--from-csv": {
        "type": Path,
        "metavar": "FILE",
        "help": "audit a table of runs (CSV or JSON lines): our results.csv, W&B, MLflow, Optuna, Ray",
    },
    "--from-mlflow": {"metavar": "EXPERIMENT", "help": "audit the runs of an MLflow experiment (name or id)"},
    "--tracking-uri": {"metavar": "URI", "help": "where that experiment is (MLFLOW_TRACKING_URI)"},
    "--arm": {"metavar": "COL", "help": "the column of arms; without one, arms are the distinct settings"},
    "--seed": {"metavar": "COL", "help": "the column of seeds"},
    "--value": {"metavar": "COL", "help": "the column of the metric to judge by"},
    "--baseline": {
        "metavar": "NAME",
        "help": "the default's arm, or its settings: learning_rate=0.0002,batch_size=128",
    },
    "--direction": {"choices": ("minimize", "maximize"), "help": "which way the metric is better"},
    "--setting": {
        "action": "append",
        "default": [],
        "metavar": "COL",
        "help": "a column that is a setting, whatever it looks like (repeatable)",
    },
    "--outcome": {
        "action": "append",
        "default": [],
        "metavar": "COL",
        "help": "a column that tells what came out, and decides nothing (repeatable)",
    },
    "--context": {
        "action": "append",
        "default": [],
        "metavar": "COL",
        "help": "a column whose values are judged one at a time, such as a model (repeatable)",
    },
    "--noise": {
        "type": float,
        "metavar": "PERCENT",
        "help": "noise of one trial, percent of the loss; by default that of earlier sweeps",
    },
    "--sweeps": {"type": int, "default": 200, "metavar": "N", "help": "sweeps to simulate per effect (200)"},
    "--seconds-per-trial": {
        "type": float,
        "metavar": "S",
        "help": "how long the baseline's trial takes; by default as earlier trials of the model",
    },
    "--port": {"type": int, "default": 5000, "help": "port of the MLflow server (5000)"},
    "--examples": {"type": int, "metavar": "N", "help": "training examples, where known"},
    "--goal": {
        "choices": GOALS,
        "default": Goal.BALANCED,
        "help": "what matters most",
    },
    "--method": {"default": "lora", "help": "fine-tuning method: lora or full (lora)"},
    "--profile": {
        "choices": GOALS,
        "dest": "goal",
        "default": Goal.BALANCED,
        "help": "the same as --goal",
    },
    "--tokens": {"type": int, "metavar": "N", "help": "completion tokens of the training data, where known"},
    "--parameters": {
        "type": int,
        "metavar": "N",
        "help": "parameters of the model, where known: they tell tuned values of one hidden size apart",
    },
    "--family": {
        "metavar": "TYPE",
        "help": "a config's model_type, such as llama; with --hidden-size no config is read",
    },
    "--hidden-size": {"type": int, "metavar": "N", "help": "width of the model, instead of its config's"},
    "--objective": {
        "choices": ("supervised", "preference"),
        "default": "supervised",
        "help": "preference training (DPO) takes a lower rate and rank",
    },
    "--defaults": {
        "type": Path,
        "metavar": "FILE",
        "help": "a tuned-defaults file, before BIOS_DEFAULTS, pyproject.toml and installed packages",
    },
    "defaults --to": {"metavar": "TOOL", "help": "a trainer, such as trl; without it the error lists them"},
    "--gpus": {"type": int, "default": 1, "metavar": "N", "help": "GPUs that share an optimizer step (1)"},
    "--micro-batch": {"type": int, "metavar": "N", "help": "examples per GPU and pass; by default up to 8"},
    "-o": {"type": Path, "dest": "output", "metavar": "FILE", "help": "the file to write"},
    "--margin": {
        "type": float,
        "default": 0.5,
        "metavar": "PERCENT",
        "help": "refit: the saving over the old rule that matters, percent of the loss (0.5)",
    },
    "defaults --from-mlflow": {
        "action": "append",
        "default": [],
        "metavar": "EXPERIMENT",
        "help": "refit: finished sweeps of an MLflow experiment (name, id, or a pattern with *; repeatable)",
    },
    "--newest": {"action": "store_true", "help": "merge: of two entries for one key keep the later"},
}
