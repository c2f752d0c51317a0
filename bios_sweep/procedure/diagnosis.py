"""What the curves of an arm of the plan show, over all its seeds. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from bios_sweep.curves.signs import Diagnosis, Limits, diagnose
from bios_sweep.procedure.state import Results, State
from bios_sweep.study.arms import Arm
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import TrialResult


def diagnosis_of(plan: Plan, state: State, arm: Arm, results: Results) -> Diagnosis:
    """The signs of one arm's trials, those on fresh seeds included."""
    ended = [results[trial.key] for trial in state.needed if trial.arm == arm.name and trial.key in results]
    limits = Limits(margin=_margin(plan, state, ended), rule=plan.study.decision)
    return diagnose(ended, limits, plan.study.metric, arm.settings.schedule)


def _margin(plan: Plan, state: State, ended: Sequence[TrialResult]) -> float:
    """The study's margin, else (the baseline has not ended, or diverged) the rule's percent of this arm."""
    if state.margin is not None:
        return state.margin.absolute
    name = plan.study.metric.name
    finals = [value for result in ended if math.isfinite(value := result.final.get(name, math.nan))]
    return plan.study.decision.margin_percent * abs(fmean(finals)) / 100.0 if finals else 0.0
