"""How a sweep grows: what a trial costs the driver, its memory, the journal, the mirror and the readers.

    python -m benchmarks.scale                    # 1 000, 3 000 and 10 000 trials; a minute or two
    python -m benchmarks.scale --trials 500 2000 --no-mirror --out scale

Planted trials, run in this process, so that nothing but the driver's own work is seen: procedure, journal,
results on the disk. CPU seconds, for the machine may be shared. A table, a CSV and a figure.
"""

from __future__ import annotations

import argparse
import csv
import gc
import logging
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path

from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.loop import run_trials
from bios_sweep.driver.sweep import Sweep, open_journal, take_in_finished
from bios_sweep.execution.inline import InlineExecutor
from bios_sweep.mirror.mlflow.mirror import mlflow_recorder
from bios_sweep.mirror.mlflow.ready import ready_store
from bios_sweep.mirror.mlflow.tracker import default_tracking_uri
from bios_sweep.ports import TrialEvent
from bios_sweep.procedure.source import ProcedureSource
from bios_sweep.records.workspace import Workspace
from bios_sweep.report.content.tally import Progress
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.design import Budget, DecisionRule, Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import Plan, build_plan
from bios_sweep.study.trials import TrialSpec
from bios_sweep.vocabulary import Stage
from tests.scenarios import PLANTED

ARMS = 20
MEASUREMENTS = 5
READERS = ("status", "report")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One size. Times in CPU time. trial_ms: a trial's share of the driver's loop. memory_kb: that stays.

    status_s, report_s: of a process of its own, imports included; idle_s is that of `--help`.
    """

    trials: int
    trial_ms: float
    memory_kb: float
    journal_bytes: float
    mirror_ms: float | None = None
    status_s: float
    report_s: float
    idle_s: float


class Counted:
    """A `View` that keeps the progress, as the terminal does."""

    def __init__(self, planned: int) -> None:
        self.progress = Progress(planned=planned)

    def stage(self, name: str, planned: int, finished: int) -> None:
        self.progress = self.progress.staged(planned, finished)

    def event(self, event: TrialEvent, spec: TrialSpec) -> None:
        self.progress = self.progress.after(event, spec, time.monotonic())


def plan_of(trials: int) -> Plan:
    """A ladder of twenty arms, the default among them; as many seeds as it takes; one look."""
    seeds = max(2, trials // ARMS)
    levels = tuple(round(0.25 * 1.17**step, 4) for step in range(ARMS - 1))
    scenario = replace(PLANTED, engine_options={"measurements": MEASUREMENTS, "pause_seconds": 0.0})
    return build_plan(
        Study(
            name="scale",
            question="What does a trial cost the driver?",
            scenario=scenario,
            baseline=TrainingSettings(learning_rate=1e-3, batch_size=8, lora_rank=4, max_steps=100),
            factors=(Factor(name="learning_rate", multiply=levels),),
            seeds=tuple(range(seeds)),
            decision=DecisionRule(looks=(seeds,), confirmation_seeds=0),
            budget=Budget(max_trials=2 * ARMS * seeds),
        )
    )


def measure(trials: int, folder: Path, *, mirrored: bool) -> Row:
    """Run, follow and read one sweep."""
    plan, workspace = plan_of(trials), Workspace(folder)
    sweep = Sweep(plan=plan, workspace=workspace, invocation=Invocation())
    with open_journal(sweep) as journal:
        source = ProcedureSource(plan)
        take_in_finished(sweep, source, journal)
        view = Counted(len(source.state.needed))
        memory, began = resident(), time.process_time()
        run_trials(sweep, source, journal, InlineExecutor(), view)
        seconds, memory = time.process_time() - began, resident() - memory
        journal.closed("stopped")
    assert source.state.stage == Stage.DONE, source.state.stage
    ran = len(source.results)
    return Row(
        trials=ran,
        trial_ms=1000 * seconds / ran,
        memory_kb=memory / 1024 / ran,
        journal_bytes=workspace.journal_file(plan.sweep_id).stat().st_size / ran,
        mirror_ms=mirror_ms(workspace, plan) / ran if mirrored else None,
        **{f"{verb}_s": cpu_of([verb, f"workspace={folder}"], folder) for verb in READERS},
        idle_s=cpu_of(["--help"], folder),
    )


def mirror_ms(workspace: Workspace, plan: Plan) -> float:
    """CPU milliseconds to bring the journal into a new SQLite store, that is made before."""
    uri = default_tracking_uri(workspace)
    ready_store(uri, ours=True)  # the migration is no trial's
    recorder = mlflow_recorder(workspace, plan.sweep_id, uri, plan.study.scenario.name)
    began = time.process_time()
    recorder.sync()
    return 1000 * (time.process_time() - began)


def cpu_of(words: list[str], folder: Path) -> float:
    """CPU seconds of a command."""
    before = _of_children()
    command = [sys.executable, "-m", "bios_sweep", *words]
    subprocess.run(command, stdout=subprocess.DEVNULL, cwd=folder, check=True)
    return _of_children() - before


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def draw(rows: list[Row], path: Path) -> None:
    """One panel per figure, over the number of trials."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    shown = [field.name for field in fields(Row) if field.name not in ("trials", "idle_s")]
    figure, panels = pyplot.subplots(1, len(shown), figsize=(3 * len(shown), 3), layout="constrained")
    for name, panel in zip(shown, panels, strict=True):
        points = [(row.trials, getattr(row, name)) for row in rows if getattr(row, name) is not None]
        if points:
            panel.plot(*zip(*points, strict=True), marker="o", color="black", linewidth=1)
        panel.set(title=name, xlabel="trials", xscale="log", ylim=(0, None))
    figure.savefig(path)


def say(row: Row) -> None:
    values = ((field.name, getattr(row, field.name)) for field in fields(row))
    print(
        "  ".join(f"{name} {'-' if value is None else f'{value:.4g}'}" for name, value in values), flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[1000, 3000, 10_000])
    parser.add_argument("--no-mirror", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("scale"), help="folder for scale.csv and scale.png")
    asked = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)
    rows = []
    for trials in asked.trials:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(trials, Path(folder), mirrored=not asked.no_mirror))
        say(rows[-1])
    asked.out.mkdir(parents=True, exist_ok=True)
    with (asked.out / "scale.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(vars(row) for row in rows)
    draw(rows, asked.out / "scale.png")


if __name__ == "__main__":
    main()
