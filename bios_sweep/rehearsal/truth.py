"""What is true of one question in a planted world (docs/statistics.md, item 13)."""

from __future__ import annotations

from typing import Any

from bios_sweep.claims import REPEAT
from bios_sweep.decision.claims.truth import Truth
from bios_sweep.decision.question import Question
from bios_sweep.rehearsal.world import World
from bios_sweep.study.arms import Arm, duration_arm
from bios_sweep.study.plan import Plan


def truth_of(plan: Plan, world: World, question: Question) -> Truth:
    """The levels of the question's factor; `plan` has no cells, or is the study's with the factor in all."""
    name = question.factor
    own = plan.cells[0] if plan.cells else plan
    arms: dict[Any, Arm] = {
        str(arm.level) if name == REPEAT else arm.level: arm for arm in own.levels_of(name)
    }
    gains = {level: world.gain(arm.settings, arm.repeat) for level, arm in arms.items()}
    costs = {level: world.cost(arm.settings) for level, arm in arms.items()}

    def iso(level: Any) -> float:
        return gains[level] - world.gain(duration_arm(plan.study, costs[level]).settings)

    return Truth(
        claim=question.claim,
        default=0 if name == REPEAT else getattr(world.baseline, name),
        gains=gains,
        costs=costs,
        iso=iso,
        margin=world.margin,
        gained=world.gained,
        rule=plan.study.decision,
    )
