"""Room on the disk of a workspace: a floor that is looked at before a run and while it lasts.

A disk that fills up fails every trial that writes, one after the other, and with them the sweep. So a run
ends once, before that: what has ended is kept, what was running goes on from its checkpoint.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bios_sweep.checks import at_least_zero
from bios_sweep.errors import StorageError
from bios_sweep.mounts import existing
from bios_sweep.study.trials import TrialResult
from bios_sweep.vocabulary import Failure, Status

KEY = "budget.least_free_gb"
GIGA = 1e9
LOOK_SECONDS = 2.0  # between two looks; chosen: adapters of an 8B model take 0.3 GB
# how the system says that a disk, or somebody's share of it, is full
FULL_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL = tuple(map(os.strerror, FULL_NUMBERS))


def free_bytes(path: Path) -> int:
    """Free for this user where a path lies, or will."""
    status = os.statvfs(existing(path))
    return status.f_bavail * status.f_frsize


@dataclass
class RoomLeft:
    """The floor of a workspace. least: bytes. free: asks the file system. clock: seconds, monotonic."""

    root: Path
    least: float
    free: Callable[[Path], int] = free_bytes
    clock: Callable[[], float] = time.monotonic
    _looked: float = field(default=float("-inf"), init=False)

    def require(self) -> None:
        """Refuse to start, or to go on, with less.

        Raises:
            StorageError: with path, sizes and way out.
        """
        self._looked = self.clock()
        if lacking := self.lacking():
            raise StorageError(lacking)

    def lacking(self) -> str:
        """Why a run would be refused now; empty where there is room."""
        return self._told(self._free()) if self.free(self.root) < self.least else ""

    def watch(self, result: TrialResult | None) -> None:
        """While trials run, at each of their events; a failed one is looked into at once.

        Raises:
            StorageError: there is less than the floor, or the trial failed because its disk is full.
        """
        if result is not None and result.status == Status.FAILED:
            if result.failure == Failure.STORAGE and any(words in result.cause for words in FULL):
                free = self.free(self.root)
                raise StorageError(
                    self._told(f"has {free / GIGA:.3g} GB free; a trial ended: {result.cause}")
                )
            self.require()
        elif self.clock() - self._looked > LOOK_SECONDS:
            self.require()

    @contextmanager
    def told(self) -> Iterator[None]:
        """What a full disk makes fail in here, wherever it is, is told with path, sizes and way out.

        Raises:
            StorageError: in place of the system's own error, which may name no file.
        """
        try:
            yield
        except OSError as error:
            if error.errno not in FULL_NUMBERS:
                raise
            what = f"{self._free()} ({error.strerror})"
            raise StorageError(self._told(what)) from error

    def _free(self) -> str:
        return f"has {self.free(self.root) / GIGA:.3g} GB free"

    def _told(self, what: str) -> str:
        return (
            f"workspace {self.root}: {what}, and at least {self.least / GIGA:g} GB are kept ({KEY}); what "
            "has ended is kept, too. Free some (`bios-sweep clean` shows what could go), then run the same "
            "command: it goes on from there"
        )


def room_left(root: Path, asked: object) -> RoomLeft:
    """The floor that a configuration asks for. asked: `budget.least_free_gb`."""
    return RoomLeft(root=root, least=float(at_least_zero(KEY, asked)) * GIGA)
