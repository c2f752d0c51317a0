"""Arms that join a plan while it runs: a proposal of the joint search, the combination of candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bios_sweep.study.arms import Arm, changes_of, hold_budget
from bios_sweep.study.plan import Plan
from bios_sweep.study.search import Proposal

COMBINATION = "combination"


def searched_arm(plan: Plan, proposal: Proposal) -> Arm:
    """The baseline with a search's proposal in place of the searched settings."""
    settings = hold_budget(plan.study, replace(plan.study.baseline, **proposal.values), proposal.values)
    changes = changes_of(plan.study.baseline, settings)
    return Arm(
        name=f"search {proposal.number}", settings=settings, label=str(proposal.number), changes=changes
    )


def combine(plan: Plan, candidates: Sequence[Arm]) -> Arm:
    """The arm that takes the candidate value of every factor at once."""
    changes = {arm.factor: arm.level for arm in candidates if arm.factor is not None}
    settings = hold_budget(plan.study, replace(plan.study.baseline, **changes), changes)
    name = f"{COMBINATION} " + ", ".join(arm.name for arm in candidates)
    return Arm(name=name, settings=settings, changes=changes_of(plan.study.baseline, settings))
