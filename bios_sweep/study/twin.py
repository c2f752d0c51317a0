"""The twin: one trial run twice, to find out whether a user's own script honours its seed.

Seeds pair arms only if the same seed gives the same run. Our engine is known to; of a script nobody
knows, so the baseline runs once more at the first seed and the two values are compared.
"""

from __future__ import annotations

import dataclasses

from bios_sweep.study.arms import Arm
from bios_sweep.study.plan import Plan
from bios_sweep.study.stages import make_trial
from bios_sweep.study.trials import TrialSpec
from bios_sweep.vocabulary import Stage

TWIN_ARM = "baseline again"


def twin_arm(plan: Plan) -> Arm:
    """The baseline under another name and another identity, so that it runs again under equal settings."""
    return dataclasses.replace(plan.baseline, name=TWIN_ARM, repeat=1, notes=())


def twin_trial(plan: Plan) -> TrialSpec | None:
    """The twin at the first seed; None where the engine is known to give the same numbers twice."""
    if plan.study.scenario.repeatable:
        return None
    return make_trial(plan.study, twin_arm(plan), plan.study.seeds[0], Stage.CONTROL)


def first_trial(plan: Plan) -> TrialSpec:
    """The trial that the twin repeats: the baseline at the first seed."""
    return next(trial for trial in plan.trials if trial.arm == plan.baseline.name)
