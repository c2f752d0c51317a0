"""The verbs and their flags, as data: what `--help` shows and `main` parses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bios_sweep.vocabulary import Goal

VIEWS = ("job", "hydra", "all")  # of --cfg
HYDRAS = ("--cfg", "--info", "--hydra-help")  # what Hydra's own programs take, where a configuration counts


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A verb, its help, and the flags it takes. does: `module:function`, from parsed flags to an exit code.

    operands: what stands beside the flags, a name in `OPERANDS`.
    goes_on: what it does counts, not what it prints, so it succeeds also where nobody can read that.
    """

    does: str
    help: str
    examples: tuple[str, ...]
    flags: tuple[str, ...] = ("--config-dir", "--json", *HYDRAS)
    needs_extra: bool = False
    operands: str = "overrides"
    goes_on: bool = False


def _switch(words: str) -> dict[str, object]:
    return {"action": "store_true", "help": words}


def _value(metavar: str | None, words: str, **more: object) -> dict[str, object]:
    return {"metavar": metavar, "help": words, **more}


def _choice(choices: tuple[str, ...], words: str, **more: object) -> dict[str, object]:
    return {"choices": choices, "help": words, **more}


SHELLS = ("bash", "zsh", "fish")
ACTIONS = ("show", "diff", "export", "merge", "refit")  # of `defaults`
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
    "action": (
        f"{'|'.join(ACTIONS)} MODEL_OR_FILE...",
        {
            "action": _choice(ACTIONS, "what to do"),
            "operands": _value(
                "MODEL_OR_FILE",
                "a folder with config.json or a Hugging Face id; merge and diff take tuned-defaults files, "
                "refit workspaces and tables of runs",
                nargs="*",
            ),
        },
    ),
}

FOREIGN = (  # of tables of runs made elsewhere
    *("--arm", "--seed", "--value", "--baseline", "--direction"),
    *("--setting", "--outcome", "--context"),
)
GOALS = tuple(goal.value for goal in Goal)  # plain text, for argparse writes them by their repr

