"""The questions of a plan: every claim of every factor, in every cell. A verdict answers one of them."""

from __future__ import annotations

from collections.abc import Collection

from bios_sweep.claims import JOINT, REPEAT, Against
from bios_sweep.decision.finding import FactorLevels
from bios_sweep.decision.ladder import NuisanceLadder
from bios_sweep.decision.question import Question
from bios_sweep.study.factors import Factor, natural_ends
from bios_sweep.study.plan import Plan

SEARCH = "search"  # in place of a factor: the settings that a joint search moves at once
WINNER = Question(factor=SEARCH, claim=JOINT)  # what the winner of the joint search answers


def questions(plan: Plan) -> tuple[Question, ...]:
    """What a plan without cells asks, in the order of its factors; merged-away factors ask nothing."""
    return tuple(
        Question(factor=factor.name, claim=claim, cell=plan.cell)
        for factor in plan.factors
        if plan.levels_of(factor.name)
        for claim in plan.claims_of(factor)
    )


def factor_of(plan: Plan, question: Question) -> Factor:
    """The factor that is asked about."""
    return next(factor for factor in plan.factors if factor.name == question.factor)


def title_of(plan: Plan, question: Question) -> str:
    """How a question is told: its factor, the claim where it is not the first, the cell of other values."""
    claim = "" if is_first(plan, question) else f" ({question.claim})"
    return f"{question.factor}{claim}{plan.suffix}"


def is_first(plan: Plan, question: Question) -> bool:
    """Whether it is about the first claim of its factor, which is told without the claim's name."""
    return question.claim == plan.claims_of(factor_of(plan, question))[0]


def factor_names(plan: Plan) -> list[str]:
    """Factors that have a variation left after merging, in the order of the study."""
    return [factor.name for factor in plan.factors if plan.levels_of(factor.name)]


def ladder_of(plan: Plan, question: Question) -> NuisanceLadder | None:
    """The arms of a nuisance-aware factor by level, with the nuisance setting's value in each.

    A rule (`scale`) says where a level's best rate is: the rate that it gives ends no ladder. At the default
    level it gives none.
    """
    factor = factor_of(plan, question)
    if factor.nuisance is None:
        return None
    setting, arms = factor.nuisance.setting, plan.ladders[factor.name]
    values = {name: getattr(plan.arm(name).settings, setting) for names in arms.values() for name in names}
    _, *others = arms.values()
    stated = {name for names in others for name in names[1:]} if factor.nuisance.scale else set()
    last = {name for name, value in values.items() if value in natural_ends(setting)}
    return NuisanceLadder(setting=setting, arms=arms, values=values, closed=frozenset(stated | last))


def arms_asked(plan: Plan, question: Question) -> set[str]:
    """The arms that a question compares: the baseline, its levels, and what these are held against."""
    arms = {plan.baseline.name, *(arm.name for arm in plan.arms_of(question.factor))}
    if question.claim.against == Against.AS_LONG:
        arms |= set(plan.durations.values())
    for ladder in plan.ladders.get(question.factor, {}).values():
        arms |= set(ladder)
    return arms


def levels_of(plan: Plan, name: str, untested: Collection[str] = ()) -> FactorLevels:
    """A factor of the plan as the decision rule sees it: its levels with all else at the baseline.

    untested: arms that are no part of it.
    """
    arms = [arm for arm in plan.levels_of(name) if arm.name not in untested]
    return FactorLevels(
        name=name,
        default=0 if name == REPEAT else getattr(plan.study.baseline, name),
        arms=tuple(arm.name for arm in arms),
        levels=tuple(str(arm.level) if name == REPEAT else arm.level for arm in arms),
        labels=tuple(arm.label for arm in arms),
        ends=natural_ends(name, plan.study.scenario.data.train_examples),
    )
