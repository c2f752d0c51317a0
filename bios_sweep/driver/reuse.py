"""What earlier runs finished: taken in where it is still whole, never run again."""

from __future__ import annotations

import logging

from bios_sweep.driver.sweep import Sweep
from bios_sweep.procedure import ProcedureSource
from bios_sweep.records.journal import Journal
from bios_sweep.records.results import StoredResults
from bios_sweep.study.trials import TrialResult

_log = logging.getLogger(__name__)


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
    stored_results = StoredResults(sweep.workspace, journal.state.results)
    found = [stored_results.look(trial.key) for trial in source.state.missing]
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
    return [stored_results.seal(result) if kept.unsealed else result for kept, result in taken]
