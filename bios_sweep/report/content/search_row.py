"""The joint search as a reader is told it: what it tried, its winner, and the winner's verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.claims import JOINT
from bios_sweep.decision.finding import FactorLevels
from bios_sweep.decision.statement import Verdict, make_verdict
from bios_sweep.procedure import SEARCH, WINNER, Search, State, serves_search
from bios_sweep.report.content.scope import scope_of
from bios_sweep.report.content.wording import finite_or_none
from bios_sweep.study.arms import Arm
from bios_sweep.study.plan import Plan


@dataclass(frozen=True, kw_only=True)
class SearchRow:
    """A joint search. ranges: setting -> its two ends; best: the winner's values, None while there is none.

    Gains in percent: as the search saw its winner, and as fresh seeds did, with their lower bound.
    """

    trials: int
    ranges: Mapping[str, tuple[float, ...]]
    best: Mapping[str, Any] | None
    screening_gain: float | None
    confirmed_gain: float | None
    confirmed_lower: float | None


def search_row(state: State) -> SearchRow | None:
    """What the joint search did, the estimate that chose its winner beside the one from fresh seeds."""
    search = state.search
    if search is None:
        return None
    winner, confirmed = search.winner, state.findings.get(WINNER)
    bound = confirmed.bound if confirmed else None
    return SearchRow(
        trials=len(search.arms),
        ranges={name: tuple(ends) for name, ends in search.ranges.items()},
        best={name: getattr(winner.settings, name) for name in search.ranges} if winner else None,
        screening_gain=search.gain,
        confirmed_gain=bound.gain if bound else None,
        confirmed_lower=finite_or_none(bound.lower) if bound else None,
    )


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
        state.screening[WINNER],
        state.findings[WINNER],
        state.margin,
        role=JOINT.role,
        claim=JOINT,
        arms=[arm.name for arm in (plan.baseline, *search.arms)],
        hold=study.budget.hold,
        scope=scope_of(plan, state.findings[WINNER]),
        alpha=study.decision.alpha,
        looks=len(study.decision.looks),
        served=values if serves_search(state) else None,
        withheld=state.withheld.get(WINNER),
        recommended={name: state.served.get(name, getattr(study.baseline, name)) for name in values},
    )
