"""Waits for room on a cluster that others fill, and says so: Ray itself waits without a word."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray import tune
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from bios_sweep.execution.placement import waiting_line
from bios_sweep.request import Request

CAPACITY_SECONDS = 30.0  # between two lines; chosen, not measured: where there is room a worker starts sooner
ANSWER_SECONDS = 5.0  # chosen: the mailbox is on this machine


@contextmanager
def capacity_for_one(request: Request) -> Iterator[PlacementGroupSchedulingStrategy]:
    """Wait for the room that one trial takes, and hold it; for a task that should start there at once."""
    began = time.monotonic()
    group = placement_group([request.bundle], strategy="STRICT_PACK")
    try:
        while not ray.wait([group.ready()], timeout=CAPACITY_SECONDS)[0]:
            _tell(request, time.monotonic() - began)
        yield PlacementGroupSchedulingStrategy(group)
    finally:
        remove_placement_group(group)


class CapacityWatch(tune.Callback):
    """Tells every 30 s of a run that no worker has started yet, until one has.

    A worker that has started has asked the mailbox for its environment; the engine that it then builds may
    take its time.
    """

    def __init__(self, request: Request, mailbox: Any) -> None:
        self._request, self._mailbox = request, mailbox
        self._began = self._looked = time.monotonic()
        self._started = False

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune saves its callbacks for a restore that is never used."""
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **_: Any) -> None:
        """Tune's loop turns at least every 0.1 s."""
        now = time.monotonic()
        if self._started or now - self._looked < CAPACITY_SECONDS:
            return
        self._looked = now
        with suppress(ray.exceptions.RayError):  # a mailbox that died ends the run, but not here
            self._started = ray.get(self._mailbox.started.remote(), timeout=ANSWER_SECONDS)
            if not self._started:
                _tell(self._request, now - self._began)


def _tell(request: Request, seconds: float) -> None:
    """One line on standard error, where it disturbs neither JSON nor the live table."""
    line = waiting_line(request, free=ray.available_resources(), total=ray.cluster_resources())
    sys.stderr.write(f"bios-sweep: waiting for a worker for {seconds:.0f} s: {line}\n")
    sys.stderr.flush()
