"""Adding up a journal: what each kind of entry changes in the state of a sweep. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, reduce
from itertools import groupby
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


OfSweep = Callable[[SweepState, Entry], Mapping[str, Any]]  # fields of the state that an entry changes
OfTrial = Callable[[TrialState, Entry], TrialState]


def replay(entries: Iterable[Entry]) -> SweepState:
    """Add up a journal.

    Raises:
        StorageError: an entry about a trial that was never planned, or of an unknown kind.
    """
    state = SweepState()
    for of_trials, alike in groupby(entries, lambda entry: entry.kind in _OF_TRIALS):
        run = tuple(alike)
        state = _of_many(state, run) if of_trials else reduce(advance, run, state)
    return state


def _of_many(state: SweepState, entries: Sequence[Entry]) -> SweepState:
    """The state after several entries on trials: each trial is made once for what was measured in a row."""
    own: dict[str, list[Entry]] = {}
    for entry in entries:
        with _understood(entry):
            own.setdefault(entry.fields["key"], []).append(entry)
    trials = [_after_own(_planned_trial(state, alike[0]), alike) for alike in own.values()]
    return _after(state, entries[0], entries[-1], {"trials": state.trials.now(*trials)})


def _after_own(trial: TrialState, entries: Sequence[Entry]) -> TrialState:
    """A trial after several entries on it."""
    for kind, alike in groupby(entries, lambda entry: entry.kind):
        if kind == "measured":
            trial = _measured_in_a_row(trial, tuple(alike))
        else:
            trial = reduce(_changed, alike, trial)
    return trial


def advance(state: SweepState, entry: Entry) -> SweepState:
    """The state after one more entry.

    Raises:
        StorageError: the entry is of an unknown kind, or does not hold what one of its kind does.
    """
    if entry.kind in _OF_TRIALS:
        trial = _changed(_planned_trial(state, entry), entry)
        return _after(state, entry, entry, {"trials": state.trials.now(trial)})
    change = _OF_SWEEPS.get(entry.kind)
    if change is None:
        known = ", ".join((*_OF_SWEEPS, *_OF_TRIALS))
        raise StorageError(
            f"journal entry {entry.seq}: unknown kind {entry.kind!r}; this version knows {known}"
        )
    with _understood(entry):
        return _after(state, entry, entry, change(state, entry))


def _after(state: SweepState, first: Entry, last: Entry, changes: Mapping[str, Any]) -> SweepState:
    """The state with what entries changed, the first and the last of which are given."""
    times = {"started": state.started or first.milliseconds, "latest": last.milliseconds}
    return replace(state, **{"closed": "", "seq": last.seq, **times, **changes})


def _planned_trial(state: SweepState, entry: Entry) -> TrialState:
    """The trial that an entry is about, as it stands before it."""
    with _understood(entry):
        trial = state.trials.get(entry.fields["key"])
    if trial is None:
        raise StorageError(f"journal entry {entry.seq}: trial {entry.fields['key']} was never planned")
    return trial


def _changed(trial: TrialState, entry: Entry) -> TrialState:
    """A trial after an entry on it."""
    with _understood(entry):
        return _OF_TRIALS[entry.kind](trial, entry)


@contextmanager
def _understood(entry: Entry) -> Iterator[None]:
    """An entry that lacks what its kind holds is named.

    Raises:
        StorageError: it does.
    """
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            f"journal entry {entry.seq}: is no {entry.kind!r} ({type(error).__name__}: {error})"
        ) from error


def _planned(state: SweepState, entry: Entry) -> Mapping[str, Any]:
    specs = planned_trials(entry.fields)
    new = {spec.key: TrialState(spec=spec) for spec in specs if spec.key not in state.trials}
    return {"trials": state.trials.planned(new)}


def _started(trial: TrialState, entry: Entry) -> TrialState:
    return replace(
        trial,
        status=RUNNING,
        attempts=trial.attempts + (0 if trial.lost else 1),
        lost=False,
        result=None,
        started=trial.started or entry.milliseconds,
    )


def _measured(trial: TrialState, entry: Entry) -> TrialState:
    return _measured_in_a_row(trial, (entry,))


def _measured_in_a_row(trial: TrialState, entries: Sequence[Entry]) -> TrialState:
    """With its points; what a resumed trial says again takes the place of what it said before."""
    curve = {old.step: (old, time) for old, time in zip(trial.curve, trial.times, strict=True)}
    for entry in entries:
        with _understood(entry):
            point = measured_point(trial.spec, entry.fields)
        curve[point.step] = (point, entry.milliseconds)
    points, times = zip(*(curve[step] for step in sorted(curve)), strict=True)
    return replace(trial, curve=points, times=times)


def _retried(trial: TrialState, entry: Entry) -> TrialState:
    """A lost attempt. The start that may follow belongs to the attempt counted here."""
    return replace(trial, attempts=trial.attempts + 1, lost=True)


def _left(trial: TrialState, entry: Entry) -> TrialState:
    """It waits at its checkpoint, for its arm was stopped by hand."""
    return replace(trial, status=PLANNED, lost=False)


def _ended(trial: TrialState, entry: Entry) -> TrialState:
    return replace(_settled(trial, entry), ended=entry.milliseconds)


def _reused(trial: TrialState, entry: Entry) -> TrialState:
    started, ended = trial.started or entry.milliseconds, trial.ended or entry.milliseconds
    return replace(_settled(trial, entry), reused=True, started=started, ended=ended)


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


def _judged(state: SweepState, entry: Entry) -> Mapping[str, Any]:
    payload = entry.fields["payload"]
    verdict = Verdict(payload=payload, time=entry.milliseconds, arm_means=_arm_means(state))
    return {"verdicts": (*state.verdicts, verdict)}


def _closed(state: SweepState, entry: Entry) -> Mapping[str, Any]:
    """The run ended; what was still running waits at its checkpoint."""
    trials = {
        key: replace(trial, status=PLANNED, lost=False) if trial.status == RUNNING else trial
        for key, trial in state.trials.items()
    }
    return {"trials": Trials(trials), "closed": entry.fields["reason"]}


_OF_TRIALS: Mapping[str, OfTrial] = MappingProxyType(
    {
        "started": _started,
        "measured": _measured,
        "retried": _retried,
        "left": _left,
        "ended": _ended,
        "reused": _reused,
        "kept": _kept,
    }
)
_OF_SWEEPS: Mapping[str, OfSweep] = MappingProxyType(
    {
        "opened": lambda state, entry: {"facts": entry.fields["facts"]},
        "planned": _planned,
        "verdict": _judged,
        "noted": lambda state, entry: {"notes": (*state.notes, entry.fields["text"])},
        "by_hand": lambda state, entry: {
            "by_hand": {**state.by_hand, entry.fields["arm"]: bool(entry.fields["stopped"])}
        },
        "timed": lambda state, entry: {"timing": entry.fields["timing"]},
        "decided": lambda state, entry: {
            "decided": {"dtype": entry.fields["dtype"], "devices": entry.fields["devices"]}
        },
        "proposed": lambda state, entry: {"proposals": (*state.proposals, *entry.fields["proposals"])},
        "searched": lambda state, entry: {"importance": entry.fields["importance"]},
        "reported": lambda state, entry: {"report": entry.fields["files"]},
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
