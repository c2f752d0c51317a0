"""The joint search of a sweep: asked for proposals, told what they gave; the journal knows both first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from bios_sweep.driver.reuse import take_in_finished
from bios_sweep.driver.sweep import Sweep
from bios_sweep.ports import Searcher
from bios_sweep.procedure import ProcedureSource, Search, costs_of, known_proposals, space_of
from bios_sweep.records.journal import Journal
from bios_sweep.study.search import SearchSpace
from bios_sweep.vocabulary import SearchGoal, Stage

SEARCH_BATCH = 4  # proposals asked at once: enough to keep a few workers busy; chosen, not measured
LARGE_COST = 100.0  # times the default's: what a proposal of unknown cost is told

OpenSearcher = Callable[[Sweep, SearchSpace], Searcher]


def advance_search(
    sweep: Sweep, source: ProcedureSource, journal: Journal, open_searcher: OpenSearcher
) -> None:
    """Tell the joint search what its proposals gave and ask for more, as long as more are wanted.

    A proposal is in the journal before its trial starts. Proposals whose trials exist already cost
    nothing and lead straight to the next ones.
    """
    while (search := source.state.search) is not None and search.wanted and not source.state.missing:
        searcher = _searcher(sweep, source, search, open_searcher)
        new = searcher.ask(min(SEARCH_BATCH, search.wanted))
        journal.proposed([proposal.to_dict() for proposal in new])
        source.learn(dataclasses.replace(source.known, proposals=(*source.known.proposals, *new)))
        take_in_finished(sweep, source, journal)
    if search is None or search.wanted or source.state.stage == Stage.REFINEMENT or source.known.importance:
        return
    importance = _searcher(sweep, source, search, open_searcher).importance()
    if importance:
        journal.searched(importance)
        source.learn(dataclasses.replace(source.known, importance=importance))


def _searcher(sweep: Sweep, source: ProcedureSource, search: Search, open_searcher: OpenSearcher) -> Searcher:
    """The search, knowing all that the journal knows; nothing of an earlier driver is left hanging in it."""
    plan = sweep.plan
    searcher = open_searcher(sweep, space_of(plan, search))
    costs = costs_of(plan, source.known.timing)
    searcher.reconcile(known_proposals(plan, search, source.known.proposals, source.results, costs))
    return searcher


def open_search(sweep: Sweep, space: SearchSpace) -> Searcher:
    """Optuna's search of a sweep; its file lies in the sweep's folder."""
    from bios_sweep.execution.optuna_search import OptunaSearch  # heavy, and seldom asked for

    study = sweep.plan.study
    two = study.decision.refine_goal != SearchGoal.QUALITY
    default = sweep.workspace.read_result(sweep.plan.trials[0].key)
    start = default.final.get(study.metric.name, 0.0) if default is not None else 0.0
    worthless = start - study.metric.sign * max(
        abs(start), 1.0
    )  # a loss twice the default's, an accuracy of 0
    return OptunaSearch(
        sweep.folder / "optuna.journal",
        name=sweep.plan.sweep_id,
        space=space,
        worst=(worthless, LARGE_COST) if two else (worthless,),
        directions=(study.metric.direction, "minimize") if two else (study.metric.direction,),
        seed=study.seeds[0],
    )
