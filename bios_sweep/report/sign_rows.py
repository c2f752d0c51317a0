"""The signs of every arm as plain records, each with the advice that the guide has for it. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from bios_sweep.analysis.remedies import REMEDIES, remedy_text
from bios_sweep.analysis.signs import Diagnosis, Limits, diagnose
from bios_sweep.procedure import Results, State
from bios_sweep.report.arm_rows import arms_of
from bios_sweep.study.arms import Arm
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import TrialResult


def sign_rows(plan: Plan, state: State, results: Results) -> list[dict[str, Any]]:
    """One record per arm and sign, arms in the order of the plan, an arm's gravest sign first.

    Keys: `arm`, `sign`, `seen`, `numbers`, `threshold`, `source`, `trials` (looked at), `advice`,
    `advice_source`.
    """
    return [
        {
            "arm": arm.name,
            "sign": sign.name,
            "seen": sign.seen,
            "numbers": dict(sign.numbers),
            "threshold": sign.threshold,
            "source": sign.source,
            "trials": found.trials,
            "advice": remedy_text(sign.name, arm.settings),
            "advice_source": REMEDIES[sign.name].source,
        }
        for arm in arms_of(plan, state)
        for found in [diagnosis_of(plan, state, arm, results)]
        for sign in found.signs
    ]


def diagnosis_of(plan: Plan, state: State, arm: Arm, results: Results) -> Diagnosis:
    """What the curves of one arm show, over all its seeds."""
    ended = [results[trial.key] for trial in state.needed if trial.arm == arm.name and trial.key in results]
    margin = _margin(plan, state, ended)
    limits = Limits.of(plan.study.decision, margin)
    return diagnose(ended, limits, plan.study.metric, arm.settings.schedule)


def _margin(plan: Plan, state: State, ended: Sequence[TrialResult]) -> float:
    """The study's margin, else (the baseline has not ended, or diverged) the rule's percent of this arm."""
    if state.margin is not None:
        return state.margin.absolute
    name = plan.study.metric.name
    finals = [value for result in ended if math.isfinite(value := result.final.get(name, math.nan))]
    return plan.study.decision.margin_percent * abs(fmean(finals)) / 100.0 if finals else 0.0
