"""The loop: next trials -> run -> record -> decide -> publish. Thin: what to do is decided elsewhere."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from bios_sweep import defaults
from bios_sweep.decision.finding import REFINE
from bios_sweep.decision.statement import Verdict
from bios_sweep.driver.command_line import CommandLine
from bios_sweep.errors import DefaultsError, NoClockError
from bios_sweep.jsonable import to_json
from bios_sweep.ports import ENDED, Executor, Searcher, TrialEvent
from bios_sweep.procedure import (
    DONE,
    ProcedureSource,
    Search,
    State,
    costs_of,
    known_proposals,
    no_file,
    own_cell,
    serves_search,
    space_of,
)
from bios_sweep.records.earlier import named_timing, timing_key_of
from bios_sweep.records.journal import Journal, plain
from bios_sweep.records.results import KeptResults, as_arrived
from bios_sweep.records.retention import keep_adapters
from bios_sweep.records.sweep_facts import sweep_facts
from bios_sweep.records.sweep_state import BROKEN
from bios_sweep.records.workspace import Workspace
from bios_sweep.report.content.arm_rows import results_rows
from bios_sweep.report.content.goals import headline
from bios_sweep.report.content.summarise import summarise
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.text.broken import broken_line
from bios_sweep.report.text.markdown import to_markdown
from bios_sweep.report.text.publish import write_report
from bios_sweep.sealed import PREFIX, unlike
from bios_sweep.study.arms import Arm
from bios_sweep.study.plan import Plan
from bios_sweep.study.search import SearchSpace
from bios_sweep.study.trials import REFINEMENT, TrialResult, TrialSpec
from bios_sweep.version import __version__

_log = logging.getLogger(__name__)

TIMING_REPEATS = 5  # docs/statistics.md, item 13: at least 5 interleaved repeats


SEARCH_BATCH = 4  # proposals asked at once: enough to keep a few workers busy; chosen, not measured


class View(Protocol):
    """Where progress is shown."""

    def stage(self, name: str, planned: int, finished: int) -> None:
        """The sweep now needs `planned` trials in all, of which `finished` have a result."""
        ...

    def event(self, event: TrialEvent, spec: TrialSpec) -> None:
        """Something happened to a trial."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A plan and where it is kept. command: reproduces it. keep: the adapter retention policy."""

    plan: Plan
    workspace: Workspace
    command: CommandLine
    keep: str = "recommended"
    tracking_url: str = ""

    @property
    def folder(self) -> Path:
        """The sweep's own folder."""
        return self.workspace.sweep_dir(self.plan.sweep_id)


OpenSearcher = Callable[[Sweep, SearchSpace], Searcher]


def open_journal(sweep: Sweep) -> Journal:
    """Write the plan down and open its journal; only the owner of the workspace's lock may."""
    plan = sweep.plan
    sweep.workspace.write_plan(
        plan.sweep_id,
        {
            "sweep_id": plan.sweep_id,
            **sweep.command.to_dict(),
            "study": plan.study.to_dict(),
            "arms": [arm.to_dict() for arm in plan.arms],
            "notes": list(plan.notes),
        },
    )
    journal = Journal(sweep.workspace.journal_file(plan.sweep_id))
    journal.opened(sweep_facts(plan))
    return journal


def take_in_finished(sweep: Sweep, source: ProcedureSource, journal: Journal) -> None:
    """Take in what earlier runs of any sweep finished and is still whole, stage after stage.

    What is damaged is named and left to be trained again. What an earlier version left without a checksum
    is taken as it is, this once: it gets one.
    """
    while True:
        journal.planned(source.state.needed)
        finished = _found_whole(sweep, source, journal)
        for result in finished:
            journal.reused(result)
            source.add(result)
        if not finished:
            return


def _found_whole(sweep: Sweep, source: ProcedureSource, journal: Journal) -> list[TrialResult]:
    kept_results = KeptResults(sweep.workspace, journal.state.results)
    found = [kept_results.look(trial.key) for trial in source.state.missing]
    for told in filter(None, (kept.damage or kept.note for kept in found)):
        if journal.noted(told):
            _log.warning("%s", told)
    unsealed = sum(kept.unsealed for kept in found)
    if unsealed:
        told = (
            f"{unsealed} of the results that were there have no checksum, for an earlier version wrote them; "
            "they are taken as they are, and have one from now on"
        )
        journal.noted(told)
        _log.warning("%s", told)
    taken = [(kept, kept.result) for kept in found if kept.result is not None and kept.result.finished]
    return [kept_results.seal(result) if kept.unsealed else result for kept, result in taken]


def take_timing(sweep: Sweep, source: ProcedureSource, journal: Journal, executor: Executor) -> None:
    """Time the arms whose cost a claim weighs, alone on the device, before any trial.

    An engine without a clock measures nothing; the claims of cost then say so.
    """
    plan, scenario = sweep.plan, sweep.plan.study.scenario
    try:
        seconds, hardware = executor.time(
            [arm.settings for arm in plan.timed_arms],
            engine=scenario.engine,
            engine_options=scenario.engine_options,
            repeats=TIMING_REPEATS,
        )
    except NoClockError as error:
        journal.noted(f"no cost is measured: {error}")
        return
    found = {"seconds": seconds, "hardware": hardware}
    sweep.workspace.write_timing(timing_key_of(plan), found)
    timing = named_timing(plan, found)
    journal.timed(timing.to_dict())
    source.learn(dataclasses.replace(source.known, timing=timing))


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
    if search is None or search.wanted or source.state.stage == REFINEMENT or source.known.importance:
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
    scenario = sweep.plan.study.scenario
    executor.run(
        source,
        record,
        engine=scenario.engine,
        engine_options=scenario.engine_options,
        trials_dir=sweep.workspace.trials,
    )


