"""The expansion of a study into arms and screening trials: what runs before anything is known."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bios_sweep.claims import Claim
from bios_sweep.errors import PlanError
from bios_sweep.settings import LEARNS
from bios_sweep.study.arms import (
    BASELINE,
    Arm,
    add_arm,
    add_durations,
    flag_few_steps,
    hold_budget,
    ladder,
    require_examples,
    rungs_of,
    variation,
    with_nuisances,
)
from bios_sweep.study.design import Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.levels import at_level
from bios_sweep.study.stages import make_trial, most_confirmation_trials, most_search_trials
from bios_sweep.study.trials import TrialSpec, short_hash
from bios_sweep.vocabulary import Stage

TWIN_ARM = "baseline again"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study, its arms (baseline first) and its screening trials.

    factors: the study's, and a nuisance setting whose ladder runs at the default level though the study
    does not list it. durations: multiple of the default's steps -> arm, where a claim weighs cost.
    ladders: nuisance-aware factor -> level (the default's included) -> its arms. cells: of a crossed
    study one plan per combination of moderator values, `cell` saying which; its arms and trials are theirs.
    suffix: ends the names of a cell's arms, empty where its values are the study's own.
    """

    study: Study
    arms: tuple[Arm, ...]
    trials: tuple[TrialSpec, ...]
    notes: tuple[str, ...] = ()
    factors: tuple[Factor, ...] = ()
    durations: Mapping[float, str] = field(default_factory=dict)
    ladders: Mapping[str, Mapping[Any, tuple[str, ...]]] = field(default_factory=dict)
    cells: tuple[Plan, ...] = ()
    cell: str = ""
    suffix: str = ""

    @property
    def baseline(self) -> Arm:
        """The arm of the current defaults."""
        return self.arms[0]

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    def arms_of(self, factor: str) -> tuple[Arm, ...]:
        """The variations of one factor, in the order of the plan."""
        return tuple(arm for arm in self.arms if arm.factor == factor)

    def levels_of(self, factor: str) -> tuple[Arm, ...]:
        """One arm per level of a factor: those with every other setting at the baseline's value."""
        return tuple(arm for arm in self.arms_of(factor) if arm.rung == 1.0)

    def claims_of(self, factor: Factor) -> tuple[Claim, ...]:
        """The claims that the plan can judge."""
        return factor.judged_claims(self.study.baseline)

    @property
    def max_lengths(self) -> tuple[int, ...]:
        """Every `max_length` that an arm has, the baseline's first."""
        own = self.study.baseline.max_length
        return (own, *sorted({arm.settings.max_length for arm in self.arms} - {own}))

    @property
    def timed_arms(self) -> tuple[Arm, ...]:
        """Arms whose cost a claim weighs, or of something else that learns, the baseline first.

        None where steps alone tell the cost.
        """
        if self.cells:
            return tuple(arm for cell in self.cells for arm in cell.timed_arms)
        weighed = [
            arm
            for factor in self.factors
            if factor.name in LEARNS
            or (factor.name != "max_steps" and any(claim.weighs_cost for claim in self.claims_of(factor)))
            for arm in self.levels_of(factor.name)
        ]
        return (self.baseline, *weighed) if weighed else ()

    @property
    def hash(self) -> str:
        """Identity of the plan: its trials and the decision rule, fixed before the first trial."""
        study = self.study
        return short_hash(
            {
                "trials": [trial.key for trial in self.trials],
                "decision": study.decision.identity(),
                "metric": asdict(study.metric),
                "hold": study.budget.hold,
                **(study.history.identity() if study.history else {}),
            },
            length=8,
        )

    @property
    def sweep_id(self) -> str:
        """`name-hash`: the sweep's folder and its tag in MLflow."""
        return f"{self.study.name}-{self.hash}"


