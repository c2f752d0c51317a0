"""The loop: next trials -> run -> record -> decide; first a timing probe, inside it a joint search.

Thin: what to do is decided elsewhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial

from bios_sweep.driver.by_hand import Hands
from bios_sweep.driver.sweep import Sweep, take_in_finished
from bios_sweep.errors import DeviceError, NoClockError
from bios_sweep.ports import ENDED, LEFT, Executor, Probe, Searcher, Timed, TrialEvent, View
from bios_sweep.procedure.refinement import known_proposals, space_of
from bios_sweep.procedure.source import ProcedureSource
from bios_sweep.procedure.state import Search
from bios_sweep.procedure.tables import costs_of
from bios_sweep.records.earlier import named_timing, timing_key_of
from bios_sweep.records.journal import Journal
from bios_sweep.records.results import as_arrived
from bios_sweep.study.plan import Plan
from bios_sweep.study.search import SearchSpace
from bios_sweep.vocabulary import SearchGoal, Stage

TIMING_REPEATS = 5  # docs/statistics.md, item 13: at least 5 interleaved repeats
_log = logging.getLogger(__name__)
SEARCH_BATCH = 4  # proposals asked at once: enough to keep a few workers busy; chosen, not measured
LARGE_COST = 100.0  # times the default's: what the search learns of a proposal of unknown cost


def run_trials(
    sweep: Sweep,
    source: ProcedureSource,
    journal: Journal,
    executor: Executor,
    view: View,
    *,
    hands: Hands | None = None,
    shield: Callable[[], AbstractContextManager[None]] = nullcontext,
    undisturbed: Callable[[], None] = lambda: None,
) -> None:
    """Run what is missing. A result is on the disk before the journal says so, and there before it counts.

    A trial that fails because the disk is full has not ended, and the run does (`room_left`). hands: tells
    which arms people stop or take up on the way. shield: entered for each event, so that an interrupt cannot
    fall between these. undisturbed: called once nothing is timed any more.
    """
    _advance_search(sweep, source, journal)
    specs = {trial.key: trial for trial in source.state.needed}

    def record(event: TrialEvent) -> None:
        with shield():
            take_in(event)

    def take_in(event: TrialEvent) -> None:
        event = as_arrived(event, sweep.workspace)
        if sweep.room is not None:
            sweep.room.watch(event.result)
        if event.kind == ENDED and event.result is not None and event.result.finished:
            sweep.workspace.write_result(event.result)
        journal.record(event)
        view.event(event, specs[event.key])
        if event.kind == LEFT:
            source.left(event.key)
        if event.result is not None:
            before = len(source.decided.needed)
            went_on(source.add(event.result), before)

    def went_on(opened: bool, before: int) -> None:
        if opened:
            take_in_finished(sweep, source, journal)
        if source.decided.search is not None:
            _advance_search(sweep, source, journal)
        if opened or len(source.decided.needed) != before:
            grown()

    def heed(hands: Hands) -> None:
        with shield():
            for request in hands.asked():
                before = len(source.decided.needed)
                journal.by_hand(request.arm, stopped=request.stopped)
                view.note(f"{request.arm}: {'stopped by hand' if request.stopped else 'taken up again'}")
                went_on(source.learn(replace(source.known, stopped=journal.state.stopped)), before)
            if news := hands.news():
                view.note(news)

    if hands is not None:
        source.attend(partial(heed, hands))

    def grown() -> None:
        specs.update({trial.key: trial for trial in source.state.needed})
        journal.noted(f"stage {source.state.stage}: {len(source.state.needed)} trials in all")
        view.stage(source.state.stage, len(source.state.needed), len(source.results))

    def timed(answer: Timed | NoClockError | DeviceError) -> None:
        with shield():
            before = len(source.decided.needed)
            learn_timing(sweep, source, journal, answer)
            take_in_finished(sweep, source, journal)
            if len(source.decided.needed) != before:
                grown()
        undisturbed()

    probe = probe_of(sweep.plan, source, timed)
    if probe is None:
        undisturbed()
    view.stage(source.state.stage, len(source.state.needed), len(source.results))
    executor.run(
        source,
        record,
        engine=sweep.plan.study.scenario.engine,
        engine_options=sweep.engine_options,
        trials_dir=sweep.workspace.trials,
        probe=probe,
    )


def probe_of(
    plan: Plan, source: ProcedureSource, heard: Callable[[Timed | NoClockError | DeviceError], None]
) -> Probe | None:
    """The arms whose cost a claim weighs; None where there are none, or where they were timed before."""
    if not plan.timed_arms or source.known.timing is not None:
        return None
    return Probe(settings=tuple(arm.settings for arm in plan.timed_arms), repeats=TIMING_REPEATS, heard=heard)


def learn_timing(
    sweep: Sweep, source: ProcedureSource, journal: Journal, answer: Timed | NoClockError | DeviceError
) -> None:
    """Write down what the arms cost, for this sweep and every other, and go on from it.

    An engine without a clock measures nothing, nor does one whose GPU fails on every try; the claims of cost
    then say so. Of the latter the next run asks again.
    """
    plan = sweep.plan
    if not isinstance(answer, Timed):
        journal.noted(f"no cost is measured: {answer}")
        if isinstance(answer, DeviceError):
            _log.warning("no cost is measured: %s; the next run of the same command tries again", answer)
        return
    measured = {"seconds": answer.seconds, "hardware": answer.hardware}
    sweep.workspace.write_timing(timing_key_of(plan), measured)
    timing = named_timing(plan, measured)
    journal.timed(timing.to_dict())
    source.learn(replace(source.known, timing=timing))


def _advance_search(sweep: Sweep, source: ProcedureSource, journal: Journal) -> None:
    """Tell the joint search what its proposals gave and ask for more, as long as more are wanted.

    A proposal is in the journal before its trial starts. Proposals whose trials exist already cost
    nothing and lead straight to the next ones.
    """
    while (search := source.state.search) is not None and search.wanted and not source.state.missing:
        proposals = _searcher(sweep, source, search).ask(min(SEARCH_BATCH, search.wanted))
        journal.proposed([proposal.to_dict() for proposal in proposals])
        source.learn(replace(source.known, proposals=(*source.known.proposals, *proposals)))
        take_in_finished(sweep, source, journal)
    if search is None or search.wanted or source.state.stage == Stage.REFINEMENT or source.known.importance:
        return
    importance = _searcher(sweep, source, search).importance()
    if importance:
        journal.searched(importance)
        source.learn(replace(source.known, importance=importance))


def _searcher(sweep: Sweep, source: ProcedureSource, search: Search) -> Searcher:
    """The search, knowing all that the journal knows; nothing of an earlier driver is left hanging in it."""
    plan = sweep.plan
    searcher = _open_searcher(sweep, space_of(plan, search))
    costs = costs_of(plan, source.known.timing)
    searcher.reconcile(known_proposals(plan, search, source.known.proposals, source.results, costs))
    return searcher


def _open_searcher(sweep: Sweep, space: SearchSpace) -> Searcher:
    """Optuna's search of a sweep; its file lies in the sweep's folder."""
    from bios_sweep.execution.optuna_search import OptunaSearch  # heavy, and seldom asked for

    study = sweep.plan.study
    two = study.decision.refine_goal != SearchGoal.QUALITY
    default = sweep.workspace.read_result(sweep.plan.trials[0].key)
    start = default.final.get(study.metric.name, 0.0) if default is not None else 0.0
    # a loss twice the default's, an accuracy of 0
    worthless = start - study.metric.sign * max(abs(start), 1.0)
    return OptunaSearch(
        sweep.folder / "optuna.journal",
        name=sweep.plan.sweep_id,
        space=space,
        worst=(worthless, LARGE_COST) if two else (worthless,),
        directions=(study.metric.direction, "minimize") if two else (study.metric.direction,),
        seed=study.seeds[0],
    )
