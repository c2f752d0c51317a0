"""What a finished sweep leaves: its verdict, report and tuned defaults, and the adapters that are kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bios_sweep import defaults
from bios_sweep.driver.asked_before import looks_told, remember
from bios_sweep.driver.sweep import Sweep
from bios_sweep.driver.view import overtaken_in
from bios_sweep.driver.ways import ways_of
from bios_sweep.driver.withdrawing import without_withdrawn
from bios_sweep.errors import DefaultsError
from bios_sweep.jsonable import to_json
from bios_sweep.procedure.refinement import serves_search
from bios_sweep.procedure.served import no_file, own_cell
from bios_sweep.procedure.source import ProcedureSource
from bios_sweep.procedure.state import State
from bios_sweep.records.journal import Journal
from bios_sweep.records.retention import keep_adapters
from bios_sweep.records.sweep_state import BROKEN
from bios_sweep.report.content.arm_rows import results_rows
from bios_sweep.report.content.lines import headline
from bios_sweep.report.content.overtaken import withdrawn
from bios_sweep.report.content.summarise import summarise
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.text.failed import broken_line
from bios_sweep.report.text.markdown import to_markdown
from bios_sweep.report.text.publish import write_report
from bios_sweep.sealed import PREFIX, unlike
from bios_sweep.settings import LORA
from bios_sweep.study.arms import Arm
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import plain
from bios_sweep.version import __version__
from bios_sweep.vocabulary import Stage, Word

_log = logging.getLogger(__name__)


def conclude(sweep: Sweep, source: ProcedureSource, journal: Journal) -> Summary:
    """Write verdicts, report and tuned defaults of a finished sweep; of an unfinished one nothing.

    Returns the summary as it stands beside later studies, with `broken`, a sentence, where nothing works yet.
    Doing it again with the same results writes nothing new.
    """
    summary = summarise(
        sweep.plan, source.state, source.results, ways_of(sweep.invocation, sweep.plan, sweep.tariff)
    )
    if source.state.stage != Stage.DONE and source.broken is not None:
        broken = broken_line(source.broken, summary.counts, sweep.workspace.trials)
        journal.noted(broken)
        journal.closed(BROKEN)
        return replace(summary, broken=broken)
    if source.state.stage != Stage.DONE:
        journal.closed("stopped")
        return summary
    looks = looks_told(sweep.plan, source.state, sweep.invocation)
    verdict = {
        "headline": f"{sweep.plan.sweep_id}: {headline(summary)}",  # several sweeps share an experiment
        "markdown": to_markdown(summary),
        "verdicts": to_json(summary.verdicts),
        **({"looks": [look.to_dict() for look in looks]} if looks else {}),
    }
    remember(sweep.plan, looks, sweep.workspace)
    later = overtaken_in(sweep.workspace).get(sweep.plan.sweep_id, {})
    told = withdrawn(summary, sweep.plan, later)
    if _published(sweep, journal, verdict):
        return told
    journal.verdict(verdict)
    files = write_report(told, results_rows(sweep.plan, source.state, source.results), sweep.folder)
    file = sweep.folder / defaults.FILE_NAME
    if no_file(sweep.plan, source.state):
        file.unlink(missing_ok=True)  # of an earlier verdict, which stands no more
    else:
        tuned = _tuned_defaults(sweep, source.state, summary, _last_trial_ended(journal))
        files.append(defaults.write_tuned(file, without_withdrawn(tuned, sweep.plan, later)))
    journal.reported(files)
    adapters = keep_adapters(
        sweep.workspace,
        sweep.plan.sweep_id,
        keys=[trial.key for trial in source.state.needed],
        recommended=_recommended_trials(sweep.plan, source.state),
        policy=sweep.keep,
    )
    for key, folder in adapters.items():
        journal.adapter_kept(key, folder)
    journal.closed(Stage.DONE)
    return told


def _published(sweep: Sweep, journal: Journal, verdict: Mapping[str, Any]) -> bool:
    """Whether an earlier run came to this very verdict and its files are still as it wrote them."""
    state = journal.state
    if state.closed != Stage.DONE or state.verdict is None or not state.report:
        return False
    new = plain(verdict)  # the command that was typed for it does not matter
    if any(state.verdict[part] != new[part] for part in ("headline", "verdicts")):
        return False
    wrong = unlike(sweep.folder, {name: f"{PREFIX}{sha256}" for name, sha256 in state.report.items()})
    if wrong is not None:
        _log.warning("%s: %s; the report is written again", sweep.folder / wrong[0], wrong[1])
    return wrong is None and _stands(sweep)


def _stands(sweep: Sweep) -> bool:
    """Whether the tuned file, where there is one, says what it was judged on, and no more of damage."""
    path = sweep.folder / defaults.FILE_NAME
    if not path.exists():
        return True
    try:
        tuned = defaults.read_tuned(path)
    except DefaultsError:
        return False
    return tuned.metric is not None and tuned.damaged is None  # an older version's says no metric


def _last_trial_ended(journal: Journal) -> datetime:
    times = [trial.ended for trial in journal.state.trials.values() if trial.ended is not None]
    return datetime.fromtimestamp(max(times) / 1000, tz=UTC)


def _recommended_trials(plan: Plan, state: State) -> list[str]:
    """Keys of the trials of the arm that the verdicts recommend."""
    name = _recommended_arm(plan, state).name
    return [trial.key for trial in state.needed if trial.arm == name]


def _recommended_arm(plan: Plan, state: State) -> Arm:
    """The baseline, unless an answer that the study's own cell serves to everyone refines something."""
    if state.search is not None and state.search.winner is not None and serves_search(state):
        return state.search.winner
    own = own_cell(plan)
    refined = [
        plan.arm(finding.best)
        for question, finding in state.findings.items()
        if finding.state == Word.REFINE and finding.best and own is not None and question.cell == own.cell
        if question.claim.for_everyone and question.factor in state.served
    ]
    if len(refined) > 1 and state.combination is not None:
        return state.combination
    return refined[0] if refined else plan.baseline


def _tuned_defaults(sweep: Sweep, state: State, summary: Summary, ended: datetime) -> defaults.TunedDefaults:
    """The content of `bios_defaults.json`. ended: when the evidence was complete."""
    study, own = sweep.plan.study, own_cell(sweep.plan)
    scenario, baseline = study.scenario, study.baseline
    # other cells of a crossed study are of other scenarios
    verdicts = [verdict for verdict in summary.verdicts if own is not None and verdict.cell == own.cell]
    tokens = scenario.data.tokens_per_example
    return defaults.build_tuned(
        key=defaults.TunedKey(
            family=scenario.model.family,
            hidden_size=scenario.model.hidden_size,
            parameters=scenario.model.parameters,
            method=scenario.method.trains or LORA,
            objective=str(scenario.method.objective),
            runner=str(scenario.method.runner) if scenario.method.scripted else None,
            alpha_rule=baseline.alpha_rule,
            max_steps=baseline.max_steps,
            batch_size=baseline.batch_size,
            tokens_per_step=None if tokens is None else round(tokens * baseline.batch_size, 1),
        ),
        verdicts=to_json(verdicts),
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
            beside=tuple(to_json(summary.beside)) if summary.beside else None,
        ),
    )
