"""What a journal adds up to: every trial with its curve, the counts, the verdicts. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from bios_sweep.errors import StorageError
from bios_sweep.study.plan import Plan
from bios_sweep.study.trials import COMPLETED, DIVERGED, FAILED, Measurement, TrialResult, TrialSpec

PLANNED = "planned"
RUNNING = "running"
DONE = "done"  # the reason with which a sweep that has all its verdicts is closed


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the journal. seq: from 1 without gaps. time: UTC, ISO 8601 to the millisecond."""

    seq: int
    time: str
    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def milliseconds(self) -> int:
        """The time as milliseconds since 1970."""
        return round(datetime.fromisoformat(self.time).timestamp() * 1000)


@dataclass(frozen=True, kw_only=True)
class TrialState:
    """A trial as far as it got. status: planned, running, completed, diverged or failed.

    attempts: tries begun, by all drivers together. times: milliseconds since 1970 of each point of the
    curve. started, ended: of the first start and the last end. reused: the result was there already.
    kept: folder of the adapter that is kept for good. lost: the attempt ended without a result.
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
    kept: str = ""
    lost: bool = False


class Trials(Mapping[str, TrialState]):
    """Trials by key, in the order of planning; a changed copy shares what it did not change.

    Every entry of a journal makes a new state. Copying all trials each time would make a journal of n trials
    cost n^2: what changed lately lies apart, and is merged when it grows.
    """

    MERGED_AT = 32  # chosen, not measured: near the square root of a sweep of a thousand trials

    def __init__(
        self, trials: Mapping[str, TrialState], lately: Mapping[str, TrialState] = MappingProxyType({})
    ) -> None:
        """lately: replaces trials of the same key; has no other keys."""
        self._trials, self._lately = trials, lately

    def __getitem__(self, key: str) -> TrialState:
        return self._lately.get(key) or self._trials[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._trials)

    def __len__(self) -> int:
        return len(self._trials)

    def __contains__(self, key: object) -> bool:
        return key in self._trials

    def __repr__(self) -> str:
        return f"Trials({dict(self)!r})"

    def planned(self, new: Mapping[str, TrialState]) -> Trials:
        """With further trials."""
        return Trials({**self, **new})

    def changed(self, trial: TrialState) -> Trials:
        """With a known trial as it is now."""
        lately = {**self._lately, trial.spec.key: trial}
        if len(lately) < self.MERGED_AT:
            return Trials(self._trials, lately)
        return Trials({**self._trials, **lately})


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
        ended = {status: self.count(status) for status in (COMPLETED, DIVERGED, FAILED)}
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


def sweep_facts(plan: Plan) -> dict[str, Any]:
    """What a reader of the journal must know of the study, as plain values; no paths, no options."""
    study = plan.study
    data = study.scenario.data
    return {
        "sweep_id": plan.sweep_id,
        "name": study.name,
        "question": study.question,
        "metric": study.metric.name,
        "baseline": study.baseline.to_dict(),
        "seeds": list(study.seeds),
        "decision": {**asdict(study.decision), "looks": list(study.decision.looks)},
        "budget": asdict(study.budget),
        "scenario": study.scenario.name,
        "model": {"name": study.scenario.model.name, "fingerprint": study.scenario.model.fingerprint},
        "data": {
            "name": data.name,
            "source": data.source,
            "fingerprint": data.fingerprint,
            "evaluation_fingerprint": data.evaluation_fingerprint,
            "train_examples": data.train_examples,
            "eval_examples": data.eval_examples,
        },
        "arms": {arm.name: {"factor": arm.factor, "level": arm.level} for arm in plan.arms},
    }


def replay(entries: Iterable[Entry]) -> SweepState:
    """Add up a journal.

    Raises:
        StorageError: an entry about a trial that was never planned, or of an unknown kind.
    """
    state = SweepState()
    for entry in entries:
        state = advance(state, entry)
    return state


def advance(state: SweepState, entry: Entry) -> SweepState:
    """The state after one more entry."""
    change = _CHANGES.get(entry.kind)
    if change is None:
        known = ", ".join(_CHANGES)
        raise StorageError(
            f"journal entry {entry.seq}: unknown kind {entry.kind!r}; this version knows {known}"
        )
    reopened = replace(state, closed="", seq=entry.seq, started=state.started or entry.milliseconds)
    return change(replace(reopened, latest=entry.milliseconds), entry)


def _opened(state: SweepState, entry: Entry) -> SweepState:
    return replace(state, facts=entry.fields["facts"])


def _planned(state: SweepState, entry: Entry) -> SweepState:
    specs = [TrialSpec.from_dict(values) for values in entry.fields["trials"]]
    new = {spec.key: TrialState(spec=spec) for spec in specs if spec.key not in state.trials}
    return replace(state, trials=state.trials.planned(new))


def _started(state: SweepState, entry: Entry) -> SweepState:
    trial = _trial(state, entry)
    return _with(
        state,
        replace(
            trial,
            status=RUNNING,
            attempts=trial.attempts + (0 if trial.lost else 1),
            lost=False,
            result=None,
            started=trial.started or entry.milliseconds,
        ),
    )


def _measured(state: SweepState, entry: Entry) -> SweepState:
    trial = _trial(state, entry)
    point = measurement_from(entry.fields["measurement"])
    curve = {old.step: (old, time) for old, time in zip(trial.curve, trial.times, strict=True)}
    curve[point.step] = (point, entry.milliseconds)
    points, times = zip(*(curve[step] for step in sorted(curve)), strict=True)
    return _with(state, replace(trial, curve=points, times=times))


def _retried(state: SweepState, entry: Entry) -> SweepState:
    """A lost attempt. The start that may follow belongs to the attempt counted here."""
    trial = _trial(state, entry)
    return _with(state, replace(trial, attempts=trial.attempts + 1, lost=True))


def _ended(state: SweepState, entry: Entry) -> SweepState:
    return _with(state, replace(_settled(_trial(state, entry), entry), ended=entry.milliseconds))


def _reused(state: SweepState, entry: Entry) -> SweepState:
    trial = _settled(_trial(state, entry), entry)
    started = trial.started or entry.milliseconds
    return _with(state, replace(trial, reused=True, started=started, ended=trial.ended or entry.milliseconds))


def _settled(trial: TrialState, entry: Entry) -> TrialState:
    """With its result, whose curve is whole; points measured under our eyes keep their own times."""
    result = TrialResult.from_dict(entry.fields["result"])
    seen = {point.step: time for point, time in zip(trial.curve, trial.times, strict=True)}
    curve = result.curve or trial.curve
    return replace(
        trial,
        status=result.status,
        result=result,
        curve=curve,
        times=tuple(seen.get(point.step, entry.milliseconds) for point in curve),
        attempts=max(trial.attempts, result.attempts),
        lost=False,
    )


def _kept(state: SweepState, entry: Entry) -> SweepState:
    return _with(state, replace(_trial(state, entry), kept=entry.fields["folder"]))


def _judged(state: SweepState, entry: Entry) -> SweepState:
    payload = entry.fields["payload"]
    verdict = Verdict(payload=payload, time=entry.milliseconds, arm_means=_arm_means(state))
    return replace(state, verdicts=(*state.verdicts, verdict))


def _noted(state: SweepState, entry: Entry) -> SweepState:
    return replace(state, notes=(*state.notes, entry.fields["text"]))


def _timed(state: SweepState, entry: Entry) -> SweepState:
    return replace(state, timing=entry.fields["timing"])


def _proposed(state: SweepState, entry: Entry) -> SweepState:
    return replace(state, proposals=(*state.proposals, *entry.fields["proposals"]))


def _searched(state: SweepState, entry: Entry) -> SweepState:
    return replace(state, importance=entry.fields["importance"])


def _reported(state: SweepState, entry: Entry) -> SweepState:
    return replace(state, report=entry.fields["files"])


def _closed(state: SweepState, entry: Entry) -> SweepState:
    """The run ended; what was still running waits at its checkpoint."""
    trials = {
        key: replace(trial, status=PLANNED, lost=False) if trial.status == RUNNING else trial
        for key, trial in state.trials.items()
    }
    return replace(state, trials=Trials(trials), closed=entry.fields["reason"])


_CHANGES: Mapping[str, Callable[[SweepState, Entry], SweepState]] = MappingProxyType(
    {
        "opened": _opened,
        "planned": _planned,
        "started": _started,
        "measured": _measured,
        "retried": _retried,
        "ended": _ended,
        "reused": _reused,
        "kept": _kept,
        "verdict": _judged,
        "noted": _noted,
        "timed": _timed,
        "proposed": _proposed,
        "searched": _searched,
        "reported": _reported,
        "closed": _closed,
    }
)


def measurement_from(values: Mapping[str, Any]) -> Measurement:
    """A measurement as the journal holds it; a None loss was not a finite number."""
    return Measurement.from_dict(values)


def _arm_means(state: SweepState) -> dict[str, float]:
    metric = state.facts.get("metric", "eval_loss")
    arms: dict[str, list[float]] = {}
    for trial in state.trials.values():
        value = math.nan if trial.result is None else trial.result.final.get(metric, math.nan)
        arms.setdefault(trial.spec.arm, []).append(value if trial.status == COMPLETED else math.nan)
    means = {arm: math.fsum(values) / len(values) for arm, values in arms.items()}
    return {arm: mean for arm, mean in means.items() if math.isfinite(mean)}


def _trial(state: SweepState, entry: Entry) -> TrialState:
    key = entry.fields["key"]
    if key not in state.trials:
        raise StorageError(f"journal entry {entry.seq}: trial {key} was never planned")
    return state.trials[key]


def _with(state: SweepState, trial: TrialState) -> SweepState:
    return replace(state, trials=state.trials.changed(trial))
