"""What is said of failed trials: where their logs are, and why a sweep ends early where nothing works yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bios_sweep.records.trial_logs import logs_in
from bios_sweep.report.content import lines
from bios_sweep.report.content.failure_rows import FailureRow
from bios_sweep.report.content.recorded import where
from bios_sweep.report.content.summary import Counts
from bios_sweep.report.content.wording import clean, pasted, plural
from bios_sweep.report.text.layout import bullets, copyable
from bios_sweep.study.trials import TrialResult
from bios_sweep.vocabulary import Status


def logs_command(trials_dir: Path, key: str) -> str:
    """What shows a trial's log; empty where it has none."""
    if not logs_in(trials_dir / key):
        return ""
    return pasted(f"bios-sweep logs {key}{where(trials_dir.parent)}")


def broken_line(failure: TrialResult, counts: Counts, trials_dir: Path) -> str:
    """One sentence: what failed, where its log is, and what to do. counts: from `count_trials`."""
    command = logs_command(trials_dir, failure.key)
    log = f"; its log: `{command}`" if command else ""
    failed = plural(counts.failed, "trial")
    return (
        f"ended early, {failed} of {counts.planned} failed and none has an outcome; "
        f"the baseline: {clean(failure.cause)}{log}; the same command goes on once this is mended"
    )


def print_failures(
    console: Console, failures: Sequence[FailureRow], trials_dir: Path | None, most: int | None = None
) -> None:
    """Trials without a completed result, and what shows the logs of failed ones. most: lines of either."""
    told = lines.failure_lines(failures)
    bullets(console, "Failed or diverged", told[:most])
    failed = [row for row in failures if trials_dir is not None and row.status == Status.FAILED]
    logs = [(row, logs_command(trials_dir, row.key)) for row in failed if trials_dir is not None]
    for row, command in [(row, command) for row, command in logs if command][:most]:
        copyable(console, f"  log of {clean(row.arm)}, seed {row.seed}: ", command)
