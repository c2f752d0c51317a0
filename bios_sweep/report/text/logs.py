"""Where a failed trial tells more than its cause: the log files that lie in its folder."""

from __future__ import annotations

from pathlib import Path

LOGS = ("error.log", "stderr.txt", "stdout.txt")  # of `execution.attempts`, and of `engines.scripted.child`


def logs_of(folder: Path) -> list[Path]:
    """Those that are there and say something: our traceback, then what a script of one's own wrote."""
    return [path for name in LOGS if (path := folder / name).is_file() and path.stat().st_size]
