"""The expansion of a study into arms and trials: the only place that enumerates trials."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bios_sweep.errors import PlanError
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.design import REPEAT, Factor, Study
from bios_sweep.study.trials import CONFIRMATION, SCREENING, TrialSpec, short_hash, trial_key

BASELINE = "baseline"
COMBINATION = "combination"
FRESH_SEED_START = 1_000_000  # chosen, not measured: far from any seed a user counts up from 0
FEW_STEPS = 100  # below this a trial is flagged (Bios guide: 100 steps are the minimum)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """The baseline or a variation, resolved to full settings.

    level: the factor's value in this arm; label: how the level is written in names.
    changes: settings that differ from the baseline, with their values here. notes: what a reader
    of the plan should know (merged arms, few steps).
    """

    name: str
    settings: TrainingSettings
    repeat: int = 0
    factor: str | None = None
    level: Any = None
    label: str = ""
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def examples(self) -> int:
        """Training examples the arm spends."""
        return self.settings.max_steps * self.settings.batch_size


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study, its arms (baseline first) and its screening trials."""

    study: Study
    arms: tuple[Arm, ...]
    trials: tuple[TrialSpec, ...]
    notes: tuple[str, ...] = ()

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
    one result must not count twice.

    Raises:
        PlanError: no variation is left, two levels share a name, a level is not allowed, or the trials
            exceed the budget.
    """
    arms = [Arm(name=BASELINE, settings=study.baseline)]
    notes: list[str] = []
    for factor in study.factors:
        for label, value in factor.levels(study.baseline):
            _add(arms, _variation(study, factor, label, value), notes)
    if len(arms) == 1:
        raise PlanError(
            f"sweep {study.name}: no variation is left beside the baseline; "
            "give at least one level that differs from it"
        )
    flagged = tuple(_flag(arm) for arm in arms)
    trials = tuple(make_trial(study, arm, seed, SCREENING) for seed in study.seeds for arm in flagged)
    more = most_confirmation_trials(study)
    if len(trials) + more > study.budget.max_trials:
        confirming = f" and up to {more} more to confirm candidates" if more else ""
        raise PlanError(
            f"the plan has {len(trials)} trials ({len(flagged)} arms x {len(study.seeds)} seeds)"
            f"{confirming}, but budget.max_trials is {study.budget.max_trials}; "
            "drop levels or seeds, or raise it"
        )
    return Plan(study=study, arms=flagged, trials=trials, notes=tuple(notes))


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
    """The most that confirmation can cost: the default, a candidate per factor, and their combination."""
    factors = len(study.factors)
    if len(study.seeds) < 2:
        return 0  # one seed names no candidate
    return study.decision.confirmation_seeds * (1 + factors + (factors > 1))


def combine(plan: Plan, candidates: Sequence[Arm]) -> Arm:
    """The arm that takes the candidate value of every factor at once."""
    changes = {arm.factor: arm.level for arm in candidates if arm.factor is not None}
    settings = _hold(plan.study, dataclasses.replace(plan.study.baseline, **changes), changes)
    name = f"{COMBINATION} " + ", ".join(arm.name for arm in candidates)
    return Arm(name=name, settings=settings, changes=_changes(plan.study.baseline, settings))


def _variation(study: Study, factor: Factor, label: str, value: Any) -> Arm:
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
    change = {factor.name: value}
    settings = _hold(study, dataclasses.replace(study.baseline, **change), change)
    separator = " " if label.startswith("x") else "="
    return Arm(
        name=f"{factor.name}{separator}{label}",
        settings=settings,
        factor=factor.name,
        level=getattr(settings, factor.name),
        label=label,
        changes=_changes(study.baseline, settings),
    )


def _hold(study: Study, settings: TrainingSettings, changes: Mapping[str, Any]) -> TrainingSettings:
    """Give an arm with another batch size the baseline's examples, unless its steps are the question."""
    if study.budget.hold != "examples" or "batch_size" not in changes or "max_steps" in changes:
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
