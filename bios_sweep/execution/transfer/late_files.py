"""Files of ended attempts that the storage would not give at once: asked for again, beside Tune's loop.

A storage that restarts or throttles is away for seconds. Its error must not end the run, and waiting for it
must not stand in the way of the other workers, whose reports the driver's thread takes in.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FIRST_SHARE, LONGEST_SHARE = 1 / 60, 1 / 4  # of the patience: 1 s and 15 s of a minute; chosen, not measured


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A result whose files were waited for. error: what the storage said last, None where they have come."""

    slot: int
    key: str
    attempt: int
    item: dict[str, Any]
    error: Exception | None = None


class LateFiles:
    """One thread per result that waits; `arrived` is asked in the driver's.

    bring: `FileTransfer.bring`. wanted: whether the attempt still has its trial; asked from the threads.
    """

    def __init__(
        self,
        bring: Callable[[str, int, Callable[[], bool]], None],
        wanted: Callable[[int, str, int], bool],
        *,
        patience_seconds: float,
    ) -> None:
        self._bring, self._wanted, self._patience = bring, wanted, patience_seconds
        self._arrived: queue.SimpleQueue[Arrival] = queue.SimpleQueue()

    def wait_for(self, slot: int, key: str, attempt: int, item: dict[str, Any]) -> None:
        """Fetch the files of an ended attempt, again and again for the time of the patience."""
        arguments = (slot, key, attempt, item)
        threading.Thread(target=self._wait, args=arguments, daemon=True, name=f"files of {key}").start()

    def arrived(self) -> list[Arrival]:
        """Those whose waiting ended since the last call, well or not."""
        found = []
        while not self._arrived.empty():
            found.append(self._arrived.get())
        return found

    def _wait(self, slot: int, key: str, attempt: int, item: dict[str, Any]) -> None:
        pause, latest = FIRST_SHARE * self._patience, time.monotonic() + self._patience
        while True:
            time.sleep(pause)
            if not self._wanted(slot, key, attempt):
                return
            error = self._failure(slot, key, attempt)
            if error is None or time.monotonic() >= latest:
                self._arrived.put(Arrival(slot=slot, key=key, attempt=attempt, item=item, error=error))
                return
            pause = min(2 * pause, LONGEST_SHARE * self._patience, max(0.0, latest - time.monotonic()))

    def _failure(self, slot: int, key: str, attempt: int) -> Exception | None:
        try:
            self._bring(key, attempt, lambda: self._wanted(slot, key, attempt))
        except Exception as error:  # noqa: BLE001 - the driver's thread decides what it means
            return error
        return None
