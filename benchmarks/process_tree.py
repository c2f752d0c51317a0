"""What a command costs: wall time, and the CPU seconds of the process and of all it starts, over time.

Read from /proc a few times a second, so a process that lives for less than a period may be missed. A process
counts as the command's by a mark in its environment, for servers of clusters leave the tree of their parent.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PERIOD_SECONDS = 0.2
MARK = "BIOS_SWEEP_BENCHMARK"
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """began, ended: seconds since 1970. samples: (time, CPU seconds of the whole tree so far).

    names: command -> CPU seconds.
    """

    began: float
    ended: float
    status: int
    samples: Sequence[tuple[float, float]]
    names: Mapping[str, float] = field(default_factory=dict)

    @property
    def wall_seconds(self) -> float:
        return self.ended - self.began

    @property
    def cpu_seconds(self) -> float:
        return self.samples[-1][1] if self.samples else 0.0

    def cpu_until(self, when: float) -> float:
        """CPU seconds of the tree up to a time."""
        return max((used for at, used in self.samples if at <= when), default=0.0)


def run_and_count(command: Sequence[str], *, log: Path, environment: Mapping[str, str], folder: Path) -> Cost:
    """Run a command to its end; what it prints goes to `log`."""
    mark = uuid.uuid4().hex
    seen = _Seen(mark)
    began = time.time()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, cwd=folder, env={**environment, MARK: mark}
        )
        watch = threading.Thread(target=seen.watch, args=(process,))
        watch.start()
        status = process.wait()
        watch.join()
    return Cost(began=began, ended=time.time(), status=status, samples=seen.samples, names=seen.by_name())


class _Seen:
    """The processes with a mark: their CPU seconds as they were last seen."""

    def __init__(self, mark: str) -> None:
        self._mark = f"{MARK}={mark}".encode()
        self._used: dict[tuple[str, int], float] = {}
        self._names: dict[tuple[str, int], str] = {}
        self._others: set[str] = set()
        self.samples: list[tuple[float, float]] = []

    def watch(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            self._look()
            time.sleep(PERIOD_SECONDS)

    def by_name(self) -> dict[str, float]:
        totals: dict[str, float] = {}
        for one, used in self._used.items():
            totals[self._names[one]] = totals.get(self._names[one], 0.0) + used
        return totals

    def _look(self) -> None:
        alive = {entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()}
        self._others &= alive
        for pid in alive - self._others:
            with suppress(OSError, IndexError, ValueError):
                self._take(pid)
        self.samples.append((time.time(), sum(self._used.values())))

    def _take(self, pid: str) -> None:
        place = Path("/proc", pid)
        fields = (place / "stat").read_text().rpartition(")")[2].split()
        one = (pid, int(fields[19]))  # a number is used again; with the time of its start it is one process
        if one not in self._used and self._mark not in (place / "environ").read_bytes().split(b"\0"):
            if int(fields[1]) != os.getpid():  # between fork and exec it has our environment
                self._others.add(pid)
            return
        self._used[one] = (int(fields[11]) + int(fields[12])) / TICKS
        words = b" ".join((place / "cmdline").read_bytes().split(b"\0")[:3])
        if words or one not in self._names:  # a process that has just ended has none
            self._names[one] = words.decode(errors="replace")[:90]
