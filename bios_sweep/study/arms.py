"""Arms: the baseline and the variations that change one thing, and by what these are re-tuned or measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bios_sweep.checks import is_whole, not_allowed
from bios_sweep.claims import FEW_STEPS, REPEAT, Against
from bios_sweep.errors import PlanError
from bios_sweep.settings import LORA_SETTINGS, WSD, TrainingSettings
from bios_sweep.study.design import EPOCHS, Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.levels import at_level
from bios_sweep.study.search import Proposal

BASELINE = "baseline"
COMBINATION = "combination"


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
    changes: Mapping[str, Any] = field(default_factory=dict)
    rung: float = 1.0
    duration: float | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for plan.json."""
        return {**asdict(self), "settings": self.settings.to_dict()}

    def examples(self) -> int:
        """Training examples the arm spends."""
        return self.settings.max_steps * self.settings.batch_size


def variation(study: Study, factor: Factor, label: str, value: Any, rung: float = 1.0) -> Arm:
    """The arm of one level of a factor, its nuisance setting at a multiple of the baseline's value.

    Raises:
        PlanError: a repeat that is no whole number from 1 on.
    """
    if factor.name == REPEAT:
        if not is_whole(value) or value < 1:
            raise not_allowed("factor repeat", value, "whole numbers from 1 on", PlanError)
        return Arm(
            name=f"repeat={label}",
            settings=study.baseline,
            repeat=value,
            factor=REPEAT,
            level=value,
            label=label,
            changes={REPEAT: value},
        )
    settings = settings_at(study, factor, value, rung)
    separator = " " if label.startswith("x") else "="
    retuned = f", {factor.nuisance.setting} x{rung:.4g}" if factor.nuisance and rung != 1.0 else ""
    return _arm(
        study,
        f"{factor.name}{separator}{label}{retuned}",
        settings,
        factor=factor.name,
        level=getattr(settings, factor.name),
        label=label,
        rung=rung,
    )


def searched_arm(study: Study, proposal: Proposal) -> Arm:
    """The baseline with a joint search's proposal in place of the searched settings."""
    settings = hold_budget(study, at_level(study.baseline, proposal.values), proposal.values)
    return _arm(study, f"search {proposal.number}", settings, label=str(proposal.number))


def combine(study: Study, candidates: Sequence[Arm]) -> Arm:
    """The arm that takes the candidate value of every factor at once."""
    changes = {arm.factor: arm.level for arm in candidates if arm.factor is not None}
    settings = hold_budget(study, at_level(study.baseline, changes), changes)
    return _arm(study, f"{COMBINATION} " + ", ".join(arm.name for arm in candidates), settings)


def _arm(study: Study, name: str, settings: TrainingSettings, **more: Any) -> Arm:
    changes = settings.differing(study.baseline)
    if settings.method != study.baseline.method:  # an adapter's settings come and go with it
        changes = {name: value for name, value in changes.items() if name not in LORA_SETTINGS or value}
    return Arm(name=name, settings=settings, changes=changes, **more)


def settings_at(study: Study, factor: Factor, value: Any, rung: float) -> TrainingSettings:
    """The baseline with a factor at a level, and its nuisance setting at a multiple of what it is there."""
    change = {factor.name: value}
    settings = at_level(study.baseline, change)
    if factor.name == "decay_fraction" and settings.schedule != WSD:
        raise PlanError(f"factor decay_fraction: it is of one schedule alone; add method.schedule={WSD}")
    if factor.nuisance is not None and rung != 1.0:
        name = factor.nuisance.setting
        change[name] = getattr(settings, name) * rung
        settings = settings.changed({name: change[name]})
    return hold_budget(study, settings, change)


def hold_budget(study: Study, settings: TrainingSettings, changes: Mapping[str, Any]) -> TrainingSettings:
    """Give an arm with another batch size the baseline's examples, unless its steps are the question.

    Where epochs are held, an arm of other data or of other epochs takes the examples that these come to.
    """
    if study.budget.hold == EPOCHS and "max_steps" not in changes:
        return _holding_epochs(study, settings)
    if study.budget.hold == "steps" or "batch_size" not in changes or "max_steps" in changes:
        return settings
    examples = study.baseline.max_steps * study.baseline.batch_size
    return replace(settings, max_steps=math.ceil(examples / settings.batch_size))


def _holding_epochs(study: Study, settings: TrainingSettings) -> TrainingSettings:
    base, there = study.baseline, study.scenario.data.train_examples or None
    examples = base.max_steps * base.batch_size * settings.own[EPOCHS] / base.own[EPOCHS]
    mine, its = settings.train_examples or there, base.train_examples or there
    if mine and its:
        examples = settings.own[EPOCHS] * mine
    elif mine != its:
        return settings
    same = (settings.batch_size, settings.own[EPOCHS], mine) == (base.batch_size, base.own[EPOCHS], its)
    return settings if same else replace(settings, max_steps=math.ceil(examples / settings.batch_size))


