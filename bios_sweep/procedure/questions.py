"""The questions of a plan: every claim of every factor, in every cell. A verdict answers one of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from bios_sweep.claims import REPEAT, Claim
from bios_sweep.decision.finding import FactorLevels
from bios_sweep.decision.nuisance import NuisanceLadder
from bios_sweep.study.arms import BASELINE
from bios_sweep.study.factors import Factor, natural_ends
from bios_sweep.study.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Question:
    """One claim of one factor's default. name: the factor's for its first claim, else `factor (claim)`."""

    name: str
    factor: Factor
    claim: Claim
    cell: str = ""

    @property
    def served(self) -> bool:
        """Whether its answer is a value that somebody is to use; a control's is none."""
        return self.claim.served and self.factor.name != REPEAT


def questions(plan: Plan) -> tuple[Question, ...]:
    """What a plan without cells asks, in the order of its factors; merged-away factors ask nothing."""
    cell = "" if plan.baseline.name == BASELINE else plan.cell
    return tuple(
        Question(
            name=_name(factor, claim, first=place == 0, cell=cell), factor=factor, claim=claim, cell=plan.cell
        )
        for factor in plan.factors
        if plan.levels_of(factor.name)
        for place, claim in enumerate(plan.claims_of(factor))
    )


def _name(factor: Factor, claim: Claim, *, first: bool, cell: str) -> str:
    name = factor.name if first else f"{factor.name} ({claim})"
    return f"{name} @ {cell}" if cell else name


def factor_names(plan: Plan) -> list[str]:
    """Factors that have a variation left after merging, in the order of the study."""
    return [factor.name for factor in plan.factors if plan.levels_of(factor.name)]


def ladder_of(plan: Plan, factor: Factor) -> NuisanceLadder | None:
    """The arms of a nuisance-aware factor by level, with the nuisance setting's value in each."""
    if factor.nuisance is None:
        return None
    setting, arms = factor.nuisance.setting, plan.ladders[factor.name]
    values = {name: getattr(plan.arm(name).settings, setting) for names in arms.values() for name in names}
    return NuisanceLadder(setting=setting, arms=arms, values=values)


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
