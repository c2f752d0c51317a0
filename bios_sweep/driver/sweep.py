"""A sweep as it is driven: its plan and where it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bios_sweep.driver.invocation import Invocation
from bios_sweep.records.journal import Journal
from bios_sweep.records.sweep_state import sweep_facts
from bios_sweep.records.workspace import Workspace
from bios_sweep.study.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A plan and where it is kept. invocation: reproduces it. keep: the adapter retention policy.

    shipped: engine options that only workers are given; written nowhere, for they may hold secrets.
    """

    plan: Plan
    workspace: Workspace
    invocation: Invocation
    keep: str = "recommended"
    tracking_url: str = ""
    shipped: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def folder(self) -> Path:
        """The sweep's own folder."""
        return self.workspace.sweep_dir(self.plan.sweep_id)

    @property
    def engine_options(self) -> dict[str, Any]:
        """What workers build the engine from."""
        return {**self.plan.study.scenario.engine_options, **self.shipped}


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
        },
    )
    journal = Journal(sweep.workspace.journal_file(plan.sweep_id))
    journal.opened(sweep_facts(plan))
    return journal
