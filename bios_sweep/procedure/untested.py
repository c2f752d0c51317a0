"""Levels that gave no outcome at all: every one of their trials failed. Pure.

A failed trial takes its seed out for all arms, so one level that does not fit into memory would take out
every seed, and with them every verdict of the study. Such a level was not tested, as if the grid had ended
before it: whether a trial fails does not depend on what it would have measured. The verdict names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bios_sweep.procedure.state import Results
from bios_sweep.reasons import Kind, Reason
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import TrialSpec
from bios_sweep.vocabulary import Status

UNTESTED = Kind("{level} was not tested: it failed at every seed ({how})")


def untested_arms(plan: Plan, trials: Sequence[TrialSpec], results: Results) -> dict[str, str]:
    """Arm -> how its trials failed, of levels that failed at every seed among `trials`, which all ended.

    Not so for levels that are re-tuned, whose rungs stand for each other, nor for what others are held
    against: the baseline, and the default trained for another time.
    """
    plain = [factor.name for factor in plan.factors if factor.nuisance is None]
    levels = {arm.name for factor in plain for arm in plan.levels_of(factor)}
    ended: dict[str, list[str | None]] = {}
    for trial in trials:
        if trial.arm in levels.difference(plan.durations.values()):
            result = results[trial.key]
            ended.setdefault(trial.arm, []).append(result.failure if result.status == Status.FAILED else None)
    return {
        arm: ", ".join(dict.fromkeys(kind or Status.FAILED for kind in kinds))
        for arm, kinds in ended.items()
        if None not in kinds
    }


def untested_reasons(plan: Plan, factor: str, untested: Mapping[str, str]) -> tuple[Reason, ...]:
    """What a verdict says of the factor's levels that were not tested."""
    return tuple(
        UNTESTED(level=arm.label, how=untested[arm.name])
        for arm in plan.levels_of(factor)
        if arm.name in untested
    )
