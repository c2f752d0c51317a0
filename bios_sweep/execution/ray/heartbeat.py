"""A worker's signs of life, and its ear for a notice to leave (SIGTERM: a preemption, a drained node)."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

import ray

LEAVE_SECONDS = 25.0  # clouds and schedulers kill 30 s after their notice; chosen: 5 s are left for the exit


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
