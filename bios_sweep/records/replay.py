"""Adding up a journal: what each kind of entry changes in the state of a sweep. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any

from bios_sweep.errors import StorageError
from bios_sweep.records.lines import ended_result, measured_point, planned_trials
from bios_sweep.records.sweep_state import PLANNED, RUNNING, SweepState, Trials, TrialState, Verdict
from bios_sweep.vocabulary import Status


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the journal. seq: from 1 without gaps. time: UTC, ISO 8601 to the millisecond."""

    seq: int
    time: str
    kind: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def milliseconds(self) -> int:
        """The time as milliseconds since 1970."""
        return round(datetime.fromisoformat(self.time).timestamp() * 1000)


Change = Callable[[SweepState, Entry], SweepState]


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
    """The state after one more entry.

    Raises:
        StorageError: the entry is of an unknown kind, or does not hold what one of its kind does.
    """
    change = _CHANGES.get(entry.kind)
    if change is None:
        known = ", ".join(_CHANGES)
        raise StorageError(
            f"journal entry {entry.seq}: unknown kind {entry.kind!r}; this version knows {known}"
        )
    now = entry.milliseconds
    try:
        return change(
            replace(state, closed="", seq=entry.seq, started=state.started or now, latest=now), entry
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            f"journal entry {entry.seq}: is no {entry.kind!r} ({type(error).__name__}: {error})"
        ) from error


def _planned(state: SweepState, entry: Entry) -> SweepState:
    specs = planned_trials(entry.fields)
    new = {spec.key: TrialState(spec=spec) for spec in specs if spec.key not in state.trials}
    return replace(state, trials=state.trials.planned(new))


def _of_a_trial(change: Callable[[TrialState, Entry], TrialState]) -> Change:
    def changed(state: SweepState, entry: Entry) -> SweepState:
        key = entry.fields["key"]
        if key not in state.trials:
            raise StorageError(f"journal entry {entry.seq}: trial {key} was never planned")
        return replace(state, trials=state.trials.now(change(state.trials[key], entry)))

    return changed


@_of_a_trial
def _started(trial: TrialState, entry: Entry) -> TrialState:
    return replace(
        trial,
        status=RUNNING,
        attempts=trial.attempts + (0 if trial.lost else 1),
        lost=False,
        result=None,
        started=trial.started or entry.milliseconds,
    )


@_of_a_trial
def _measured(trial: TrialState, entry: Entry) -> TrialState:
    point = measured_point(trial.spec, entry.fields)
    curve = {old.step: (old, time) for old, time in zip(trial.curve, trial.times, strict=True)}
    curve[point.step] = (point, entry.milliseconds)
    points, times = zip(*(curve[step] for step in sorted(curve)), strict=True)
    return replace(trial, curve=points, times=times)


@_of_a_trial
def _retried(trial: TrialState, entry: Entry) -> TrialState:
    """A lost attempt. The start that may follow belongs to the attempt counted here."""
    return replace(trial, attempts=trial.attempts + 1, lost=True)


@_of_a_trial
def _left(trial: TrialState, entry: Entry) -> TrialState:
    """It waits at its checkpoint, for its arm was stopped by hand."""
    return replace(trial, status=PLANNED, lost=False)


@_of_a_trial
def _ended(trial: TrialState, entry: Entry) -> TrialState:
    return replace(_settled(trial, entry), ended=entry.milliseconds)


@_of_a_trial
def _reused(trial: TrialState, entry: Entry) -> TrialState:
    started, ended = trial.started or entry.milliseconds, trial.ended or entry.milliseconds
    return replace(_settled(trial, entry), reused=True, started=started, ended=ended)


@_of_a_trial
def _kept(trial: TrialState, entry: Entry) -> TrialState:
    return replace(trial, adapter=entry.fields["folder"])


def _settled(trial: TrialState, entry: Entry) -> TrialState:
    """With its result, whose curve is whole; points measured under our eyes keep their own times."""
    result = ended_result(entry.fields, trial.curve)
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


def _judged(state: SweepState, entry: Entry) -> SweepState:
    payload = entry.fields["payload"]
    verdict = Verdict(payload=payload, time=entry.milliseconds, arm_means=_arm_means(state))
    return replace(state, verdicts=(*state.verdicts, verdict))


def _closed(state: SweepState, entry: Entry) -> SweepState:
    """The run ended; what was still running waits at its checkpoint."""
    trials = {
        key: replace(trial, status=PLANNED, lost=False) if trial.status == RUNNING else trial
        for key, trial in state.trials.items()
    }
    return replace(state, trials=Trials(trials), closed=entry.fields["reason"])


_CHANGES: Mapping[str, Change] = MappingProxyType(
    {
        "opened": lambda state, entry: replace(state, facts=entry.fields["facts"]),
        "planned": _planned,
        "started": _started,
        "measured": _measured,
        "retried": _retried,
        "left": _left,
        "ended": _ended,
        "reused": _reused,
        "kept": _kept,
        "verdict": _judged,
        "noted": lambda state, entry: replace(state, notes=(*state.notes, entry.fields["text"])),
        "by_hand": lambda state, entry: replace(
            state, by_hand={**state.by_hand, entry.fields["arm"]: bool(entry.fields["stopped"])}
        ),
        "timed": lambda state, entry: replace(state, timing=entry.fields["timing"]),
        "decided": lambda state, entry: replace(
            state, decided={"dtype": entry.fields["dtype"], "devices": entry.fields["devices"]}
        ),
        "proposed": lambda state, entry: replace(
            state, proposals=(*state.proposals, *entry.fields["proposals"])
        ),
        "searched": lambda state, entry: replace(state, importance=entry.fields["importance"]),
        "reported": lambda state, entry: replace(state, report=entry.fields["files"]),
        "closed": _closed,
    }
)


def _arm_means(state: SweepState) -> dict[str, float]:
    metric = state.facts.get("metric", "eval_loss")
    arms: dict[str, list[float]] = {}
    for trial in state.trials.values():
        value = math.nan if trial.result is None else trial.result.final.get(metric, math.nan)
        arms.setdefault(trial.spec.arm, []).append(value if trial.status == Status.COMPLETED else math.nan)
    means = {arm: math.fsum(values) / len(values) for arm, values in arms.items()}
    return {arm: mean for arm, mean in means.items() if math.isfinite(mean)}
