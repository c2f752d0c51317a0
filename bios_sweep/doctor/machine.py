"""CPUs, memory and the clock, as a container's limits leave them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bios_sweep.doctor.line import Line, ok, red, warning
from bios_sweep.request import CUDA, INLINE, Request

GIB = 1024**3
WORKER_BYTES = int(0.4 * GIB)  # 0.37 GiB resident once the trainer is loaded (ru_maxrss; torch 2.13, CPU)
RAY_BYTES = 1 * GIB  # chosen: Ray's own processes with an object store of 0.1 GB
SHARED_BYTES = 128 * 1024**2  # chosen: the object store that a run asks for, and room for others
RELEASED = datetime(2026, 11, 1, tzinfo=UTC).timestamp()  # a clock that shows less is wrong
SKEW_SECONDS = 60.0  # chosen: certificates and tokens are checked to about a minute
UNLIMITED = 1 << 60  # cgroup v1 says so by a number near 2^63
MEMORY_FILES = (
    ("memory.max", "memory.current"),  # cgroup v2
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),  # v1
)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes; limited: a container's limit is what counts."""

    total: int
    free: int
    limited: bool = False


def memory(root: Path = Path("/")) -> Memory | None:
    """What may still be taken here; None where the kernel does not tell. root: of /proc and /sys."""
    try:
        text = (root / "proc/meminfo").read_text()
    except OSError:
        return None
    facts = {name: int(kib) * 1024 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    if not {"MemTotal", "MemAvailable"} <= facts.keys():
        return None
    machine = Memory(total=facts["MemTotal"], free=facts["MemAvailable"])
    for limit_file, used_file in MEMORY_FILES:
        limit, used = (_number(root / "sys/fs/cgroup" / name) for name in (limit_file, used_file))
        if limit is not None and limit < min(machine.total, UNLIMITED):
            return Memory(total=limit, free=min(machine.free, limit - (used or 0)), limited=True)
    return machine


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # `max`: no limit


def machine_lines(request: Request, needed: int, seen: Memory | None, shared: int | None) -> Iterator[Line]:
    """needed: bytes of a trial on its device, 0 where they are not known. shared: bytes of /dev/shm."""
    here, workers = request.local_cpus, request.expected_workers
    if not request.joins:
        yield _cpus(here, workers, request)
    if seen is not None:
        yield _memory(seen, workers, needed, request)
    if shared is not None and request.executor != INLINE and not request.joins:
        yield _shared(shared)


def _cpus(here: int, workers: int, request: Request) -> Line:
    if here < request.cpus_per_trial:
        way_out = f"add cluster.cpus_per_trial={here}"
        return red("CPUs", f"{here}, and a trial takes {request.cpus_per_trial}", way_out)
    at_once = "one trial" if workers == 1 else f"{workers} trials"
    return ok("CPUs", f"{here} that this process may use: {at_once} at a time")


def _memory(seen: Memory, workers: int, needed: int, request: Request) -> Line:
    of = "the container's limit of " if seen.limited else ""
    found = f"{seen.free / GIB:.1f} GiB free of {of}{seen.total / GIB:.1f} GiB"
    if request.joins:
        return ok("memory", found)
    one = WORKER_BYTES + (0 if request.trial_device == CUDA else needed)  # weights go straight to a GPU
    ray = 0 if request.executor == INLINE else RAY_BYTES
    if seen.free < one + ray:
        way_out = "end what else runs here, or give the container more"
        return red(
            "memory", f"{found}; one trial takes {(one + ray) / GIB:.1f} GiB at the very least", way_out
        )
    if seen.free < workers * one + ray:
        fit = (seen.free - ray) // one
        return warning(
            "memory",
            f"{found}; {workers} trials at a time take {(workers * one + ray) / GIB:.1f} GiB or more",
            f"add cluster.max_concurrent={fit}",
        )
    return ok("memory", found)


def _shared(size: int) -> Line:
    found = f"/dev/shm has {size / 1024**2:.0f} MiB"
    if size < SHARED_BYTES:
        return warning(
            "shared memory",
            f"{found}; Ray's object store goes to the disk",
            "start the container with --shm-size=1g",
        )
    return ok("shared memory", found)


def clock_line(server: float | None, now: float | None = None) -> Line:
    """server: what the tracking server's clock shows, in seconds since 1970."""
    now = time.time() if now is None else now
    shown = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    if now < RELEASED:
        return red("clock", f"{shown} is in the past", "set the clock (timedatectl set-ntp true)")
    if server is not None and abs(server - now) > SKEW_SECONDS:
        apart = f"{abs(server - now):.0f} s {'behind' if server > now else 'ahead of'} the tracking server's"
        return warning(
            "clock", f"{shown}, {apart}", "set the clocks of both machines (timedatectl set-ntp true)"
        )
    return ok("clock", shown)
