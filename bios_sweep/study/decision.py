"""The decision rule: how results become a verdict, fixed before the first trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bios_sweep.checks import is_finite, is_positive, not_allowed, one_of, positive
from bios_sweep.errors import ConfigError, PlanError
from bios_sweep.study.metric_names import is_accuracy, is_share, is_signed
from bios_sweep.vocabulary import SearchGoal

SCOPES = ("auto", "distribution", "evaluation")
SEARCHES = ("optuna",)
GIVEN_MARGINS = ("margin_percent", "margin_share", "margin_absolute")
MARGINS = (*GIVEN_MARGINS, "margin_points")
JUDGING = (*MARGINS, "alpha")  # what else than trials a verdict rests on
MIDDLE = 0.5  # of a share whose level nobody knows yet; chosen
WISHES = ("target", "deadline")  # what would satisfy: told as signs, and no verdict depends on them
CALLED = ("purpose",)  # a name for margins that stand beside it


@dataclass(frozen=True, kw_only=True)
class Margins:
    """What matters for a purpose: percent of the metric, share of what training gained, points of a share."""

    percent: float
    share: float
    points: float


PURPOSES = {  # docs/statistics.md, item 14: why these
    "choose": Margins(percent=1.0, share=0.10, points=2.0),
    "publish": Margins(percent=0.5, share=0.05, points=1.0),
}


def margins_of(purpose: str, metric: str, given: Mapping[str, float | None]) -> dict[str, float | None]:
    """The margins of a rule: those that are given and no others, else the purpose's for such a metric.

    given: `margin_percent`, `margin_share`, `margin_absolute`, None where left open.

    Raises:
        ConfigError: the purpose is none, or no percent of the metric means anything and none is given.
    """
    one_of("decision.purpose", purpose, tuple(PURPOSES))
    margins: dict[str, float | None] = {name: given.get(name) for name in MARGINS}
    if any(value is not None for value in margins.values()):
        return margins
    if is_signed(metric):
        raise ConfigError(
            f"decision.margin_absolute: missing; {metric} may be 0 or less, so no percent of it says what "
            "matters; give the smallest difference that does, such as decision.margin_absolute=0.05"
        )
    of = PURPOSES[purpose]
    if is_share(metric):
        return margins | {"margin_points": of.points}
    return margins | {"margin_percent": of.percent, "margin_share": of.share}


def of_before(rule: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """A rule of before margins had a purpose: its standard one meant a point of an accuracy, in silence."""
    standard, margins = PURPOSES["publish"], (rule.get("margin_percent"), rule.get("margin_share"))
    if not is_accuracy(metric) or margins != (standard.percent, standard.share):
        return dict(rule)
    return {**rule, "margin_percent": None, "margin_share": None, "margin_points": standard.points}


@dataclass(frozen=True, kw_only=True)
class DecisionRule:
    """How a verdict is reached; fixed and hashed into the plan before the first trial.

    alpha: one-sided error rate. looks: numbers of seeds at which screening may decide.
    confirmation_seeds: fresh seeds for a candidate. purpose: whose margins hold unless others are given.
    margin_percent of the baseline's metric, margin_share of what fine-tuning gained over the untouched
    model, margin_absolute in the metric's unit, margin_points of a share in [0, 1] or percent: the
    smallest of those that are not None.
    scope: `distribution` adds the evaluation error over clusters, `evaluation` does not, `auto` does
    where clusters are known. cost_ratio: a cost that matters (1.2 = a fifth). speed_loss_percent: loss
    that speed may cost. minimum_share: share of the default's gain that the minimum must reach.
    refine: `optuna` searches the moved factors jointly, with refine_trials trials, for refine_goal.
    guardrails: final metric -> percent of the baseline's value that a refined level may lose.
    target: a value of the metric that is satisfactory. deadline: seconds that one training may take.
    """

    alpha: float = 0.05
    looks: tuple[int, ...] = (5,)
    confirmation_seeds: int = 5
    purpose: str = "choose"
    margin_percent: float | None = PURPOSES["choose"].percent
    margin_share: float | None = PURPOSES["choose"].share
    margin_absolute: float | None = None
    margin_points: float | None = None
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

    def identity(self) -> dict[str, Any]:
        """What decides a verdict, for the plan's hash.

        Target and deadline are left out: they name what would satisfy, which signs and advice tell; no
        trial, look or verdict changes with them, so a finished sweep stays the same sweep. So is the purpose.
        """
        return {name: value for name, value in asdict(self).items() if name not in (*WISHES, *CALLED)}

    def plain_margin(self, level: float | None) -> float:
        """The margin before a share of the gain is taken, percent of the metric's level.

        level: the baseline's mean; where it is not known, a share is taken to be in the middle, and an
        absolute margin to be what the purpose calls one.
        """
        found = [self.margin_percent] if self.margin_percent is not None else []
        if self.margin_points is not None:
            points = self.margin_points / 100.0 if level is None or abs(level) <= 1.0 else self.margin_points
            found.append(100.0 * points / abs(level or MIDDLE))
        if self.margin_absolute is not None and level:
            found.append(100.0 * self.margin_absolute / abs(level))
        return min(found, default=PURPOSES[self.purpose].percent)

    def margin(self, level: float | None, gained: float | None) -> float:
        """The smallest effect that matters, percent of the metric's level.

        gained: what training gained over the untouched model, percent of the level; None where unknown.
        """
        plain = self.plain_margin(level)
        if self.margin_share is None or gained is None or gained <= 0:
            return plain
        share = self.margin_share * gained
        others = (self.margin_percent, self.margin_points, self.margin_absolute)
        return share if all(other is None for other in others) else min(plain, share)

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
        for name in (*MARGINS, "speed_loss_percent"):
            if getattr(self, name) is not None:
                positive(f"decision.{name}", getattr(self, name), PlanError)
        self._check_roles()

    def _check_roles(self) -> None:
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
