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
HOLDS = ("examples", "steps", "tokens")
SCOPES = ("auto", "distribution", "evaluation")
SEARCHES = ("optuna",)
SEARCH_GOALS = ("quality", "quality and cost")

OPTIMUM, BALANCED, QUALITY, SPEED = "optimum", "balanced", "quality", "speed"
ENOUGH, MINIMUM, IDENTICAL = "enough", "minimum", "identical"

# role of each default and what it may claim of itself; a setting not listed claims to be an optimum
ROLES = {"batch_size": "trade-off", "lora_rank": "enough", "max_steps": "enough", REPEAT: "control"}
CLAIMS = {
    "batch_size": (BALANCED, QUALITY, SPEED),
    "lora_rank": (ENOUGH,),
    "max_steps": (ENOUGH, MINIMUM),
    REPEAT: (IDENTICAL,),
}
FOR_ALL = (OPTIMUM, BALANCED, ENOUGH)  # claims whose value holds whatever matters most
COST_CLAIMS = (BALANCED, SPEED, ENOUGH)  # weigh loss against the measured cost of a step
FEW_STEPS = 100  # Bios guide: 100 steps are the minimum; a trial below it is flagged
SCALES = {"sqrt": 0.5, "linear": 1.0}  # power of (level / default) that a nuisance setting grows with


@dataclass(frozen=True, kw_only=True)
class Nuisance:
    """A setting re-tuned inside every level of a factor, so that levels are compared at their best.

    multiply: a ladder around the baseline's value, the same at every level, the default's included.
    scale: instead of a ladder, grow with a power of level / default (`sqrt`, `linear`). Exactly one.
    """

    setting: str = "learning_rate"
    multiply: tuple[float, ...] = ()
    scale: str | None = None

    def __post_init__(self) -> None:
        if self.setting not in setting_names() or is_whole(self.setting):
            raise PlanError(f"nuisance {self.setting!r} is not allowed; use learning_rate")
        if bool(self.multiply) == bool(self.scale):
            raise PlanError(
                f"nuisance {self.setting}: give either multiply: [0.5, 1, 2] or scale: sqrt, not both or none"
            )
        if self.scale is not None and self.scale not in SCALES:
            _choose(f"nuisance {self.setting}: scale", self.scale, tuple(SCALES))
        for number in self.multiply:
            if not _positive(number):
                raise PlanError(f"nuisance {self.setting}: {number!r} is not a finite number above 0")

    def rungs(self, level: Any, default: Any) -> tuple[float, ...]:
        """Multiples of the baseline's value to run at a level, 1.0 (the value unchanged) first."""
        if self.scale is None:
            return tuple(dict.fromkeys((1.0, *map(float, self.multiply))))
        if not (_is_number(level) and _is_number(default)):
            raise PlanError(
                f"nuisance {self.setting}: scale {self.scale} needs levels that are numbers, not {level!r}"
            )
        return tuple(dict.fromkeys((1.0, float((level / default) ** SCALES[self.scale]))))


