"""Whether a decided word is wrong in a world that is known (docs/statistics.md, item 13)."""

from __future__ import annotations

import math
from typing import Any

from bios_sweep.procedure import Question
from bios_sweep.rehearsal.world import World
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.arms import Arm
from bios_sweep.study.claims import BALANCED, ENOUGH, MINIMUM, QUALITY, REPEAT, SPEED, claimed_level
from bios_sweep.study.decision import DecisionRule
from bios_sweep.study.durations import duration_arm
from bios_sweep.study.plan import Plan


class Truth:
    """The true gains and costs of the levels of one question's factor. default: its own level."""

    def __init__(self, plan: Plan, world: World, question: Question) -> None:
        """Looks the levels up once; `plan` has no cells, or is the study's with the factor in all of them."""
        name = question.factor.name
        own = plan.cells[0] if plan.cells else plan
        self._plan, self._world = plan, world
        self.claim, self.rule = question.claim, plan.study.decision
        self.default: Any = 0 if name == REPEAT else getattr(world.baseline, name)
        arms: dict[Any, Arm] = {
            str(arm.level) if name == REPEAT else arm.level: arm for arm in own.levels_of(name)
        }
        self.gains = {level: world.gain(arm.settings, arm.repeat) for level, arm in arms.items()}
        self.costs = {level: world.cost(arm.settings) for level, arm in arms.items()}
        self._settings = {level: arm.settings for level, arm in arms.items()}
        self.margin = world.margin

    def wrong_confirmation(self) -> bool:
        """Whether a confirmation would overlook something that matters."""
        most = max(self.gains.values())
        claimed = claimed_level(self.claim, self.default)
        if self.claim == ENOUGH:
            larger = [gain for level, gain in self.gains.items() if level > self.default]
            return max(larger, default=-math.inf) >= self.margin
        if self.claim == BALANCED:
            return max(self.iso_gain(level) for level in self.gains) >= self.margin
        if self.claim == QUALITY:
            return self.gains[claimed] <= 0 or most - self.gains[claimed] >= self.margin
        if self.claim == SPEED:
            return not self._fast_enough(claimed, self.rule)
        if self.claim == MINIMUM:
            return self._share(claimed) < self.rule.minimum_share
        return most >= self.margin

    def wrong_refinement(self, level: Any) -> bool:
        """Whether serving a level (the default's, too, where the claim is about another) does harm."""
        gain = self.gains.get(level, 0.0)
        claimed = claimed_level(self.claim, self.default)
        if self.claim == ENOUGH and level < self.default:
            return gain <= -self.margin
        if self.claim == BALANCED:
            return self.iso_gain(level) <= 0
        if self.claim == QUALITY:
            if level == self.default:
                return max(self.gains.values()) >= self.margin
            return gain - self.gains[claimed] <= 0
        if self.claim == SPEED:
            fit = self._fast_enough(claimed if level == self.default else level, self.rule)
            return fit if level == self.default else not fit
        if self.claim == MINIMUM:
            return self._share(level) < self.rule.minimum_share
        return gain <= 0

    def iso_gain(self, level: Any) -> float:
        """True gain of a level over the default trained for the same time."""
        longer = duration_arm(self._plan.study, self._world.cost(self._of(level))).settings
        return self.gains[level] - self._world.gain(longer)

    def _of(self, level: Any) -> TrainingSettings:
        return self._settings[level]

    def _share(self, level: Any) -> float:
        return (self._world.gained + self.gains[level]) / self._world.gained

    def _fast_enough(self, level: Any, rule: DecisionRule) -> bool:
        return self.gains[level] > -rule.speed_loss_percent and self.costs[level] < 1.0 / rule.cost_ratio
