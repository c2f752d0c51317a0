"""The decision rule: how results become a verdict, fixed before the first trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bios_sweep.checks import is_finite, is_positive, not_allowed, one_of, positive
from bios_sweep.errors import PlanError
from bios_sweep.vocabulary import SearchGoal

SCOPES = ("auto", "distribution", "evaluation")
SEARCHES = ("optuna",)
JUDGING = ("margin_percent", "margin_share", "alpha")  # what else than trials a verdict rests on
VERSION = 2  # of the rule for new plans (docs/statistics.md, item 10)
WISHES = ("target", "deadline")  # what would satisfy: told as signs, and no verdict depends on them


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
    target: a value of the metric that is satisfactory. deadline: seconds that one training may take.
    version: of the rule itself. A plan written without one has 1: the study's pooled error, Dunnett's lower
    bounds, and no arm excluded before its factor is decided. It is finished so; new plans have 2.
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
    refine_goal: str = SearchGoal.QUALITY
    guardrails: Mapping[str, float] = field(default_factory=dict)
    target: float | None = None
    deadline: float | None = None
    version: int = VERSION

    @property
    def excludes(self) -> bool:
        """Whether an arm that is shown to gain less than the margin is out of its question for good."""
        return self.version > 1

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DecisionRule:
        """As `Study.to_dict` keeps it."""
        return cls(**{"version": 1, **values, "looks": tuple(values["looks"])})

    def identity(self) -> dict[str, Any]:
        """What decides a verdict, for the plan's hash.

        Target and deadline are left out: they name what would satisfy, which signs and advice tell; no
        trial, look or verdict changes with them, so a finished sweep stays the same sweep. Version 1 was
        never written, so that a sweep that began under it keeps its id.
        """
        unsaid = WISHES if self.version > 1 else (*WISHES, "version")
        return {name: value for name, value in asdict(self).items() if name not in unsaid}

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
            positive(f"decision.{name}", getattr(self, name), PlanError)
        self._check_roles()

    def _check_roles(self) -> None:
        if self.version not in range(1, VERSION + 1):
            told = f"1 to {VERSION}; a newer bios-sweep wrote it"
            raise not_allowed("decision.version", self.version, told, PlanError)
        one_of("decision.scope", self.scope, SCOPES, PlanError)
        one_of("decision.refine_goal", self.refine_goal, tuple(SearchGoal), PlanError)
        if self.refine is not None:
            one_of("decision.refine", self.refine, SEARCHES, PlanError)
        if not is_positive(self.cost_ratio) or self.cost_ratio <= 1:
            raise not_allowed("decision.cost_ratio", self.cost_ratio, "a number above 1", PlanError)
        if not is_positive(self.minimum_share) or self.minimum_share >= 1:
            raise not_allowed("decision.minimum_share", self.minimum_share, "above 0, below 1", PlanError)
        if not isinstance(self.refine_trials, int) or self.refine_trials < 2:
            raise not_allowed("decision.refine_trials", self.refine_trials, "at least 2", PlanError)
        if self.target is not None and not is_finite(self.target):
            raise not_allowed("decision.target", self.target, "a finite number, or null", PlanError)
        if self.deadline is not None and not is_positive(self.deadline):
            raise not_allowed("decision.deadline", self.deadline, "seconds above 0, or null", PlanError)
        for name, percent in self.guardrails.items():
            positive(f"decision.guardrails.{name}", percent, PlanError)
