"""How far a sweep is, from its journal and the workspace's lock; safe while a driver runs."""

from __future__ import annotations

from collections import Counter

from bios_sweep.driver.view import SweepView
from bios_sweep.procedure import broken_by
from bios_sweep.records.lock import live_owner
from bios_sweep.records.sweep_state import BROKEN
from bios_sweep.records.workspace import Workspace
from bios_sweep.report.content.answers import SweepStatus
from bios_sweep.report.text.failed import broken_line
from bios_sweep.vocabulary import Status


def status_of(workspace: Workspace, view: SweepView) -> SweepStatus:
    """The counts of the contract, and who is at work. Without a live driver nothing is running."""
    owner = live_owner(workspace)
    driven = owner is not None and owner.sweep_id == view.sweep_id
    counts = view.summary.counts
    failed = [row for row in view.summary.failures if row.status == Status.FAILED]
    return SweepStatus(
        sweep=view.plan.study.name,
        sweep_id=view.sweep_id,
        judged_on=view.plan.study.metric.words,
        stage=view.state.stage,
        planned=counts.planned,
        completed=counts.completed,
        diverged=counts.diverged,
        failed=counts.failed,
        failures=dict(Counter(row.failure or "unknown" for row in failed)),
        retried=sum(max(trial.attempts - 1, 0) for trial in view.journal.trials.values()),
        running=view.journal.counts["running"] if driven else 0,
        driver=owner if driven else None,
        broken=None if driven else _broken(workspace, view),
        damaged=view.damaged,
        command=view.command,
    )


def _broken(workspace: Workspace, view: SweepView) -> str | None:
    """Why the last run ended early, in a sentence; None where it did not."""
    failure = broken_by(view.plan, view.journal.results) if view.journal.closed == BROKEN else None
    return None if failure is None else broken_line(failure, view.summary.counts, workspace.trials)
