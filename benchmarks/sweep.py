"""A whole sweep against what people build: CPU seconds of all processes, wall time, and the losses.

    python -m benchmarks.sweep --trials 7 21 --repeats 5 --out sweep_cost
    python -m benchmarks.sweep --trials 7 --repeats 1 --peers plain "warm loop"

The sweep is the demo's: seven arms on the embedded model, at one seed (7 trials) or three (21). Ours is
`bios-sweep run sweeps=demo` with its probe, verdicts, report and MLflow; the peers of `sweep_peers.py`
train the same arms and record them in MLflow, and say nothing of them. Turns alternate, each in a new folder.
Phases: until the first trial, trials, after the last; of the peers until Ray is there, trials, the end.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

import bios_sweep
from benchmarks.process_tree import run_and_count
from benchmarks.sweep_peers import PEERS
from bios_sweep.assets import base_model_path
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.prepare import prepare
from bios_sweep.engines.training.tokenizer import load_tokenizer
from bios_sweep.engines.training.tokens import tokenize_all

OURS = "bios_sweep"
ARMS = 7
KEPT = (
    "learning_rate",
    "batch_size",
    "lora_rank",
    "lora_alpha",
    "max_steps",
    "adam_beta1",
    "adam_beta2",
    "max_grad_norm",
)
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "RAY_worker_niceness": "0",  # with Ray's 15 neighbours of the benchmark would go first
}


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One run of one of them. Seconds are of all its processes together (cpu) or went by (wall)."""

    trials: int
    repeat: int
    name: str
    cpu: float
    wall: float
    cpu_before: float
    cpu_trials: float
    cpu_after: float
    losses: Mapping[str, float]


def overrides(trials: int, workspace: Path) -> list[str]:
    return ["sweeps=demo", f"seeds=[{','.join(map(str, range(trials // ARMS)))}]", f"workspace={workspace}"]


def write_task(trials: int, folder: Path) -> None:
    """What the peers train: settings of every trial, and the tokens that ours reads."""
    sweep = prepare(Invocation(overrides=tuple(overrides(trials, folder / "runs"))))
    study, options = sweep.plan.study, sweep.plan.study.scenario.engine_options
    (folder / "task.json").write_text(
        json.dumps(
            {
                "model": str(base_model_path()),
                "piece": options["micro_batch_size"],
                "measurements": options["measurements"],
                "trials": [
                    {"name": f"{trial.arm} {trial.seed}", "seed": trial.seed}
                    | {name: getattr(trial.settings, name) for name in KEPT}
                    for trial in sweep.plan.trials
                ],
            }
        )
    )
    tokenizer, arrays = load_tokenizer(base_model_path()), {}
    for side in ("train", "evaluation"):
        held: Any = getattr(sweep.dataset, side)
        examples = list(tokenize_all(held, tokenizer, study.baseline.max_length))
        arrays[f"{side}_ids"] = np.concatenate([np.array(one.input_ids) for one in examples])
        arrays[f"{side}_ends"] = np.cumsum([len(one.input_ids) for one in examples])
        arrays[f"{side}_prompts"] = np.array([one.prompt_length for one in examples])
    np.savez(folder / "tokens.npz", **arrays)


