"""What evaluating takes of a trial, before it is run and after. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bios_sweep.report.content.wording import plural
from bios_sweep.study.trials import TrialResult


@dataclass(frozen=True, kw_only=True)
class PlanEvaluation:
    """Of a trial of the default. measurements: the untouched model's, too.

    share: operations over those of its training. measured: seconds over those of its training, as finished
    trials took; None while there are none. from_trials: how many those are. why: why there are as many
    examples, in words; empty where the user said how many.
    """

    examples: int
    measurements: int
    share: float
    measured: float | None
    from_trials: int
    why: str


def evaluation_line(found: PlanEvaluation) -> str:
    """What `plan` says of it."""
    told = (
        f"evaluation: {found.examples:,} examples at {plural(found.measurements, 'measurement')}, "
        f"{_percent(found.share)} of a trial's operations in training"
    )
    if found.measured is not None:
        told += f"; {_percent(found.measured)} of its time, by {plural(found.from_trials, 'trial')}"
    return f"{told}; data.eval_examples=auto: {found.why}" if found.why else told


def measured_share(results: Iterable[TrialResult]) -> tuple[float, int] | None:
    """Seconds of evaluating over seconds of training, and of how many trials; None where none was timed."""
    found = [share for share in (result.evaluation_share for result in results) if share is not None]
    return (sum(found) / len(found), len(found)) if found else None


def evaluated_lines(results: Iterable[TrialResult]) -> list[str]:
    """What a report says of it."""
    found = measured_share(results)
    if found is None:
        return []
    return [f"evaluating took {_percent(found[0])} of the time of training ({plural(found[1], 'trial')})"]


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
