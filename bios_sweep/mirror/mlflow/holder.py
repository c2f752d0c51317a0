"""Which other processes have a file open, as Linux tells; nothing where it does not, or they are others'."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROCESSES = Path("/proc")
MOST = 3  # processes named in one sentence (chosen)


def holders_of(file: Path) -> str:
    """`process 1234 (python)`, several with commas; '' where none is told."""
    found = [f"process {process.name} ({_name(process)})" for process in _others() if _has(process, file)]
    return ", ".join(found[:MOST])


def _others() -> Iterator[Path]:
    with suppress(OSError):
        for process in PROCESSES.iterdir():
            if process.name.isdigit() and int(process.name) != os.getpid():
                yield process


def _has(process: Path, file: Path) -> bool:
    with suppress(OSError):
        return any(one.exists() and one.samefile(file) for one in (process / "fd").iterdir())
    return False


def _name(process: Path) -> str:
    with suppress(OSError):
        return (process / "comm").read_text().strip()
    return "unknown"
