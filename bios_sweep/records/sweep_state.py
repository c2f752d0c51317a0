"""What a journal adds up to: every trial with its curve, the counts, the verdicts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bios_sweep.jsonable import to_json
from bios_sweep.records.by_key import ByKey
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import Measurement, TrialResult, TrialSpec
from bios_sweep.vocabulary import Stage, Status

PLANNED = "planned"
RUNNING = "running"
DONE = Stage.DONE  # the reason with which a sweep that has all its verdicts is closed
BROKEN = "broken"  # and one that ended early because nothing works yet
OF_THE_MODEL = ("name", "fingerprint", "family", "hidden_size")
OF_THE_DATA = ("name", "source", "fingerprint", "evaluation_fingerprint", "train_examples", "eval_examples")


@dataclass(frozen=True, kw_only=True)
class TrialState:
    """A trial as far as it got. status: planned, running, completed, diverged or failed.

    attempts: tries begun, by all drivers together. times: milliseconds since 1970 of each point of the
    curve. started, ended: of the first start and the last end. reused: the result was there already.
    adapter: folder of the adapter that is kept for good. lost: the attempt ended without a result.
    """

    spec: TrialSpec
    status: str = PLANNED
    attempts: int = 0
    curve: tuple[Measurement, ...] = ()
    times: tuple[int, ...] = ()
    started: int | None = None
    ended: int | None = None
    result: TrialResult | None = None
    reused: bool = False
    adapter: str = ""
    lost: bool = False


class Trials(ByKey[TrialState]):
    """Trials by key, in the order of planning. Every entry of a journal makes a new state of them."""

    def planned(self, new: Mapping[str, TrialState]) -> Trials:
        """With further trials."""
        return Trials({**self, **new})

    def now(self, *trials: TrialState) -> Trials:
        """With known trials as they are now."""
        return self.changed({trial.spec.key: trial for trial in trials})


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A verdict as it was written down, and what was known then.

    arm_means: arm -> mean final value of the judged metric, only of arms whose every planned trial completed:
    a mean of survivors would flatter.
    """

    payload: Mapping[str, Any]
    time: int
    arm_means: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class SweepState:
    """A sweep as far as it got. trials: in the order of planning. closed: why the last run ended, or ''.

    timing: what the timing probe measured. decided: the number format and the GPUs it was decided for.
    proposals: of the joint search, in order.
    notes: what the procedure said on its way (stages, looks). by_hand: arm -> whether it is stopped, of those
    that somebody stopped by hand or took up again.
    report: file name -> sha256 of what was written last. started, latest: milliseconds since 1970.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    trials: Trials = field(default_factory=lambda: Trials({}))
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()
    by_hand: Mapping[str, bool] = field(default_factory=dict)
    timing: Mapping[str, Any] | None = None
    decided: Mapping[str, Any] | None = None
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

    @property
    def stopped(self) -> frozenset[str]:
        """The arms that are stopped by hand now."""
        return frozenset(arm for arm, stopped in self.by_hand.items() if stopped)

    def count(self, status: str) -> int:
        """Trials with that status now."""
        return sum(trial.status == status for trial in self.trials.values())

    @property
    def counts(self) -> dict[str, int]:
        """`planned = completed + diverged + failed + unfinished`; the running are among the unfinished."""
        words = (Status.COMPLETED, Status.DIVERGED, Status.FAILED)
        ended: dict[str, int] = {status: self.count(status) for status in words}
        total = len(self.trials)
        unfinished = total - sum(ended.values())
        return {"planned": total, **ended, "unfinished": unfinished, "running": self.count(RUNNING)}

    @property
    def results(self) -> dict[str, TrialResult]:
        """Terminal records by key, failed ones included."""
        return {key: trial.result for key, trial in self.trials.items() if trial.result is not None}


def sweep_facts(plan: Plan) -> dict[str, Any]:
    """What a reader of the journal must know of the study, as plain values; no paths, no options."""
    study = plan.study
    model, data = study.scenario.model, study.scenario.data
    return {
        "sweep_id": plan.sweep_id,
        "name": study.name,
        "question": study.question,
        "metric": study.metric.name,
        "direction": study.metric.direction,
        "baseline": study.scenario.engine_settings(study.baseline.by_name()),
        "told": sorted(
            {name for arm in plan.arms for name in study.scenario.engine_settings(arm.settings.by_name())}
        ),
        "seeds": list(study.seeds),
        "decision": to_json(study.decision),
        "budget": to_json(study.budget),
        "scenario": study.scenario.name,
        "method": study.scenario.method.trains if study.scenario.servable else None,
        **study.scenario.method.identity(),
        "model": {name: getattr(model, name) for name in OF_THE_MODEL},
        "data": {name: getattr(data, name) for name in OF_THE_DATA},
        "arms": {arm.name: {"factor": arm.factor, "level": arm.level} for arm in plan.arms},
    }
