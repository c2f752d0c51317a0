"""How fast the mirror brings a journal into a real `mlflow server`, over PostgreSQL and over SQLite.

    python -m benchmarks.mirror_speed

Two questions: how many journal entries per second when it has much to catch up with, and how far it lags
behind when many workers report at once.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bios_sweep.mirror.mlflow.mirror import mlflow_recorder
from bios_sweep.records.journal import Journal
from bios_sweep.records.sweep_state import sweep_facts
from bios_sweep.records.workspace import Workspace
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.design import DecisionRule, Factor, Study
from bios_sweep.study.plan import Plan, build_plan
from bios_sweep.study.trials import Measurement, TrialResult
from bios_sweep.vocabulary import Status
from tests.mirror import postgres
from tests.mirror.tracking_server import TrackingServer, serving
from tests.scenarios import RECORDED

POINTS = 10  # measurements per trial
SEEDS = 16
LEVELS = (0.125, 0.25, 0.5, 2.0, 4.0, 8.0, 16.0)


def plan_of(name: str, first_seed: int) -> Plan:
    """Eight arms at 16 seeds; other seeds are other trials, with runs of their own."""
    study = Study(
        name=name,
        question="How fast is the mirror?",
        scenario=RECORDED,
        baseline=TrainingSettings(learning_rate=1e-3, batch_size=8, lora_rank=4, max_steps=100),
        factors=(Factor(name="learning_rate", multiply=LEVELS),),
        seeds=tuple(range(first_seed, first_seed + SEEDS)),
        decision=DecisionRule(looks=(SEEDS,)),
    )
    return build_plan(study)


def point(number: int) -> Measurement:
    step = 100 * number // (POINTS - 1)
    return Measurement(
        step=step,
        fraction=step / 100,
        examples=8 * step,
        tokens=80 * step,
        eval_loss=2.0 - number / 100,
        eval_bits_per_byte=1.0 - number / 100,
        train_loss=2.0 - number / 90,
        wall_seconds=0.25 * step,
    )


def tell(journal: Journal, keys: Sequence[str], workers: int, per_second: float | None) -> int:
    """Trials in waves of `workers` side by side; returns the entries written, at most so many a second."""
    written, began = 0, time.monotonic()

    def paced() -> None:
        nonlocal written
        written += 1
        if per_second is not None:
            time.sleep(max(0.0, began + written / per_second - time.monotonic()))

    for start in range(0, len(keys), workers):
        wave = keys[start : start + workers]
        for key in wave:
            journal.started(key, worker="here")
            paced()
        for number in range(POINTS):
            for key in wave:
                journal.measured(key, point(number))
                paced()
        for key in wave:
            curve = tuple(map(point, range(POINTS)))
            final = {"eval_loss": curve[-1].eval_loss}
            journal.ended(TrialResult(key=key, status=Status.COMPLETED, curve=curve, final=final))
            paced()
    return written


def measure(server: TrackingServer, folder: Path, workers: int, per_second: float) -> None:
    where = "PostgreSQL" if server.database is not None else "SQLite"
    workspace = Workspace(folder / where)
    plan = plan_of("late", first_seed=0)
    with Journal(workspace.journal_file(plan.sweep_id)) as journal:
        journal.opened(sweep_facts(plan))
        journal.planned(plan.trials)
        entries = tell(journal, [trial.key for trial in plan.trials], workers, None)
        journal.closed("done")
    before, began = requests(server), time.monotonic()
    mlflow_recorder(workspace, plan.sweep_id, server.url, RECORDED.name).sync()
    seconds = time.monotonic() - began
    say(
        f"{where}: catching up with {entries} entries of {len(plan.trials)} trials took {seconds:.1f} s: "
        f"{entries / seconds:.0f} entries/s, {len(plan.trials) / seconds:.1f} trials/s, "
        f"{requests(server) - before} requests"
    )
    plan = plan_of("live", first_seed=SEEDS)
    mirror = mlflow_recorder(workspace, plan.sweep_id, server.url, RECORDED.name)
    with Journal(workspace.journal_file(plan.sweep_id)) as journal:
        journal.opened(sweep_facts(plan))
        journal.planned(plan.trials)
        mirror.start()
        before, began = requests(server), time.monotonic()
        entries = tell(journal, [trial.key for trial in plan.trials], workers, per_second)
        journal.closed("done")
        told = time.monotonic() - began
        began = time.monotonic()
        followed = mirror.finish(300)
        say(
            f"{where}: {workers} workers, {entries / told:.0f} entries/s for {told:.0f} s: the mirror ended "
            f"{time.monotonic() - began:.1f} s after the last entry ({followed}), "
            f"{requests(server) - before} requests"
        )


def requests(server: TrackingServer) -> int:
    return server.log.read_text().count(' HTTP/1.1" ')


def say(line: str) -> None:
    print(line, flush=True)


def main(workers: int = 64, per_second: float = 64.0) -> None:
    for over_postgres in (True, False):
        if over_postgres and postgres.missing():
            say(postgres.missing())
            continue
        with serving(over_postgres=over_postgres) as server, tempfile.TemporaryDirectory() as folder:
            measure(server, Path(folder), workers, per_second)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