def conclude(sweep: Sweep, source: ProcedureSource, journal: Journal) -> Summary:
    """Write verdicts, report and tuned defaults of a finished sweep; of an unfinished one nothing.

    Returns the summary, with `broken`, a sentence, where nothing works yet. Doing it again with the same
    results writes nothing new.
    """
    summary = summarise(sweep.plan, source.state, source.results, str(sweep.command))
    if source.state.stage != DONE and source.broken is not None:
        told = broken_line(source.broken, summary.counts, sweep.workspace.trials)
        journal.noted(told)
        journal.closed(BROKEN)
        return dataclasses.replace(summary, broken=told)
    if source.state.stage != DONE:
        journal.closed("stopped")
        return summary
    verdict = {
        "headline": f"{sweep.plan.sweep_id}: {headline(summary)}",  # several sweeps share an experiment
        "markdown": to_markdown(summary),
        "verdicts": to_json(summary.verdicts),
    }
    if _published(sweep, journal, verdict):
        return summary
    journal.verdict(verdict)
    files = write_report(summary, results_rows(sweep.plan, source.state, source.results), sweep.folder)
    file = sweep.folder / defaults.FILE_NAME
    if no_file(sweep.plan, source.state):
        file.unlink(missing_ok=True)  # of an earlier verdict, which stands no more
    else:
        tuned = tuned_defaults(sweep, source.state, summary, _last_trial_ended(journal))
        files.append(defaults.write_tuned(file, tuned))
    journal.reported(files)
    kept = keep_adapters(
        sweep.workspace,
        sweep.plan.sweep_id,
        keys=[trial.key for trial in source.state.needed],
        recommended=recommended_trials(sweep.plan, source.state),
        policy=sweep.keep,
    )
    for key, folder in kept.items():
        journal.kept(key, folder)
    journal.closed("done")
    return summary


def _published(sweep: Sweep, journal: Journal, verdict: Mapping[str, Any]) -> bool:
    """Whether an earlier run came to this very verdict and its files are still as it wrote them."""
    state = journal.state
    if state.closed != "done" or not _same(state.verdict, plain(verdict)) or not state.report:
        return False
    wrong = unlike(sweep.folder, {name: f"{PREFIX}{sha256}" for name, sha256 in state.report.items()})
    if wrong is not None:
        _log.warning("%s: %s; the report is written again", sweep.folder / wrong[0], wrong[1])
    return wrong is None and _says_metric(sweep)


def _says_metric(sweep: Sweep) -> bool:
    """Whether the tuned file, where there is one, says what it was judged on; an older version's does not."""
    path = sweep.folder / defaults.FILE_NAME
    try:
        return not path.exists() or defaults.read_tuned(path).metric is not None
    except DefaultsError:
        return False


def _same(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> bool:
    """Whether two verdicts say the same; the command that was typed for them does not matter."""
    return old is not None and (old["headline"], old["verdicts"]) == (new["headline"], new["verdicts"])


def recommended_arm(plan: Plan, state: State) -> Arm:
    """The arm whose settings the verdicts recommend: the baseline unless something was refined."""
    if state.search is not None and state.search.winner is not None and serves_search(state):
        return state.search.winner
    refined = [
        plan.arm(finding.best)
        for name, finding in state.findings.items()
        if finding.state == REFINE and finding.best and name in state.served
    ]
    if len(refined) > 1 and state.combination is not None:
        return state.combination
    return refined[0] if refined else plan.baseline


def recommended_trials(plan: Plan, state: State) -> list[str]:
    """Keys of the recommended arm's trials."""
    name = recommended_arm(plan, state).name
    return [trial.key for trial in state.needed if trial.arm == name]


def own_verdicts(plan: Plan, summary: Summary) -> list[Verdict]:
    """The verdicts about the study's own settings; other cells of a crossed study are of other scenarios."""
    own = own_cell(plan)
    return [verdict for verdict in summary.verdicts if own is not None and verdict.cell == own.cell]


def tuned_defaults(sweep: Sweep, state: State, summary: Summary, ended: datetime) -> defaults.TunedDefaults:
    """The content of `bios_defaults.json`. ended: when the evidence was complete."""
    study = sweep.plan.study
    scenario, baseline = study.scenario, study.baseline
    tokens = scenario.data.tokens_per_example
    return defaults.build_tuned(
        key=defaults.TunedKey(
            family=scenario.model.family,
            hidden_size=scenario.model.hidden_size,
            parameters=scenario.model.parameters,
            method=scenario.tuned_method or scenario.method,
            alpha_rule=baseline.alpha_rule,
            max_steps=baseline.max_steps,
            batch_size=baseline.batch_size,
            tokens_per_step=None if tokens is None else round(tokens * baseline.batch_size, 1),
        ),
        verdicts=to_json(own_verdicts(sweep.plan, summary)),
        baseline=baseline,
        provenance=defaults.Provenance(
            versions={"bios_sweep": __version__, **scenario.software},
            data_fingerprint=scenario.data.fingerprint,
            tracking_url=sweep.tracking_url,
            date=ended.isoformat(timespec="seconds"),
            model=scenario.model.name,
            data=scenario.data.name,
            sweep=sweep.plan.sweep_id,
        ),
        served=state.served,
        profiles=state.profiles,
        told=scenario.carried,
        metric=defaults.TunedMetric(
            name=study.metric.name,
            direction=study.metric.direction,
            words=study.metric.words,
            doubt=study.metric.doubt,
        ),
    )


def _last_trial_ended(journal: Journal) -> datetime:
    times = [trial.ended for trial in journal.state.trials.values() if trial.ended is not None]
    return datetime.fromtimestamp(max(times) / 1000, tz=UTC)
