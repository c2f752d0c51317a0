"""The joint search of the factors that moved: its space, its trials and its winner. Pure.

Screening moves one factor at a time on a grid; where `decision.refine` asks for it, the moved ones are
searched together between the tested levels around their best. All proposals run on one seed, against the
default on the same seed: enough to choose by, and never reported as an effect, for the best of many
flatters itself. The winner meets the default on fresh seeds like any candidate.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from bios_sweep.checks import is_number
from bios_sweep.decision.costs import CostRatio
from bios_sweep.decision.finding import SUPERIOR, Finding, FreshTest
from bios_sweep.decision.question import Question
from bios_sweep.procedure.questions import SEARCH, WINNER
from bios_sweep.procedure.state import Known, Results, Search, State
from bios_sweep.study.arms import searched_arm
from bios_sweep.study.factors import natural_ends
from bios_sweep.study.plan import Plan
from bios_sweep.study.search import KnownProposal, Proposal, SearchRange, SearchSpace
from bios_sweep.study.stages import make_trial
from bios_sweep.study.trials import TrialResult, TrialSpec
from bios_sweep.vocabulary import SearchGoal, Stage, Status, Word


def search_of(plan: Plan, moved: Mapping[Question, Finding], results: Results, known: Known) -> Search | None:
    """The search as far as it got; None where nothing that has an order moved.

    moved: the candidates of claims that hold for everyone.
    """
    ranges = {}
    for question, finding in moved.items():
        ends = _neighbours(plan, question.factor, finding)
        if ends is not None:
            ranges[question.factor] = ends
    if not ranges:
        return None
    arms = tuple(searched_arm(plan.study, proposal) for proposal in known.proposals)
    search = Search(
        ranges=ranges,
        start={name: plan.arm(_arm_of(moved, name)).level for name in ranges},
        arms=arms,
        wanted=max(0, plan.study.decision.refine_trials - len(arms)),
        importance=dict(known.importance),
    )
    return _with_winner(plan, search, results)


def search_trials(plan: Plan, search: Search) -> list[TrialSpec]:
    """The default and every proposal on the study's first seed."""
    seed = plan.study.seeds[0]
    return [make_trial(plan.study, arm, seed, Stage.REFINEMENT) for arm in search.arms]


def space_of(plan: Plan, search: Search) -> SearchSpace:
    """What is searched; the default and the screened winners are the first proposals."""
    base = plan.study.baseline
    ranges = [
        SearchRange.within(name, *ends, whole=base.counts(name)) for name, ends in search.ranges.items()
    ]
    default = {name: getattr(base, name) for name in search.ranges}
    return SearchSpace(ranges=tuple(ranges), starts=(default, search.start))


def objectives_of(
    plan: Plan, proposal: Proposal, result: TrialResult, costs: Mapping[str, CostRatio]
) -> tuple[float, ...]:
    """The metric, and for quality and cost the time ratio interpolated from the probe of the levels."""
    value = result.final.get(plan.study.metric.name, math.nan)
    if plan.study.decision.refine_goal != SearchGoal.QUALITY_AND_COST:
        return (value,)
    return (value, _cost(plan, proposal.values, costs))


def known_proposals(
    plan: Plan,
    search: Search,
    proposals: Sequence[Proposal],
    results: Results,
    costs: Mapping[str, CostRatio],
) -> list[KnownProposal]:
    """Every proposal with what became of it, for a search that goes on after an interruption."""
    told = []
    for proposal, trial in zip(proposals, search_trials(plan, search), strict=True):
        result = results.get(trial.key)
        completed = result is not None and result.status == Status.COMPLETED
        told.append(
            KnownProposal(
                proposal=proposal,
                status=result.status if result else None,
                objectives=objectives_of(plan, proposal, result, costs) if result and completed else None,
            )
        )
    return told


def winner_finding(search: Search, baseline: str, seed: int) -> Finding | None:
    """The winner as a candidate, where one leads the default."""
    if search.winner is None:
        return None
    value = {name: getattr(search.winner.settings, name) for name in search.ranges}
    test = FreshTest(arm=search.winner.name, over=baseline, kind=SUPERIOR, value=value)
    return Finding(factor=SEARCH, state=Word.CANDIDATE, best=search.winner.name, test=test, seeds=(seed,))


def serves_search(state: State) -> bool:
    """Whether the winner's values are what is served: it replicated, and beside the best single level."""
    found = state.findings.get(WINNER)
    if found is None or found.state != Word.REFINE or not found.value:
        return False
    return all(state.served.get(name) == value for name, value in found.value.items())


def _with_winner(plan: Plan, search: Search, results: Results) -> Search:
    """Once every proposal has ended, the one with the best metric, if it beats the default on that seed."""
    trials = search_trials(plan, search)
    if search.wanted or any(trial.key not in results for trial in trials):
        return search
    metric = plan.study.metric
    default = next(
        trial
        for trial in plan.trials
        if trial.arm == plan.baseline.name and trial.seed == plan.study.seeds[0]
    )
    start = results[default.key].final.get(metric.name, math.nan)
    gains = {
        arm.name: metric.sign * (results[trial.key].final[metric.name] - start)
        for arm, trial in zip(search.arms, trials, strict=True)
        if results[trial.key].status == Status.COMPLETED
    }
    ahead = {name: gain for name, gain in gains.items() if gain > 0}
    if not ahead:
        return search
    best = max(ahead, key=lambda name: ahead[name])
    arm = next(arm for arm in search.arms if arm.name == best)
    return dataclasses.replace(search, winner=arm, gain=100.0 * ahead[best] / abs(start) if start else None)


def _neighbours(plan: Plan, factor: str, finding: Finding) -> tuple[float, float] | None:
    """The tested levels on both sides of the best one, itself at the end of what there is.

    None for a factor whose levels have no order.
    """
    assert finding.test is not None  # a candidate has one
    best = plan.arm(finding.test.arm).level
    tested = [getattr(plan.study.baseline, factor), *(arm.level for arm in plan.levels_of(factor))]
    if not all(map(is_number, tested)):
        return None
    ends = [end for end in natural_ends(factor, plan.study.scenario.data.train_examples) if end == best]
    below = [level for level in tested if level < best] or ends
    above = [level for level in tested if level > best] or ends
    return (max(below), min(above)) if below and above else None


def _arm_of(moved: Mapping[Question, Finding], factor: str) -> str:
    for question, finding in moved.items():
        if question.factor == factor and finding.test is not None:
            return finding.test.arm
    raise KeyError(factor)


def _cost(plan: Plan, values: Mapping[str, float], costs: Mapping[str, CostRatio]) -> float:
    """Product over settings of the time ratio between tested levels, its logarithm linear in the level's.

    Where a level is 0 (no dropout) it is linear in the level itself.
    """
    total = 0.0
    for name, value in values.items():
        known = {getattr(plan.study.baseline, name): 1.0}
        known |= {arm.level: costs[arm.name].ratio for arm in plan.levels_of(name) if arm.name in costs}
        levels = sorted(known)
        place = math.log if levels[0] > 0 else float
        ratios = [math.log(known[level]) for level in levels]
        total += float(np.interp(place(value), [place(level) for level in levels], ratios))
    return math.exp(total)
