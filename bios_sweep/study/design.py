"""A study: one question, asked as a baseline and variations that change one thing at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bios_sweep.checks import is_whole, not_allowed, one_of
from bios_sweep.errors import PlanError
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.decision import DecisionRule
from bios_sweep.study.factors import Cross, Factor, factor_from, require_setting
from bios_sweep.study.scenario import Metric, Scenario

HOLDS = ("examples", "steps", "tokens")


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What every arm may spend, and the ceiling of the whole sweep.

    hold: what is held equal between arms: `examples` (steps = ceil(examples / batch size)), `steps`, or
    `tokens` (as examples: all arms read one stream, so equal examples are equal tokens).
    measurements: evaluations per trial at equal fractions of its steps. max_hours: wall-clock hours,
    judged against the estimate from earlier trials.
    """

    hold: str = "examples"
    measurements: int = 5
    max_trials: int = 200
    max_hours: float | None = None

    def __post_init__(self) -> None:
        one_of("budget.hold", self.hold, HOLDS, PlanError)
        if self.measurements < 1:
            raise PlanError(f"budget.measurements: {self.measurements} is not allowed; at least 1")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a baseline's value came from. recommended: the heuristic's own, also where another was given."""

    rule: str = ""
    source: str = ""
    evidence: str = ""
    confidence: str = ""
    recommended: Any = None


@dataclass(frozen=True, kw_only=True)
class Study:
    """One question and all that decides its answer.

    origins: setting -> where the baseline's value came from.
    seeds: shared by all arms, so that differences pair. cross: moderators, every combination a cell.
    """

    name: str
    question: str
    scenario: Scenario
    baseline: TrainingSettings
    factors: tuple[Factor, ...]
    seeds: tuple[int, ...]
    budget: Budget = field(default_factory=Budget)
    decision: DecisionRule = field(default_factory=DecisionRule)
    metric: Metric = field(default_factory=Metric)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    cross: tuple[Cross, ...] = ()

    def __post_init__(self) -> None:
        if self.cross and self.decision.refine:
            raise PlanError(
                f"sweep {self.name}: decision.refine={self.decision.refine} is not allowed with `cross`; "
                "search in a study of one cell"
            )
        for factor in self.factors:
            require_setting("factor", factor.name, self.baseline)
        for moderator in self.cross:
            require_setting("cross", moderator.setting, self.baseline)
            if any(factor.name == moderator.setting for factor in self.factors):
                raise PlanError(f"cross {moderator.setting}: it is also a factor; drop it from one of them")
        if not self.seeds:
            raise PlanError("seeds: at least one is needed, for example seeds=[0,1,2]")
        for seed in self.seeds:
            if not is_whole(seed) or seed < 0:
                raise not_allowed("seeds", seed, "whole numbers from 0 on", PlanError)
        repeated = [seed for seed in self.seeds if self.seeds.count(seed) > 1]
        if repeated:
            raise PlanError(f"seeds: {repeated[0]} is given twice; a repeated seed is not a replicate")
        if self.decision.looks[-1] != len(self.seeds):
            raise PlanError(
                f"decision.looks ends at {self.decision.looks[-1]} seeds but there are {len(self.seeds)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for plan.json."""
        parts = {"scenario": self.scenario.to_dict(), "baseline": self.baseline.to_dict()}
        return {**asdict(self), **parts}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Study:
        """Inverse of `to_dict`, also after JSON has turned tuples into lists."""
        factors = [factor_from(factor) for factor in values["factors"]]
        return cls(
            **{
                **values,
                "scenario": Scenario.from_dict(values["scenario"]),
                "baseline": TrainingSettings.from_dict(values["baseline"]),
                "factors": tuple(factors),
                "seeds": tuple(values["seeds"]),
                "budget": Budget(**values["budget"]),
                "decision": DecisionRule.from_dict(values["decision"]),
                "metric": Metric(**values["metric"]),
                "origins": {name: Origin(**one) for name, one in values.get("origins", {}).items()},
                "cross": tuple(
                    Cross(setting=c["setting"], values=tuple(c["values"])) for c in values.get("cross", ())
                ),
            }
        )
