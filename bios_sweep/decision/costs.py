"""What an arm costs against the default: ratios of measured times, with bounds. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bios_sweep.decision.bounds import student


@dataclass(frozen=True, kw_only=True)
class CostRatio:
    """Time of an arm's whole training over the baseline's, with one-sided bounds.

    repeats: of the timing probe; 0 where steps alone tell the ratio (same batch, same rank) exactly.
    error: standard error of ln(ratio). logs: ln of the ratio at every repeat, empty where it was counted.
    """

    arm: str
    ratio: float
    lower: float
    upper: float
    hardware: str = ""
    repeats: int = 0
    error: float = 0.0
    logs: tuple[float, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the ratio was counted, not timed."""
        return self.repeats == 0

    def below(self, alpha: float) -> float:
        """The lower bound at another one-sided level."""
        if self.exact or not self.error:
            return self.lower
        return self.ratio * math.exp(-student(alpha, self.repeats - 1) * self.error)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What a timing probe measured: seconds per optimizer step, shape (repeats, arms), on one device.

    Each arm alone, warm, the arms interleaved, so that the repeats of one row pair. arms: the baseline first.
    """

    arms: tuple[str, ...]
    seconds: tuple[tuple[float, ...], ...]
    hardware: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the journal."""
        return {
            "arms": list(self.arms),
            "seconds": [list(row) for row in self.seconds],
            "hardware": self.hardware,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Timing:
        """Inverse of `to_dict`."""
        return cls(
            arms=tuple(values["arms"]),
            seconds=tuple(tuple(row) for row in values["seconds"]),
            hardware=values["hardware"],
        )

    def of(self, arm: str) -> tuple[float, ...]:
        """One arm's seconds per step, one number per repeat."""
        place = self.arms.index(arm)
        return tuple(row[place] for row in self.seconds)


def cost_ratios(
    seconds_per_step: Mapping[str, Sequence[float]], steps: Mapping[str, int], alpha: float, hardware: str
) -> dict[str, CostRatio]:
    """Ratios from an interleaved timing probe, the first arm being the baseline.

    Repeats pair: a paired Student t on ln(arm's time) - ln(baseline's time), seconds per step of shape
    (repeats,) per arm. Bounds are one-sided at `alpha`.

    Raises:
        ValueError: fewer than two repeats, or arms with different numbers of them.
    """
    names = list(seconds_per_step)
    times = [np.log(np.asarray(seconds_per_step[name], dtype=np.float64) * steps[name]) for name in names]
    repeats = len(times[0])
    if repeats < 2 or any(len(row) != repeats for row in times):
        raise ValueError("a timing probe needs at least 2 repeats, the same number for every arm")
    width = student(alpha, repeats - 1)
    ratios = {}
    for name, row in zip(names, times, strict=True):
        difference = row - times[0]
        mean, error = float(difference.mean()), float(difference.std(ddof=1)) / math.sqrt(repeats)
        spread = error * width
        ratios[name] = CostRatio(
            arm=name,
            ratio=math.exp(mean),
            lower=math.exp(mean - spread),
            upper=math.exp(mean + spread),
            hardware=hardware,
            repeats=repeats,
            error=error,
            logs=tuple(difference.tolist()),
        )
    return ratios


def least_ratio(cost: CostRatio, other: CostRatio, alpha: float) -> float:
    """One-sided lower bound of one arm's time over another's; their repeats pair where both were timed."""
    if len(cost.logs) > 1 and len(cost.logs) == len(other.logs):
        difference = np.asarray(cost.logs) - np.asarray(other.logs)
        error = float(difference.std(ddof=1)) / math.sqrt(len(difference))
        return math.exp(float(difference.mean()) - student(alpha, len(difference) - 1) * error)
    return cost.lower / other.upper
