"""What is said of failed trials: where their logs are, and why a sweep ends early where nothing works yet."""

from __future__ import annotations

from pathlib import Path

from bios_sweep.report.content.summary import Counts
from bios_sweep.report.content.wording import clean, plural
from bios_sweep.study.trials import TrialResult

LOGS = ("error.log", "stderr.txt", "stdout.txt")  # of `execution.attempts`, and of `engines.scripted.child`


def logs_of(folder: Path) -> list[Path]:
    """Those that are there and say something: our traceback, then what a script of one's own wrote."""
    return [path for name in LOGS if (path := folder / name).is_file() and path.stat().st_size]


def broken_line(failure: TrialResult, counts: Counts, trials_dir: Path) -> str:
    """One sentence: what failed, where its log is, and what to do. counts: from `count_trials`."""
    logs = logs_of(trials_dir / failure.key)
    log = f"; log: {logs[0]}" if logs else ""
    failed = plural(counts.failed, "trial")
    return (
        f"ended early, {failed} of {counts.planned} failed and none has an outcome; "
        f"the baseline: {clean(failure.cause)}{log}; the same command goes on once this is mended"
    )