def build_plan(study: Study) -> Plan:
    """Expand a study into every arm (baseline first) at every seed.

    All arms share the seeds so that differences can be paired, and the examples so that no arm wins
    by seeing more data. Arms that resolve to the same settings merge into the first, with a note:
    one result must not count twice. A crossed study is expanded once per cell.

    Raises:
        PlanError: no variation is left, two levels share a name, a level is not allowed, or the trials
            exceed the budget.
    """
    plan = _crossed(study) if study.cross else _expanded(study)
    searching, confirming = most_search_trials(study), most_confirmation_trials(study)
    if len(plan.trials) + searching + confirming > study.budget.max_trials:
        more = f", up to {searching} more of the joint search" if searching else ""
        more += f" and up to {confirming} more to confirm candidates" if confirming else ""
        raise PlanError(
            f"the plan has {len(plan.trials)} trials ({len(plan.arms)} arms x {len(study.seeds)} seeds)"
            f"{more}, but budget.max_trials is {study.budget.max_trials}; "
            "drop levels or seeds, or raise it"
        )
    return plan


def _crossed(study: Study) -> Plan:
    """One plan per cell; the cell of the study's own values comes first and keeps the plain names."""
    cells = [
        dict(zip((c.setting for c in study.cross), values, strict=True))
        for values in itertools.product(*(c.values for c in study.cross))
    ]
    own = {c.setting: getattr(study.baseline, c.setting) for c in study.cross}
    plans = tuple(_cell(study, cell, own=cell == own) for cell in sorted(cells, key=lambda cell: cell != own))
    return Plan(
        study=study,
        arms=tuple(arm for plan in plans for arm in plan.arms),
        trials=tuple(trial for plan in plans for trial in plan.trials),
        notes=tuple(f"{plan.cell}: {note}" for plan in plans for note in plan.notes),
        factors=plans[0].factors,
        cells=plans,
    )


def _cell(study: Study, values: Mapping[str, Any], *, own: bool) -> Plan:
    baseline = hold_budget(study, at_level(study.baseline, values), values)
    name = ", ".join(f"{setting}={value}" for setting, value in values.items())
    suffix = "" if own else f" @ {name}"
    plan = _expanded(replace(study, baseline=baseline, cross=()), suffix)
    return replace(plan, cell=name, suffix=suffix)


def _expanded(study: Study, suffix: str = "") -> Plan:
    """suffix: ends the name of every arm, so that the cells of a crossed study do not share names."""
    arms = [Arm(name=BASELINE, settings=study.baseline)]
    notes: list[str] = []
    factors = with_nuisances(study)
    for factor in factors:
        for label, value in factor.levels(study.baseline):
            for rung in rungs_of(factor, value, study.baseline):
                add_arm(arms, variation(study, factor, label, value, rung), notes)
    if len(arms) == 1:
        raise PlanError(
            f"sweep {study.name}: no variation is left beside the baseline; "
            "give at least one level that differs from it"
        )
    durations = {ratio: name + suffix for ratio, name in add_durations(study, arms).items()}
    named = tuple(flag_few_steps(replace(arm, name=arm.name + suffix)) for arm in arms)
    for arm in named:
        require_examples(study, arm)
    return Plan(
        study=study,
        arms=named,
        trials=tuple(make_trial(study, arm, seed, Stage.SCREENING) for seed in study.seeds for arm in named),
        notes=tuple(notes),
        factors=factors,
        durations=durations,
        ladders={f.name: ladder(study, f, named) for f in factors if f.nuisance is not None},
    )


def twin_arm(plan: Plan) -> Arm:
    """The baseline under another identity, so that it runs again: does a user's script honour its seed?

    Seeds pair arms only if the same seed gives the same run. Our engine is known to; of a script nobody
    knows, so the baseline runs once more at the first seed and the two values are compared.
    """
    return replace(plan.baseline, name=TWIN_ARM, repeat=1, notes=())


def twin_trial(plan: Plan) -> TrialSpec | None:
    """The twin at the first seed; None where the engine is known to give the same numbers twice."""
    if plan.study.scenario.repeatable:
        return None
    return make_trial(plan.study, twin_arm(plan), plan.study.seeds[0], Stage.CONTROL)


def first_trial(plan: Plan) -> TrialSpec:
    """The trial that the twin repeats: the baseline at the first seed."""
    return next(trial for trial in plan.trials if trial.arm == plan.baseline.name)
