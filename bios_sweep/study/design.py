"""A study: one question, asked as a baseline and variations, and the rule by which results decide it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bios_sweep.checks import SANE, is_finite, is_positive, is_sane, is_whole, not_allowed, one_of, positive
from bios_sweep.errors import PlanError
from bios_sweep.jsonable import OPTIONAL, from_fields, to_json
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.companions import OF_ITEMS, Companion, guardrails_as_companions
from bios_sweep.study.factors import Cross, Factor, require_setting
from bios_sweep.study.history import History
from bios_sweep.study.margins import BEFORE, MARGINS, PURPOSES, STANDARD, margins_of
from bios_sweep.study.metric_names import is_signed
from bios_sweep.study.scenario import Metric, Scenario
from bios_sweep.vocabulary import SearchGoal

SCOPES = ("auto", "distribution", "evaluation")
SEARCHES = ("optuna",)
UNDECIDABLE = REFUSE, GO_ON = "refuse", "run"  # what becomes of a margin that the items cannot decide
JUDGING = (*MARGINS, "alpha")  # what else than trials a verdict rests on
VERSION = 2  # of the rule for new plans (docs/statistics.md, item 10)
WISHES = ("target", "deadline")  # what would satisfy: told as signs, and no verdict depends on them
CALLED = ("purpose",)  # a name for margins that stand beside it
MIDDLE = 0.5  # of a share whose level nobody knows yet; chosen
HOLDS = ("examples", "steps", "tokens", "epochs")
# What nobody means, chosen far from what is of use; beyond it a plan would take for ever, or a bound be none.
MOST_SEEDS, LARGEST_SEED = 1_000_000, 2**63 - 1  # what a tuned file, and other readers of JSON, can hold
MOST_MEASUREMENTS, MOST_PROPOSALS = 10_000, 10_000
LEAST_PERCENT, MOST_PERCENT = 1e-6, 1_000.0  # of a margin
LEAST_ALPHA = 1e-9
EPOCHS = "epochs"  # what is held equal, and the setting of a script that has their number


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What every arm may spend, and the ceiling of the whole sweep.

    hold: what is held equal between arms: `examples` (steps = ceil(examples / batch size)), `steps`, or
    `tokens` (as examples: all arms read one stream, so equal examples are equal tokens), or `epochs`, of a
    script that counts so: their number is a setting of its own.
    measurements: evaluations per trial at equal fractions of its steps. max_hours: wall-clock hours,
    judged against the estimate from earlier trials.
    """

    hold: str = "examples"
    measurements: int = 5
    max_trials: int = 200
    max_hours: float | None = None
    epochs: float | None = field(default=None, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        one_of("budget.hold", self.hold, HOLDS, PlanError)
        if self.epochs is not None:
            positive("budget.epochs", self.epochs, PlanError)
        if self.max_hours is not None:
            positive("budget.max_hours", self.max_hours, PlanError)
        if not 1 <= self.measurements <= MOST_MEASUREMENTS:
            raise PlanError(
                f"budget.measurements: {self.measurements} is not allowed; 1 to {MOST_MEASUREMENTS:,}"
            )


@dataclass(frozen=True, kw_only=True)
class DecisionRule:
    """How a verdict is reached; fixed and hashed into the plan before the first trial.

    alpha: one-sided error rate. looks: numbers of seeds at which screening may decide.
    confirmation_seeds: fresh seeds for a candidate. purpose: whose margins hold unless others are given.
    margin_percent of the baseline's metric, margin_share of what fine-tuning gained over the untouched
    model, margin_absolute in the metric's unit, margin_points of a share in [0, 1] or percent: what matters
    is the smallest of those that are not None.
    scope: `distribution` adds the evaluation error over clusters, `evaluation` does not, `auto` does
    where clusters are known. cost_ratio: a cost that matters (1.2 = a fifth). speed_loss_percent: loss
    that speed may cost. minimum_share: share of the default's gain that the minimum must reach.
    refine: `optuna` searches the moved factors jointly, with refine_trials trials, for refine_goal.
    guardrails: final metric -> percent of the baseline's value that a refined level may lose. companions: the
    same with a direction and a margin of their own (`decision.metrics`). items: how many evaluation items the
    deciding metric is a mean over, differing: the share in which two trained models differ, where it is said.
    target: a value of the metric that is satisfactory. deadline: seconds that one training may take.
    version: of the rule itself. A plan written without one has 1: the study's pooled error, Dunnett's lower
    bounds, and no arm excluded before its factor is decided. It is finished so; new plans have 2.
    """

    alpha: float = 0.05
    looks: tuple[int, ...] = (5,)
    confirmation_seeds: int = 5
    purpose: str = STANDARD
    margin_percent: float | None = PURPOSES[STANDARD].percent
    margin_share: float | None = PURPOSES[STANDARD].share
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
    version: int = field(default=VERSION, metadata=OPTIONAL)
    companions: tuple[Companion, ...] | None = field(default=None, metadata=OPTIONAL)
    items: int | None = field(default=None, metadata=OPTIONAL)
    differing: float | None = field(default=None, metadata=OPTIONAL)

    def must_not_lose(self, judged: Metric) -> tuple[Companion, ...]:
        """What a refinement must not lose, guardrails among it. judged: the metric that decides."""
        return (*guardrails_as_companions(self.guardrails, judged), *(self.companions or ()))

    def by_purpose(self, metric: str) -> bool:
        """Whether the margins are those that the purpose names for such a metric."""
        own = {name: getattr(self, name) for name in MARGINS}
        return not is_signed(metric) and own == margins_of(self.purpose, metric, {})

    @property
    def excludes(self) -> bool:
        """Whether an arm that is shown to gain less than the margin is out of its question for good."""
        return self.version > 1

    def look_at(self, place: int) -> int:
        """At which look the study's seed of that place joins, the first being 1."""
        return 1 + sum(place >= seeds for seeds in self.looks)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DecisionRule:
        """As `Study.to_dict` keeps it."""
        companions = values.get("companions")
        kept = None if companions is None else tuple(map(Companion.from_dict, companions))
        return cls(
            **{"version": 1, "purpose": BEFORE, **values, "looks": tuple(values["looks"]), "companions": kept}
        )

    def identity(self) -> dict[str, Any]:
        """What decides a verdict, for the plan's hash.

        Target and deadline are left out: they name what would satisfy, which signs and advice tell; no
        trial, look or verdict changes with them, so a finished sweep stays the same sweep. So are the purpose
        and a kind of margin that the rule does not have, and numbers of items. Version 1 was never written,
        so that a sweep that began under it keeps its id.
        """
        unsaid = WISHES if self.version > 1 else (*WISHES, "version")
        unsaid = (*unsaid, *CALLED, *(name for name in MARGINS if getattr(self, name) is None))
        unsaid = (*unsaid, *OF_ITEMS, "companions")
        said = {name: value for name, value in asdict(self).items() if name not in unsaid}
        return (
            {**said, "companions": [one.identity() for one in self.companions]} if self.companions else said
        )

    def of_before(self, metric: str, *, stated: bool) -> Iterator[DecisionRule]:
        """What earlier versions made of the same command, the latest first, for sweeps that began under it.

        stated: the command itself names a purpose, so that its margin is nobody's standard.
        """
        margins: dict[str, Any] = {name: getattr(self, name) for name in MARGINS}
        standard = not stated and not is_signed(metric) and margins == margins_of(STANDARD, metric, {})
        if standard:
            earlier: dict[str, Any] = margins_of(BEFORE, metric, {})
            yield replace(self, purpose=BEFORE, **earlier)
            of = PURPOSES[BEFORE]  # version 1 had it for every metric
            margins = {
                **margins,
                "margin_points": None,
                "margin_percent": of.percent,
                "margin_share": of.share,
            }
        for version in range(VERSION - 1, 0, -1):
            yield replace(self, version=version, purpose=BEFORE if standard else self.purpose, **margins)

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
        looks, seeds = list(self.looks), self.confirmation_seeds
        self._require("alpha", 0 < self.alpha < 0.5, "a number between 0 and 0.5")
        self._require("alpha", self.alpha >= LEAST_ALPHA, f"a number between {LEAST_ALPHA:g} and 0.5")
        if not looks or looks != sorted(set(looks)) or looks[0] < 1:
            rising = "rising numbers of seeds, such as [3, 5, 8]"
            raise not_allowed("decision.looks", looks, rising, PlanError)
        if looks[0] == 1 and len(looks) > 1:
            several = "one seed decides nothing, so the first of several looks needs at least 2"
            raise not_allowed("decision.looks", looks, several, PlanError)
        if looks[-1] > MOST_SEEDS:
            raise not_allowed("decision.looks", looks, f"at most {MOST_SEEDS:,} seeds", PlanError)
        self._require("confirmation_seeds", seeds == 0 or seeds > 1, "0 for none, else at least 2")
        self._require("confirmation_seeds", seeds <= MOST_SEEDS, f"at most {MOST_SEEDS:,}")
        one_of("decision.purpose", self.purpose, tuple(PURPOSES), PlanError)
        for name in (*MARGINS, "speed_loss_percent"):
            if getattr(self, name) is not None:
                positive(f"decision.{name}", getattr(self, name), PlanError)
        for name in ("margin_percent", "margin_points"):
            percent = getattr(self, name)
            sensible = percent is None or LEAST_PERCENT <= percent <= MOST_PERCENT
            self._require(name, sensible, f"{LEAST_PERCENT:g} to {MOST_PERCENT:g}")
        one_of("decision.scope", self.scope, SCOPES, PlanError)
        one_of("decision.refine_goal", self.refine_goal, tuple(SearchGoal), PlanError)
        if self.refine is not None:
            one_of("decision.refine", self.refine, SEARCHES, PlanError)
        dearer, share = self.cost_ratio, self.minimum_share
        self._require("cost_ratio", is_positive(dearer) and dearer > 1, "a number above 1")
        self._require("minimum_share", is_positive(share) and share < 1, "above 0, below 1")
        trials, target, deadline = self.refine_trials, self.target, self.deadline
        self._require("refine_trials", isinstance(trials, int) and trials >= 2, "at least 2")
        self._require("refine_trials", trials <= MOST_PROPOSALS, f"at most {MOST_PROPOSALS:,}")
        self._require("target", target is None or is_finite(target), "a finite number, or null")
        self._require("target", target is None or is_sane(target), f"a number {SANE}, or null")
        self._require(
            "deadline",
            deadline is None or (is_positive(deadline) and is_sane(deadline)),
            "seconds above 0, or null",
        )
        known = self.version in range(1, VERSION + 1)
        self._require("version", known, f"1 to {VERSION}; a newer bios-sweep wrote it")
        for name, percent in self.guardrails.items():
            positive(f"decision.guardrails.{name}", percent, PlanError)
        twice = [one.metric.name for one in self.companions or () if one.metric.name in self.guardrails]
        if twice:
            raise PlanError(
                f"decision.guardrails.{twice[0]}: decision.metrics says it too; leave one of the two out"
            )

    def _require(self, name: str, right: bool, allowed: str) -> None:
        if not right:
            raise not_allowed(f"decision.{name}", getattr(self, name), allowed, PlanError)


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
    history: what earlier studies of its questions add; None where nobody asked before.
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
    history: History | None = None

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
        if len(self.seeds) > MOST_SEEDS:
            raise PlanError(f"seeds: {len(self.seeds):,} are too many; at most {MOST_SEEDS:,} are used")
        for seed in self.seeds:
            if not is_whole(seed) or seed < 0:
                raise not_allowed("seeds", seed, "whole numbers from 0 on", PlanError)
            if seed > LARGEST_SEED:
                raise not_allowed("seeds", seed, f"whole numbers up to {LARGEST_SEED}", PlanError)
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
        values = {
            **asdict(self),
            **parts,
            "budget": to_json(self.budget),
            "decision": to_json(self.decision),
        }
        if self.history is None:  # as a study was before it could have one
            del values["history"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Study:
        """Inverse of `to_dict`, also after JSON has turned tuples into lists."""
        return from_fields(cls, values)
