"""Who works on what. Pure bookkeeping in the driver's thread: knows slots by number, and no Ray.

A slot is a worker that takes one trial after another. It is absent until it reports ready, then free,
then busy with a job. A slot that dies, falls silent or is told to leave gives its job back to the front of
the line. What an attempt says after its job was given back is not heard: another attempt has the trial.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bios_sweep.errors import BiosSweepError
from bios_sweep.execution.attempts import interrupted
from bios_sweep.ports import ENDED, LEFT, MEASURED, RETRIED, STARTED, EventSink, TrialEvent, TrialSource
from bios_sweep.secrecy import masked
from bios_sweep.study.trials import RETRIED_IN_VAIN, Measurement, TrialResult, TrialSpec
from bios_sweep.vocabulary import Failure, Status

FELL_WITH_US = "its script ended while the sweep was told to stop"
SHORT = "with success, but not at its last step"
# an engine may report these too
NOT_THE_TRIALS_FAULT = frozenset({Failure.WORKER_LOST, Failure.NODE_LOST, Failure.PREEMPTED, Failure.DEVICE})


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Why an attempt was lost: its kind, a `vocabulary.Failure`, and the words for it."""

    failure: str
    cause: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """One attempt at a trial; `attempt` counts from 1. losses: earlier attempts that count as tries.

    A preempted attempt is none: the trial left in good order, and a cheap node may be taken back often.
    """

    trial: TrialSpec
    attempt: int = 1
    losses: int = 0


@dataclass
class Slot:
    """What the driver knows of a slot. `worker` is empty while it is absent; times are `clock()` seconds.

    built: whether its process ever had its engine.
    """

    worker: str = ""
    built: bool = False
    job: Job | None = None
    first_ready: float | None = None
    busy_since: float = 0.0
    busy_seconds: float = 0.0
    deaths_in_a_row: int = 0