def turn(name: str, trials: int, repeat: int, folder: Path) -> Turn:
    write_task(trials, folder)
    own = [sys.executable, "-m", "bios_sweep", "run", *overrides(trials, folder / "sweep")]
    command = own if name == OURS else [sys.executable, "-m", "benchmarks.sweep_peers", name, str(folder)]
    environment = {**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    log = folder / "log.txt"
    cost = run_and_count(command, log=log, environment=environment, folder=folder)
    if cost.status != 0:
        raise SystemExit(f"{name} ended with {cost.status}:\n{log.read_text(errors='replace')[-3000:]}")
    losses, begin, end = _ours(folder / "sweep") if name == OURS else _theirs(folder)
    return Turn(
        trials=trials, repeat=repeat, name=name, cpu=cost.cpu_seconds, wall=cost.wall_seconds,
        cpu_before=cost.cpu_until(begin), cpu_trials=cost.cpu_until(end) - cost.cpu_until(begin),
        cpu_after=cost.cpu_seconds - cost.cpu_until(end), losses=losses,
    )  # fmt: skip


def _ours(workspace: Path) -> tuple[dict[str, float], float, float]:
    """Losses, and when the first trial began and the last ended, by the journal."""
    sweep = bios_sweep.open(str(workspace), "demo")
    losses = {f"{one['arm']} {one['seed']}": float(one["value"]) for one in sweep.trials}
    [journal] = workspace.glob("sweeps/*/journal.jsonl")
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    times = {
        kind: [datetime.fromisoformat(one["time"]).timestamp() for one in entries if one["kind"] == kind]
        for kind in ("started", "ended")
    }
    return losses, times["started"][0], times["ended"][-1]


def _theirs(folder: Path) -> tuple[dict[str, float], float, float]:
    told = json.loads((folder / "losses.json").read_text())
    return told["losses"], told["times"]["ray"], told["times"]["trained"]


def turns(trials: int, repeats: int, names: Sequence[str]) -> Iterator[Turn]:
    for repeat in range(repeats):
        for name in names if repeat % 2 == 0 else names[::-1]:
            with tempfile.TemporaryDirectory(prefix="bios_sweep_bench_") as folder:
                yield turn(name, trials, repeat, Path(folder))


def say(found: Sequence[Turn]) -> None:
    """Medians over the repeats, and theirs over ours of the same repeat."""
    print(f"{'trials':>6}  {'':10} {'CPU s':>7} {'before':>7} {'trials':>7} {'after':>6} {'wall s':>7}  "
          "CPU theirs/ours   wall   mean loss")  # fmt: skip
    for trials in dict.fromkeys(one.trials for one in found):
        mine = {one.repeat: one for one in found if one.trials == trials and one.name == OURS}
        for name in dict.fromkeys(one.name for one in found):
            own = [one for one in found if (one.trials, one.name) == (trials, name)]
            middle = {key: statistics.median(getattr(one, key) for one in own) for key in
                      ("cpu", "cpu_before", "cpu_trials", "cpu_after", "wall")}  # fmt: skip
            ratio = [
                statistics.median(getattr(one, key) / getattr(mine[one.repeat], key) for one in own)
                for key in ("cpu", "wall")
            ]
            loss = statistics.mean(value for one in own for value in one.losses.values())
            print(
                f"{trials:6d}  {name:10} {middle['cpu']:7.1f} {middle['cpu_before']:7.1f} "
                f"{middle['cpu_trials']:7.1f} {middle['cpu_after']:6.1f} {middle['wall']:7.1f}  "
                f"{ratio[0]:15.2f}  {ratio[1]:5.2f}   {loss:9.4f}"
            )


def write(found: Sequence[Turn], folder: Path) -> None:
    """`sweep.csv` with a line per turn, and `sweep.png`: CPU seconds by phase."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    names = [field.name for field in fields(Turn) if field.name != "losses"]
    with (folder / "sweep.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*names, "mean_loss"], extrasaction="ignore")
        writer.writeheader()
        for one in found:
            writer.writerow({**asdict(one), "mean_loss": statistics.mean(one.losses.values())})
    counts = list(dict.fromkeys(one.trials for one in found))
    figure, panels = pyplot.subplots(
        1, len(counts), figsize=(5 * len(counts), 3), layout="constrained", squeeze=False
    )
    for trials, panel in zip(counts, panels.flat, strict=True):
        labels = list(dict.fromkeys(one.name for one in found))
        left = np.zeros(len(labels))
        for phase in ("cpu_before", "cpu_trials", "cpu_after"):
            seconds = np.array([
                statistics.median(
                    getattr(one, phase) for one in found if (one.trials, one.name) == (trials, name)
                )
                for name in labels
            ])  # fmt: skip
            panel.barh(labels, seconds, left=left, label=phase.removeprefix("cpu_"))
            left += seconds
        panel.set(title=f"{trials} trials", xlabel="CPU seconds")
        panel.invert_yaxis()
    panels.flat[0].legend()
    figure.savefig(folder / "sweep.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--trials", type=int, nargs="+", default=[7, 21], choices=[7, 14, 21])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers", nargs="+", default=["plain", "warm", "warm loop"], choices=list(PEERS))
    parser.add_argument("--out", type=Path, default=Path("sweep_cost"))
    asked = parser.parse_args()
    found: list[Turn] = []
    for trials in asked.trials:
        for one in turns(trials, asked.repeats, [OURS, *asked.peers]):
            found.append(one)
            told = f"{one.cpu:.1f} CPU s, {one.wall:.1f} s"
            print(f"{one.trials} trials, turn {one.repeat + 1}, {one.name}: {told}", flush=True)
    say(found)
    write(found, asked.out)


if __name__ == "__main__":
    main()
