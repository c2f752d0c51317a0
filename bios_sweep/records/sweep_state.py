"""What a journal adds up to: every trial with its curve, the counts, the verdicts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.records.trial_state import RUNNING, Trials
from bios_sweep.study.trials import TrialResult
from bios_sweep.vocabulary import Stage, Status

DONE = Stage.DONE  # the reason with which a sweep that has all its verdicts is closed
BROKEN = "broken"  # and one that ended early because nothing works yet


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A verdict as it was written down, and what was known then.

    arm_means: arm -> mean final value of the judged
    metric, only of arms whose every planned trial completed: a mean of survivors would flatter.
    """

    payload: Mapping[str, Any]
    time: int
    arm_means: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class SweepState:
    """A sweep as far as it got. trials: in the order of planning. closed: why the last run ended, or ''.

    timing: what the timing probe measured. proposals: of the joint search, in order.
    notes: what the procedure said on its way (stages, looks).
    report: file name -> sha256 of what was written last. started, latest: milliseconds since 1970.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    trials: Trials = field(default_factory=lambda: Trials({}))
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()
    timing: Mapping[str, Any] | None = None
    proposals: tuple[Mapping[str, Any], ...] = ()
    importance: Mapping[str, float] = field(default_factory=dict)
    report: Mapping[str, str] = field(default_factory=dict)
    closed: str = ""
    seq: int = 0
    started: int = 0
    latest: int = 0

    @property
    def verdict(self) -> Mapping[str, Any] | None:
        """The latest verdict's payload."""
        return self.verdicts[-1].payload if self.verdicts else None

    def count(self, status: str) -> int:
        """Trials with that status now."""
        return sum(trial.status == status for trial in self.trials.values())

    @property
    def counts(self) -> dict[str, int]:
        """`planned = completed + diverged + failed + unfinished`; the running are among the unfinished."""
        ended: dict[str, int] = {
            status: self.count(status) for status in (Status.COMPLETED, Status.DIVERGED, Status.FAILED)
        }
        total = len(self.trials)
        return {
            "planned": total,
            **ended,
            "unfinished": total - sum(ended.values()),
            "running": self.count(RUNNING),
        }

    @property
    def results(self) -> dict[str, TrialResult]:
        """Terminal records by key, failed ones included."""
        return {key: trial.result for key, trial in self.trials.items() if trial.result is not None}