class Dispatch:
    """Gives trials to free slots, one each and none ahead, so that the source decides as late as it can.

    Every method runs in the driver's thread and may call `record`. An exception of the source or of
    `record` is not caught here.
    """

    def __init__(
        self, source: TrialSource, record: EventSink, *, max_attempts: int, clock: Callable[[], float]
    ) -> None:
        self._source = source
        self._record = record
        self._max_attempts = max_attempts
        self._clock = clock
        self._slots: dict[int, Slot] = {}
        self._line: deque[Job] = deque()
        self._attempts: dict[str, int] = {}  # of trials that were left, which may be wanted again

    def ready(self, slot: int, worker: str) -> None:
        """A slot has built its engine and waits for a job."""
        entry = self._slots.setdefault(slot, Slot())
        entry.worker, entry.built, entry.deaths_in_a_row = worker, True, 0
        if entry.first_ready is None:
            entry.first_ready = self._clock()

    def assign(self) -> list[tuple[str, Job]]:
        """(worker, job) for every free slot, as far as there are jobs; lost ones first."""
        assigned = []
        for entry in self._slots.values():
            if not entry.worker or entry.job is not None or self._source.stopping:
                continue
            job = self._next_job()
            if job is None:
                break
            entry.job, entry.busy_since = job, self._clock()
            self._tell(STARTED, job, entry.worker)
            assigned.append((entry.worker, job))
        return assigned

    def item(self, slot: int, key: str, attempt: int, values: Mapping[str, Any]) -> bool:
        """A measurement or the result of a job; False for one of an older attempt, which is ignored."""
        entry = self._slots[slot]
        job = entry.job
        if job is None or not self.has(slot, key, attempt):
            return False
        if "status" not in values:
            self._tell(MEASURED, job, entry.worker, measurement=Measurement(**values))
            return True
        result = _result(values)
        if self._source.stopping and interrupted(values):
            cause = f"{FELL_WITH_US}: {result.cause or SHORT}"
            self.gives_back(slot, Loss(failure=Failure.PREEMPTED, cause=cause))
        elif result.status == Status.FAILED and result.failure in NOT_THE_TRIALS_FAULT:
            self.gives_back(slot, Loss(failure=result.failure, cause=result.cause))
        else:
            self._free(entry)
            self._tell(ENDED, job, entry.worker, result=result)
        return True

    def has(self, slot: int, key: str, attempt: int) -> bool:
        """Whether this very attempt is what the slot works on."""
        job = self._slots[slot].job
        return job is not None and (job.trial.key, job.attempt) == (key, attempt)

    def gives_back(self, slot: int, loss: Loss | None) -> None:
        """A slot lives but lost its job, which goes to the front of the line or ends.

        loss: None where it was told to stop: the trial stays at its checkpoint.
        """
        entry = self._slots.setdefault(slot, Slot())
        job = entry.job
        self._free(entry)
        if job is not None and loss is not None:
            self._give_back(job, entry.worker, loss)

    def away(self, slot: int, loss: Loss | None) -> None:
        """A slot fell silent or leaves: it gets nothing until it says again that it is ready."""
        self.gives_back(slot, loss)
        self._slots[slot].worker = ""

    def lost(self, slot: int, loss: Loss) -> None:
        """A slot's process died: its job goes to the front of the line, or ends after the last attempt.

        Raises:
            BiosSweepError: the slot died `max_attempts` times in a row before it was ever ready.
        """
        entry = self._slots.setdefault(slot, Slot())
        built, entry.built = entry.built, False
        self.away(slot, loss)
        if built or loss.failure in (Failure.NODE_LOST, Failure.PREEMPTED):
            return
        entry.deaths_in_a_row += 1
        if entry.deaths_in_a_row >= self._max_attempts:
            raise BiosSweepError(
                f"workers die before their engine is ready ({entry.deaths_in_a_row} times: {loss.cause})"
            )

    def busy(self, slot: int) -> bool:
        """Whether a slot has a job."""
        return self._slots[slot].job is not None

    def unwanted(self) -> dict[int, str]:
        """Slot -> worker of those whose trial is to be left at its checkpoint."""
        return {
            slot: entry.worker
            for slot, entry in self._slots.items()
            if entry.worker and entry.job is not None and self._source.unwanted(entry.job.trial.key)
        }

    def left(self, slot: int) -> None:
        """A slot lives and has left its trial at its checkpoint, as it was told; it says when it is ready."""
        entry = self._slots[slot]
        job, worker = entry.job, entry.worker
        self.away(slot, None)
        if job is not None:
            self._leave(job, worker)

    def slot_of(self, worker: str) -> int | None:
        """The slot whose process this is, or None when it is absent."""
        return next((slot for slot, entry in self._slots.items() if entry.worker == worker), None)

    def present(self) -> dict[int, str]:
        """Slot -> worker of those that are not absent."""
        return {slot: entry.worker for slot, entry in self._slots.items() if entry.worker}

    def finished(self) -> bool:
        """Whether no trial runs and none will; may take the next trial to find out.

        Raises:
            BiosSweepError: the source is open, but no result is on the way that could make it grow.
        """
        if any(entry.job is not None for entry in self._slots.values()):
            return False
        if self._source.stopping:
            return True
        job = self._next_job()
        if job is None:
            if self._source.paused:
                return False
            require_closed(self._source)
            return True
        self._line.appendleft(job)
        return False

    @property
    def stopping(self) -> bool:
        """Whether the user asked to stop."""
        return self._source.stopping

    def idle_seconds(self) -> dict[int, float]:
        """Seconds each slot spent without a job since it was first ready (a restart counts as idle)."""
        now = self._clock()
        return {
            slot: (now - entry.first_ready) - entry.busy_seconds
            for slot, entry in sorted(self._slots.items())
            if entry.first_ready is not None
        }

    def _next_job(self) -> Job | None:
        if self._source.paused:
            return None
        while self._line:
            job = self._line.popleft()
            if not self._source.unwanted(job.trial.key):
                return job
            self._leave(job)
        trial = self._source.take()
        return None if trial is None else Job(trial=trial, attempt=1 + self._attempts.pop(trial.key, 0))

    def _leave(self, job: Job, worker: str = "") -> None:
        self._attempts[job.trial.key] = job.attempt
        self._tell(LEFT, job, worker)

    def _free(self, entry: Slot) -> None:
        if entry.job is not None:
            entry.busy_seconds += self._clock() - entry.busy_since
        entry.job = None

    def _give_back(self, job: Job, worker: str, loss: Loss) -> None:
        cause, failure = masked(loss.cause), loss.failure
        losses = job.losses + (failure != Failure.PREEMPTED)
        if failure not in RETRIED_IN_VAIN and losses < self._max_attempts:
            again = Job(trial=job.trial, attempt=job.attempt + 1, losses=losses)
            self._line.append(again)
            self._tell(RETRIED, again, worker, cause=cause, failure=failure)
            return
        if failure not in RETRIED_IN_VAIN:
            cause += f" (attempt {losses} of {self._max_attempts})"
        result = TrialResult(
            key=job.trial.key, status=Status.FAILED, attempts=job.attempt, cause=cause, failure=failure
        )
        self._tell(ENDED, job, worker, result=result)

    def _tell(self, kind: str, job: Job, worker: str, **what: Any) -> None:
        self._record(TrialEvent(kind=kind, key=job.trial.key, attempt=job.attempt, worker=worker, **what))


def require_closed(source: TrialSource) -> None:
    """Refuse to wait for a trial that cannot come: a source grows only as results come in.

    Raises:
        BiosSweepError: no trial runs, none is offered, and the source is not closed.
    """
    if not source.closed:
        raise BiosSweepError("the trial source is open but offers no trial while none is running")


def _result(values: Mapping[str, Any]) -> TrialResult:
    """Back from plain values, losses that are no numbers included (unlike the journal's way back)."""
    curve = tuple(Measurement(**point) for point in values["curve"])
    return TrialResult(**{**values, "curve": curve})
