"""The next study from another baseline than the sweep's: the settings that are served, or a gentler rate.

Where nothing is open, the signs in the curves say what is worth a sweep on top of what is served. Where
nothing could be judged, for the baseline diverged, the question comes again from a lower rate. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bios_sweep.claims import claims_of
from bios_sweep.curves.remedies import moves_of
from bios_sweep.curves.signs import DIVERGING
from bios_sweep.procedure.diagnosis import diagnosis_of
from bios_sweep.procedure.state import Results, State
from bios_sweep.study.arms import Arm, hold_budget
from bios_sweep.study.design import Study
from bios_sweep.study.factors import Factor
from bios_sweep.study.levels import at_level
from bios_sweep.study.plan import Plan
from bios_sweep.vocabulary import Goal, Status

# Levels of a sign's study: one beyond its move, so that none ends at the edge.
UP, DOWN = (0.5, 2.0, 4.0), (0.25, 0.5, 2.0)
BRIEF = {"max_steps": (0.5, 2.0)}  # four times the steps is dear; enough is judged without a level beyond


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """The next study and why; `study` is None where none would settle anything.

    open: what stays open, and what to do about it. baseline: settings of the new baseline that differ.
    """

    study: Study | None = None
    why: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    baseline: Mapping[str, Any] = field(default_factory=dict)


def differing(study: Study, served: Mapping[str, Any]) -> dict[str, Any]:
    """What is served and is not the study's baseline."""
    return {name: value for name, value in served.items() if value != getattr(study.baseline, name)}


def by_signs(
    plan: Plan, state: State, results: Results, elsewhere: Collection[str], told: tuple[str, ...]
) -> Suggestion:
    """Nothing is open: the first remedy of the recommended settings' signs that was not tested yet."""
    if plan.cells:
        return Suggestion(open=told)
    study = plan.study
    served = differing(study, state.served)
    arm = _arm_of(plan, state, {**served})
    found = diagnosis_of(plan, state, arm, results)
    judged = {*elsewhere, *(factor.name for factor in study.factors)}
    for sign, setting, times in moves_of(found.names, arm.settings):
        if setting not in judged:
            seen = next(one.seen for one in found.signs if one.name == sign)
            return _remedied(plan, state, served, sign, setting, times, seen, told)
    tested = tuple(f"{arm.name}: {sign.name}, and what is advised was tested" for sign in found.signs)
    return Suggestion(open=(*told, *tested))


def _remedied(
    plan: Plan,
    state: State,
    served: Mapping[str, Any],
    sign: str,
    setting: str,
    times: float,
    seen: str,
    told: tuple[str, ...],
) -> Suggestion:
    """The sign's study from what is served; on fresh seeds where that was picked on the sweep's own ones.

    A baseline that its own seeds chose looks better on them than it is, which hides what beats it.
    """
    study = plan.study
    start = 1 + max(trial.seed for trial in state.needed)
    seeds = tuple(range(start, start + len(study.seeds))) if served else study.seeds
    levels = BRIEF.get(setting, UP if times > 1 else DOWN)
    claims = tuple(claim.name for claim in claims_of(setting) if times > 1 and claim.goal == Goal.SPEED)
    new = replace(
        study,
        name=setting,
        question=f"{sign.capitalize()}: does another {setting.replace('_', ' ')} help?",
        baseline=hold_budget(study, at_level(study.baseline, served), served),
        factors=(Factor(name=setting, multiply=levels, claims=claims),),
        seeds=seeds,
        decision=replace(study.decision, refine=None),
    )
    return Suggestion(study=new, why=(f"{sign}: {seen}; {setting} is asked",), open=told, baseline=served)


def diverges(plan: Plan, state: State, results: Results) -> bool:
    """Whether the baseline diverged, so that nothing could be judged."""
    return _any_diverged(state, plan.baseline, results)


def _any_diverged(state: State, arm: Arm, results: Results) -> bool:
    return Status.DIVERGED in _endings(state, arm, results)


def gentler(plan: Plan, state: State, results: Results) -> Suggestion:
    """A baseline that diverges is judged from a learning rate below every one that diverged.

    The highest that was seen to hold, else half of the lowest that diverged: asked from a rate that diverged
    itself, the question would come back as it was.
    """
    study = plan.study
    own = study.baseline.learning_rate
    arms = plan.arms_of("learning_rate")
    lowest = min([own, *(arm.settings.learning_rate for arm in arms if _any_diverged(state, arm, results))])
    calm = [
        arm.settings.learning_rate
        for arm in arms
        if arm.settings.learning_rate < lowest and _calm(state, arm, results)
    ]
    rate = max(calm, default=lowest / 2)
    new = replace(
        study,
        question=f"The learning rate {own:g} diverges: is {rate:g} right?",
        baseline=replace(study.baseline, learning_rate=rate),
        factors=(Factor(name="learning_rate", multiply=DOWN),),
        decision=replace(study.decision, refine=None),
        cross=(),
    )
    why = f"{DIVERGING}: the baseline diverged at {own:g}; {rate:g} is the next baseline"
    return Suggestion(study=new, why=(why,), baseline={"learning_rate": rate})


def _calm(state: State, arm: Arm, results: Results) -> bool:
    return _endings(state, arm, results) == {Status.COMPLETED}


def _endings(state: State, arm: Arm, results: Results) -> set[str]:
    return {results[t.key].status for t in state.needed if t.arm == arm.name and t.key in results}


def _arm_of(plan: Plan, state: State, served: Mapping[str, Any]) -> Arm:
    """The arm that has the served values, for its curves; the baseline where none ran."""
    wanted = hold_budget(plan.study, at_level(plan.study.baseline, served), served)
    arms = (*plan.arms, *state.extra_arms)
    return next((arm for arm in arms if arm.settings == wanted and not arm.repeat), plan.baseline)
