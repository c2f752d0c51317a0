"""Gain against cost: the arms whose both are known."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bios_sweep.decision.bounds import Bound
from bios_sweep.decision.costs import CostRatio
from bios_sweep.decision.frontier import Point, frontier
from bios_sweep.procedure import State
from bios_sweep.report.content.wording import finite_or_none
from bios_sweep.study.plan import Plan


@dataclass(frozen=True, kw_only=True)
class FrontierRow:
    """An arm's gain in percent and its time over the baseline's, each with bounds (None: unbounded).

    steps, examples: of a whole training, which hold on any hardware. on_frontier: no arm is both better and
    faster.
    """

    arm: str
    gain: float
    lower: float | None
    upper: float | None
    cost_ratio: float
    cost_lower: float
    cost_upper: float
    steps: int
    examples: int
    on_frontier: bool


def frontier_rows(plan: Plan, state: State) -> tuple[FrontierRow, ...]:
    """Arms whose gain and cost are both known, cheapest first; the default among them at 0 % and 1."""
    bounds = {bound.arm: bound for finding in state.screening.values() for bound in finding.bounds}
    name = plan.baseline.name
    bounds[name] = Bound(arm=name, gain=0.0, lower=0.0, upper=0.0, standard_error=0.0)
    costs = {name: CostRatio(arm=name, ratio=1.0, lower=1.0, upper=1.0), **state.costs}
    points = [
        Point(
            arm=arm.name,
            gain=bounds[arm.name],
            cost=costs[arm.name],
            steps=arm.settings.max_steps,
            examples=arm.examples(),
        )
        for arm in plan.arms
        if arm.name in bounds and arm.name in costs and math.isfinite(bounds[arm.name].gain)
    ]
    if len(points) < 2 or plan.cells:
        return ()
    return tuple(
        FrontierRow(
            arm=point.arm,
            gain=point.gain.gain,
            lower=finite_or_none(point.gain.lower),
            upper=finite_or_none(point.gain.upper),
            cost_ratio=point.cost.ratio,
            cost_lower=point.cost.lower,
            cost_upper=point.cost.upper,
            steps=point.steps,
            examples=point.examples,
            on_frontier=point.efficient,
        )
        for point in frontier(points)
    )
