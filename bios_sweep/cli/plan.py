"""`plan`: what would run. Launches nothing and loads nothing heavy."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import suppress
from dataclasses import replace

from rich.console import Console

from bios_sweep.driver.precision import gpu_warnings, gpus_of_this_machine
from bios_sweep.driver.prepare import Prepared, prepare
from bios_sweep.driver.resources import expected_workers
from bios_sweep.errors import PlanError, StorageError
from bios_sweep.jsonable import to_json
from bios_sweep.procedure import recall
from bios_sweep.records.earlier import journal_results, known_of
from bios_sweep.records.results import KeptResults
from bios_sweep.records.speed import seconds_per_example
from bios_sweep.report.content.plan_summary import PlanSummary, Rate, summarise_plan
from bios_sweep.report.content.truncation import earlier_cut_note
from bios_sweep.report.text.terminal import print_plan


def run(args: Namespace) -> int:
    """Print the plan."""
    prepared = prepare(args)
    summary = plan_summary(prepared)
    gpus = gpus_of_this_machine(prepared.config.values["cluster"])
    summary = replace(summary, warnings=(*summary.warnings, *gpu_warnings(prepared, gpus)))
    if args.json:
        print(json.dumps(to_json(summary), indent=1))
    else:
        print_plan(summary, Console())
    return 0


def plan_summary(prepared: Prepared) -> PlanSummary:
    """The plan with what is finished already and what it would cost.

    Raises:
        PlanError: the estimate, confirmation included, exceeds `budget.max_hours`.
    """
    plan, workspace = prepared.plan, prepared.workspace
    known = known_of(plan, workspace)
    kept = KeptResults(workspace, journal_results(plan, workspace))
    state, results = recall(plan, kept, known)
    speed = seconds_per_example(workspace, plan.study.scenario.model.fingerprint)
    rate = Rate(seconds_per_example=speed[0], trials=speed[1]) if speed else None
    summary = summarise_plan(plan, state, results, rate, expected_workers(prepared.config.values["cluster"]))
    _within_hours(plan.study.budget.max_hours, summary.most_seconds)
    probe = f"first a timing probe of {len(plan.timed_arms)} arms, each alone on the device"
    timed = [probe] if plan.timed_arms and known.timing is None else []
    looks = (kept.look(trial.key) for trial in state.missing)
    return replace(
        summary,
        notes=(*summary.notes, *_other_cuts(prepared), *prepared.notes, *timed),
        warnings=(*prepared.warnings, *_unlimited(plan.study.budget.max_hours, rate)),
        damaged=tuple(look.damage for look in looks if look.damage),
    )


def _other_cuts(prepared: Prepared) -> list[str]:
    """Earlier sweeps of the workspace whose trials count again once the evaluation is cut as theirs was."""
    plan, workspace = prepared.plan, prepared.workspace
    if plan.study.scenario.data.eval_max_length is None:
        return []
    notes = []
    for sweep_id in workspace.sweeps():
        with suppress(StorageError):  # one that cannot be read has nothing to reuse
            notes.append(earlier_cut_note(plan, workspace.read_plan(sweep_id).get("study", {})))
    return list(dict.fromkeys(filter(None, notes)))


def _unlimited(max_hours: float | None, rate: Rate | None) -> list[str]:
    if max_hours is None or rate is not None:
        return []
    return [
        f"budget.max_hours={max_hours:g} has no effect yet: no trial of this model was timed in this "
        "workspace, so the plan's hours are not known"
    ]


def _within_hours(max_hours: float | None, seconds: float | None) -> None:
    if max_hours is not None and seconds is not None and seconds > max_hours * 3600:
        raise PlanError(
            f"the plan is estimated at up to {seconds / 3600:.2g} hours but budget.max_hours is "
            f"{max_hours:g}; drop levels or seeds, or raise it"
        )
