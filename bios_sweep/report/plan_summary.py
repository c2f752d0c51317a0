"""A plan as plain values: what would run, what differs from the baseline, and what it costs. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from bios_sweep.report.summary import caveats
from bios_sweep.study.plan import Arm, Plan


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Speed seen in earlier trials of the same model: seconds per training example, over how many trials."""

    seconds_per_example: float
    trials: int


def summarise_plan(plan: Plan, finished: Collection[str], rate: Rate | None, workers: int) -> dict[str, Any]:
    """What `plan --json` prints.

    finished: keys of trials whose results will be reused. `to_run` counts screening; the confirmation
    stage adds at most `confirmation.trials_per_candidate` for the default and each candidate.
    """
    study = plan.study
    arms = [_arm(plan, arm, finished) for arm in plan.arms]
    examples = sum(arm["examples"] * arm["to_run"] for arm in arms)
    tokens = study.scenario.data.tokens_per_example
    seconds = None if rate is None else rate.seconds_per_example * examples / max(1, workers)
    return {
        "sweep": study.name,
        "sweep_id": plan.sweep_id,
        "question": study.question,
        "scenario": study.scenario.name,
        "baseline": study.baseline.to_dict(),
        "origins": {name: dict(origin) for name, origin in study.origins.items()},
        "arms": arms,
        "seeds": list(study.seeds),
        "looks": list(study.decision.looks),
        "hold": study.budget.hold,
        "trials": len(plan.trials),
        "to_run": sum(arm["to_run"] for arm in arms),
        "reused": sum(arm["reused"] for arm in arms),
        "examples": examples,
        "tokens": None if tokens is None else round(tokens * examples),
        "workers": workers,
        "estimate_seconds": seconds,
        "estimate_from_trials": 0 if rate is None else rate.trials,
        "confirmation": {
            "seeds": study.decision.confirmation_seeds,
            "trials_per_candidate": study.decision.confirmation_seeds,
        },
        "notes": list(plan.notes),
        "caveats": caveats(plan),
    }


def _arm(plan: Plan, arm: Arm, finished: Collection[str]) -> dict[str, Any]:
    keys = [trial.key for trial in plan.trials if trial.arm == arm.name]
    reused = sum(key in finished for key in keys)
    tokens = plan.study.scenario.data.tokens_per_example
    return {
        "arm": arm.name,
        "factor": arm.factor,
        "level": arm.level,
        "changes": dict(arm.changes),
        "settings": arm.settings.to_dict(),
        "trials": len(keys),
        "reused": reused,
        "to_run": len(keys) - reused,
        "steps": arm.settings.max_steps,
        "examples": arm.examples(),
        "tokens": None if tokens is None else round(tokens * arm.examples()),
        "notes": list(arm.notes),
    }
