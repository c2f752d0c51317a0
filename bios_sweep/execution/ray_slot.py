"""What runs on Ray's workers: the slot that trains one trial after another, and its mailbox.

Tune starts an actor per Tune trial and is slow to replace one between short trials (measured: an
idle worker at every stage boundary and after every kill). So a Tune trial here is a *slot*: it
lives as long as the run, pays the heavy imports once, and asks for its next job itself.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Generator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
from ray import tune

from bios_sweep.errors import BiosSweepError
from bios_sweep.execution.attempts import attempt_trial, load_engine, worker_name
from bios_sweep.ports import TrialEngine
from bios_sweep.study.trials import FAILED, Measurement, TrialResult, TrialSpec

WAIT_SECONDS = 1.0  # chosen, not measured: how long an idle slot listens before it shows a sign of life
REPORT = (
    "report"  # the one key of a slot's Tune result that is ours: JSON text, so that Tune flattens nothing
)

Items = Generator[Measurement | TrialResult]


class Mailbox:
    """One letter box per worker, filled by the driver. Holds no decisions: those are the driver's.

    A worker is one process, so what was meant for a dead one never reaches its successor.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, dict[str, Any]] = {}
        self._closed = False
        self._news = asyncio.Condition()

    async def put(self, worker: str, job: dict[str, Any]) -> None:
        """Leave a job for a worker."""
        async with self._news:
            self._jobs[worker] = job
            self._news.notify_all()

    async def close(self) -> None:
        """From now on nobody waits."""
        async with self._news:
            self._closed = True
            self._news.notify_all()

    async def take(self, worker: str, wait_seconds: float) -> dict[str, Any] | None:
        """The worker's job, or None after the wait."""
        try:
            async with asyncio.timeout(wait_seconds), self._news:
                await self._news.wait_for(lambda: self._closed or worker in self._jobs)
        except TimeoutError:
            return None
        return self._jobs.pop(worker, None)


class WorkerSlot(tune.Trainable):
    """Works through jobs; each `step()` brings one item: a measurement, a result, or a sign of life.

    config: slot (number), mailbox (actor name), engine, engine_options, trials_dir (absolute), threads.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Build the engine. A failure is kept and reported, because Tune would restart us for ever."""
        threads = str(config["threads"])
        os.environ["OMP_NUM_THREADS"] = threads  # before the engine's imports, which read it once
        self._config = config
        self._mailbox = ray.get_actor(config["mailbox"])
        self._engine: TrialEngine | None = None
        self._items: Items | None = None
        self._job: dict[str, Any] = {}
        self._broken = ""
        self._greeted = False
        self._build()

    def step(self) -> dict[str, str]:
        """The next report, as `{"report": JSON text}`."""
        return {REPORT: json.dumps(self._report())}

    def cleanup(self) -> None:
        """Leave a running trial at its checkpoint."""
        if self._items is not None:
            self._items.close()

    def _report(self) -> dict[str, Any]:
        if not self._greeted and not self._broken:
            self._greeted = True
            return {"ready": worker_name()}
        if self._items is None and self._engine is not None:
            self._items = self._open(self._engine)
        if self._broken:
            return {"broken": self._broken}
        return {} if self._items is None else {**self._job, "item": self._advance(self._items)}

    def _open(self, engine: TrialEngine) -> Items | None:
        job: Any = ray.get(self._mailbox.take.remote(worker_name(), WAIT_SECONDS))
        if job is None:
            return None
        trial = TrialSpec.from_dict(job["trial"])
        self._job = {"key": trial.key, "attempt": job["attempt"]}
        directory = Path(self._config["trials_dir"]) / trial.key
        return attempt_trial(engine, trial, directory, job["attempt"])

    def _advance(self, items: Items) -> dict[str, Any]:
        item = next(items)
        if isinstance(item, TrialResult):
            items.close()
            self._items = None
            if item.status == FAILED:
                self._build()  # the exception may have left the engine half changed
        return asdict(item)

    def _build(self) -> None:
        self._engine = None  # first let go of the old one: two models may not fit
        try:
            self._engine = load_engine(self._config["engine"], self._config["engine_options"])
        except BiosSweepError as error:
            self._broken = str(error)
