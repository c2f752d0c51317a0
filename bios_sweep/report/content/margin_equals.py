"""What costs or gains as much as a margin, by the trials of a study that are there. Pure.

docs/statistics.md, item 14.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

import numpy as np

from bios_sweep.procedure.state import Results
from bios_sweep.study.arms import BASELINE
from bios_sweep.study.plan import Plan
from bios_sweep.vocabulary import Status

RATE, STEPS = "learning_rate", "max_steps"


def final_means(plan: Plan, results: Results) -> dict[str, float]:
    """Arm -> its mean final metric, of arms with a completed trial at a seed of the study."""
    metric, found = plan.study.metric.name, {}
    for arm in plan.arms:
        values = [
            results[trial.key].final.get(metric, math.nan)
            for trial in plan.trials
            if trial.arm == arm.name and trial.key in results
            if results[trial.key].status == Status.COMPLETED
        ]
        if values and all(map(math.isfinite, values)):
            found[arm.name] = statistics.fmean(values)
    return found


def rate_factor(plan: Plan, means: Mapping[str, float], percent: float) -> float | None:
    """By a parabola through the tested learning rates: how far from its best a rate costs the margin."""
    points = _losses(plan, means, RATE)
    if len(points) < 4:
        return None
    away, lost = np.array(points).T
    bend = float(np.polyfit(away, lost, 2)[0])
    return four_digits(2.0 ** math.sqrt(percent / bend)) if bend > 0 else None


def time_share(plan: Plan, means: Mapping[str, float], percent: float) -> float | None:
    """By the default's own shorter and longer trainings: how much longer gains the margin."""
    points = _losses(plan, means, STEPS)
    longer = [lost / doublings for doublings, lost in points if doublings > 0]
    if not longer or longer[0] >= 0:
        return None
    return four_digits(2.0 ** (percent / -longer[0]) - 1.0)


def _losses(plan: Plan, means: Mapping[str, float], setting: str) -> list[tuple[float, float]]:
    """log2 of a level over the default's, and what it loses, percent; of the arms of one setting."""
    own, default = getattr(plan.study.baseline, setting), means.get(BASELINE)
    if not default or not own:
        return []
    sign, points = plan.study.metric.sign, [(0.0, 0.0)]
    for arm in plan.arms_of(setting):
        if arm.name in means and isinstance(arm.level, int | float) and arm.level > 0:
            lost = 100.0 * sign * (default - means[arm.name]) / abs(default)
            points.append((math.log2(arm.level / own), lost))
    return points


def four_digits(value: float) -> float:
    """As exact as a plan's forecast can be, and short to read in JSON."""
    return float(f"{value:.4g}")
