"""Trials that ended without a completed result, and why: of a report, and of a run that is watched."""

from __future__ import annotations

from dataclasses import dataclass

from bios_sweep.procedure.state import Results, State
from bios_sweep.vocabulary import Status


@dataclass(frozen=True, kw_only=True)
class FailureRow:
    """A trial that ended without a completed result. failure: its kind, empty for a divergence."""

    arm: str
    seed: int
    key: str
    status: str
    failure: str
    cause: str


def failure_rows(state: State, results: Results) -> tuple[FailureRow, ...]:
    """In the order of the trials that are needed."""
    return tuple(
        FailureRow(
            arm=trial.arm,
            seed=trial.seed,
            key=trial.key,
            status=result.status,
            failure=result.failure,
            cause=result.cause,
        )
        for trial in state.needed
        if (result := results.get(trial.key)) is not None and result.status != Status.COMPLETED
    )
