"""What is said when a sweep ends early because nothing works yet."""

from __future__ import annotations

from pathlib import Path

from bios_sweep.report.content.summary import Counts
from bios_sweep.report.content.wording import clean, plural
from bios_sweep.report.text.logs import logs_of
from bios_sweep.study.trials import TrialResult


def broken_line(failure: TrialResult, counts: Counts, trials_dir: Path) -> str:
    """One sentence: what failed, where its log is, and what to do. counts: from `count_trials`."""
    logs = logs_of(trials_dir / failure.key)
    log = f"; log: {logs[0]}" if logs else ""
    failed = plural(counts.failed, "trial")
    return (
        f"ended early, {failed} of {counts.planned} failed and none has an outcome; "
        f"the baseline: {clean(failure.cause)}{log}; the same command goes on once this is mended"
    )
