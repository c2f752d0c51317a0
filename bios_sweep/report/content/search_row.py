"""The joint search as a reader is told it: what it tried, its winner, and the winner's verdict."""

from __future__ import annotations

from typing import Any

from bios_sweep.claims import JOINT
from bios_sweep.decision.finding import FactorLevels
from bios_sweep.decision.statement import Verdict, make_verdict
from bios_sweep.procedure import SEARCH, Search, State, serves_search
from bios_sweep.report.content.scope import scope_of
from bios_sweep.report.content.wording import finite_or_none
from bios_sweep.study.arms import Arm
from bios_sweep.study.plan import Plan


def search_row(state: State) -> dict[str, Any] | None:
    """What the joint search did, the estimate that chose its winner beside the one from fresh seeds."""
    search = state.search
    if search is None:
        return None
    confirmed = state.findings.get(SEARCH)
    return {
        "trials": len(search.arms),
        "ranges": {name: list(ends) for name, ends in search.ranges.items()},
        "best": {name: getattr(search.winner.settings, name) for name in search.ranges}
        if search.winner
        else None,
        "screening_gain": search.gain,
        "confirmed_gain": confirmed.bound.gain if confirmed and confirmed.bound else None,
        "confirmed_lower": finite_or_none(confirmed.bound.lower) if confirmed and confirmed.bound else None,
    }


def search_verdict(plan: Plan, state: State, search: Search, winner: Arm) -> Verdict:
    """The winner of the joint search, judged like any candidate; its levels are settings, not one value."""
    study = plan.study
    values = {name: getattr(winner.settings, name) for name in search.ranges}
    levels = FactorLevels(
        name=SEARCH,
        default={name: getattr(study.baseline, name) for name in search.ranges},
        arms=(winner.name,),
        levels=(values,),
        labels=(winner.name,),
    )
    return make_verdict(
        levels,
        state.screening[SEARCH],
        state.findings[SEARCH],
        state.margin,
        role=JOINT.role,
        claim=JOINT,
        arms=[arm.name for arm in (plan.baseline, *search.arms)],
        hold=study.budget.hold,
        scope=scope_of(plan, state.findings[SEARCH]),
        alpha=study.decision.alpha,
        looks=len(study.decision.looks),
        served=values if serves_search(state) else None,
        withheld=state.withheld.get(SEARCH, ""),
        recommended={name: state.served.get(name, getattr(study.baseline, name)) for name in values},
    )
