"""What it takes to decide by a margin: how likely an answer is, and with how many trials. Pure.

docs/statistics.md, item 14.
"""

from __future__ import annotations

from dataclasses import dataclass

from bios_sweep.rehearsal.quick import Chances, Design, chances_of
from bios_sweep.report.content.scope import too_few_clusters
from bios_sweep.study.design import DecisionRule
from bios_sweep.study.plan import Plan


@dataclass(frozen=True, kw_only=True)
class StudyChances:
    """All factors together: the least likely answer, and the trials of all."""

    confirms: float
    finds: float
    trials: float


def study_chances(plan: Plan, rule: DecisionRule, percent: float, noise: float) -> StudyChances | None:
    """By a margin of `percent`, at `noise` percent of one trial; None where one seed decides nothing.

    Data that forbid a verdict leave no chance of one.
    """
    if rule.looks[0] < 2:
        return None
    found = _of_factors(plan, rule, percent, noise)
    if not found:
        return None
    barred = too_few_clusters(plan)
    default = max(one.seeds for one in found) * len(_cells(plan))
    return StudyChances(
        confirms=0.0 if barred else min(one.confirmed for one in found),
        finds=0.0 if barred else min(one.found for one in found),
        trials=round(default + sum(one.level_trials for one in found), 1),
    )


def _cells(plan: Plan) -> tuple[Plan, ...]:
    return plan.cells or (plan,)


def _of_factors(plan: Plan, rule: DecisionRule, percent: float, noise: float) -> list[Chances]:
    """Of each factor in each cell that has levels of it."""
    tried = max(1, sum(len(cell.arms) - 1 for cell in _cells(plan)))
    sizes = [len(cell.arms_of(factor.name)) for cell in _cells(plan) for factor in plan.study.factors]
    return [
        chances_of(
            Design(
                levels=size,
                tried=tried,
                looks=rule.looks,
                fresh=rule.confirmation_seeds,
                alpha=rule.alpha,
                noise=noise,
                margin=percent,
            )
        )
        for size in sizes
        if size
    ]
