"""A sweep as it is driven: its plan, where it is kept, and what earlier runs finished of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bios_sweep.defaults import FILE_NAME
from bios_sweep.driver.invocation import Invocation
from bios_sweep.driver.memory import asked_load
from bios_sweep.driver.room_left import RoomLeft
from bios_sweep.driver.stable import asked_stable
from bios_sweep.driver.withdrawing import say_damaged
from bios_sweep.jsonable import to_json
from bios_sweep.procedure.source import ProcedureSource
from bios_sweep.records.journal import Journal
from bios_sweep.records.results import StoredResults
from bios_sweep.records.sweep_state import sweep_facts
from bios_sweep.records.workspace import Workspace
from bios_sweep.report.content.expense import Tariff
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import TrialResult

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A plan and where it is kept. invocation: reproduces it. keep: the adapter retention policy.

    tariff: what an hour of a trial costs. shipped: engine options that only workers are given; written
    nowhere, for they may hold secrets. room: the floor of the workspace's disk; None: nobody looks.
    """

    plan: Plan
    workspace: Workspace
    invocation: Invocation
    keep: str = "recommended"
    tariff: Tariff = field(default_factory=Tariff)
    tracking_url: str = ""
    shipped: Mapping[str, Any] = field(default_factory=dict, repr=False)
    room: RoomLeft | None = None

    @property
    def folder(self) -> Path:
        """The sweep's own folder."""
        return self.workspace.sweep_dir(self.plan.sweep_id)

    @property
    def engine_options(self) -> dict[str, Any]:
        """What workers build the engine from."""
        asked = {**asked_load(self.plan), **asked_stable(self.plan, self._has_ended)}
        return {**self.plan.study.scenario.engine_options, **asked, **self.shipped}

    def _has_ended(self, key: str) -> bool:
        return self.workspace.read_result(key) is not None


def open_journal(sweep: Sweep) -> Journal:
    """Write the plan down and open its journal; only the owner of the workspace's lock may."""
    plan = sweep.plan
    sweep.workspace.write_plan(
        plan.sweep_id,
        {
            "sweep_id": plan.sweep_id,
            **sweep.invocation.to_dict(),
            "study": plan.study.to_dict(),
            "arms": [arm.to_dict() for arm in plan.arms],
            "notes": list(plan.notes),
            **({"tariff": to_json(sweep.tariff)} if sweep.tariff.per_gpu_hour is not None else {}),
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
    stored = StoredResults(sweep.workspace, journal.state.results)
    state = source.state
    looks = [stored.look(trial.key) for trial in (*state.missing, *state.ahead)]
    for sentence in filter(None, (look.damage or look.note for look in looks)):
        if journal.noted(sentence):
            _log.warning("%s", sentence)
    if damaged := [look.file for look in looks if look.damage and look.file is not None]:
        say_damaged(sweep.folder / FILE_NAME, sweep.workspace, journal, damaged)
    unsealed = sum(look.unsealed for look in looks)
    if unsealed:
        sentence = (
            f"{unsealed} of the results that were there have no checksum, for an earlier version wrote them; "
            "they are taken as they are, and have one from now on"
        )
        journal.noted(sentence)
        _log.warning("%s", sentence)
    whole = [(look, look.result) for look in looks if look.result is not None and look.result.finished]
    return [stored.seal(result) if look.unsealed else result for look, result in whole]
