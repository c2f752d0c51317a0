"""Arms: the baseline and the variations that change one thing, each resolved to full settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bios_sweep.checks import is_whole, not_allowed
from bios_sweep.claims import FEW_STEPS, REPEAT
from bios_sweep.errors import PlanError
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.design import Study
from bios_sweep.study.factors import Factor
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
    return Arm(
        name=f"{factor.name}{separator}{label}{retuned}",
        settings=settings,
        factor=factor.name,
        level=getattr(settings, factor.name),
        label=label,
        changes=settings.differing(study.baseline),
        rung=rung,
    )


def searched_arm(study: Study, proposal: Proposal) -> Arm:
    """The baseline with a joint search's proposal in place of the searched settings."""
    settings = hold_budget(study, study.baseline.changed(proposal.values), proposal.values)
    changes = settings.differing(study.baseline)
    return Arm(
        name=f"search {proposal.number}", settings=settings, label=str(proposal.number), changes=changes
    )


def combine(study: Study, candidates: Sequence[Arm]) -> Arm:
    """The arm that takes the candidate value of every factor at once."""
    changes = {arm.factor: arm.level for arm in candidates if arm.factor is not None}
    settings = hold_budget(study, study.baseline.changed(changes), changes)
    name = f"{COMBINATION} " + ", ".join(arm.name for arm in candidates)
    return Arm(name=name, settings=settings, changes=settings.differing(study.baseline))


def settings_at(study: Study, factor: Factor, value: Any, rung: float) -> TrainingSettings:
    """The baseline with a factor at a level, and its nuisance setting at a multiple of the baseline's."""
    change = {factor.name: value}
    if factor.nuisance is not None and rung != 1.0:
        name = factor.nuisance.setting
        change[name] = getattr(study.baseline, name) * rung
    return hold_budget(study, study.baseline.changed(change), change)


def hold_budget(study: Study, settings: TrainingSettings, changes: Mapping[str, Any]) -> TrainingSettings:
    """Give an arm with another batch size the baseline's examples, unless its steps are the question."""
    if study.budget.hold == "steps" or "batch_size" not in changes or "max_steps" in changes:
        return settings
    examples = study.baseline.max_steps * study.baseline.batch_size
    return replace(settings, max_steps=math.ceil(examples / settings.batch_size))


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
