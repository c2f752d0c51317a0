"""Which worker times the arms before the first trial. Pure bookkeeping in the driver's thread, as `dispatch`.

A worker that has started builds no engine until it is told to: the first of them builds and times, alone, and
trains with that very engine afterwards; the others build once that is over. A worker that is lost or whose
GPU fails meanwhile leaves the arms to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bios_sweep.errors import BiosSweepError, DeviceError, NoClockError
from bios_sweep.execution.dispatch import Loss
from bios_sweep.ports import Probe, Timed
from bios_sweep.vocabulary import Failure

BUILD: Mapping[str, Any] = {"build": True}
GATHER_SECONDS = 10.0  # chosen: a worker that comes later imports beside the probe
MOST_DEATHS = 2  # of workers that time: an arm that needs too much memory would take one after another
# What is told apart by its type, by the name that crosses the process border.
KINDS = {kind.__name__: kind for kind in (NoClockError, DeviceError)}


class Probing:
    """Tells workers what to begin with; `over` once nothing is, or will be, timed.

    workers: how many there should be. max_attempts: how often a GPU may fail in the probe.
    """

    def __init__(self, probe: Probe | None, *, workers: int, max_attempts: int) -> None:
        self.over = probe is None
        self._probe = probe
        self._workers = workers
        self._max_attempts = max_attempts
        self._waiting: dict[int, str] = {}
        self._timing: int | None = None
        self._worker = ""
        self._first_seen: float | None = None
        self._deaths = self._failures = 0

    def here(self, slot: int, worker: str, now: float) -> None:
        """A worker has started and waits to be told. now: seconds of any clock."""
        self._waiting[slot] = worker
        self._first_seen = now if self._first_seen is None else self._first_seen

    def orders(self, now: float) -> list[tuple[str, Mapping[str, Any]]]:
        """(worker, order) for those that wait, as far as they need not go on waiting."""
        if self.over:
            told = [(worker, BUILD) for worker in self._waiting.values()]
            self._waiting.clear()
            return told
        if self._timing is not None or not self._waiting or not self._gathered(now):
            return []
        self._timing = next(iter(self._waiting))
        self._worker = self._waiting.pop(self._timing)
        assert self._probe is not None  # else it would be over
        arms = [arm.to_dict() for arm in self._probe.settings]
        return [(self._worker, {"time": arms, "repeats": self._probe.repeats})]

    def timing(self) -> tuple[int, str] | None:
        """Slot and worker of the one that times."""
        return None if self._timing is None else (self._timing, self._worker)

    def present(self) -> dict[int, str]:
        """Slot -> worker of those that wait, and of the one that times."""
        timing = self.timing()
        return {**self._waiting, **dict([timing] if timing else [])}

    def answered(self, slot: int, answer: Mapping[str, Any]) -> None:
        """What the worker that times says: fields of `Timed`, or `broken`, a sentence, and its `kind`.

        Raises:
            BiosSweepError: the engine stumbles in the probe, as it would in a trial.
        """
        if slot != self._timing:
            return
        self._timing = None
        if "broken" not in answer:
            self._end(Timed(**answer))
            return
        error = KINDS.get(answer["kind"], BiosSweepError)(answer["broken"])
        self._failures += isinstance(error, DeviceError)
        if not isinstance(error, NoClockError | DeviceError):
            raise error
        if isinstance(error, NoClockError) or self._failures >= self._max_attempts:
            self._end(error)

    def lost(self, slot: int, loss: Loss) -> bool:
        """A worker's process died; whether it was the one that times.

        One that was told to leave, or went with its node, says nothing of what the arms need.

        Raises:
            BiosSweepError: the second that died otherwise.
        """
        if slot != self._timing:
            self.away(slot)
            return False
        self._timing = None
        if loss.failure in (Failure.NODE_LOST, Failure.PREEMPTED):
            return True
        self._deaths += 1
        if self._deaths == MOST_DEATHS:
            raise BiosSweepError(
                f"the timing probe's worker died twice ({loss.cause}); an arm may need more memory than a "
                "worker has"
            )
        return True

    def away(self, slot: int) -> None:
        """A worker leaves in good order."""
        self._waiting.pop(slot, None)
        if slot == self._timing:
            self._timing = None

    def _gathered(self, now: float) -> bool:
        """Whether all are there that can be expected: where others fill a cluster some never come."""
        begun = now if self._first_seen is None else self._first_seen
        return len(self._waiting) >= self._workers or now - begun >= GATHER_SECONDS

    def _end(self, answer: Timed | NoClockError | DeviceError) -> None:
        self.over = True
        if self._probe is not None:
            self._probe.heard(answer)