@dataclass(frozen=True, kw_only=True)
class Factor:
    """A setting that varies and its tested values; exactly one of `multiply` and `values` is given.

    multiply: factors times the baseline's value (rounded for whole-number settings).
    values: the levels themselves. The baseline's own level is implied and may be listed.
    claims: what the default is judged to be; empty: see `judged_claims`.
    nuisance: a setting re-tuned inside every level.
    """

    name: str
    multiply: tuple[float, ...] = ()
    values: tuple[Any, ...] = ()
    claims: tuple[str, ...] = ()
    nuisance: Nuisance | None = None

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
        possible = self.possible_claims(self.name)
        for claim in self.claims:
            if claim not in possible:
                raise PlanError(
                    f"factor {self.name}: claim {claim!r} is not allowed; choose from {', '.join(possible)}"
                )
        if self.nuisance is not None and self.nuisance.setting == self.name:
            raise PlanError(f"factor {self.name}: it cannot be its own nuisance")
        together = [claim for claim in self.claims if claim in FOR_ALL]
        if len(together) > 1:
            raise PlanError(
                f"factor {self.name}: claims {' and '.join(together)} would serve two values; choose one"
            )
        for claim in self.claims if self.nuisance is not None else ():
            if claim not in (OPTIMUM, BALANCED):
                raise PlanError(
                    f"factor {self.name}: the claim {claim!r} cannot be judged with a nuisance; "
                    f"choose from {OPTIMUM}, {BALANCED}"
                )

    def judged_claims(self, baseline: TrainingSettings) -> tuple[str, ...]:
        """The claims given, else those of the setting's role whose claimed level is tested.

        The levels of a nuisance-aware factor are compared at their best: as balance, or as optimum.
        """
        if self.claims:
            return self.claims
        own = CLAIMS.get(self.name, (OPTIMUM,))
        if self.nuisance is not None:
            return (BALANCED,) if BALANCED in own else (OPTIMUM,)
        tested = [value for _, value in self.levels(baseline)]
        default = None if self.name == REPEAT else getattr(baseline, self.name)
        return tuple(
            claim for claim in own if (level := claimed_level(claim, default)) is None or level in tested
        )

    @staticmethod
    def possible_claims(name: str) -> tuple[str, ...]:
        """What a default of that name may claim; every setting may also claim to be an optimum."""
        own = CLAIMS.get(name, ())
        return own if name == REPEAT or OPTIMUM in own else (*own, OPTIMUM)

    @property
    def role(self) -> str:
        """What kind of default this is: optimum, trade-off, enough."""
        return ROLES.get(self.name, OPTIMUM)

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
class Cross:
    """A moderator: the whole study is asked again at each of its values (a setting, the data size)."""

    setting: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if self.setting not in setting_names():
            allowed = ", ".join(setting_names())
            raise PlanError(f"cross {self.setting!r} is no setting; choose from {allowed}")
        if len(self.values) < 2 or len(set(self.values)) < len(self.values):
            raise PlanError(f"cross {self.setting}: give at least two different values, such as [500, 4000]")


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
    scope: `distribution` adds the evaluation error over clusters, `evaluation` does not, `auto` does
    where clusters are known. cost_ratio: a cost that matters (1.2 = a fifth). speed_loss_percent: loss
    that speed may cost. minimum_share: share of the default's gain that the minimum must reach.
    refine: `optuna` searches the moved factors jointly, with refine_trials trials, for refine_goal.
    guardrails: final metric -> percent of the baseline's value that a refined level may lose.
    """

    alpha: float = 0.05
    looks: tuple[int, ...] = (5,)
    confirmation_seeds: int = 5
    margin_percent: float = 0.5
    margin_share: float = 0.05
    scope: str = "auto"
    cost_ratio: float = 1.2
    speed_loss_percent: float = 1.0
    minimum_share: float = 0.8
    refine: str | None = None
    refine_trials: int = 20
    refine_goal: str = "quality"
    guardrails: Mapping[str, float] = field(default_factory=dict)

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
        for name in ("margin_percent", "margin_share", "speed_loss_percent"):
            if not _positive(getattr(self, name)):
                raise PlanError(f"decision.{name}: {getattr(self, name)!r} is not allowed; a number above 0")
        self._check_roles()

    def _check_roles(self) -> None:
        _choose("decision.scope", self.scope, SCOPES)
        _choose("decision.refine_goal", self.refine_goal, SEARCH_GOALS)
        if self.refine is not None:
            _choose("decision.refine", self.refine, SEARCHES)
        if not _positive(self.cost_ratio) or self.cost_ratio <= 1:
            raise PlanError(f"decision.cost_ratio: {self.cost_ratio!r} is not allowed; a number above 1")
        if not _positive(self.minimum_share) or self.minimum_share >= 1:
            raise PlanError(
                f"decision.minimum_share: {self.minimum_share!r} is not allowed; above 0, below 1"
            )
        if not isinstance(self.refine_trials, int) or self.refine_trials < 2:
            raise PlanError(f"decision.refine_trials: {self.refine_trials!r} is not allowed; at least 2")
        for name, percent in self.guardrails.items():
            if not _positive(percent):
                raise PlanError(f"decision.guardrails.{name}: {percent!r} is not allowed; a number above 0")


@dataclass(frozen=True, kw_only=True)
class Study:
    """One question and all that decides its answer.

    origins: setting -> where the baseline's value came from (`rule`, `source`, `confidence`, ...).
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
    origins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    cross: tuple[Cross, ...] = ()

    def __post_init__(self) -> None:
        if self.cross and self.decision.refine:
            raise PlanError(
                f"sweep {self.name}: decision.refine={self.decision.refine} is not allowed with `cross`; "
                "search in a study of one cell"
            )
        for moderator in self.cross:
            if any(factor.name == moderator.setting for factor in self.factors):
                raise PlanError(f"cross {moderator.setting}: it is also a factor; drop it from one of them")
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
        factors = [_factor_from(factor) for factor in values["factors"]]
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
                "cross": tuple(
                    Cross(setting=c["setting"], values=tuple(c["values"])) for c in values.get("cross", ())
                ),
            }
        )


def claimed_level(claim: str, default: Any) -> Any | None:
    """The level that a claim is about where that is not the default itself.

    The guide's batch sizes 64 for quality and 256 for speed are half and twice its balance of 128; its
    minimum is 100 steps.
    """
    if claim == QUALITY:
        return default // 2
    if claim == SPEED:
        return default * 2
    return FEW_STEPS if claim == MINIMUM else None


def _factor_from(values: Mapping[str, Any]) -> Factor:
    given = values.get("nuisance")
    nuisance = Nuisance(**{**given, "multiply": tuple(given["multiply"])}) if given else None
    return Factor(
        name=values["name"],
        multiply=tuple(values["multiply"]),
        values=tuple(values["values"]),
        claims=tuple(values.get("claims", ())),
        nuisance=nuisance,
    )


def _choose(key: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise PlanError(f"{key}: {value!r} is not allowed; choose from {', '.join(allowed)}")


def _label(value: Any) -> str:
    """Whole numbers in full (1000001 is not 1e+06), others with six significant digits."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value) and value > 0
