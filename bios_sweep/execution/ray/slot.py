"""What runs on Ray's workers: the slot that trains one trial after another.

Tune starts an actor per Tune trial and is slow to replace one between short trials (measured: an
idle worker at every stage boundary and after every kill). So a Tune trial here is a *slot*: it
lives as long as the run, pays the heavy imports once, and asks for its next job itself.

It builds its engine when it is told to, for the first of a run may have to time the arms before, alone.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import ray
from ray import tune

from bios_sweep.errors import BiosSweepError, DeviceError, StorageError
from bios_sweep.execution.attempts import (
    attempt_trial,
    engine_class,
    interrupted,
    load_engine,
    set_environment,
    time_arms,
    worker_name,
)
from bios_sweep.execution.transfer.attempt_files import AttemptFiles, Items, remove_leftovers
from bios_sweep.execution.transfer.node_options import bring_data
from bios_sweep.ports import TrialEngine
from bios_sweep.secrecy import masked
from bios_sweep.settings import TrainingSettings
from bios_sweep.study.trials import TrialResult, TrialSpec
from bios_sweep.vocabulary import Failure, Status

BUILD_PAUSES = 4  # half a pause each, for a storage that is away while a worker starts; chosen
WAIT_SECONDS = 1.0  # chosen, not measured: how long an idle slot listens before it shows a sign of life
LEAVE_SECONDS = 25.0  # clouds and schedulers kill 30 s after their notice; chosen: 5 s are left for the exit
NODE_LETTERS = 8  # of a node's id, enough to tell nodes apart
REPORT = "report"  # the one key of a slot's Tune result that is ours: JSON text, so that Tune flattens none


class WorkerSlot(tune.Trainable):
    """Works through jobs; each `step()` brings one item: a measurement, a result, or a sign of life.

    config: slot (number), mailbox (actor name), engine, engine_options, trials_dir (absolute), threads,
    storage (URI, or None where attempts work in the trials folder itself), beat_seconds, pause_seconds
    (before a loss to the storage is told, so that a short outage costs a trial one try and not all).
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Import what the engine needs. Failures are reported later: Tune would restart us for ever."""
        self._config = config
        mailbox: Any = ray.get_actor(config["mailbox"])
        set_environment(ray.get(mailbox.environment.remote()), config["threads"])
        self._mailbox = mailbox
        self._engine: TrialEngine | None = None
        self._items: Items | None = None
        self._files: AttemptFiles | None = None
        self._job: dict[str, Any] = {}
        self._loss: dict[str, Any] | None = None
        self._tell_after = 0.0
        self._broken = self._unbuilt = ""
        self._here = self._greeted = self._gone = self._poisoned = self._aside = False
        self._gpus = gpus_held()
        self._heartbeat = Heartbeat(self._mailbox, worker_name(), every_seconds=config["beat_seconds"])
        if config["storage"] is not None:  # else driver and workers share this machine, and the driver hears
            self._heartbeat.listen()
            remove_leftovers()
        # the next process of a slot may get the GPU that the last one failed on
        if self._gpus and ray.get(mailbox.set_aside.remote(self._gpus)):
            self._aside = True
            return
        with suppress(BiosSweepError):  # told when the engine is built
            engine_class(config["engine"])

    def step(self) -> dict[str, str]:
        """The next report, as `{"report": JSON text}`."""
        if self._gone:
            ray.actor.exit_actor()
        return {REPORT: json.dumps(self._report())}

    def cleanup(self) -> None:
        """Leave a running trial at its checkpoint."""
        self._close()

    def _report(self) -> dict[str, Any]:
        if self._aside:  # it holds the GPU, so that no trial gets it
            time.sleep(WAIT_SECONDS)
            return {} if self._greeted else self._greet({"aside": self._gpus})
        if self._broken:
            return {"broken": self._broken}
        if self._unbuilt:
            self._gone = True
            return {"leaving": True, "failed_gpus": self._gpus, "unbuilt": self._unbuilt}
        if self._engine is None:
            return self._begin()
        if self._heartbeat.revoked() or not self._greeted:
            self._greeted = True
            self._close()
            return {"ready": worker_name(), "node": ray.get_runtime_context().get_node_id()}
        report = {} if self._heartbeat.noticed and self._items is None else self._work()
        if self._poisoned:
            self._gone = True
            self._close()
            return {**report, "leaving": True, "failed_gpus": self._gpus}
        if not self._heartbeat.noticed:
            return report
        self._gone = True
        self._close()
        return {"leaving": True} if interrupted(report.get("item", {})) else {**report, "leaving": True}

    def _greet(self, report: dict[str, Any]) -> dict[str, Any]:
        self._greeted = True
        return report

    def _begin(self) -> dict[str, Any]:
        """Say that this worker is here, and do what it is then told: build, or build and time arms."""
        if self._heartbeat.noticed:
            self._gone = True
            return {"leaving": True}
        if not self._here:
            self._here = True
            return {"here": worker_name(), "node": ray.get_runtime_context().get_node_id()}
        order = self._take()
        if order is not None:
            self._build()
        if order is None or self._engine is None or "time" not in order:
            return {}
        return self._time(self._engine, order["time"], order["repeats"])

    def _time(self, engine: TrialEngine, arms: list[dict[str, Any]], repeats: int) -> dict[str, Any]:
        """What was timed; a process whose GPU failed meanwhile makes way for another."""
        try:
            settings = [TrainingSettings.from_dict(values) for values in arms]
            return {"timed": asdict(time_arms(engine, settings, repeats))}
        except BiosSweepError as error:
            self._gone = isinstance(error, DeviceError)
            told = {"timed": {"broken": masked(str(error)), "kind": type(error).__name__}}
            return {**told, "leaving": True} if self._gone else told

    def _work(self) -> dict[str, Any]:
        """One item of the job, if there is one; what the storage refuses is the job's loss, not its end."""
        if self._loss is not None:
            return self._tell_loss()
        try:
            if self._items is None and self._engine is not None:
                self._items = self._open(self._engine)
            return {} if self._items is None else {**self._job, "item": self._advance(self._items)}
        except StorageError as error:
            self._close()
            self._loss = {"failure": Failure.STORAGE, "cause": masked(str(error))}
            self._tell_after = time.monotonic() + self._config["pause_seconds"]
            return {}

    def _tell_loss(self) -> dict[str, Any]:
        """A sign of life until the pause is over, so that a stop or a notice need not wait for it."""
        left = self._tell_after - time.monotonic()
        if left > 0:
            time.sleep(min(left, WAIT_SECONDS))
            return {}
        loss, self._loss = self._loss, None
        return {**self._job, "lost": loss}

    def _open(self, engine: TrialEngine) -> Items | None:
        job = self._take()
        if job is None:
            return None
        trial = TrialSpec.from_dict(job["trial"])
        self._job = {"key": trial.key, "attempt": job["attempt"]}
        if self._config["storage"] is None:
            directory = Path(self._config["trials_dir"]) / trial.key
            return attempt_trial(engine, trial, directory, job["attempt"])
        self._files = AttemptFiles(self._config["storage"], trial.key, fetch=job["fetch"], push=job["push"])
        items = attempt_trial(engine, trial, self._files.directory, job["attempt"])
        return self._files.kept(items, always=engine.resumes)

    def _take(self) -> dict[str, Any] | None:
        """What lies in the letter box, or None after a wait."""
        posted: Any = ray.get(self._mailbox.take.remote(worker_name(), WAIT_SECONDS))
        return None if posted is None else dict(posted)

    def _advance(self, items: Items) -> dict[str, Any]:
        item = next(items)
        if isinstance(item, TrialResult):
            self._close()
            if item.failure == Failure.DEVICE:
                self._poisoned = True
            elif item.status == Status.FAILED:
                self._build()  # the exception may have left the engine half changed
        return asdict(item)

    def _close(self) -> None:
        if self._items is not None:
            self._items.close()
        if self._files is not None:
            self._files.discard()
        self._items = self._files = self._loss = None

    def _build(self) -> None:
        self._engine = None  # first let go of the old one: two models may not fit
        try:
            self._engine = load_engine(self._config["engine"], self._options())
        except DeviceError as error:
            self._unbuilt = masked(str(error))
        except BiosSweepError as error:
            self._broken = masked(str(error))

    def _options(self) -> dict[str, Any]:
        """The engine's, right on this node; a storage that is away for a while is waited for.

        Raises:
            StorageError: it stays away.
        """
        for _ in range(BUILD_PAUSES):
            with suppress(StorageError):
                return bring_data(self._config["engine_options"], self._config["storage"])
            time.sleep(self._config["pause_seconds"] / 2)
        return bring_data(self._config["engine_options"], self._config["storage"])


