"""What earlier runs left that a decision needs beside trials: timings, proposals, evaluations by cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bios_sweep.decision.costs import Timing
from bios_sweep.procedure import Known
from bios_sweep.records.evaluations import ClusterReader
from bios_sweep.records.journal import read_state
from bios_sweep.records.sweep_state import SweepState
from bios_sweep.records.workspace import Workspace
from bios_sweep.sealed import is_sealed_json
from bios_sweep.study.plan import Plan
from bios_sweep.study.search import Proposal
from bios_sweep.study.trials import TrialResult, timing_key


def known_of(plan: Plan, workspace: Workspace) -> Known:
    """What a run of the plan finds in its workspace: any sweep's timing of these arms, its own proposals."""
    found = workspace.read_timing(timing_key_of(plan)) if plan.timed_arms else None
    path = workspace.journal_file(plan.sweep_id)
    kept = read_state(path) if plan.study.decision.refine else SweepState()
    return Known(
        timing=None if found is None else named_timing(plan, found),
        proposals=tuple(Proposal.from_dict(values) for values in kept.proposals),
        importance=kept.importance,
        clusters=ClusterReader(workspace),
    )


def journal_results(plan: Plan, workspace: Workspace) -> dict[str, TrialResult]:
    """The copies of results that the plan's own journal has, by trial; none where it was never run."""
    path = workspace.journal_file(plan.sweep_id)
    return read_state(path).results


def told_by(journal: SweepState, workspace: Workspace) -> Known:
    """What a sweep's own journal says was known: a reader sees what the run saw."""
    return Known(
        timing=None if journal.timing is None else Timing.from_dict(journal.timing),
        proposals=tuple(Proposal.from_dict(values) for values in journal.proposals),
        importance=journal.importance,
        clusters=ClusterReader(workspace),
    )


def seal_timing(plan: Plan, workspace: Workspace) -> None:
    """Give the timing of an earlier version, taken as it is, a checksum; only the workspace's owner may."""
    key = timing_key_of(plan)
    found = workspace.read_timing(key)
    if found is not None and not is_sealed_json(workspace.timing_file(key).read_bytes()):
        workspace.write_timing(key, found)


def timing_key_of(plan: Plan) -> str:
    """The identity of the plan's timing probe."""
    scenario = plan.study.scenario
    where = {name: scenario.engine_options.get(name) for name in ("device", "threads", "micro_batch_size")}
    return timing_key([arm.settings for arm in plan.timed_arms], scenario, where)


def named_timing(plan: Plan, found: Mapping[str, Any]) -> Timing:
    """Stored seconds belong to settings; the names are the plan's."""
    return Timing.from_dict({**found, "arms": [arm.name for arm in plan.timed_arms]})
