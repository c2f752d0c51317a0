"""The post between the driver and its workers: jobs one way, signs of life the other."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

FAILURES_ALLOWED = 1  # of a GPU; once may be a cosmic ray or a trial's own doing, twice is a pattern; chosen
TICK_SECONDS = 0.5  # chosen, not measured: well below any silence that matters


@dataclass
class Box:
    """One worker's letter box. heard: the tick of its last sign of life. revoked: it must drop its job."""

    job: dict[str, Any] | None = None
    heard: int = 0
    noticed: bool = False
    revoked: bool = False


class Mailbox:
    """One letter box per worker. Holds no decisions: those are the driver's.

    A worker is one process, so what was meant for a dead one never reaches its successor. Silence is
    counted in ticks of this process, so that a machine that was put to sleep as a whole does not make
    every worker look dead when it wakes.

    environment: variables for every worker. They may be secrets, and Ray logs runtime environments and
    writes Tune's configurations down; what an actor holds it does neither with.
    """

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self._environment = dict(environment or {})
        self._boxes: dict[str, Box] = {}
        self._failures: Counter[str] = Counter()
        self._started = self._closed = False
        self._news = asyncio.Condition()
        self._tick = 0
        self._ticking: asyncio.Task[None] | None = None

    async def environment(self) -> dict[str, str]:
        """The variables that every worker gets; its first question."""
        self._started = True
        return self._environment

    async def started(self) -> bool:
        """Whether any worker has started, though its engine may not be built yet."""
        return self._started

    async def failed(self, gpus: list[str]) -> list[str]:
        """A process was lost to its GPUs; those of them that are set aside from now on."""
        self._failures.update(gpus)
        return [gpu for gpu in gpus if self._failures[gpu] == FAILURES_ALLOWED + 1]

    async def set_aside(self, gpus: list[str]) -> bool:
        """Whether one of the GPUs failed so often that no trial is to have it."""
        return any(self._failures[gpu] > FAILURES_ALLOWED for gpu in gpus)

    async def put(self, worker: str, job: dict[str, Any]) -> None:
        """Leave a job for a worker."""
        async with self._news:
            self._box(worker).job = job
            self._news.notify_all()

    async def revoke(self, worker: str) -> None:
        """The worker's job is another's now: it drops what it has, as soon as it hears of it."""
        box = self._box(worker)
        box.job, box.revoked = None, True

    async def close(self) -> None:
        """From now on nobody waits."""
        async with self._news:
            self._closed = True
            self._news.notify_all()

    async def take(self, worker: str, wait_seconds: float) -> dict[str, Any] | None:
        """The worker's job, or None after the wait."""
        box = self._box(worker)
        try:
            async with asyncio.timeout(wait_seconds), self._news:
                await self._news.wait_for(lambda: self._closed or box.job is not None)
        except TimeoutError:
            return None
        job, box.job = box.job, None
        return job

    async def beat(self, worker: str, noticed: bool) -> bool:
        """A sign of life; whether the worker must drop its job. noticed: it was told to leave."""
        self._ticking = self._ticking or asyncio.ensure_future(self._count())
        box = self._box(worker)
        box.heard, box.noticed = self._tick, noticed
        revoked, box.revoked = box.revoked, False
        return revoked

    async def listen(self, workers: list[str], limit_seconds: float) -> dict[str, Any]:
        """`silent`: worker -> seconds, of those above the limit; `noticed`: those told to leave."""
        boxes = {worker: self._boxes[worker] for worker in workers if worker in self._boxes}
        seconds = {worker: (self._tick - box.heard) * TICK_SECONDS for worker, box in boxes.items()}
        return {
            "silent": {worker: since for worker, since in seconds.items() if since > limit_seconds},
            "noticed": [worker for worker, box in boxes.items() if box.noticed],
        }

    def _box(self, worker: str) -> Box:
        return self._boxes.setdefault(worker, Box(heard=self._tick))

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._tick += 1
