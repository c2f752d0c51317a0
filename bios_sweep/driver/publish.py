"""What a finished sweep leaves: its verdict, report and tuned defaults, and the adapters that are kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bios_sweep import defaults
from bios_sweep.driver.sweep import Sweep
from bios_sweep.driver.tuned import recommended_trials, tuned_defaults
from bios_sweep.errors import DefaultsError
from bios_sweep.jsonable import to_json
from bios_sweep.procedure import ProcedureSource, no_file
from bios_sweep.records.journal import Journal, plain
from bios_sweep.records.retention import keep_adapters
from bios_sweep.records.sweep_state import BROKEN
from bios_sweep.report.content.arm_rows import results_rows
from bios_sweep.report.content.lines import headline
from bios_sweep.report.content.summarise import summarise
from bios_sweep.report.content.summary import Summary
from bios_sweep.report.text.failed import broken_line
from bios_sweep.report.text.markdown import to_markdown
from bios_sweep.report.text.publish import write_report
from bios_sweep.sealed import PREFIX, unlike
from bios_sweep.vocabulary import Stage

_log = logging.getLogger(__name__)


def conclude(sweep: Sweep, source: ProcedureSource, journal: Journal) -> Summary:
    """Write verdicts, report and tuned defaults of a finished sweep; of an unfinished one nothing.

    Returns the summary, with `broken`, a sentence, where nothing works yet. Doing it again with the same
    results writes nothing new.
    """
    summary = summarise(sweep.plan, source.state, source.results, sweep.invocation.command)
    if source.state.stage != Stage.DONE and source.broken is not None:
        told = broken_line(source.broken, summary.counts, sweep.workspace.trials)
        journal.noted(told)
        journal.closed(BROKEN)
        return replace(summary, broken=told)
    if source.state.stage != Stage.DONE:
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
    journal.closed(Stage.DONE)
    return summary


def _published(sweep: Sweep, journal: Journal, verdict: Mapping[str, Any]) -> bool:
    """Whether an earlier run came to this very verdict and its files are still as it wrote them."""
    state = journal.state
    if state.closed != Stage.DONE or not _same(state.verdict, plain(verdict)) or not state.report:
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


def _last_trial_ended(journal: Journal) -> datetime:
    times = [trial.ended for trial in journal.state.trials.values() if trial.ended is not None]
    return datetime.fromtimestamp(max(times) / 1000, tz=UTC)