def add_arm(arms: list[Arm], new: Arm, notes: list[str]) -> None:
    """Append an arm, or merge it with a note into the one that has its settings: it runs once.

    Raises:
        PlanError: another arm has its name.
    """
    for index, old in enumerate(arms):
        if (old.settings, old.repeat) == (new.settings, new.repeat):
            note = f"{new.name} is the same as {old.name} and runs once"
            arms[index] = replace(old, notes=(*old.notes, note))
            notes.append(note)
            return
    if any(old.name == new.name for old in arms):
        raise PlanError(
            f"factor {new.factor}: two levels are both called {new.label}; give them further apart"
        )
    arms.append(new)


def flag_few_steps(arm: Arm) -> Arm:
    """The arm, with a note where its steps are below the guide's minimum."""
    steps = arm.settings.max_steps
    if steps >= FEW_STEPS:
        return arm
    return replace(arm, notes=(*arm.notes, f"{steps} steps are under {FEW_STEPS}"))


def require_examples(study: Study, arm: Arm) -> None:
    """Refuse to learn from more examples than the data has (0: how many it has is not known)."""
    wanted, there = arm.settings.train_examples, study.scenario.data.train_examples
    if wanted is not None and 0 < there < wanted:
        raise PlanError(
            f"train_examples: {wanted} is more than the {there} that {study.scenario.data.name} has"
        )


def add_durations(study: Study, arms: list[Arm]) -> dict[float, str]:
    """Add the default's own duration arms, the yardstick of what cost alone buys.

    Only those that a tested batch size may need: a smaller batch costs up to as many times more as it
    takes more steps, a larger one less (docs/statistics.md, item 13).
    """
    sizes = [
        value
        for factor in study.factors
        if factor.name == "batch_size"
        and any(claim.against == Against.AS_LONG for claim in factor.judged_claims(study.baseline))
        for _, value in factor.levels(study.baseline)
    ]
    ratios = [size / study.baseline.batch_size for size in sizes]
    # at equal steps a larger batch is the dearer one, at equal examples a smaller one
    costs = [ratio if study.budget.hold == "steps" else 1.0 / ratio for ratio in ratios]
    cheapest, dearest = min(costs, default=1.0), max(costs, default=1.0)
    needed = {0.5: cheapest < 1, 2.0: dearest > 1, 4.0: dearest > 2}
    wanted = [multiple for multiple, there in needed.items() if there]
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
    settings = replace(base, max_steps=max(1, round(base.max_steps * multiple)))
    if study.budget.hold == EPOCHS:
        settings = _for_epochs(base, multiple)
    label = f"x{multiple:.4g}"
    return _arm(study, f"{retuned}max_steps {label}", settings, label=label, duration=multiple)


def _for_epochs(base: TrainingSettings, multiple: float) -> TrainingSettings:
    """As many times the epochs; whole ones where the default's number is whole."""
    epochs = base.own[EPOCHS] * multiple
    epochs = max(1, round(epochs)) if base.counts(EPOCHS) else epochs
    steps = max(1, round(base.max_steps * epochs / base.own[EPOCHS]))
    return replace(base.changed({EPOCHS: epochs}), max_steps=steps)


def with_nuisances(study: Study) -> tuple[Factor, ...]:
    """The study's factors, each nuisance ladder at the default level among them.

    Without it a level could win by its learning rate alone (docs/statistics.md, item 11).
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
            factors[name] = replace(own, multiply=tuple(dict.fromkeys((*own.multiply, *levels))))
        else:
            start = getattr(study.baseline, name)
            values = dict.fromkeys((*own.values, *(start * rung for rung in levels)))
            factors[name] = replace(own, values=tuple(values))
    return tuple(factors.values())


def rungs_of(factor: Factor, value: Any, baseline: TrainingSettings) -> tuple[float, ...]:
    """Multiples of the nuisance setting's value to run at a level of a factor; 1.0 alone without one."""
    if factor.nuisance is None:
        return (1.0,)
    return factor.nuisance.rungs(value, getattr(baseline, factor.name))


def ladder(study: Study, factor: Factor, arms: Sequence[Arm]) -> dict[Any, tuple[str, ...]]:
    """The arms of every level, the default's first; one that two factors share is found by its settings."""
    named = {arm.settings: arm.name for arm in reversed(arms) if not arm.repeat}
    default = getattr(study.baseline, factor.name)
    values = [value for _, value in factor.levels(study.baseline)]
    rungs = {value: rungs_of(factor, value, study.baseline) for value in values}
    rungs = {default: tuple(dict.fromkeys(r for value in values for r in rungs[value])), **rungs}
    return {
        value: tuple(dict.fromkeys(named[settings_at(study, factor, value, rung)] for rung in rungs[value]))
        for value in rungs
    }
