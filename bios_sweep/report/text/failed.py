"""What is said of failed trials: where their logs are, and why a sweep ends early where nothing works yet."""

from __future__ import annotations

import shlex
from pathlib import Path

from bios_sweep.records.trial_logs import logs_in
from bios_sweep.report.content.summary import Counts
from bios_sweep.report.content.wording import clean, pasted, plural
from bios_sweep.study.trials import TrialResult

HOME = "bios_runs"  # the workspace where none is named


def logs_command(trials_dir: Path, key: str) -> str:
    """What shows a trial's log; empty where it has none."""
    if not logs_in(trials_dir / key):
        return ""
    root = trials_dir.parent
    where = "" if root == Path.cwd() / HOME else f" workspace={shlex.quote(str(root))}"
    return pasted(f"bios-sweep logs {key}{where}")


def broken_line(failure: TrialResult, counts: Counts, trials_dir: Path) -> str:
    """One sentence: what failed, where its log is, and what to do. counts: from `count_trials`."""
    command = logs_command(trials_dir, failure.key)
    log = f"; its log: `{command}`" if command else ""
    failed = plural(counts.failed, "trial")
    return (
        f"ended early, {failed} of {counts.planned} failed and none has an outcome; "
        f"the baseline: {clean(failure.cause)}{log}; the same command goes on once this is mended"
    )
