"""The loop: next trials -> run -> record -> decide. Thin: what to do is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from bios_sweep.driver.joint_search import OpenSearcher, advance_search
from bios_sweep.driver.listener import View
from bios_sweep.driver.reuse import take_in_finished
from bios_sweep.driver.sweep import Sweep
from bios_sweep.ports import ENDED, Executor, TrialEvent
from bios_sweep.procedure import ProcedureSource
from bios_sweep.records.journal import Journal
from bios_sweep.records.results import as_arrived


def run_trials(
    sweep: Sweep,
    source: ProcedureSource,
    journal: Journal,
    executor: Executor,
    view: View,
    open_searcher: OpenSearcher,
    *,
    shield: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Run what is missing. A result is on the disk before the journal says so, and there before it counts.

    shield: entered for each event, so that an interrupt cannot fall between these.
    """
    advance_search(sweep, source, journal, open_searcher)
    specs = {trial.key: trial for trial in source.state.needed}

    def record(event: TrialEvent) -> None:
        with shield():
            take_in(event)

    def take_in(event: TrialEvent) -> None:
        event = as_arrived(event, sweep.workspace)
        if event.kind == ENDED and event.result is not None and event.result.finished:
            sweep.workspace.write_result(event.result)
        journal.record(event)
        view.event(event, specs[event.key])
        if event.result is None:
            return
        before = len(source.state.needed)
        opened = source.add(event.result)
        if opened:
            take_in_finished(sweep, source, journal)
        if source.state.search is not None:
            advance_search(sweep, source, journal, open_searcher)
        if opened or len(source.state.needed) != before:
            specs.update({trial.key: trial for trial in source.state.needed})
            journal.noted(f"stage {source.state.stage}: {len(source.state.needed)} trials in all")
            view.stage(source.state.stage, len(source.state.needed), len(source.results))

    view.stage(source.state.stage, len(source.state.needed), len(source.results))
    executor.run(
        source,
        record,
        engine=sweep.plan.study.scenario.engine,
        engine_options=sweep.engine_options,
        trials_dir=sweep.workspace.trials,
    )
