"""A study: one question, asked as a baseline and variations that change one thing at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bios_sweep.errors import PlanError
from bios_sweep.settings import TrainingSettings, is_whole, setting_names
from bios_sweep.study.scenario import Metric, Scenario

REPEAT = "repeat"  # the A/A factor: the same settings run again under another name
HOLDS = ("examples", "steps")

# role and claim of each default (what it says of itself); a setting not listed claims to be an optimum
CLAIMS = {
    "learning_rate": ("optimum", "optimum"),
    "batch_size": ("trade-off", "balanced"),
    "lora_rank": ("enough", "enough"),
    "max_steps": ("enough", "enough"),
    REPEAT: ("control", "identical"),
}


@dataclass(frozen=True, kw_only=True)
class Factor:
    """A setting that varies and its tested values; exactly one of `multiply` and `values` is given.

    multiply: factors times the baseline's value (rounded for whole-number settings).
    values: the levels themselves. The baseline's own level is implied and may be listed.
    """

    name: str
    multiply: tuple[float, ...] = ()
    values: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        allowed = (*setting_names(), REPEAT)
        if self.name not in allowed:
            raise PlanError(f"factor {self.name!r} is no setting; choose from {', '.join(allowed)}")
        if bool(self.multiply) == bool(self.values):
            raise PlanError(
                f"factor {self.name}: give either multiply or values, for example {{multiply: [0.5, 2]}}"
            )
        if self.name == REPEAT and self.multiply:
            raise PlanError("factor repeat: it has no value to multiply; use values, for example [1]")
        for number in self.multiply:
            if isinstance(number, bool) or not isinstance(number, int | float) or not _positive(number):
                raise PlanError(f"factor {self.name}: multiply {number!r} is not a finite number above 0")

    @property
    def role(self) -> str:
        """What kind of default this is: optimum, trade-off, enough."""
        return CLAIMS.get(self.name, ("optimum", "optimum"))[0]

    @property
    def claim(self) -> str:
        """What the default says of itself."""
        return CLAIMS.get(self.name, ("optimum", "optimum"))[1]

    def levels(self, baseline: TrainingSettings) -> tuple[tuple[str, Any], ...]:
        """(label, value) per level, in the given order. Labels name arms: `x0.5` or the value itself."""
        if self.values:
            return tuple((_label(value), value) for value in self.values)
        start = getattr(baseline, self.name)
        return tuple((f"x{number:g}", self._times(start, number)) for number in self.multiply)

    def _times(self, start: Any, number: float) -> Any:
        if not _is_number(start):
            raise PlanError(f"factor {self.name}: {start!r} cannot be multiplied; use values")
        return max(1, round(start * number)) if is_whole(self.name) else start * number


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What every arm may spend, and the ceiling of the whole sweep.

    hold: what is held equal between arms: `examples` (steps = ceil(examples / batch size)) or `steps`.
    measurements: evaluations per trial at equal fractions of its steps. max_hours: wall-clock hours,
    judged against the estimate from earlier trials.
    """

    hold: str = "examples"
    measurements: int = 5
    max_trials: int = 200
    max_hours: float | None = None

    def __post_init__(self) -> None:
        if self.hold not in HOLDS:
            raise PlanError(f"budget.hold: {self.hold!r} is not allowed; choose from {', '.join(HOLDS)}")
        if self.measurements < 1:
            raise PlanError(f"budget.measurements: {self.measurements} is not allowed; at least 1")


@dataclass(frozen=True, kw_only=True)
class DecisionRule:
    """How a verdict is reached; fixed and hashed into the plan before the first trial.

    alpha: one-sided error rate. looks: numbers of seeds at which screening may decide.
    confirmation_seeds: fresh seeds for a candidate. margin: the smaller of `margin_percent` of the
    baseline's loss and `margin_share` of what fine-tuning gained over the untouched model.
    """

    alpha: float = 0.05
    looks: tuple[int, ...] = (5,)
    confirmation_seeds: int = 5
    margin_percent: float = 0.5
    margin_share: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise PlanError(f"decision.alpha: {self.alpha} is not allowed; a number between 0 and 0.5")
        if not self.looks or list(self.looks) != sorted(set(self.looks)) or self.looks[0] < 1:
            raise PlanError(
                f"decision.looks: {list(self.looks)} is not allowed; "
                "rising numbers of seeds, such as [3, 5, 8]"
            )
        if self.looks[0] == 1 and len(self.looks) > 1:
            raise PlanError(
                f"decision.looks: {list(self.looks)} is not allowed; one seed decides nothing, so the "
                "first of several looks needs at least 2"
            )
        if self.confirmation_seeds < 0 or self.confirmation_seeds == 1:
            raise PlanError(
                f"decision.confirmation_seeds: {self.confirmation_seeds} is not allowed; "
                "0 for none, else at least 2"
            )
        for name in ("margin_percent", "margin_share"):
            if not _positive(getattr(self, name)):
                raise PlanError(f"decision.{name}: {getattr(self, name)!r} is not allowed; a number above 0")


@dataclass(frozen=True, kw_only=True)
class Study:
    """One question and all that decides its answer.

    origins: setting -> where the baseline's value came from (`rule`, `source`, `confidence`, ...).
    seeds: shared by all arms, so that differences pair.
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
    origins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.seeds:
            raise PlanError("seeds: at least one is needed, for example seeds=[0,1,2]")
        for seed in self.seeds:
            if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
                raise PlanError(f"seeds: {seed!r} is not allowed; whole numbers from 0 on")
        repeated = [seed for seed in self.seeds if self.seeds.count(seed) > 1]
        if repeated:
            raise PlanError(f"seeds: {repeated[0]} is given twice; a repeated seed is not a replicate")
        if self.decision.looks[-1] != len(self.seeds):
            raise PlanError(
                f"decision.looks ends at {self.decision.looks[-1]} seeds but there are {len(self.seeds)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for plan.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Study:
        """Inverse of `to_dict`, also after JSON has turned tuples into lists."""
        decision = {**values["decision"], "looks": tuple(values["decision"]["looks"])}
        factors = [
            Factor(name=f["name"], multiply=tuple(f["multiply"]), values=tuple(f["values"]))
            for f in values["factors"]
        ]
        return cls(
            **{
                **values,
                "scenario": Scenario.from_dict(values["scenario"]),
                "baseline": TrainingSettings.from_dict(values["baseline"]),
                "factors": tuple(factors),
                "seeds": tuple(values["seeds"]),
                "budget": Budget(**values["budget"]),
                "decision": DecisionRule(**decision),
                "metric": Metric(**values["metric"]),
            }
        )


def _label(value: Any) -> str:
    """Whole numbers in full (1000001 is not 1e+06), others with six significant digits."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value) and value > 0