VERBS = {
    "doctor": Verb(
        does="bios_sweep.cli.doctor:run",
        help="whether this machine is ready for a run: versions, GPUs, disk, Ray, tracking; changes nothing",
        examples=(
            "bios-sweep doctor",
            "bios-sweep doctor cluster=local_gpu model.path=MODEL",
            "bios-sweep doctor workspace=/data/runs tracking.uri=http://127.0.0.1:5000 --json",
            "bios-sweep doctor cluster=existing cluster.address=HEAD:6379",
        ),
    ),
    "plan": Verb(
        does="bios_sweep.cli.before:plan",
        help="what would run, what differs from the baseline, what it costs; launches nothing",
        examples=(
            "bios-sweep plan sweeps=learning_rate",
            "bios-sweep plan sweeps=capacity model.path=MODEL 'data.path=my data [v2].jsonl'",
            "bios-sweep plan sweeps=./my.yaml model=ORG/NAME data=ORG/NAME data.download=true",
            "bios-sweep plan sweeps=defaults seeds=[0,1,2] --json",
        ),
    ),
    "rehearse": Verb(
        does="bios_sweep.cli.before:rehearse",
        help="the chance of each verdict and the cost, by simulation; launches nothing",
        examples=(
            "bios-sweep rehearse sweeps=learning_rate --noise 0.2",
            "bios-sweep rehearse sweeps=capacity seeds=[0,1,2] --seconds-per-trial 90",
            "bios-sweep rehearse sweeps=defaults decision.gpu_hours=20 --seconds-per-trial 240",
        ),
        flags=(
            "--config-dir",
            "--json",
            "--noise",
            "--evaluation-error",
            "--sweeps",
            "--seconds-per-trial",
            *HYDRAS,
        ),
    ),
    "run": Verb(
        does="bios_sweep.cli.run:run",
        help="run, resume or extend a sweep; ends with its verdicts",
        examples=(
            "bios-sweep run sweeps=demo",
            "bios-sweep run sweeps=learning_rate model=local model.path=MODEL data=file data.path=FILE",
            "bios-sweep run sweeps=capacity cluster=local_gpu tracking.uri=http://127.0.0.1:5000",
            "bios-sweep run --next",
        ),
        flags=("--config-dir", "--json", "--next", *HYDRAS),
        needs_extra=True,
        goes_on=True,
    ),
    "submit": Verb(
        does="bios_sweep.cli.submit:run",
        help="write the job that runs a sweep on Slurm, Kubernetes or a Ray cluster; sends it when told",
        examples=(
            "bios-sweep submit --to slurm sweeps=learning_rate submit.nodes=2 submit.gpus_per_node=4",
            "bios-sweep submit --to kuberay --dry-run sweeps=demo submit.image=IMAGE "
            "submit.claims={CLAIM: /mnt/bios} workspace=/mnt/bios/runs",
            "bios-sweep submit --to rayjob --send sweeps=demo submit.address=http://HEAD:8265 "
            "workspace=/shared/runs",
        ),
        flags=("--to", "--dry-run", "--send", "--file", "--config-dir", "--json", *HYDRAS),
    ),
    "status": Verb(
        does="bios_sweep.cli.sweeps:status",
        help="how far a sweep is, also while it runs",
        examples=("bios-sweep status", "bios-sweep status --sweep demo --json"),
        flags=("--config-dir", "--json", "--sweep"),
        needs_extra=True,
    ),
    "logs": Verb(
        does="bios_sweep.cli.logs:logs",
        help="what a trial wrote down: a script's output, the trainer's lines; of every attempt",
        examples=(
            "bios-sweep logs",
            "bios-sweep logs baseline seed 0",
            "bios-sweep logs 1a2b3c --follow",
            "bios-sweep logs 1a2b3c --lines 50 --json",
            "bios-sweep logs learning_rate x2, seed 1 --sweep demo workspace=DIR",
        ),
        flags=("--config-dir", "--json", "--sweep", "--follow", "--lines"),
        needs_extra=True,
        operands="trial",
    ),
    "stop": Verb(
        does="bios_sweep.cli.sweeps:stop",
        help="ask the running sweep to stop at its checkpoints; `run` goes on from there",
        examples=("bios-sweep stop", "bios-sweep stop --now workspace=./bios_runs"),
        flags=("--config-dir", "--json", "--now"),
        needs_extra=True,
    ),
    "report": Verb(
        does="bios_sweep.cli.report:run",
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
            *("--config-dir", "--json", "--sweep", "--all", "--from-csv", "--from-mlflow", "--tracking-uri"),
            *FOREIGN,
        ),
    ),
    "suggest": Verb(
        does="bios_sweep.cli.sweeps:suggest",
        help="write the sweep file of the smallest next study that would settle what is open",
        examples=("bios-sweep suggest", "bios-sweep suggest --sweep demo --json"),
        flags=("--config-dir", "--json", "--sweep"),
    ),
    "sync": Verb(
        does="bios_sweep.cli.sweeps:sync",
        help="bring MLflow up to the journal, after a server was away or for another server",
        examples=("bios-sweep sync", "bios-sweep sync --sweep demo tracking.uri=http://127.0.0.1:5000"),
        flags=("--config-dir", "--json", "--sweep"),
        needs_extra=True,
    ),
    "ui": Verb(
        does="bios_sweep.cli.sweeps:ui",
        help="start MLflow on 127.0.0.1 and print the link to the sweep",
        examples=("bios-sweep ui", "bios-sweep ui --sweep demo --port 5050"),
        flags=("--config-dir", "--sweep", "--port"),
        needs_extra=True,
    ),
    "verify": Verb(
        does="bios_sweep.cli.verify:run",
        help="whether a workspace, a sweep or an archive of one still holds what was written there",
        examples=(
            "bios-sweep verify",
            "bios-sweep verify learning_rate workspace=/data/runs",
            "bios-sweep verify bios_runs.tar.gz --json",
        ),
        flags=("--config-dir", "--json"),
        needs_extra=True,
        operands="place",
    ),
    "clean": Verb(
        does="bios_sweep.cli.clean:run",
        help="what a workspace could do without: old adapters, checkpoints, orphans; frees it with --yes",
        examples=(
            "bios-sweep clean",
            "bios-sweep clean --yes workspace=/data/runs",
            "bios-sweep clean --older 7 --json",
        ),
        flags=("--config-dir", "--json", "--yes", "--older"),
        needs_extra=True,
    ),
    "keys": Verb(
        does="bios_sweep.cli.keys:run",
        help="the configuration keys about some words: default, type, unit, range, choices and meaning",
        examples=(
            "bios-sweep keys",
            "bios-sweep keys margin",
            "bios-sweep keys cluster gpu --json",
            "bios-sweep keys lr",
        ),
        flags=("--json",),
        operands="words",
    ),
    "explain": Verb(
        does="bios_sweep.cli.explain:run",
        help="a word of a report or a plan in plain words, and what to do when it is met",
        examples=(
            "bios-sweep explain",
            "bios-sweep explain inconclusive",
            "bios-sweep explain margin --json",
        ),
        flags=("--json",),
        operands="words",
    ),
    "completion": Verb(
        does="bios_sweep.cli.completion:run",
        help="a script by which bash, zsh or fish complete verbs, flags, groups, keys and sweeps",
        examples=(
            'eval "$(bios-sweep completion bash)"',
            "bios-sweep completion zsh > ~/.zfunc/_bios-sweep",
            "bios-sweep completion fish > ~/.config/fish/completions/bios-sweep.fish",
        ),
        flags=("--line",),
        operands="shell",
    ),
    "defaults": Verb(
        does="bios_sweep.cli.defaults:run",
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
            *("--json", "--examples", "--tokens", "--parameters", "--family", "--hidden-size", "--goal"),
            *("--profile", "--method", "--objective", "--defaults", "--to", "--gpus", "--micro-batch", "-o"),
            *("--alpha-rule", "--newest", "--margin", "--direction", "--from-mlflow", "--tracking-uri"),
        ),
        operands="action",
    ),
}


# argparse's words for each flag; one that a verb has to itself is under `VERB FLAG`
FLAGS = {
    "--to": _choice(
        ("slurm", "kuberay", "rayjob"),
        "an sbatch file, a KubeRay RayJob, or a `ray job submit`; its options are submit.NAME=VALUE",
        required=True,
    ),
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
    "--yes": _switch("take it away; without it nothing is changed"),
    "--older": _value(
        "DAYS", "adapters go where no sweep of the last DAYS days keeps them (30)", type=float, default=30.0
    ),
    "--now": _switch("end at once, without waiting for the next measurements"),
    "--config-dir": _value(
        "DIR", "a folder with config groups of your own (DIR/sweeps/*.yaml, DIR/model/*.yaml, ...)", type=Path
    ),
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
