"""Nuisance ladders: the multiples at which a setting is re-tuned inside every level of a factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bios_sweep.settings import TrainingSettings
from bios_sweep.study.arms import Arm, settings_at
from bios_sweep.study.design import Study
from bios_sweep.study.factors import Factor


def with_nuisances(study: Study) -> tuple[Factor, ...]:
    """The study's factors, each nuisance ladder at the default level among them.

    Without it a level could win by its learning rate alone (docs/statistics.md, item 11).
    """
    factors = {factor.name: factor for factor in study.factors}
    for factor in study.factors:
        if factor.nuisance is None:
            continue
        default = getattr(study.baseline, factor.name)
        rungs = [
            r for _, value in factor.levels(study.baseline) for r in factor.nuisance.rungs(value, default)
        ]
        name = factor.nuisance.setting
        own = factors.get(name)
        levels = {rung: None for rung in rungs if rung != 1.0}
        if own is None:
            factors[name] = Factor(name=name, multiply=tuple(levels))
        elif own.multiply:
            factors[name] = replace(own, multiply=tuple(dict.fromkeys((*own.multiply, *levels))))
        else:
            start = getattr(study.baseline, name)
            values = dict.fromkeys((*own.values, *(start * rung for rung in levels)))
            factors[name] = replace(own, values=tuple(values))
    return tuple(factors.values())


def rungs_of(factor: Factor, value: Any, baseline: TrainingSettings) -> tuple[float, ...]:
    """Multiples of the nuisance setting's value to run at a level of a factor; 1.0 alone without one."""
    if factor.nuisance is None:
        return (1.0,)
    return factor.nuisance.rungs(value, getattr(baseline, factor.name))


def ladder(study: Study, factor: Factor, arms: Sequence[Arm]) -> dict[Any, tuple[str, ...]]:
    """The arms of every level, the default's first; one that two factors share is found by its settings."""
    named = {arm.settings: arm.name for arm in reversed(arms) if not arm.repeat}
    default = getattr(study.baseline, factor.name)
    values = [value for _, value in factor.levels(study.baseline)]
    rungs = {value: rungs_of(factor, value, study.baseline) for value in values}
    rungs = {default: tuple(dict.fromkeys(r for value in values for r in rungs[value])), **rungs}
    return {
        value: tuple(dict.fromkeys(named[settings_at(study, factor, value, rung)] for rung in rungs[value]))
        for value in rungs
    }
