"""Between Tune and the driver's decisions: callbacks feed `Dispatch`, its answers go to the mailbox."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import ray
from ray import tune

from bios_sweep.errors import BiosSweepError, ClusterLostError, DeviceError, StorageError
from bios_sweep.execution.attempts import describe
from bios_sweep.execution.dispatch import Dispatch, Loss
from bios_sweep.execution.probing import Probing
from bios_sweep.execution.ray.losses import loss_of, node_answers
from bios_sweep.execution.ray.slot import REPORT
from bios_sweep.execution.transfer.attempt_files import Ended, FileTransfer
from bios_sweep.secrecy import masked
from bios_sweep.vocabulary import Failure, Status

_log = logging.getLogger(__name__)
LISTENS = 15  # per limit of silence: how often the driver asks whom the mailbox has not heard; chosen
HOPELESS = 4  # chosen: a worker this many limits silent is killed, so that its place is used again
PATIENCE = 2  # limits that the storage may fail the driver before an ended attempt counts as lost; chosen
LAST_WORD_SECONDS = 2.0  # chosen: how long a dead worker's notice is asked for


class Bridge(tune.Callback, tune.Stopper):
    """Passes reports on, posts jobs, and remembers what ended the run early. All in the driver's thread.

    probing: what workers begin with. slots: how many there are. transfer: None where all attempts of a trial
    work in one folder, this machine's; a silent worker is then killed before another gets its trial, for both
    would write there. silence_seconds: how long a worker may give no sign of life.
    """

    def __init__(
        self,
        dispatch: Dispatch,
        probing: Probing,
        *,
        slots: int,
        transfer: FileTransfer | None,
        silence_seconds: float,
    ) -> None:
        self._dispatch = dispatch
        self._probing = probing
        self._slots = slots
        self._aside: dict[int, list[str]] = {}
        self._transfer = transfer
        self._limit = silence_seconds
        self._failure: Exception | None = None
        self._ended = False
        self._mailbox: Any = None
        self._answer: Any = None
        self._asked = 0.0
        self._noticed: set[str] = set()
        self._away: dict[str, Any] = {}
        self._leaving: set[int] = set()
        self._silenced: dict[int, Loss] = {}
        self._actors: dict[int, Any] = {}
        self._nodes: dict[int, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune saves its callbacks for a restore that is never used, and ours hold the driver."""
        return {}

    def connect(self, mailbox: Any) -> None:
        """Jobs go to this actor."""
        self._mailbox, self._answer = mailbox, None

    def fail(self, error: BiosSweepError) -> None:
        """End the run with this error; from any thread."""
        self._failure = self._failure or error

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether a slot should stop; asked about each report, before it is recorded."""
        return self._dispatch.stopping

    def stop_all(self) -> bool:
        """Whether Tune should stop every slot now; asked at each turn of its loop."""
        return self._ended or self._failure is not None

    def raise_failure(self) -> None:
        """Raise what ended the run early, in the words and type it had."""
        if self._failure is not None:
            raise self._failure
        if not self._ended and not self._dispatch.finished():
            raise BiosSweepError("every worker ended before the trials did")

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any
    ) -> None:
        """A slot reported."""
        self._actors[trial.config["slot"]] = trial.temporary_state.ray_actor
        self._guard(self._read, trial.config["slot"], json.loads(result[REPORT]), bool(result.get("done")))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
        """A slot died; Tune starts it again."""
        self._guard(self._lose, trial)

    on_trial_error = on_trial_recover  # it died for good

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Tune's loop turns at least every 0.1 s, reports or not: notice stops, silence and new trials."""
        self._guard(self._listen)
        self._guard(self._welcome)
        self._guard(self._call_off)
        self._guard(self._post)

    def _read(self, slot: int, report: dict[str, Any], leaves: bool) -> None:
        if "broken" in report:
            raise BiosSweepError(report["broken"])
        if "here" in report:
            self._nodes[slot] = report["node"]
            self._probing.here(slot, report["here"], time.monotonic())
        if "timed" in report:
            self._probing.answered(slot, report["timed"])
            if "leaving" in report and not self._probing.over:
                _log.warning("%s; the probe gets a new process", report["timed"]["broken"])
        if "ready" in report:
            self._away.pop(report["ready"], None)
            self._nodes[slot] = report["node"]
            if slot in self._leaving:
                self._leaving.discard(slot)
                self._dispatch.left(slot)
            self._dispatch.ready(slot, report["ready"])
        if "lost" in report and self._dispatch.has(slot, report["key"], report["attempt"]):
            self._dispatch.gives_back(slot, Loss(**report["lost"]))
        if "item" in report:
            self._take_in(slot, report["key"], report["attempt"], report["item"])
        if "unbuilt" in report:
            _log.warning("%s; the worker gets a new process", report["unbuilt"])
            self._probing.answered(slot, {"broken": report["unbuilt"], "kind": DeviceError.__name__})
        if "leaving" in report:
            self._probing.away(slot)
            self._dispatch.away(slot, PREEMPTION)
        if "failed_gpus" in report:
            for gpu in ray.get(self._mailbox.failed.remote(report["failed_gpus"])):
                _log.warning("%s failed twice and is set aside; look at its node (nvidia-smi, dmesg)", gpu)
        if "aside" in report:
            self._aside[slot] = report["aside"]
            self._require_some()
        if leaves:
            self._dispatch.away(slot, None)
        elif slot in self._leaving and not self._dispatch.busy(slot):
            self._dispatch.away(slot, None)  # its trial ended first; it has yet to hear
        self._post()

    def _require_some(self) -> None:
        """End a run of which no slot has a GPU any more."""
        if len(self._aside) == self._slots:
            gpus = ", ".join(sorted({gpu for held in self._aside.values() for gpu in held}))
            raise ClusterLostError(
                f"every GPU failed twice and is set aside ({gpus}); look at the nodes (nvidia-smi, dmesg), "
                "then the same command goes on from here"
            )

    def _take_in(self, slot: int, key: str, attempt: int, item: dict[str, Any]) -> None:
        """The files of what an attempt says are safe before it counts."""
        if self._transfer is not None and self._dispatch.has(slot, key, attempt):
            self._transfer.reached(key, attempt)
            if "status" in item:
                try:
                    self._transfer.bring(key, attempt)
                except StorageError:
                    ended = Ended(slot=slot, key=key, attempt=attempt, item=item)
                    self._transfer.bring_later(ended, lambda: self._wants(ended), PATIENCE * self._limit)
                    return
        self._count(slot, key, attempt, item)

    def _count(self, slot: int, key: str, attempt: int, item: dict[str, Any]) -> None:
        taken = self._dispatch.item(slot, key, attempt, item)
        if taken and self._transfer is not None and item.get("status", Status.FAILED) != Status.FAILED:
            self._transfer.forget(key)

    def _wants(self, ended: Ended) -> bool:
        return not self.stop_all() and self._dispatch.has(ended.slot, ended.key, ended.attempt)

    def _welcome(self) -> None:
        """Take in the results whose files were waited for."""
        for ended in [] if self._transfer is None else self._transfer.arrived():
            if not self._wants(ended):
                continue
            if ended.error is None:
                self._count(ended.slot, ended.key, ended.attempt, ended.item)
            elif isinstance(ended.error, StorageError):
                loss = Loss(failure=Failure.STORAGE, cause=masked(str(ended.error)))
                self._dispatch.gives_back(ended.slot, loss)
            else:
                raise ended.error

    def _lose(self, trial: Any) -> None:
        slot = trial.config["slot"]
        self._leaving.discard(slot)
        worker = self._present().get(slot, "")
        loss = loss_of(trial.get_pickled_error())
        if worker in self._noticed or self._was_noticed(worker):
            loss = PREEMPTION
        elif (
            loss.failure == Failure.WORKER_LOST
            and slot in self._nodes
            and not node_answers(self._nodes[slot])
        ):
            loss = Loss(failure=Failure.NODE_LOST, cause="its node died")
        loss = self._silenced.pop(slot, loss)
        if not self._probing.lost(slot, loss):
            self._dispatch.lost(slot, loss)
        self._post()

    def _was_noticed(self, worker: str) -> bool:
        """Whether the dead worker had been told to leave; it may have said so a moment ago."""
        if not worker:
            return False
        with suppress(ray.exceptions.RayError):
            heard = ray.get(self._mailbox.listen.remote([worker], self._limit), timeout=LAST_WORD_SECONDS)
            return worker in heard["noticed"]
        return False

    def _listen(self) -> None:
        """Ask the mailbox whom it has not heard for too long, without waiting for the answer."""
        if self._answer is None:
            if time.monotonic() - self._asked > self._limit / LISTENS:
                workers = [*self._present().values(), *self._away]
                self._asked = time.monotonic()
                self._answer = self._mailbox.listen.remote(workers, self._limit)
            return
        if not ray.wait([self._answer], timeout=0)[0]:
            return
        try:
            heard, self._answer = ray.get(self._answer), None
        except ray.exceptions.RayError as error:
            raise BiosSweepError(
                "the driver lost touch with its workers: their mailbox on this machine died "
                f"({describe(error)}); the same command goes on from here"
            ) from error
        self._noticed.update(heard["noticed"])
        for worker, seconds in heard["silent"].items():
            self._give_up(worker, seconds)

    def _present(self) -> dict[int, str]:
        """Slot -> worker of those that wait for the probe or time, and of those that are ready."""
        return {**self._probing.present(), **self._dispatch.present()}

    def _at_work(self, worker: str) -> int | None:
        """The slot of a worker that is ready or times; one that waits is told what to do when it is back."""
        timing = self._probing.timing()
        return timing[0] if timing and timing[1] == worker else self._dispatch.slot_of(worker)

    def _give_up(self, worker: str, seconds: float) -> None:
        slot = self._at_work(worker)
        if slot is None:
            if seconds > HOPELESS * self._limit and worker in self._away:
                ray.kill(self._away.pop(worker))
            return
        self._leaving.discard(slot)
        loss = Loss(failure=Failure.WORKER_LOST, cause=f"no sign of life for {seconds:.0f} s")
        if self._transfer is None:
            self._silenced[slot] = loss
            _kill_here(worker)
            return
        self._away[worker] = self._actors[slot]
        self._mailbox.revoke.remote(worker)
        if not self._probing.lost(slot, loss):
            self._dispatch.away(slot, loss)

    def _call_off(self) -> None:
        """Tell workers whose trial nobody wants any more to leave it at its next measurement.

        Until such a worker says that it has, the trial stays its own: two must never write in one folder.
        """
        for slot, worker in self._dispatch.unwanted().items():
            if slot not in self._leaving:
                self._leaving.add(slot)
                self._mailbox.revoke.remote(worker)

    def _post(self) -> None:
        for worker, order in self._probing.orders(time.monotonic()):
            self._mailbox.put.remote(worker, dict(order))
        if not self._probing.over:  # what is timed may change which trial is the first
            return
        for worker, job in self._dispatch.assign():
            places = {} if self._transfer is None else self._transfer.places(job.trial.key, job.attempt)
            self._mailbox.put.remote(worker, {"trial": job.trial.to_dict(), "attempt": job.attempt, **places})
        if not self._ended and self._dispatch.finished():
            self._ended = True
            self._mailbox.close.remote()

    def _guard(self, action: Callable[..., None], *arguments: Any) -> None:
        """Tune would wrap an exception in its own and lose the type."""
        if self.stop_all():
            return
        try:
            action(*arguments)
        except Exception as error:  # noqa: BLE001 - raised again after Tune has stopped the slots
            self._failure = error


PREEMPTION = Loss(failure=Failure.PREEMPTED, cause="its worker was told to leave")


def _kill_here(worker: str) -> None:
    """End a worker of this machine for certain, a stopped one too; Ray then reports its death."""
    host, _, process = worker.rpartition(":")
    if host == socket.gethostname():
        with suppress(ProcessLookupError):
            os.kill(int(process), signal.SIGKILL)
