"""A sweep's arms as the rows of a table: what each changes, how it did, and what it gains. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bios_sweep.records.sweep_state import SweepState
from bios_sweep.vocabulary import Status

ENDED = (Status.COMPLETED, Status.DIVERGED, Status.FAILED)


def arm_rows(state: SweepState) -> tuple[Mapping[str, Any], ...]:
    """An arm a row, in the order of the plan, all with the same columns; none before the first verdict.

    A mean is over all of the arm's trials, and there only where each completed; gain and lower bound are
    those of the latest verdict, against the baseline, for the first of the claims that compares the arm.
    """
    if not state.verdicts:
        return ()
    latest, judged = state.verdicts[-1], f"mean {state.facts['metric']}"
    gains = _gains(latest.payload)
    return tuple(
        {
            "arm": name,
            "factor": arm.get("factor") or "",
            "level": "" if arm.get("level") is None else str(arm["level"]),
            **_ended(state, name),
            judged: latest.arm_means.get(name),
            "gain": gains.get(name, {}).get("gain"),
            "lower bound": gains.get(name, {}).get("lower"),
        }
        for name, arm in state.facts["arms"].items()
    )


def _ended(state: SweepState, arm: str) -> dict[str, int]:
    statuses = [trial.status for trial in state.trials.values() if trial.spec.arm == arm]
    return {str(status): statuses.count(status) for status in ENDED}


def _gains(payload: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    levels = (level for verdict in payload.get("verdicts", ()) for level in verdict.get("levels", ()))
    return {level["arm"]: level for level in reversed(tuple(levels))}