def gpus_held() -> list[str]:
    """The GPUs that Ray gave this process, each by node and number; none where it asked for none."""
    context = ray.get_runtime_context()
    held = context.get_accelerator_ids().get("GPU", [])
    return [f"GPU {number} of node {context.get_node_id()[:NODE_LETTERS]}" for number in held]


class Heartbeat:
    """Beats from a thread of its own, so that a long step does not look like death.

    noticed: the process was told to leave. It gets `LEAVE_SECONDS` to reach its next measurement; then it
    ends where it is, and what it left at its last measurement is gone on from elsewhere.
    """

    def __init__(self, mailbox: Any, worker: str, *, every_seconds: float) -> None:
        self.noticed = False
        self._mailbox, self._worker, self._every = mailbox, worker, every_seconds
        self._wake, self._revoked = threading.Event(), threading.Event()
        threading.Thread(target=self._beat, daemon=True, name="signs of life").start()

    def listen(self) -> None:
        """Take SIGTERM over from Ray, whose handler would end the process at once. Main thread only.

        Workers of a Ray of our own are born with it blocked.
        """
        signal.signal(signal.SIGTERM, self._told_to_leave)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def revoked(self) -> bool:
        """Whether, since this was last asked, the driver gave this worker's job to another."""
        was = self._revoked.is_set()
        self._revoked.clear()
        return was

    def _told_to_leave(self, number: int, _frame: FrameType | None) -> None:
        if self.noticed:
            return
        self.noticed = True
        self._wake.set()
        latest = threading.Timer(LEAVE_SECONDS, os._exit, (128 + number,))
        latest.daemon = True
        latest.start()

    def _beat(self) -> None:
        while True:
            try:
                if ray.get(self._mailbox.beat.remote(self._worker, self.noticed)):
                    self._revoked.set()
            except ray.exceptions.RayError:
                return  # the driver is gone, and Ray ends this process
            self._wake.wait(self._every)
            self._wake.clear()
