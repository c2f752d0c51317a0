"""Quality against cost: which arms no other arm beats in both, with the uncertainty of each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bios_sweep.analysis.bounds import Bound
from bios_sweep.analysis.costs import CostRatio


@dataclass(frozen=True, kw_only=True)
class Point:
    """One arm on the plane: gain over the default (percent) and time over the default's.

    steps, examples: the hardware-free cost, sequential optimizer steps and training examples.
    efficient: no other arm is at least as good at no more cost, by the estimates.
    """

    arm: str
    gain: Bound
    cost: CostRatio
    steps: int
    examples: int
    efficient: bool = False


def frontier(points: Sequence[Point]) -> tuple[Point, ...]:
    """All points, cheapest first, the efficient ones marked."""
    ordered = sorted(points, key=lambda point: (point.cost.ratio, -point.gain.gain))
    marked, best = [], float("-inf")
    for point in ordered:
        efficient = point.gain.gain > best
        best = max(best, point.gain.gain)
        marked.append(
            Point(
                arm=point.arm,
                gain=point.gain,
                cost=point.cost,
                steps=point.steps,
                examples=point.examples,
                efficient=efficient,
            )
        )
    return tuple(marked)
