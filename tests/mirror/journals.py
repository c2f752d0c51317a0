"""Journals of whole sweeps, written by hand: what a tracker is given to follow."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path
from typing import Any

from bios_sweep.mirror.mlflow.mirror import mlflow_recorder
from bios_sweep.mirror.mlflow.tracker import default_tracking_uri
from bios_sweep.mirror.recorder import JournalRecorder
from bios_sweep.records.journal import Journal
from bios_sweep.records.sweep_state import sweep_facts
from bios_sweep.records.workspace import Workspace
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.design import DecisionRule, Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.plan import Plan, build_plan
from bios_sweep.study.trials import Measurement, TrialResult
from bios_sweep.vocabulary import Failure, Status
from tests.scenarios import RECORDED as SCENARIO

NAME = SCENARIO.name
TABLE = "| arm | effect |\n|---|---|\n| x2 | 0.4 % |"


def make_plan(name: str = "demo", multiply: tuple[float, ...] = (2.0,)) -> Plan:
    study = Study(
        name=name,
        question="Is the rate right?",
        scenario=SCENARIO,
        baseline=TrainingSettings(learning_rate=1e-3, batch_size=8, lora_rank=4, max_steps=10),
        factors=(Factor(name="learning_rate", multiply=multiply),),
        seeds=(0, 1),
        decision=DecisionRule(looks=(2,)),
    )
    return build_plan(study)


PLAN = make_plan()
SWEEP = PLAN.sweep_id
KEYS = [trial.key for trial in PLAN.trials]  # baseline 0, x2 0, baseline 1, x2 1


def curve(loss: float) -> tuple[Measurement, ...]:
    return tuple(
        Measurement(
            step=step,
            fraction=step / 10,
            examples=8 * step,
            tokens=80 * step,
            eval_loss=loss - step / 100,
            eval_bits_per_byte=loss / 3,
            train_loss=None if step == 0 else loss,
            wall_seconds=0.25 * step,
        )
        for step in (0, 5, 10)
    )


def result(key: str, loss: float = 2.0, status: str = Status.COMPLETED, cause: str = "") -> TrialResult:
    points = curve(loss)
    final = {"eval_loss": points[-1].eval_loss, "eval_bits_per_byte": loss / 3}
    if status == Status.DIVERGED:
        points = (*points[:2], dataclasses.replace(points[2], eval_loss=math.nan))
        final = {"eval_loss": math.nan}
    if status == Status.FAILED:
        points, final = points[:1], {}
    return TrialResult(
        key=key,
        status=status,
        curve=points,
        final=final,
        wall_seconds=2.5,
        tokens=800,
        cause=cause,
        failure=Failure.STORAGE if status == Status.FAILED else "",
    )


def run_trial(journal: Journal, key: str, **outcome: Any) -> None:
    ending = result(key, **outcome)
    journal.started(key, worker="here")
    for point in ending.curve:
        journal.measured(key, point)
    journal.ended(ending)


def open_sweep(workspace: Workspace, plan: Plan = PLAN) -> Journal:
    journal = Journal(workspace.journal_file(plan.sweep_id))
    journal.opened(sweep_facts(plan))
    journal.planned(plan.trials)
    return journal


def conclude(workspace: Workspace, journal: Journal, headline: str = "learning_rate: confirm") -> None:
    folder = journal.path.parent
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures" / "effect.png").write_bytes(b"a picture")
    (folder / "report.md").write_text("# " + headline)
    verdict = {"factor": "learning_rate", "verdict": "confirm", "effect_percent": 0.4}
    journal.verdict({"headline": headline, "markdown": TABLE, "verdicts": [verdict]})
    journal.reported([folder / "figures" / "effect.png", folder / "report.md"])
    journal.closed("done")


def tell_all(workspace: Workspace) -> None:
    """A whole sweep with everything that can happen: a retry, a replay, a failure run again, a divergence."""
    with open_sweep(workspace) as journal:
        run_trial(journal, KEYS[0])
        journal.started(KEYS[1])
        journal.measured(KEYS[1], curve(2.1)[0])
        journal.retried(KEYS[1], "worker died")
        run_trial(journal, KEYS[1], loss=2.1)
        run_trial(journal, KEYS[2], loss=2.2, status=Status.FAILED, cause="no space left")
        journal.closed("stopped")
        journal.started(KEYS[3])
        run_trial(journal, KEYS[2], loss=2.2)
        run_trial(journal, KEYS[3], status=Status.DIVERGED, cause="loss is not a number")
        adapter = workspace.trial_dir(KEYS[0]) / "adapter"
        adapter.mkdir(parents=True)
        (adapter / "adapter_model.safetensors").write_bytes(b"weights")
        journal.adapter_kept(KEYS[0], adapter)
        conclude(workspace, journal)


def tell_little(workspace: Workspace) -> None:
    """The shortest sweep that makes MLflow do each thing once: a start, a stop, an end, files."""
    with open_sweep(workspace) as journal:
        journal.started(KEYS[0])
        journal.closed("stopped")
        run_trial(journal, KEYS[0])
        adapter = workspace.trial_dir(KEYS[0]) / "adapter"
        adapter.mkdir(parents=True)
        (adapter / "adapter_model.safetensors").write_bytes(b"weights")
        journal.adapter_kept(KEYS[0], adapter)
        conclude(workspace, journal)


def mirror(workspace: Workspace, uri: str | None = None, sweep_id: str = SWEEP) -> JournalRecorder:
    return mlflow_recorder(workspace, sweep_id, uri or default_tracking_uri(workspace), NAME)


def new_workspace(folder: Path, empty_store: Path) -> Workspace:
    workspace = Workspace(folder)
    workspace.root.mkdir()
    shutil.copy(empty_store, workspace.store)
    return workspace
