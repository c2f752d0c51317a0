"""The verbs, as data: what `--help` shows and `main` parses."""

from __future__ import annotations

from dataclasses import dataclass

from bios_sweep.cli.actions import ACTIONS

FRONT = ("init", "plan", "run", "report", "defaults")  # what a first evening needs; the others are `more`
HYDRAS = ("--cfg", "--info", "--hydra-help")  # what Hydra's own programs take, where a configuration counts


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A verb, its help, and the flags it takes. does: `module:function`, from parsed flags to an exit code.

    operands: what stands beside the flags, a name in `flags.OPERANDS`.
    goes_on: what it does counts, not what it prints, so it succeeds also where nobody can read that.
    """

    does: str
    help: str
    examples: tuple[str, ...]
    flags: tuple[str, ...] = ("--config-dir", "--json", *HYDRAS)
    needs_extra: bool = False
    operands: str = "overrides"
    goes_on: bool = False


FOREIGN = (  # of tables of runs made elsewhere
    *("--arm", "--seed", "--value", "--baseline", "--direction"),
    *("--setting", "--outcome", "--context"),
)

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
    "init": Verb(
        does="bios_sweep.cli.init:run",
        help="a first sweep for your model and data: asks, looks at them, writes sweeps/mine.yaml",
        examples=(
            "bios-sweep init",
            "bios-sweep init --model ./my-model --data train.jsonl --doubt learning_rate,lora_rank",
            "bios-sweep init --model ORG/NAME --data ORG/NAME --download --hardware gpu",
            "bios-sweep init --yes --out sweeps/first.yaml --json",
        ),
        flags=(
            *("--model", "--data", "--doubt", "--hardware", "--download", "--yes"),
            *("--out", "--force", "--config-dir", "--json"),
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
            "bios-sweep run --resume learning_rate-1a2b3c4d",
            "bios-sweep run --detach sweeps=demo",
        ),
        flags=("--config-dir", "--json", "--full", "--next", "--resume", "--detach", *HYDRAS),
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
        examples=(
            "bios-sweep status",
            "bios-sweep status --watch",
            "bios-sweep status --sweep demo --json",
        ),
        flags=("--config-dir", "--json", "--sweep", "--watch"),
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
        does="bios_sweep.cli.by_hand:stop",
        help="end the running sweep at its checkpoints, or one arm of it; `run` goes on from there",
        examples=(
            "bios-sweep stop",
            "bios-sweep stop --now workspace=./bios_runs",
            "bios-sweep stop learning_rate x4",
            "bios-sweep stop learning_rate x4 --sweep demo workspace=DIR",
        ),
        flags=("--config-dir", "--json", "--sweep", "--now"),
        needs_extra=True,
        operands="arm",
    ),
    "pause": Verb(
        does="bios_sweep.cli.by_hand:pause",
        help="hold the running sweep: trials that run end, none is started until `resume`",
        examples=("bios-sweep pause", "bios-sweep pause workspace=./bios_runs"),
        flags=("--config-dir", "--json"),
        needs_extra=True,
    ),
    "resume": Verb(
        does="bios_sweep.cli.by_hand:resume",
        help="end a pause, or take an arm up again that was stopped by hand",
        examples=("bios-sweep resume", "bios-sweep resume learning_rate x4 --sweep demo"),
        flags=("--config-dir", "--json", "--sweep"),
        needs_extra=True,
        operands="arm",
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
            *(
                "--config-dir",
                "--json",
                "--full",
                "--sweep",
                "--markdown",
                "--all",
                "--from-csv",
                "--from-mlflow",
                "--tracking-uri",
            ),
            *FOREIGN,
        ),
    ),
    "suggest": Verb(
        does="bios_sweep.cli.suggest:run",
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
        examples=tuple(example for action in ACTIONS.values() for example in action.examples),
        flags=tuple(dict.fromkeys(flag for action in ACTIONS.values() for flag in action.flags)),
        operands="action",
    ),
}
