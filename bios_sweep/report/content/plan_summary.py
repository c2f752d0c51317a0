"""A plan as plain values: what would run, what differs from the baseline, and what it costs. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from bios_sweep.procedure import State
from bios_sweep.report.content.scope import caveats
from bios_sweep.report.content.truncation import truncation
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.arms import Arm
from bios_sweep.study.plan import Plan
from bios_sweep.study.stages import most_confirmation_trials, most_search_trials
from bios_sweep.study.trials import CONFIRMATION, REFINEMENT, SCREENING


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Speed seen in earlier trials of the same model: seconds per training example, over how many trials."""

    seconds_per_example: float
    trials: int


def summarise_plan(
    plan: Plan, state: State, finished: Collection[str], rate: Rate | None, workers: int
) -> dict[str, Any]:
    """What `plan --json` prints.

    state: by what is finished already. finished: keys of trials whose results will be reused. `trials`,
    `to_run` and `reused` count what is known to be needed now: screening, and the confirmation once
    screening has named a candidate (at most `confirmation.trials_per_candidate` for the default and for
    each candidate). `most_seconds` is the estimate when every factor gets a candidate.
    """
    study = plan.study
    arms = [_arm(plan, arm, finished) for arm in plan.arms]
    needed = {trial.key: trial for trial in (*plan.trials, *state.needed)}
    confirmation = [trial for trial in needed.values() if trial.stage == CONFIRMATION]
    searched = [trial for trial in needed.values() if trial.stage == REFINEMENT]
    if state.stage == SCREENING:
        to_run = [trial for trial in needed.values() if trial.key not in finished]
    else:  # what an early look decided needs no more seeds
        to_run = list(state.missing)
    examples = sum(trial.settings.max_steps * trial.settings.batch_size for trial in to_run)
    tokens = [_tokens(plan, trial.settings) for trial in to_run]
    more = _most_more(plan, state)
    most_examples = examples + more * max(arm.examples() for arm in plan.arms)
    pace = None if rate is None else rate.seconds_per_example / max(1, workers)
    return {
        "sweep": study.name,
        "sweep_id": plan.sweep_id,
        "question": study.question,
        "scenario": study.scenario.name,
        "metric": {"name": study.metric.name, "unit": study.metric.unit, "direction": study.metric.direction},
        "judged_on": study.metric.words,
        "files": list(study.scenario.files),
        "baseline": study.scenario.told(study.baseline.to_dict()),
        "origins": {name: dict(origin) for name, origin in study.origins.items()},
        "arms": arms,
        "seeds": list(study.seeds),
        "looks": list(study.decision.looks),
        "hold": study.budget.hold,
        "trials": len(needed),
        "to_run": len(to_run),
        "reused": sum(key in finished for key in needed),
        "examples": examples,
        "tokens": None if None in tokens else sum(filter(None, tokens)),
        "workers": workers,
        "estimate_seconds": None if pace is None else pace * examples,
        "most_seconds": None if pace is None else pace * most_examples,
        "estimate_from_trials": 0 if rate is None else rate.trials,
        "confirmation": {
            "seeds": study.decision.confirmation_seeds,
            "trials_per_candidate": study.decision.confirmation_seeds,
            "trials": len(confirmation),
        },
        "search": {"most_trials": most_search_trials(study), "trials": len(searched)},
        "most_trials": len(needed) + more,
        "truncation": truncation(study.scenario.data),
        "ends": list(study.scenario.data.ends),
        "notes": [*plan.notes, *study.scenario.data.ends],
        "caveats": caveats(plan),
    }


def _most_more(plan: Plan, state: State) -> int:
    """Trials that may follow those known to be needed: a search's proposals, candidates' fresh seeds."""
    study = plan.study
    if state.stage == SCREENING:
        return most_search_trials(study) + most_confirmation_trials(study)
    if state.stage == REFINEMENT and state.search is not None:
        return state.search.wanted + most_confirmation_trials(study)
    return 0


def _tokens(plan: Plan, settings: TrainingSettings) -> int | None:
    """What a trial reads, by the mean of the examples as its own `max_length` cuts them."""
    tokens = plan.study.scenario.data.tokens_at(settings.max_length)
    return None if tokens is None else round(tokens * settings.max_steps * settings.batch_size)


def _arm(plan: Plan, arm: Arm, finished: Collection[str]) -> dict[str, Any]:
    keys = [trial.key for trial in plan.trials if trial.arm == arm.name]
    reused = sum(key in finished for key in keys)
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
        "tokens": _tokens(plan, arm.settings),
        "notes": list(arm.notes),
    }
