"""The expansion of a study into arms and trials: the only place that enumerates trials."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bios_sweep.errors import PlanError
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.claims import BALANCED, COST_CLAIMS, FEW_STEPS, QUALITY, REPEAT
from bios_sweep.study.design import Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.search import Proposal
from bios_sweep.study.trials import CONFIRMATION, SCREENING, TrialSpec, short_hash, trial_key

BASELINE = "baseline"
COMBINATION = "combination"
FRESH_SEED_START = 1_000_000  # chosen, not measured: far from any seed a user counts up from 0


@dataclass(frozen=True, kw_only=True)
class Arm:
    """The baseline or a variation, resolved to full settings.

    level: the factor's value in this arm; label: how the level is written in names.
    changes: settings that differ from the baseline, with their values here. rung: multiple of the
    baseline's value that a nuisance setting has here. duration: multiple of the default's steps, for
    the arms that are a yardstick of cost. notes: what a reader of the plan should know (merged arms,
    few steps).
    """

    name: str
    settings: TrainingSettings
    repeat: int = 0
    factor: str | None = None
    level: Any = None
    label: str = ""
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    rung: float = 1.0
    duration: float | None = None
    notes: tuple[str, ...] = ()

    def examples(self) -> int:
        """Training examples the arm spends."""
        return self.settings.max_steps * self.settings.batch_size


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study, its arms (baseline first) and its screening trials.

    factors: the study's, and a nuisance setting whose ladder runs at the default level though the study
    does not list it. durations: multiple of the default's steps -> arm, where a claim weighs cost.
    ladders: nuisance-aware factor -> level (the default's included) -> its arms. cells: of a crossed
    study one plan per combination of moderator values, `cell` saying which; its arms and trials are theirs.
    """

    study: Study
    arms: tuple[Arm, ...]
    trials: tuple[TrialSpec, ...]
    notes: tuple[str, ...] = ()
    factors: tuple[Factor, ...] = ()
    durations: Mapping[float, str] = dataclasses.field(default_factory=dict)
    ladders: Mapping[str, Mapping[Any, tuple[str, ...]]] = dataclasses.field(default_factory=dict)
    cells: tuple[Plan, ...] = ()
    cell: str = ""

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

    def claims_of(self, factor: Factor) -> tuple[str, ...]:
        """The claims that the plan can judge."""
        return factor.judged_claims(self.study.baseline)

    @property
    def timed_arms(self) -> tuple[Arm, ...]:
        """Arms whose cost a claim weighs, the baseline first; none where steps alone tell the cost."""
        if self.cells:
            return tuple(arm for cell in self.cells for arm in cell.timed_arms)
        weighed = [
            arm
            for factor in self.factors
            if factor.name != "max_steps" and set(self.claims_of(factor)) & set(COST_CLAIMS)
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
                "decision": dataclasses.asdict(study.decision),
                "metric": dataclasses.asdict(study.metric),
                "hold": study.budget.hold,
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
    baseline = _hold(study, dataclasses.replace(study.baseline, **values), values)
    name = ", ".join(f"{setting}={value}" for setting, value in values.items())
    plan = _expanded(dataclasses.replace(study, baseline=baseline, cross=()), "" if own else f" @ {name}")
    return dataclasses.replace(plan, cell=name)


def _expanded(study: Study, suffix: str = "") -> Plan:
    """suffix: ends the name of every arm, so that the cells of a crossed study do not share names."""
    arms = [Arm(name=BASELINE, settings=study.baseline)]
    notes: list[str] = []
    factors = _with_nuisances(study)
    for factor in factors:
        for label, value in factor.levels(study.baseline):
            for rung in _rungs(factor, value, study.baseline):
                _add(arms, _variation(study, factor, label, value, rung), notes)
    if len(arms) == 1:
        raise PlanError(
            f"sweep {study.name}: no variation is left beside the baseline; "
            "give at least one level that differs from it"
        )
    durations = {ratio: name + suffix for ratio, name in _durations(study, arms).items()}
    named = tuple(_flag(dataclasses.replace(arm, name=arm.name + suffix)) for arm in arms)
    for arm in named:
        _require_examples(study, arm)
    return Plan(
        study=study,
        arms=named,
        trials=tuple(make_trial(study, arm, seed, SCREENING) for seed in study.seeds for arm in named),
        notes=tuple(notes),
        factors=factors,
        durations=durations,
        ladders={f.name: _ladder(study, f, named) for f in factors if f.nuisance is not None},
    )


def _require_examples(study: Study, arm: Arm) -> None:
    """Refuse to learn from more examples than the data has."""
    wanted, there = arm.settings.train_examples, study.scenario.data.train_examples
    if wanted is not None and wanted > there:
        raise PlanError(
            f"train_examples: {wanted} is more than the {there} that {study.scenario.data.name} has"
        )


def make_trial(study: Study, arm: Arm, seed: int, stage: str) -> TrialSpec:
    """One arm at one seed, with its key."""
    return TrialSpec(
        key=trial_key(arm.settings, seed, arm.repeat, study.scenario),
        arm=arm.name,
        seed=seed,
        settings=arm.settings,
        repeat=arm.repeat,
        stage=stage,
    )


def confirmation_seeds(study: Study) -> tuple[int, ...]:
    """Fresh seeds, disjoint from the study's, the same for every candidate of the study."""
    start = max(FRESH_SEED_START, max(study.seeds) + 1)
    return tuple(range(start, start + study.decision.confirmation_seeds))


def confirmation_trials(study: Study, arms: Sequence[Arm]) -> tuple[TrialSpec, ...]:
    """Every given arm at every fresh seed; seeds first, so that early blocks are whole."""
    return tuple(
        make_trial(study, arm, seed, CONFIRMATION) for seed in confirmation_seeds(study) for arm in arms
    )


def most_confirmation_trials(study: Study) -> int:
    """The most that confirmation can cost: the default, what each claim may send, and their combination.

    A claim sends its candidate, and what it is held against where that is not the default: the default
    trained for the same cost, or the level that the claim is about.
    """
    if len(study.seeds) < 2:
        return 0  # one seed names no candidate
    factors = _with_nuisances(study)
    sent = sum(
        1 + (claim in (BALANCED, QUALITY)) + (factor.nuisance is not None)
        for factor in factors
        for claim in factor.judged_claims(study.baseline)
    )
    searched = 1 if study.decision.refine else 0
    cells = math.prod(len(moderator.values) for moderator in study.cross)
    return cells * study.decision.confirmation_seeds * (1 + sent + (len(factors) > 1) + searched)


def most_search_trials(study: Study) -> int:
    """The most that the joint search can cost; its first two proposals may exist already."""
    return study.decision.refine_trials if study.decision.refine and len(study.seeds) > 1 else 0


def searched_arm(plan: Plan, proposal: Proposal) -> Arm:
    """The baseline with a search's proposal in place of the searched settings."""
    settings = _hold(plan.study, dataclasses.replace(plan.study.baseline, **proposal.values), proposal.values)
    changes = _changes(plan.study.baseline, settings)
    return Arm(
        name=f"search {proposal.number}", settings=settings, label=str(proposal.number), changes=changes
    )


def combine(plan: Plan, candidates: Sequence[Arm]) -> Arm:
    """The arm that takes the candidate value of every factor at once."""
    changes = {arm.factor: arm.level for arm in candidates if arm.factor is not None}
    settings = _hold(plan.study, dataclasses.replace(plan.study.baseline, **changes), changes)
    name = f"{COMBINATION} " + ", ".join(arm.name for arm in candidates)
    return Arm(name=name, settings=settings, changes=_changes(plan.study.baseline, settings))


def _variation(study: Study, factor: Factor, label: str, value: Any, rung: float = 1.0) -> Arm:
    if factor.name == REPEAT:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise PlanError(f"factor repeat: {value!r} is not allowed; whole numbers from 1 on")
        return Arm(
            name=f"repeat={label}",
            settings=study.baseline,
            repeat=value,
            factor=REPEAT,
            level=value,
            label=label,
            changes={REPEAT: value},
        )
    settings = _settings(study, factor, value, rung)
    separator = " " if label.startswith("x") else "="
    retuned = f", {factor.nuisance.setting} x{rung:.4g}" if factor.nuisance and rung != 1.0 else ""
    return Arm(
        name=f"{factor.name}{separator}{label}{retuned}",
        settings=settings,
        factor=factor.name,
        level=getattr(settings, factor.name),
        label=label,
        changes=_changes(study.baseline, settings),
        rung=rung,
    )


def _settings(study: Study, factor: Factor, value: Any, rung: float) -> TrainingSettings:
    """The baseline with a factor at a level, and its nuisance setting at a multiple of the baseline's."""
    change = {factor.name: value}
    if factor.nuisance is not None and rung != 1.0:
        name = factor.nuisance.setting
        change[name] = getattr(study.baseline, name) * rung
    return _hold(study, dataclasses.replace(study.baseline, **change), change)


def _rungs(factor: Factor, value: Any, baseline: TrainingSettings) -> tuple[float, ...]:
    if factor.nuisance is None:
        return (1.0,)
    return factor.nuisance.rungs(value, getattr(baseline, factor.name))


def _with_nuisances(study: Study) -> tuple[Factor, ...]:
    """The study's factors, each nuisance ladder at the default level among them.

    Without it a level could win by its learning rate alone (statistics, item 11).
    """
    factors = {factor.name: factor for factor in study.factors}
    for factor in study.factors:
        if factor.nuisance is None:
            continue
        default = getattr(study.baseline, factor.name)
        rungs = [
            r for _, value in factor.levels(study.baseline) for r in factor.nuisance.rungs(value, default)
        ]
        name = factor.nuisance.setting
        own = factors.get(name)
        levels = {rung: None for rung in rungs if rung != 1.0}
        if own is None:
            factors[name] = Factor(name=name, multiply=tuple(levels))
        elif own.multiply:
            factors[name] = dataclasses.replace(own, multiply=tuple(dict.fromkeys((*own.multiply, *levels))))
        else:
            start = getattr(study.baseline, name)
            values = dict.fromkeys((*own.values, *(start * rung for rung in levels)))
            factors[name] = dataclasses.replace(own, values=tuple(values))
    return tuple(factors.values())


def _ladder(study: Study, factor: Factor, arms: Sequence[Arm]) -> dict[Any, tuple[str, ...]]:
    """The arms of every level, the default's first; one that two factors share is found by its settings."""
    named = {arm.settings: arm.name for arm in reversed(arms) if not arm.repeat}
    default = getattr(study.baseline, factor.name)
    values = [value for _, value in factor.levels(study.baseline)]
    rungs = {value: _rungs(factor, value, study.baseline) for value in values}
    rungs = {default: tuple(dict.fromkeys(r for value in values for r in rungs[value])), **rungs}
    return {
        value: tuple(dict.fromkeys(named[_settings(study, factor, value, rung)] for rung in rungs[value]))
        for value in rungs
    }


def _durations(study: Study, arms: list[Arm]) -> dict[float, str]:
    """Add the default's own duration arms, the yardstick of what cost alone buys (statistics, item 13).

    Only those that a tested batch size may need: a smaller batch costs up to as many times more as it
    takes more steps, a larger one less.
    """
    sizes = [
        value
        for factor in study.factors
        if factor.name == "batch_size" and BALANCED in factor.judged_claims(study.baseline)
        for _, value in factor.levels(study.baseline)
    ]
    ratios = [size / study.baseline.batch_size for size in sizes]
    # at equal steps a larger batch is the dearer one, at equal examples a smaller one
    costs = [ratio if study.budget.hold == "steps" else 1.0 / ratio for ratio in ratios]
    wanted = [
        *([0.5] if any(cost < 1 for cost in costs) else []),
        *([2.0] if any(cost > 1 for cost in costs) else []),
        *([4.0] if any(cost > 2 for cost in costs) else []),
    ]
    durations = {1.0: BASELINE} if wanted else {}
    for nominal in wanted:
        new = duration_arm(study, nominal)
        multiple = new.settings.max_steps / study.baseline.max_steps  # steps are whole
        same = next((arm for arm in arms if arm.settings == new.settings and not arm.repeat), None)
        if same is None:
            arms.append(new)
        durations[multiple] = (same or new).name
    return dict(sorted(durations.items()))


def duration_arm(study: Study, multiple: float, start: Arm | None = None) -> Arm:
    """The default (or `start`, the default at another learning rate) for another multiple of its steps."""
    base = study.baseline if start is None else start.settings
    retuned = "" if start is None or start.name.startswith(BASELINE) else f"{start.name}, "
    settings = dataclasses.replace(base, max_steps=max(1, round(base.max_steps * multiple)))
    return Arm(
        name=f"{retuned}max_steps x{multiple:.4g}",
        settings=settings,
        label=f"x{multiple:.4g}",
        changes=_changes(study.baseline, settings),
        duration=multiple,
    )


def _hold(study: Study, settings: TrainingSettings, changes: Mapping[str, Any]) -> TrainingSettings:
    """Give an arm with another batch size the baseline's examples, unless its steps are the question."""
    if study.budget.hold == "steps" or "batch_size" not in changes or "max_steps" in changes:
        return settings
    examples = study.baseline.max_steps * study.baseline.batch_size
    return dataclasses.replace(settings, max_steps=math.ceil(examples / settings.batch_size))


def _changes(baseline: TrainingSettings, settings: TrainingSettings) -> dict[str, Any]:
    before, after = baseline.to_dict(), settings.to_dict()
    return {name: after[name] for name in after if after[name] != before[name]}


def _add(arms: list[Arm], new: Arm, notes: list[str]) -> None:
    for index, old in enumerate(arms):
        if (old.settings, old.repeat) == (new.settings, new.repeat):
            note = f"{new.name} is the same as {old.name} and runs once"
            arms[index] = dataclasses.replace(old, notes=(*old.notes, note))
            notes.append(note)
            return
    if any(old.name == new.name for old in arms):
        raise PlanError(
            f"factor {new.factor}: two levels are both called {new.label}; give them further apart"
        )
    arms.append(new)


def _flag(arm: Arm) -> Arm:
    steps = arm.settings.max_steps
    if steps >= FEW_STEPS:
        return arm
    return dataclasses.replace(arm, notes=(*arm.notes, f"{steps} steps are under {FEW_STEPS}"))
