"""What `defaults` does, as data: a page of help for each action."""

from __future__ import annotations

from dataclasses import dataclass

MODEL = "MODEL"  # a folder with config.json or a Hugging Face id
OF_MODEL = ("--examples", "--tokens", "--parameters", "--family", "--hidden-size", "--method", "--objective")
WISHED = ("--goal", "--profile", "--alpha-rule", "--defaults")


@dataclass(frozen=True, kw_only=True)
class Action:
    """One action. operands: how its usage shows them. flags: those that it reads."""

    help: str
    operands: str
    examples: tuple[str, ...]
    flags: tuple[str, ...]


ACTIONS = {
    "show": Action(
        help="a model's settings with range, reason and how sure each is; tuned ones where a file has them",
        operands=MODEL,
        examples=(
            "bios-sweep defaults show ./my-model",
            "bios-sweep defaults show meta-llama/Llama-3.1-8B --examples 50000 --json",
        ),
        flags=("--json", *OF_MODEL, *WISHED),
    ),
    "diff": Action(
        help="what tuned values change of the defaults, or between two tuned files",
        operands="MODEL | FILE [FILE]",
        examples=("bios-sweep defaults diff ./my-model --defaults tuned/bios_defaults.json",),
        flags=("--json", *OF_MODEL, *WISHED),
    ),
    "export": Action(
        help="the file of another trainer with these settings, in that trainer's own keys",
        operands="MODEL | FILE",
        examples=(
            "bios-sweep defaults export meta-llama/Llama-3.1-8B --to axolotl --gpus 4 -o axolotl.yaml",
            "bios-sweep defaults export tuned/bios_defaults.json --to trl",
        ),
        flags=("--to", "-o", "--gpus", "--micro-batch", "--json", *OF_MODEL, *WISHED),
    ),
    "merge": Action(
        help="many tuned files, or those of whole workspaces, as one",
        operands="FILE_OR_WORKSPACE...",
        examples=("bios-sweep defaults merge bios_runs -o bios_defaults.json",),
        flags=("-o", "--newest", "--json"),
    ),
    "refit": Action(
        help="the learning-rate rule fitted again to finished sweeps and tables of runs",
        operands="WORKSPACE_OR_TABLE...",
        examples=(
            "bios-sweep defaults refit bios_runs old_runs.csv -o heuristics.json",
            "bios-sweep defaults refit --from-mlflow 'llama*' --tracking-uri http://127.0.0.1:5000",
        ),
        flags=("-o", "--margin", "--direction", "--from-mlflow", "--tracking-uri", "--json"),
    ),
}
